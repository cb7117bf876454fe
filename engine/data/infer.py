"""A data dictionary guessed from files, for the sandbox: one owner holds all of them and wants to try things out.

Real studies agree on a dictionary instead: this one reads the data, so its levels (not its bounds) betray what occurs.
Every guess is reported in words, for the owner to check.
"""

# ruff: noqa: S608  queries are put together from quoted names and literals, the hospital's own text, and nothing else

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data.config import DataSection
from engine.data.sql import ColumnSql, identifier, text_literal
from engine.data.tables import Tables
from engine.data.values import NOTHING
from engine.dictionary import LARGEST, MAX_TEXT, Column, Dictionary, check_name
from engine.errors import DictionaryError

MAX_TEXT_LEVELS = 50
MAX_NUMBER_LEVELS = 12
AT_ONCE = 8  # columns whose distinct values are counted together: each takes memory
IDENTIFIERS = frozenset(
    {"id", "pid", "mrn", "patient", "patient_id", "patientid", "subject", "subject_id", "person", "person_id"}
)


@dataclass(frozen=True)
class Seen:
    """What one file holds in one column. `texts` and `numbers` are its distinct values where these are few."""

    present: int
    numeric: int
    truths: int  # true or false
    low: float
    high: float
    whole: bool
    distinct: int
    texts: frozenset[str]
    numbers: frozenset[float]


def infer(files: Mapping[str, Path]) -> tuple[Dictionary, list[str]]:
    """(dictionary, what was assumed) of CSV or Parquet files with the same columns, by hospital. Raises DataError for a file
    that cannot be read and DictionaryError when nothing is common to all."""
    assumptions: list[str] = []
    tables = {name: Tables(DataSection(source=path.name), path.parent) for name, path in files.items()}
    try:
        common = _common(tables, assumptions)
        by_file = [_look(table, common) for table in tables.values()] if common else []
        seen = {name: [found[index] for found in by_file] for index, name in enumerate(common)}
    finally:
        for table in tables.values():
            table.close()
    person = _person(seen, assumptions)
    columns = {name: entry for name in common if name != person and (entry := _guess(name, seen[name], assumptions)) is not None}
    if not columns:
        raise DictionaryError("The files have no column in common that could be used. Give them the same column names.")
    return Dictionary.parse({"columns": columns, **({"person": {"column": person}} if person else {})}), assumptions


def _common(tables: Mapping[str, Tables], assumptions: list[str]) -> list[str]:
    """Columns of all files that a dictionary can hold, in the first file's order."""
    names = list(
        dict.fromkeys(column for table in tables.values() for column in table.columns if not column.startswith("_unnamed_"))
    )
    common = []
    for name in names:
        lacking = [hospital for hospital, table in tables.items() if name not in table.columns]
        try:
            check_name(name)
        except DictionaryError as error:
            assumptions.append(f"{name}: left out. {error}")
            continue
        if lacking:
            assumptions.append(f"{name}: left out, because {', '.join(lacking)} has no such column.")
        else:
            common.append(name)
    return common


def _look(table: Tables, names: Sequence[str]) -> list[Seen]:
    """Every column of one file: some columns at a pass, and one more pass over each column that takes few values."""
    read = [
        ColumnSql(Column(name, "number", (-1, 1)), identifier(name), table.columns[name], {}, (), i)
        for i, name in enumerate(names)
    ]
    first, second = ", ".join(column.first() for column in read), ", ".join(column.second() for column in read)
    reading = f"(SELECT {second} FROM (SELECT {first} FROM {table.relation}))"
    counted: list[Any] = []
    for start in range(0, len(read), AT_ONCE):
        counted += table.fetch(f"SELECT {', '.join(map(_counts, read[start : start + AT_ONCE]))} FROM {reading}")[0]
    found = []
    for index, column in enumerate(read):
        present, numeric, truths, low, high, whole, distinct = counted[7 * index : 7 * index + 7]
        values = []
        if distinct <= MAX_TEXT_LEVELS:
            values = table.fetch(f"SELECT DISTINCT {column.raw}, {column.number} FROM {reading} WHERE NOT {_absent(column)}")
        texts, numbers = (
            frozenset(str(text) for text, _ in values),
            frozenset(number for _, number in values if number is not None),
        )
        found.append(Seen(present, numeric, truths, low or 0.0, high or 0.0, bool(whole), distinct, texts, numbers))
    return found


