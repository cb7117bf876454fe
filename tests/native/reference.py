"""What the kernels are compared with: Python's integers."""

import numpy as np
from hypothesis import strategies as st

LIMBS = (2, 4)
EDGES = np.array([0, 1, 2**63 - 1, 2**63, 2**64 - 1], dtype=np.uint64)

seeds = st.integers(0, 2**32 - 1)
rings = st.sampled_from(LIMBS)


def words(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Random uint64, a third of them edge values, so that carries run through whole elements."""
    rng = np.random.default_rng(seed)
    out = rng.integers(0, 2**64, shape, dtype=np.uint64)
    edge = rng.integers(0, 3, shape) == 0
    out[edge] = rng.choice(EDGES, int(edge.sum()))
    return out


def ints(a: np.ndarray, signed: bool = False) -> np.ndarray:
    """(..., L) -> object array of Python integers, limb by limb."""
    total = np.zeros(a.shape[:-1], dtype=object)
    for i in range(a.shape[-1]):
        total = total + a[..., i].astype(object) * (1 << 64 * i)
    size = 64 * a.shape[-1]
    return as_signed(total, size) if signed else total


def as_signed(values: np.ndarray, size: int) -> np.ndarray:
    half = 1 << (size - 1)
    return (values + half) % (1 << size) - half


def assert_ring_equal(actual: np.ndarray, expected: np.ndarray) -> None:
    """actual, uint64 (..., L), holds the integers `expected` modulo 2^(64 L)."""
    assert actual.dtype == np.uint64
    assert actual.shape[:-1] == np.shape(expected)
    assert np.array_equal(ints(actual), np.asarray(expected, dtype=object) % (1 << 64 * actual.shape[-1]))
