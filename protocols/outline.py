"""The engine that only plans: the verbs on shapes, scales and bounds, with no numbers at all.

Bounds, rounds, bytes and leaks follow from what is declared, never from data (planned.py, plaintext.py), so that a job's range
plan is the code of the job, run here. An array is its shape: a view of one zero, whatever its size, so that a plan takes neither
memory nor time that grow with the study's rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from protocols.elements import Elements, indexed
from protocols.engine import LARGE, SMALL, Declared, Secret
from protocols.plaintext import Clear, Plaintext

ZERO = np.zeros((), dtype=np.uint64)


def outline(shape: Sequence[int]) -> np.ndarray:
    """An array of this shape in the memory of one element."""
    return np.broadcast_to(ZERO, tuple(shape))


class Outlines(Elements):
    """The same operations on shapes."""

    def from_ints(self, values: Any, limbs: int) -> np.ndarray:
        return outline((*np.shape(values), limbs))

    def neg(self, a: np.ndarray) -> np.ndarray:
        return outline(a.shape)

    def add(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return outline(np.broadcast_shapes(a.shape, b.shape))

    sub = mul = add

    def matmul(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        leading = np.broadcast_shapes(a.shape[:-3], b.shape[:-3])
        return outline((*leading, a.shape[-3], b.shape[-2], a.shape[-1]))

    def gram(self, a: np.ndarray) -> np.ndarray:
        return outline((a.shape[1], *a.shape[1:]))

    def combine(self, terms: Sequence[np.ndarray], table: np.ndarray, start: np.ndarray) -> np.ndarray:
        return outline((len(start), *terms[0].shape))

    def shift_left(self, a: np.ndarray, bits: int) -> np.ndarray:
        return outline(a.shape)

    shift_right = shift_right_signed = shift_left

    def narrow(self, a: np.ndarray) -> np.ndarray:
        return outline((*a.shape[:-1], SMALL))

    def widen(self, a: np.ndarray) -> np.ndarray:
        return outline((*a.shape[:-1], LARGE))

    def index(self, a: np.ndarray, index: Any) -> np.ndarray:
        return outline(indexed(a.shape, index))

    def contiguous(self, a: np.ndarray) -> np.ndarray:
        return outline(a.shape)

    def stack(self, arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
        shape = list(arrays[0].shape)
        shape.insert(axis, len(arrays))
        return outline(shape)

    def concatenate(self, arrays: Sequence[np.ndarray], axis: int) -> np.ndarray:
        shape = list(arrays[0].shape)
        shape[axis] = sum(a.shape[axis] for a in arrays)
        return outline(shape)


class Outline(Plaintext):
    """The verbs on outlines. `meter` and `cost` are those of a replicated run of the same calls."""

    name = "outline"
    _elements = Outlines()

    def totals(self, declared: Sequence[Declared]) -> dict[str, Secret]:
        """Totals as they are declared, of whichever hospitals."""
        return {each.name: self._secret(Clear(outline((*each.shape, LARGE))), each.frac, each.bound) for each in declared}

    def rows(self, declared: Mapping[int, Sequence[Declared]]) -> dict[int, dict[str, Secret]]:
        return {
            hospital: {
                each.name: self._secret(Clear(outline((*each.shape, SMALL))), each.frac, each.bound, proven=False)
                for each in plan
            }
            for hospital, plan in declared.items()
        }

    def _public(self, elements: np.ndarray) -> Clear:
        return Clear(outline(elements.shape))
