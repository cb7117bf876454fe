"""Public combinations of several arrays against Python's integers, on every instruction set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import native
from tests.native.reference import assert_ring_equal, ints, rings, seeds, words

pytestmark = pytest.mark.usefixtures("isa")


SHAPES = [(), (0,), (1,), (7,), (3, 5)]


@given(seed=seeds, limbs=rings, rows=st.integers(0, 4), count=st.integers(1, 9), shape=st.sampled_from(SHAPES))
def test_combination(seed: int, limbs: int, rows: int, count: int, shape: tuple[int, ...]) -> None:
    terms = [words(seed + i, (*shape, limbs)) for i in range(count)]
    table, start = words(seed + count + 1, (rows, count, limbs)), words(seed + count, (rows, limbs))
    before = [each.copy() for each in terms]
    expected = np.zeros((rows, *shape), dtype=object)
    for r in range(rows):
        expected[r] = ints(start)[r] + sum(ints(table)[r, c] * ints(terms[c]) for c in range(count))
    assert_ring_equal(native.combine(terms, table, start), expected)
    assert all(np.array_equal(a, b) for a, b in zip(terms, before, strict=True))


def test_terms_in_any_memory_order() -> None:
    block = words(5, (6, 8, 2))
    table, start = words(6, (2, 2, 2)), words(7, (2, 2))
    terms = [block[::2, ::-1], block[1::2].transpose(1, 0, 2)[::-1].transpose(1, 0, 2)]
    expected = native.combine([each.copy() for each in terms], table, start)
    assert np.array_equal(native.combine(terms, table, start), expected)
