"""From a formula's text to its terms.

The right side is parsed by formulaic (the term algebra of + : * / ** -, the order of terms, their spelling); each factor's
text is then translated by `read_factor`. formulaic must never see the left side: its parser looks up the callables of a
response expression with `eval`. So the text is split here, and a response is read by `read_factor` as well.

Everything is bounded before it is expanded: `(a + b + ...)**9` and deep parentheses would otherwise cost unbounded work.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from formulaic.errors import FormulaicError
from formulaic.formula import SimpleFormula
from formulaic.parser import DefaultFormulaParser
from formulaic.parser.types import ASTNode, OrderedSet, Term, Token
from formulaic.utils.code import sanitize_variable_names

from engine.dictionary import RESERVED, Column, Dictionary, Level
from engine.errors import FormulaError
from engine.formula.expression import FUNCTIONS, Constant, Factor, Function, Numeric, Operation, Power, Value

MAX_TEXT = 10_000
MAX_NESTING = 40
MAX_TERMS = 1000
MAX_EXPONENT = 20

HELP = "A formula reads 'y ~ x1 + x2 + C(x3) + x1:x2'."
_CALLS = ", ".join(f"{name}()" for name in FUNCTIONS)
ALLOWED = f"Allowed are arithmetic in I(...), C(column), C(column, Treatment('level')) and {_CALLS}."
_OPERATORS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def split_sides(text: str) -> tuple[str | None, str]:
    """('y', 'x + z') of 'y ~ x + z'; the left side is None when nothing stands before the ~. Bounds length and nesting."""
    if not isinstance(text, str) or not text.strip():
        raise FormulaError(f"The formula is empty. {HELP}")
    if len(text) > MAX_TEXT:
        raise FormulaError(f"The formula is longer than {MAX_TEXT} characters. Ask a smaller question.")
    tildes, quote, depth = [], "", 0
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'`":
            quote = character
        elif character == "\\":
            raise FormulaError("A formula holds no backslash.")
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "~":
            tildes.append(position)
        if depth > MAX_NESTING:
            raise FormulaError(f"The formula nests more than {MAX_NESTING} parentheses. Write it flatter.")
    if len(tildes) > 1 or (tildes and text[tildes[0] + 1 :].strip() == ""):
        raise FormulaError(f"The formula needs exactly one ~ with terms to its right. {HELP}")
    left = text[: tildes[0]].strip() if tildes else ""
    return left or None, text[tildes[0] + 1 :] if tildes else text


def parse_terms(right: str) -> list[Term]:
    """The right side's terms in formulaic's order, the intercept (a term of the literal 1) included unless removed."""
    parser = DefaultFormulaParser(feature_flags=DefaultFormulaParser.FeatureFlags.NONE)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's own remarks on odd literals
            tree = parser.get_ast("~ " + right)
            if count_terms(tree) > MAX_TERMS:
                raise FormulaError(f"The formula expands to more than {MAX_TERMS} terms. Write fewer interactions.")
            terms = parser.get_terms("~ " + right)._simplify()
    except FormulaError:
        raise
    except (
        FormulaicError,
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise FormulaError(f"The right side of the formula does not parse. {HELP} Put arithmetic into I(...).") from error
    if not terms or not isinstance(terms, OrderedSet | list):
        raise FormulaError(f"The right side of the formula must be one sum of at least one term. {HELP}")
    formula = SimpleFormula(list(terms))
    for term in formula:
        if any(factor.eval_method.value == "literal" for factor in term.factors) and term != "1":
            raise FormulaError("A number can only be 1 or 0 (with or without intercept). Scale a column with I(2 * x).")
    return list(formula)


def count_terms(tree: ASTNode | Token | None) -> int:
    """An upper bound of how many terms the tree expands to, without expanding it."""
    counts: dict[int, int] = {}
    todo: list[tuple[Any, bool]] = [(tree, False)]
    while todo:
        node, ready = todo.pop()
        if not isinstance(node, ASTNode):
            counts[id(node)] = 1
        elif not ready:
            todo.append((node, True))
            todo.extend((arg, False) for arg in node.args)
        else:
            counts[id(node)] = min(_expanded(node, [counts[id(arg)] for arg in node.args]), 10 * MAX_TERMS)
    return counts[id(tree)]


def _expanded(node: ASTNode, sizes: list[int]) -> int:
    symbol = node.operator.symbol
    if symbol == ":":
        return sizes[0] * sizes[1]
    if symbol == "*":
        return sizes[0] + sizes[1] + sizes[0] * sizes[1]
    if symbol in ("**", "^"):
        exponent = str(node.args[1])
        if not exponent.isdigit() or not 1 <= int(exponent) <= MAX_EXPONENT:
            raise FormulaError(
                f"A sum of terms is raised to a whole number from 1 to {MAX_EXPONENT}. Use I(x**2) for the square of a column."
            )
        return int(sizes[0] ** int(exponent))
    return max(sum(sizes), 1)


@dataclass(frozen=True)
class Reader:
    """Translates the text of one factor. Names are the dictionary's; anything not listed here is refused.

    `references`: the question's own reference levels, by column.
    """

    dictionary: Dictionary
    references: Mapping[str, Level] = field(default_factory=dict)

    def read_factor(self, text: str, *, lookup: bool = False) -> Numeric | Factor:
        """A column's name (`lookup`, verbatim), or an expression."""
        if lookup:
            return self._named(self._column(text))
        tree, aliases = parse_expression(text)
        if isinstance(tree, ast.Call) and self._called(tree) == "C":
            return self._factor(tree, aliases)
        name = _dotted(tree, aliases)
        return self._named(self._column(name)) if name is not None else self._numeric(tree, aliases, 0)

    def check_references(self, meanings: Iterable[Numeric | Factor | None]) -> None:
        """Every column with a reference level of its own is a factor of the formula. Raises FormulaError, UnknownColumn."""
        factors = {meaning.column.name for meaning in meanings if isinstance(meaning, Factor)}
        for name in self.references:
            self._column(name)
            if name not in factors:
                raise FormulaError(
                    f"reference= names '{name}', which is no factor of the formula. Write C({name}), or leave it out."
                )

    def _column(self, name: str) -> Column:
        if name == RESERVED:
            raise FormulaError(
                f"'{RESERVED}' is not a dictionary column. Compare hospitals with strata='{RESERVED}' where there is one."
            )
        return self.dictionary[name]

    def _named(self, column: Column) -> Numeric | Factor:
        return Value(column) if column.numeric else self._as_factor(column, column.levels or ())

    def _as_factor(self, column: Column, levels: tuple[Level, ...], contrast: ast.expr | None = None) -> Factor:
        """Its reference level is the formula's, else the question's, else the first."""
        own, written = self.references.get(column.name), None if contrast is None else _reference(contrast)
        if own is not None and written is not None and column.level_index(own) != column.level_index(written):
            raise FormulaError(
                f"reference= and the formula name different reference levels of '{column.name}'. Keep one of them."
            )
        level = own if written is None else written
        return Factor(column, levels, 0 if level is None else column.level_index(level))

    def _called(self, call: ast.Call) -> str:
        if not isinstance(call.func, ast.Name):
            raise FormulaError(f"Functions of other packages cannot be used (write log(x), not np.log(x)). {ALLOWED}")
        return call.func.id

    def _numeric(self, node: ast.expr, aliases: dict[str, str], depth: int) -> Numeric:
        if depth > MAX_NESTING:
            raise FormulaError("An expression of the formula is nested too deeply. Write it flatter.")
        name = _dotted(node, aliases)
        if name is not None:
            column = self._column(name)
            if not column.numeric:
                raise FormulaError(f"Column '{name}' is a category: it cannot be calculated with. Use it as a term of its own.")
            return Value(column)
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return Constant(_number(node))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            operand = self._numeric(node.operand, aliases, depth + 1)
            return Operation("*", Constant(-1.0), operand) if isinstance(node.op, ast.USub) else operand
        if isinstance(node, ast.BinOp):
            return self._operation(node, aliases, depth)
        if isinstance(node, ast.Call):
            return self._call(node, aliases, depth)
        raise FormulaError(f"An expression of the formula is not allowed. {ALLOWED}")

    def _operation(self, node: ast.BinOp, aliases: dict[str, str], depth: int) -> Numeric:
        left = self._numeric(node.left, aliases, depth + 1)
        if isinstance(node.op, ast.Pow):
            exponent = self._numeric(node.right, aliases, depth + 1)
            if exponent.columns or abs(exponent.interval()[0]) > MAX_EXPONENT:
                raise FormulaError("An exponent is a plain number such as 2 or 0.5; the third power is the highest.")
            return Power(left, exponent.interval()[0])
        if type(node.op) not in _OPERATORS:
            raise FormulaError(f"An operator in the formula is not allowed; use + - * / **. {ALLOWED}")
        return Operation(_OPERATORS[type(node.op)], left, self._numeric(node.right, aliases, depth + 1))

    def _call(self, node: ast.Call, aliases: dict[str, str], depth: int) -> Numeric:
        name = self._called(node)
        if name == "C":
            raise FormulaError("C(column) is a term of its own and cannot stand inside an expression. Use a:b for interactions.")
        if name != "I" and name not in FUNCTIONS:
            raise FormulaError(f"The formula uses a function that is not allowed: {name}(). {ALLOWED}")
        if len(node.args) != 1 or node.keywords:
            raise FormulaError(f"{name}() takes one argument, without a name.")
        argument = self._numeric(node.args[0], aliases, depth + 1)
        return argument if name == "I" else Function(name, argument)

    def _factor(self, call: ast.Call, aliases: dict[str, str]) -> Factor:
        """C(column) or C(column, Treatment('level'))."""
        name = _dotted(call.args[0], aliases) if call.args else None
        if name is None or len(call.args) + len(call.keywords) > 2 or any(word.arg != "contrasts" for word in call.keywords):
            raise FormulaError("C() takes a column, and optionally Treatment('level'): C(x) or C(x, Treatment('level')).")
        column = self._column(name)
        if column.values is None:
            raise FormulaError(
                f"C({name}) needs levels: declare levels = [...] for '{name}' in the data dictionary, or use it as a number."
            )
        contrast = call.args[1] if len(call.args) == 2 else call.keywords[0].value if call.keywords else None
        return self._as_factor(column, column.values, contrast)


