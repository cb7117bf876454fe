"""The families of statistics. Registering one here makes it askable and enrols it in the conformance suite."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from engine.analyses.base import Analysis
from engine.analyses.crosstab import Crosstab
from engine.analyses.describe import Describe
from engine.analyses.linear import OLS
from engine.analyses.logistic import Logit
from engine.analyses.missing import Missing
from engine.analyses.poisson import PoissonRegression
from engine.analyses.question import Ask, Limits, Question
from engine.dictionary import Dictionary
from engine.errors import SpecError


class Family(Protocol):
    """A class of analyses: `build` reads and checks one question."""

    name: str
    modes: tuple[str, ...]

    def build(self, question: Question, dictionary: Dictionary, limits: Limits) -> Analysis: ...


ANALYSES: dict[str, Any] = {family.name: family for family in (Describe, Missing, Crosstab, OLS, Logit, PoissonRegression)}


def build(question: Question, dictionary: Dictionary, limits: Limits) -> Analysis:
    """The analysis that a question asks for. Raises SpecError saying how to mend the question."""
    family = ANALYSES.get(question.analysis)
    if family is None:
        raise SpecError(f"there is no analysis {question.analysis!r}; there are {', '.join(sorted(ANALYSES))}")
    if question.disclosure not in family.modes:
        raise SpecError(
            f"{question.analysis} runs with disclosure={' or '.join(map(repr, family.modes))}, not {question.disclosure!r}"
        )
    return _with_sources(family.build(question, dictionary, limits), dictionary)


def under(analysis: Analysis, cell: int) -> Analysis:
    """The analysis as it runs under the floor for table cells that the parties of a session agreed on: of the counts that it
    tells itself, those above 0 and below the floor are masked."""
    return replace(analysis, cell=cell) if isinstance(analysis, Describe | Missing) else analysis


def _with_sources(analysis: Any, dictionary: Dictionary) -> Analysis:
    """The analysis with row sets that name what derived columns are made from."""
    plan = analysis.plan
    sources = {name: dictionary.source(name) for each in plan.row_sets for name in each.columns if name in dictionary}
    if all(name == source for name, source in sources.items()):
        return analysis  # type: ignore[no-any-return]
    row_sets = (replace(each, sources=(*each.sources, *(sources[name] for name in each.columns))) for each in plan.row_sets)
    return replace(analysis, plan=replace(plan, row_sets=tuple(row_sets)))  # type: ignore[no-any-return]


__all__ = ["ANALYSES", "Analysis", "Ask", "Limits", "Question", "build", "under"]
