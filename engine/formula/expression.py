"""What one factor of a formula means: arithmetic over numeric columns, or a column taken as a factor.

A formula's text is parsed by Python's `ast` and translated, node by node, into the few kinds of expression below; whatever
is not on the list is refused. Nothing is ever compiled or evaluated as code. Every expression knows the interval its values
lie in, by interval arithmetic over the dictionary's bounds: the protocol needs those ranges proved, and an expression that
is undefined somewhere within the bounds (a logarithm of 0) is refused before any data are touched.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from engine.dictionary import Column, Level
from engine.errors import FormulaError

Interval = tuple[float, float]
SMALLEST = 1e-200


class Numeric(Protocol):
    """An arithmetic expression: one number for each row."""

    @property
    def columns(self) -> tuple[Column, ...]: ...

    def interval(self) -> Interval: ...

    def evaluate(self, frame: pd.DataFrame) -> np.ndarray: ...


@dataclass(frozen=True)
class Value:
    column: Column

    @property
    def columns(self) -> tuple[Column, ...]:
        return (self.column,)

    def interval(self) -> Interval:
        return self.column.limits

    def evaluate(self, frame: pd.DataFrame) -> np.ndarray:
        return frame[self.column.name].to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class Constant:
    value: float

    @property
    def columns(self) -> tuple[Column, ...]:
        return ()

    def interval(self) -> Interval:
        return self.value, self.value

    def evaluate(self, frame: pd.DataFrame) -> np.ndarray:
        return np.full(len(frame), self.value)


@dataclass(frozen=True)
class Operation:
    """left op right, with op one of + - * /."""

    op: str
    left: Numeric
    right: Numeric

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(dict.fromkeys(self.left.columns + self.right.columns))

    def interval(self) -> Interval:
        (a, b), (c, d) = self.left.interval(), self.right.interval()
        if self.op == "/" and c <= 0 <= d:
            raise FormulaError(
                "A divisor can be 0 within its dictionary bounds. Add a constant to it, or divide the other way round."
            )
        ends = [_ARITHMETIC[self.op](x, y) for x in (a, b) for y in (c, d)]
        return finite(min(ends), max(ends))

    def evaluate(self, frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(_ARITHMETIC[self.op](self.left.evaluate(frame), self.right.evaluate(frame)))


@dataclass(frozen=True)
class Power:
    """base ** exponent with a constant exponent."""

    base: Numeric
    exponent: float

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.base.columns

    def interval(self) -> Interval:
        low, high = self.base.interval()
        whole = float(self.exponent).is_integer()
        if (self.exponent < 0 and low <= 0 <= high) or (not whole and low < 0):
            raise FormulaError(
                "A power is undefined within the dictionary bounds of its base. Shift the base, or use another exponent."
            )
        ends = [_power(low, self.exponent), _power(high, self.exponent)]
        if whole and self.exponent % 2 == 0 and low < 0 < high:
            ends.append(0.0)
        return finite(min(ends), max(ends))

    def evaluate(self, frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(self.base.evaluate(frame) ** self.exponent)


@dataclass(frozen=True)
class Function:
    name: str
    argument: Numeric

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.argument.columns

    def interval(self) -> Interval:
        low, high = self.argument.interval()
        floor, strict, advice = _DOMAINS.get(self.name, (-math.inf, False, ""))
        if low < floor or (strict and low <= floor):
            raise FormulaError(f"{self.name}() is undefined somewhere within the dictionary bounds of its argument. {advice}")
        with np.errstate(over="ignore"):
            return finite(float(FUNCTIONS[self.name](low)), float(FUNCTIONS[self.name](high)))

    def evaluate(self, frame: pd.DataFrame) -> np.ndarray:
        return np.asarray(FUNCTIONS[self.name](self.argument.evaluate(frame)))


@dataclass(frozen=True)
class Factor:
    """A column taken as a factor: one indicator for each declared level, in declared order, against the level at `reference`."""

    column: Column
    levels: tuple[Level, ...]
    reference: int = 0

    @property
    def columns(self) -> tuple[Column, ...]:
        return (self.column,)

    def indicator(self, frame: pd.DataFrame, level: int) -> np.ndarray:
        """bool (rows,): who has that level. A missing value has none."""
        series = frame[self.column.name]
        if self.column.type == "category":
            return np.asarray(series.cat.codes.to_numpy() == level)
        return np.asarray(series.to_numpy(dtype=np.float64) == float(self.levels[level]))


FUNCTIONS: dict[str, Callable[[np.ndarray | float], np.ndarray]] = {
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "exp": np.exp,
    "sqrt": np.sqrt,
}

_LOG_ADVICE = "Use log1p(x), log(x + 1), or tighter bounds above 0."
_DOMAINS = {
    "log": (0.0, True, _LOG_ADVICE),
    "log2": (0.0, True, _LOG_ADVICE),
    "log10": (0.0, True, _LOG_ADVICE),
    "log1p": (-1.0, True, "Use tighter bounds above -1."),
    "sqrt": (0.0, False, "Use tighter bounds from 0 on."),
}
_ARITHMETIC: dict[str, Callable] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
}


def finite(low: float, high: float) -> Interval:
    """The interval itself, or a FormulaError when it overflows."""
    if not (math.isfinite(low) and math.isfinite(high)):
        raise FormulaError(
            "A term grows beyond any number within the dictionary bounds. Rescale the column, for example I(x / 100)."
        )
    return low, high


def product(intervals: list[Interval]) -> Interval:
    """The interval of a product of independent values. Refused where it vanishes: numbers below 1e-308 are rounded to steps."""
    low = high = 1.0
    for a, b in intervals:
        ends = [low * a, low * b, high * a, high * b]
        low, high = finite(min(ends), max(ends))
        if max(abs(low), abs(high)) < SMALLEST:
            raise FormulaError("A term vanishes within the dictionary bounds. Rescale a column, for example I(x * 100).")
    return low, high


def _power(base: float, exponent: float) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf
