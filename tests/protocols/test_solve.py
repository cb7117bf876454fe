"""Inverses against exact big-integer inverses, ranges under the worst truncations, and the refusal of what is singular."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import native
from protocols.engine import LARGE, LARGE_FRAC, Engine, Secret
from protocols.errors import MisuseError, RangeError
from protocols.numeric import solve as solver
from protocols.numeric.solve import FAST, POLISH, Coupled, improve, inverse, inverse_of, precondition, solve
from protocols.plaintext import Clear, Plaintext
from tests.protocols.three_parties import in_the_clear, on_shares
from tests.protocols.worst import Worst

PRECISION = 320


def semidefinite(eigenvalues: np.ndarray, seed: int = 0) -> np.ndarray:
    """A symmetric matrix with these eigenvalues, as integers at 64 fractional bits: what the engines compute on."""
    d = len(eigenvalues)
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))
    return symmetric((q * eigenvalues) @ q.T)


def symmetric(m: np.ndarray) -> np.ndarray:
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


def secret(mpc: Plaintext, units: np.ndarray) -> Secret:
    return mpc._secret(Clear(native.from_ints(units, LARGE)), LARGE_FRAC, 2**65)


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
    """1 product to share the input, 27 rounds, a comparison of 5; one more where N has more than 74 fractional bits."""
    assert inverse_on_shares(semidefinite(spread(2, 10)), 1.0)[2] == 1 + 27 + 5
    assert {inverse_on_shares(semidefinite(spread(d, 10)), 8.0)[2] for d in (2, 8)} == {1 + 27 + 5}
    assert {inverse_on_shares(semidefinite(spread(d, 10)), 2.0**11)[2] for d in (2, 8)} == {1 + 1 + 27 + 5}


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
    assert rounds == 1 + 27 + 5
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
    X, _ = inverse(mpc, secret(mpc, MATRICES[name]), 1.0)
    assert max(map(abs, native.to_ints(X.data.value).ravel())) <= X.bound


@pytest.mark.parametrize(("d", "leak_log2"), [(20, -57), (100, -50)])
def test_leak_is_what_the_docstring_says(d: int, leak_log2: float) -> None:
    mpc = Plaintext()
    inverse(mpc, mpc.constant(np.eye(d) / d), d)
    assert mpc.meter.leakage_log2 < leak_log2


def image(low: float, high: float, scales: Sequence[float]) -> tuple[float, float]:
    """Where eigenvalues in [low, high] end: f is concave, with its maximum 1 at 1 / a."""
    for a in scales:
        ends = [1 - (1 - a * y) ** 2 for y in (low, high)]
        low, high = min(ends), 1.0 if low <= 1 / a <= high else max(ends)
    return low, high


def test_scales_converge_as_the_docstring_says() -> None:
    assert image(2.0**-42, 1.0, solver.SCALES)[0] > 1 - 2e-9
    assert math.prod(2 * a for a in solver.SCALES) <= 2**solver.GROWTH_LOG2
    slack = 1 + 2.0**-8
    assert image(2.0**-11, slack, FAST)[0] > 1 - 3e-4
    assert image(2.0**-12, slack, FAST)[0] > 1 - 0.05
    assert image(2.0**-13, slack, (*FAST, *POLISH))[0] > 1 - 1e-10
    assert image(2.0**-12, slack, (*FAST, *POLISH))[0] > 1 - 1e-15
    for scales in (solver.SCALES, FAST, POLISH):
        assert image(0.0, slack if scales is FAST else 1.0, scales)[0] >= 0.0


@pytest.mark.parametrize("error", [0, 2])
def test_eigenvalues_down_to_the_promise_are_solved_under_the_worst_truncations(error: int) -> None:
    units = semidefinite(np.array([0.3, *2.0 ** -np.arange(3.0, 42.0, 2.0), 2.0**-42]))
    mpc = Worst(error)
    X, singular = inverse(mpc, secret(mpc, units), 1.0)
    assert native.to_ints(singular.data.value) == 0
    assert max(errors(native.to_ints(X.data.value), units)) < 1e-13


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


def test_a_bound_on_the_norm_is_one_more_reason_to_refuse() -> None:
    """And then the inverse is symmetric, bounded, and 0 within 2 units where it is refused."""
    units = np.stack([semidefinite(spread(5, 1e4), 1), semidefinite(spread(5, 1e9), 2), SINGULAR["rank one of ten"][:5, :5]])

    def program(mpc: Engine) -> dict[str, Secret]:
        X, singular = inverse(mpc, shared_matrix(mpc, units), 1.0, norm_log2=20)
        assert X.bound < 2**84 + 2**75
        return {"X": X, "singular": singular}

    for released in (in_the_clear(program)[0], on_shares(program)[0]):
        X = released["X"].ints
        assert list(released["singular"].ints) == [0, 1, 1]
        assert np.max(abs(X[1:])) <= 2
        assert (X[0] == X[0].T).all()
        assert errors(X[0], units[0])[0] < 1e-11


def pair(
    d: int, condition: float, weights: tuple[float, float], seed: int = 0, rows: int = 2000
) -> tuple[np.ndarray, np.ndarray]:
    """(Z'Z, Z'WZ) / rows as integers at 64 fractional bits, weights spread evenly on a logarithmic scale."""
    rng = np.random.default_rng([seed, d])
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    z = rng.normal(size=(rows, d)) @ (q * np.logspace(0, -np.log10(condition) / 2, d)) @ q.T
    z /= np.abs(z).max()
    low, high = np.log(weights)
    w = np.exp(rng.uniform(low, high, rows))
    return symmetric(z.T @ z / rows), symmetric((z * w[:, None]).T @ z / rows)


def residual(X: Secret, H: np.ndarray) -> float:
    """||I - L' X L||_2 with H = L L'."""
    L = np.linalg.cholesky((H / 2**LARGE_FRAC).astype(float))
    x = (native.to_ints(X.data.value) / 2**X.frac).astype(float)
    return float(np.linalg.norm(np.eye(len(L)) - L.T @ x @ L, 2))


NORM = 28
PAIRS = {
    "few": pair(3, 10, (0.1, 1.0)),
    "ill": pair(20, 1e6, (1e-4, 1.0)),
    "small weights": pair(12, 1e5, (2.0**-11, 2.0**-10)),
    "many": pair(50, 1e4, (1e-3, 1.0)),
}


def preconditioned(mpc: Plaintext, B: np.ndarray, H: np.ndarray) -> tuple[Coupled, Coupled, Secret, Secret]:
    """(after FAST, after POLISH, H^-1, singular)."""
    X0, singular = inverse(mpc, secret(mpc, B), len(B), norm_log2=NORM)
    assert native.to_ints(singular.data.value) == 0
    fast = improve(mpc, precondition(mpc, X0, secret(mpc, H)), FAST)
    polished = improve(mpc, fast, POLISH)
    return fast, polished, *inverse_of(mpc, polished, secret(mpc, H))


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("error", [0, 2])
def test_a_preconditioner_leads_to_the_inverse(name: str, error: int) -> None:
    fast, polished, X, singular = preconditioned(Worst(error), *PAIRS[name])
    assert residual(fast.X, PAIRS[name][1]) < 4e-4
    assert residual(polished.X, PAIRS[name][1]) < 1e-6
    assert native.to_ints(singular.data.value) == 0
    ints = native.to_ints(X.data.value)
    assert (ints == ints.T).all()
    assert max(errors(ints, PAIRS[name][1])) < 1e-12


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("error", [0, 2])
def test_a_right_hand_side_is_solved_on_the_way(name: str, error: int) -> None:
    """v = X g, for g in the range that keeps it bounded: g = B u with u'B u = 1."""
    mpc, (B, H) = Worst(error), PAIRS[name]
    real = (B / 2**LARGE_FRAC).astype(float)
    u = np.random.default_rng(1).normal(size=(len(B), 1))
    g = real @ u / np.sqrt(float((u.T @ real @ u).item()))
    X0, _ = inverse(mpc, secret(mpc, B), len(B), norm_log2=NORM)
    shared = mpc.constant(g)
    fast = improve(mpc, precondition(mpc, X0, secret(mpc, H), g=shared), FAST)
    expected = np.linalg.solve((H / 2**LARGE_FRAC).astype(float), g)
    assert fast.v is not None
    v = (native.to_ints(fast.v.data.value) / 2**fast.v.frac).astype(float)
    assert max(map(abs, native.to_ints(fast.v.data.value).ravel())) <= fast.v.bound
    error_in_H = (v - expected).T @ (H / 2**LARGE_FRAC).astype(float) @ (v - expected)
    assert np.sqrt(float(error_in_H.item())) < 4e-4 * np.sqrt(float((g.T @ expected).item()))


