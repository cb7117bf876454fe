"""The study's data dictionary: every column that may be asked for, with its type and the values it may take.

It is public, agreed by all members and signed inside the charter, so whatever depends on it alone (the design's columns, the
scaling to [-1, 1], a factor's levels) is the same everywhere and says nothing about anybody's data.

    [columns.age]                      number    any real number within bounds
    type = "integer"                   integer   whole numbers within bounds, optionally only those listed as levels
    bounds = [0, 120]                  binary    0 or 1
    unit = "years"                     category  one of the levels; numeric levels compare as numbers, so 1.0 is level 1

    [person]
    column = "id"                      names a person at one hospital; never a column of the study

A category may be made from another column, by cut points or by merging levels: engine/derivation.py.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from engine import derivation
from engine.derivation import Derivation
from engine.errors import ConfigError, DictionaryError, UnknownColumn, UnknownLevel
from engine.toml_file import parse_toml, read_toml

ColumnType = Literal["number", "integer", "binary", "category"]
Grade = Literal["low", "moderate", "high"]
Level = str | int | float

NAME = re.compile(r"[^\W\d][\w.]*")
RESERVED = "hospital"
MAX_COLUMNS = 5000
MAX_LEVELS = 1000
FEW_VALUES = 5  # so few values are determined by n and four moments, and bent are as good as an indicator of one of them
MAX_TEXT = 200
LARGEST = {"number": 1e100, "integer": 2.0**53}  # beyond 2^53 a float64 skips whole numbers

_KEYS: dict[str, frozenset[str]] = {
    "number": frozenset({"type", "bounds", "unit", "label", "resolution", "grade"}),
    "integer": frozenset({"type", "bounds", "levels", "unit", "label", "resolution", "grade"}),
    "binary": frozenset({"type", "label", "grade"}),
    "category": frozenset({"type", "levels", "label", "grade"}),
}


@dataclass(frozen=True)
class Column:
    """One column as declared. `bounds` is None for a category only; `levels` keep their order: the first is the reference."""

    name: str
    type: ColumnType
    bounds: tuple[float, float] | None = None
    levels: tuple[Level, ...] | None = None
    unit: str | None = None
    label: str | None = None
    resolution: float | None = None
    grade: Grade = "moderate"
    derivation: Derivation | None = None  # how it is made from another column; None for one that hospitals read

    @property
    def numeric(self) -> bool:
        return self.type != "category"

    @property
    def limits(self) -> tuple[float, float]:
        """Bounds of a numeric column, as floats."""
        if self.bounds is None:
            raise DictionaryError(f"Column '{self.name}' is a category and has no bounds.")
        return float(self.bounds[0]), float(self.bounds[1])

    @property
    def values(self) -> tuple[Level, ...] | None:
        """Every value the column may take where the dictionary lists them, in order; None for a column without levels."""
        return (0, 1) if self.type == "binary" else self.levels

    @property
    def pair(self) -> tuple[float, float] | None:
        """The two values of a numeric column that divides people into two groups, such as 0/1 or 1/2; None for any other."""
        if not self.numeric:
            return None
        values = self.values
        if values is None and self.type == "integer" and self.limits[1] - self.limits[0] == 1:
            values = self.limits
        return (float(values[0]), float(values[1])) if values is not None and len(values) == 2 else None

    @property
    def few(self) -> tuple[float, ...]:
        """All values of a numeric column that can take no more than FEW_VALUES, in order; empty for any other."""
        if not self.numeric:
            return ()
        values = self.pair or self.values
        if values is None and self.resolution:
            low, high = self.limits
            steps = round((high - low) / self.resolution)
            values = tuple(low + self.resolution * i for i in range(steps + 1)) if steps < FEW_VALUES else None
        return tuple(float(value) for value in values) if values is not None and len(values) <= FEW_VALUES else ()

    def level_index(self, value: Level) -> int:
        """Position of a level as a person writes it. Raises UnknownLevel naming close matches."""
        for index, level in enumerate(self.values or ()):
            if level == value and isinstance(level, str) == isinstance(value, str):
                return index
        known = [str(level) for level in self.values or ()]
        raise UnknownLevel(f"Column '{self.name}' has no level {str(value)!r}.{_suggest(str(value), known, 'Its levels')}")

    def to_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"type": self.type}
        if self.bounds is not None and self.type != "binary":
            out["bounds"] = list(self.bounds)
        if self.levels is not None:
            out["levels"] = list(self.levels)
        for key in ("unit", "label"):
            if getattr(self, key) is not None:
                out[key] = getattr(self, key)
        if self.resolution is not None and not (self.type in ("integer", "binary") and self.resolution == 1):
            out["resolution"] = self.resolution
        if self.derivation is not None:
            return out | self.derivation.to_dict()
        if self.grade != "moderate":
            out["grade"] = self.grade
        return out


@dataclass(frozen=True)
class Dictionary:
    """The columns of a study, by name and in declared order; `person` names the column that says whose rows are whose, if any."""

    columns: Mapping[str, Column]
    person: str | None = None

    def __getitem__(self, name: str) -> Column:
        """The column of that name. Raises UnknownColumn naming close matches."""
        column = self.columns.get(name)
        if column is None:
            known = list(self.columns)
            raise UnknownColumn(f"The data dictionary has no column {name!r}.{_suggest(name, known, 'Its columns')}")
        return column

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    @property
    def own(self) -> dict[str, Column]:
        """The columns that hospitals read, without those made from others."""
        return {name: column for name, column in self.columns.items() if column.derivation is None}

    def source(self, name: str) -> str:
        """The column that hospitals read for it: itself, or what it is made from."""
        made = self[name].derivation
        return name if made is None else made.source

    @classmethod
    def parse(cls, mapping: Mapping[str, Any]) -> Dictionary:
        """From a plain mapping (TOML or JSON as read). Raises DictionaryError for anything unknown, missing or contradictory."""
        if not isinstance(mapping, Mapping):
            raise DictionaryError("The data dictionary must be a table with a [columns.NAME] section for each column.")
        _refuse_unknown(mapping, {"columns", "person"}, "The data dictionary")
        declared = mapping.get("columns")
        if not isinstance(declared, Mapping) or not declared:
            raise DictionaryError("The data dictionary declares no columns. Add a [columns.NAME] section for each.")
        if len(declared) > MAX_COLUMNS:
            raise DictionaryError(f"The data dictionary has more than {MAX_COLUMNS} columns. Leave out those no question needs.")
        derived = {name for name, entry in declared.items() if isinstance(entry, Mapping) and "from" in entry}
        own = {name: parse_column(name, entry) for name, entry in declared.items() if name not in derived}
        columns = {name: parse_derived(name, entry, own) if name in derived else own[name] for name, entry in declared.items()}
        return cls(MappingProxyType(columns), _parse_person(mapping.get("person"), columns))

    @classmethod
    def from_toml(cls, source: str | Path) -> Dictionary:
        """From TOML text, or from the path of a TOML file. Raises DictionaryError."""
        try:
            document = read_toml(source) if isinstance(source, Path) else parse_toml(source, "The data dictionary")
        except ConfigError as error:
            raise DictionaryError(str(error)) from None
        return cls.parse(document)

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, defaults left out: `parse` gives back an equal dictionary."""
        out: dict[str, Any] = {"columns": {name: column.to_dict() for name, column in self.columns.items()}}
        if self.person is not None:
            out["person"] = {"column": self.person}
        return out

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dictionary):
            return NotImplemented
        return dict(self.columns) == dict(other.columns) and self.person == other.person  # canonical JSON sorts the names

    def __hash__(self) -> int:
        return hash((frozenset(self.columns.items()), self.person))


