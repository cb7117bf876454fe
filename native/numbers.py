"""Between numbers and ring elements: float64 at fractional bits, and Python's integers."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from native._arrays import Words, checked, checked_int, checked_limbs, checked_ring, contiguous, pointer
from native._load import lib
from native.errors import KernelInputError


def _frac(frac: int, limbs: int) -> int:
    return checked_int(frac, 0, 64 * limbs - 1, "frac")


def encode(x: npt.NDArray[np.float64], frac: int, limbs: int) -> Words:
    """round(x·2^frac), half to even, in two's complement: float64 (...) -> (..., limbs). Exact where x·2^frac is an integer.

    0 <= frac < 64·limbs. Raises KernelInputError when some x is NaN, infinite or |x·2^frac| >= 2^(64·limbs − 1).
    """
    source = contiguous(checked(np.asarray(x), np.float64, "x"))
    out = np.empty((*source.shape, checked_limbs(limbs)), np.uint64)
    if lib.fixed_encode(pointer(out), pointer(source, "double *"), source.size, _frac(frac, limbs), limbs):
        raise KernelInputError(f"a number is NaN, infinite, or too large for {limbs} limbs with {frac} fractional bits")
    return out


def decode(a: Words, frac: int) -> npt.NDArray[np.float64]:
    """The float64 nearest to a / 2^frac, half to even, with a read as signed: (..., L) -> (...). 0 <= frac < 64 L."""
    source = contiguous(checked_ring(a))
    limbs = source.shape[-1]
    out = np.empty(source.shape[:-1], np.float64)
    lib.fixed_decode(pointer(out, "double *"), pointer(source), out.size, _frac(frac, limbs), limbs)
    return out


def from_ints(values: Any, limbs: int) -> Words:
    """Integers modulo 2^(64·limbs): (...) -> (..., limbs).

    values: Python integers alone, in nested lists or in an object array; or an array of an integer dtype.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "bui":
        return _from_machine_ints(values, checked_limbs(limbs))
    numbers = np.asarray(values, dtype=object)
    modulus_mask = (1 << 64 * checked_limbs(limbs)) - 1
    out = np.empty((*numbers.shape, limbs), np.uint64)
    try:
        raw = b"".join((operator.index(v) & modulus_mask).to_bytes(8 * limbs, "little") for v in numbers.flat)
    except TypeError:
        raise KernelInputError("from_ints takes integers only") from None
    out.ravel().view(np.uint8)[:] = np.frombuffer(raw, np.uint8) if raw else 0
    return out


def _from_machine_ints(values: np.ndarray, limbs: int) -> Words:
    """The low limb is the number modulo 2^64; the others repeat its sign."""
    out = np.empty((*values.shape, limbs), np.uint64)
    out[..., 0] = values.astype(np.uint64)
    out[..., 1:] = np.where(values < 0, np.uint64(2**64 - 1), np.uint64(0))[..., np.newaxis]
    return out


def to_ints(a: Words, signed: bool = True) -> npt.NDArray[np.object_]:
    """Python integers: (..., L) -> object array (...), in [−2^(64 L − 1), 2^(64 L − 1)) when signed, else in [0, 2^(64 L))."""
    source = contiguous(checked_ring(a))
    size = 8 * source.shape[-1]
    raw = source.tobytes()
    out = np.empty(source.shape[:-1], dtype=object)
    out.ravel()[:] = [int.from_bytes(raw[i : i + size], "little", signed=signed) for i in range(0, len(raw), size)]
    return out
