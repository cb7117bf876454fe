"""The truncation theorems: by masked opening, error within (-2, +2] units, on more than 10^6 values of every size up to the edge;
from two addends, error within one unit, unbiased, exact where the value divides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import native
from protocols import ring
from protocols.replicated import opening, split
from protocols.replicated.convert import lift_masked
from protocols.replicated.sharing import Shares, reconstruct
from protocols.replicated.truncate import truncate_masked
from protocols.session import Session
from protocols.simulation import Simulation

Form = Callable[[Session, list[np.ndarray], int], Shares]  # (session, the three additive shares, bits dropped)


def by_opening(session: Session, shares: list[np.ndarray], drop: int) -> Shares:
    """On any |z| < 2^(K-3); the leak is not what is tested here."""
    session.meter.opened_masked = lambda *_: None  # type: ignore[method-assign]
    bound = (1 << ring.opening_bits(shares[0].shape[-1])) - 1
    return truncate_masked(session, shares[session.me], drop, bound)


def from_replicated(session: Session, shares: list[np.ndarray], drop: int) -> Shares:
    return split.truncate(session, Shares(shares[session.me], shares[(session.me + 1) % 3]), drop)


def from_additive(session: Session, shares: list[np.ndarray], drop: int) -> Shares:
    return split.truncate_additive(session, shares[session.me], drop)


SPLIT: list[Form] = [from_replicated, from_additive]


def additive_shares(elements: np.ndarray, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(0, 2**64, size=elements.shape, dtype=np.uint64) for _ in range(2))
    return [first, second, native.sub(native.sub(elements, first), second)]


def truncated(form: Form, shares: list[np.ndarray], drop: int, seed: int = 0) -> np.ndarray:
    """z / 2^drop, as every pair of parties holds it."""
    mine = Simulation(seed=str(seed)).run(lambda session: form(session, shares, drop)).results
    for party in range(3):
        np.testing.assert_array_equal(mine[party].next, mine[(party + 1) % 3].own)
    return reconstruct(tuple(each.own for each in mine))


def random_values(n: int, bits: int, limbs: int, seed: int) -> np.ndarray:
    """Uniform |z| < 2^bits, the first ones at the edges."""
    words = np.random.default_rng(seed).integers(0, 2**64, size=(n, limbs), dtype=np.uint64)
    values = native.shift_right_signed(words, ring.bits(limbs) - 1 - bits)
    edge = (1 << bits) - 1
    values[:4] = native.from_ints([edge, -edge, 0, -1], limbs)
    return values


def errors_in_units(form: Form, values: np.ndarray, drop: int, seed: int) -> np.ndarray:
    """(result - z / 2^drop) in units: float64 of an exact difference."""
    result = truncated(form, additive_shares(values, seed), drop, seed)
    remainder = native.sub(native.shift_left(result, drop), values)
    return native.decode(remainder, drop)


@pytest.mark.parametrize("limbs", [2, 4])
def test_error_is_within_two_units_and_unbiased(limbs: int) -> None:
    n, total = 300_000, []
    width = ring.opening_bits(limbs)
    for seed, (bits, drop) in enumerate([(width, 28), (width, 64), (width - 60, 28), (40, 64), (0, 28)]):
        errors = errors_in_units(by_opening, random_values(n, bits, limbs, seed), drop, seed)
        assert errors.min() > -2
        assert errors.max() <= 2
        total.append(errors.mean())
    assert abs(np.mean(total)) < 0.01
    assert max(map(abs, total)) <= 0.5


@pytest.mark.parametrize("more", range(-2, 4))
def test_openings_in_one_part_and_in_three(more: int) -> None:
    """Around the count from which on parts open to different parties, at sizes that three divides or not."""
    n = opening.BALANCED_FROM + more
    errors = errors_in_units(by_opening, random_values(n, 100, 2, n), 28, n)
    assert errors.shape == (n,)
    assert errors.min() > -2
    assert errors.max() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("limbs", [2, 4])
def test_a_hundred_million_truncations(limbs: int) -> None:
    for seed in range(50):  # times a million, times two rings
        errors = errors_in_units(by_opening, random_values(10**6, ring.opening_bits(limbs), limbs, 100 + seed), 28, seed)
        assert errors.min() > -2
        assert errors.max() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("limbs", [2, 4])
def test_a_hundred_million_truncations_from_two_addends(limbs: int) -> None:
    width = ring.opening_bits(limbs)
    for seed in range(50):  # times a million, times two rings
        values = random_values(10**6, width, limbs, 200 + seed)
        values[-1000:] = native.shift_left(native.shift_right_signed(values[-1000:], 28), 28)
        errors = errors_in_units(SPLIT[seed % 2], values, 28, seed)
        assert errors.min() > -1
        assert errors.max() < 1
        assert abs(errors.mean()) < 6 * 0.41 / 1000  # the deviation of one is sqrt(1/6)
        assert not errors[-1000:].any()


def test_a_value_beyond_the_edge_would_wrap() -> None:
    """The bound that the plan enforces is the true one: past it the result is off by far more than two units."""
    beyond = np.broadcast_to(native.from_ints([-(2**126)], 2), (1000, 2))
    shares = additive_shares(np.ascontiguousarray(beyond), 1)

    def program(session: Session) -> np.ndarray:
        session.meter.opened_masked = lambda *_: None  # type: ignore[method-assign]
        return truncate_masked(session, shares[session.me], 28, 2**125 - 1).own

    result = reconstruct(tuple(Simulation().run(program).results))
    assert np.abs(native.decode(result, 0) + 2.0**98).max() > 2**90


# -- from two addends: every carry and both top bits, at the edges of the range --------------------------------------------


def edge_values(limbs: int) -> list[int]:
    edge = 2 ** ring.opening_bits(limbs) - 1
    return [0, 1, -1, 2**28, -(2**28), 2**28 - 1, 1 - 2**28, edge, -edge, edge - 1, 1 - edge]


def edge_addends(limbs: int) -> list[int]:
    """Shares x_2 where party 0's number or the others' turns over: 0, all ones, the top bit alone, and beside them."""
    half, whole = 1 << ring.bits(limbs) - 1, 1 << ring.bits(limbs)
    quarter = 1 << ring.opening_bits(limbs)
    return [
        0,
        1,
        whole - 1,
        half - 1,
        half,
        half + 1,
        quarter - 1,
        quarter,
        whole - quarter,
        whole - quarter + 1,
        2**28 - 1,
        2**28,
    ]


def edge_shares(limbs: int) -> tuple[list[int], list[np.ndarray]]:
    """Every edge value with every edge addend, the first component 0, all ones or odd."""
    pairs = [(z, b, first) for z in edge_values(limbs) for b in edge_addends(limbs) for first in (0, -1, 2**77 + 1)]
    columns = [[first for _, _, first in pairs], [z - b - first for z, b, first in pairs], [b for _, b, _ in pairs]]
    return [z for z, _, _ in pairs], [native.from_ints(column, limbs) for column in columns]


@pytest.mark.parametrize("form", SPLIT)
@pytest.mark.parametrize("limbs", [2, 4])
def test_every_edge_from_two_addends(limbs: int, form: Form) -> None:
    """The neighbours of z / 2^f, and z / 2^f itself where it is an integer, for every number of bits that may be dropped."""
    values, shares = edge_shares(limbs)
    exact = np.array(values, dtype=object)
    for drop in [1, 2, 27, 28, 29, 63, 64, 65, 124, 125, *([127, 128, 129, 191, 192, 193, 252, 253] if limbs == 4 else [])]:
        got = native.to_ints(truncated(form, shares, drop))
        assert np.all((got == exact >> drop) | (got == -(-exact >> drop))), drop


@pytest.mark.parametrize("drop", [1, 3])
@pytest.mark.parametrize("z", [5, -5, 8, -3, 0])
def test_rounding_from_two_addends_has_no_bias(z: int, drop: int) -> None:
    """Over all low parts of b, each once, the mean is z / 2^f exactly."""
    lows = 1 << drop
    for high in (0, -(1 << 60), 1 << 126, -(1 << 127)):
        b = [high + low for low in range(lows)]
        shares = [native.from_ints(column, 2) for column in ([7] * lows, [z - 7 - each for each in b], b)]
        assert native.to_ints(truncated(from_replicated, shares, drop)).sum() == z


@pytest.mark.parametrize("form", SPLIT)
@pytest.mark.parametrize("limbs", [2, 4])
def test_error_from_two_addends_is_within_one_unit_and_unbiased(limbs: int, form: Form) -> None:
    n, width = 300_000, ring.opening_bits(limbs)
    for seed, (bits, drop) in enumerate([(width, 28), (width, 64), (width - 60, 65), (40, 64), (0, 28)]):
        errors = errors_in_units(form, random_values(n, bits, limbs, seed), drop, seed)
        assert errors.min() > -1
        assert errors.max() < 1
        assert abs(errors.mean()) < 6 * 0.5 / n**0.5


@pytest.mark.parametrize("lift", ["replicated", "additive", "opening"])
@pytest.mark.parametrize("times", [1, 32])
def test_lifting_keeps_the_integer_at_every_edge(lift: str, times: int) -> None:
    values, shares = edge_shares(2)
    values, shares = values * times, [np.tile(share, (times, 1)) for share in shares]
    assert (len(values) >= opening.BALANCED_FROM) == (times > 1)
    lifts: dict[str, Form] = {
        "replicated": lambda session, x, _: split.lift(session, Shares(x[session.me], x[(session.me + 1) % 3])),
        "additive": lambda session, x, _: split.lift_additive(session, x[session.me]),
        "opening": lambda session, x, _: lift_masked(session, x[session.me], 2**125 - 1),
    }

    def form(session: Session, x: list[np.ndarray], drop: int) -> Shares:
        session.meter.opened_masked = lambda *_: None  # type: ignore[method-assign]
        return lifts[lift](session, x, drop)

    result = truncated(form, shares, 0)
    assert result.shape[-1] == 4
    assert native.to_ints(result).tolist() == values


@pytest.mark.parametrize("form", SPLIT)
def test_nothing_from_two_addends(form: Form) -> None:
    shares = [np.zeros((0, 3, 2), dtype=np.uint64)] * 3
    assert truncated(form, shares, 28).shape == (0, 3, 2)


def test_a_value_beyond_the_edge_would_carry_wrongly() -> None:
    """Past the edge the sum's top bit is 1, and that neither addend has it says nothing about a carry any more."""
    beyond = np.ascontiguousarray(np.broadcast_to(native.from_ints([-(2**126)], 2), (1000, 2)))
    result = truncated(from_replicated, additive_shares(beyond, 1), 28)
    assert np.abs(native.decode(result, 0) + 2.0**98).max() > 2**90
