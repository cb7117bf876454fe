"""An analysis plan: many questions in one document, in their order, under one signature, for one approval.

A plan holds every question as the complete Spec that it would be alone, so a question's job has the same identity with and
without its plan. The canonical bytes of the plan are signed by the researcher in a domain of their own; their SHA-256 is the
plan's identity. It stands where a job's id stands: each party's approval is bound to it, and two lists that differ in anything
are two plans, neither of which has everybody's approval.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine import canonical
from engine.errors import Expired, SpecError
from engine.spec import Spec

DOMAIN = "unseen plan v1"
MAX_QUESTIONS = 64
MAX_PLAN_BYTES = 256 * 1024


class AnalysisPlan(BaseModel):
    """Questions of one researcher about one study. `title` and `purpose` are for the people who decide about it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1
    study: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the charter")
    researcher: str = Field(min_length=1, max_length=64)
    title: str = Field(min_length=1, max_length=200)
    purpose: str = Field(min_length=1, max_length=4000)
    questions: list[Spec] = Field(min_length=1, max_length=MAX_QUESTIONS)

    @model_validator(mode="after")
    def _consistent(self) -> AnalysisPlan:
        if any((spec.study, spec.researcher) != (self.study, self.researcher) for spec in self.questions):
            raise ValueError("every question is about the plan's study and in its researcher's name")
        if len(set(self.job_ids)) != len(self.questions):
            raise ValueError("two questions are the same one; make each with study.spec(...)")
        if not all(character.isprintable() for character in self.title + self.purpose.replace("\n", "")):
            raise ValueError("title and purpose are plain text: operators read them at a terminal")
        return self

    def to_bytes(self) -> bytes:
        return canonical.to_bytes(self.model_dump(mode="json"))

    @property
    def id(self) -> str:
        """SHA-256 of the canonical bytes, hex."""
        return canonical.digest(self.to_bytes())

    @property
    def job_ids(self) -> tuple[str, ...]:
        """The job of each question, in the order in which they run."""
        return tuple(spec.job_id for spec in self.questions)

    @property
    def expires(self) -> str:
        """When the first of its questions does: by then all parties have agreed to the plan, or it ends."""
        return min(spec.expires for spec in self.questions)

    def check_not_expired(self, now: datetime) -> None:
        """Raises Expired, SpecError as Spec does, naming the question."""
        for number, spec in enumerate(self.questions, 1):
            with question(number):
                spec.check_not_expired(now)


@dataclass(frozen=True)
class SignedPlan:
    """A plan's exact bytes with the researcher's one signature over them."""

    data: bytes
    signature: bytes
    domain = DOMAIN

    @property
    def job_id(self) -> str:
        """The plan's identity, which stands where a job's does."""
        return canonical.digest(self.data)

    def open(self, public_key: bytes) -> AnalysisPlan:
        """Verify, then parse. Raises SignatureInvalid, SpecError."""
        if len(self.data) > MAX_PLAN_BYTES:
            raise SpecError(f"a plan may hold at most {MAX_PLAN_BYTES} bytes; split it")
        canonical.verify(public_key, DOMAIN, self.data, self.signature)
        plan = parse(self.data)
        if plan.to_bytes() != self.data:
            raise SpecError("the plan is not in canonical form; let the SDK write it")
        return plan


def parse(data: bytes) -> AnalysisPlan:
    """An AnalysisPlan from JSON bytes, strictly. Raises SpecError naming the field."""
    try:
        return AnalysisPlan.model_validate(json.loads(data))
    except ValidationError as error:
        raise SpecError(f"the plan is not well formed: {canonical.fields_of(error)}") from None
    except (ValueError, RecursionError):
        raise SpecError("the plan is not JSON") from None


def new(*, study: str, researcher: str, title: str, purpose: str, questions: list[Spec]) -> AnalysisPlan:
    """A plan of these questions. Raises SpecError naming the field that is wrong."""
    envelope = {"version": 1, "study": study, "researcher": researcher, "title": title, "purpose": purpose}
    data = canonical.to_bytes({**envelope, "questions": [spec.model_dump(mode="json") for spec in questions]})
    if len(data) > MAX_PLAN_BYTES:
        raise SpecError(f"a plan may hold at most {MAX_PLAN_BYTES} bytes; split it")
    return parse(data)


def sign(plan: AnalysisPlan, key: Ed25519PrivateKey) -> SignedPlan:
    data = plan.to_bytes()
    return SignedPlan(data, canonical.sign(key, DOMAIN, data))


@contextmanager
def question(number: int) -> Iterator[None]:
    """What is wrong with a question of a plan, with the question's number (from 1) before it."""
    try:
        yield
    except (SpecError, Expired) as error:
        raise type(error)(f"question {number} of the plan: {error}") from error
