"""What a party does next with a job. One event loop; every decision follows from the job's state and the notices received.

    submit      verify, then what the policy says: approve, ask the operator, refuse
    approve     tell the others; when all parties have approved, the first compute party says `start`
    session     all open it; a worker thread runs it (sitting.py); the loop stays free for heartbeats and watchers
    charge      store release and row-set digests, journal, tell the others `charged`
    release     when all parties have charged, and not before

The first compute party starts one session at a time, and the next when the last has ended. So parties never wait for each other
in different orders, and every job is compared with every answer released before it (ledger.py), which two jobs side by side could
not be. All parties charge before any releases, so an answer that anybody can fetch has its digests at every hospital.

A plan's job (jobs.py) goes the same way, with one approval for all its questions. When all parties hold that the rules allow
them, each agrees to every question's job in the plan's name, and the questions are started in the plan's order, each when those
before it have ended, however they did. A plan that ends otherwise takes its questions with it. So no question of a plan is agreed
to anywhere before every party has agreed to the very same plan.

A party that drains (its operator stops it in order) tells the first compute party, which starts nothing more until it has a new
link to it; what was started before the word came is finished. So questions wait at all parties until it is back.

An end is told to the others, and told again to whoever still speaks of the job as open. Nothing here waits for a reply: a job in
a session ends by the transport's deadlines, a charged one after two round deadlines, a waiting one at its expiry.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from engine import plan as plans
from engine.charter import Member
from engine.errors import DataError, NotAuthorised, Paused, SignatureInvalid, SpecError
from engine.party import ledger, notices, policy, release, sitting
from engine.party.book import Job, JobBook
from engine.party.config import PartyConfig
from engine.party.errors import StorageFailed, TooMany
from engine.party.jobs import AGREED, ATTEMPT, IN_SESSION, REASONS, WAITING, State
from engine.party.ledger import EarlierRowSet
from engine.party.log import Log
from engine.party.notices import APPROVED, CHARGED, RELEASED, START
from engine.party.policy import Decision, Question
from engine.party.progress import Progress, Watched
from engine.party.sitting import OpenSession, Seat, Sitting, in_thread
from engine.plan import AnalysisPlan, SignedPlan
from engine.spec import SignedSpec, Spec
from engine.wire.v1.party_link_pb2 import JobNotice
from protocols.errors import PeerLost, PeerMisbehaved, ProtocolError

MAX_WAITING = 256  # open jobs of one researcher
MAX_REFUSED_PLANS = 3  # of a researcher, by the rules: what a refusal tells costs nothing, so automatic approval ends there
MAX_EARLY = 1024  # notices of one member about jobs that have not come here yet
OLD_STATE = frozenset({"restarted", "expired"})  # also how a job ends that was charged after the backup now in use was made
SENDER_AT_FAULT = frozenset({"policy", "internal", "storage", "stopped", "restarted"})


class Network(Protocol):
    """What the flow needs of the links to the other parties (engine.transport.mesh.Mesh)."""

    def connected(self) -> Collection[str]: ...
    def ready(self) -> Collection[str]: ...
    def drain(self) -> None: ...
    async def drain_heard(self, member: str) -> None: ...
    def last_error(self, member: str) -> str: ...
    def notify(self, notice: JobNotice) -> None: ...
    async def open_session(self, job_id: bytes, attempt: int, timeout: float) -> Any: ...


class Flow:
    """The jobs of one party, on their way."""

    def __init__(self, config: PartyConfig, book: JobBook, network: Network, seat: Seat, log: Log) -> None:
        self.config, self.book, self.network, self.seat, self._log = config, book, network, seat, log
        self._others = frozenset(config.charter.parties) - {config.name}
        self._leads = config.charter.compute[0] == config.name
        self._deadline = config.charter.round_deadline
        self._patience = min(1.0, self._deadline / 4)  # for the notice that says why a peer ended a session
        self._questions: dict[str, Question] = {}
        self._started: set[str] = set()
        self._sessions: dict[str, asyncio.Task[None]] = {}
        self._links: dict[str, OpenSession] = {}
        self._watched: dict[str, Watched] = {}
        self._charged: dict[str, set[str]] = {}  # job -> members that have charged it
        self._charged_since: dict[str, float] = {}
        self._broken_since: dict[str, float] = {}
        self._early: dict[str, OrderedDict[str, JobNotice]] = {}
        self._stopping = False  # nothing new is taken, and nothing begun from here
        self._aborting = False  # what others begin ends at once

    # -- the researcher and the operator --------------------------------------------------------------------------------

    async def submit(self, signed: SignedSpec, caller: Member) -> Job:
        """The job of these bytes, new or known.

        Raises SpecError and its kin, NotAuthorised, SignatureInvalid, Expired, Paused, TooMany, StorageFailed.
        """
        spec = policy.authenticate(signed, caller, self.config.charter)
        if known := self.book.get(signed.job_id):
            return known
        self._admit(spec, 1)
        question = await self._compile(spec)
        if known := self.book.get(signed.job_id):  # the same bytes came twice at once
            return known
        self._admit(spec, 1)  # again: compiling takes a while
        job = self.book.receive(signed, spec)
        self._questions[job.id] = question
        self._decide(job, [question])
        self._hear_early(job)
        return job

    async def submit_plan(self, signed: SignedPlan, caller: Member) -> Job:
        """The job of this plan, new or known; with a new one those of its questions. Raises as `submit`, naming the question."""
        plan = policy.authenticate(signed, caller, self.config.charter)
        if known := self.book.get(signed.job_id):
            return known
        self._admit(plan, 1 + len(plan.questions))
        questions = []
        for number, spec in enumerate(plan.questions, 1):
            with plans.question(number):
                questions.append(await self._compile(spec))
        if known := self.book.get(signed.job_id):
            return known
        self._admit(plan, 1 + len(plan.questions))
        self._check_new(plan)
        ledger.check_comparisons([question.analysis.plan.row_sets for question in questions])
        job = self.book.receive_plan(signed, plan)
        self._questions.update(zip(job.questions, questions, strict=True))
        self._decide(job, questions)
        for each in (job, *self._of_plan(job)):
            self._hear_early(each)
        return job

    def _admit(self, document: Spec | AnalysisPlan, jobs: int) -> None:
        """Whether so many more jobs may come here now. Raises NotAuthorised, Expired, SpecError, Paused, TooMany."""
        self.check_served(document.researcher)
        document.check_not_expired(self.book.clock())
        self._check_open()
        waiting = sum(job.researcher == document.researcher and job.state in WAITING for job in self.book.open_jobs())
        if waiting + jobs > MAX_WAITING:
            raise TooMany(
                f"{waiting} of your questions are waiting here, and no more than {MAX_WAITING} may; let some of them end first"
            )

    def _check_new(self, plan: AnalysisPlan) -> None:
        """A plan says what comes first, so its questions have no history. Raises SpecError naming the question."""
        for number, job_id in enumerate(plan.job_ids, 1):
            with plans.question(number):
                if self.book.get(job_id) is not None:
                    raise SpecError("it was asked here before, by itself or in another plan; make it anew with study.spec(...)")

    def _of_plan(self, plan: Job) -> list[Job]:
        """The jobs of its questions, in the plan's order; none of a question's own job."""
        return [job for job in map(self.book.get, plan.questions) if job is not None]

    def _hear_early(self, job: Job) -> None:
        """What others said of this job before it came here."""
        for member, early in self._early.items():
            if notice := early.pop(job.id, None):
                self.on_notice(member, notice)

    async def _compile(self, spec: Spec) -> Question:
        """The question; one that no party could run is told to this party's operator too: the charter may have to change."""
        try:
            return await asyncio.to_thread(policy.compile_question, spec, self.config.charter)
        except SpecError as error:
            if isinstance(error.__cause__, ProtocolError):
                self._log.warning(
                    "a question was refused: its numbers may outgrow the engine's rings at the charter's bounds and rows",
                    job=spec.job_id,
                    member=spec.researcher,
                    error=type(error.__cause__).__name__,
                )
            raise

    def approve(self, job: Job) -> None:
        """This party agrees. Raises SpecError when the job no longer waits for that, StorageFailed."""
        self._check_by_itself(job)
        if job.state is not State.VERIFIED:
            raise SpecError(f"this job is {job.state}: there is nothing to approve")
        notice = notices.sign(self.config.identity, job.id, APPROVED)
        self.book.agree(job, self.config.name, notice.signature)
        self.network.notify(notice)
        self._consider(job)

    def reject(self, job: Job) -> None:
        """This party refuses. Raises SpecError when it has agreed, or the job has ended."""
        if job.state in AGREED:
            raise SpecError("this party has agreed to this job; `unseen party revoke` takes that back")
        self._check_by_itself(job)
        if job.state not in WAITING:
            raise SpecError(f"this job is {job.state}: it can no longer be rejected")
        self._end(job, "policy")

    def _check_by_itself(self, job: Job) -> None:
        """A plan is agreed to, or refused, as a whole. Raises SpecError for a question of one that is not decided about."""
        plan = self.book.get(job.plan)
        if plan is not None and not plan.ended:
            raise SpecError(f"this question is part of the plan {plan.id[:12]}: decide about the whole plan, under that id")

    def revoke(self, job: Job) -> None:
        """This party takes back that it agreed, also in the middle of a session; of a plan, for all its questions that are not
        answered. Raises SpecError when there is nothing to take back, or the answer is stored already: it counts from then on;
        StorageFailed."""
        if left := [each for each in self._of_plan(job) if each.state in AGREED]:
            for each in left:
                self.revoke(each)
            return
        if job.state not in AGREED:
            hint = ": reject it instead" if job.state in WAITING else ": there is no approval to take back"
            raise SpecError(f"this job is {job.state}{hint}")
        self.book.withdrawing(job)
        self._end(job, "policy")

    def pause(self, on: bool) -> None:
        """Take no new questions; what is here goes on. Survives a restart. Raises StorageFailed."""
        self.book.pause(on)

    def revoke_researcher(self, name: str, on: bool) -> None:
        """Serve this researcher no more, and end what is not answered yet; or again. Raises SpecError, StorageFailed."""
        if name not in self.config.charter.researchers:
            raise SpecError(
                f"{name[:64]!r} is no researcher of this charter; there are: {', '.join(self.config.charter.researchers)}"
            )
        self.book.revoke(name, on)
        for job in self.book.open_jobs() if on else ():
            if job.researcher == name and not job.ended and job.state is not State.CHARGED:
                self._end(job, "policy")

    def check_served(self, researcher: str) -> None:
        """Raises NotAuthorised for a researcher whom this party's operator has revoked."""
        if researcher in self.book.standing.revoked:
            raise NotAuthorised(f"this party serves {researcher} no more; its operator has revoked that access")

    def _check_open(self) -> None:
        if self.book.standing.paused or self._stopping:
            raise Paused("this party takes no new questions at the moment; send the same question again later")

    def question(self, job: Job) -> Question:
        """The compiled question of a job. Raises SpecError when this version no longer understands it."""
        if job.id not in self._questions:
            self._questions[job.id] = policy.compile_question(job.spec, self.config.charter)
        return self._questions[job.id]

    def questions(self, job: Job) -> list[Question]:
        """The compiled questions of a plan's job, in order, or a question's own. Raises as `question`."""
        return [self.question(each) for each in self._of_plan(job) or [job]]

    def _decide(self, job: Job, questions: Sequence[Question]) -> None:
        decision, refused = policy.decide_all(questions, self.config.policy)
        try:
            if decision is Decision.APPROVE and not (job.questions and self._probing(job.researcher)):
                self.approve(job)
            elif decision is Decision.REFUSE:
                self._end(job, "policy", question=refused if job.questions else 0)
        except StorageFailed:
            self._end(job, "storage")

    def _probing(self, researcher: str) -> bool:
        """Whether the rules have refused so many of this researcher's plans that the operator must see the next one."""
        refused = sum(job.researcher == researcher and bool(job.questions) and job.code == "rules" for job in self.book)
        return refused >= MAX_REFUSED_PLANS

    # -- the other parties -------------------------------------------------------------------------------------------------

    def on_notice(self, member: str, notice: JobNotice) -> None:
        """A peer's word about a job. What does not verify is logged and dropped."""
        try:
            job_id, verdict = notices.verify(self.config.charter, member, notice)
        except (SignatureInvalid, NotAuthorised) as error:
            self._log.warning("notice dropped", member=member, error=type(error).__name__)
            return
        job = self.book.get(job_id)
        if job is None:
            self._keep_early(member, job_id, notice)
        elif job.ended:
            self._answer_ended(job, verdict)
        elif verdict in REASONS:
            self.book.end(job, verdict, by=member if verdict in SENDER_AT_FAULT else "")
            self._leave(job)
        else:
            self._hear(job, member, verdict, notice.signature)

    def _hear(self, job: Job, member: str, verdict: str, signature: bytes) -> None:
        try:
            if verdict == APPROVED:
                self.book.approve(job, member, signature)
        except StorageFailed:
            self._end(job, "storage")
            return
        if verdict == START and member == self.config.charter.compute[0]:
            if self._aborting:
                self._end(job, "stopped")
                return
            self._started.add(job.id)
        elif verdict in (CHARGED, RELEASED):
            self._charged.setdefault(job.id, set()).add(member)
            self._settle(job)
        self._consider(job)

    def _answer_ended(self, job: Job, verdict: str) -> None:
        """Tell a peer that still speaks of the job as open. No reply is due to a reply, so this cannot go back and forth."""
        if verdict in (APPROVED, START, CHARGED):
            self._tell(job, RELEASED if job.state is State.RELEASED else job.code)

    def _keep_early(self, member: str, job_id: str, notice: JobNotice) -> None:
        early = self._early.setdefault(member, OrderedDict())
        early.pop(job_id, None)
        early[job_id] = notice
        if len(early) > MAX_EARLY:
            early.popitem(last=False)

    def _tell(self, job: Job, verdict: str) -> None:
        self.network.notify(notices.sign(self.config.identity, job.id, verdict))

    # -- sessions ----------------------------------------------------------------------------------------------------------

    def _consider(self, job: Job) -> None:
        """Begin, if everybody agrees and it is this job's turn."""
        if self._leads:
            self._start_next()
        elif job.id in self._started and self._agreed(job):
            self._begin(job)

    def _agreed(self, job: Job) -> bool:
        return job.state is State.APPROVED and job.approvals.keys() >= set(self.config.charter.parties)

    def _start_next(self) -> None:
        """At the first compute party: start the oldest job on which all agree, when none is under way and everybody is there."""
        if self._stopping or self._under_way() or not self._others <= set(self.network.ready()):
            return
        for job in self.book.open_jobs():
            if self._agreed(job) and self._in_turn(job) and job.id not in self._sessions and not self._expire(job):
                self._begin(job)
                if job.state is State.KEYED:
                    self._tell(job, START)
                return

    def _in_turn(self, job: Job) -> bool:
        """Whether all questions before it in its plan, if it is in one, have ended."""
        plan = self.book.get(job.plan)
        return plan is None or all(each.ended for each in self._of_plan(plan)[: plan.questions.index(job.id)])

    def _under_way(self) -> list[Job]:
        """What is in a session, charged, or started by the first compute party and on its way into a session here."""
        begun = IN_SESSION | {State.CHARGED}
        return [job for job in self.book.open_jobs() if job.state in begun or job.id in self._started]

    def _begin(self, job: Job) -> None:
        if job.id in self._sessions or self._aborting or self._expire(job):
            return
        try:
            self.book.move(job, State.KEYED, attempt=ATTEMPT)
        except StorageFailed:
            self._end(job, "storage")
            return
        task = asyncio.create_task(self._conduct(job))
        self._sessions[job.id] = task
        task.add_done_callback(lambda _: self._sessions.pop(job.id, None))

    async def _conduct(self, job: Job) -> None:
        """From open links to a charged answer, or an end. Never raises."""
        try:
            questions = await asyncio.to_thread(self.questions, job)  # after a restart all of a plan's are compiled again
            link = await self.network.open_session(bytes.fromhex(job.id), ATTEMPT, 2 * self._deadline)
            self._links[job.id] = link
            sat = await self._sit(job, questions, link)
            if not job.ended:
                self._conclude(job, questions[0], sat)
        except Exception as error:  # whatever it was, the job ends and the daemon lives
            what = "own data cannot be used" if isinstance(error, DataError) else "session failed"
            self._log.failure(what, error, job=job.id)
            await self._fail(job, error)
        finally:
            if ended := self._links.pop(job.id, None):
                ended.close()

    async def _fail(self, job: Job, error: Exception) -> None:
        """End a job for a failure here, or for the reason that a peer gives."""
        if isinstance(error, PeerLost):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    while not job.ended:
                        await job.changed.wait()
        if not job.ended:
            self._end(job, _code(error), by=self._missing() if isinstance(error, PeerLost) else None)

    async def _sit(self, job: Job, questions: Sequence[Question], link: OpenSession) -> Sitting:
        loop = asyncio.get_running_loop()
        self.book.move(job, State.COMPUTING, session=link.agreement.session.hex())
        never = [o.id for o in self.book if o.ended and not o.charged and "session" in o.facts and o.code not in OLD_STATE]

        def on_stage(progress: Progress) -> None:
            loop.call_soon_threadsafe(self._next_stage, job, progress)

        watched = self._watched[job.id] = Watched(on_stage)
        earlier = self.earlier()
        try:
            if job.questions:
                return await in_thread(partial(sitting.sit_for_plan, link, self.seat, questions, earlier, never, watched))
            return await in_thread(partial(sitting.sit, link, self.seat, questions[0], earlier, never, watched))
        finally:
            self._publish(job)
            del self._watched[job.id]

    def progress(self, job: Job) -> Progress | None:
        """How far the job's session has come; None when none is running."""
        return self._watched[job.id].look() if job.id in self._watched else None

    def running(self) -> Progress | None:
        """The same of the session that is running, if any."""
        return next((watched.look() for watched in self._watched.values()), None)

    def _publish(self, job: Job) -> None:
        if progress := self.progress(job):
            self.book.progress(job, progress)

    def _next_stage(self, job: Job, progress: Progress) -> None:
        self.book.progress(job, progress)
        self._log.info("stage", job=job.id, stage=progress.stage, sent=progress.sent)

    def earlier(self) -> Callable[[], list[EarlierRowSet]]:
        """Reads, in any thread, this party's row sets behind all answers that count by now. Raises StorageFailed when called."""
        charged = [job.id for job in self.book if job.charged]
        return lambda: [entry for job in charged for entry in self.book.store.row_sets(job)]

    def _conclude(self, job: Job, question: Question, sat: Sitting) -> None:
        """The gate has spoken, at every party alike."""
        if sat.outcome.data_error is not None:
            self._log.failure("own data cannot be used", sat.outcome.data_error, job=job.id)
        if sat.outcome.out_of_bounds:
            self._log.warning("refused: too many own rows are out of bounds; `unseen party doctor` names the columns", job=job.id)
        if sat.outcome.lost_digest:
            self._log.warning("refused: the digest of an earlier answer is lost; restore the state folder", job=job.id)
        if sat.outcome.stop is not None:
            which = {"question": sat.question} if sat.question else {}
            self.book.end(job, "rules" if sat.outcome.stop == "refused" else sat.outcome.stop, by="", **which)
            self._forget(job)
            return
        self.book.move(job, State.CHECKED)
        session = (self.config.charter, self.config.identity, sat.outcome, sat.terms, sat.session, sat.times)
        data = release.build_plan(job, *session) if job.questions else release.build(job, question, *session)
        where = None if question.where is None else question.where.canonical()
        self.book.store.put_release(job.id, data, sat.outcome.row_sets, where)
        self.book.move(job, State.CHARGED)
        self._charged_since[job.id] = asyncio.get_running_loop().time()
        self._tell(job, CHARGED)
        self._settle(job)

    def _settle(self, job: Job) -> None:
        """Release what everybody has charged."""
        if job.state is State.CHARGED and self._charged.get(job.id, set()) >= self._others:
            try:
                self.book.move(job, State.RELEASED)
            except StorageFailed:
                return  # still charged, and stored; the next tick tries again
            self._forget(job)

    # -- ends --------------------------------------------------------------------------------------------------------------

    def _end(self, job: Job, code: str, by: str | None = None, question: int = 0) -> None:
        """End a job here and tell the others. `by` is this party unless somebody else is known to be the cause."""
        self.book.end(job, code, self.config.name if by is None else by, **({"question": question} if question else {}))
        self._tell(job, code)  # before the session breaks, so that the others know why
        self._leave(job)

    def _leave(self, job: Job) -> None:
        if link := self._links.get(job.id):
            link.abort("refused")
        self._forget(job)

    def _forget(self, job: Job) -> None:
        """Keep of an ended job what the book keeps, and go on with the next."""
        for table in (self._questions, self._charged, self._charged_since, self._broken_since):
            table.pop(job.id, None)
        self._started.discard(job.id)
        for question in self._of_plan(job):
            self._follow_plan(question, job)
        if self._leads:
            asyncio.get_running_loop().call_soon(self._start_next)

    def _follow_plan(self, job: Job, plan: Job) -> None:
        """A question whose plan has ended: agreed to here when all parties hold that the rules allow it; else ended, too."""
        if job.state is not State.VERIFIED or not plan.ended:
            return
        if plan.state is not State.RELEASED:
            self.book.end(job, "plan", by="")
            self._forget(job)
            return
        try:
            if not self._refused_now(job):
                self.approve(job)
        except StorageFailed:
            self._end(job, "storage")

    def _missing(self) -> str:
        """The party that is gone, when it is one."""
        missing = self._others - set(self.network.connected())
        return next(iter(missing)) if len(missing) == 1 else ""

    def _expire(self, job: Job) -> bool:
        if job.state in WAITING and self.book.clock() >= job.expires:
            self._end(job, "expired", by="")
            return True
        return False

    # -- time ----------------------------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """After a start: what was in a session is aborted, what waits or was charged is told again."""
        now = asyncio.get_running_loop().time()
        for job in self.book.open_jobs():
            if job.state in IN_SESSION:
                self._end(job, "restarted")
            elif job.state is State.CHARGED:
                self._charged_since[job.id] = now
                self._tell(job, CHARGED)
            elif job.state is State.APPROVED and not self._expire(job) and not self._refused_now(job):
                self._tell(job, APPROVED)
            elif job.state in (State.RECEIVED, State.VERIFIED):
                self._reconsider(job)

    def _refused_now(self, job: Job) -> bool:
        """Whether this party's policy has become stricter than when it agreed; if so, the job has ended."""
        if self.config.policy.steps and self.config.policy.share_rows:
            return False
        try:
            decision, refused = policy.decide_all(self.questions(job), self.config.policy)
        except SpecError as error:
            self._end(job, _code(error))
            return True
        if decision is Decision.REFUSE:
            self._end(job, "policy", question=refused if job.questions else 0)
        return job.ended

    def _reconsider(self, job: Job) -> None:
        """A job that was waiting for this party when it stopped."""
        if self._expire(job):
            return
        try:
            if job.state is State.RECEIVED:
                self.book.move(job, State.VERIFIED)
            if plan := self.book.get(job.plan):
                self._follow_plan(job, plan)
            else:
                self._decide(job, self.questions(job))
        except (SpecError, StorageFailed) as error:
            self._end(job, _code(error))

    def tick(self) -> None:
        """Once a second: what is overdue ends, what was charged is told again, what can start starts."""
        now = asyncio.get_running_loop().time()
        for job in self.book.open_jobs():
            self._expire(job)
            if job.state is State.COMPUTING:
                self._publish(job)
                self._look_after_session(job, now)
            elif job.state is State.CHARGED:
                self._look_after_charge(job, now)
        if self._leads:
            self._start_next()

    def _look_after_session(self, job: Job, now: float) -> None:
        """A worker that reads rows may not notice for long that the session has ended."""
        broken = job.id in self._links and self._links[job.id].ended
        if broken and now - self._broken_since.setdefault(job.id, now) >= self._patience:
            self._end(job, "peer-lost", by=self._missing())

    def _look_after_charge(self, job: Job, now: float) -> None:
        """Ask again who has charged; a peer that stays silent for two deadlines has not."""
        self._settle(job)
        if job.state is State.CHARGED:
            if now - self._charged_since.setdefault(job.id, now) > 2 * self._deadline:
                self._end(job, "peer-lost", by=self._missing())
            else:
                self._tell(job, CHARGED)

    async def drain(self, seconds: float) -> None:
        """Have nothing more begun; return when everything under way has ended, or after so many seconds."""
        self._stopping = True
        self.network.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while under_way := await self._last_ones():
                    await under_way[0].changed.wait()

    async def _last_ones(self) -> list[Job]:
        """What is under way, once the first compute party has heard that it is to start nothing more."""
        if not self._leads:
            await self.network.drain_heard(self.config.charter.compute[0])
        return self._under_way()

    async def stop(self) -> None:
        """Abort what is in a session, everywhere, and wait a deadline for its threads; one that reads rows is left behind."""
        self._stopping = self._aborting = True
        self.network.drain()  # first: no other question is started in the place of one that ends here
        for job in self.book.open_jobs():
            if job.state in IN_SESSION:
                self._end(job, "stopped")
        tasks = dict(self._sessions)
        for job_id in tasks.keys() - self._links.keys():
            tasks[job_id].cancel()  # still opening
        if tasks:
            await asyncio.wait(tasks.values(), timeout=self._deadline)


def _code(error: BaseException) -> str:
    """What the others are told of a failure. A data error may depend on rows: it reads like an answer that the rules forbid."""
    kinds: list[tuple[type[BaseException], str]] = [
        (PeerMisbehaved, "peer-misbehaved"),
        (PeerLost, "peer-lost"),
        (DataError, "rules"),
        (StorageFailed, "storage"),
    ]
    return next((code for kind, code in kinds if isinstance(error, kind)), "internal")