def parse_column(name: str, entry: Any) -> Column:
    """One [columns.NAME] section."""
    check_name(name)
    where = f"Column '{name}'"
    if not isinstance(entry, Mapping):
        raise DictionaryError(f"{where} must be a table: [columns.{name}] with type = ...")
    kind: Any = entry.get("type")
    if kind not in get_args(ColumnType):
        raise DictionaryError(f"{where} needs type = one of {', '.join(get_args(ColumnType))}.")
    _refuse_unknown(entry, _KEYS[kind], f"{where} (type {kind})")
    grade = entry.get("grade", "moderate")
    if grade not in get_args(Grade):
        raise DictionaryError(f"{where}: grade must be one of {', '.join(get_args(Grade))}.")
    bounds = (0, 1) if kind == "binary" else _parse_bounds(where, entry, kind)
    levels = _parse_levels(where, entry, kind)
    if bounds and levels and not all(isinstance(level, int) and bounds[0] <= level <= bounds[1] for level in levels):
        raise DictionaryError(f"{where}: its levels must be whole numbers within its bounds.")
    return Column(
        name=name,
        type=kind,
        bounds=bounds,
        levels=levels,
        unit=_parse_text(where, entry, "unit"),
        label=_parse_text(where, entry, "label"),
        resolution=_parse_resolution(where, entry, kind),
        grade=grade,
    )


def parse_derived(name: str, entry: Mapping[str, Any], own: Mapping[str, Column]) -> Column:
    """One [columns.NAME] section that makes a column from one of `own`."""
    check_name(name)
    where = f"Column '{name}'"
    if entry.get("type") != "category":
        raise DictionaryError(f'{where}: a column made from another one is a category. Write type = "category".')
    if "grade" in entry:
        raise DictionaryError(f"{where} has the grade of the column it is made from. Leave grade = out.")
    _refuse_unknown(entry, derivation.KEYS, f"{where} (made from another column)")
    levels = _parse_levels(where, entry, "category") or ()
    made = derivation.parse(name, entry, levels, own)
    label = _parse_text(where, entry, "label")
    return Column(name, "category", levels=levels, label=label, grade=own[made.source].grade, derivation=made)


