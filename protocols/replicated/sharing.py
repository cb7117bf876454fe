"""Three-party replicated sharing: x = x_0 + x_1 + x_2, and compute party i holds (x_i, x_(i+1)).

Source: Araki, Furukawa, Lindell, Nof and Ohara, "High-Throughput Semi-Honest Secure Three-Party Computation with an Honest
Majority", CCS 2016, section 2.1 (here with sums instead of differences). Component c is held by parties c and c - 1; any
one party misses one component, which is uniform, so one party alone learns nothing. The same pair stands for shared bits,
with XOR for the sum.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import native


class Shares(NamedTuple):
    """What party i holds of a value: components i and i + 1 (mod 3), uint64."""

    own: np.ndarray
    next: np.ndarray


def after(party: int) -> int:
    """The party that also holds my component i + 1."""
    return (party + 1) % 3


def before(party: int) -> int:
    """The party that also holds my component i."""
    return (party + 2) % 3


def of_public(me: int, elements: np.ndarray) -> Shares:
    """A public array as shares (elements, 0, 0). Local."""
    nothing = np.zeros_like(elements)
    return Shares(elements if me == 0 else nothing, elements if me == 2 else nothing)


def reconstruct(additive: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """The value of three additive shares (the researcher does this with `release_share`s; tests do it too)."""
    return native.add(native.add(additive[0], additive[1]), additive[2])
