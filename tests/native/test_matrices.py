"""Matrix products against Python's integers, on every instruction set, at the sides of the blocks and beyond."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import native
from native import matrices
from tests.native.reference import assert_ring_equal, ints, rings, seeds, words

pytestmark = pytest.mark.usefixtures("isa")

sides = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 41])
terms = st.sampled_from([0, 1, 2, 31, 32, 33, 70])


@settings(max_examples=60)
@given(seed=seeds, limbs=rings, m=sides, k=terms, n=sides)
def test_matmul(seed: int, limbs: int, m: int, k: int, n: int) -> None:
    a, b = words(seed, (m, k, limbs)), words(seed + 1, (k, n, limbs))
    assert_ring_equal(native.matmul(a, b), ints(a) @ ints(b) if k else np.zeros((m, n), dtype=object))


def test_matmul_of_the_largest_digits(limbs: int) -> None:
    """All ones in every bit, as many terms as a block takes: the sums that wait for their carries are as large as they get."""
    a = np.full((40, 100, limbs), 2**64 - 1, np.uint64)
    b = np.full((100, 40, limbs), 2**64 - 1, np.uint64)
    assert_ring_equal(native.matmul(a, b), np.full((40, 40), 100, dtype=object))
    assert_ring_equal(native.gram(a), np.full((100, 100), 40, dtype=object))


@pytest.mark.parametrize(
    ("left", "right"),
    [((5,), (5,)), ((5,), ()), ((), (5,)), ((5, 1), (3,)), ((1, 3), (5, 1)), ((0,), (0,)), ((1,), ())],
)
def test_matmul_broadcasts_batches(left: tuple[int, ...], right: tuple[int, ...], limbs: int) -> None:
    a, b = words(1, (*left, 3, 4, limbs)), words(2, (*right, 4, 6, limbs))
    batch = np.broadcast_shapes(left, right)
    expected = np.zeros((*batch, 3, 6), dtype=object)
    for index in np.ndindex(batch):
        expected[index] = ints(np.broadcast_to(a, (*batch, 3, 4, limbs))[index]) @ ints(
            np.broadcast_to(b, (*batch, 4, 6, limbs))[index]
        )
    assert_ring_equal(native.matmul(a, b), expected)


def test_matmul_of_views(limbs: int) -> None:
    x, y = words(3, (50, 12, limbs)), words(4, (50, 5, limbs))
    assert_ring_equal(native.matmul(x.swapaxes(0, 1), y), ints(x).T @ ints(y))
    assert_ring_equal(native.matmul(x[::-1, ::3], y[:4, ::-1]), ints(x)[::-1, ::3] @ ints(y)[:4, ::-1])
    crossed = words(5, (limbs, 12, 50)).T
    assert_ring_equal(native.matmul(crossed.swapaxes(0, 1), y), ints(crossed).T @ ints(y))


@settings(max_examples=40)
@given(seed=seeds, limbs=rings, n=terms, d=sides)
def test_gram(seed: int, limbs: int, n: int, d: int) -> None:
    x = words(seed, (n, d, limbs))
    assert_ring_equal(native.gram(x), ints(x).T @ ints(x) if n else np.zeros((d, d), dtype=object))


def test_gram_of_views(limbs: int) -> None:
    x = words(6, (40, 30, limbs))
    part = x[::3, ::-2]
    assert_ring_equal(native.gram(part), ints(part).T @ ints(part))


@settings(max_examples=40)
@given(seed=seeds, limbs=rings, n=terms, d=sides, k=sides)
def test_products_of_shares(seed: int, limbs: int, n: int, d: int, k: int) -> None:
    x0, x1, y0, y1 = (words(seed + i, shape) for i, shape in enumerate([(d, n, limbs)] * 2 + [(n, k, limbs)] * 2))
    if n:
        i0, i1, j0, j1 = map(ints, (x0, x1, y0, y1))
        assert_ring_equal(native.matmul_shares(x0, x1, y0, y1), i0 @ j0 + i0 @ j1 + i1 @ j0)
        r0, r1 = i0.T, i1.T
        rows0, rows1 = x0.swapaxes(0, 1), x1.swapaxes(0, 1)
        assert_ring_equal(native.gram_shares(rows0, rows1), r0.T @ r0 + r0.T @ r1 + r1.T @ r0)
    else:
        assert not native.matmul_shares(x0, x1, y0, y1).any()
        assert not native.gram_shares(x0.swapaxes(0, 1), x1.swapaxes(0, 1)).any()


def test_gram_shares_across_its_row_blocks(limbs: int) -> None:
    rows = matrices.GRAM_BLOCK + 3
    x0, x1 = words(7, (rows, 2, limbs)), words(8, (rows, 2, limbs))
    i0, i1 = ints(x0), ints(x1)
    assert_ring_equal(native.gram_shares(x0, x1), i0.T @ i0 + i0.T @ i1 + i1.T @ i0)