def check_name(name: Any) -> None:
    """A column name is identifier-like text, dots allowed. Raises DictionaryError."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > MAX_TEXT:
        raise DictionaryError(
            "A column name starts with a letter or underscore and holds letters, digits, underscores and dots only."
        )
    if unicodedata.normalize("NFKC", name) != name:
        raise DictionaryError(
            f"Column name {name!r} holds characters that have a plainer form: write {unicodedata.normalize('NFKC', name)!r}."
        )
    if name == RESERVED:
        raise DictionaryError(f"'{RESERVED}' is a built-in factor and cannot be a column. Rename the column.")


def _parse_bounds(where: str, entry: Mapping[str, Any], kind: str) -> tuple[float, float] | None:
    if kind == "category":
        return None
    bounds = entry.get("bounds")
    if not isinstance(bounds, list | tuple) or len(bounds) != 2 or not all(_is_number(bound) for bound in bounds):
        raise DictionaryError(f"{where} needs bounds = [lowest, highest]: a row outside them is left out.")
    low, high = bounds
    if not low < high:
        raise DictionaryError(f"{where}: the first bound must be below the second.")
    if kind == "integer" and not (float(low).is_integer() and float(high).is_integer()):
        raise DictionaryError(f"{where}: the bounds of an integer are whole numbers.")
    if max(abs(low), abs(high)) > LARGEST[kind]:
        raise DictionaryError(f"{where}: its bounds go beyond {LARGEST[kind]:.0e}. Choose another unit.")
    return low, high


def _parse_levels(where: str, entry: Mapping[str, Any], kind: str) -> tuple[Level, ...] | None:
    levels = entry.get("levels")
    if levels is None and kind != "category":
        return None
    if not isinstance(levels, list | tuple) or not 1 <= len(levels) <= MAX_LEVELS:
        raise DictionaryError(f"{where} needs levels = [...] with 1 to {MAX_LEVELS} entries, the reference level first.")
    seen: set[Level] = set()
    for level in levels:
        if not (_is_number(level) or (isinstance(level, str) and level and level == level.strip() and len(level) <= MAX_TEXT)):
            raise DictionaryError(
                f"{where}: a level is a number or a text without spaces around it, at most {MAX_TEXT} characters."
            )
        if level in seen:
            raise DictionaryError(f"{where} lists a level twice.")
        seen.add(level)
    if len({str(level) for level in levels}) != len(levels):
        raise DictionaryError(f"{where} lists a level both as a number and as a text.")
    return tuple(levels)


def _parse_resolution(where: str, entry: Mapping[str, Any], kind: str) -> float | None:
    default = 1 if kind in ("integer", "binary") else None
    resolution = entry.get("resolution", default)
    if resolution is None:
        return None
    if not _is_number(resolution) or resolution <= 0:
        raise DictionaryError(f"{where}: resolution is the positive step between recorded values, for example 0.1.")
    if kind == "integer" and not float(resolution).is_integer():
        raise DictionaryError(f"{where}: the resolution of an integer is a whole number.")
    return resolution  # type: ignore[no-any-return]


def _parse_text(where: str, entry: Mapping[str, Any], key: str) -> str | None:
    text = entry.get(key)
    if text is not None and (not isinstance(text, str) or len(text) > MAX_TEXT):
        raise DictionaryError(f"{where}: {key} is a text of at most {MAX_TEXT} characters.")
    return text


def _parse_person(section: Any, columns: Mapping[str, Column]) -> str | None:
    if section is None:
        return None
    if not isinstance(section, Mapping) or "column" not in section:
        raise DictionaryError('[person] needs column = "NAME": the column that says which rows belong to one person.')
    _refuse_unknown(section, {"column"}, "[person]")
    name = section["column"]
    check_name(name)
    if name in columns:
        raise DictionaryError(
            f"The person column '{name}' identifies people, so it cannot also be a column of the study. Remove [columns.{name}]."
        )
    return name  # type: ignore[no-any-return]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _refuse_unknown(mapping: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    for key in mapping:
        if key not in known:
            raise DictionaryError(f"{where} has an unknown key {key!r}.{_suggest(str(key), sorted(known), 'Known keys')}")


def _suggest(word: str, known: list[str], what: str) -> str:
    """' Did you mean ...?' for a likely slip, else a short list of what there is."""
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6) or [k for k in known if k.casefold() == word.casefold()]
    if close:
        return f" Did you mean {' or '.join(repr(name) for name in close)}?"
    return f" {what}: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}." if known else ""
