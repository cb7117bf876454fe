"""LOCAL of the linear models: sums of products of the scaled design and response, over rows or over people.

Rows are v = (1, z, y): a constant, the design's columns, the response (or whatever stands beside z). Symmetric arrays are
contributed once: `Symmetric` says which entries and how JOINT puts them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from engine.analyses import people
from engine.analyses.sums import DoubleDouble, ShiftedMoments, blocks
from protocols.engine import Engine, Secret


@dataclass(frozen=True)
class Symmetric:
    """A symmetric (size, size) array and the vector of its upper triangle."""

    size: int

    @property
    def entries(self) -> int:
        return self.size * (self.size + 1) // 2

    @property
    def rows_columns(self) -> tuple[np.ndarray, np.ndarray]:
        return np.triu_indices(self.size)

    @property
    def position(self) -> np.ndarray:
        """(size, size): where the vector holds entry (i, j)."""
        index = np.empty((self.size, self.size), dtype=np.int64)
        rows, columns = self.rows_columns
        index[rows, columns] = index[columns, rows] = np.arange(self.entries)
        return index

    def full(self, mpc: Engine, vector: Secret) -> Secret:
        return mpc.index(vector, self.position)

    def vector(self, full: DoubleDouble) -> DoubleDouble:
        return full.at(self.rows_columns)


class ProductSums:
    """sum weight * v v' over rows; or, by `add_people`, sum s_g s_g' over people g, s_g = the sum of weight * v over g's rows."""

    def __init__(self, width: int) -> None:
        self._moments = ShiftedMoments(width, 2)

    def add(self, v: np.ndarray, weight: np.ndarray | None = None) -> None:
        w = self._moments.centred(v)
        for block in blocks(len(w), w.shape[1]):
            left = w[block] if weight is None else w[block] * weight[block, None]
            self._moments.add(left.T @ w[block])

    def add_people(self, v: np.ndarray, weight: np.ndarray, persons: np.ndarray | None) -> None:
        w = people.sum_by_person(self._moments.centred(v) * weight[:, None], persons)
        for block in blocks(len(w), w.shape[1]):
            self._moments.add(w[block].T @ w[block])

    def total(self) -> DoubleDouble:
        return self._moments.total()


class WeightedSum:
    """sum weight * v over rows."""

    def __init__(self, width: int) -> None:
        self._moments = ShiftedMoments(width, 1)

    def add(self, v: np.ndarray, weight: np.ndarray) -> None:
        w = self._moments.centred(v)
        for block in blocks(len(w), w.shape[1]):
            self._moments.add(weight[block] @ w[block])

    def total(self) -> DoubleDouble:
        return self._moments.total()


class PairSums:
    """The fourth-order sums sum_g P_g[a, b] P_g[c, d], where P_g = sum of v v' over the rows of person g (or over one row).

    They are what the middle of a sandwich covariance is made of: with u = (-gamma, 1) and v = (z, y) the score of g is
    P_g[z, .] u, so that sum_g score score' [j, k] = sum_ab P[j, a; k, b] u_a u_b, and JOINT needs no second pass at a known
    gamma.
    """

    def __init__(self, width: int) -> None:
        self._pairs = Symmetric(width)
        self._moments = ShiftedMoments(width, 4)
        self.most_rows = 0  # of one person

    def add(self, v: np.ndarray, persons: np.ndarray | None) -> None:
        w = self._moments.centred(v)
        for block in self._blocks(len(w), persons):
            mine = None if persons is None else persons[block]
            products = people.sum_by_person(self._products(w[block].T), mine)
            gram = products.T @ products
            place = self._pairs.position
            self._moments.add(gram[place[:, :, None, None], place[None, None, :, :]])
        self.most_rows = max(self.most_rows, _most_rows(len(v), persons))

    def _products(self, columns: np.ndarray) -> np.ndarray:
        """(rows, entries): of each row the products of two of its variables, in the order of `Symmetric`."""
        out = np.empty((self._pairs.entries, columns.shape[1]))
        start = 0
        for i in range(len(columns)):
            np.multiply(columns[i], columns[i:], out=out[start : start + len(columns) - i])
            start += len(columns) - i
        return out.T

    def _blocks(self, rows: int, persons: np.ndarray | None) -> list[slice]:
        """Blocks of rows that split no person."""
        cut = blocks(rows, self._pairs.entries)
        if persons is None or len(cut) < 2:
            return cut
        starts = people.starts(persons)
        ends = [int(starts[np.searchsorted(starts, piece.start)]) if piece.start <= starts[-1] else rows for piece in cut[1:]]
        edges = sorted({0, *ends, rows})
        return [slice(low, high) for low, high in pairwise(edges)]

    def total(self, keep: slice) -> DoubleDouble:
        """Over the variables `keep`, as the vector of `Symmetric(pairs)` of the vector of `Symmetric(variables)`."""
        moments = self._moments.total().at((keep,) * 4)
        pairs = Symmetric(moments.high.shape[0])
        a, b = pairs.rows_columns
        first, second = Symmetric(pairs.entries).rows_columns
        return moments.at((a[first], b[first], a[second], b[second]))


def _most_rows(rows: int, persons: np.ndarray | None) -> int:
    if persons is None or not rows:
        return min(rows, 1)
    return int(np.diff(np.append(people.starts(persons), rows)).max())


def with_constant(z: np.ndarray, *beside: np.ndarray) -> np.ndarray:
    """Rows v = (1, z, ...), column by column in memory, as sums over rows go fastest through them."""
    out = np.empty((1 + z.shape[1] + len(beside), len(z)))
    out[0], out[1 : 1 + z.shape[1]] = 1.0, z.T
    for column, values in zip(out[1 + z.shape[1] :], beside, strict=True):
        column[:] = values
    return out.T
