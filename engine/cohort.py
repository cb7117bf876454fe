"""The `where` of a question: which people it is about, as a condition over dictionary columns.

    18 <= age < 65 and sex == "female"
    not (stage in ["III", "IV"]) and weight is not missing
    `ph.ecog` <= 1 or treated == true

Read by the parser below, checked against the dictionary, and compiled to SQL; never evaluated as code. Missing values follow
SQL: a comparison with a missing value is neither true nor false, so it selects nobody, and neither does its negation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.dictionary import RESERVED, Column, Dictionary, Level
from engine.errors import CohortError

MAX_TEXT = 10_000
MAX_DEPTH = 40
MAX_NODES = 1000

HELP = "Write for example: where='18 <= age < 65 and sex == \"female\"'."
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_SQL = {"==": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_NUMPY: dict[str, Callable[[Any, Any], np.ndarray]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])
    |(?P<text>"[^"]*"|'[^']*')
    |(?P<quoted>`[^`]+`)
    |(?P<name>[^\W\d][\w.]*)
    |(?P<symbol>==|!=|<=|>=|<|>|\(|\)|\[|\]|,|-|\+))""",
    re.VERBOSE,
)

Truth = tuple[np.ndarray, np.ndarray]  # (true, known): bool (rows,); unknown rows are never true


@dataclass(frozen=True)
class Compare:
    """A numeric column against a number or another numeric column."""

    column: str
    op: str
    other: float | str

    def columns(self) -> Iterator[str]:
        yield self.column
        if isinstance(self.other, str):
            yield self.other

    def sql(self, name: Callable[[str], str], bind: Callable[[float], str]) -> str:
        right = name(self.other) if isinstance(self.other, str) else bind(self.other)
        return f"({name(self.column)} {_SQL[self.op]} {right})"

    def truth(self, frame: pd.DataFrame) -> Truth:
        left = frame[self.column].to_numpy(dtype=np.float64)
        right = frame[self.other].to_numpy(dtype=np.float64) if isinstance(self.other, str) else np.full(len(left), self.other)
        known = ~(np.isnan(left) | np.isnan(right))
        return _NUMPY[self.op](left, right) & known, known

    def text(self) -> str:
        return f"{_name(self.column)} {self.op} {_name(self.other) if isinstance(self.other, str) else _number(self.other)}"


@dataclass(frozen=True)
class Within:
    """A column is one of some values: numbers of a numeric column, positions of levels of a category."""

    column: str
    values: tuple[float, ...]
    levels: tuple[Level, ...] | None  # the category's levels, to print by name

    def columns(self) -> Iterator[str]:
        yield self.column

    def sql(self, name: Callable[[str], str], bind: Callable[[float], str]) -> str:
        if not self.values:  # an ordered comparison that no level meets: false for everybody whose level is known
            return f"({name(self.column)} < {bind(0.0)} AND {name(self.column)} > {bind(0.0)})"
        return f"({name(self.column)} IN ({', '.join(bind(value) for value in self.values)}))"

    def truth(self, frame: pd.DataFrame) -> Truth:
        series = frame[self.column]
        found = series.cat.codes.to_numpy() if self.levels is not None else series.to_numpy(dtype=np.float64)
        known = found >= 0 if self.levels is not None else ~np.isnan(found)
        return np.isin(found, self.values) & known, known

    def text(self) -> str:
        shown = [_number(value) if self.levels is None else _literal(self.levels[int(value)]) for value in self.values]
        return f"{_name(self.column)} in [{', '.join(shown)}]"


@dataclass(frozen=True)
class Missing:
    column: str

    def columns(self) -> Iterator[str]:
        yield self.column

    def sql(self, name: Callable[[str], str], bind: Callable[[float], str]) -> str:
        return f"({name(self.column)} IS NULL)"

    def truth(self, frame: pd.DataFrame) -> Truth:
        missing = frame[self.column].isna().to_numpy()
        return missing, np.ones(len(missing), dtype=bool)

    def text(self) -> str:
        return f"{_name(self.column)} is missing"


@dataclass(frozen=True)
class Not:
    part: Node

    def columns(self) -> Iterator[str]:
        yield from self.part.columns()

    def sql(self, name: Callable[[str], str], bind: Callable[[float], str]) -> str:
        return f"(NOT {self.part.sql(name, bind)})"

    def truth(self, frame: pd.DataFrame) -> Truth:
        true, known = self.part.truth(frame)
        return known & ~true, known

    def text(self) -> str:
        return f"not ({self.part.text()})"


