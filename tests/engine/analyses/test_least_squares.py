"""Least squares on the plaintext engine at its worst: stated bounds hold, also where nothing is determined."""

from __future__ import annotations

import numpy as np
import pytest

import native
from engine.analyses import least_squares
from engine.analyses.least_squares import Beside
from engine.analyses.regression import GAMMA_LIMIT
from protocols.engine import Secret
from tests.protocols.worst import Worst

N = 400


def design(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Columns within [-1, 1], the first of them constant."""
    z = np.column_stack([np.ones(N), rng.uniform(-1, 1, (N, 5))])
    if kind == "collinear":
        z[:, 2] = z[:, 3]
    if kind == "nearly":
        z[:, 2] = np.clip(z[:, 3] + 2.0**-21 * z[:, 4], -1, 1)
    if kind == "empty":
        z[:] = 0
    if kind == "narrow":
        z[:, 1:] *= 1e-5
    return z


def solved(z: np.ndarray, y: np.ndarray, error: int, people: int = N) -> least_squares.Fit:
    mpc, d = Worst(error), z.shape[1]
    M, b, yy = (mpc.constant(np.asarray(value)) for value in (z.T @ z / N, (z.T @ y / N)[:, None], y @ y / N))
    one = mpc.constant(np.ones(1))
    S = mpc.constant(z[:people].T @ z[:people] / N)
    return least_squares.fit(mpc, M, b, yy, Beside(np.eye(d)[0], (one, one), np.array([0.5, 1e-9]), S))


def real(x: Secret) -> np.ndarray:
    return np.asarray(native.to_ints(x.data.value) / 2**x.frac, dtype=float)


@pytest.mark.parametrize("kind", ["usual", "collinear", "nearly", "empty", "narrow"])
@pytest.mark.parametrize("error", [-2, 0, 2])
@pytest.mark.parametrize("people", [N, 20])
def test_stated_bounds_hold(kind: str, error: int, people: int) -> None:
    rng = np.random.default_rng(5)
    z = design(kind, rng)
    fit = solved(z, np.sign(z[:, 1] + 0.1), error, people)  # Worst raises where a bound stated on the way is broken
    for each in (fit.gamma, fit.rss, fit.condition, fit.narrow, fit.row, fit.quadratic):
        assert max(map(abs, np.ravel(native.to_ints(each.data.value)))) <= each.bound
    assert real(fit.failures).any() == (kind in ("collinear", "nearly", "empty"))
    assert np.all(abs(real(fit.gamma)) <= GAMMA_LIMIT + 1e-15)


@pytest.mark.parametrize("kind", ["usual", "collinear", "nearly", "empty", "narrow"])
@pytest.mark.parametrize("error", [-2, 0, 2])
def test_what_some_columns_explain(kind: str, error: int) -> None:
    rng = np.random.default_rng(7)
    z, mpc = design(kind, rng)[:, :4], Worst(error)
    y = np.clip(z @ rng.uniform(-0.2, 0.2, 4) + 0.3 * rng.normal(size=N), -1, 1)
    found = least_squares.explained(mpc, mpc.constant(z.T @ z / N), mpc.constant((z.T @ y / N)[:, None]))
    assert found.shape == ()
    assert abs(int(native.to_ints(found.data.value))) <= found.bound
    if kind in ("usual", "narrow"):
        fitted = z @ np.linalg.lstsq(z, y, rcond=None)[0]
        assert float(real(found)) == pytest.approx(y @ fitted / N, rel=1e-9)


@pytest.mark.parametrize("error", [0, 2])
def test_everything_at_once_is_what_it_is_alone(error: int) -> None:
    rng = np.random.default_rng(6)
    z = design("usual", rng)
    y = np.clip(z @ rng.uniform(-0.2, 0.2, 6) + 0.01 * rng.normal(size=N), -1, 1)
    fit = solved(z, y, error)
    M = z.T @ z / N
    X, gamma = np.linalg.inv(M), np.linalg.lstsq(z, y, rcond=None)[0]
    np.testing.assert_allclose(real(fit.gamma)[:, 0], gamma, rtol=0, atol=1e-13)
    np.testing.assert_allclose(real(fit.rss), np.sum((y - z @ gamma) ** 2) / N, rtol=1e-11)
    np.testing.assert_array_equal(real(fit.below), [1, 0])
    np.testing.assert_allclose(real(fit.X), X, rtol=0, atol=1e-12)
    np.testing.assert_allclose(real(fit.narrow), X, rtol=0, atol=2.0**-36)
    np.testing.assert_allclose(real(fit.row)[0], X[0], rtol=0, atol=2.0**-36)
    np.testing.assert_allclose(real(fit.quadratic), X[:1, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(real(fit.condition), (np.linalg.norm(M) * np.linalg.norm(X)) ** 2, rtol=1e-8)
    np.testing.assert_allclose(real(fit.products), [1.0])
    assert not real(fit.failures).any()
    assert real(fit.influential).tolist() == [0, 1]  # everybody is in S
    assert not real(solved(z, y, error, people=60).influential).any()
