"""Which expressions a formula may hold, so that no column of the design and no response singles out one person.

With free arithmetic I(exp(-100 * ((age - 83)**2 + (weight - 71.3)**2))) is 1 for one person and 0 for all others, and the answer
returns that person. Everything below is decided from the text and the dictionary's bounds, before any data are touched.

An expression is one chain: a column, named once; an affine map; at most one bend; an affine map. The bends are

    x**2, x**3                           degree 2 and 3
    sqrt(x)                              degree 1
    log(x) and its kin                   degree 1; x itself, or shifted so that the logarithm has no pole nearby (`_check_log`)
    exp(x), 1/x, x**-1, x**-2, x**-0.5   degree 3; largest at most e^4 = 54 times smallest: no steeper than a cube, which grows
                                         64-fold from a quarter of the way between centre and bound to the bound

Over a formula: a column has at most one bend besides its powers (several logarithms or exponentials of one column add up to
anything); a term names a measurement once, and its degrees add up to 3 at most. Two-valued columns have degree 0, because the
gate counts people behind every combination of theirs. There is no abs(): with its column beside it, it is zero for all but the
people beyond the bend.

A column that the dictionary makes from another one stands for itself: one of a source, beside which the source stays unbent.

Rounding is kept out as well: adding 2^53 and taking it away again would turn a column into a step. Because a column is named
once, its interval is exact, and no step of the chain may make the values large against the range they span, or vanishing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from engine.dictionary import Column
from engine.errors import FormulaError
from engine.formula.expression import Constant, Factor, Function, Interval, Numeric, Operation, Power

MOST_DEGREE = 3
MOST_GROWTH = math.exp(4.0)
MOST_GROWTH_OF_LOG = 1000.0
MOST_OFFSET = 1e6  # times the range that an expression spans: rounding then stays below 1e-9 of it
LEAST_RANGE = 1e-30
LOGARITHMS = ("log", "log1p", "log2", "log10")
OF_RESPONSES = (*LOGARITHMS, "sqrt")
EXPONENTS = (-2.0, -1.0, -0.5, 0.5, 2.0, 3.0)

_DECLARE = "ask the hospitals to declare it as a column of the dictionary"


@dataclass(frozen=True)
class Shape:
    """An expression's column, its bend ("" while affine) and its degree; `shifted` once a constant was added before the bend."""

    column: Column
    bend: str = ""
    degree: int = 1
    shifted: bool = False


def check_terms(terms: Iterable[Iterable[str]], meanings: Mapping[str, Numeric | Factor]) -> None:
    """Refuse what singles people out. `terms` lists the texts of each term's factors."""
    shapes = {text: shape_of(meaning) for text, meaning in meanings.items() if not isinstance(meaning, Factor)}
    bends: dict[str, str] = {}
    for text, shape in shapes.items():
        if shape.bend not in ("", "power") and bends.setdefault(shape.column.name, text) != text:
            raise FormulaError(
                f"'{shape.column.name}' stands in two expressions that are not powers of it. Keep one, for example the log."
            )
    for term in terms:
        measured = [shape for shape in (shapes[text] for text in term if text in shapes) if shape.column.pair is None]
        names = [shape.column.name for shape in measured]
        for name in names:
            if names.count(name) > 1:
                raise FormulaError(
                    f"A term multiplies '{name}' by itself. Write I({name}**2) or I({name}**3) as a term of its own."
                )
        if sum(shape.degree for shape in measured) > MOST_DEGREE:
            raise FormulaError(
                f"An interaction of measurements has a degree above {MOST_DEGREE} (exp() and 1 / x have degree {MOST_DEGREE}). "
                "Use fewer measurements or lower powers in it."
            )


def check_derived(meanings: Iterable[Numeric | Factor]) -> None:
    """Two groupings of a column differ by the people between their cut points; one beside a bent column bends it once more."""
    factors = {meaning.column for meaning in meanings if isinstance(meaning, Factor) and meaning.column.derivation}
    of_source: dict[str, str] = {}
    for column in sorted(factors, key=lambda column: column.name):
        assert column.derivation is not None
        other = of_source.setdefault(column.derivation.source, column.name)
        if other != column.name:
            raise FormulaError(
                f"'{other}' and '{column.name}' are both made from '{column.derivation.source}': together they would single out "
                "the people between their levels. Use one of them."
            )
    for meaning in meanings:
        if not isinstance(meaning, Factor) and shape_of(meaning).bend and meaning.columns[0].name in of_source:
            name = meaning.columns[0].name
            raise FormulaError(
                f"'{of_source[name]}' is made from '{name}': beside it, '{name}' may stand as it is, but not bent."
            )


