"""One question's life as its researcher sees it: status, events, result. What it shares with a plan's (plan.py) is in `Asked`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from engine.analyses.base import Analysis
from engine.analyses.opening import open_outputs
from engine.client import outcome, progress
from engine.client.config import ResearcherConfig
from engine.client.links import CALL_SECONDS, Links
from engine.client.reveal import Answer, reveal
from engine.client.watch import ENDED, FAILED, JobEvent, Watch
from engine.cohort import Condition
from engine.party import gate
from engine.spec import Spec
from engine.wire.v1 import jobs_pb2 as wire

ASIDE_SECONDS = 2.0  # for what only makes a message better
ORDER = ("received", "verified", "approved", "keyed", "computing", "checked", "charged", "released")


@dataclass(frozen=True)
class JobStatus:
    """Where a job stands. `state` is that of the party furthest behind, or how the job failed."""

    job: str
    state: str
    parties: dict[str, str]  # party -> state; "unreachable" where it does not answer
    code: str  # why it was refused or aborted, else ""
    by: str  # the member that refused or aborted; "" where naming it could say something about its data
    submitted: str
    question: int = 0  # of a plan that was refused: which of its questions was, from 1; else 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED


class Asked:
    """What was submitted under an id: a question, or a plan of them."""

    def __init__(self, config: ResearcherConfig, links: Links, id: str, name: str) -> None:
        self._config, self._links = config, links
        self._id, self._name = id, name

    @property
    def id(self) -> str:
        """SHA-256 of the exact bytes, hex."""
        return self._id

    def _ask_everyone(self) -> JobStatus:
        """Ask every party. A party that does not answer is listed as unreachable; Unreachable is raised when none answers."""
        reference = wire.JobReference(job=self.id)
        parties = self._config.charter.parties
        replies, failures = self._links.try_everyone(parties, lambda _, jobs: jobs.Status(reference, timeout=CALL_SECONDS))
        if not replies:
            raise next(iter(failures.values()))
        states = {member: replies[member].state if member in replies else "unreachable" for member in parties}
        state = overall(list(states.values()))
        same = [reply for reply in replies.values() if reply.state == state]
        ended = max(same, key=lambda reply: (bool(reply.by), bool(reply.code)), default=wire.JobStatus())
        submitted = min(reply.submitted for reply in replies.values())
        refused = max(reply.question for reply in replies.values())
        return JobStatus(self.id, state, states, ended.code, ended.by, submitted, refused)

    def events(self, timeout: float | None = None) -> Iterator[JobEvent]:
        """What happens at all parties, from the first event on, until the job has ended. Raises ResultTimeout, Unreachable."""
        return iter(Watch(self._links, self.id, self._config.charter.parties, timeout))

    def progress(self, quiet: bool = False) -> AbstractContextManager[progress.Silent]:
        """What a wait for it shows, for a loop over `events` of one's own: `show(event)` moves it."""
        charter = self._config.charter
        declared = {name: charter.member(name).rows for name in charter.hospitals}
        return progress.shown(f"{self._name} {self.id[:12]}", declared, quiet)

    def _wait(self, timeout: float | None, quiet: bool) -> None:
        """Until it has been released everywhere. Raises what `outcome` makes of another end, ResultTimeout, Unreachable."""
        try:
            with self.progress(quiet) as shown:
                for event in self.events(timeout):
                    shown.show(event)
                    if event.state in FAILED:
                        raise outcome.explain(event.code, event.by or self._who_is_lost(event.code))
        except KeyboardInterrupt:
            print(f"It goes on without you. Fetch the result later: {self._later}", file=sys.stderr)
            raise

    def _who_is_lost(self, code: str) -> str:
        """Of the parties that are left, those that another one told of a loss do not say whose; whoever noticed it does."""
        if code != "peer-lost":
            return ""
        reference = wire.JobReference(job=self.id)
        replies, _ = self._links.try_everyone(
            self._config.charter.parties, lambda _, jobs: jobs.Status(reference, timeout=ASIDE_SECONDS)
        )
        return next((reply.by for reply in replies.values() if reply.code == code and reply.by), "")

    @property
    def _later(self) -> str:
        """A command."""
        return f"unseen result {self.id[:12]}"

    def _releases(self, seconds: float) -> dict[str, wire.Release]:
        """What the three compute parties stored."""
        reference = wire.JobReference(job=self.id)
        return self._links.everyone(self._config.charter.compute, lambda _, jobs: jobs.Fetch(reference, timeout=seconds))


class Job(Asked):
    """A submitted question. It runs at the parties, whether or not anybody watches."""

    def __init__(self, config: ResearcherConfig, links: Links, spec: Spec, analysis: Analysis, plan: str | None = None) -> None:
        """`plan`: the plan that its receipts must name, where it was asked in one."""
        super().__init__(config, links, spec.job_id, spec.analysis)
        self.spec, self.plan = spec, plan
        self._analysis = analysis
        self._result: Any = None

    def __repr__(self) -> str:
        return f"<unseen.Job {self.id[:12]} {self.spec.analysis}>"

    def status(self) -> JobStatus:
        """Ask every party. One that does not answer is listed as unreachable; Unreachable is raised when none answers."""
        return self._ask_everyone()

    def result(self, timeout: float | None = None, quiet: bool = False) -> Any:
        """Wait for the end and return the result object; at once when the job has ended before. `timeout` in seconds.

        Raises RefusedByPolicy, RefusedByDisclosureRules, NotEstimable, JobAborted, ResultTimeout, Unreachable, ReceiptInvalid.
        Interrupting the wait does not end the job.
        """
        if self._result is None:
            started = time.monotonic()
            self._wait(timeout, quiet)
            left = CALL_SECONDS if timeout is None else max(1.0, timeout - (time.monotonic() - started))
            self._result = self._fetch(min(left, CALL_SECONDS))
        return self._result

    def _fetch(self, seconds: float) -> Any:
        """The stored shares from the three compute parties, checked, added up and made into a result."""
        releases = self._releases(seconds)
        plan = self._analysis.plan
        opened = plan.opened if self.spec.disclosure == "steps" else ()
        outputs = (*gate.OUTPUTS, *plan.outputs)
        answer = reveal(self._config.charter, self.spec, outputs, opened, releases, self.plan)
        stages = answer.receipts[0].iterations
        return self._analysis.result(open_outputs(outputs, answer.exact, answer.public, stages, self._context(answer)))

    def _context(self, answer: Answer) -> dict[str, Any]:
        """What every result object says about where it comes from."""
        receipt = answer.receipts[0]
        return {
            "job": self.id,
            "parties": self._config.charter.parties,
            "engine": self.spec.engine,
            "disclosure": self.spec.disclosure,
            "where": self._where,
            "warnings": receipt.warnings,
            "receipt": receipt,
        }

    @property
    def _where(self) -> str | None:
        """The condition in one spelling, so that results can tell whether they are about the same people."""
        return Condition.parse(self.spec.where, self._config.charter.parsed_dictionary).canonical() if self.spec.where else None


def overall(states: list[str]) -> str:
    """A failure anywhere is the job's; otherwise the party furthest behind counts."""
    for failed in ("refused", "aborted"):
        if failed in states:
            return failed
    known = [state for state in states if state in ORDER]
    return min(known, key=ORDER.index) if known else "unknown"
