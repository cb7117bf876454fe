"""How large errors are: what every ciphertext carries about itself, and the formulas behind it.

Everything is in the canonical embedding, that is in slots. Errors here are sums of products of at most two independent
polynomials with small independent coefficients (noise times ephemeral secret, rounding times secret, digit times key noise); a
polynomial of N coefficients of variance v is close to a complex Gaussian of variance N v in each slot, and independent factors
multiply theirs. `deviation` is the root mean square of a slot's error over all this randomness, for the worst message within
its bound. Sums use Minkowski's inequality, sqrt E|x + y|^2 <= sqrt E|x|^2 + sqrt E|y|^2, which asks for no independence, so
operations on dependent ciphertexts (squares, powers) stay covered.

The stated error bound is TAIL deviations. For a Gaussian six would do, P(|e| > 6 d) = exp(-36); a product of two Gaussians has
the heavier tail P(|e| > t d) = 2 t K_1(2 t), 3 * 10^-5 for t = 6 and 2^-54 for t = 20. The worst cases, certain for every key
and every coin, are the functions `worst_...`.

Sources: canonical embedding and the scheme: Cheon, Kim, Kim, Song, ASIACRYPT 2017 (eprint 2016/421); full RNS: eprint 2018/931;
average-case analysis: Costache, Curtis, Hales, Murphy, Ogilvie, Player, eprint 2022/162; key switching: Han, Ki, eprint 2019/688.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from protocols.ckks.parameters import LEAST_PRIME_BITS, Preset

NOISE_VARIANCE = 42 / 4  # centred binomial over 42 coins: sigma = 3.24
NOISE_LARGEST = 21
TERNARY_VARIANCE = 2 / 3
ROUNDING_VARIANCE = 1 / 12
TAIL = 20.0

FLOAT_ERROR = 2.0**-46
"""Of the bound: the transforms in double precision, and the rounding of scales, which are floats."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """|value| <= bound in every slot, and the root mean square of a slot's error, both in the unit of the values.

    `bound` is public and declared; `holders` is how many ternary secrets the secret is the sum of.
    """

    bound: float
    deviation: float
    holders: int = 1

    @property
    def error(self) -> float:
        """What the error of a slot stays below but for a chance of 2^-54."""
        return TAIL * self.deviation

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.bound + other.bound, self.deviation + other.deviation, max(self.holders, other.holders))

    def __mul__(self, other: Estimate) -> Estimate:
        """(m + e)(m' + e') = m m' + m e' + m' e + e e'; E|e e'|^2 <= 2 E|e|^2 E|e'|^2 for complex Gaussians, even equal ones."""
        cross = math.sqrt(2) * self.deviation * other.deviation
        deviation = self.bound * other.deviation + other.bound * self.deviation + cross
        return Estimate(self.bound * other.bound, deviation, max(self.holders, other.holders))

    def scaled(self, factor: float) -> Estimate:
        """Of the values times a public factor."""
        return Estimate(abs(factor) * self.bound, abs(factor) * self.deviation, self.holders)

    def noisier(self, deviation: float) -> Estimate:
        return Estimate(self.bound, self.deviation + deviation, self.holders)

    def of(self, holders: int) -> Estimate:
        """The same under a secret that is a sum of so many: a plaintext's has none of its own."""
        return Estimate(self.bound, self.deviation, holders)


def encoding(degree: int, scale: float, bound: float) -> float:
    """N coefficients rounded to integers: sqrt(N / 12) / scale."""
    return math.sqrt(degree * ROUNDING_VARIANCE) / scale + FLOAT_ERROR * bound


@lru_cache(maxsize=1024)
def fresh_secret(degree: int, scale: float) -> float:
    """e: sqrt(N sigma^2) / scale."""
    return math.sqrt(degree * NOISE_VARIANCE) / scale


@lru_cache(maxsize=1024)
def fresh_public(degree: int, scale: float, holders: int = 1) -> float:
    """u e_pk + e_0 + s e_1, e_pk and s sums over the holders, divided by p > 2^30; and the rounding."""
    divided = math.sqrt(degree * NOISE_VARIANCE * (1 + 2 * holders * degree * TERNARY_VARIANCE)) / 2.0**LEAST_PRIME_BITS
    return divided / scale + rounding(degree, scale, holders)


@lru_cache(maxsize=1024)
def rounding(degree: int, scale: float, holders: int = 1) -> float:
    """r_0 + r_1 s after a division of both polynomials, scale the one after it: sqrt(N / 12 (1 + h N 2/3)) / scale."""
    return math.sqrt(degree * ROUNDING_VARIANCE * (1 + holders * degree * TERNARY_VARIANCE)) / scale


@lru_cache(maxsize=1024)
def switching(preset: Preset, level: int, scale: float, key_variance: float) -> float:
    """sum over the digits of d e_d / P, |d| <= Q_d / 2, scale the one before a rescale: N sqrt(sum Q_d^2 v / 12) / (P scale)."""
    squares = 0.0
    for start in range(0, level + 1, preset.digit):
        squares += (math.prod(preset.primes[start : min(start + preset.digit, level + 1)]) / preset.special_modulus) ** 2
    return preset.degree * math.sqrt(squares * ROUNDING_VARIANCE * key_variance) / scale


def worst_fresh_secret(degree: int, scale: float) -> float:
    return degree * NOISE_LARGEST / scale


def worst_fresh_public(degree: int, scale: float, holders: int = 1) -> float:
    """|u(z) e_pk(z)| <= N 21 h N, and so for s e_1; divided by p > 2^30, and the rounding."""
    return degree * NOISE_LARGEST * (2 * holders * degree + 1) / 2.0**LEAST_PRIME_BITS / scale + worst_rounding(
        degree, scale, holders
    )


def worst_rounding(degree: int, scale: float, holders: int = 1) -> float:
    return degree / 2 * (1 + holders * degree) / scale


def worst_switching(preset: Preset, level: int, scale: float, holders: int = 1) -> float:
    total = 0.0
    for start in range(0, level + 1, preset.digit):
        total += math.prod(preset.primes[start : min(start + preset.digit, level + 1)]) / preset.special_modulus
    return total / 2 * preset.degree**2 * NOISE_LARGEST * holders / scale
