"""How long a call takes: the median of as many repetitions as the clock needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks import memory

LEAST_SECONDS, MOST_CALLS = 1e-3, 1000  # shorter calls are repeated, and the median counts
ALONE_SECONDS = 0.02  # enough calls for caches and pages to be where they are when one works on ciphertexts


def timed(
    run: Callable[[], Any],
    before: Callable[[], object] = lambda: None,
    now: Callable[[], float] = time.perf_counter,
    least: float = LEAST_SECONDS,
) -> tuple[float, float, Any]:
    """(seconds by the clock `now`, peak MiB, the last answer) of `run`; `before` is called ahead of each repetition, untimed."""
    memory.reset_peak()
    each: list[float] = []
    while not each or (sum(each) < least and len(each) < MOST_CALLS):
        before()
        began = now()
        answer = run()
        each.append(now() - began)
    return median(each), memory.peak_mib(), answer


def timed_alone(run: Callable[[], Any], before: Callable[[], object] = lambda: None) -> tuple[float, float, Any]:
    """The same in seconds of this thread on its core, for what runs on one: what else the machine does meanwhile is left out."""
    return timed(run, before, time.thread_time, ALONE_SECONDS)
