"""A hospital's own columns times encrypted coefficients: protocols/rowwise.py on ciphertexts.

Column packing: a block of N/2 rows is one ciphertext, and a linear predictor is a sum of plaintext columns times ciphertexts that
hold one coefficient in every slot: no rotation. Functions are Chebyshev series. A sum over rows is the constant coefficient
of a product with a column, and a second column, times i, has its sum in the coefficient of X^(N/2): one ciphertext for two sums.
Products of all blocks are added up before they are rescaled once.
Levels: a linear predictor takes 1, series of degree below 64 take 6, a variance 1, a sum 1, and level 0 is converted.
Leaks: what `sums` returns holds the hospital's columns in a form that one division reads; it leaves the hospital only through
`to_shares`, which adds encryptions of zero first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from native import rns
from protocols.ckks.arithmetic import add_constant, drop_to, negate, rescaled, scale_for
from protocols.ckks.ciphertext import Ciphertext
from protocols.ckks.encoder import encode
from protocols.ckks.multiparty.keys import JointKeys
from protocols.ckks.noise import TAIL, Estimate, rounding
from protocols.ckks.parameters import Preset
from protocols.ckks.polynomial import evaluate_many
from protocols.ckks.products import multiply
from protocols.rowwise import Series, Weighted

LEVELS = 9  # of the coefficients: a linear predictor 1, series 6, a product of them 1, a sum 1
AT_ONCE = 16  # ciphertexts of sums that are computed together: 1 MiB each, and half of it when rescaled
MEAN_TAIL = 2.0
"""Deviations of a slot's error that the mean of all slots' stays below. It is at most the root of their mean square, and that of
2^14 slots differs from its expectation by a hundredth: products of two Gaussians have E|e|^4 = 4 (E|e|^2)^2."""
NUMBERS_FRAC = 44  # of the coefficients: their noise then matches that of the columns' rounding


@dataclass(frozen=True)
class SumsPlan:
    """What is public of such an evaluation: sizes and scales. `rows_log2`: all hospitals together have at most 2^rows_log2."""

    preset: Preset
    numbers: int
    rows_log2: int
    hospitals: int

    @property
    def level(self) -> int:
        """Of the coefficients."""
        return LEVELS

    def scale_bits(self, room_log2: int = 0) -> int:
        """log2 of the scale at which sums, as means over N/2 slots, are converted: as large as q_0 has room for."""
        most = (1 << self.rows_log2) // self.preset.slots + self.hospitals  # of full slots, all blocks added up
        return self.preset.primes[0].bit_length() - 3 - most.bit_length() - room_log2

    def unit_log2(self, room_log2: int = 0) -> int:
        """A sum over rows is what is converted times 2^unit_log2."""
        return self.preset.slots.bit_length() - 1 - self.scale_bits(room_log2)

    @property
    def noise(self) -> float:
        """The deviation of what is converted, in its units: every hospital's sum was rescaled and has an encryption of zero."""
        degree = self.preset.degree
        return math.sqrt(2 * self.hospitals / degree) * rounding(degree, 1.0, self.hospitals)

    def frac(self, room_log2: int = 0) -> int:
        """Fractional bits at which what is converted is the mean S / 2^rows_log2."""
        return self.rows_log2 - self.unit_log2(room_log2)


class EncryptedRows:
    """The verbs of RowWise for one hospital, on `numbers` as `spread` makes them."""

    def __init__(self, plan: SumsPlan, keys: JointKeys, numbers: Sequence[Ciphertext]) -> None:
        self.plan, self.keys, self.numbers = plan, keys, numbers
        self.context, self.block = keys.context, plan.preset.slots

    def combine(self, columns: np.ndarray, limit: float) -> Ciphertext:
        first, context = self.numbers[0], self.context
        scale, basis = scale_for(first, context.preset.scale), context.levels[first.level]
        out, deviation = np.zeros((2, len(basis), context.degree), np.uint64), 0.0
        for column, number in zip(columns, self.numbers, strict=True):
            plain = encode(context, column / limit, 1.0 / limit, level=first.level, scale=scale)
            rns.mul_add(out, number.polynomials, plain.polynomial, basis)
            deviation += (number.estimate * plain.estimate).deviation
        return rescaled(out, first, first.scale * scale, Estimate(1.0, deviation, first.estimate.holders))

    def series(self, x: Ciphertext, many: Sequence[Series]) -> list[Ciphertext]:
        return evaluate_many(x, many, self.keys.relinearisation)

    def square(self, x: Ciphertext) -> Ciphertext:
        return multiply(x, x, self.keys.relinearisation)

    def variance(self, p: Ciphertext) -> Ciphertext:
        product = multiply(p, add_constant(negate(p), 1.0), self.keys.relinearisation)
        return replace(product, estimate=replace(product.estimate, bound=0.25))

    def kept(self, factor: Ciphertext) -> Ciphertext:
        lower = drop_to(factor, 1)
        return replace(lower, polynomials=np.ascontiguousarray(lower.polynomials))

    def sums(self, weighted: Weighted, which: slice, room_log2: int = 0) -> list[Ciphertext]:
        """Two in each ciphertext, as `complex` conversions read them; at level 0 and the plan's scale, not yet safe to send."""
        chosen, step = range(weighted.count)[which], 2 * AT_ONCE
        parts = [slice(start, min(start + step, chosen.stop)) for start in range(chosen.start, chosen.stop, step)]
        return [each for part in parts for each in self._sums(weighted, part, room_log2)]

    def _sums(self, weighted: Weighted, which: slice, room_log2: int) -> list[Ciphertext]:
        context, basis = self.context, self.context.levels[1]
        factors: Sequence[Ciphertext] = weighted.factors
        out = np.zeros(((which.stop - which.start + 1) // 2, 2, len(basis), context.degree), np.uint64)
        wanted, deviation = 2.0 ** self.plan.scale_bits(room_log2), 0.0
        for block, factor in enumerate(factors):
            scale = scale_for(factor, wanted)
            for place, column in zip(out, _paired(weighted.columns(block, which)), strict=True):
                plain = encode(context, column, math.sqrt(2), level=1, scale=scale)
                rns.mul_add(place, factor.polynomials, plain.polynomial, basis)
            deviation += (factor.estimate * plain.estimate).deviation
        like, most = factors[0], len(factors) * 2.0**room_log2
        # an error as it is stated is far above what it is, and squares state too much for their room long before they have it
        deviation = 0.0 if weighted.overflow_shows else deviation * MEAN_TAIL / TAIL
        estimate = Estimate(most, deviation, like.estimate.holders)
        after = wanted * context.preset.primes[1]
        return [replace(rescaled(each, like, after, estimate), scale=wanted) for each in out]


def _paired(columns: np.ndarray) -> np.ndarray:
    """Columns (n, rows) as real and imaginary parts, complex128 ((n + 1) / 2, rows)."""
    out = np.zeros(((len(columns) + 1) // 2, columns.shape[1]), np.complex128)
    out.real = columns[0::2]
    out.imag[: len(columns) // 2] = columns[1::2]
    return out
