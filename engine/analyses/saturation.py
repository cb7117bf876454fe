"""Models that return tables: what their coefficients and (co)variances say of groups beyond the design's own cells.

A response of few values fitted by as many coefficients as there are groups of people returns the mean (or its log, or log odds)
of every group. Beside that, a covariance V = s^2 (Z'Z)^-1 and the coefficients g return Z'Z = s^2 V^-1 and Z'y = Z'Z g: how
many people two groups share, for every two terms of the model, and how many of each group have the response (of more values:
their sum). A logistic or Poisson fit returns the same, weighted. Where all predictors have listed values, a few whole numbers
lie behind the variances alone, which determine them (beside a measurement, whose sums are unknown, they do not by themselves).
So all of these obey the rule for table cells:

    saturated, response of few values  every group by response
    cov_params, or listed values only  the groups of every two terms; those of every term by a response of few values
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from engine.analyses.base import Cell
from engine.errors import SpecError
from engine.formula import Design
from engine.formula.cells import Grouping, Members

MOST_CELLS = 2000  # as many as a table may have

Crossing = tuple[frozenset[str], bool]
"""Columns whose groups are crossed, and whether with the response too."""


def table_cells(design: Design, first: int, cov_params: bool = False) -> tuple[Cell, ...]:
    """The cells of those tables, numbered from `first` in the plan. Raises SpecError where they are too many.

    A level that nobody has excuses its groups, as in a table, and so does a value of the response that nobody has, unless of two.
    """
    divided = {grouping.column.name: grouping for grouping in design.groupings()}
    terms = _largest((_names(design.groupings(term)), False) for term in design.terms)
    found = set(_crossings(design, divided, [names for names, _ in terms], cov_params))
    # Each of these has four cells or more, and one that is part of another is rare: enough to end before they are compared.
    crossings = _largest(found, counted=terms) if len(found) <= MOST_CELLS else []
    tables = [([divided[name] for name in divided if name in names], outcome) for names, outcome in crossings]
    if (
        len(found) > MOST_CELLS
        or sum(_size(table) * (len(design.response_cells) if outcome else 1) for table, outcome in tables) > MOST_CELLS
    ):
        advice = "Leave cov_params out, use" if cov_params else "Use"
        raise SpecError(f"The model divides people into more than {MOST_CELLS} groups. {advice} fewer factors, or merge levels.")
    margins: list[Cell] = []
    index: dict[tuple[str, int], int] = {}
    for grouping in {each.key: each for table, _ in tables for each in table if each.factor is not None}.values():
        for group, label in enumerate(grouping.labels):
            own = index[grouping.column.name, group] = first + len(margins)
            margins.append(Cell(label, grouping.members(group), (own,)))
    cells = [cell for table, outcome in tables for cell in _cells(table, design.response_cells if outcome else (), index)]
    return (*margins, *cells)


def _crossings(
    design: Design, divided: Mapping[str, Grouping], terms: Sequence[frozenset[str]], cov_params: bool
) -> Iterable[Crossing]:
    """`terms`: the columns by which each term divides people, those within another one's left out."""
    everything, few_values = frozenset(divided), bool(design.response_cells)
    undivided = [c for meaning in design._meanings.values() for c in meaning.columns if c.name not in divided]
    if not undivided and few_values and everything and len(design.names) >= _size(divided.values()):
        yield everything, True
    if cov_params or all(column.values is not None for column in undivided):
        yield from ((left | right, False) for left, right in itertools.combinations(terms, 2))
        yield from ((names, True) for names in terms if few_values and names)


def _largest(crossings: Iterable[Crossing], counted: Sequence[Crossing] = ()) -> list[Crossing]:
    """Without those whose cells are sums of cells of another one, or of one that is `counted` already."""
    known: list[Crossing] = list(counted)
    for names, outcome in sorted(crossings, key=lambda each: (-len(each[0]), not each[1], sorted(each[0]))):
        if not any(names <= others and outcome <= wider for others, wider in known):
            known.append((names, outcome))
    return known[len(counted) :]


def _names(crossed: Iterable[Grouping]) -> frozenset[str]:
    return frozenset(each.column.name for each in crossed)


def _size(crossed: Iterable[Grouping]) -> float:
    return float(np.prod([float(len(each.labels)) for each in crossed]))


def _cells(crossed: Sequence[Grouping], outcomes: Sequence[Cell], index: Mapping[tuple[str, int], int]) -> list[Cell]:
    cells = []
    for groups in itertools.product(*(range(len(grouping.labels)) for grouping in crossed)):
        picked = list(zip(crossed, groups, strict=True))
        labels, members = [g.labels[k] for g, k in picked], [g.members(k) for g, k in picked]
        excuse = tuple(index[g.column.name, k] for g, k in picked if g.factor is not None)
        if outcomes:
            cells += [
                Cell("; ".join([*labels, each.label]), _all([*members, each.members]), excuse + each.absent_if)
                for each in outcomes
            ]
        else:
            cells.append(Cell("; ".join(labels), _all(members), excuse))
    return cells


def _all(members: list[Members]) -> Members:
    return lambda batch: np.logical_and.reduce([member(batch) for member in members])
