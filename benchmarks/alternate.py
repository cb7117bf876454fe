"""Runs of ours and of others in turn, A B A B, so that both meet the same machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from benchmarks import table
from benchmarks.table import Row

Ours = Mapping[str, Callable[[], Row]]
Theirs = Mapping[str, Callable[[], Row | None]]


def alternate(ours: Ours, theirs: Theirs, repeat: int, ratios_of: int | None = None) -> Iterator[Row]:
    """The median row of each. Ours have `ratio_to_NAME`: their seconds divided by NAME's, below 1 where ours is faster.

    `ratios_of` limits that to the first so many of ours. A rival that answers None has no row.
    """
    for run in (*ours.values(), *theirs.values()):
        run()  # untimed: whoever runs first would pay for the memory that all others find mapped
    mine: dict[str, list[Row]] = {name: [] for name in ours}
    others: dict[str, list[Row]] = {name: [] for name in theirs}
    for _ in range(repeat):
        for name, run in ours.items():
            mine[name].append(run())
        for name, rival in theirs.items():
            found = rival()
            if found is not None:
                others[name].append(found)
    for place, runs in enumerate(mine.values()):
        compared = others if ratios_of is None or place < ratios_of else {}
        yield {**table.middle(runs), **{f"ratio_to_{name}": table.ratio(runs, found) for name, found in compared.items()}}
    yield from (table.middle(found) for found in others.values() if found)
