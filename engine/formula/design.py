"""A formula compiled against the dictionary: what each hospital computes from its rows, the same everywhere.

A design column x_j is given to the protocol as z_j = (x_j - center_j) / scale_j, which lies in [-1, 1] because the dictionary
bounds it; a continuous response likewise as (y - response_center) / response_scale. All of this is public.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from formulaic.parser.types import Term as FormulaTerm

from engine.data.rows import Batch
from engine.dictionary import Dictionary, Level
from engine.errors import FormulaError
from engine.formula.cells import Grouping, bent_by_factors, count_cells, groupings
from engine.formula.expression import Factor, Interval, Numeric, product
from engine.formula.shape import check_derived, check_response, check_terms
from engine.formula.structure import DesignColumn, Meaning, lay_out
from engine.formula.syntax import Reader, parse_terms, split_sides

if TYPE_CHECKING:
    from engine.analyses.base import Cell

INTERCEPT = "Intercept"


@dataclass(frozen=True)
class Term:
    """One term of the formula and its columns of the design; `factor` when a factor is part of it."""

    name: str
    columns: slice
    factor: bool


@dataclass(frozen=True)
class Design:
    """What a formula means for a dictionary. Made by `compile`; holds no data."""

    formula: str
    response_name: str | None
    names: tuple[str, ...]
    intercept: int | None
    columns: tuple[str, ...]  # dictionary columns used, the response's first
    center: np.ndarray
    scale: np.ndarray
    response_center: float
    response_scale: float
    response_binary: bool  # its values are 0 and 1
    terms: tuple[Term, ...]
    cells: tuple[Cell, ...]  # of the predictors
    response_cells: tuple[Cell, ...]  # a response's values where they are few, numbered after `cells`; of two, never excused
    zero_cells: tuple[Cell, ...]  # of a count of more values, numbered alike: who has 0, and who has more
    _layout: tuple[DesignColumn, ...] = field(repr=False)
    _meanings: Meaning = field(repr=False)
    _response: Numeric | Factor | None = field(repr=False)

    @classmethod
    def compile(cls, formula: str, dictionary: Dictionary, reference: Mapping[str, Level] | None = None) -> Design:
        """`reference`: the level that a factor's others are compared with, by column; the first declared one otherwise.

        Raises FormulaError, UnknownColumn or UnknownLevel, whose messages say how to mend the formula.
        """
        left, right = split_sides(formula)
        reader = Reader(dictionary, reference or {})
        terms = parse_terms(right)
        meanings = {
            factor.expr: reader.read_factor(factor.expr, lookup=factor.eval_method.value == "lookup")
            for term in terms
            for factor in term.factors
            if factor.eval_method.value != "literal"
        }
        response, response_name = read_response(reader, left)
        reader.check_references([*meanings.values(), response])
        check_terms(([factor.expr for factor in term.factors] for term in terms), meanings)
        check_derived([*meanings.values(), *([response] if isinstance(response, Factor) else [])])
        layout = lay_out(terms, meanings)
        columns = [column for _, of_term in layout for column in of_term]
        names = tuple(column.name for column in columns)
        intercept = names.index(INTERCEPT) if INTERCEPT in names else None
        center, scale = scale_columns(columns, meanings, intercept)
        binary = response is not None and _is_binary(response)
        y_center, y_scale = (
            (0.0, 1.0) if response is None or binary else _scaling(response_interval(response), intercept is not None)
        )
        cells = count_cells([[meanings[factor.expr] for factor in term.factors if factor.expr in meanings] for term in terms])
        return cls(
            formula=canonical(response_name, terms),
            response_name=response_name,
            names=names,
            intercept=intercept,
            columns=used_columns(response, meanings),
            center=center,
            scale=scale,
            response_center=y_center,
            response_scale=y_scale,
            response_binary=binary,
            terms=_slices(layout, meanings),
            cells=cells,
            response_cells=_response_cells(response, len(cells)),
            zero_cells=_zero_cells(response, len(cells)),
            _layout=tuple(columns),
            _meanings=meanings,
            _response=response,
        )

    def matrix(self, batch: Batch) -> np.ndarray:
        """float64 (rows, d), column by column in memory: z_j = (x_j - center_j) / scale_j, in [-1, 1]. NaN where missing."""
        parts: dict[tuple[str, int | None], np.ndarray] = {}
        out = np.empty((len(self.names), len(batch)))
        for index, (column, z) in enumerate(zip(self._layout, out, strict=True)):
            values: np.ndarray | float = 1.0
            for part in column.parts:
                if part not in parts:
                    parts[part] = self._evaluate(part, batch.frame)
                values = parts[part] if isinstance(values, float) else values * parts[part]
            if index == self.intercept:
                z[:] = values
            else:
                np.divide(np.subtract(values, self.center[index], out=z), self.scale[index], out=z)
            # The last bit of a rounding may exceed the bound that the protocol's range plan relies on.
            np.clip(z, -1.0, 1.0, out=z)
        return out.T

    def response(self, batch: Batch) -> np.ndarray:
        """float64 (rows,): 0/1 for a binary response, else (y - response_center) / response_scale, in [-1, 1]."""
        y = self.response_values(batch)
        return y if self.response_binary else np.clip((y - self.response_center) / self.response_scale, -1.0, 1.0)

    def response_values(self, batch: Batch) -> np.ndarray:
        """float64 (rows,): the response in its own unit, as a count model needs it."""
        if self._response is None:
            raise FormulaError("The formula has no response. Write 'y ~ ...' with the response to the left of the ~.")
        if isinstance(self._response, Factor):
            return self._response.indicator(batch.frame, 1 - self._response.reference).astype(np.float64)
        return self._response.evaluate(batch.frame)

    def coefficient_map(self) -> tuple[np.ndarray, np.ndarray]:
        """(T (d, d), offset (d,)) from the coefficients gamma of the scaled fit to those of the formula:

            beta = offset + response_scale * T @ gamma

        With (y - cy)/sy = sum_j gamma_j (x_j - c_j)/s_j:

            beta_j = sy gamma_j / s_j        beta_0 = cy + sy (gamma_0 - sum_j gamma_j c_j / s_j)

        So T is diag(1/s) with -c_j/s_j in the intercept's row, and offset is cy at the intercept. For a linear predictor
        (binary or count response: cy = 0, sy = 1) it is beta = T @ gamma. Covariances map as sy^2 T V T'.
        """
        transform = np.diag(1.0 / self.scale)
        offset = np.zeros(len(self.names))
        if self.intercept is not None:
            others = np.arange(len(self.names)) != self.intercept
            transform[self.intercept, others] = -(self.center / self.scale)[others]
            offset[self.intercept] = self.response_center
        return transform, offset

    def groupings(self, term: Term | None = None) -> tuple[Grouping, ...]:
        """How a term, or all of them, divide people: each column once."""
        layout = self._layout if term is None else self._layout[term.columns]
        texts = dict.fromkeys(text for column in layout for text, _ in column.parts)
        bent = bent_by_factors(self._meanings.values())
        return tuple({each.column.name: each for each in groupings([self._meanings[text] for text in texts], bent)}.values())

    def _evaluate(self, part: tuple[str, int | None], frame: pd.DataFrame) -> np.ndarray:
        meaning = self._meanings[part[0]]
        if isinstance(meaning, Factor):
            return meaning.indicator(frame, part[1] or 0).astype(np.float64)
        return meaning.evaluate(frame)


def read_response(reader: Reader, left: str | None) -> tuple[Numeric | Factor | None, str | None]:
    """The response and its name as formulaic would spell it."""
    if left is None:
        return None, None
    text = left.strip()
    named = [factor for term in parse_terms(text + " - 1") for factor in term.factors]
    if len(named) != 1:
        raise FormulaError(
            "The left side of the formula must be one response, for example y or log(y). Put arithmetic into I(...)."
        )
    response = reader.read_factor(named[0].expr, lookup=named[0].eval_method.value == "lookup")
    if isinstance(response, Factor) and len(response.levels) != 2:
        raise FormulaError(
            f"The response '{response.column.name}' has {len(response.levels)} levels: it must be a number or have two levels."
        )
    if not response.columns:
        raise FormulaError("The response must be a column of the dictionary.")
    if not isinstance(response, Factor):
        check_response(response)
    return response, named[0].expr


def scale_columns(columns: Sequence[DesignColumn], meanings: Meaning, intercept: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(center, scale) of every column. Dummies and products with them stay centred at 0, so that their zeros stay zeros."""
    center, scale = np.zeros(len(columns)), np.ones(len(columns))
    for index, column in enumerate(columns):
        if index != intercept:
            interval = product([_part_interval(part, meanings) for part in column.parts])
            flat = any(level is not None or _is_zero_one(meanings[text]) for text, level in column.parts)
            center[index], scale[index] = _scaling(interval, intercept is not None and not flat)
    return center, scale