WEIGHTS_OF_NOTHING = {"zero": 0.0, "rounded below zero": -(2.0**-22), "all of it": 1.0, "more than all": 1.0 + 2.0**-10}


@pytest.mark.parametrize("name", WEIGHTS_OF_NOTHING)
@pytest.mark.parametrize("error", [-2, 2])
def test_the_preconditioned_range_holds_whatever_the_weights(name: str, error: int) -> None:
    B = semidefinite(spread(10, 1e6) * 2)
    weight = Fraction(WEIGHTS_OF_NOTHING[name])
    H = np.vectorize(lambda v: round(v * weight), otypes=[object])(B)
    _, polished, X, singular = preconditioned(Worst(error), B, H)
    for found in (polished.X, polished.Y, X):
        assert max(map(abs, native.to_ints(found.data.value).ravel())) <= found.bound
    assert native.to_ints(singular.data.value) == (weight <= 0)


def test_one_direction_without_weight_is_singular() -> None:
    B = semidefinite(np.array([0.5, 0.25, 0.125]), seed=4)
    H = semidefinite(np.array([0.25, 0.25, 0.0]), seed=4)
    *_, singular = preconditioned(Worst(0), B, H)
    assert native.to_ints(singular.data.value) == 1


def test_preconditioned_on_both_engines_with_an_absent_column() -> None:
    """Rounds: 1, one a step, 3 (the last product is too wide for masks) and a comparison of 5, whatever the size."""
    rounds = set()
    for d in (3, 9):
        B, H = (np.zeros((d + 1, d + 1), dtype=object) for _ in range(2))
        B[:d, :d], H[:d, :d] = pair(d, 100, (0.05, 1.0))
        B[d, d] = 1 << LARGE_FRAC
        bits = np.eye(d + 1, dtype=np.int64)[d]

        def program(mpc: Engine, B: np.ndarray = B, H: np.ndarray = H, bits: np.ndarray = bits) -> dict[str, Secret]:
            X0, _ = inverse(mpc, shared_matrix(mpc, B), len(B), norm_log2=NORM)
            absent = mpc.bounded(mpc.mul(mpc.constant(bits, frac=0), mpc.constant(1, frac=0)), 1, "bits")
            hessian = shared_matrix(mpc, H)
            coupled = improve(mpc, precondition(mpc, X0, hessian, absent), (*FAST, *POLISH))
            X, singular = inverse_of(mpc, coupled, hessian, absent)
            return {"X": X, "singular": singular}

        expected = H.copy()
        expected[d, d] = 1 << LARGE_FRAC
        (clear, _), (shared, outcome) = in_the_clear(program), on_shares(program)
        for released in (clear, shared):
            assert released["singular"].ints == 0
            assert max(errors(released["X"].ints, expected)) < 1e-12
        rounds.add(outcome.meters[0].rounds)
    of_inverse = 27 + 6 + 2
    assert rounds == {3 + of_inverse + 1 + len(FAST) + len(POLISH) + 3 + 5}


def test_leak_of_the_steps_of_newtons_method() -> None:
    mpc = Plaintext()
    d = 50
    X0 = replace(mpc.constant(np.eye(d)), bound=2**94)
    H = replace(mpc.constant(np.eye(d) / d), bound=2**64)
    improve(mpc, precondition(mpc, X0, H, g=mpc.constant(np.zeros((d, 1)))), FAST)
    assert mpc.meter.leakage_log2 < -50


def test_misuse_of_a_preconditioner() -> None:
    mpc = Plaintext()
    B = mpc.constant(np.eye(3))
    with pytest.raises(MisuseError):
        precondition(mpc, B, mpc.constant(np.eye(2)))
    coupled = precondition(mpc, B, B)
    for scale in (0.5, 2.0, 1 + 2.0**-6):
        with pytest.raises(MisuseError):
            improve(mpc, coupled, [scale])
    with pytest.raises(RangeError):
        improve(mpc, coupled, FAST * 2)
