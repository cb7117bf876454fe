"""The work that protocols are measured at: fixed inputs, and the answers in the clear. Ours and the peers' are the same arrays.

NumPy and SciPy-free on purpose: a peer's interpreter imports this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SEED = 20260102
CORRELATION = 0.3  # between any two columns
SAMPLE = 2000  # ring products that are compared with Python's integers
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Work:
    """`inputs(rng, n, d)`; `clear` is the exact answer as float64, or object integers where the ring is exact."""

    title: str
    rows: int
    columns: int
    inputs: Callable[[np.random.Generator, int, int], Arrays]
    clear: Callable[[Arrays], np.ndarray]
    width: str  # what the table says of the numbers


def inputs(name: str, n: int, d: int) -> Arrays:
    return WORKS[name].inputs(np.random.default_rng([SEED, n, d]), n, d)


def error(name: str, given: Arrays, opened: np.ndarray) -> float:
    """The largest difference from the clear."""
    expected = WORKS[name].clear(given)
    differences = np.abs(np.asarray(opened).reshape(expected.shape) - expected)
    return float(np.max(differences, initial=0))


def correlated(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """(n, d) standard normal columns, every two of them correlated."""
    shared = rng.standard_normal((n, 1))
    columns = np.sqrt(1 - CORRELATION) * rng.standard_normal((n, d)) + np.sqrt(CORRELATION) * shared
    bounded: np.ndarray = np.clip(columns, -7.5, 7.5)
    return bounded


def _uniform(low: float, high: float, *names: str) -> Callable[[np.random.Generator, int, int], Arrays]:
    return lambda rng, n, d: {name: rng.uniform(low, high, n) for name in names}


def _integers(bits: int, frac: int) -> Callable[[np.random.Generator, int, int], Arrays]:
    """x and y with |x| < 2^bits, integers at `frac` fractional bits."""
    return lambda rng, n, d: {name: rng.integers(-(2**bits), 2**bits, n) / 2.0**frac for name in ("x", "y")}


def _covariance(rng: np.random.Generator, n: int, d: int) -> Arrays:
    rows = correlated(rng, max(n, 20 * d), d)
    return {"x": rows.T @ rows / len(rows)}


def _logistic(rng: np.random.Generator, n: int, d: int) -> Arrays:
    """Rows with an intercept, and a 0/1 outcome of about 30 %."""
    x = np.column_stack([np.ones(n), correlated(rng, n, d)])
    eta = x[:, 1:] @ rng.uniform(-0.5, 0.5, d)
    noisy = eta + rng.logistic(size=n)
    return {"x": x, "y": (noisy > np.quantile(noisy, 0.7)).astype(float)}


def newton(x: np.ndarray, y: np.ndarray, steps: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """(coefficients, standard errors) of the maximum-likelihood logistic regression, in the clear."""
    beta = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(x @ beta)))
        information = (x * (p * (1 - p))[:, None]).T @ x
        beta = beta + np.linalg.solve(information, x.T @ (y - p))
    return beta, np.sqrt(np.diag(np.linalg.inv(information)))


WORKS: dict[str, Work] = {
    "ring products": Work(
        "products modulo 2^K",
        1_000_000,
        1,
        _integers(31, 0),  # a product of 62 bits: exact in the peers' rings too
        lambda a: a["x"][:SAMPLE].astype(np.int64).astype(object) * a["y"][:SAMPLE].astype(np.int64).astype(object),
        f"|x| < 2^31, exact; {SAMPLE} of them compared",
    ),
    "products": Work(
        "fixed-point products with truncation", 1_000_000, 1, _uniform(-4, 4, "x", "y"), lambda a: a["x"] * a["y"], "|x| < 4"
    ),
    "comparisons": Work(
        "x < y at 40 bits",
        1_000_000,
        1,
        _integers(37, 16),
        lambda a: (a["x"] < a["y"]).astype(float),
        "|x| < 2^37 units of 2^-16",
    ),
    "sigmoids": Work("1 / (1 + exp(-x))", 100_000, 1, _uniform(-8, 8, "x"), lambda a: 1 / (1 + np.exp(-a["x"])), "|x| < 8"),
    "reciprocals": Work("1 / x", 100_000, 1, _uniform(0.5, 100, "x"), lambda a: 1 / a["x"], "0.5 < x < 100"),
    "exp": Work("exp(x)", 100_000, 1, _uniform(-5, 2, "x"), lambda a: np.exp(a["x"]), "-5 < x < 2"),
    "log": Work("log(x)", 100_000, 1, _uniform(0.5, 100, "x"), lambda a: np.log(a["x"]), "0.5 < x < 100"),
    "gram": Work(
        "X'X of shared rows",
        100_000,
        20,
        lambda rng, n, d: {"x": correlated(rng, n, d)},
        lambda a: a["x"].T @ a["x"] / len(a["x"]),
        "error of X'X / n",
    ),
    "inverse": Work("inverse of a covariance", 400, 20, _covariance, lambda a: np.linalg.inv(a["x"]), "condition about 15"),
    "lift": Work(
        "Z_2^128 to Z_2^256", 1_000_000, 1, _uniform(-4, 4, "x"), lambda a: a["x"], "|x| < 4; error of 28 bits' rounding"
    ),
    "newton": Work(
        "logistic regression", 10_000, 20, _logistic, lambda a: newton(a["x"], a["y"])[0], "maximum likelihood, error in SE"
    ),
}
"""`newton` is the peers' only: ours is an analysis, measured across daemons."""

OURS = tuple(name for name in WORKS if name != "newton")


def error_of(name: str, given: Arrays, opened: Any) -> float:
    """`error`, but in standard errors for a regression."""
    if name != "newton":
        return error(name, given, opened)
    beta, se = newton(given["x"], given["y"])
    return float(np.max(np.abs(np.asarray(opened, float).reshape(-1) - beta) / se))


# -- 64-bit matrices: what NumPy and PyTorch are measured at ----------------------------------------------------------------


def words_to_multiply(name: str, n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """Random uint64 (left, right): two (n, n) for "matmul", the transpose of (n, d) and itself for "gram"."""
    rng = np.random.default_rng([SEED, n, d])
    left = rng.integers(0, 2**64, (n, n) if name == "matmul" else (n, d), dtype=np.uint64)
    return (left, rng.integers(0, 2**64, (n, n), dtype=np.uint64)) if name == "matmul" else (left.T, left)


def wrong_words(left: np.ndarray, right: np.ndarray, product: np.ndarray) -> float:
    """How many words of the first row differ from the product of Python's integers modulo 2^64."""
    expected = left[0].astype(object) @ right.astype(object)
    return float(sum(int(found) != value % 2**64 for found, value in zip(product[0], expected, strict=True)))
