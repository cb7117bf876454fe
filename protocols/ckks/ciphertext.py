"""Plaintexts and ciphertexts: immutable, and each knows its parameters, scale, key, and how far off it may be.

A ciphertext (c_0, c_1) holds the polynomial c_0 + c_1 s = scale * m + e modulo q_0 ... q_level; of degree 2 it has a c_2 for
s^2. It is not made when its value, declared bound and error together, could leave [-Q/2, Q/2): an overflow is an error before
it happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from protocols.ckks.context import Context, Words
from protocols.ckks.noise import Estimate
from protocols.errors import KeyMismatch, LevelExhausted, MisuseError, PlaintextOutOfRange, ScaleMismatch

SAME_SCALE = 2.0**-48
"""Two scales are one when they differ by less than this share: they are floats, some roundings apart. Errors cover it."""


TOO_LARGE = "these values at this scale exceed the modulus: lower the scale or the bound, or raise the level"


@dataclass(frozen=True, eq=False, repr=False)
class Plaintext:
    """scale times the slots' values as a polynomial, (limbs, N). Raises PlaintextOutOfRange when they do not fit the level."""

    context: Context
    polynomial: Words
    scale: float
    estimate: Estimate

    def __post_init__(self) -> None:
        self.polynomial.setflags(write=False)
        require_room(self.context, self.level, self.scale, self.estimate)

    @property
    def level(self) -> int:
        return len(self.polynomial) - 1

    def __repr__(self) -> str:
        return f"<plaintext at level {self.level}, scale 2^{math.log2(self.scale):.3f}>"


@dataclass(frozen=True, eq=False, repr=False)
class Ciphertext:
    """Polynomials (2 or 3, limbs, N) under the key `key_id`; `seed` is there where the second one is its expansion.

    Raises LevelExhausted when the value does not fit the modulus of its level.
    """

    context: Context
    polynomials: Words
    scale: float
    key_id: bytes
    estimate: Estimate
    seed: bytes | None = None

    def __post_init__(self) -> None:
        self.polynomials.setflags(write=False)
        if not self.context.fits(self.level, self.scale, self.estimate):
            raise LevelExhausted(
                "the value has outgrown the modulus at its level: start at a higher level or with a smaller bound"
            )

    @property
    def level(self) -> int:
        limbs: int = self.polynomials.shape[1]
        return limbs - 1

    @property
    def degree(self) -> int:
        """1, or 2 for a product that is not relinearised yet."""
        return len(self.polynomials) - 1

    def __repr__(self) -> str:
        return f"<ciphertext at level {self.level}, scale 2^{math.log2(self.scale):.3f}, degree {self.degree}>"


def require_room(context: Context, level: int, scale: float, estimate: Estimate) -> None:
    if not context.fits(level, scale, estimate):
        raise PlaintextOutOfRange(TOO_LARGE)


def same_scale(a: float, b: float) -> bool:
    return abs(a - b) <= SAME_SCALE * a


def require_same_scale(a: float, b: float) -> None:
    if not same_scale(a, b):
        raise ScaleMismatch("the terms have different scales: encode, rescale or multiply one of them to the other's scale")


def require_same_context(a: Context, b: Context) -> None:
    if a is not b and a.id != b.id:
        raise KeyMismatch("these belong to different parameters: use keys and ciphertexts of one preset")


def require_same_key(a: Ciphertext, b: Ciphertext) -> None:
    require_same_context(a.context, b.context)
    if a.key_id != b.key_id:
        raise KeyMismatch("two ciphertexts are under different keys: encrypt both under one")


def require_degree_1(a: Ciphertext) -> None:
    if a.degree != 1:
        raise MisuseError("a product must be relinearised before this operation")


def require_level(a: Ciphertext) -> None:
    """One level is left to be spent."""
    if a.level == 0:
        raise LevelExhausted("no level is left for this product: encrypt at a higher level, or use fewer products")
