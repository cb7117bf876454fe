"""The truncation theorem: error within (-2, +2] units, unbiased, on more than 10^6 values of every size up to the edge."""

from __future__ import annotations

import numpy as np
import pytest

import native
from protocols import ring
from protocols.replicated.sharing import reconstruct
from protocols.replicated.truncate import truncate_additive
from protocols.session import Session
from protocols.simulation import Simulation


def additive_shares(elements: np.ndarray, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    first, second = (rng.integers(0, 2**64, size=elements.shape, dtype=np.uint64) for _ in range(2))
    return [first, second, native.sub(native.sub(elements, first), second)]


def truncated(elements: np.ndarray, drop: int, seed: int) -> np.ndarray:
    """z / 2^drop by the protocol, on any |z| < 2^(K-3); the leak is not what is tested here."""
    limbs = elements.shape[-1]
    shares = additive_shares(elements, seed)

    def program(session: Session) -> np.ndarray:
        session.meter.opened_masked = lambda *_: None  # type: ignore[method-assign]
        bound = (1 << ring.opening_bits(limbs)) - 1
        return truncate_additive(session, shares[session.me], drop, bound).own

    return reconstruct(tuple(Simulation(seed=str(seed)).run(program).results))


def random_values(n: int, bits: int, limbs: int, seed: int) -> np.ndarray:
    """Uniform |z| < 2^bits, the first ones at the edges."""
    words = np.random.default_rng(seed).integers(0, 2**64, size=(n, limbs), dtype=np.uint64)
    values = native.shift_right_signed(words, ring.bits(limbs) - 1 - bits)
    edge = (1 << bits) - 1
    values[:4] = native.from_ints([edge, -edge, 0, -1], limbs)
    return values


def errors_in_units(values: np.ndarray, drop: int, seed: int) -> np.ndarray:
    """(result - z / 2^drop) in units: float64 of an exact difference."""
    result = truncated(values, drop, seed)
    remainder = native.sub(native.shift_left(result, drop), values)
    return native.decode(remainder, drop)


@pytest.mark.parametrize("limbs", [2, 4])
def test_error_is_within_two_units_and_unbiased(limbs: int) -> None:
    n, total = 300_000, []
    width = ring.opening_bits(limbs)
    for seed, (bits, drop) in enumerate([(width, 28), (width, 64), (width - 60, 28), (40, 64), (0, 28)]):
        errors = errors_in_units(random_values(n, bits, limbs, seed), drop, seed)
        assert errors.min() > -2
        assert errors.max() <= 2
        total.append(errors.mean())
    assert abs(np.mean(total)) < 0.01
    assert max(map(abs, total)) <= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("limbs", [2, 4])
def test_a_hundred_million_truncations(limbs: int) -> None:
    for seed in range(50):  # times a million, times two rings
        errors = errors_in_units(random_values(10**6, ring.opening_bits(limbs), limbs, 100 + seed), 28, seed)
        assert errors.min() > -2
        assert errors.max() <= 2


def test_a_value_beyond_the_edge_would_wrap() -> None:
    """The bound that the plan enforces is the true one: past it the result is off by far more than two units."""
    beyond = np.broadcast_to(native.from_ints([-(2**126)], 2), (1000, 2))
    shares = additive_shares(np.ascontiguousarray(beyond), 1)

    def program(session: Session) -> np.ndarray:
        session.meter.opened_masked = lambda *_: None  # type: ignore[method-assign]
        return truncate_additive(session, shares[session.me], 28, 2**125 - 1).own

    result = reconstruct(tuple(Simulation().run(program).results))
    assert np.abs(native.decode(result, 0) + 2.0**98).max() > 2**90
