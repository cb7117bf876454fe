"""Random polynomials from AES-128 in counter mode: uniform, ternary and centred binomial coefficients.

A stream is named by its key and the number of its first block: what `PrfStream.take` of protocols.prf gives for as many
bytes as the functions `..._bytes` say. Results are the same on every instruction set. Small coefficients are made in constant
time; which words a uniform polynomial rejects may show in its time, and says nothing about the words that it keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from native._arrays import Words, checked_int, pointer
from native._load import ffi, lib
from native.errors import KernelInputError

if TYPE_CHECKING:
    from native.rns import Basis

__all__ = [
    "binomial42",
    "small_bytes",
    "ternary",
    "uniform",
    "uniform_bytes",
]

Small: TypeAlias = npt.NDArray[np.int8]

BLOCK = 16  # bytes
MOST = 1 << 40  # coefficients in one call


def uniform_bytes(basis: Basis) -> int:
    """How many bytes of key stream one uniform polynomial may take: 16·(2 N + 256) for each limb, most of them never made."""
    return BLOCK * len(basis) * int(lib.sample_uniform_blocks(basis.degree))


def small_bytes(n: int) -> int:
    """How many bytes of key stream n ternary or n binomial coefficients take: 8 for each, in whole blocks."""
    return BLOCK * -(-checked_int(n, 0, MOST, "n") // 2)


def uniform(key: bytes, first_block: int, basis: Basis) -> Words:
    """A polynomial with residues exactly uniform below each prime, (limbs, N); `uniform_bytes(basis)` of the stream are its own.

    Limb i reads from block first_block + i·(2 N + 256) on: each word's low bits, as many as the prime has, kept when they are
    below the prime. Raises KernelInputError when the words of a limb do not suffice, with probability below 2^-400; take the
    next ones of the stream then.
    """
    stream, _alive = _stream(key, first_block, uniform_bytes(basis))
    out = np.empty((len(basis), basis.degree), np.uint64)
    if lib.sample_uniform(pointer(out), pointer(basis.values), len(basis), basis.degree, stream):
        raise KernelInputError("this part of the key stream gives too few residues: sample again from the next part")
    return out


def ternary(key: bytes, first_block: int, n: int) -> Small:
    """n uniform coefficients in {−1, 0, 1}, int8 (n,): ⌊3u / 2^64⌋ − 1 of a word u each; statistical distance n·2^-62."""
    return _small(lib.sample_ternary, key, first_block, n)


def binomial42(key: bytes, first_block: int, n: int) -> Small:
    """n centred binomial coefficients in [−21, 21] of 42 coins each, int8 (n,): variance 10.5, standard deviation 3.24."""
    return _small(lib.sample_binomial, key, first_block, n)


def _small(kernel: Any, key: bytes, first_block: int, n: int) -> Small:
    stream, _alive = _stream(key, first_block, small_bytes(n))
    out = np.empty(n, np.int8)
    kernel(pointer(out, "int8_t[]"), n, stream)
    return out


def _stream(key: bytes, first_block: int, size: int) -> tuple[Any, Any]:
    """(key_stream *, what it points into)."""
    if not isinstance(key, bytes) or len(key) != 16:
        raise KernelInputError("an AES-128 key is 16 bytes")
    first = checked_int(first_block, 0, (1 << 128) - size // BLOCK, "first_block")
    secret = ffi.from_buffer("uint8_t[]", key)
    return ffi.new("key_stream *", (secret, first & (1 << 64) - 1, first >> 64 & (1 << 64) - 1)), secret
