"""How cost grows: one size at a time, from one middle point, with rows, predictors, hospitals and round-trip time.

Each point is a study of its own across real daemons. `bound_by` says what most of the seconds are spent on:
    rounds    messages under way: rounds x (a round of 1 KiB, measured here beforehand without delay, + half the round trip)
    local     hospitals reading their own rows, and everything else before the contributions
    bytes     moving them: TLS and gRPC take about 1.4 CPU seconds a GiB, for every byte of every party
    compute   what is left of the JOINT stage: arithmetic on shares, and under the engine `ckks` mostly hospitals' on ciphertexts
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from benchmarks import analyses, table, transport
from benchmarks.analyses import Setting
from benchmarks.questions import QUESTIONS, RESULT
from benchmarks.table import Row

AXES: dict[str, tuple[int, ...]] = {
    "n": (1_000, 10_000, 100_000, 1_000_000),
    "d": (5, 10, 20, 50, 100),
    "parties": (3, 5, 10, 20),
    "rtt": (0, 10, 40, 100),
}
MIDDLE = {"n": 10_000, "d": 20, "parties": 3, "rtt": 0}
ENCRYPTED = {**AXES, "n": AXES["n"][1:], "d": (5, 20, 50), "parties": (3, 5, 10)}
"""Sizes of the engine `ckks`, where hospitals compute on their own rows and share none."""
MOST_SHARED = 4_000_000  # numbers in shared rows: beyond, three daemons on one machine need too much memory
CPU_SECONDS_PER_BYTE = 1.4 / (1 << 30)
PROBE = 100  # rounds
SHOWN = (
    "axis",
    "bench",
    "mode",
    "n",
    "d",
    "parties",
    "rtt_ms",
    "seconds",
    "joint_seconds",
    "local_seconds",
    "rounds",
    "bytes_sent",
    "peak_rss",
    "error_se",
    "converted",
    "level",
    "bound_by",
    "note",
)
"""The columns of the table; --json has all."""


def measure(
    axes: Sequence[str] = tuple(AXES),
    questions: Sequence[str] = ("ols", "logit"),
    modes: Sequence[str] = analyses.MODES,
    budget: float = 900.0,
    middle: dict[str, int] | None = None,
    values: dict[str, tuple[int, ...]] | None = None,
    engine: str = "replicated",
) -> Iterator[Row]:
    """Every point of every axis, small ones first. Each axis has its share of `budget` seconds; the points that would begin later
    are listed as skipped.

    `middle` and `values` replace parts of MIDDLE and AXES.
    """
    probe = next(transport.measure(PROBE, tasks=transport.TASKS[:1]))
    end = time.monotonic() + budget
    for place, axis in enumerate(axes):
        now = time.monotonic()
        share = now + (end - now) / (len(axes) - place)  # what one axis leaves is for those that follow
        for value in {**(ENCRYPTED if engine == "ckks" else AXES), **(values or {})}[axis]:
            at = {**MIDDLE, **(middle or {}), axis: value}
            for row in _point(at, questions, modes, share, engine):
                yield {"axis": axis, **row, "bound_by": _bound(row, probe["seconds"], at)}


def _point(at: dict[str, int], questions: Sequence[str], modes: Sequence[str], end: float, engine: str) -> Iterator[Row]:
    """One study, while there is time."""
    asked = [(name, mode) for name in questions for mode in (modes if QUESTIONS[name].iterative else (RESULT,))]
    if time.monotonic() > end:
        yield from (_skipped(name, mode, at, engine, "the time given was over") for name, mode in asked)
        return
    setting = Setting(at["n"], at["d"], at["parties"], rtt_ms=at["rtt"], engine=engine)
    for name in questions:
        shares_rows = engine != "ckks" and QUESTIONS[name].iterative and at["n"] * at["d"] > MOST_SHARED
        chosen = [mode for mode in modes if not (mode == RESULT and shares_rows)]
        if chosen or not QUESTIONS[name].iterative:
            yield from analyses.measure(setting, (name,), chosen, repeat=1)
        if shares_rows and RESULT in modes:
            yield _skipped(name, RESULT, at, engine, f"would share more than {MOST_SHARED} numbers on this machine")


def _skipped(name: str, mode: str, at: dict[str, int], engine: str, why: str) -> Row:
    return table.skipped(name, engine, why, mode=mode, parties=at["parties"], n=at["n"], d=at["d"], rtt_ms=at["rtt"])


def _bound(row: Row, round_seconds: float, at: dict[str, int]) -> str | None:
    """The largest part of the seconds."""
    if row["seconds"] is None:
        return None
    under_way = row["rounds"] * (round_seconds + at["rtt"] / 2000)
    moving = 3 * row["bytes_sent"] * CPU_SECONDS_PER_BYTE / min(3, os.cpu_count() or 1)
    parts = {
        "rounds": under_way,
        "local": row["local_seconds"],
        "bytes": moving,
        "compute": row["joint_seconds"] - under_way - moving,
    }
    return max(parts, key=lambda part: parts[part])