def _counts(column: ColumnSql) -> str:
    raw, number, absent = column.raw, column.number, _absent(column)
    finite = f"FILTER (NOT {absent} AND isfinite({number}))"
    truth = "false" if column.plain else f"lower({raw}) IN ('true', 'false')"
    return (
        f"count(*) FILTER (NOT {absent}), count(*) {finite}, count(*) FILTER ({truth}), "
        f"min({number}) {finite}, max({number}) {finite}, "
        f"bool_and({number} = trunc({number})) {finite}, count(DISTINCT {raw}) FILTER (NOT {absent})"
    )


def _absent(column: ColumnSql) -> str:
    if column.plain:
        return f"({column.raw} IS NULL OR isnan({column.raw}))"
    return f"({column.raw} IS NULL OR lower({column.raw}) IN ({', '.join(map(text_literal, NOTHING))}))"


def _person(seen: Mapping[str, Sequence[Seen]], assumptions: list[str]) -> str | None:
    """A column called id (or so) whose values repeat within a file names people."""
    for name, found in seen.items():
        if name.casefold() in IDENTIFIERS and any(0 < one.distinct < one.present for one in found):
            assumptions.append(f"{name}: taken as the person column, because its values repeat. People are counted, not rows.")
            return name
    return None


def _guess(name: str, found: Sequence[Seen], assumptions: list[str]) -> dict[str, Any] | None:
    """One column's declaration, or None (said so) when it is left out."""
    present, numeric, truths = (sum(getattr(one, key) for one in found) for key in ("present", "numeric", "truths"))
    if name.casefold() in IDENTIFIERS:
        assumptions.append(f"{name}: left out, because it looks like an identifier.")
        return None
    if not present:
        assumptions.append(f"{name}: left out, because it is empty everywhere.")
        return None
    if numeric == present:
        return _guess_number(name, [one for one in found if one.present], assumptions)
    if truths == present:
        return {"type": "binary"}
    levels = sorted(frozenset[str]().union(*(one.texts for one in found)))
    if max(len(levels), *(one.distinct for one in found)) > MAX_TEXT_LEVELS or any(len(level) > MAX_TEXT for level in levels):
        assumptions.append(f"{name}: left out, because it holds more than {MAX_TEXT_LEVELS} different texts.")
        return None
    assumptions.append(f"{name}: a category with {len(levels)} levels; the reference is {levels[0]!r}.")
    return {"type": "category", "levels": levels}


def _guess_number(name: str, found: Sequence[Seen], assumptions: list[str]) -> dict[str, Any] | None:
    low, high = min(one.low for one in found), max(one.high for one in found)
    widest = generous_bounds(low, high)
    whole = all(one.whole for one in found) and max(map(abs, widest)) <= LARGEST["integer"]
    if whole and low >= 0 and high <= 1:
        return {"type": "binary"}
    bounds = [int(bound) if whole else bound for bound in widest]
    kind = "integer" if whole else "number"
    if max(map(abs, widest)) > LARGEST[kind]:
        assumptions.append(f"{name}: left out, because its numbers are too large.")
        return None
    assumptions.append(f"{name}: {'a whole number' if whole else 'a number'} from {bounds[0]} to {bounds[1]}.")
    levels = sorted(int(value) for value in frozenset[float]().union(*(one.numbers for one in found))) if whole else []
    if whole and max(len(levels), *(one.distinct for one in found)) <= MAX_NUMBER_LEVELS:
        assumptions[-1] += (
            f" It takes {len(levels)} values, listed as levels: C({name}) works, and other values are out of bounds."
        )
        return {"type": "integer", "bounds": bounds, "levels": levels}
    return {"type": kind, "bounds": bounds}


def generous_bounds(low: float, high: float) -> tuple[float, float]:
    """Round numbers at least one range beyond what occurs, so that they do not betray it; nothing below 0 unless data are."""
    span = (high - low) or max(abs(high), 1.0)
    power = 10.0 ** math.floor(math.log10(span))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span)
    below, above = math.floor((low - span) / step) * step, math.ceil((high + span) / step) * step
    return (max(below, 0.0) if low >= 0 else below), above
