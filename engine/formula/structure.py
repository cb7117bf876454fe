"""Which columns the terms make, and what they are called: formulaic's own rank reduction and spelling, on one made-up row.

A factor's coding depends on the other terms (the first factor of a model without intercept keeps all its levels). formulaic
decides that from the kind of each factor and its levels, so it is given one row that the dictionary allows: no data.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from formulaic.formula import SimpleFormula
from formulaic.materializers import PandasMaterializer
from formulaic.materializers.types import FactorValues
from formulaic.parser.types import Term
from formulaic.transforms.contrasts import C, TreatmentContrasts
from interface_meta import override

from engine.errors import FormulaError
from engine.formula.expression import Factor, Numeric

MAX_COLUMNS = 1000
Meaning = Mapping[str, Numeric | Factor]


@dataclass(frozen=True)
class DesignColumn:
    """One column of the design: the product of its parts. A part is (factor text, level) or (expression text, None)."""

    name: str
    parts: tuple[tuple[str, int | None], ...]


class _NamesOnly(PandasMaterializer):
    """formulaic's materialiser with its lookup and its `eval` replaced by the meanings found beforehand."""

    REGISTER_NAME = None  # not to be found by formulaic for anybody else's frames
    REGISTER_INPUTS = ()

    meanings: Meaning

    @override
    def _lookup(self, name: str) -> tuple[Any, set]:
        return self._stand_in(name), set()

    @override
    def _evaluate(self, expr: str, metadata: Any, spec: Any) -> tuple[Any, set]:
        return self._stand_in(expr), set()

    def _stand_in(self, text: str) -> FactorValues:
        meaning = self.meanings[text]
        if not isinstance(meaning, Factor):
            return FactorValues(pd.Series([1.0]), kind="numerical", spans_intercept=False)
        levels = list(meaning.levels)
        row = pd.Series(pd.Categorical([levels[0]], categories=levels))
        return C(row, contrasts=TreatmentContrasts(base=levels[meaning.reference]))


def lay_out(terms: Sequence[Term], meanings: Meaning) -> list[tuple[Term, list[DesignColumn]]]:
    """The design's columns, term by term. `meanings` maps each factor's text to its expression."""
    for term in terms:
        levels = [len(meaning.levels) for factor in term.factors if isinstance(meaning := meanings.get(factor.expr), Factor)]
        if _product(levels) > 10 * MAX_COLUMNS:
            raise FormulaError("An interaction has too many combinations of levels. Use fewer factors or merge levels.")
    materializer = _NamesOnly(pd.DataFrame({"row": [0.0]}))
    materializer.meanings = meanings
    structure = materializer.get_model_matrix(SimpleFormula(list(terms))).model_spec.structure
    layout = [(entry.term, _name_columns(entry, meanings)) for entry in structure]
    if sum(len(columns) for _, columns in layout) > MAX_COLUMNS:
        raise FormulaError(f"The formula makes more than {MAX_COLUMNS} columns. Use fewer terms or merge levels.")
    return layout


def _name_columns(entry: Any, meanings: Meaning) -> list[DesignColumn]:
    """formulaic lists a term's columns with its first factor running fastest; scoped terms follow one another."""
    parts: list[tuple[tuple[str, int | None], ...]] = []
    for scoped in entry.scoped_terms:
        choices = [_choices(factor.factor.expr, factor.reduced, meanings) for factor in scoped.factors]
        parts.extend(tuple(reversed(picked)) for picked in itertools.product(*reversed(choices)))
    return [DesignColumn(name, columns) for name, columns in zip(entry.columns, parts, strict=True)]


def _choices(text: str, reduced: bool, meanings: Meaning) -> list[tuple[str, int | None]]:
    meaning = meanings[text]
    if not isinstance(meaning, Factor):
        return [(text, None)]
    return [(text, level) for level in range(len(meaning.levels)) if not (reduced and level == meaning.reference)]


def _product(numbers: list[int]) -> int:
    total = 1
    for number in numbers:
        total *= number
    return total
