"""Inverses against exact big-integer inverses, ranges under the worst truncations, and the refusal of what is singular."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import native
from protocols.engine import LARGE, LARGE_FRAC, Engine, Secret
from protocols.errors import MisuseError, RangeError
from protocols.numeric import solve as solver
from protocols.numeric.solve import inverse, solve
from protocols.plaintext import Clear, Plaintext
from tests.protocols.three_parties import in_the_clear, on_shares
from tests.protocols.worst import Worst

PRECISION = 320


def semidefinite(eigenvalues: np.ndarray, seed: int = 0) -> np.ndarray:
    """A symmetric matrix with these eigenvalues, as integers at 64 fractional bits: what the engines compute on."""
    d = len(eigenvalues)
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))
    m = (q * eigenvalues) @ q.T
    units = np.vectorize(lambda v: round(Fraction(v) * 2**LARGE_FRAC), otypes=[object])(m)
    return np.tril(units) + np.tril(units, -1).T


def spread(d: int, condition: float) -> np.ndarray:
    eigenvalues = np.logspace(0, -np.log10(condition), d)
    return eigenvalues / eigenvalues.sum()


def exact_inverse(units: np.ndarray) -> np.ndarray:
    """The inverse as integers at PRECISION bits, by Newton steps in big integers from NumPy's."""
    d, one = len(units), 1 << PRECISION
    M = units << (PRECISION - LARGE_FRAC)
    X = np.vectorize(lambda v: int(Fraction(v) * one), otypes=[object])(np.linalg.inv((units / 2**LARGE_FRAC).astype(float)))
    two = 2 * one * np.eye(d, dtype=int).astype(object)
    for _ in range(8):
        X = X @ (two - (M @ X >> PRECISION)) >> PRECISION
    residual = (two >> 1) - (M @ X >> PRECISION)
    assert max(map(abs, residual.ravel())) < one >> 128
    return X


def errors(got: np.ndarray, units: np.ndarray) -> tuple[float, float]:
    """(largest error relative to the largest entry, largest error in the scale of standard errors)."""
    exact = exact_inverse(units)
    error = (abs((got << (PRECISION - LARGE_FRAC)) - exact) / 2**PRECISION).astype(float)
    real = (exact / 2**PRECISION).astype(float)
    scale = np.sqrt(np.diag(real))
    return error.max() / np.abs(real).max(), (error / np.outer(scale, scale)).max()


def shared_matrix(mpc: Engine, units: np.ndarray) -> Secret:
    """M with fresh components, as totals come."""
    M = mpc.mul(mpc.constant(units, frac=0), mpc.constant(1, frac=0))
    return replace(M, frac=LARGE_FRAC)


def inverse_on_shares(units: np.ndarray, trace_bound: float) -> tuple[np.ndarray, np.ndarray, int]:
    def program(mpc: Engine) -> dict[str, Secret]:
        X, singular = inverse(mpc, shared_matrix(mpc, units), trace_bound)
        return {"X": X, "singular": singular}

    released, outcome = on_shares(program)
    return released["X"].ints, released["singular"].ints, outcome.meters[0].rounds


@pytest.mark.parametrize(
    ("d", "condition", "trace_bound"),
    [
        *[(1, 1, 1), (2, 1e3, 1), (20, 1e2, 1), (20, 1e8, 1), (20, 1e12, 1), (100, 1e8, 1)],
        *[(20, 1e8, 100), (20, 1e8, 2**15), (50, 1e8, 50)],
    ],
)
def test_inverse_is_exact_to_eleven_digits(d: int, condition: float, trace_bound: float) -> None:
    units = semidefinite(spread(d, condition), seed=d)
    X, singular, _ = inverse_on_shares(units, trace_bound)
    assert singular == 0
    relative, in_standard_errors = errors(X, units)
    assert relative < 1e-11
    assert in_standard_errors < 1e-11


@pytest.mark.parametrize("d", [1, 5, 40])
def test_a_matrix_whose_trace_is_small_is_solved_too(d: int) -> None:
    """trace M = 2^-12 under a bound of 4."""
    units = semidefinite(spread(d, 1e5) / 2**12)
    X, singular, _ = inverse_on_shares(units, 4.0)
    assert singular == 0
    assert errors(X, units)[0] < 1e-11


