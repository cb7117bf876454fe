"""What a hospital computes on its own rows with numbers that it cannot read, and the same in the clear.

Rows come in blocks, columns of a block as float64 (columns, rows) in [-1, 1], rows at most `block`. The numbers are a fit's
coefficients. What comes out are sums over rows, not yet over hospitals; the clear form is oracle and dry run of the encrypted one
(protocols/ckks/multiparty/rows.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.polynomial import chebyshev

Series = tuple[float, ...]
"""Chebyshev coefficients on [-1, 1]."""


@dataclass(frozen=True)
class Weighted:
    """`count` sums over all rows: each of a factor, one for each block, times a column of the hospital's own."""

    factors: Sequence[Any]
    columns: Callable[[int, slice], np.ndarray]  # (block, which) -> float64 (columns, rows) in [-1, 1]
    count: int
    overflow_shows: bool = False  # whoever asked finds out, on shares, whether these sums kept within their room


class RowWise(Protocol):
    """Factors are opaque; all verbs act row by row, but `sums`."""

    block: int

    def combine(self, columns: np.ndarray, limit: float) -> Any:
        """sum_j columns[j] numbers[j] / limit, which the caller takes to lie in [-1, 1]."""
        ...

    def series(self, x: Any, many: Sequence[Series]) -> list[Any]:
        """The values of several series of x in [-1, 1]."""
        ...

    def square(self, x: Any) -> Any: ...

    def variance(self, p: Any) -> Any:
        """p (1 - p) of p in [0, 1]."""
        ...

    def kept(self, factor: Any) -> Any:
        """What `sums` needs of a factor: for keeping many of them."""
        ...

    def sums(self, weighted: Weighted, which: slice, room_log2: int) -> Any:
        """The sums named, in this form's own shape; their mean over rows stays below 2^room_log2."""
        ...


class ClearRows:
    """The verbs on float64."""

    def __init__(self, numbers: np.ndarray, block: int) -> None:
        self.numbers, self.block = numbers, block

    def combine(self, columns: np.ndarray, limit: float) -> np.ndarray:
        return np.asarray(self.numbers @ columns / limit)

    def series(self, x: np.ndarray, many: Sequence[Series]) -> list[np.ndarray]:
        return [np.asarray(chebyshev.chebval(x, each)) for each in many]

    def square(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.square(x))

    def variance(self, p: np.ndarray) -> np.ndarray:
        return np.asarray(p * (1 - p))

    def kept(self, factor: np.ndarray) -> np.ndarray:
        return factor

    def sums(self, weighted: Weighted, which: slice, room_log2: int = 0) -> np.ndarray:
        """float64 (columns,)."""
        total = np.zeros(len(range(weighted.count)[which]))
        for block, factor in enumerate(weighted.factors):
            total += weighted.columns(block, which) @ factor
        return total
