"""Residues as bits: a limb takes ⌈log2 p⌉ bits a residue on the wire instead of 64.

A polynomial is its limbs in turn, each a little-endian stream of bits; N is a multiple of 8, so that every limb ends with a
whole byte and nothing is padded. What is unpacked comes from elsewhere: its size is compared before anything is allocated,
and every residue with its prime.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from native._arrays import Words, checked, contiguous, pointer
from native._load import ffi, lib
from native.errors import KernelInputError

if TYPE_CHECKING:
    from native.rns import Basis

__all__ = [
    "pack",
    "packed_size",
    "unpack",
]

Packed: TypeAlias = bytes | bytearray | memoryview


def packed_size(shape: tuple[int, ...], basis: Basis) -> int:
    """Bytes of polynomials of shape (..., limbs, N): N/8 times the sum of the primes' bit lengths, for each polynomial."""
    wanted = (len(basis), basis.degree)
    if tuple(shape[-2:]) != wanted or any(size < 0 for size in shape):
        raise KernelInputError(f"residues of this basis have shape (..., {wanted[0]}, {wanted[1]}), not {tuple(shape)}")
    return math.prod(shape[:-2]) * basis.degree // 8 * sum(p.bit_length() for p in basis.primes)


def pack(x: Words, basis: Basis) -> bytes:
    """x as bits: uint64 (..., limbs, N), each residue below its prime -> `packed_size(x.shape, basis)` bytes."""
    source = contiguous(checked(x, np.uint64, "residues"))
    out = np.empty(packed_size(source.shape, basis), np.uint8)
    count = math.prod(source.shape[:-2])
    lib.pack_residues(pointer(out, "uint8_t[]"), pointer(source), count, pointer(basis.values), len(basis), basis.degree)
    return out.tobytes()


def unpack(buffer: Packed, shape: tuple[int, ...], basis: Basis) -> Words:
    """The inverse of pack: uint64 of the given shape (..., limbs, N).

    Raises KernelInputError when the buffer is not exactly `packed_size(shape, basis)` bytes, or a residue is not below its prime.
    """
    size = packed_size(shape, basis)
    if not isinstance(buffer, Packed):
        raise KernelInputError(f"packed residues are bytes, not {type(buffer).__name__}")
    view = memoryview(buffer)
    if view.nbytes != size or not view.c_contiguous:
        raise KernelInputError(f"packed residues of shape {tuple(shape)} are {size} contiguous bytes, not {view.nbytes}")
    out, source = np.empty(shape, np.uint64), ffi.from_buffer("uint8_t[]", view)
    if not lib.unpack_residues(pointer(out), source, math.prod(shape[:-2]), pointer(basis.values), len(basis), basis.degree):
        raise KernelInputError("packed residues must be below their primes")
    return out