def response_interval(response: Numeric | Factor) -> Interval:
    return (0.0, 1.0) if isinstance(response, Factor) else response.interval()


def used_columns(response: Numeric | Factor | None, meanings: Meaning) -> tuple[str, ...]:
    """Names of the dictionary columns read. The response may not predict itself."""
    left = [column.name for column in response.columns] if response is not None else []
    right = [column.name for meaning in meanings.values() for column in meaning.columns]
    for name in left:
        if name in right:
            raise FormulaError(f"The response's column '{name}' also stands to the right of the ~. Take it out.")
    return tuple(dict.fromkeys(left + right))


def canonical(response_name: str | None, terms: Sequence[FormulaTerm]) -> str:
    """The formula in one spelling: terms in the design's order, the intercept (1) or its absence (0) written out."""
    spelled = [":".join(_spell(factor.expr, factor.eval_method.value) for factor in term.factors) for term in terms]
    if "1" not in spelled:
        spelled.insert(0, "0")
    return f"{response_name or ''} ~ {' + '.join(spelled)}".strip()


def _spell(text: str, method: str) -> str:
    return "{" + text + "}" if method == "python" and not text.endswith(")") else text


def _slices(layout: Sequence[tuple[FormulaTerm, list[DesignColumn]]], meanings: Meaning) -> tuple[Term, ...]:
    terms, start = [], 0
    for term, columns in layout:
        if columns:
            factor = any(isinstance(meanings.get(part.expr), Factor) for part in term.factors)
            name = INTERCEPT if columns[0].name == INTERCEPT else ":".join(part.expr for part in term.factors)
            terms.append(Term(name, slice(start, start + len(columns)), factor))
        start += len(columns)
    return tuple(terms)


