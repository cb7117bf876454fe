"""Vectors of up to N/2 numbers as polynomials, and back.

Slot j is the value at a primitive 2N-th root of unity, taken to the power 5^j; multiplication and addition act slot by slot. A
real constant is a constant polynomial, exact but for its rounding.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from native import embedding, rns
from native.errors import KernelInputError
from native.rns import Basis
from protocols.ckks import noise
from protocols.ckks.ciphertext import TOO_LARGE, Plaintext, require_room
from protocols.ckks.context import Context, Words
from protocols.ckks.noise import Estimate
from protocols.errors import LevelExhausted, PlaintextOutOfRange

BEYOND = "a value is beyond the bound that its ciphertext declares: encode with a larger bound"
SPARE = 2.0**12  # of the modulus that a plaintext is read with: where all coefficients break the declared bound, it shows


def encode(
    context: Context, values: npt.ArrayLike, bound: float = 1.0, *, level: int | None = None, scale: float | None = None
) -> Plaintext:
    """values: real or complex, one axis of at most N/2 numbers, zeros after them; |value| <= bound, which is public.

    Level: the top one, scale: the preset's, unless given. Raises PlaintextOutOfRange: NaN, infinity, a value beyond the
    bound, a bound beyond the modulus.
    """
    at = checked_level(context, level)
    step, basis = context.preset.scale if scale is None else scale, context.levels[at]
    if not (0 < bound < math.inf and 0 < step < math.inf):
        raise PlaintextOutOfRange("the bound of a vector's values and the scale are positive numbers")
    estimate = Estimate(bound, noise.encoding(context.degree, step, bound))
    require_room(context, at, step, estimate)
    slots = _slots(context, values, bound)
    try:
        coefficients = embedding.encode(slots, step, basis)
    except KernelInputError:
        raise PlaintextOutOfRange(TOO_LARGE) from None
    return Plaintext(context, rns.forward(coefficients, basis), step, estimate)


def decode(plain: Plaintext) -> npt.NDArray[np.complex128]:
    """The values of all N/2 slots; each is off by at most plain.estimate.error.

    Raises PlaintextOutOfRange when a slot is beyond the declared bound: whoever encrypted it declared a smaller one.
    """
    context, estimate = plain.context, plain.estimate
    level = readable_level(context, plain.level, plain.scale, estimate)
    basis = context.levels[level]
    coefficients = rns.inverse(plain.polynomial[: level + 1].copy(), basis)
    try:
        values = embedding.decode(coefficients, plain.scale, basis)
    except KernelInputError:
        raise PlaintextOutOfRange(BEYOND) from None
    if not _within(values, (estimate.bound + estimate.error) * (1 + noise.FLOAT_ERROR)):
        raise PlaintextOutOfRange(BEYOND)
    return values


def readable_level(context: Context, level: int, scale: float, estimate: Estimate) -> int:
    """The lowest level whose modulus holds these values with SPARE to spare, or `level`."""
    return next((at for at in range(level) if context.fits(at, scale, estimate, SPARE)), level)


def checked_level(context: Context, level: int | None) -> int:
    if level is None:
        return context.top
    if not 0 <= level <= context.top:
        raise LevelExhausted(f"these parameters have the levels 0 to {context.top}")
    return level


def constant(value: int, basis: Basis) -> Words:
    """The constant polynomial of an integer, (limbs, N): its value at every root."""
    residues = np.array([value % p for p in basis.primes], np.uint64)
    return np.repeat(residues[:, None], basis.degree, axis=1)


def _slots(context: Context, values: npt.ArrayLike, bound: float) -> npt.NDArray[np.float64] | npt.NDArray[np.complex128]:
    """values as float64 or complex128, one for each slot, when they are within the bound."""
    array = np.asarray(values)
    if array.ndim != 1 or len(array) > context.slots or array.dtype.kind not in "biufc":
        raise PlaintextOutOfRange(f"values must be one axis of at most {context.slots} numbers")
    if not _within(array, bound):
        raise PlaintextOutOfRange("a value is NaN, infinite, or beyond the declared bound: clamp it, or declare a larger bound")
    if array.dtype.kind == "c":
        return np.concatenate([array, np.zeros(context.slots - len(array))]).astype(np.complex128)
    return np.concatenate([array, np.zeros(context.slots - len(array))]).astype(np.float64)


def _within(values: npt.NDArray[np.generic], bound: float) -> bool:
    """|value| <= bound everywhere; False where one is NaN."""
    if values.dtype.kind != "c":
        return bool((np.abs(values) <= bound).all())
    squares = np.square(values.real) + np.square(values.imag)
    return bool((squares <= bound * bound * (1 + noise.FLOAT_ERROR)).all())
