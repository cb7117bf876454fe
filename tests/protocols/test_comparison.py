"""Comparisons at every edge: signs at all widths, and the full-width range check on values that broke their bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from protocols.engine import LARGE, SMALL, Engine, Secret
from protocols.errors import RangeError
from protocols.plaintext import Plaintext
from protocols.replicated import opening
from tests.protocols.three_parties import Program, in_the_clear, on_shares


def held_to_both(program: Program, expected: np.ndarray) -> None:
    for released in (in_the_clear(program)[0], on_shares(program)[0]):
        np.testing.assert_array_equal(released["x"].ints, expected.astype(object))
        assert (released["x"].frac, released["x"].bound) == (0, 1)


WIDTHS = [(SMALL, k) for k in (2, 3, 4, 5, 8, 33, 40, 63, 64, 65, 66, 127, 128)] + [(LARGE, k) for k in (64, 129, 255, 256)]


@pytest.mark.parametrize(("limbs", "bits"), WIDTHS)
def test_sign_at_every_edge(limbs: int, bits: int) -> None:
    top = 2 ** (bits - 1) - 1
    edges = [0, 1, -1, top, -top, top // 2, -(top // 2), top // 2 + 1, -(top // 2) - 1]
    middles = [s * (2**j + d) for j in range(bits - 1) for d in (-1, 0, 1) for s in (-1, 1) if abs(2**j + d) <= top]
    values = np.array(edges + middles, dtype=object)

    def program(mpc: Engine) -> dict[str, Secret]:
        x = mpc.constant(values, limbs=limbs, frac=0)
        return {"x": mpc.is_negative(x, bits=bits), "default": mpc.is_negative(x)}

    held_to_both(program, values < 0)


def test_sign_of_values_shared_at_random() -> None:
    """constant() shares a value as (v, 0, 0); products carry full-size random components, whose carries run far."""
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.integers(-3, 4, size=500), rng.integers(-(2**40), 2**40, size=500)]).astype(np.int64)

    def program(mpc: Engine) -> dict[str, Secret]:
        x = mpc.mul(mpc.constant(values, frac=0), mpc.constant(1, frac=0))
        return {"x": mpc.is_negative(x)}

    held_to_both(program, values < 0)


@pytest.mark.parametrize("n", [1, 100, 8000])
@pytest.mark.parametrize("bits", [2, 3, 9, 40, 256])
def test_sign_in_blocks_of_any_size(n: int, bits: int) -> None:
    """Few numbers are compared in large blocks, many in pairs of bits, from components whose carries run far."""
    rng = np.random.default_rng([n, bits])
    top = 2 ** (min(bits, 60) - 1) - 1
    values = rng.integers(-top, top, size=n, endpoint=True)
    values[: n // 2] = rng.integers(-min(2, top), min(2, top), size=n // 2, endpoint=True)

    def program(mpc: Engine) -> dict[str, Secret]:
        x = mpc.mul(mpc.constant(values, frac=0), mpc.constant(1, frac=0))
        return {"x": mpc.is_negative(replace(x, bound=top), bits=bits)}

    held_to_both(program, values < 0)


@pytest.mark.parametrize(("limbs", "bits", "blur"), [(SMALL, 40, 8), (SMALL, 12, 9), (SMALL, 128, 1), (LARGE, 66, 32)])
def test_a_blurred_sign_errs_just_above_zero_only(limbs: int, bits: int, blur: int) -> None:
    """At the edges of the blur and of the width, with components whose low bits carry and with such as do not."""
    top = 2 ** (bits - 1) - 2 ** (blur + 1)
    sure = [-1, -2, 2**blur, 2**blur + 1, 2**blur * 3 // 2, -(2**blur), -(2**blur) - 1, top, -top, top - 1, 1 - top]
    values = np.array([*sure, 0, 1, 2**blur - 1] * 20, dtype=object)
    certain = (values < 0) | (values >= 2**blur)

    def program(mpc: Engine) -> dict[str, Secret]:
        x = mpc.mul(mpc.constant(values, limbs=limbs, frac=0), mpc.constant(1, limbs=limbs, frac=0))
        return {"x": mpc.is_negative(x, blur=blur), "wide": mpc.is_negative(x, bits=bits, blur=blur)}

    for released, _ in (in_the_clear(program), on_shares(program)):
        for name in ("x", "wide"):
            np.testing.assert_array_equal(released[name].ints[certain], (values < 0).astype(object)[certain])
            assert set(released[name].ints) == {0, 1}


def test_a_blur_must_leave_room() -> None:
    x = Plaintext().constant(2**20 - 1, limbs=SMALL, frac=0)
    x.engine.is_negative(x, bits=22, blur=4)
    for bits in (21, 20):
        with pytest.raises(RangeError):
            x.engine.is_negative(x, bits=bits, blur=4)


def test_signs_and_ranges_of_many() -> None:
    """Bits become ring elements in three parts, each led by another party; the last has a word that is not full."""
    n = opening.BALANCED_FROM + 100
    values = np.random.default_rng(2).integers(-(2**30), 2**30, size=n)

    def program(mpc: Engine) -> dict[str, Secret]:
        x = mpc.mul(mpc.constant(values, limbs=SMALL, frac=0), mpc.constant(1, limbs=SMALL, frac=0))
        return {"x": mpc.is_negative(x), "in": mpc.in_range(x, 2**29)}

    held_to_both(program, values < 0)
    np.testing.assert_array_equal(on_shares(program)[0]["in"].ints, (abs(values) <= 2**29).astype(object))


def test_less_than() -> None:
    a = np.array([1.0, 2.0, 3.0, -4.0, 0.0])
    b = np.array([1.5, 2.0, 2.5, -3.5, 0.0])
    held_to_both(lambda mpc: {"x": mpc.less_than(mpc.constant(a), mpc.constant(b))}, a < b)
    held_to_both(lambda mpc: {"x": mpc.less_than(mpc.constant(a), 2.0)}, a < 2)


@pytest.mark.parametrize("limbs", [SMALL, LARGE])
@pytest.mark.parametrize("bound", [0, 1, 2**30, 2**100])
def test_in_range_for_any_element_of_the_ring(limbs: int, bound: int) -> None:
    top = 2 ** (64 * limbs - 1)
    inner = [0, 1, -1, bound, -bound, bound + 1, -bound - 1, bound - 1]
    values = np.array([*inner, top - 1, -top, top - bound, -top + bound], dtype=object)

    def program(mpc: Engine) -> dict[str, Secret]:
        x = _any_element(mpc, values, limbs)
        return {"x": mpc.in_range(x, bound)}

    held_to_both(program, abs(_signed(values, limbs)) <= bound)


def test_in_range_takes_a_bound_for_each_value() -> None:
    values = np.array([[5, 6], [-5, -6]], dtype=object)
    bounds = np.array([5, 5], dtype=object)
    held_to_both(lambda mpc: {"x": mpc.in_range(mpc.constant(values, frac=0), bounds)}, abs(values) <= bounds)


def test_shape_of_one_and_shapes_of_none() -> None:
    held_to_both(lambda mpc: {"x": mpc.is_negative(mpc.constant(-1.0))}, np.asarray(True))
    held_to_both(lambda mpc: {"x": mpc.is_negative(mpc.constant(np.zeros((0, 3))))}, np.zeros((0, 3)))


def _signed(values: np.ndarray, limbs: int) -> np.ndarray:
    half = 2 ** (64 * limbs - 1)
    return (values + half) % (2 * half) - half


def _any_element(mpc: Engine, values: np.ndarray, limbs: int) -> Secret:
    """Any ring element under a bound that it breaks."""
    quarters = mpc.constant(np.array([v // 4 for v in _signed(values, limbs)], dtype=object), limbs=limbs, frac=0)
    rests = mpc.constant(np.array([v % 4 for v in _signed(values, limbs)], dtype=object), limbs=limbs, frac=0)
    fourfold = replace(quarters, bound=1) * 4  # the label lies; the ring element is what it is
    return fourfold + rests