@dataclass(frozen=True)
class Junction:
    """Several parts joined by 'and' or by 'or'."""

    word: str
    parts: tuple[Node, ...]

    def columns(self) -> Iterator[str]:
        for part in self.parts:
            yield from part.columns()

    def sql(self, name: Callable[[str], str], bind: Callable[[float], str]) -> str:
        return f"({f' {self.word.upper()} '.join(part.sql(name, bind) for part in self.parts)})"

    def truth(self, frame: pd.DataFrame) -> Truth:
        truths = [part.truth(frame) for part in self.parts]
        true = [true for true, _ in truths]
        false = [known & ~true for true, known in truths]
        if self.word == "and":
            all_true, any_false = np.logical_and.reduce(true), np.logical_or.reduce(false)
            return all_true, all_true | any_false
        any_true, all_false = np.logical_or.reduce(true), np.logical_and.reduce(false)
        return any_true, any_true | all_false

    def text(self) -> str:
        return f" {self.word} ".join(f"({part.text()})" if isinstance(part, Junction) else part.text() for part in self.parts)


Node = Compare | Within | Missing | Not | Junction


@dataclass(frozen=True)
class Condition:
    """A `where`, checked against the dictionary."""

    node: Node

    @classmethod
    def parse(cls, text: str, dictionary: Dictionary) -> Condition:
        """Raises CohortError, UnknownColumn or UnknownLevel, whose messages say how to mend the text."""
        return cls(_Parser(text, dictionary).parse())

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.node.columns()))

    def sql(self, name: Callable[[str], str], bind: Callable[[float], str]) -> str:
        """A SQL expression, true for the selected rows. `name` gives the SQL of a dictionary column (a number; for a category
        the position of its level; NULL when missing), `bind` of a number: a placeholder or a literal. No text reaches the SQL."""
        return self.node.sql(name, bind)

    def select(self, frame: pd.DataFrame) -> np.ndarray:
        """bool (rows,): the selected rows of a frame as a Batch holds it."""
        return self.node.truth(frame)[0]

    def canonical(self) -> str:
        """The condition in one spelling; parsing it gives the same condition."""
        return self.node.text()


@dataclass(frozen=True)
class _Literal:
    value: Level | bool


