"""What CKKS is measured at, ours and SEAL's alike: vectors with a fixed seed, and the answers in the clear.

NumPy only: a peer's interpreter imports this file.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev

SEED = 20260103
STEP = 1  # slots that a rotation moves by, to the left

DEGREE = 63  # of the polynomial

Vectors = tuple[np.ndarray, np.ndarray]


def vectors(degree: int) -> Vectors:
    """Two real vectors in [-1, 1], a number for each slot."""
    rng = np.random.default_rng([SEED, degree])
    return rng.uniform(-1, 1, degree // 2), rng.uniform(-1, 1, degree // 2)


def curve(x: np.ndarray) -> np.ndarray:
    """Neither even nor odd; a polynomial of degree 63 is within 1e-10 of it on [-1, 1]."""
    values: np.ndarray = 1 / (1 + np.exp(-8 * x - 1))
    return values


def coefficients() -> list[float]:
    """In the Chebyshev basis, of the polynomial of degree 63 that meets the curve in as many points."""
    points = chebyshev.chebpts1(DEGREE + 1)
    return [float(c) for c in chebyshev.chebfit(points, curve(points), DEGREE)]


CLEAR: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "ckks encode": lambda x, y: x,
    "ckks decode": lambda x, y: x,
    "ckks encrypt": lambda x, y: x,
    "ckks decrypt": lambda x, y: x,
    "ckks add": lambda x, y: x + y,
    "ckks times plain": lambda x, y: x * y,
    "ckks multiply": lambda x, y: x * y,
    "ckks rotate": lambda x, y: np.roll(x, -STEP),
    "ckks chebyshev": lambda x, y: curve(x),
    "ckks wire": lambda x, y: x,
}
"""What each operation's decrypted answer is compared with, every slot."""


def error(name: str, degree: int, found: np.ndarray) -> float:
    """The largest difference from the clear."""
    return float(np.max(np.abs(np.asarray(found)[: degree // 2] - CLEAR[name](*vectors(degree)))))
