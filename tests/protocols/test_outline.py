"""The engine that only plans: the plan of every verb is that of the same calls on numbers, and it takes no memory."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from protocols.elements import indexed
from protocols.engine import LARGE, SMALL, SMALL_FRAC, Declared, Engine, Secret
from protocols.errors import RangeError
from protocols.outline import Outline
from protocols.plaintext import Plaintext
from tests.protocols.test_cost import VERBS, inverse_program, rests_on, value


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_costs_the_same_without_numbers(verb: str) -> None:
    plan, clear = Outline(), Plaintext()
    for mpc in (plan, clear):
        VERBS[verb][0](mpc)
    assert plan.cost == clear.cost
    assert (plan.meter.leakage, plan.meter.masked_openings) == (clear.meter.leakage, clear.meter.masked_openings)


def labels(x: Secret) -> tuple[Any, ...]:
    return x.shape, x.limbs, x.frac, x.bound, x.proven, x.data.value.shape


def test_results_have_the_shapes_scales_and_bounds_of_numbers() -> None:
    made = [rests_on(mpc, value(mpc, 4, 4)) | inverse_program(mpc) for mpc in (Outline(), Plaintext())]
    assert {name: labels(x) for name, x in made[0].items()} == {name: labels(x) for name, x in made[1].items()}


def test_a_plan_one_bit_over_is_refused_without_numbers() -> None:
    mpc = Outline()
    with pytest.raises(RangeError):
        mpc.truncate(mpc.shift_left(value(mpc, 3, limbs=SMALL), 98), 1)


INDICES: list[Any] = [
    0,
    -1,
    slice(1, None),
    (slice(None), 2),
    (0, slice(None, None, 2)),
    (np.array([0, 2, 1]),),
    (np.array([[0, 1], [2, 0]]), slice(None), 1),
    (np.array([0, 1]), np.array([2, 3])),
    np.array([True, False, True]),
    (None, 1),
    (Ellipsis, 1),
    (1, Ellipsis, slice(0, 2)),
    np.ones((3, 4), dtype=bool),
    [0, 1],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_the_shape_after_indexing_is_numpys(index: Any) -> None:
    assert indexed((3, 4, 5), index) == np.zeros((3, 4, 5))[index].shape


@pytest.mark.parametrize("index", [3, (0, 4), (0, 0, 0, 0), np.ones(4, dtype=bool), (np.array([3]),)], ids=str)
def test_an_index_beyond_the_shape_is_an_error(index: Any) -> None:
    with pytest.raises(IndexError):
        indexed((3, 4, 5), index)


def gram_of_rows(mpc: Engine, rows: int) -> Secret:
    received = mpc.rows({0: [Declared("z", (rows, 20), 1.0, SMALL_FRAC)]})[0]["z"]
    z = mpc.bounded(received, 1 << SMALL_FRAC, "a check that opened", checked=True)
    picked = mpc.stack([z, z])[np.array([1, 0])][0]
    weighted = mpc.mul(mpc.concat([picked[: rows // 2], picked[rows // 2 :]]), 0.5) + mpc.sum(z, 0)
    return mpc.row_products(mpc.bounded(weighted, 1 << SMALL_FRAC, "test"), z)


def test_a_plan_takes_the_same_memory_for_any_number_of_rows() -> None:
    tracemalloc.start()
    try:
        product = gram_of_rows(Outline(), 1 << 32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert product.shape == (20, 20)
    assert product.limbs == LARGE
    assert peak < 1 << 20
