"""Memory that is freed and taken again comes from the process itself, not one page fault at a time from the kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource, sys, threading
from engine.party import allocator
if not hasattr(ctypes.CDLL(None), "mallopt"):
    sys.exit("no mallopt")
if sys.argv[1] == "kept":
    allocator.keep_freed_memory()
import numpy as np

def faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        kept = [np.ones(1 << 16) for _ in range(64)]  # half a MiB each
        del kept
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def measure():
    faults(2)
    print(faults(20))

thread = threading.Thread(target=measure)  # as a job's
thread.start()
thread.join()
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, timeout=60, check=False)
    if "no mallopt" in done.stderr:
        pytest.skip("this C library has no mallopt")
    return int(done.stdout)


def test_pages_that_were_freed_are_not_asked_for_again() -> None:
    assert faults("kept") < faults("as the C library does") / 20
