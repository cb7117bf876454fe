"""Rows to dictionary values in SQL: what engine/data/values.py says in pandas, for millions of rows.

Names are always quoted, and the only literals are numbers and texts of the dictionary and the hospital's own configuration,
quoted here. A researcher's text never gets this far: `where` arrives as a parsed condition over numbers.
"""

# ruff: noqa: S608  queries are put together from quoted names and literals, the hospital's own text, and nothing else

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.cohort import Condition
from engine.data.batches import COMPLEMENT, MISSING, OUT_OF_BOUNDS, USED
from engine.data.values import NOTHING
from engine.dictionary import Column, Dictionary, Level

SPACES = "' ' || chr(9) || chr(10) || chr(13)"
NUMBERS = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
)


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def number_literal(value: float) -> str:
    """A DOUBLE literal with exactly this value (a plain 0.1 would be a DECIMAL)."""
    if not math.isfinite(value):
        raise ValueError("only finite numbers can be written into a query")
    shown = repr(float(value))
    return shown if "e" in shown else shown + "e0"


@dataclass(frozen=True)
class ColumnSql:
    """How one dictionary column is read. `own` is the hospital's expression, `own_type` DuckDB's type of it."""

    column: Column
    own: str
    own_type: str
    codes: Mapping[str, Level]
    missing: Sequence[str]
    position: int  # makes the aliases of the layers unique

    @property
    def plain(self) -> bool:
        """Numbers all the way: the values are never looked at as text."""
        return self.column.numeric and self.own_type.split("(")[0] in NUMBERS

    @property
    def raw(self) -> str:
        return f"r{self.position}"

    @property
    def number(self) -> str:
        return f"n{self.position}"

    @property
    def value(self) -> str:
        return f"v{self.position}"

    @property
    def absent(self) -> str:
        return f"a{self.position}"

    @property
    def missing_text(self) -> str:
        return f"m{self.position}"

    def first(self) -> str:
        """own -> r: a DOUBLE when plain, else text without spaces around it, whole numbers without decimals."""
        own = f"({self.own}\n)"  # the line break ends a comment in the hospital's expression
        base = self.own_type.split("(")[0]
        if self.plain:
            return f"CAST({own} AS DOUBLE) AS {self.raw}"
        if base in ("FLOAT", "DOUBLE", "DECIMAL"):
            double = f"CAST({own} AS DOUBLE)"
            whole = f"{double} = trunc({double}) AND abs({double}) < 9.2e18 THEN CAST(CAST({double} AS BIGINT) AS VARCHAR)"
            return f"CASE WHEN isnan({double}) THEN NULL WHEN {whole} ELSE CAST({double} AS VARCHAR) END AS {self.raw}"
        return f"trim(CAST({own} AS VARCHAR), {SPACES}) AS {self.raw}"

    def second(self) -> str:
        """r -> r, n: the number that the text is, if any. DuckDB would take 1_000 for a thousand; nothing else does."""
        number = (
            self.raw if self.plain else f"CASE WHEN contains({self.raw}, '_') THEN NULL ELSE TRY_CAST({self.raw} AS DOUBLE) END"
        )
        return f"{self.raw}, {number} AS {self.number}"

    def third(self) -> str:
        """r, n -> r, a, v: the value (NULL for none), and whether it is absent: null or one of the hospital's missing codes.

        Of plain numbers a is left to `missed`, and null and NaN (for DuckDB beyond any bound) have no value by themselves.
        """
        coded = " ".join(f"WHEN {self._is([key])} THEN {self._target(level)}" for key, level in self.codes.items())
        values = self._levels() if not self.column.numeric else self._numbers()
        if self.plain:
            without = f"WHEN {self._is(self.missing)} THEN NULL" if self.missing else ""
            return f"{self.raw}, {self.number}, CASE {without} {coded} {values} END AS {self.value}"
        absent = f"({self.raw} IS NULL OR {self._is(self.missing)})"
        return f"{self.raw}, {absent} AS {self.absent}, CASE WHEN {absent} THEN NULL {coded} {values} END AS {self.value}"

    def fourth(self) -> str:
        """r, a, v -> v, m: whether it is missing rather than out of bounds. (CASE looks at few texts, OR would look at all.)"""
        if self.plain:
            return f"{self.raw}, {self.number}, {self.value}"
        nothing = f"lower({self.raw}) IN ({', '.join(map(text_literal, NOTHING))})"
        missed = f"CASE WHEN {self.absent} OR {self.value} IS NOT NULL THEN {self.absent} ELSE {nothing} END"
        return f"{self.value}, {missed} AS {self.missing_text}"

    @property
    def missed(self) -> str:
        """Whether the value is missing: of a plain number worked out where it is asked for, which is of rows left out alone."""
        if self.plain:
            return f"({self.raw} IS NULL OR isnan({self.raw}) OR {self._is(self.missing)})"
        return self.missing_text

    def _is(self, wanted: Sequence[str]) -> str:
        """Whether the value equals one of `wanted`, as text or as a number."""
        numbers = [number_literal(number) for text in wanted if (number := _as_number(text)) is not None]
        tests = [] if self.plain else [f"{self.raw} IN ({', '.join(map(text_literal, wanted))})"]
        if numbers:
            tests.append(f"coalesce({self.number} IN ({', '.join(numbers)}), false)")
        return f"({' OR '.join(tests)})" if tests else "false"

    def _target(self, level: Level) -> str:
        return number_literal(float(level)) if self.column.numeric else number_literal(self.column.level_index(level))

    def _levels(self) -> str:
        return " ".join(
            f"WHEN {self._is_level(level)} THEN {number_literal(index)}" for index, level in enumerate(self.column.levels or ())
        )

    def _is_level(self, level: Level) -> str:
        return f"{self.raw} = {text_literal(level)}" if isinstance(level, str) else f"{self.number} = {number_literal(level)}"

    def _numbers(self) -> str:
        number = self.number
        if not self.plain:
            number = f"coalesce({number}, CASE lower({self.raw}) WHEN 'true' THEN 1e0 WHEN 'false' THEN 0e0 END)"
        low, high = (number_literal(bound) for bound in self.column.limits)
        tests = [f"{number} BETWEEN {low} AND {high}"]
        if self.column.type != "number":
            tests.append(f"trunc({number}) = {number}")
        if self.column.levels is not None:
            tests.append(f"{number} IN ({', '.join(number_literal(float(level)) for level in self.column.levels)})")
        return f"WHEN {' AND '.join(tests)} THEN {number}"


