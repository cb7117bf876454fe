"""The jobs of one party: each with its state, its history for watchers, and who has agreed; rebuilt from the journal at a start.

Every change goes through `JobBook`, in this order: the table allows it (jobs.py), the audit log and the journal hold it, memory
shows it, watchers wake. What follows a state (a notice, a session, a release) happens after that, in flow.py.

    journal   {"kind": "state", "job", "state", "time", "code", "by", ...facts}
              {"kind": "approval", "job", "member", "signature"}
              {"kind": "plan", "job", "questions", "time"}   a plan and the jobs of its questions, verified
              what standing.py takes
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from engine import plan as plans
from engine import spec as specs
from engine.errors import SpecError
from engine.party import jobs
from engine.party.audit import AuditLog
from engine.party.errors import JournalCorrupt, StorageFailed
from engine.party.jobs import ENDS, State
from engine.party.journal import Journal, Record
from engine.party.progress import Progress
from engine.party.standing import PAUSED, REVOKED, Standing
from engine.party.store import Store
from engine.plan import AnalysisPlan, SignedPlan
from engine.spec import SignedSpec, Spec

PLAN = "plan"  # a kind of record
STRIDE = 1 << 20  # numbers between two states, for progress: an event keeps its number when the daemon restarts
MAX_EVENTS = 1000  # kept of one job, besides its states


@dataclass(frozen=True)
class Event:
    """One thing that happened to a job here."""

    sequence: int
    time: datetime
    state: State
    detail: str = ""
    code: str = ""
    by: str = ""
    progress: Progress | None = None  # of a running session; `detail` is its stage


@dataclass
class Job:
    """One job at this party: a question's, or a plan's. Changed by JobBook alone."""

    id: str
    document: Spec | AnalysisPlan
    submitted: datetime
    plan: str = ""  # the plan that this question is part of
    questions: tuple[str, ...] = ()  # of a plan: the jobs of its questions, in its order
    state: State = State.RECEIVED
    code: str = ""
    by: str = ""
    approvals: dict[str, str] = field(default_factory=dict)  # member -> its signature, hex
    facts: dict[str, Any] = field(default_factory=dict)  # what states noted: attempt, session
    charged: bool = False  # stays true if the job is aborted afterwards
    events: list[Event] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def spec(self) -> Spec:
        """The question; asked of a question's job alone."""
        assert isinstance(self.document, Spec)
        return self.document

    @property
    def researcher(self) -> str:
        return self.document.researcher

    @property
    def ended(self) -> bool:
        return self.state in ENDS

    @property
    def refused_question(self) -> int:
        """Of a plan that ended with one of its questions: which, from 1; else 0."""
        return int(self.facts.get("question", 0))

    @property
    def shown_by(self) -> str:
        """The member that ended the job, where the reason may name it."""
        return self.by if self.code and jobs.reason(self.code).names_member else ""

    @property
    def expires(self) -> datetime:
        return datetime.strptime(self.document.expires, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


class JobBook:
    """All jobs of this party, by id, in the order in which they came."""

    def __init__(self, journal: Journal, store: Store, audit: AuditLog, *, clock: Callable[[], datetime]) -> None:
        """Replay the journal. Raises JournalCorrupt, StorageFailed."""
        self._journal, self.store, self._audit, self.clock = journal, store, audit, clock
        self._jobs: dict[str, Job] = {}
        self._open: dict[str, Job] = {}
        self.standing = Standing()
        self.on_change: Callable[[Job], None] = lambda job: None
        for record in journal.records:
            self._replay(record)
        journal.records = []

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def open_jobs(self) -> list[Job]:
        """Those that have not ended."""
        return list(self._open.values())

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def find(self, prefix: str) -> Job:
        """The one job whose id starts so. Raises SpecError when there is none, or more than one."""
        found = [job for job in self._jobs.values() if prefix and job.id.startswith(prefix)]
        if len(found) != 1:
            raise SpecError(
                f"{'no job' if not found else 'more than one job'} here starts with {prefix[:64]!r}; see `unseen party jobs`"
            )
        return found[0]

    def receive(self, signed: SignedSpec, spec: Spec) -> Job:
        """A new job, verified: its bytes are stored, then journalled. Raises StorageFailed, and there is no such job."""
        now = self.clock()
        self.store.put_spec(signed)
        states = [_state_record(signed.job_id, state, now) for state in (State.RECEIVED, State.VERIFIED)]
        self._audit.append("submitted", job=signed.job_id, member=spec.researcher)
        self._journal.append(*states)
        job = Job(signed.job_id, spec, now)
        self._jobs[job.id] = job
        for record in states:
            self._apply(job, record)
        self.on_change(job)
        return job

    def receive_plan(self, signed: SignedPlan, plan: AnalysisPlan) -> Job:
        """A new plan and the jobs of its questions, verified: its bytes are stored, then all jobs journalled in one record, so
        that a restart finds all of them or none. Raises StorageFailed, and there is no such plan."""
        now = self.clock()
        self.store.put_plan(signed)
        for job_id in (signed.job_id, *plan.job_ids):
            self._audit.append("submitted", job=job_id, member=plan.researcher)
        record: Record = {"kind": PLAN, "job": signed.job_id, "questions": list(plan.job_ids), "time": _text(now)}
        self._journal.append(record)
        self._introduce(plan, record)
        for job_id in (signed.job_id, *plan.job_ids):
            self.on_change(self._jobs[job_id])
        return self._jobs[signed.job_id]

    def _introduce(self, plan: AnalysisPlan, record: Record) -> None:
        """A plan's job, then those of its questions."""
        time = _time(record["time"])
        found = [Job(record["job"], plan, time, questions=tuple(record["questions"]))]
        found += [Job(spec.job_id, spec, time, plan=record["job"]) for spec in plan.questions]
        for job in found:
            self._jobs[job.id] = job
            for state in (State.RECEIVED, State.VERIFIED):
                self._apply(job, _state_record(job.id, state, time))

    def move(self, job: Job, state: State, *, code: str = "", by: str = "", **facts: Any) -> None:
        """One step of the table, durable on return. Raises IllegalTransition, StorageFailed: the job stays where it was."""
        jobs.check(job.state, state)
        self._step(job, _state_record(job.id, state, self.clock(), code=code, by=by, **facts))

    def agree(self, job: Job, member: str, signature: bytes) -> None:
        """This party, `member`, approves, with its signed notice: one step, and one write of both. Raises as `move`."""
        jobs.check(job.state, State.APPROVED)
        approval: Record = {"kind": "approval", "job": job.id, "member": member, "signature": signature.hex()}
        self._step(job, _state_record(job.id, State.APPROVED, self.clock()), approval)
        job.approvals[member] = signature.hex()

    def end(self, job: Job, code: str, by: str, **facts: Any) -> None:
        """Refuse or abort. Holds in memory even where the disk fails; the state on disk then leads to an end after a restart."""
        state = jobs.reason(code).end
        if job.state is State.CHECKED or job.state is State.CHARGED:
            state = State.ABORTED
        jobs.check(job.state, state)
        try:
            self.move(job, state, code=code, by=by, **facts)
        except StorageFailed:
            self._apply(job, _state_record(job.id, state, self.clock(), code=code, by=by, **facts))
            self.on_change(job)

    def approve(self, job: Job, member: str, signature: bytes) -> None:
        """Note that `member` agrees, with its signed notice. Raises StorageFailed."""
        if member not in job.approvals:
            self._journal.append({"kind": "approval", "job": job.id, "member": member, "signature": signature.hex()})
            job.approvals[member] = signature.hex()

    def withdrawing(self, job: Job) -> None:
        """The operator takes this party's approval back; what ends the job comes next. Raises StorageFailed."""
        self._audit.append("withdrawn", job=job.id)

    def pause(self, on: bool) -> None:
        """Take no new questions, or take them again. Raises StorageFailed."""
        self._audit.append("paused" if on else "resumed")
        self._stand({"kind": PAUSED, "on": on})

    def revoke(self, researcher: str, on: bool) -> None:
        """Serve a researcher no more, or again. Raises StorageFailed."""
        self._audit.append("revoked" if on else "restored", member=researcher)
        self._stand({"kind": REVOKED, "member": researcher, "on": on})

    def _stand(self, record: Record) -> None:
        self._journal.append(record)
        self.standing.apply(record)

    def progress(self, job: Job, progress: Progress) -> None:
        """What watchers may see of a running session; forgotten at a restart. Of one stage the newest alone is kept."""
        last = job.events[-1]
        if job.ended or not progress.stage or progress == last.progress or last.sequence % STRIDE == STRIDE - 1:
            return
        if last.progress is not None and last.progress.stage == progress.stage:
            job.events.pop()
        if len(job.events) < MAX_EVENTS:
            self._event(job, Event(last.sequence + 1, self.clock(), job.state, progress.stage[:100], progress=progress))

    def _step(self, job: Job, record: Record, *more: Record) -> None:
        self._audit.append("state", job=job.id, state=record["state"], code=record.get("code", ""), member=record.get("by", ""))
        self._journal.append(record, *more)
        self._apply(job, record)
        self.on_change(job)

    def _replay(self, record: Record) -> None:
        if self.standing.apply(record):
            return
        if record["kind"] == PLAN:
            self._introduce(plans.parse(self.store.plan(record["job"]).data), record)
            return
        job = self._jobs.get(record["job"])
        if job is None:
            if record.get("state") != State.RECEIVED:
                raise JournalCorrupt("the journal names a job that it does not introduce; restore the state folder from a backup")
            signed = self.store.spec(record["job"])
            job = self._jobs[record["job"]] = Job(signed.job_id, specs.parse(signed.data), _time(record["time"]))
        if record["kind"] == "approval":
            job.approvals[record["member"]] = record["signature"]
        else:
            self._apply(job, record)

    def _apply(self, job: Job, record: Record) -> None:
        job.state = State(record["state"])
        self._open[job.id] = job
        if job.ended:
            del self._open[job.id]
        job.code, job.by = record.get("code", ""), record.get("by", "")
        job.facts.update(record.get("facts", {}))
        job.charged = job.charged or job.state is State.CHARGED
        number = (job.events[-1].sequence // STRIDE + 1) * STRIDE if job.events else 0
        self._event(job, Event(number, _time(record["time"]), job.state, "", job.code, job.shown_by))

    def _event(self, job: Job, event: Event) -> None:
        job.events.append(event)
        job.changed.set()
        job.changed = asyncio.Event()


def _state_record(job: str, state: State, time: datetime, *, code: str = "", by: str = "", **facts: Any) -> Record:
    record: Record = {"kind": "state", "job": job, "state": state.value, "time": _text(time)}
    return record | {key: value for key, value in {"code": code, "by": by, "facts": facts}.items() if value}


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