def _scaling(interval: Interval, centred: bool) -> tuple[float, float]:
    low, high = interval
    if low == high:
        raise FormulaError(
            "A term of the formula has one value only within the dictionary's bounds. Take it out or mend the bounds."
        )
    if centred:
        return low + (high - low) / 2, (high - low) / 2
    return 0.0, max(abs(low), abs(high))


def _part_interval(part: tuple[str, int | None], meanings: Meaning) -> Interval:
    meaning = meanings[part[0]]
    return (0.0, 1.0) if isinstance(meaning, Factor) else meaning.interval()


def _is_zero_one(meaning: Numeric | Factor) -> bool:
    return any(column.pair == (0.0, 1.0) for column in meaning.columns)


def _is_binary(response: Numeric | Factor) -> bool:
    """A factor of two levels, or arithmetic over a two-valued column whose values are 0 and 1."""
    if isinstance(response, Factor):
        return True
    (column,) = response.columns
    return column.pair is not None and sorted(response.evaluate(pd.DataFrame({column.name: column.pair}))) == [0.0, 1.0]


def _response_cells(response: Numeric | Factor | None, first: int) -> tuple[Cell, ...]:
    """Who has each value of a response of few, numbered from `first`; an expression of a column is known where the column is.

    A coefficient is made of sums of the response over groups, and sums of few values tell who has which. A value that nobody has
    is excused, as in a description, but not one of two.
    """
    from engine.analyses.base import Cell

    if response is None or not (isinstance(response, Factor) or response.columns[0].few):
        return ()
    grouping = Grouping(response if isinstance(response, Factor) else None, response.columns[0])
    excused = len(grouping.labels) > 2
    return tuple(
        Cell(label, grouping.members(group), (first + group,) if excused else ()) for group, label in enumerate(grouping.labels)
    )


def _zero_cells(response: Numeric | Factor | None, first: int) -> tuple[Cell, ...]:
    """Who has 0, and who has more, of a count that is none of few values: where all but a few have 0, sums are about the few."""
    from engine.analyses.base import Cell

    if response is None or isinstance(response, Factor):
        return ()
    column = response.columns[0]
    if column.few or column.type != "integer" or column.limits[0] != 0:
        return ()

    def more(batch: Batch) -> np.ndarray:
        return batch.once((column.name, "more than 0"), lambda: np.asarray(batch.frame[column.name].to_numpy(np.float64) > 0))

    def none(batch: Batch) -> np.ndarray:
        return batch.once((column.name, "0"), lambda: np.asarray(batch.frame[column.name].to_numpy(np.float64) == 0))

    return (Cell(f"{column.name} = 0", none, (first,)), Cell(f"{column.name} > 0", more, (first + 1,)))
