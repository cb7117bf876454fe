"""A data dictionary guessed from files, for the sandbox: one owner holds all of them and wants to try things out.

Real studies agree on a dictionary instead: this one reads the data, so its levels (not its bounds) betray what occurs.
Every guess is reported in words, for the owner to check.
"""

# ruff: noqa: S608  queries are put together from quoted names and literals, the hospital's own text, and nothing else

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine.data.config import DataSection
from engine.data.sql import ColumnSql, identifier, number_literal, text_literal
from engine.data.tables import Tables
from engine.data.values import NOTHING
from engine.dictionary import LARGEST, MAX_TEXT, RESERVED, Column, Dictionary, check_name
from engine.errors import DictionaryError

MAX_TEXT_LEVELS = 50
MAX_NUMBER_LEVELS = 12
AT_ONCE = 8  # columns whose distinct values are counted together: each takes memory
MOST_STEPS = 8192  # between a column's bounds, for its quartiles: engine/analyses/quantiles.py
DECIMAL_STEPS = (0.5, 0.25, 0.1, 0.05, 0.01, 0.005, 0.001, 0.0001)
WHOLE_STEPS = (1000.0, 100.0, 10.0, 1.0)
STEPS = WHOLE_STEPS + DECIMAL_STEPS
MARGINS = (1.0, 0.5, 0.25)  # ranges beyond what occurs; less than one only where quartiles need it
OFTEN = 10  # a value that comes so often on average names no person
IDENTIFIERS = frozenset(
    {"id", "pid", "mrn", "patient", "patient_id", "patientid", "subject", "subject_id", "person", "person_id"}
)


@dataclass(frozen=True)
class Seen:
    """What one file holds in one column. `texts` and `numbers` are its distinct values where these are few, `steps` those of
    STEPS of which all its numbers are multiples."""

    present: int
    numeric: int
    truths: int  # true or false
    low: float
    high: float
    whole: bool
    distinct: int
    steps: frozenset[float]
    texts: frozenset[str]
    numbers: frozenset[float]


class Inferred(NamedTuple):
    """`own_names`: what the files call a column whose name no dictionary can hold, by its name in the dictionary."""

    dictionary: Dictionary
    assumptions: list[str]
    own_names: dict[str, str]


def infer(files: Mapping[str, Path]) -> Inferred:
    """The dictionary of CSV or Parquet files with the same columns, by hospital, and what was assumed. Raises DataError for a
    file that cannot be read and DictionaryError when nothing is common to all."""
    assumptions: list[str] = []
    tables = {name: Tables(DataSection(source=path.name), path.parent) for name, path in files.items()}
    try:
        common = _common(tables, assumptions)
        by_file = [_look(table, list(common.values())) for table in tables.values()] if common else []
        seen = {name: [found[index] for found in by_file] for index, name in enumerate(common)}
    finally:
        for table in tables.values():
            table.close()
    person = _person(seen, assumptions)
    columns = {name: entry for name in common if name != person and (entry := _guess(name, seen[name], assumptions)) is not None}
    if not columns:
        raise DictionaryError("The files have no column in common that could be used. Give them the same column names.")
    dictionary = Dictionary.parse({"columns": columns, **({"person": {"column": person}} if person else {})})
    used = {*columns, *([person] if person else [])}
    return Inferred(dictionary, assumptions, {name: own for name, own in common.items() if name in used and name != own})


def _common(tables: Mapping[str, Tables], assumptions: list[str]) -> dict[str, str]:
    """Columns of all files, in the first file's order: {name in the dictionary: name in the files}."""
    names = list(
        dict.fromkeys(column for table in tables.values() for column in table.columns if not column.startswith("_unnamed_"))
    )
    taken = {name.casefold() for name in names}
    common = {}
    for own in names:
        lacking = [hospital for hospital, table in tables.items() if own not in table.columns]
        if lacking:
            assumptions.append(f"{own}: left out, because {', '.join(lacking)} has no such column.")
            continue
        name = plain_name(own)
        while name != own and name.casefold() in taken:
            name += "_"
        try:
            check_name(name)
        except DictionaryError:
            assumptions.append(f"{own}: left out, because no name could be made of it. Rename the column.")
            continue
        if name != own:
            taken.add(name.casefold())
            assumptions.append(f"{own}: called {name} here; [data.columns] of every hospital says so.")
        common[name] = own
    return common


def plain_name(own: str) -> str:
    """A name that a dictionary can hold: `Age (years)` becomes Age_years. A name that it can hold already stays."""
    try:
        check_name(own)
        return own
    except DictionaryError:
        name = re.sub(r"[^\w.]+", "_", unicodedata.normalize("NFKC", own)).strip("_.")
        name = f"x{name}" if name[:1].isdigit() else name
        return f"{name}_" if name == RESERVED else name[: MAX_TEXT - 10]


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
        present, numeric, truths, low, high, whole, distinct, multiples = counted[8 * index : 8 * index + 8]
        values = []
        if distinct <= MAX_TEXT_LEVELS:
            values = table.fetch(f"SELECT DISTINCT {column.raw}, {column.number} FROM {reading} WHERE NOT {_absent(column)}")
        texts, numbers = (
            frozenset(str(text) for text, _ in values),
            frozenset(number for _, number in values if number is not None),
        )
        steps = frozenset(step for step, multiple in zip(STEPS, multiples, strict=True) if multiple)
        found.append(Seen(present, numeric, truths, low or 0.0, high or 0.0, bool(whole), distinct, steps, texts, numbers))
    return found