def made(column: Column, value: str) -> str:
    """The position of a derived column's level, from the SQL of its source's value; NULL for none. As Derivation.positions."""
    derivation = column.derivation
    assert derivation is not None
    if derivation.cuts:
        cases = [f"WHEN {value} < {number_literal(cut)} THEN {number_literal(at)}" for at, cut in enumerate(derivation.cuts)]
        return f"(CASE WHEN {value} IS NULL THEN NULL {' '.join(cases)} ELSE {number_literal(len(derivation.cuts))} END)"
    cases = [
        f"WHEN {value} IN ({', '.join(map(number_literal, own))}) THEN {number_literal(at)}"
        for at, own in enumerate(derivation.merged)
    ]
    return f"(CASE {' '.join(cases)} END)"


def read(columns: Sequence[ColumnSql], relation: str, person: str | None) -> str:
    """A SELECT of v and m of each column, and of `person` (text, NULL for none): the layers, one inside the other."""
    # DuckDB would push a filter on v and m down to the file and work out the texts anew for each mention, 15 times slower. A
    # filter that looks at something volatile stays where it is.
    barrier = "0" if all(column.plain for column in columns) else "random()"
    named = [f"nullif(trim(CAST(({person}\n) AS VARCHAR), {SPACES}), '') AS person"] if person is not None else []
    query = f"SELECT {', '.join([*(column.first() for column in columns), *named]) or '1 AS nothing'} FROM {relation}"
    kept = ["person"] if named else []
    for layer in (ColumnSql.second, ColumnSql.third, ColumnSql.fourth):
        query = f"SELECT {', '.join([*map(layer, columns), *kept]) or '1 AS nothing'} FROM ({query})"
    return f"SELECT *, {barrier} AS barrier FROM ({query})"