def parse_expression(text: str) -> tuple[ast.expr, dict[str, str]]:
    """Python's tree of one expression, backticked names replaced by plain ones; and what they stand for."""
    aliases: dict[str, str] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(sanitize_variable_names(text, {}, aliases, template="_quoted_{}"), mode="eval").body, aliases
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FormulaError(f"An expression of the formula does not parse. {ALLOWED}") from error


def _dotted(node: ast.expr, aliases: dict[str, str]) -> str | None:
    """'ph.ecog' of the tree of ph.ecog; None when the node is not a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([aliases.get(node.id, node.id), *reversed(parts)]) if isinstance(node, ast.Name) else None


def _reference(node: ast.expr) -> Level:
    """The level in Treatment('level'), Treatment(reference='level') or formulaic's contr.treatment(base='level')."""
    if isinstance(node, ast.Call) and _dotted(node.func, {}) in ("Treatment", "contr.treatment"):
        given = [*node.args, *(word.value for word in node.keywords if word.arg in ("reference", "base"))]
        if len(given) == 1 and len(node.args) + len(node.keywords) == 1:
            value = given[0]
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
            if isinstance(value, ast.Constant) and isinstance(value.value, int | float) and not isinstance(value.value, bool):
                return value.value
    raise FormulaError("The only contrast is Treatment('level'), naming the reference level: C(x, Treatment('level')).")


def _number(node: ast.Constant) -> float:
    try:
        return float(node.value)  # type: ignore[arg-type]
    except OverflowError as error:
        raise FormulaError("A number in the formula is too large.") from error