def _counts(column: ColumnSql) -> str:
    raw, number, absent = column.raw, column.number, _absent(column)
    finite = f"FILTER (NOT {absent} AND isfinite({number}))"
    truth = "false" if column.plain else f"lower({raw}) IN ('true', 'false')"
    multiples = ", ".join(f"bool_and({_multiple(number, step)}) {finite}" for step in STEPS)
    return (
        f"count(*) FILTER (NOT {absent}), count(*) {finite}, count(*) FILTER ({truth}), "
        f"min({number}) {finite}, max({number}) {finite}, "
        f"bool_and({number} = trunc({number})) {finite}, count(DISTINCT {raw}) FILTER (NOT {absent}), "
        f"[{multiples}]"
    )


def _multiple(number: str, step: float) -> str:
    """Whether a number is a multiple of the step, but for the rounding of its decimals."""
    steps = f"({number} / {number_literal(step)})"
    return f"abs({steps} - round({steps})) <= 1e-12 * greatest(1, abs({steps}))"


def _absent(column: ColumnSql) -> str:
    if column.plain:
        return f"({column.raw} IS NULL OR isnan({column.raw}))"
    return f"({column.raw} IS NULL OR lower({column.raw}) IN ({', '.join(map(text_literal, NOTHING))}))"


def _person(seen: Mapping[str, Sequence[Seen]], assumptions: list[str]) -> str | None:
    """A column called id (or so) whose values repeat within a file names people."""
    for name, found in seen.items():
        if _identifies(name, found) and any(0 < one.distinct < one.present for one in found):
            assumptions.append(f"{name}: taken as the person column, because its values repeat. People are counted, not rows.")
            return name
    return None


def _identifies(name: str, found: Sequence[Seen]) -> bool:
    """Called like an identifier, and not a code of a few values that come often (PID may be a party identification)."""
    few = all(one.distinct <= MAX_NUMBER_LEVELS and one.present >= OFTEN * one.distinct for one in found)
    return name.casefold() in IDENTIFIERS and not few


def _guess(name: str, found: Sequence[Seen], assumptions: list[str]) -> dict[str, Any] | None:
    """One column's declaration, or None (said so) when it is left out."""
    present, numeric, truths = (sum(getattr(one, key) for one in found) for key in ("present", "numeric", "truths"))
    if _identifies(name, found):
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
    whole = all(one.whole for one in found) and max(map(abs, generous_bounds(low, high))) <= LARGEST["integer"]
    if whole and low >= 0 and high <= 1:
        return {"type": "binary"}
    kind, standing = ("integer", "a whole number") if whole else ("number", "a number")
    step = next((step for step in STEPS if all(step in one.steps for one in found)), None)
    widest, resolution = _bounds_and_resolution(low, high, step, whole)
    if max(map(abs, widest)) > LARGEST[kind]:
        assumptions.append(f"{name}: left out, because its numbers are too large.")
        return None
    bounds = [int(bound) if whole else bound for bound in widest]
    levels = sorted(int(value) for value in frozenset[float]().union(*(one.numbers for one in found))) if whole else []
    if whole and max(len(levels), *(one.distinct for one in found)) <= MAX_NUMBER_LEVELS:
        assumptions.append(
            f"{name}: {standing} from {bounds[0]} to {bounds[1]}. It takes {len(levels)} values, listed as levels: "
            f"C({name}) works, and other values are out of bounds."
        )
        return {"type": kind, "bounds": bounds, "levels": levels}
    told = f" in steps of {resolution:g}" if resolution else ""
    assumptions.append(f"{name}: {standing} from {bounds[0]} to {bounds[1]}{told}.")
    return {"type": kind, "bounds": bounds, **({"resolution": int(resolution) if whole else resolution} if resolution else {})}


def _bounds_and_resolution(low: float, high: float, step: float | None, whole: bool) -> tuple[tuple[float, float], float | None]:
    """The widest generous bounds within which the column has a grid for its quartiles. Whole numbers are recorded in steps of 1
    unless only a wider step makes the grid small enough (None: what the dictionary assumes anyway)."""
    wanted = [1.0] if whole else []
    wanted += [step] if step is not None and not (whole and step == 1) else []
    for resolution in wanted:
        for margin in MARGINS:
            bounds = _above_zero(low, generous_bounds(low, high, margin), resolution)
            if (bounds[1] - bounds[0]) / resolution <= MOST_STEPS:
                return bounds, None if whole and resolution == 1 else resolution
    return _above_zero(low, generous_bounds(low, high), 1.0 if whole else None), None


def _above_zero(low: float, bounds: tuple[float, float], step: float | None) -> tuple[float, float]:
    """For positive numbers a lower bound above 0, so that their logarithm exists: a power of ten well below the smallest, on the
    grid where there is one."""
    if low <= 0 or bounds[0] > 0:
        return bounds
    power = float(f"1e{math.floor(math.log10(low)) - 1}")
    if step is not None and (power < step or not (power / step).is_integer()):
        power = step
    return power, bounds[1]


def generous_bounds(low: float, high: float, margin: float = 1.0) -> tuple[float, float]:
    """Round numbers at least `margin` ranges beyond what occurs, so that they do not betray it; below 0 only where data are."""
    span = margin * ((high - low) or max(abs(high), 1.0))
    power = 10.0 ** math.floor(math.log10(span))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span)
    below, above = math.floor((low - span) / step) * step, math.ceil((high + span) / step) * step
    decimals = max(0, -math.floor(math.log10(step)))  # 0.3, not 3 * 0.1
    below, above = round(below, decimals), round(above, decimals)
    return (max(below, 0.0) if low >= 0 else below), above
