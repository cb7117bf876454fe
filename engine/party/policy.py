"""May this be asked, here, by this caller? Checked by every party itself, on the exact bytes that the researcher signed.

    authenticate    the caller of the TLS connection is a researcher of the charter and signed these bytes     (before parsing)
    compile         study, analysis, engine, mode and columns are within the charter; the formula is sound; the range plan fits
    decide          what this party's own policy says: approve, ask the operator, or refuse

The first two raise to the researcher and leave no job behind. The third never looks at a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from engine import analyses, canonical
from engine.analyses.base import Analysis
from engine.analyses.question import Limits
from engine.charter import Charter, Member
from engine.cohort import Condition
from engine.dry_run import plan_ranges
from engine.errors import NotAuthorised, SignatureInvalid, SpecError
from engine.party.config import ANY, AutomaticRule, PolicySection
from engine.plan import AnalysisPlan
from engine.spec import Spec
from protocols.errors import RangeError, SecurityBudgetExceeded

Document = TypeVar("Document", Spec, AnalysisPlan, covariant=True)


class Signed(Protocol[Document]):
    """What a researcher submits (engine.spec.SignedSpec, engine.plan.SignedPlan)."""

    @property
    def data(self) -> bytes: ...
    @property
    def signature(self) -> bytes: ...
    @property
    def domain(self) -> str: ...
    def open(self, public_key: bytes) -> Document: ...


class Decision(Enum):
    """What a party's policy says to a question that the charter allows."""

    APPROVE = "approve"
    ASK = "ask"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Question:
    """A spec, compiled against the charter."""

    spec: Spec
    analysis: Analysis
    where: Condition | None

    @property
    def columns(self) -> frozenset[str]:
        """Every dictionary column that the question touches, those that only select people included."""
        return (
            frozenset(self.analysis.plan.columns)
            | frozenset(self.spec.complete)
            | frozenset(self.where.columns if self.where else ())
        )


def authenticate(signed: Signed[Document], caller: Member, charter: Charter) -> Document:
    """The question or plan, when the caller may ask and has signed it. Raises NotAuthorised, SignatureInvalid, SpecError."""
    if "researcher" not in caller.roles:
        raise NotAuthorised(f"{caller.name} is not a researcher of this study")
    try:
        document = signed.open(caller.key_bytes)
    except SignatureInvalid:
        _refuse_replay(signed, caller, charter)
        raise
    if document.researcher != caller.name:
        raise NotAuthorised("the question names another researcher than the one who signed and sent it")
    return document


def _refuse_replay(signed: Signed[Document], caller: Member, charter: Charter) -> None:
    """Somebody else's question, sent again by the caller, deserves its own words."""
    for member in charter.members:
        if member.name == caller.name:
            continue
        try:
            canonical.verify(member.key_bytes, signed.domain, signed.data, signed.signature)
        except SignatureInvalid:
            continue
        raise NotAuthorised("this question was signed by another member; only its signer may submit it")


def compile_question(spec: Spec, charter: Charter) -> Question:
    """The question's analysis and cohort. Raises SpecError and its kin."""
    if spec.study != charter.id:
        raise SpecError(
            "this question is about another study, or an older charter of this one; ask the coordinator for the current charter"
        )
    if spec.analysis not in charter.analyses:
        raise SpecError(f"the charter does not allow {spec.analysis!r}; it allows {', '.join(charter.analyses)}")
    if spec.engine not in charter.engines:
        raise SpecError(f"the charter does not allow the engine {spec.engine!r}; it allows {', '.join(charter.engines)}")
    if spec.disclosure == "steps" and not charter.steps:
        raise SpecError('the charter does not allow disclosure="steps"; ask with disclosure="result"')
    dictionary = charter.parsed_dictionary
    analysis = analyses.build(spec, dictionary, Limits(charter.rows_log2, charter.bands))
    if spec.disclosure not in analysis.modes:
        raise SpecError(f"{spec.analysis} runs with disclosure={' or '.join(map(repr, analysis.modes))} only")
    _require_range(analysis)
    return Question(spec, analysis, Condition.parse(spec.where, dictionary) if spec.where else None)


def _require_range(analysis: Analysis) -> None:
    """Raises SpecError, from what the plan raised, when a number of the job might not fit its ring, or masks not hide it."""
    try:
        plan_ranges(analysis)
    except (RangeError, SecurityBudgetExceeded) as error:
        raise SpecError(
            f"{analysis.name} over these columns may need larger numbers than the engine can hide, at the bounds of the data "
            "dictionary and the rows that the charter declares: ask with fewer columns, or have the coordinator tighten these"
        ) from error


def decide(question: Question, policy: PolicySection) -> Decision:
    """`steps` or shared rows without this policy's leave are refused; what an automatic rule covers is approved; the operator has
    the rest."""
    if question.spec.disclosure == "steps" and not policy.steps:
        return Decision.REFUSE
    if question.analysis.plan.shares_rows and not policy.share_rows:
        return Decision.REFUSE
    if policy.approve == "automatic" and any(covers(rule, question) for rule in policy.automatic):
        return Decision.APPROVE
    return Decision.ASK


def decide_all(questions: Sequence[Question], policy: PolicySection) -> tuple[Decision, int]:
    """The same of a plan: refused with its first refused question, whose number (from 1) comes along; approved when each is."""
    decisions = [decide(question, policy) for question in questions]
    if Decision.REFUSE in decisions:
        return Decision.REFUSE, decisions.index(Decision.REFUSE) + 1
    return Decision.ASK if Decision.ASK in decisions else Decision.APPROVE, 0


def covers(rule: AutomaticRule, question: Question) -> bool:
    """Whether one rule lists the researcher, the analysis and every column."""
    return (
        rule.researcher == question.spec.researcher
        and (rule.analyses == ANY or question.spec.analysis in rule.analyses)
        and (rule.columns == ANY or question.columns <= set(rule.columns))
    )
