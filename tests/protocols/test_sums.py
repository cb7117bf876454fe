"""Contributions of hospitals: exact encodings, every cast of roles, and what colluding compute parties see of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import native
from protocols import sums
from protocols.engine import LARGE, SMALL, Declared, Engine, Secret
from protocols.errors import MisuseError, ValueRangeError
from protocols.prf import PairwiseKeys
from protocols.replicated.engine import Replicated
from protocols.replicated.inputs import share_vectors
from protocols.replicated.sharing import Shares, reconstruct
from protocols.session import Session
from protocols.simulation import Simulation
from tests.protocols.three_parties import in_the_clear, on_shares

MATRIX = Declared("matrix", (3, 2), 1e6, scale_bits=10)
COUNT = Declared("count", (), 1000, frac=0)
PAIR = Declared("pair", (4,), 50.0)
DECLARED = [MATRIX, COUNT, PAIR]
CASTS = [(0, 1), (2, 3), (3, 4), (0, 1, 2), (0, 3, 4), (1, 2, 3), (3, 4, 5), (0, 1, 2, 3), (3, 4, 5, 6)]
CASTS += [(0, 2, 3, 4, 5), (0, 1, 2, 3, 4)]


def values_of(hospital: int) -> dict[str, object]:
    rng = np.random.default_rng(hospital)
    high = rng.normal(size=4)
    return {"matrix": rng.normal(size=(3, 2)) * 1e5, "count": np.int64(10 + hospital), "pair": (high, high * 2.0**-54)}


@pytest.mark.parametrize("hospitals", CASTS)
def test_totals_of_every_cast(hospitals: tuple[int, ...]) -> None:
    contributions = {h: values_of(h) for h in hospitals}

    def program(mpc: Engine) -> dict[str, Secret]:
        return mpc.totals(DECLARED)

    clear, _ = in_the_clear(program, contributions)
    shared, _ = on_shares(program, contributions, DECLARED, members=max(3, max(hospitals) + 1))
    for each in DECLARED:
        np.testing.assert_array_equal(clear[each.name].ints, shared[each.name].ints)
        assert shared[each.name].bound == each.bound
    assert shared["count"].ints == sum(10 + h for h in hospitals)
    exact = sum(as_fractions(values_of(h)["matrix"]) for h in hospitals) * Fraction(2**64, 2**10)
    assert max(abs(d) for d in np.ravel(shared["matrix"].ints - exact)) <= len(hospitals) * 0.5
    pair = sum(as_fractions(half) for h in hospitals for half in values_of(h)["pair"]) * 2**64
    assert max(abs(d) for d in np.ravel(shared["pair"].ints - pair)) <= len(hospitals)


def as_fractions(values: object) -> np.ndarray:
    return np.vectorize(lambda v: Fraction(float(v)), otypes=[object])(values)


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        (Declared("a", (), 2**40, frac=0), np.int64(-(2**40)), -(2**40)),
        (Declared("a", (), 2**40, frac=0), 12345, 12345),
        (Declared("a", (), 2**40, frac=64, scale_bits=3), np.int64(-5), -5 * 2**61),
        (Declared("a", (), 2**40, frac=0, scale_bits=2), np.int64(7), 2),
        (Declared("a", (), 1.0, frac=64), 2.0**-64, 1),
        (Declared("a", (), 1.0, frac=64), (np.asarray(0.5), np.asarray(-(2.0**-64))), 2**63 - 1),
        (Declared("a", (), 1e30, frac=64), -1e30, -int(1e30) * 2**64),
    ],
)
def test_encoding(declared: Declared, value: object, expected: int) -> None:
    assert native.to_ints(sums.encode(declared, value)) == expected  # type: ignore[arg-type]
    assert abs(expected) <= declared.bound


@pytest.mark.parametrize("value", [1.0001, -2.0, np.nan, np.inf, (np.asarray(1.0), np.asarray(0.5))])
def test_a_value_out_of_range_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(ValueRangeError) as refusal:
        sums.encode(Declared("a", (), 1.0), value)  # type: ignore[arg-type]
    assert "1.0001" not in str(refusal.value)


@pytest.mark.parametrize("values", [{}, {"a": 1.0, "b": 2.0}, None])
def test_a_hospital_contributes_exactly_what_is_declared(values: dict[str, float] | None) -> None:
    declared = [Declared("a", (), 10.0)]

    def program(session: Session) -> None:
        mpc = Replicated(session)
        if values is not None:
            mpc.contribute(values)
        mpc.totals(declared)

    with pytest.raises(MisuseError):
        Simulation(3, (0, 1, 2), deadline=5).run(program)


def test_a_wrong_shape_is_refused() -> None:
    with pytest.raises(MisuseError):
        sums.encode(Declared("a", (3,), 1.0), np.zeros(4))


def contribution_seen_by_all_three(hospitals: tuple[int, ...], values: dict[int, float]) -> tuple[dict[int, int], int]:
    """What three colluding compute parties reconstruct of each hospital, and the total that they may know."""
    declared = [Declared("a", (), 1000.0, frac=0)]
    seen: dict[int, dict[int, Shares]] = {}

    def program(session: Session) -> np.ndarray | None:
        mine = {"a": np.int64(values[session.me])} if session.holds_data else None
        received = sums._exchange(session, declared, mine)
        seen[session.me] = received
        return None

    Simulation(max(hospitals) + 1, hospitals).run(program)
    of_each = {h: int(native.to_ints(reconstruct(tuple(seen[p][h].own for p in range(3))))[0]) for h in hospitals}
    return of_each, sum(of_each.values()) % 2**256


def test_three_colluding_parties_see_totals_only() -> None:
    values = {3: 11.0, 4: 22.0, 5: 33.0}
    of_each, total = contribution_seen_by_all_three((3, 4, 5), values)
    assert total == 66
    for hospital, seen in of_each.items():
        assert abs(seen) > 2**200, f"hospital {hospital} is barely masked"
    again, _ = contribution_seen_by_all_three((3, 4, 5), {**values, 3: 12.0, 4: 21.0})
    assert again[3] - of_each[3] == 1  # the same mask under the same seed: nothing but the mask hides it


def test_without_pairwise_masks_every_hospital_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutation that the test above must catch."""
    monkeypatch.setattr(sums, "_masked", lambda session, vector: vector)
    of_each, _ = contribution_seen_by_all_three((3, 4, 5), {3: 11.0, 4: 22.0, 5: 33.0})
    assert of_each == {3: 11, 4: 22, 5: 33}


def test_masks_of_one_session_do_not_serve_another() -> None:
    secrets = {1: b"s" * 32}
    keys = [PairwiseKeys(session_id, 0, secrets) for session_id in (b"a" * 16, b"b" * 16)]
    first, second = (each.stream(1, sums.MASK).ring((4,), LARGE) for each in keys)
    assert not np.any(first == second)


@pytest.mark.parametrize("owner", range(5))
def test_one_owners_vector_is_shared_whoever_it_is(owner: int) -> None:
    numbers = np.arange(12)

    def program(session: Session) -> Shares | None:
        mine = native.from_ints(numbers.astype(object), SMALL) if session.me == owner else None
        return share_vectors(session, "input", [owner], len(numbers), SMALL, mine).get(owner)

    shares = Simulation(5, (0, 3, 4)).run(program).results
    assert shares[3] is None
    assert shares[4] is None
    for party in range(3):
        np.testing.assert_array_equal(shares[party].next, shares[(party + 1) % 3].own)
    np.testing.assert_array_equal(native.to_ints(reconstruct(tuple(s.own for s in shares[:3]))), numbers.astype(object))
