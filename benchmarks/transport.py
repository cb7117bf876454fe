"""The links alone: rounds, round trips and throughput of three party processes over long-lived gRPC streams with mutual TLS.

`seconds` is the median, `p90` the 90th percentile, over repetitions in one session; a round is over when the slowest party has
what it waited for. In a round everybody writes to both others, as where something opens; in a ring to one, as where a product
is shared again. `error` counts the bytes that arrived other than they were sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks import table
from benchmarks.parties import GRPC, parties_of
from benchmarks.table import Row

ROUNDS = 1000


@dataclass(frozen=True)
class Task:
    """`do` is the program; one in `every` of the rounds that were asked for."""

    bench: str
    do: str
    size: int
    every: int
    parties: int


TASKS = (
    Task("round of 1 KiB", "round", 1 << 10, 1, 3),
    Task("ring of 1 KiB", "ring", 1 << 10, 1, 3),
    Task("round trip of 64 bytes", "round trip", 64, 1, 2),
    Task("throughput of 64 MiB", "throughput", 64 << 20, 100, 2),
)


def measure(rounds: int = ROUNDS, rtt_ms: float = 0.0, tasks: tuple[Task, ...] = TASKS) -> Iterator[Row]:
    """One row a task; all tasks over the same links."""
    with parties_of(GRPC, rtt_ms) as parties:
        for task in tasks:
            count = max(3, rounds // task.every)
            answers = parties.ask(do=task.do, count=count, size=task.size)
            # the slowest party of each repetition
            each = np.max([answer["each"] for answer in answers if answer["each"] is not None], axis=0)
            seconds = float(np.median(each))
            one_way = {"GB_per_s": task.size / seconds / 1e9} if task.do == "throughput" else {}
            yield table.row(
                task.bench,
                "grpc",
                mode="mutual TLS",
                parties=task.parties,
                n=count,
                d=task.size,
                seconds=seconds,
                joint_seconds=seconds,
                rounds=max(answer["rounds"] for answer in answers) // count,
                bytes_sent=max(answer["bytes_sent"] for answer in answers) // count,
                peak_rss=max(answer["peak_rss"] for answer in answers),
                error=max(answer["error"] for answer in answers),
                error_unit=table.MISMATCHES,
                p90=float(np.quantile(each, 0.9)),
                rtt_ms=rtt_ms,
                **one_way,
            )
