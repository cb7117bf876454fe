"""AES-128: key streams and single blocks."""

from __future__ import annotations

import numpy as np

from native._arrays import Bytes, Words, checked, checked_int, checked_ring, contiguous, pointer
from native._load import ffi, lib
from native.errors import KernelInputError


def checked_key(key: bytes) -> bytes:
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
    lib.aes128_ctr(pointer(out, "uint8_t *"), count, checked_key(key), low, high)
    return out


def add_streams(a: Words, plus: tuple[bytes, int], minus: tuple[bytes, int]) -> Words:
    """a + AES-CTR of `plus` − AES-CTR of `minus`, each (key, first block), read as ring elements: as aes_ctr, in one pass."""
    source = contiguous(checked_ring(a))
    out, limbs = np.empty_like(source), source.shape[-1]
    keys = [ffi.from_buffer("uint8_t[]", checked_key(key)) for key, _ in (plus, minus)]
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
    lib.aes128_ecb(pointer(out, "uint8_t *"), pointer(source, "uint8_t *"), source.shape[0], checked_key(key))
    return out
