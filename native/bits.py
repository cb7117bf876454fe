"""Bits of ring elements, packed 64 to a word."""

from __future__ import annotations

import numpy as np

from native._arrays import Words, broadcast_shape, checked, checked_int, checked_limbs, checked_ring, contiguous, pointer
from native._load import lib
from native.errors import KernelInputError


def _packed_words(n: int) -> int:
    return (n + 63) // 64


def to_bitplanes(a: Words, k: int) -> Words:
    """(n, L) -> (k, ⌈n/64⌉): row j holds bit j of every element, element i in word i // 64, bit i % 64; spare bits are zero.

    0 <= k <= 64 L.
    """
    source = contiguous(checked_ring(a, "elements", 1))
    if source.ndim != 2:
        raise KernelInputError(f"elements must have shape (n, L), not {source.shape}")
    n, limbs = source.shape
    planes = checked_int(k, 0, 64 * limbs, "k")
    out = np.empty((planes, _packed_words(n)), np.uint64)
    lib.bits_to_planes(pointer(out), pointer(source), n, planes, limbs)
    return out


def from_bitplanes(planes: Words, n: int, limbs: int) -> Words:
    """The inverse of to_bitplanes: (k, ⌈n/64⌉) -> (n, limbs); bits from k on are zero, spare bits are ignored. k <= 64·limbs."""
    source = contiguous(checked(planes, np.uint64, "planes"))
    count = checked_int(n, 0, 1 << 48, "n")
    if source.ndim != 2 or source.shape[0] > 64 * checked_limbs(limbs) or source.shape[1] != _packed_words(count):
        raise KernelInputError(f"planes must have shape (k <= {64 * limbs}, {_packed_words(count)}), not {source.shape}")
    out = np.empty((count, limbs), np.uint64)
    lib.bits_from_planes(pointer(out), pointer(source), count, source.shape[0], limbs)
    return out


def bits_to_ring(words: Words, n: int, limbs: int) -> Words:
    """Packed bits to ring elements 0 and 1: (⌈n/64⌉,) -> (n, limbs). Spare bits are ignored."""
    source = contiguous(checked(words, np.uint64, "words"))
    count = checked_int(n, 0, 1 << 48, "n")
    if source.shape != (_packed_words(count),):
        raise KernelInputError(f"words must have shape ({_packed_words(count)},), not {source.shape}")
    out = np.empty((count, checked_limbs(limbs)), np.uint64)
    lib.bits_to_ring(pointer(out), pointer(source), count, limbs)
    return out


def and_shares(x0: Words, x1: Words, y0: Words, y1: Words) -> Words:
    """(x0 & y0) ^ (x0 & y1) ^ (x1 & y0) on packed bits, uint64 of any shape, broadcast: the local part of a replicated AND."""
    operands = [checked(a, np.uint64, "operand") for a in (x0, x1, y0, y1)]
    shape = broadcast_shape(*(a.shape for a in operands))
    sources = [contiguous(np.broadcast_to(a, shape)) for a in operands]
    out = np.empty(shape, np.uint64)
    lib.bits_and_shares(pointer(out), *(pointer(a) for a in sources), out.size)
    return out
