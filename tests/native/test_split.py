"""The three kernels of a truncation from two addends against Python's integers, on every instruction set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import native
from tests.native.reference import as_signed, ints, seeds, words

pytestmark = pytest.mark.usefixtures("isa")

SHAPES = [(), (0,), (1,), (7,), (3, 5)]
EDGES = [1, 28, 63, 64, 65, 84, 125, 127, 128, 129, 191, 192, 193, 252, 253]

# (limbs in, limbs out, bits dropped): every ring, and the widening
truncations = st.sampled_from([2, 4]).flatmap(
    lambda limbs: st.tuples(
        st.just(limbs),
        st.just(limbs),
        st.integers(1, 64 * limbs - 3) | st.sampled_from([d for d in EDGES if d <= 64 * limbs - 3]),
    )
)
forms = truncations | st.just((2, 4, 128))


def top_bit(values: np.ndarray, width: int) -> np.ndarray:
    return values >> (width - 1)


@given(seed=seeds, form=forms, shape=st.sampled_from(SHAPES))
def test_private_part(seed: int, form: tuple[int, int, int], shape: tuple[int, ...]) -> None:
    limbs, out, drop = form
    width, count = 64 * out, -(-drop // 64)
    a, s = words(seed, (*shape, limbs)), words(seed + 1, (*shape, out))
    first, second = (words(seed + 2 + i, (2, *shape, count)) for i in range(2))
    message, e2 = native.split_private(a, s, first, second, drop)
    n = s.size // out
    y, e1 = message[: n * out].reshape(*shape, out), message[n * out :].reshape(*shape, count)
    offset = ((ints(a) << 64 * (out - limbs)) + (1 << width - 3) - 1) % (1 << width)
    c = ints(first[0]) + ints(second[0])
    expected = (as_signed(offset, width) >> drop) + 1 - (1 << width - 3 - drop) - ints(s) + (c << width - drop)
    assert np.array_equal(ints(y), expected % (1 << width))
    bit, modulus = top_bit(offset, width), 1 << 64 * count
    assert np.array_equal(ints(e1), (bit + ints(first[1])) % modulus)
    assert np.array_equal(ints(e2), (bit + ints(second[1])) % modulus)


@given(seed=seeds, form=forms, shape=st.sampled_from(SHAPES))
def test_help(seed: int, form: tuple[int, int, int], shape: tuple[int, ...]) -> None:
    limbs, out, drop = form
    count = -(-drop // 64)
    b, ct = words(seed, (*shape, limbs)), words(seed + 1, (2, *shape, count))
    h = native.split_help(b, ct, drop, out)
    expected = top_bit(ints(b), 64 * limbs) * ints(ct[1]) + ints(ct[0])
    assert np.array_equal(ints(h), expected % (1 << 64 * count))


@given(seed=seeds, form=forms, shape=st.sampled_from(SHAPES))
def test_common_part(seed: int, form: tuple[int, int, int], shape: tuple[int, ...]) -> None:
    limbs, out, drop = form
    width, count = 64 * out, -(-drop // 64)
    b = words(seed, (*shape, limbs))
    e, h, c = (words(seed + i, (*shape, count)) for i in (1, 2, 3))
    y = native.split_common(b, e, h, c, drop, out)
    signed = as_signed(ints(b) << 64 * (out - limbs), width)
    product = top_bit(ints(b), 64 * limbs) * ints(e) - ints(h) - ints(c)
    assert np.array_equal(ints(y), ((signed >> drop) + (product << width - drop)) % (1 << width))


@given(seed=seeds, form=forms)
def test_operands_in_any_memory_order(seed: int, form: tuple[int, int, int]) -> None:
    limbs, out, drop = form
    count = -(-drop // 64)
    b = words(seed, (12, limbs))[::-2]
    e, h, c = (words(seed + i, (count, 6)).T for i in (1, 2, 3))
    operands = [np.ascontiguousarray(v) for v in (b, e, h, c)]
    assert np.array_equal(native.split_common(b, e, h, c, drop, out), native.split_common(*operands, drop, out))
