"""The C kernels as typed NumPy calls.

A ring element is a row of L little-endian uint64 limbs, the last axis of an array: L = 2 is Z_2^128, L = 4 is Z_2^256. All
arithmetic is modulo 2^(64 L). Inputs may be non-contiguous; results are new, contiguous arrays. A wrong dtype, shape or
range raises KernelInputError, whose text never holds a value of an array. Kernels release the GIL and do not branch on
the values. When the C extension is missing, importing works and the first use of a kernel raises KernelsNotBuilt.

    ring, matrices, truncation     ring elements and local parts of protocols on shares
    numbers, bits                  numbers and packed bits to ring elements, and back
    aes, row_sets                  key streams; sets of rows for the ledger
    rns, switching, embedding      polynomials of CKKS, key switches, slots
    sampling, encryption, packing  their noise, encryption under a public key, residues as bytes

The first three lines' functions are this package's own; the others' are used under their module's name.
"""

from native._load import isa, isas
from native.aes import add_streams, aes_ctr, aes_ecb
from native.bits import and_shares, bits_to_ring, from_bitplanes, to_bitplanes
from native.errors import KernelInputError, KernelsNotBuilt
from native.matrices import gram, gram_shares, matmul, matmul_shares
from native.numbers import decode, encode, from_ints, to_ints
from native.ring import add, combine, mul, mul_shares, narrow, neg, shift_left, shift_right, shift_right_signed, sub, widen
from native.row_sets import row_names, row_set_add
from native.truncation import split_common, split_help, split_private, truncation_finish, truncation_mask, truncation_message

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
