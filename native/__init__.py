"""The C kernels as typed NumPy calls.

A ring element is a row of L little-endian uint64 limbs, the last axis of an array: L = 2 is Z_2^128, L = 4 is Z_2^256. All
arithmetic is modulo 2^(64 L). Inputs may be non-contiguous; results are new, contiguous arrays. A wrong dtype, shape or
range raises KernelInputError, whose text never holds a value of an array. Kernels release the GIL and do not branch on
the values. When the C extension is missing, importing works and the first use of a kernel raises KernelsNotBuilt.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from native._arrays import (
    Bytes,
    Words,
    broadcast_shape,
    checked,
    checked_int,
    checked_limbs,
    checked_ring,
    contiguous,
    matrix,
    pointer,
    same_limbs,
    views,
)
from native._load import ffi, isa, isas, lib
from native.errors import KernelInputError, KernelsNotBuilt

__all__ = [
    "KernelInputError",
    "KernelsNotBuilt",
    "add",
    "add_streams",
    "aes_ctr",
    "aes_ecb",
    "and_shares",
    "bits_to_ring",
    "combine",
    "decode",
    "encode",
    "from_bitplanes",
    "from_ints",
    "gram",
    "gram_shares",
    "isa",
    "isas",
    "matmul",
    "matmul_shares",
    "mul",
    "mul_shares",
    "narrow",
    "neg",
    "row_names",
    "row_set_add",
    "shift_left",
    "shift_right",
    "shift_right_signed",
    "split_common",
    "split_help",
    "split_private",
    "sub",
    "to_bitplanes",
    "to_ints",
    "truncation_finish",
    "truncation_mask",
    "truncation_message",
    "widen",
]

# ---- elementwise ----------------------------------------------------------------------------------------------------------


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


# ---- matrices -------------------------------------------------------------------------------------------------------------


def _matmul_add(out: Words, a: Words, b: Words) -> None:
    """out += a @ b."""
    batch, (m, n) = out.shape[:-3], out.shape[-3:-1]
    left, _left = matrix(a, batch)
    right, _right = matrix(b, batch)
    count = int(np.prod(batch, dtype=np.int64))
    lib.ring_matmul(pointer(out), left, right, count, m, a.shape[-2], n, out.shape[-1])


def _matmul_zeros(a: Words, b: Words) -> Words:
    """The zero array that a @ b will be added to."""
    limbs = same_limbs(checked_ring(a, "left matrix", 2), checked_ring(b, "right matrix", 2))
    if a.shape[-2] != b.shape[-3]:
        raise KernelInputError(f"inner sizes differ: {a.shape} @ {b.shape}")
    batch = broadcast_shape(a.shape[:-3], b.shape[:-3])
    return np.zeros((*batch, a.shape[-3], b.shape[-2], limbs), np.uint64)


def matmul(a: Words, b: Words) -> Words:
    """a @ b: (..., m, k, L) @ (..., k, n, L) -> (..., m, n, L), leading axes broadcast."""
    out = _matmul_zeros(a, b)
    _matmul_add(out, a, b)
    return out


def matmul_shares(x0: Words, x1: Words, y0: Words, y1: Words) -> Words:
    """x0 @ y0 + x0 @ y1 + x1 @ y0, shapes as matmul: the local part of a replicated matrix product."""
    _same_shape(x0, x1)
    _same_shape(y0, y1)
    out = _matmul_zeros(x0, y0)
    _matmul_add(out, x0, add(y0, y1))
    _matmul_add(out, x1, y0)
    return out


def _same_shape(a: Words, b: Words) -> None:
    if checked_ring(a).shape != checked_ring(b).shape:
        raise KernelInputError(f"the two components of a share differ in shape: {a.shape} and {b.shape}")


def _gram_add(upper: Words, x: Words) -> None:
    """upper += x^T x, on and above the diagonal only."""
    cell, _alive = matrix(x)
    lib.ring_gram(pointer(upper), cell, x.shape[0], x.shape[1], x.shape[2])


def _mirrored(upper: Words) -> Words:
    rows, columns = np.tril_indices(upper.shape[0], -1)
    upper[rows, columns] = upper[columns, rows]
    return upper


def _checked_rows(x: Words) -> Words:
    if checked_ring(x, "rows", 2).ndim != 3:
        raise KernelInputError(f"rows must have shape (n, d, L), not {x.shape}")
    return x


def gram(x: Words) -> Words:
    """x^T x: (n, d, L) -> (d, d, L). Computes one triangle."""
    _, d, limbs = _checked_rows(x).shape
    upper = np.zeros((d, d, limbs), np.uint64)
    _gram_add(upper, x)
    return _mirrored(upper)


GRAM_BLOCK = 4096  # rows of x0 + x1 that gram_shares holds at a time


def gram_shares(x0: Words, x1: Words) -> Words:
    """x0^T x0 + x0^T x1 + x1^T x0: (n, d, L) twice -> (d, d, L): the local part of the Gram matrix of shared rows.

    Computed as (x0 + x1)^T (x0 + x1) − x1^T x1, two symmetric products.
    """
    _same_shape(_checked_rows(x0), x1)
    n, d, limbs = x0.shape
    both, second = np.zeros((2, d, d, limbs), np.uint64)
    for start in range(0, n, GRAM_BLOCK):
        block0, block1 = x0[start : start + GRAM_BLOCK], x1[start : start + GRAM_BLOCK]
        _gram_add(both, add(block0, block1))
        _gram_add(second, block1)
    return _mirrored(sub(both, second))


# ---- shifts and truncation ------------------------------------------------------------------------------------------------


def _each(kernel: Any, a: Words, *arguments: int) -> Words:
    """kernel on every element of a contiguous a."""
    source = contiguous(checked_ring(a))
    out = np.empty_like(source)
    kernel(pointer(out), pointer(source), source.size // source.shape[-1], *arguments, source.shape[-1])
    return out


def _bits(a: Words, bits: int) -> int:
    return checked_int(bits, 0, 64 * checked_ring(a).shape[-1] - 1, "bits")


def shift_left(a: Words, bits: int) -> Words:
    """a·2^bits; 0 <= bits < 64 L."""
    return _each(lib.ring_shift_left, a, _bits(a, bits))


def shift_right(a: Words, bits: int) -> Words:
    """⌊a / 2^bits⌋ with a read as unsigned; 0 <= bits < 64 L."""
    return _each(lib.ring_shift_right, a, _bits(a, bits))


def shift_right_signed(a: Words, bits: int) -> Words:
    """⌊a / 2^bits⌋ with a read as signed; 0 <= bits < 64 L."""
    return _each(lib.ring_shift_right_signed, a, _bits(a, bits))


def truncation_mask(raw: Words) -> Words:
    """A component r_i of a truncation mask, uniform in [0, 2^(64 L − 2)): uniform ring elements with the top two bits cleared."""
    return _each(lib.truncation_mask, raw)


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
    return _each(lib.truncation_finish, opened, checked_int(frac, 0, power, "frac"), power)


# ---- truncation from two addends: protocols/replicated/split.py -----------------------------------------------------------


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


# ---- numbers --------------------------------------------------------------------------------------------------------------


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


# ---- bits -----------------------------------------------------------------------------------------------------------------


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


# ---- AES-128 --------------------------------------------------------------------------------------------------------------


def _key(key: bytes) -> bytes:
    if not isinstance(key, bytes) or len(key) != 16:
        raise KernelInputError("an AES-128 key is 16 bytes")
    return key


def aes_ctr(key: bytes, first_block: int, n: int) -> Bytes:
    """n bytes of AES-128 key stream, uint8 (n,), from block number first_block on.

    The cipher's input for block number c is c as 16 little-endian bytes (SP 800-38A leaves the counter's form free). Numbers
    must stay below 2^128: a key stream that would wrap is refused, because it would repeat.
    """
    count = checked_int(n, 0, 1 << 48, "n")
    first = checked_int(first_block, 0, (1 << 128) - ((count + 15) // 16), "first_block")
    low, high = first & (1 << 64) - 1, first >> 64 & (1 << 64) - 1
    out = np.empty(count, np.uint8)
    lib.aes128_ctr(pointer(out, "uint8_t *"), count, _key(key), low, high)
    return out


def add_streams(a: Words, plus: tuple[bytes, int], minus: tuple[bytes, int]) -> Words:
    """a + AES-CTR of `plus` − AES-CTR of `minus`, each (key, first block), read as ring elements: as aes_ctr, in one pass."""
    source = contiguous(checked_ring(a))
    out, limbs = np.empty_like(source), source.shape[-1]
    keys = [ffi.from_buffer("uint8_t[]", _key(key)) for key, _ in (plus, minus)]
    starts = [checked_int(first, 0, (1 << 128) - source.size // 2, "first_block") for _, first in (plus, minus)]
    streams = [
        ffi.new("key_stream *", (key, first & (1 << 64) - 1, first >> 64)) for key, first in zip(keys, starts, strict=True)
    ]
    lib.ring_add_streams(pointer(out), pointer(source), source.size // limbs, limbs, *streams)
    return out


def aes_ecb(key: bytes, blocks: Bytes) -> Bytes:
    """AES-128 of each block: uint8 (n, 16) -> (n, 16)."""
    source = contiguous(checked(blocks, np.uint8, "blocks"))
    if source.ndim != 2 or source.shape[1] != 16:
        raise KernelInputError(f"blocks must have shape (n, 16), not {source.shape}")
    out = np.empty_like(source)
    lib.aes128_ecb(pointer(out, "uint8_t *"), pointer(source, "uint8_t *"), source.shape[0], _key(key))
    return out


# ---- row sets -------------------------------------------------------------------------------------------------------------


def row_names(columns: Iterable[npt.NDArray[np.float64]], start: int) -> Words:
    """A name of each row, made of its values one column after another: float64 (n,) each -> uint64 (n,).

    All names begin as `start`, 0 <= start < 2^64. Any NaN is the same value, and -0.0 is 0.0.
    """
    sources = [contiguous(checked(a, np.float64, "column")) for a in columns]
    if not sources or any(a.ndim != 1 or a.shape != sources[0].shape for a in sources):
        raise KernelInputError("columns must be one or more arrays of one shape (n,)")
    names = np.full(sources[0].shape, checked_int(start, 0, (1 << 64) - 1, "start"), np.uint64)
    for source in sources:
        lib.row_names_fold(pointer(names), pointer(source, "double[]"), source.size)
    return names


def row_set_add(cells: Words, key: bytes, low: Words, high: Words | None = None) -> None:
    """Add AES(key, low + 2^64 high), and a 1, to the cells that its first four bytes name: one in each of four tables.

    cells: uint64 (4, 256, 4), a count and a sum of 192 bits each, changed in place. low, high: uint64 (n,); high None: zeros.
    """
    flags = checked(cells, np.uint64, "cells").flags
    if cells.shape != (4, 256, 4) or not (flags.c_contiguous and flags.writeable):
        raise KernelInputError("cells must be a writable, contiguous array of shape (4, 256, 4)")
    parts = [contiguous(checked(a, np.uint64, "words")) for a in (low, *(() if high is None else (high,)))]
    if any(a.ndim != 1 or a.shape != parts[0].shape for a in parts):
        raise KernelInputError("low and high must have one shape (n,)")
    second = pointer(parts[1]) if len(parts) == 2 else ffi.NULL
    lib.row_set_add(pointer(cells), pointer(parts[0]), second, parts[0].size, _key(key))
