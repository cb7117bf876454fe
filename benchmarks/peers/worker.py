"""What the peers' workers share: timing, memory, and the error of the opened answer.

NumPy and the standard library only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import memory, trio, work

Prepared = tuple[Callable[[], Any], Callable[[Any], np.ndarray]]  # what is timed; how its answer is opened


class Unable(Exception):
    """The framework has no function for this work; the text says which is missing."""


def rank_and_ports() -> tuple[int, list[int]]:
    rank, *ports = (int(argument) for argument in sys.argv[1:5])
    return rank, ports


def serve(
    prepare: Callable[[str, work.Arrays], Prepared],
    barrier: Callable[[], None],
    rounds: Callable[[], int | None] = lambda: None,
) -> None:
    """Answer requests for works. `rounds()` so far, where the framework counts them; bytes are TCP's own count."""

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        name = request["work"]
        given = work.inputs(name, request["n"], request["d"])
        try:
            run, opened = prepare(name, given)
        except Unable as reason:
            return {"unable": str(reason)}
        barrier()
        memory.reset_peak()
        before, began = (rounds(), memory.sent_by_me()), time.perf_counter()
        answer = run()
        seconds = time.perf_counter() - began
        after, peak = (rounds(), memory.sent_by_me()), memory.peak_mib()
        counted = [None if b is None or a is None else a - b for a, b in zip(after, before, strict=True)]
        error = work.error_of(name, given, opened(answer))
        return {"seconds": seconds, "rounds": counted[0], "bytes_sent": counted[1], "peak_rss": peak, "error": error}

    trio.serve(handle)
