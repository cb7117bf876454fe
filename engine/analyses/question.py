"""What an analysis is built from: the public fields of a spec, the dictionary, and the public limits of the study."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.dictionary import Dictionary, Level
from engine.errors import SpecError


class Question(Protocol):
    """The fields of a spec that an analysis reads. engine.spec.Spec has them; so has `Ask`."""

    @property
    def analysis(self) -> str: ...
    @property
    def formula(self) -> str | None: ...
    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def by(self) -> str | None: ...
    @property
    def complete(self) -> Sequence[str]: ...
    @property
    def reference(self) -> Mapping[str, Level]: ...
    @property
    def options(self) -> Mapping[str, Any]: ...
    @property
    def disclosure(self) -> str: ...
    @property
    def engine(self) -> str: ...


@dataclass(frozen=True)
class Ask:
    """A question by itself, without the envelope of a spec: for tests and dry runs."""

    analysis: str
    formula: str | None = None
    columns: Sequence[str] = ()
    by: str | None = None
    where: Any = None
    complete: Sequence[str] = ()
    reference: Mapping[str, Level] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    disclosure: str = "result"
    engine: str = "replicated"


@dataclass(frozen=True)
class Limits:
    """Public sizes of the study: all hospitals' tables together hold at most N = 2^rows_log2 rows, each at most its band."""

    rows_log2: int
    bands: tuple[int, ...] = ()  # of the parties that hold data, in the session's order

    @property
    def rows(self) -> int:
        return 1 << self.rows_log2


def require_fields(question: Question, takes: Collection[str]) -> None:
    """Raises SpecError for a field that is set and not among those this analysis takes."""
    for name in ("formula", "columns", "by", "reference"):
        if name not in takes and getattr(question, name):
            raise SpecError(f"{question.analysis} takes no {name}=; it takes {_listed(takes)}")


def read_options(question: Question, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options over their defaults. Raises SpecError for an unknown one or one of another type."""
    for name, value in question.options.items():
        if name not in defaults:
            raise SpecError(f"{question.analysis} has no option {name!r}; it has {_listed(defaults)}")
        if type(value) is not type(defaults[name]):
            raise SpecError(f"option {name!r} of {question.analysis} must be of the same type as its default {defaults[name]!r}")
    return {**defaults, **question.options}


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise SpecError(f"{name} must be one of {', '.join(allowed)}")
    return value


def listwise(used: Sequence[str], question: Question, dictionary: Dictionary) -> tuple[str, ...]:
    """The columns whose missing values exclude a row: the analysis' own and those pinned by complete=, each once, in order."""
    names = tuple(dict.fromkeys([*used, *question.complete]))
    for name in names:
        dictionary[name]  # raises UnknownColumn
    return names


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
