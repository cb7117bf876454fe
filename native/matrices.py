"""Matrices of ring elements: products and Gram matrices, and their local parts on shares."""

from __future__ import annotations

import numpy as np

from native._arrays import Words, broadcast_shape, checked_ring, matrix, pointer, same_limbs
from native._load import lib
from native.errors import KernelInputError
from native.ring import add, sub


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
