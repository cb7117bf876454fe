"""Packed bits against Python's integers, on every instruction set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import native
from tests.native.reference import assert_ring_equal, ints, rings, seeds, words

pytestmark = pytest.mark.usefixtures("isa")

counts = st.sampled_from([0, 1, 2, 63, 64, 65, 127, 200, 511, 512, 513, 1024, 1100])


def plane_bits(words_of_plane: np.ndarray) -> list[int]:
    return [int(w) >> i & 1 for w in words_of_plane for i in range(64)]


@settings(max_examples=40)
@given(seed=seeds, limbs=rings, n=counts, data=st.data())
def test_planes_hold_the_bits(seed: int, limbs: int, n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, 64 * limbs) | st.sampled_from([0, 1, 64, 64 * limbs]))
    a = words(seed, (n, limbs))
    planes = native.to_bitplanes(a, k)
    assert planes.shape == (k, (n + 63) // 64)
    values = ints(a)
    for j in range(k):
        bits = plane_bits(planes[j])
        assert bits[:n] == [v >> j & 1 for v in values]
        assert not any(bits[n:])


@settings(max_examples=40)
@given(seed=seeds, limbs=rings, n=counts, data=st.data())
def test_planes_there_and_back(seed: int, limbs: int, n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, 64 * limbs))
    a = words(seed, (n, limbs))
    assert_ring_equal(native.from_bitplanes(native.to_bitplanes(a, k), n, limbs), ints(a) % (1 << k))


@given(seed=seeds, limbs=rings, n=counts)
def test_spare_bits_are_ignored(seed: int, limbs: int, n: int) -> None:
    planes = words(seed, (3, (n + 63) // 64))
    bits = [plane_bits(plane)[:n] for plane in planes]
    expected = [b0 + 2 * b1 + 4 * b2 for b0, b1, b2 in zip(*bits, strict=True)]
    assert ints(native.from_bitplanes(planes, n, limbs)).tolist() == expected
    assert ints(native.bits_to_ring(planes[0], n, limbs)).tolist() == bits[0]


def test_planes_of_views(limbs: int) -> None:
    a = words(9, (300, limbs))
    assert np.array_equal(native.to_bitplanes(a[::-2], 40), native.to_bitplanes(a[::-2].copy(), 40))
    planes = words(10, (20, 5)).T[:, ::2]
    assert np.array_equal(native.from_bitplanes(planes, 640, limbs), native.from_bitplanes(planes.copy(), 640, limbs))


@given(seed=seeds, shape=st.sampled_from([(), (0,), (1,), (17,), (3, 5)]))
def test_and_shares(seed: int, shape: tuple[int, ...]) -> None:
    x0, x1, y0, y1 = (words(seed + i, shape) for i in range(4))
    assert np.array_equal(native.and_shares(x0, x1, y0, y1), (x0 & y0) ^ (x0 & y1) ^ (x1 & y0))
    scalar = words(seed, ())
    assert np.array_equal(native.and_shares(x0, x1, scalar, scalar), (x0 & scalar) ^ (x0 & scalar) ^ (x1 & scalar))
