"""Truncation under a mask, and from two addends (protocols/replicated/split.py)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from native._arrays import Words, checked, checked_int, checked_limbs, checked_ring, contiguous, pointer, same_limbs, views
from native._load import lib
from native.errors import KernelInputError
from native.ring import on_each


def truncation_mask(raw: Words) -> Words:
    """A component r_i of a truncation mask, uniform in [0, 2^(64 L − 2)): uniform ring elements with the top two bits cleared."""
    return on_each(lib.truncation_mask, raw)


def truncation_message(z: Words, masks: Iterable[Words], offset_bits: int | None = None) -> Words:
    """z + Σ masks, plus 2^offset_bits unless that is None: a component of the masked value that will be opened.

    At most three masks; 0 <= offset_bits < 64 L. The one party that adds the offset passes offset_bits.
    """
    operands = [z, *masks]
    if len(operands) > 4:
        raise KernelInputError("a truncation message takes at most three masks")
    limbs = same_limbs(*(checked_ring(a) for a in operands))
    power = -1 if offset_bits is None else checked_int(offset_bits, 0, 64 * limbs - 1, "offset_bits")
    out, cells, outer, inner, _alive = views(*operands)
    lib.ring_sum(pointer(out), cells, len(operands), power, outer, inner, limbs)
    return out


def truncation_finish(opened: Words, frac: int, offset_bits: int) -> Words:
    """⌊opened / 2^frac⌋ − 2^(offset_bits − frac) with opened read as unsigned; 0 <= frac <= offset_bits < 64 L.

    Holders of r_i subtract shift_right(r_i, frac) from it.
    """
    power = checked_int(offset_bits, 0, 64 * checked_ring(opened).shape[-1] - 1, "offset_bits")
    return on_each(lib.truncation_finish, opened, checked_int(frac, 0, power, "frac"), power)


def _split_words(known: Words, drop: int, limbs: int) -> tuple[Words, int]:
    """(known, contiguous; W = ⌈drop / 64⌉), once drop and the two rings fit each other."""
    source = contiguous(checked_ring(known))
    checked_int(drop, 1, 64 * checked_limbs(limbs) - 3, "drop")
    if source.shape[-1] != limbs and (source.shape[-1], limbs, drop) != (2, 4, 128):
        raise KernelInputError("a truncation keeps its ring; from 2 to 4 limbs it is one by 128 bits")
    return source, -(-drop // 64)


def _split_operand(a: Words, shape: tuple[int, ...], name: str) -> Words:
    if checked(a, np.uint64, name).shape != shape:
        raise KernelInputError(f"{name} must have shape {shape}, not {a.shape}")
    return contiguous(a)


def split_private(a: Words, s: Words, c0t1: Words, c1t2: Words, drop: int) -> tuple[Words, Words]:
    """Party 0's part: a (..., L), s (..., L'), c0t1 and c1t2 (2, ..., W), W = ⌈drop / 64⌉, one for c and one for t.

    L' is L, or 4 for L = 2 and drop = 128, where a stands for 2^128·a. With a' = a + 2^(K − 3) − 1 modulo 2^K, K = 64 L', and A
    its top bit, the results are
        y = ⌊a' / 2^drop⌋ + 1 − 2^(K − 3 − drop) − s + 2^(K − drop)·(c0 + c1), a' read as signed, and after it A + t1, in one
    flat array of n·(L' + W) words, and A + t2, (..., W). 0 < drop <= K − 3.
    """
    limbs = int(checked_ring(s, "s").shape[-1])
    source, words = _split_words(a, drop, limbs)
    shape = source.shape[:-1]
    share = _split_operand(s, (*shape, limbs), "s")
    first, second = (_split_operand(ct, (2, *shape, words), "c and t") for ct in (c0t1, c1t2))
    n = share.size // limbs
    message, e2 = np.empty(n * (limbs + words), np.uint64), np.empty((*shape, words), np.uint64)
    y, e1 = message[: n * limbs], message[n * limbs :]
    operands = [pointer(array) for array in (y, e1, e2, source, share, first, second)]
    lib.split_private(*operands, n, drop, source.shape[-1], limbs)
    return message, e2


def split_help(b: Words, ct: Words, drop: int, limbs: int) -> Words:
    """B·t + c, (..., W): b (..., L) with top bit B, ct (2, ..., W), drop and limbs = L' as in split_private."""
    source, words = _split_words(b, drop, limbs)
    shape = source.shape[:-1]
    pair = _split_operand(ct, (2, *shape, words), "c and t")
    h = np.empty((*shape, words), np.uint64)
    lib.split_help(pointer(h), pointer(source), pointer(pair), source.size // source.shape[-1], drop, source.shape[-1], limbs)
    return h


def split_common(b: Words, e: Words, h: Words, c: Words, drop: int, limbs: int) -> Words:
    """⌊b / 2^drop⌋ + 2^(64 L' − drop)·(B·e − h − c), (..., L'), b (..., L) read as signed, B its top bit; e, h, c (..., W)."""
    source, words = _split_words(b, drop, limbs)
    shape = source.shape[:-1]
    operands = [_split_operand(v, (*shape, words), name) for v, name in ((e, "e"), (h, "h"), (c, "c"))]
    y = np.empty((*shape, limbs), np.uint64)
    n = source.size // source.shape[-1]
    lib.split_common(pointer(y), pointer(source), *(pointer(v) for v in operands), n, drop, source.shape[-1], limbs)
    return y
