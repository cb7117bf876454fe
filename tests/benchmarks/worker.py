"""A worker for test_trio.py: adds, fails, falls silent or ends, as asked. Argument: its rank."""

import sys
import threading

from benchmarks import trio

RANK = int(sys.argv[1])


def add(request):
    return {"sum": request["to"] + RANK, "only first": 7 if RANK == 0 else None}


def fail(request):
    raise ValueError("no such work")


def hang(request):
    threading.Event().wait()


def end(request):
    sys.exit("gone away")


def handle(request):
    print("noise that a library makes on stdout")
    return {"add": add, "fail": fail, "hang": hang, "end": end}[request["do"]](request)


if __name__ == "__main__":
    trio.serve(handle)
