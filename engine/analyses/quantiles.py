"""Exact pooled quartiles of a column recorded on a grid, from cumulative counts, on shares.

A column with lowest value lo and recorded step s takes the grid values x_b = lo + s b. With C_b = #{rows <= x_b}, summed over
hospitals, the order statistic of rank k = 0, 1, ... lies at grid index #{b : C_b <= k}. numpy's linear quantile a/4 of n rows
stands at rank a (n - 1) / 4; by Hermite's identity interpolation is a mean over t = 0..3,

    4 * index = sum_t #{b : C_b <= floor((a (n - 1) + t) / 4)} = sum_t #{b : 4 C_b <= a (n - 1) + t}

so that only comparisons and sums are needed: exact, and no rounding anywhere. Quartiles of fewer than 40 people have fewer than
10 on a side: they are replaced by 0, on shares. Rounds: one comparison, one product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.dictionary import Column
from protocols.engine import Engine, Secret

MOST_POINTS = 8193
QUARTERS = np.array([1, 2, 3])
FEWEST_PEOPLE = 40  # 10 on each side of a quartile


@dataclass(frozen=True)
class Grid:
    """The values that a column can take."""

    low: float
    step: float
    points: int

    @classmethod
    def of(cls, column: Column) -> Grid | None:
        """None for a column without a declared resolution, or with too fine a one."""
        if not column.numeric or column.resolution is None:
            return None
        low, high = column.limits
        points = round((high - low) / column.resolution) + 1
        return cls(low, float(column.resolution), points) if points <= MOST_POINTS else None

    def cumulative(self, values: np.ndarray) -> np.ndarray:
        """#{values <= x_b} for every point but the last (which is their number), values taken to the nearest point."""
        index = np.clip(np.rint((values - self.low) / self.step), 0, self.points - 1).astype(np.int64)
        return np.cumsum(np.bincount(index, minlength=self.points))[:-1]

    def value(self, four_times_index: int) -> float:
        """Rounded to the digits of the step, so that 1.2 on a grid of 0.1 prints as 1.2."""
        exact = self.low + self.step * (four_times_index / 4)
        decimals = max(0, 3 - int(np.floor(np.log10(self.step))))
        rounded = round(exact, decimals)
        return rounded if abs(rounded - exact) < 1e-9 * max(1.0, abs(exact)) else exact


def differences(mpc: Engine, cumulative: Secret, n: Secret) -> Secret:
    """a (n - 1) + t - 4 C_b, of shape (groups, 3, 4, points): negative where b is beyond the rank. Local.

    cumulative (groups, points), n (groups,).
    """
    groups, points = cumulative.shape
    ranks = mpc.mul(mpc.reshape(n - 1, (groups, 1, 1, 1)), QUARTERS.reshape(1, 3, 1, 1)) + np.arange(4).reshape(1, 1, 4, 1)
    return ranks - mpc.mul(mpc.reshape(cumulative, (groups, 1, 1, points)), 4)


def indices(mpc: Engine, beyond: Secret) -> Secret:
    """4 * index, (groups, 3), from the signs of `differences`. Local."""
    return mpc.sum(mpc.sum(1 - beyond, 3), 2)