def status(
    dictionary: Dictionary, columns: Mapping[str, ColumnSql], listwise: Sequence[str], where: Condition | None, by_person: bool
) -> str:
    """What becomes of a row, as in batches.py. Missing goes before out of bounds. `columns`: those that are read."""

    def value(name: str) -> str:
        column = dictionary[name]
        own = columns[dictionary.source(name)].value
        return own if column.derivation is None else made(column, own)

    wanted = [columns[name] for name in dict.fromkeys(map(dictionary.source, listwise))]
    complete = [f"{column.value} IS NOT NULL" for column in wanted] + (["person IS NOT NULL"] if by_person else [])
    missing = [column.missed for column in wanted] + (["person IS NULL"] if by_person else [])
    cases = [f"WHEN barrier < 0 THEN {COMPLEMENT}"]  # never; see `read`
    if where is not None:
        selected = where.sql(value, number_literal)
        cases.append(f"WHEN ({selected}) IS NOT TRUE THEN {COMPLEMENT}")
    if not complete:
        return f"CASE {' '.join(cases)} ELSE {USED} END"
    # What is missing has no value: most rows are complete, and nothing more is asked of them.
    cases += [f"WHEN {' AND '.join(complete)} THEN {USED}", f"WHEN {' OR '.join(missing)} THEN {MISSING}"]
    return f"CASE {' '.join(cases)} ELSE {OUT_OF_BOUNDS} END"


def count_people(reading: str, of_status: str) -> str:
    """People of each status. A row without a person id counts as a person of its own."""
    # Within one query hash() will do, in a tenth of MD5's time.
    rows = f"SELECT CASE WHEN person IS NOT NULL THEN hash(person) END AS identity, {of_status} AS status FROM ({reading})"
    group = "GROUP BY identity, CASE WHEN identity IS NULL THEN status END"
    best = f"SELECT identity, min(status) AS status, count(*) AS rows FROM ({rows}) {group}"
    return f"SELECT status, sum(CASE WHEN identity IS NULL THEN rows ELSE 1 END) AS people FROM ({best}) GROUP BY status"


def stream_rows(columns: Sequence[ColumnSql], reading: str, of_status: str, selected: bool) -> str:
    """Values and status of every row, NULL where a value is missing; without the complement where a condition selected rows."""
    within = f" WHERE {of_status} <> {COMPLEMENT}" if selected else ""
    return f"SELECT {_values(columns)}, CAST({of_status} AS UTINYINT) AS status FROM ({reading}){within}"


def stream_people(columns: Sequence[ColumnSql], reading: str, of_status: str) -> str:
    """The used rows, NULL where a value is missing, in the order of their people's identities."""
    named = f"SELECT {_values(columns)}, md5_number_lower(person) AS identity FROM ({reading})"
    return f"{named} WHERE {of_status} = {USED} ORDER BY identity"


def _values(columns: Sequence[ColumnSql]) -> str:
    return ", ".join(column.value for column in columns)


def examine(columns: Sequence[ColumnSql], reading: str) -> str:
    """Rows, then missing and out of bounds of each column."""
    counts = [
        f"count(*) FILTER ({column.missed}), count(*) FILTER ({column.value} IS NULL AND NOT {column.missed})"
        for column in columns
    ]
    return f"SELECT {', '.join(['count(*)', *counts])} FROM ({reading})"


def _as_number(text: str) -> float | None:
    """The number a configured text is, as DuckDB and pandas would read it."""
    try:
        number = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
