"""Sums that hospitals compute on encrypted coefficients, as everybody knows them beforehand; and the same in the clear.

What is public of them is a plan: how many, at which scales, in which batches they are converted. A dry run and the oracle of the
tests take the sums themselves from float64 (protocols/rowwise.py) and go the rest of the way as a conversion does, noise,
residues, wrap counts and all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from engine.analyses.base import EncryptedSums
from engine.analyses.one_shot import GAMMA_LIMIT
from native import sampling
from protocols.ckks.multiparty.rows import SumsPlan
from protocols.ckks.multiparty.unwrap import centred
from protocols.ckks.noise import NOISE_VARIANCE
from protocols.ckks.parameters import N32768
from protocols.engine import Declared, Engine, Secret
from protocols.prf import PrfStream
from protocols.rowwise import ClearRows, Weighted

PRESET = N32768
BOUND = 8 * GAMMA_LIMIT  # of a coefficient: 2 for the start, 1 for each step by the gradient, and roundings; a power of two
AT_ONCE = 128  # sums that are converted together: 64 ciphertexts of half a MiB, and several times that to convert them
MASKS = "sums in the clear, modulo q"


def plan_of(sums: EncryptedSums, rows_log2: int, hospitals: int) -> SumsPlan:
    return SumsPlan(PRESET, sums.numbers, rows_log2, hospitals)


def chunks(counts: Mapping[str, int]) -> list[tuple[str, slice]]:
    """(name, which of its sums), in the order in which they are converted."""
    found = []
    for name in sorted(counts):
        for start in range(0, counts[name], AT_ONCE):
            found.append((name, slice(start, min(start + AT_ONCE, counts[name]))))
    return found


def pairs(count: int) -> int:
    """How many ciphertexts hold so many sums, two in each."""
    return (count + 1) // 2


def converted(counts: Mapping[str, int]) -> int:
    """How many coefficients all these conversions publish."""
    return sum(2 * pairs(which.stop - which.start) for _, which in chunks(counts))


def within(mpc: Engine, numbers: Secret) -> Secret:
    """The numbers where all are within BOUND, compared over the whole ring, else zeros: what follows opens them masked."""
    limit = int(BOUND) << numbers.frac
    inside = mpc.in_range(replace(numbers, frac=0), limit)
    all_inside = 1 - mpc.less_than(mpc.sum(inside), inside.shape[0])
    kept = mpc.mul(numbers, all_inside, frac=numbers.frac)
    return mpc.bounded(kept, limit, "compared, or zero", checked=True)


def totals_in_clear(
    mpc: Engine, sums: EncryptedSums, plan: SumsPlan, hospitals: Sequence[Mapping[str, Weighted]]
) -> dict[str, Secret]:
    """By name, from float64 sums of every hospital, as conversions would bring them."""
    q, noise = plan.preset.primes[0], _Noise(plan)
    parts: dict[str, list[Secret]] = {name: [] for name in sums.counts}
    for name, which in chunks(sums.counts):
        count, room = which.stop - which.start, sums.rooms.get(name, 0)
        verbs = ClearRows(np.empty(0), plan.preset.slots)
        for weighted in hospitals:
            whole = np.zeros(2 * pairs(count))
            whole[:count] = np.rint(np.ldexp(verbs.sums(weighted[name], which), -plan.unit_log2(room)) + noise.take(count))
            whole = np.nan_to_num(whole, nan=q // 2)  # what overflows here is some residue there
            mpc.contribute({MASKS: np.mod(whole, q).astype(np.int64) % q})
        declared = (Declared(MASKS, (2 * pairs(count),), float(plan.hospitals * (q - 1)), frac=0),)
        masks = mpc.totals(declared)[MASKS]
        found = centred(mpc, np.zeros(2 * pairs(count), np.uint64), masks, q, plan.hospitals)
        parts[name].append(found[:count])
    return named(mpc, parts, plan, sums.rooms)


class _Noise:
    """What a hospital's converted sums are off by, of the deviation that ciphertexts would have; the same in every run."""

    def __init__(self, plan: SumsPlan) -> None:
        self._scale = plan.noise / math.sqrt(plan.hospitals * NOISE_VARIANCE)
        self._stream = PrfStream(bytes(16))

    def take(self, count: int) -> np.ndarray:
        key, first = self._stream.take(sampling.small_bytes(count))
        return self._scale * sampling.binomial42(key, first, count)


def named(mpc: Engine, parts: Mapping[str, Sequence[Secret]], plan: SumsPlan, rooms: Mapping[str, int]) -> dict[str, Secret]:
    """What was converted, in batches, as S / N by name."""
    return {name: replace(mpc.concat(each), frac=plan.frac(rooms.get(name, 0))) for name, each in parts.items()}
