"""encode and decode against exact fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import native
from native.errors import KernelInputError
from tests.native.reference import ints, rings, seeds, words

pytestmark = pytest.mark.usefixtures("isa")


def encoded(x: float, frac: int, limbs: int) -> int:
    return int(native.to_ints(native.encode(np.array(x), frac, limbs)).item())


@given(x=st.floats(allow_nan=False, allow_infinity=False), limbs=rings, data=st.data())
@example(x=5e-324, limbs=2, data=None)
@example(x=-5e-324, limbs=4, data=None)
@example(x=2.0**127, limbs=2, data=None)
@example(x=math.nextafter(2.0**127, 0), limbs=2, data=None)
@example(x=-(2.0**127), limbs=2, data=None)
@example(x=-0.0, limbs=2, data=None)
def test_encode_rounds_exactly_or_refuses(x: float, limbs: int, data: st.DataObject | None) -> None:
    frac = data.draw(st.integers(0, 64 * limbs - 1)) if data else 0
    scaled = Fraction(x) * 2**frac
    if abs(scaled) >= 2 ** (64 * limbs - 1):
        with pytest.raises(KernelInputError):
            encoded(x, frac, limbs)
    else:
        assert encoded(x, frac, limbs) == round(scaled)  # a fraction rounds half to even


@given(numerator=st.integers(-(2**53), 2**53), shift=st.integers(0, 130), frac=st.integers(0, 127), limbs=rings)
def test_encode_near_the_last_bit(numerator: int, shift: int, frac: int, limbs: int) -> None:
    x = math.ldexp(numerator, -shift)
    scaled = Fraction(x) * 2**frac
    if abs(scaled) < 2 ** (64 * limbs - 1):
        assert encoded(x, frac, limbs) == round(scaled)


@pytest.mark.parametrize(("x", "expected"), [(0.5, 0), (1.5, 2), (2.5, 2), (-0.5, 0), (-1.5, -2), (-2.5, -2), (0.5000000001, 1)])
def test_encode_rounds_half_to_even(x: float, expected: int, limbs: int) -> None:
    assert encoded(x, 0, limbs) == expected


@pytest.mark.parametrize("bad", [math.nan, -math.nan, math.inf, -math.inf, 2.0**127, -(2.0**127), 1e300])
@pytest.mark.parametrize("at", [0, 1, 6])
def test_encode_refuses_without_showing_the_value(bad: float, at: int) -> None:
    x = np.ones(7)
    x[at] = bad
    with pytest.raises(KernelInputError) as refusal:
        native.encode(x, 0, 2)
    assert str(refusal.value) == "a number is NaN, infinite, or too large for 2 limbs with 0 fractional bits"


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3)])
def test_encode_keeps_the_shape(shape: tuple[int, ...], limbs: int) -> None:
    x = np.arange(math.prod(shape), dtype=np.float64).reshape(shape)
    assert native.encode(x, 3, limbs).shape == (*shape, limbs)
    assert np.array_equal(native.decode(native.encode(x, 3, limbs), 3), x)
    assert np.array_equal(native.decode(native.encode(x.T, 3, limbs), 3), x.T)


@given(seed=seeds, limbs=rings, data=st.data())
def test_decode_rounds_correctly(seed: int, limbs: int, data: st.DataObject) -> None:
    frac = data.draw(st.integers(0, 64 * limbs - 1))
    a = words(seed, (40, limbs))
    a = native.shift_right_signed(a, data.draw(st.integers(0, 64 * limbs - 1)))  # all magnitudes
    expected = [v / (1 << frac) for v in ints(a, signed=True)]  # Python divides integers with correct rounding
    assert native.decode(a, frac).tolist() == expected


@given(head=st.integers(2**52, 2**53 - 1), tail=st.sampled_from([0, 1]), gap=st.integers(1, 200), negative=st.booleans())
def test_decode_at_ties(head: int, tail: int, gap: int, negative: bool) -> None:
    """Numbers exactly between two floats, and one unit above: the sticky bit decides."""
    value = (head << gap) + (1 << gap - 1) + tail
    value = -value if negative else value
    assert native.decode(native.from_ints(value, 4), 0).item() == value / 1


@given(x=st.floats(-(2.0**40), 2.0**40), limbs=rings)
def test_there_and_back_is_exact_when_it_fits(x: float, limbs: int) -> None:
    fixed = math.ldexp(round(math.ldexp(x, 12)), -12)
    assert native.decode(native.encode(np.array([fixed]), 28, limbs), 28)[0] == fixed


def test_extremes_of_the_ring(limbs: int) -> None:
    size = 64 * limbs
    values = [-(2 ** (size - 1)), 2 ** (size - 1) - 1, -1, 0, 1]
    assert native.decode(native.from_ints(values, limbs), size - 1).tolist() == [v / 2 ** (size - 1) for v in values]
    assert not np.signbit(native.decode(native.from_ints([0], limbs), 5)[0])