def check_response(response: Numeric) -> None:
    """A response is one column, or log, log1p, log2, log10 or sqrt of it, with constants added or multiplied."""
    advice = (
        f"The response may be one column, or {', '.join(OF_RESPONSES[:-1])} or {OF_RESPONSES[-1]} of one, with a constant added "
        f"or multiplied: y, log(y + 1), I(y / 1000). For another response, {_DECLARE}."
    )
    try:
        bend = shape_of(response).bend
    except FormulaError as error:
        raise FormulaError(f"{error} {advice}") from None
    if bend and bend not in OF_RESPONSES:
        raise FormulaError(advice)


def shape_of(node: Numeric) -> Shape:
    """The shape of an expression. Raises FormulaError with what to write instead."""
    if isinstance(node, Operation):
        shape = _operation(node)
    elif isinstance(node, Power):
        shape = _power(node)
    elif isinstance(node, Function):
        shape = _function(node)
    elif isinstance(node, Constant):
        raise FormulaError("An expression has one value only, because it names no column. Take it out.")
    else:
        (column,) = node.columns
        return Shape(column)
    _check_rounding(node.interval(), shape.column)
    return shape


def _operation(node: Operation) -> Shape:
    left, right = node.left.columns, node.right.columns
    if left and right:
        if set(left) == set(right):
            raise FormulaError(
                f"An expression names '{left[0].name}' twice. Name it once: powers are I(x**2), and each part of a sum is a term."
            )
        raise FormulaError(
            "An expression names more than one column. Write the product of two as the interaction a:b; for a ratio or a sum, "
            f"{_DECLARE}."
        )
    if node.op == "/" and right:
        return _bent(shape_of(node.right), "reciprocal", MOST_DEGREE, growth=node)
    shape = shape_of(node.left if left else node.right)
    added = node.op in ("+", "-") and (node.right if left else node.left).interval() != (0.0, 0.0)
    return replace(shape, shifted=True) if added and not shape.bend else shape


def _power(node: Power) -> Shape:
    shape = shape_of(node.base) if node.columns else shape_of(Constant(1.0))
    if node.exponent == 1.0:
        return shape
    if node.exponent not in EXPONENTS:
        raise FormulaError(f"An exponent is one of {', '.join(f'{e:g}' for e in EXPONENTS)}; the third power is the highest.")
    if node.exponent > 1.0:
        return _bent(shape, "power", int(node.exponent))
    if node.exponent == 0.5:
        return _bent(shape, "sqrt", 1)
    return _bent(shape, "reciprocal", MOST_DEGREE, growth=node)


def _function(node: Function) -> Shape:
    shape = shape_of(node.argument) if node.columns else shape_of(Constant(1.0))
    if node.name == "exp":
        return _bent(shape, "exp", MOST_DEGREE, growth=node)
    if node.name in LOGARITHMS:
        low, high = node.argument.interval()
        node.interval()  # undefined within the bounds: says so first
        _check_log(shape, (low + 1.0, high + 1.0) if node.name == "log1p" else (low, high), node.name == "log1p")
    return _bent(shape, node.name, 1)


def _bent(shape: Shape, bend: str, degree: int, growth: Numeric | None = None) -> Shape:
    if shape.bend:
        raise FormulaError(
            f"An expression takes a function or power of a function or power. Use one of them, as in I(x**2) or log(x); "
            f"for anything else, {_DECLARE}."
        )
    if growth is not None:
        smallest, largest = sorted(abs(end) for end in growth.interval())
        if largest > MOST_GROWTH * smallest:
            raise FormulaError(
                "exp(), 1 / x or a negative power grows more than 54-fold (e**4) within the dictionary's bounds, so that a few "
                "people would outweigh all others. Use log(x), I(x**2), or exp(x / 10) of a smaller range."
            )
    return Shape(shape.column, bend, degree)


def _check_log(shape: Shape, argument: Interval, shifted: bool) -> None:
    """The column's own bounds, which the hospitals signed, may come near 0; a constant of the question may not bring them there.

    log(x - 17.999) is far from everybody else's for a person at the bound 18. So a shifted argument is 1 or more with the
    column's own slope at most, or grows at most 1000-fold.
    """
    low, high = argument
    own_low, own_high = shape.column.limits
    gentle = low >= 1.0 and high - low <= (own_high - own_low) * (1 + 1e-9)
    if (shifted or shape.shifted) and not gentle and high > MOST_GROWTH_OF_LOG * low:
        raise FormulaError(
            "The logarithm's argument comes too near 0 within the dictionary's bounds. Write log(x), or add a larger constant, "
            "as in log(x + 1)."
        )


def _check_rounding(interval: Interval, column: Column) -> None:
    low, high = interval
    largest, span = max(abs(low), abs(high)), high - low
    if span == 0.0:
        raise FormulaError("An expression has one value only within the dictionary's bounds. Take it out or mend its constants.")
    own_low, own_high = column.limits
    given = 4.0 * max(abs(own_low), abs(own_high)) / (own_high - own_low)
    if span < LEAST_RANGE or largest > max(MOST_OFFSET, given) * span:
        raise FormulaError(
            "A constant of an expression is out of proportion to its column. Use constants of the column's own size."
        )
