"""What is told of a response alone, beside the coefficients: the sums that complete a log-likelihood, on shares.

Exact sums of log y! and y log y are numbers of many digits about a few whole numbers, how often y takes each value, and lattice
reduction finds these. So both are cut to SUMS_FRAC fractional bits, where the result keeps more digits than anybody reads, and
multiplied by 0 unless there are so many people that far more frequencies than values of the sums are possible
(`Poisson.sums_from`), and so large a total: a small one has few partitions, however many people share it. A cut sum is up to
2^-11 off.

Leaks: nothing beyond the outputs. Rounds (replicated): none for a binary response; 7 for counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from engine.analyses.bits import negation
from engine.analyses.families import SUMS_FRAC, Family, Poisson
from protocols.engine import Engine, Secret

SUMS = ("log_factorials", "ylogy")
LEAST_TOTAL = 1024  # partitions of 50 are nearly all told apart by the two sums; those of 500 no longer are


def told(mpc: Engine, family: Family, totals: Mapping[str, Secret], people: Secret, rows_log2: int) -> dict[str, Secret]:
    """`family.outputs`, from the totals of what `family.declared` contributes and the number of people, ()."""
    outputs = {each.name: totals[each.name] for each in family.declared(rows_log2)}
    if not isinstance(family, Poisson):
        return outputs
    never = (1 << rows_log2) + 1  # more people than there can be
    fewest = family.sums_from
    short = people - (never if fewest is None else min(fewest, never))
    small = totals["total"] - (0 if fewest == 0 else LEAST_TOTAL)
    enough = mpc.bounded(1 - mpc.is_negative(mpc.stack([short, small])), 1, "one less a bit")
    given = mpc.bounded(enough[0] * enough[1], 1, "a product of bits")
    both = mpc.stack([totals[name] for name in SUMS])
    both = replace(both, frac=both.frac - rows_log2)  # S, contributed as S / N
    coarse = mpc.truncate(both, both.frac - SUMS_FRAC)
    kept = mpc.mul(replace(coarse, frac=0), given)
    kept = replace(kept, frac=SUMS_FRAC)
    return outputs | {name: kept[i] for i, name in enumerate(SUMS)} | {"sums_withheld": negation(mpc, given)}
