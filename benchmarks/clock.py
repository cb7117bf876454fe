"""How long a call takes: the median of as many repetitions as the clock needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks import memory

LEAST_SECONDS, MOST_CALLS = 1e-3, 1000  # calls of less than a millisecond are repeated, and the median counts


def timed(run: Callable[[], Any], before: Callable[[], object] = lambda: None) -> tuple[float, float, Any]:
    """(seconds, peak MiB, the last answer) of `run`; `before` is called ahead of each repetition, untimed."""
    memory.reset_peak()
    each: list[float] = []
    while not each or (sum(each) < LEAST_SECONDS and len(each) < MOST_CALLS):
        before()
        began = time.perf_counter()
        answer = run()
        each.append(time.perf_counter() - began)
    return median(each), memory.peak_mib(), answer