class _Parser:
    """Recursive descent:  or > and > not > comparison."""

    def __init__(self, text: str, dictionary: Dictionary) -> None:
        if not isinstance(text, str) or not text.strip():
            raise CohortError(f"The condition is empty. {HELP} Leave `where` out to ask about everybody.")
        if len(text) > MAX_TEXT:
            raise CohortError(f"The condition is longer than {MAX_TEXT} characters. Ask a smaller question.")
        self.dictionary = dictionary
        self.tokens = list(_tokens(text))
        self.position = self.depth = 0
        if len(self.tokens) > 2 * MAX_NODES:
            raise CohortError("The condition has too many parts. Ask a smaller question.")

    def parse(self) -> Node:
        node = self._or()
        if self.position < len(self.tokens):
            raise CohortError(f"The condition does not parse at {self._here()}. {HELP}")
        return node

    def _or(self) -> Node:
        return self._junction("or", self._and)

    def _and(self) -> Node:
        return self._junction("and", self._not)

    def _junction(self, word: str, part: Callable[[], Node]) -> Node:
        parts = [part()]
        while self._accept(word):
            parts.append(part())
        flat = [
            inner for node in parts for inner in (node.parts if isinstance(node, Junction) and node.word == word else (node,))
        ]
        return Junction(word, tuple(flat)) if len(flat) > 1 else flat[0]

    def _not(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise CohortError(f"The condition nests deeper than {MAX_DEPTH} levels. Write it flatter.")
        if self._accept("not"):
            node: Node = Not(self._not())
        elif self._accept("("):
            node = self._or()
            self._expect(")")
        else:
            node = self._comparison()
        self.depth -= 1
        return node

    def _comparison(self) -> Node:
        left = self._operand()
        if isinstance(left, Column) and self._accept("is"):
            negated = self._accept("not")
            if not (self._accept("missing") or self._accept("null")):
                raise CohortError("After 'is' comes 'missing' or 'not missing'.")
            return Not(Missing(left.name)) if negated else Missing(left.name)
        if isinstance(left, Column) and (self._at("in") or self._at("not")):
            negated = self._accept("not")
            self._expect("in")
            found = self._within(left, self._values())
            return Not(found) if negated else found
        parts = []
        while (op := self._peek()) in _SQL:
            self.position += 1
            right = self._operand()
            parts.append(self._compare(left, op, right))
            left = right
        if not parts:
            what = (
                f"'{left.name}' alone is not a condition: compare it, for example {left.name} == 1."
                if isinstance(left, Column)
                else HELP
            )
            raise CohortError(f"The condition lacks a comparison at {self._here()}. {what}")
        return parts[0] if len(parts) == 1 else Junction("and", tuple(parts))

    def _compare(self, left: Column | _Literal, op: str, right: Column | _Literal) -> Node:
        if isinstance(left, _Literal):
            if isinstance(right, _Literal):
                raise CohortError("A comparison needs a column on at least one side.")
            return self._compare(right, _MIRRORED[op], left)
        if isinstance(right, Column):
            if not (left.numeric and right.numeric):
                raise CohortError(
                    f"Columns '{left.name}' and '{right.name}' cannot be compared with each other: only numbers can."
                )
            return Compare(left.name, op, right.name)
        if left.numeric:
            return Compare(left.name, op, self._as_number(left, right))
        if op in ("==", "!="):
            found = self._within(left, [right])
            return found if op == "==" else Not(found)
        return self._ordered(left, op, right)

    def _ordered(self, column: Column, op: str, literal: _Literal) -> Node:
        levels = column.levels or ()
        if isinstance(literal.value, str) or not all(isinstance(level, int | float) for level in levels):
            raise CohortError(f"The levels of '{column.name}' have no order. Use ==, != or in [...].")
        values = [float(index) for index, level in enumerate(levels) if _NUMPY[op](level, literal.value)]
        return Within(column.name, tuple(values), levels)

    def _within(self, column: Column, literals: list[_Literal]) -> Within:
        if column.numeric:
            return Within(column.name, tuple(dict.fromkeys(self._as_number(column, literal) for literal in literals)), None)
        positions = []
        for literal in literals:
            value = literal.value
            if isinstance(value, bool) or not any(
                isinstance(level, str) == isinstance(value, str) for level in column.levels or ()
            ):
                kind = "numbers: write them without quotes" if isinstance(value, str) else "texts: put them in quotes"
                raise CohortError(f"The levels of '{column.name}' are {kind}.")
            positions.append(float(column.level_index(value)))
        return Within(column.name, tuple(sorted(set(positions))), column.levels)

    def _as_number(self, column: Column, literal: _Literal) -> float:
        if isinstance(literal.value, str):
            raise CohortError(
                f"Column '{column.name}' is a number and cannot be compared with a text. Write the number without quotes."
            )
        return float(literal.value)

    def _values(self) -> list[_Literal]:
        closing = "]" if self._accept("[") else ")"
        if closing == ")":
            self._expect("(")
        values: list[_Literal] = []
        while (not values and not self._at(closing)) or (values and self._accept(",")):
            values.append(self._literal_operand())
        self._expect(closing)
        return values

    def _literal_operand(self) -> _Literal:
        operand = self._operand()
        if isinstance(operand, Column):
            raise CohortError("After 'in' comes a list of values, for example in [1, 2] or in ['a', 'b'].")
        return operand

    def _operand(self) -> Column | _Literal:
        if self.position >= len(self.tokens):
            raise CohortError(f"The condition ends too early. {HELP}")
        kind, text = self.tokens[self.position]
        if kind == "symbol" and text in "+-":
            self.position += 1
            if self.position >= len(self.tokens) or self.tokens[self.position][0] != "number":
                raise CohortError("A sign can only stand before a number. Conditions do not calculate.")
            number = float(self.tokens[self.position][1])
            self.position += 1
            return _Literal(-number if text == "-" else number)
        if kind == "symbol" or (kind == "name" and text.casefold() in _WORDS):
            raise CohortError(f"The condition does not parse at {self._here()}. {HELP}")
        self.position += 1
        if kind == "number":
            return _Literal(float(text))
        if kind == "text":
            return _Literal(text[1:-1])
        if kind == "name" and text.casefold() in ("true", "false"):
            return _Literal(text.casefold() == "true")
        name = text.strip("`")
        if name == RESERVED:
            raise CohortError(
                f"'{RESERVED}' is not a column of the dictionary: a question is always about all hospitals that take part."
            )
        return self.dictionary[name]

    def _peek(self) -> str:
        """The next token: a word in lower case, a symbol as it is; '' for anything else."""
        if self.position < len(self.tokens):
            kind, text = self.tokens[self.position]
            return text.casefold() if kind == "name" else text if kind == "symbol" else ""
        return ""

    def _at(self, word: str) -> bool:
        return self._peek() == word

    def _accept(self, word: str) -> bool:
        found = self._at(word)
        self.position += found
        return found

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise CohortError(f"The condition does not parse at {self._here()}: '{word}' is missing. {HELP}")

    def _here(self) -> str:
        return f"'{self.tokens[self.position][1][:40]}'" if self.position < len(self.tokens) else "its end"


_WORDS = frozenset({"and", "or", "not", "in", "is"})


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            hint = (
                " Compare with ==."
                if text[position:].lstrip()[:1] == "="
                else " Use and, or, not."
                if text[position:].lstrip()[:1] in "&|~!"
                else ""
            )
            raise CohortError(f"The condition holds something unknown at position {position + 1}.{hint} {HELP}")
        yield match.lastgroup or "", match.group(match.lastgroup or 0)
        position = match.end()


def _name(name: str) -> str:
    return f"`{name}`"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


def _literal(level: Level) -> str:
    if not isinstance(level, str):
        return _number(level)
    return f'"{level}"' if '"' not in level else f"'{level}'"
