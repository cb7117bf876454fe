"""A plan's life as its researcher sees it: first whether it may be asked, then its questions, one job each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine import receipt as receipts
from engine.analyses.base import Analysis
from engine.client.config import ResearcherConfig
from engine.client.job import Asked, Job, JobStatus
from engine.client.links import CALL_SECONDS, Links
from engine.client.reveal import vouched
from engine.errors import Expired, JobAborted, NotEstimable, PlanRefused, ReceiptInvalid, Refused
from engine.plan import AnalysisPlan
from engine.receipt import Receipt
from native.errors import UnseenError

UNANSWERED = (Refused, NotEstimable, JobAborted, Expired)
"""How a question of a plan may end while the others go on."""


@dataclass(frozen=True)
class PlanStatus:
    """Where a plan and each of its questions stand, in its order. `plan.state` is "released" when every party has agreed and the
    disclosure rules allow every question: from then on they are answered, one after another."""

    plan: JobStatus
    questions: tuple[JobStatus, ...]

    @property
    def ended(self) -> bool:
        return self.plan.ended and all(each.ended for each in self.questions)


class Plan(Asked):
    """A submitted plan. It goes its way at the parties, whether or not anybody watches.

    `jobs` are its questions, in its order; each is a Job like any other.
    """

    def __init__(self, config: ResearcherConfig, links: Links, document: AnalysisPlan, analyses: Sequence[Analysis]) -> None:
        super().__init__(config, links, document.id, "plan")
        self.document = document
        specs = zip(document.questions, analyses, strict=True)
        self.jobs = tuple(Job(config, links, spec, analysis, plan=self.id) for spec, analysis in specs)
        self._receipt: Receipt | None = None

    def __repr__(self) -> str:
        return f"<unseen.Plan {self.id[:12]} {self.document.title!r}: {len(self.jobs)} questions>"

    @property
    def _later(self) -> str:
        return f"unseen plan results {self.id[:12]}"

    def status(self) -> PlanStatus:
        """Ask every party about the plan and each question. Raises Unreachable when none answers."""
        return PlanStatus(self._ask_everyone(), tuple(job.status() for job in self.jobs))

    def receipt(self, timeout: float | None = None, quiet: bool = False) -> Receipt:
        """Wait until all parties have agreed and hold that the rules allow every question; the record of that, verified.

        Raises PlanRefused where a question was refused, with its number and why; RefusedByPolicy where a party rejected the plan;
        Expired, JobAborted, ResultTimeout, Unreachable, ReceiptInvalid.
        """
        if self._receipt is None:
            try:
                self._wait(timeout, quiet)
            except Refused as reason:
                raise self._refusal(reason) from None
            asked = {"analysis": receipts.PLAN, "engine": "replicated", "disclosure": "result"}
            verified = vouched(self._config.charter, self.id, self.document.researcher, asked, self._releases(CALL_SECONDS))
            if verified[0].outputs or verified[0].iterations != len(self.jobs):
                raise ReceiptInvalid(
                    "the receipts of the plan do not say that each of its questions was checked; ask its parties"
                )
            self._receipt = verified[0]
        return self._receipt

    def results(self, timeout: float | None = None, quiet: bool = False) -> list[Any]:
        """Wait for all questions; their results in the plan's order. `timeout` in seconds, for all together.

        A question that has none has the exception that says why in its place (`Refused` and its kin, NotEstimable, JobAborted,
        Expired): later ones are answered all the same.

        Raises as `receipt` does where the plan itself was refused. Interrupting the wait does not end anything.
        """
        end = None if timeout is None else time.monotonic() + timeout
        self.receipt(timeout, quiet)
        return [_result(job, None if end is None else max(0.0, end - time.monotonic()), quiet) for job in self.jobs]

    def _refusal(self, reason: Refused) -> UnseenError:
        """With the question's number, where it was a question that was refused."""
        number = self._ask_everyone().question
        return PlanRefused(number, reason) if number else reason


def _result(job: Job, timeout: float | None, quiet: bool) -> Any:
    try:
        return job.result(timeout, quiet)
    except UNANSWERED as reason:
        return reason
