"""Elementwise kernels, shifts, truncation and conversions against Python's integers, on every instruction set."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import native
from tests.native.reference import as_signed, assert_ring_equal, ints, rings, seeds, words

pytestmark = pytest.mark.usefixtures("isa")

OPERATIONS = {
    "add": (native.add, 2, lambda a, b: a + b),
    "sub": (native.sub, 2, lambda a, b: a - b),
    "neg": (native.neg, 1, lambda a: -a),
    "mul": (native.mul, 2, lambda a, b: a * b),
    "mul_shares": (native.mul_shares, 4, lambda x0, x1, y0, y1: x0 * y0 + x0 * y1 + x1 * y0),
}
SHAPES = [(), (0,), (1,), (7,), (64,), (3, 5), (2, 3, 4), (2, 0, 3)]


@pytest.mark.parametrize("name", OPERATIONS)
@given(seed=seeds, limbs=rings, shape=st.sampled_from(SHAPES))
def test_operation_equals_integer_operation(name: str, seed: int, limbs: int, shape: tuple[int, ...]) -> None:
    kernel, count, expected = OPERATIONS[name]
    operands = [words(seed + i, (*shape, limbs)) for i in range(count)]
    assert_ring_equal(kernel(*operands), expected(*map(ints, operands)))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "mul_shares"])
@given(seed=seeds, limbs=rings, data=st.data())
def test_leading_axes_broadcast(name: str, seed: int, limbs: int, data: st.DataObject) -> None:
    kernel, count, expected = OPERATIONS[name]
    full = data.draw(st.lists(st.integers(0, 4), max_size=4))
    shapes = []
    for _ in range(count):
        kept = full[data.draw(st.integers(0, len(full))) :]
        shapes.append(tuple(data.draw(st.sampled_from([size, 1])) for size in kept))
    operands = [words(seed + i, (*shape, limbs)) for i, shape in enumerate(shapes)]
    result = kernel(*operands)
    assert result.shape == np.broadcast_shapes(*(a.shape for a in operands))
    assert_ring_equal(result, np.broadcast_to(np.asarray(expected(*map(ints, operands)), dtype=object), result.shape[:-1]))


@given(seed=seeds, limbs=rings)
def test_inputs_in_any_memory_order(seed: int, limbs: int) -> None:
    block = words(seed, (6, 8, 5, limbs))
    crossed = words(seed + 1, (limbs, 5, 8, 6)).T  # limbs are not neighbours
    plain = words(seed + 2, (6, 8, 5, limbs))
    misaligned = np.frombuffer(b"x" + plain.tobytes(), np.uint8)[1:].view(np.uint64).reshape(plain.shape)
    read_only = np.broadcast_to(plain[0], plain.shape)
    pairs = [
        (block[::2, ::-1, 1:3], block[1::2, :, 2:4]),
        (block.transpose(1, 0, 2, 3), block.transpose(1, 0, 2, 3)[:, ::-1]),
        (block.transpose(2, 1, 0, 3), block[0, 0, 0]),
        (block, crossed),
        (crossed[0], block[0]),
        (crossed[0, 0], misaligned[0, 0]),
        (misaligned, crossed),
        (block, read_only),
    ]
    for a, b in pairs:
        before = a.copy(), b.copy()
        assert_ring_equal(native.mul(a, b), ints(a) * ints(b))
        assert_ring_equal(native.sub(a, b), ints(a) - ints(b))
        assert_ring_equal(native.neg(a), -ints(a))
        assert np.array_equal(a, before[0])
        assert np.array_equal(b, before[1])


@given(seed=seeds, limbs=rings, shape=st.sampled_from(SHAPES), data=st.data())
def test_shifts(seed: int, limbs: int, shape: tuple[int, ...], data: st.DataObject) -> None:
    a = words(seed, (*shape, limbs))
    bits = data.draw(st.integers(0, 64 * limbs - 1) | st.sampled_from([0, 1, 63, 64, 65, 127]))
    assert_ring_equal(native.shift_left(a, bits), ints(a) * 2**bits)
    assert_ring_equal(native.shift_right(a, bits), ints(a) // 2**bits)
    assert_ring_equal(native.shift_right_signed(a, bits), ints(a, signed=True) // 2**bits)


@given(seed=seeds, limbs=rings, shape=st.sampled_from(SHAPES), data=st.data())
def test_truncation_kernels(seed: int, limbs: int, shape: tuple[int, ...], data: st.DataObject) -> None:
    top = 64 * limbs - 1
    z, r0, r1, r2 = (words(seed + i, (*shape, limbs)) for i in range(4))
    offset_bits = data.draw(st.integers(0, top))
    frac = data.draw(st.integers(0, offset_bits))
    assert_ring_equal(native.truncation_mask(r0), ints(r0) % 2 ** (top - 1))
    assert_ring_equal(
        native.truncation_message(z, [r0, r1, r2], offset_bits), ints(z) + 2**offset_bits + ints(r0) + ints(r1) + ints(r2)
    )
    assert_ring_equal(native.truncation_message(z, [r0, r1]), ints(z) + ints(r0) + ints(r1))
    assert_ring_equal(native.truncation_message(z, [r0[..., :]]), ints(z) + ints(r0))
    assert_ring_equal(native.truncation_message(z, [], offset_bits), ints(z) + 2**offset_bits)
    assert_ring_equal(native.truncation_finish(z, frac, offset_bits), ints(z) // 2**frac - 2 ** (offset_bits - frac))


@given(seed=seeds, limbs=rings, frac=st.integers(1, 64))
def test_masked_truncation_is_within_two_units(seed: int, limbs: int, frac: int) -> None:
    """opened = z + 2^offset + r0 + r1 + r2; the result is finish(opened) - sum of (r_i >> f) - 1, off by (-2, 2] units."""
    offset_bits = 64 * limbs - 3
    z = native.shift_right_signed(words(seed, (50, limbs)), 3)  # |z| <= 2^offset
    masks = [native.truncation_mask(words(seed + i, (50, limbs))) for i in (1, 2, 3)]
    opened = native.truncation_message(z, masks, offset_bits)
    result = native.truncation_finish(opened, frac, offset_bits)
    for r in masks:
        result = native.sub(result, native.shift_right(r, frac))
    result = native.sub(result, native.from_ints(1, limbs))
    error = ints(result, signed=True) * 2**frac - ints(z, signed=True)
    assert all(-2 * 2**frac < e <= 2 * 2**frac for e in error)


@given(seed=seeds, shape=st.sampled_from(SHAPES))
def test_widen_and_narrow(seed: int, shape: tuple[int, ...]) -> None:
    small, large = words(seed, (*shape, 2)), words(seed, (*shape, 4))
    assert_ring_equal(native.widen(small), ints(small))
    assert_ring_equal(native.widen(small, signed=True), ints(small, signed=True))
    assert_ring_equal(native.narrow(large), ints(large) % 2**128)
    assert_ring_equal(native.narrow(large, 4), ints(large))
    assert not np.shares_memory(native.narrow(large), large)


@given(seed=seeds, limbs=rings, shape=st.sampled_from(SHAPES))
def test_integers_there_and_back(seed: int, limbs: int, shape: tuple[int, ...]) -> None:
    a = words(seed, (*shape, limbs))
    for signed in (True, False):
        values = native.to_ints(a, signed)
        assert values.shape == shape
        assert np.array_equal(values, ints(a, signed))
        assert np.array_equal(native.from_ints(values, limbs), a)


@given(values=st.lists(st.integers(-(2**300), 2**300)), limbs=rings)
def test_integers_are_reduced(values: list[int], limbs: int) -> None:
    size = 64 * limbs
    assert native.to_ints(native.from_ints(values, limbs)).tolist() == [
        int(v) for v in as_signed(np.array(values, dtype=object), size)
    ]


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, np.int8, np.uint32, np.bool_])
def test_integer_arrays(dtype: type, limbs: int) -> None:
    info = (0, 1) if dtype is np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = np.array([[info[0], info[1], 0, 1]], dtype=dtype)
    assert_ring_equal(native.from_ints(values, limbs), values.astype(object) + 0)