def test_rounds_do_not_depend_on_size() -> None:
    """1 product to share the input, 49 rounds, a comparison of 10; one more where N has more than 64 fractional bits."""
    assert inverse_on_shares(semidefinite(spread(2, 10)), 1.0)[2] == 1 + 49 + 10
    rounds = {inverse_on_shares(semidefinite(spread(d, 10)), 8.0)[2] for d in (2, 8)}
    assert rounds == {1 + 1 + 49 + 10}


SINGULAR = {
    "zero": np.zeros((4, 4), dtype=object),
    "one column": np.diag([2**60, 0, 0]).astype(object),
    "equal columns": np.full((3, 3), 2**60, dtype=object),
    "rank one of ten": semidefinite(np.array([0.5] + [0.0] * 9)),
    "one eigenvalue of 2^-50": semidefinite(np.array([0.5, 0.25, 2.0**-50])),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_singular_matrices_are_declared(name: str) -> None:
    _, singular, _ = inverse_on_shares(SINGULAR[name], 1.0)
    assert singular == 1


def test_stacked_matrices_are_solved_at_once() -> None:
    units = np.stack([semidefinite(spread(5, 1e4), 1), SINGULAR["rank one of ten"][:5, :5], semidefinite(spread(5, 1e2), 2)])
    X, singular, rounds = inverse_on_shares(units, 1.0)
    assert list(singular) == [0, 1, 0]
    assert rounds == 1 + 49 + 10
    for i in (0, 2):
        assert errors(X[i], units[i])[0] < 1e-11


def test_solve_clamps_and_says_so() -> None:
    units = semidefinite(np.array([0.5, 0.25, 0.125]))
    B = np.array([[0.1, 5.0], [-0.2, 1.0], [0.05, 0.25]])

    def program(mpc: Engine) -> dict[str, Secret]:
        answer = solve(mpc, shared_matrix(mpc, units), mpc.constant(B), 1.0, limit=4.0)
        return {"x": answer.x, "singular": answer.singular, "clamped": answer.clamped}

    expected = np.linalg.solve((units / 2**64).astype(float), B)
    for released in (in_the_clear(program)[0], on_shares(program)[0]):
        x = (released["x"].ints / 2**64).astype(float)
        np.testing.assert_allclose(x, np.clip(expected, -4, 4), rtol=1e-12)
        np.testing.assert_array_equal(released["clamped"].ints.astype(bool), np.abs(expected) > 4)
        assert released["clamped"].ints.any()
        assert released["x"].bound == 4 * 2**64


SPREADS = {"well": spread(8, 10), "ill": spread(8, 1e12), "wide": spread(60, 1e15)}
MATRICES = {**SINGULAR, **{name: semidefinite(eigenvalues) for name, eigenvalues in SPREADS.items()}}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("error", [-2, 2, 32])
def test_the_range_theorem_holds_under_the_worst_truncations(name: str, error: int) -> None:
    mpc = Worst(error)
    X, _ = inverse(mpc, mpc._secret(Clear(native.from_ints(MATRICES[name], LARGE)), LARGE_FRAC, 2**65), 1.0)
    assert max(map(abs, native.to_ints(X.data.value).ravel())) <= X.bound


def test_leak_is_what_the_docstring_says() -> None:
    mpc = Plaintext()
    inverse(mpc, mpc.constant(np.eye(100) / 100), 1.0)
    assert mpc.meter.leakage_log2 < -53


def test_misuse() -> None:
    mpc = Plaintext()
    for bad in (mpc.constant(np.ones((2, 3))), mpc.constant(np.ones(3)), mpc.constant(np.eye(2), limbs=2, frac=28)):
        with pytest.raises(MisuseError):
            inverse(mpc, bad, 1.0)
    for trace_bound in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(MisuseError):
            inverse(mpc, mpc.constant(np.eye(2)), trace_bound)
    with pytest.raises(RangeError):
        inverse(mpc, mpc.constant(np.eye(2)), 2.0**64)
    with pytest.raises(RangeError):
        solver._require_small(1000)
