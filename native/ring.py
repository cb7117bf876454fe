"""Ring elements: sums, products, shifts, and from one ring to the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from native._arrays import Words, checked_int, checked_limbs, checked_ring, contiguous, pointer, same_limbs, views
from native._load import ffi, lib
from native.errors import KernelInputError


def _elementwise(kernel: Any, *operands: Words) -> Words:
    limbs = same_limbs(*(checked_ring(a) for a in operands))
    out, cells, outer, inner, _alive = views(*operands)
    kernel(pointer(out), cells, outer, inner, limbs)
    return out


def add(a: Words, b: Words) -> Words:
    """a + b, leading axes broadcast."""
    return _elementwise(lib.ring_add, a, b)


def sub(a: Words, b: Words) -> Words:
    """a − b, leading axes broadcast."""
    return _elementwise(lib.ring_sub, a, b)


def neg(a: Words) -> Words:
    """−a."""
    return _elementwise(lib.ring_neg, a)


def mul(a: Words, b: Words) -> Words:
    """a·b, elementwise, leading axes broadcast."""
    return _elementwise(lib.ring_mul, a, b)


def mul_shares(x0: Words, x1: Words, y0: Words, y1: Words) -> Words:
    """x0·y0 + x0·y1 + x1·y0, elementwise: the local part of a replicated product (Araki et al. 2016)."""
    return _elementwise(lib.ring_mul_shares, x0, x1, y0, y1)


def combine(terms: Sequence[Words], table: Words, start: Words) -> Words:
    """start + table @ terms: terms of one shape (..., L), table (rows, len(terms), L), start (rows, L) -> (rows, ..., L)."""
    sources = [contiguous(checked_ring(a)) for a in terms]
    limbs = same_limbs(*sources, checked_ring(table, "table", 2), checked_ring(start, "start", 1))
    shape, rows, count = sources[0].shape, start.shape[0], len(sources)
    if any(a.shape != shape for a in sources) or table.shape != (rows, count, limbs) or start.shape != (rows, limbs):
        raise KernelInputError("a combination takes terms of one shape, and a table of one row for each start")
    factors, first = contiguous(table), contiguous(start)
    out = np.empty((rows, *shape), np.uint64)
    pointers = [pointer(a) for a in sources]
    cells = ffi.new("uint64_t *[]", pointers)
    lib.ring_combine(pointer(out), cells, count, pointer(factors), pointer(first), rows, sources[0].size // limbs, limbs)
    return out


def on_each(kernel: Any, a: Words, *arguments: int) -> Words:
    """kernel on every element of a contiguous a."""
    source = contiguous(checked_ring(a))
    out = np.empty_like(source)
    kernel(pointer(out), pointer(source), source.size // source.shape[-1], *arguments, source.shape[-1])
    return out


def _bits(a: Words, bits: int) -> int:
    return checked_int(bits, 0, 64 * checked_ring(a).shape[-1] - 1, "bits")


def shift_left(a: Words, bits: int) -> Words:
    """a·2^bits; 0 <= bits < 64 L."""
    return on_each(lib.ring_shift_left, a, _bits(a, bits))


def shift_right(a: Words, bits: int) -> Words:
    """⌊a / 2^bits⌋ with a read as unsigned; 0 <= bits < 64 L."""
    return on_each(lib.ring_shift_right, a, _bits(a, bits))


def shift_right_signed(a: Words, bits: int) -> Words:
    """⌊a / 2^bits⌋ with a read as signed; 0 <= bits < 64 L."""
    return on_each(lib.ring_shift_right_signed, a, _bits(a, bits))


def widen(a: Words, limbs: int = 4, *, signed: bool = False) -> Words:
    """Z_2^128 -> Z_2^256: (..., 2) -> (..., 4), the same integer, a read as unsigned unless signed is true."""
    source = contiguous(checked_ring(a))
    if source.shape[-1] != 2 or limbs != 4:
        raise KernelInputError(f"widen makes 4 limbs of 2, not {limbs!r} of {source.shape[-1]}")
    out = np.empty((*source.shape[:-1], 4), np.uint64)
    lib.ring_widen(pointer(out), pointer(source), source.size // 2, int(bool(signed)))
    return out


def narrow(a: Words, limbs: int = 2) -> Words:
    """a modulo 2^(64 limbs): (..., L) -> (..., limbs) with limbs <= L."""
    if checked_limbs(limbs) > checked_ring(a).shape[-1]:
        raise KernelInputError(f"narrow cannot make {limbs} limbs of {a.shape[-1]}")
    return a[..., :limbs].copy()
