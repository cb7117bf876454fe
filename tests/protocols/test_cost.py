"""Declared cost is tested cost: rounds and bytes of every verb, and the meter of masked openings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from protocols import ring, sums
from protocols.engine import LARGE, SMALL, Declared, Engine, Secret
from protocols.errors import RangeError, SecurityBudgetExceeded
from protocols.numeric.solve import inverse
from protocols.plaintext import Plaintext
from protocols.replicated import cost, opening
from protocols.replicated.engine import Replicated
from protocols.session import BUDGET_LOG2, Meter, Session
from protocols.simulation import Simulation
from tests.protocols.three_parties import in_the_clear, on_shares

Price = Callable[[tuple[int, ...]], cost.Cost]


def value(mpc: Engine, *shape: int, limbs: int = LARGE) -> Secret:
    return mpc.constant(np.linspace(-1, 1, math.prod(shape)).reshape(shape), limbs=limbs, frac=28 if limbs == SMALL else 64)


def wide(mpc: Engine, *shape: int, limbs: int = SMALL, bits: int = 76) -> Secret:
    """Numbers whose bound, `bits` bits, is too wide for masks to hide their products."""
    return replace(value(mpc, *shape, limbs=limbs), bound=1 << bits)


def unproven(mpc: Engine, *shape: int, limbs: int = SMALL) -> Secret:
    """Small numbers, if whoever shared them is to be believed."""
    return replace(value(mpc, *shape, limbs=limbs), proven=False)


VERBS: dict[str, tuple[Callable[[Engine], object], cost.Cost]] = {
    "local": (lambda m: (value(m, 3) + value(m, 3) - 1.5, m.stack([value(m, 3)] * 2), value(m, 2, 2).T * 4), cost.NOTHING),
    "mul": (lambda m: value(m, 5, 3) * value(m, 3), cost.masked_opening((5, 3, LARGE))),
    "mul small": (lambda m: value(m, 5, 3, limbs=SMALL) * value(m, 3, limbs=SMALL), cost.masked_opening((5, 3, SMALL))),
    "mul exact": (lambda m: m.mul(value(m, 5), value(m, 5), frac=128), cost.reshare((5, LARGE))),
    "mul public": (lambda m: value(m, 5) * 0.5, cost.masked_opening((5, LARGE))),
    "matmul": (lambda m: value(m, 5, 3) @ value(m, 3, 2), cost.masked_opening((5, 2, LARGE))),
    "mul_add": (
        lambda m: m.mul_add(value(m, 5, 3), value(m, 3), m.rescale_up(value(m, 5, 3), 128), frac=64),
        cost.masked_opening((5, 3, LARGE)),
    ),
    "row_products": (
        lambda m: m.row_products(value(m, 9, 3, limbs=SMALL), value(m, 9, 2, limbs=SMALL)),
        cost.masked_opening((3, 2, SMALL)),
    ),
    "gram": (
        lambda m: (lambda x: m.row_products(x, x, symmetric=True))(value(m, 9, 3, limbs=SMALL)),
        cost.masked_opening((6, SMALL)),
    ),
    "row_products beside a gram": (
        lambda m: (lambda x: m.row_products(x, x, symmetric=True, also=x[:, :2]))(value(m, 9, 3, limbs=SMALL)),
        cost.masked_opening((12, SMALL)),
    ),
    "truncate": (lambda m: m.truncate(value(m, 7), 10), cost.masked_opening((7, LARGE))),
    "lift": (lambda m: m.lift(value(m, 7, limbs=SMALL)), cost.masked_opening((7, SMALL))),
    "mul wide": (lambda m: wide(m, 5, 3) * value(m, 3, limbs=SMALL), cost.split_truncation_of_additive((5, 3, SMALL), 28)),
    "mul public wide": (lambda m: wide(m, 5) * 0.5, cost.split_truncation((5, SMALL), 28)),
    "matmul wide": (
        lambda m: wide(m, 5, 3) @ value(m, 3, 2, limbs=SMALL),
        cost.split_truncation_of_additive((5, 2, SMALL), 28),
    ),
    "mul_add wide": (
        lambda m: m.mul_add(wide(m, 5), value(m, 5, limbs=SMALL), m.rescale_up(value(m, 5, limbs=SMALL), 56), frac=28),
        cost.split_truncation_of_additive((5, SMALL), 28),
    ),
    "row_products wide": (
        lambda m: m.row_products(wide(m, 9, 3), value(m, 9, 2, limbs=SMALL)),
        cost.split_lift_of_additive((3, 2, SMALL)),
    ),
    "gram wide": (
        lambda m: (lambda x: m.row_products(x, x, symmetric=True))(wide(m, 9, 3, bits=48)),
        cost.split_lift_of_additive((6, SMALL)),
    ),
    "truncate wide": (lambda m: m.truncate(wide(m, 7, bits=100), 10), cost.split_truncation((7, SMALL), 10)),
    "truncate wide by two words": (
        lambda m: m.truncate(replace(wide(m, 7, bits=100), frac=90), 84),
        cost.split_truncation((7, SMALL), 84),
    ),
    "truncate wide by four words": (
        lambda m: m.truncate(replace(wide(m, 7, bits=240, limbs=LARGE), frac=230), 193),
        cost.split_truncation((7, LARGE), 193),
    ),
    "lift wide": (lambda m: m.lift(wide(m, 7, bits=100)), cost.split_lift((7, SMALL))),
    "mul of what is not proven": (
        lambda m: value(m, 5, 3) * unproven(m, 3, limbs=LARGE),
        cost.split_truncation_of_additive((5, 3, LARGE), 64),
    ),
    "mul public of what is not proven": (lambda m: unproven(m, 5) * 0.5, cost.split_truncation((5, SMALL), 28)),
    "mul exact of what is not proven": (lambda m: m.mul(unproven(m, 5), unproven(m, 5), frac=56), cost.reshare((5, SMALL))),
    "matmul of what is not proven": (
        lambda m: unproven(m, 5, 3) @ value(m, 3, 2, limbs=SMALL),
        cost.split_truncation_of_additive((5, 2, SMALL), 28),
    ),
    "mul_add of what is not proven": (
        lambda m: m.mul_add(value(m, 5, limbs=SMALL), value(m, 5, limbs=SMALL), m.rescale_up(unproven(m, 5), 56), frac=28),
        cost.split_truncation_of_additive((5, SMALL), 28),
    ),
    "row_products of what is not proven": (
        lambda m: m.row_products(value(m, 9, 3, limbs=SMALL), unproven(m, 9, 2)),
        cost.split_lift_of_additive((3, 2, SMALL)),
    ),
    "row_products beside what is not proven": (
        lambda m: (lambda x: m.row_products(x, x, symmetric=True, also=unproven(m, 9, 2)))(value(m, 9, 3, limbs=SMALL)),
        cost.split_lift_of_additive((12, SMALL)),
    ),
    "truncate what is not proven": (lambda m: m.truncate(unproven(m, 7), 10), cost.split_truncation((7, SMALL), 10)),
    "lift what is not proven": (lambda m: m.lift(unproven(m, 7)), cost.split_lift((7, SMALL))),
    "lift what was checked": (
        lambda m: m.lift(m.bounded(unproven(m, 7), 1 << 28, "a check that opened", checked=True)),
        cost.masked_opening((7, SMALL)),
    ),
    "mul many": (lambda m: value(m, 4097, 3, limbs=SMALL) * value(m, 3, limbs=SMALL), cost.masked_opening((4097, 3, SMALL))),
    "lift many, uneven": (lambda m: m.lift(value(m, 12_290, limbs=SMALL)), cost.masked_opening((12_290, SMALL))),
    "nothing": (lambda m: m.truncate(wide(m, 7, bits=100)[:0], 10), cost.masked_opening((0, SMALL))),
    "is_negative": (lambda m: m.is_negative(value(m, 70)), cost.negative((70, LARGE), 66)),
    "is_negative 40": (lambda m: m.is_negative(value(m, 2, 65, limbs=SMALL), bits=40), cost.negative((2, 65, SMALL), 40)),
    "is_negative in three parts": (lambda m: m.is_negative(value(m, 12_400)), cost.negative((12_400, LARGE), 66)),
    "is_negative, blurred": (lambda m: m.is_negative(value(m, 70), blur=33), cost.negative((70, LARGE), 33)),
    "is_negative of many": (lambda m: m.is_negative(value(m, 8000)), cost.negative((8000, LARGE), 66)),
    "in_range": (lambda m: m.in_range(value(m, 70), 5), cost.none_negative((70, LARGE))),
    "select": (lambda m: m.select(m.constant(1, frac=0), value(m, 9), 0.0), cost.reshare((9, LARGE))),
    "clamp": (lambda m: m.clamp(value(m, 9), 0.5), cost.clamp((9, LARGE), 66)),
    "public randomness": (lambda m: m.public_random_bytes(33), cost.public_random_bytes(33)),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_costs_what_it_declares(verb: str) -> None:
    run, declared = VERBS[verb]

    def program(session: Session) -> None:
        run(Replicated(session))

    meters = Simulation(3, ()).run(program).meters
    clear = Plaintext()
    run(clear)
    assert declared == clear.cost
    assert [m.rounds for m in meters] == [declared.rounds] * 3
    assert tuple(m.bytes_sent for m in meters) == declared.sent
    assert [m.leakage for m in meters] == [clear.meter.leakage] * 3
    assert [m.masked_openings for m in meters] == [clear.meter.masked_openings] * 3


@pytest.mark.parametrize("limbs", [SMALL, LARGE])
@pytest.mark.parametrize("count", [1, 8, 1000])
def test_masks_are_taken_up_to_what_they_may_leak(count: int, limbs: int) -> None:
    """The widest bound with count * (bound + 1) / 2^(K-3) <= 2^-49, and the next."""
    widest = 2 ** (ring.opening_bits(limbs) - 49) // count - 1
    rounding = widest // 2**40
    forms: list[tuple[Callable[[Engine, Secret], object], Price, Price]] = [
        (lambda m, x: m.truncate(x, 4), cost.masked_opening, lambda shape: cost.split_truncation(shape, 4)),
        (
            lambda m, x: m.mul(x, m.constant(np.ones(count, dtype=int), limbs=limbs, frac=0), frac=4),
            cost.masked_opening,
            lambda shape: cost.split_truncation_of_additive(shape, 4),
        ),
    ]
    for run, masked, split in forms:
        for bound, price, leaks in ((widest - rounding, masked, True), (widest + rounding, split, False)):
            mpc = Plaintext()
            run(mpc, replace(units(mpc, 3, limbs, count), bound=bound))
            assert mpc.cost == price((count, limbs))
            assert (mpc.meter.leakage > 0) == leaks
            assert mpc.meter.leakage_log2 <= -49
            assert mpc.meter.masked_openings == leaks * count


def rests_on(mpc: Engine, x: Secret) -> dict[str, Secret]:
    """Whatever may be made of x."""
    y, small = value(mpc, 4, 4), value(mpc, 4, 4, limbs=SMALL)
    narrow = mpc.narrow(x)
    return {
        "add": y + x,
        "sub": 1.0 - x,
        "index": x[1:],
        "reshape": x.reshape(-1),
        "transpose": x.T,
        "stack": mpc.stack([y, x]),
        "concat": mpc.concat([y, x]),
        "sum": x.sum(0),
        "combine": mpc.combine([y, x], [[1, 2]], [0]),
        "shift_left": mpc.shift_left(x, 1),
        "rescale_up": mpc.rescale_up(x, 70),
        "mul": y * x,
        "mul public": x * 0.5,
        "matmul": y @ x,
        "mul_add": mpc.mul_add(y, y, mpc.rescale_up(x, 128), frac=64),
        "row_products": mpc.row_products(small, small, also=replace(narrow, frac=28)),
        "truncate": mpc.truncate(x, 10),
        "select": mpc.select(mpc.constant(1, frac=0), y, x),
        "clamp": mpc.clamp(x, 0.5)[0],
        "bounded": mpc.bounded(x, 1 << 63, "a theorem"),
        "narrow": narrow,
        "lift": mpc.lift(narrow),
    }


def test_what_is_made_of_something_unproven_is_unproven_too() -> None:
    """A comparison is not: its answer is a bit, whatever was compared."""
    mpc = Plaintext()
    x = unproven(mpc, 4, 4, limbs=LARGE)
    assert [name for name, made in rests_on(mpc, x).items() if made.proven] == []
    assert [name for name, made in rests_on(mpc, value(mpc, 4, 4)).items() if not made.proven] == []
    assert mpc.is_negative(x).proven
    assert mpc.less_than(x, 0.5).proven
    assert mpc.in_range(x, 1 << 64).proven
    assert mpc.clamp(x, 0.5)[1].proven
    assert mpc.bounded(x, 1 << 64, "a check that opened", checked=True).proven


def test_many_openings_cost_all_parties_the_same() -> None:
    """4 elements each, three thirds of them from every party; below the limit one party sends half."""
    element = 8 * SMALL
    few, many = opening.BALANCED_FROM - 1, opening.BALANCED_FROM
    assert cost.masked_opening((few, SMALL)).sent == (few * element, 2 * few * element, few * element)
    assert cost.masked_opening((many // 3, 3, SMALL)).sent == (many * 4 // 3 * element,) * 3
    for n in (many + 1, many + 2):
        sent = cost.masked_opening((n, SMALL)).sent
        assert sum(sent) == 4 * n * element
        assert max(sent) - min(sent) <= 2 * element


def test_many_bits_are_led_by_every_party_alike() -> None:
    few, many = opening.BALANCED_FROM - 64, opening.BALANCED_FROM
    lengths = [[part.stop - part.start for part in opening.thirds(n, 64)] for n in (few, many, many + 100)]
    assert lengths == [[few, 0, 0], [many // 3] * 3, [many // 3, many // 3, many // 3 + 100]]


def test_the_room_of_the_ring_is_the_same_for_both_forms() -> None:
    for limbs in (SMALL, LARGE):
        edge = 2 ** ring.opening_bits(limbs)
        assert not cost.masks_suffice((1, limbs), edge - 1)
        with pytest.raises(RangeError):
            cost.masks_suffice((1, limbs), edge)


@pytest.mark.parametrize("hospitals", [(0, 1, 2), (1, 3), (3, 4, 5)])
def test_contributions_cost_what_they_declare(hospitals: tuple[int, ...]) -> None:
    declared = [Declared("a", (4, 3), 1.0), Declared("b", (), 1.0)]
    contributions = {h: {"a": np.zeros((4, 3)), "b": 0.25} for h in hospitals}
    _, outcome = on_shares(lambda mpc: mpc.totals(declared), contributions, declared, members=max(2, *hospitals) + 1)
    expected = cost.totals(13, LARGE, hospitals)
    assert [m.rounds for m in outcome.meters[:3]] == [expected.rounds] * 3
    assert tuple(m.bytes_sent for m in outcome.meters[:3]) == expected.sent
    assert all(outcome.meters[h].bytes_sent == cost.outsider(13, LARGE) for h in hospitals if h > 2)


def test_comparison_of_64_bits_takes_seven_rounds_and_fewer_for_few() -> None:
    assert cost.negative((10**6, SMALL), 64).rounds == 7
    assert cost.negative((10**6, LARGE), 256).rounds == 9
    assert cost.negative((1, SMALL), 64).rounds == 5
    assert cost.negative((600, LARGE), 256).rounds == 8
    assert cost.negative((1, LARGE), 12).rounds == 2
    assert cost.none_negative((1, LARGE)).rounds == 8


@pytest.mark.parametrize("bits", [2, 3, 40, 256])
@pytest.mark.parametrize("words", [1, 10, 1000])
def test_blocks_are_larger_only_where_that_is_cheap(words: int, bits: int) -> None:
    size = cost.block_bits(words, bits)
    assert 1 <= size < bits
    assert size <= 2 or 8 * words * 2 * (2**size - 1) * -(-(bits - 1) // size) <= cost.SMALL_MESSAGE
    if words == 1000:
        assert size == min(2, bits - 1)


def inverse_program(mpc: Engine) -> dict[str, Secret]:
    M = mpc.constant(np.diag([0.5, 0.25, 0.125]))
    X, singular = inverse(mpc, M, 1.0)
    return {"X": X, "singular": singular}


def test_sum_of_leaks_equals_the_plan() -> None:
    """A dry run in the clear, with other data, gives the rounds, bytes and leak of the real run."""
    _, plan = in_the_clear(inverse_program)
    _, outcome = on_shares(inverse_program)
    for party, meter in enumerate(outcome.meters):
        assert meter.leakage == plan.meter.leakage
        assert meter.masked_openings == plan.meter.masked_openings
        assert (meter.rounds, meter.bytes_sent) == (plan.cost.rounds, plan.cost.sent[party])


def units(mpc: Engine, value: int, limbs: int, count: int = 8) -> Secret:
    """`count` times this ring integer, at 8 fractional bits."""
    return replace(mpc.constant(np.full(count, value, dtype=object), limbs=limbs, frac=0), frac=8)


def test_leak_of_one_opening_is_its_bound() -> None:
    _, outcome = on_shares(lambda mpc: {"x": mpc.truncate(units(mpc, 2**20 - 1, SMALL), 4)})
    assert outcome.meters[1].leakage == 8 * 2.0 ** (20 - 125)
    _, outcome = on_shares(lambda mpc: {"x": mpc.truncate(units(mpc, 2**20 - 1, LARGE), 4)})
    assert outcome.meters[1].leakage == 8 * 2.0 ** (20 - 253)


def test_a_job_beyond_the_budget_is_stopped_before_anything_is_sent() -> None:
    meters: list[Meter] = []

    def program(session: Session) -> None:
        mpc = Replicated(session)
        meters.append(session.meter)
        for _ in range(512):
            session.meter.opened_masked(8, 73, 125)  # 2^-52 each, eight of them: 2^-49
        mpc.truncate(units(mpc, 2**73 - 1, SMALL), 1)

    with pytest.raises(SecurityBudgetExceeded):
        Simulation(3, (), deadline=5).run(program)
    assert all(meter.bytes_sent == 0 for meter in meters)


def test_five_hundred_and_twelve_openings_at_the_limit_are_one_job() -> None:
    mpc = Plaintext()
    for _ in range(512):
        mpc.truncate(units(mpc, 2**73 - 1, SMALL), 1)
    assert mpc.meter.leakage_log2 == BUDGET_LOG2
    mpc.truncate(units(mpc, 2**100, SMALL), 1)  # leaks nothing
    with pytest.raises(SecurityBudgetExceeded):
        mpc.truncate(units(mpc, 2**73 - 1, SMALL), 1)


def test_the_budget_is_summed_over_openings() -> None:
    meter = Meter()
    for _ in range(8):
        meter.opened_masked(2**20, 62, 125)
    assert meter.leakage_log2 == BUDGET_LOG2
    with pytest.raises(SecurityBudgetExceeded):
        meter.opened_masked(1, 62, 125)


def test_message_sizes_do_not_depend_on_values() -> None:
    def program(number: float) -> Callable[[Engine], dict[str, Secret]]:
        def run(mpc: Engine) -> dict[str, Secret]:
            x = mpc.bounded(mpc.constant(np.full(5, number)), 2**70, "test")
            x = mpc._secret(x.data, 64, 2**70)  # type: ignore[attr-defined]
            return {"x": mpc.clamp(x * x, 3.0)[0]}

        return run

    outcomes = [on_shares(program(number))[1] for number in (0.0, -31.25)]
    shapes = [[(f.kind, f.sender, f.payload.shape) for view in o.views for f in view] for o in outcomes]
    assert shapes[0] == shapes[1]


def test_declared_sums_are_one_message() -> None:
    declared = [Declared(str(i), (3,), 1.0) for i in range(10)]
    contributions = {h: {each.name: np.full(3, 0.25) for each in declared} for h in range(3)}
    _, outcome = on_shares(lambda mpc: mpc.totals(declared), contributions, declared)
    assert all(meter.frames == {sums.KIND: 1} for meter in outcome.meters)
