"""What a party's own operator asks of its daemon, over a Unix socket that only the daemon's user can open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from engine.data.rows import Query
from engine.errors import ConfigError, DataError
from engine.party import own_differences, own_table, status
from engine.party.book import Job
from engine.party.describe import describe_openings, describe_plan, describe_question
from engine.party.flow import Flow
from engine.party.jobs_service import rfc3339
from engine.party.ledger import EarlierRowSet
from engine.party.log import Log
from engine.party.policy import Question
from engine.party.version import SOFTWARE_VERSION
from engine.plan import AnalysisPlan
from engine.spec import Spec
from engine.wire.v1 import admin_pb2 as wire
from engine.wire.v1.admin_pb2_grpc import AdminServicer

Reply = TypeVar("Reply")
MAX_LISTED = 1000


class AdminService(AdminServicer):
    """The Admin service of one party."""

    def __init__(self, flow: Flow, log: Log) -> None:
        self._flow, self._log = flow, log

    async def ListJobs(self, request: wire.AdminListRequest, context: Any) -> wire.AdminJobList:
        jobs = list(self._flow.book)[-MAX_LISTED:]
        return wire.AdminJobList(jobs=[self._summary(job) for job in jobs])

    async def ShowJob(self, request: wire.AdminJobReference, context: Any) -> wire.AdminJob:
        async def show() -> wire.AdminJob:
            job = self._flow.book.find(request.job)
            questions = await asyncio.to_thread(self._flow.questions, job)
            shown = self._full(job)
            for each, question in zip(shown.questions or [shown], questions, strict=True):
                each.own_rows = await asyncio.to_thread(self._own_rows, question)
            if job.questions:
                differing = await asyncio.to_thread(self._own_differences, job, questions, self._flow.earlier())
                for each, text in zip(shown.questions, differing, strict=True):
                    each.own_rows += text
            return shown

        return await self._answer(context, show)

    async def Approve(self, request: wire.AdminJobReference, context: Any) -> wire.AdminJob:
        async def approve() -> wire.AdminJob:
            job = self._flow.book.find(request.job)
            self._flow.approve(job)
            return self._decided(job)

        return await self._answer(context, approve)

    async def Reject(self, request: wire.AdminJobReference, context: Any) -> wire.AdminJob:
        async def reject() -> wire.AdminJob:
            job = self._flow.book.find(request.job)
            self._flow.reject(job)
            return self._decided(job)

        return await self._answer(context, reject)

    async def Revoke(self, request: wire.AdminJobReference, context: Any) -> wire.AdminJob:
        async def revoke() -> wire.AdminJob:
            job = self._flow.book.find(request.job)
            self._flow.revoke(job)
            return self._decided(job)

        return await self._answer(context, revoke)

    async def Pause(self, request: wire.AdminPause, context: Any) -> wire.PartyStatusReply:
        async def pause() -> wire.PartyStatusReply:
            self._flow.pause(request.paused)
            return self._party_status()

        return await self._answer(context, pause)

    async def RevokeResearcher(self, request: wire.AdminRevocation, context: Any) -> wire.PartyStatusReply:
        async def revoke() -> wire.PartyStatusReply:
            self._flow.revoke_researcher(request.researcher, request.revoked)
            return self._party_status()

        return await self._answer(context, revoke)

    async def PartyStatus(self, request: wire.PartyStatusRequest, context: Any) -> wire.PartyStatusReply:
        reply = self._party_status()
        reply.table = await asyncio.to_thread(self._own_table)
        return reply

    def _party_status(self) -> wire.PartyStatusReply:
        config, standing = self._flow.config, self._flow.book.standing
        connected = set(self._flow.network.connected())
        missing = [name for name in config.charter.parties if name not in connected and name != config.name]
        return wire.PartyStatusReply(
            member=config.name,
            connected=sorted(connected),
            missing=missing,
            charter=config.charter.id,
            software_version=SOFTWARE_VERSION,
            paused=standing.paused,
            revoked=sorted(standing.revoked),
            why={name: self._flow.network.last_error(name) for name in missing},
        )

    async def _answer(self, context: Any, act: Callable[[], Awaitable[Reply]]) -> Reply:
        try:
            return await act()
        except Exception as error:
            await status.fail(context, error, self._log)

    def _summary(self, job: Job) -> wire.AdminJob:
        return wire.AdminJob(
            job=job.id,
            state=job.state,
            code=job.code,
            researcher=job.researcher,
            analysis=job.document.analysis if isinstance(job.document, Spec) else f"plan of {len(job.questions)}",
            submitted=rfc3339(job.submitted),
            expires=job.document.expires,
            approvals=sorted(job.approvals),
            doing=str(self._flow.progress(job) or ""),
            plan=job.plan,
        )

    def _decided(self, job: Job) -> wire.AdminJob:
        """A question as `show` has it; of a plan, how it stands."""
        return self._summary(job) if job.questions else self._full(job)

    def _full(self, job: Job) -> wire.AdminJob:
        shown = self._summary(job)
        shown.spec = job.document.to_bytes()
        if isinstance(job.document, AnalysisPlan):
            shown.question = describe_plan(job.document)
            shown.questions.extend(self._full(self._flow.book.find(each)) for each in job.questions)
        else:
            plan = self._flow.question(job).analysis.plan
            shown.question = describe_question(job.document, plan)
            shown.opens.extend(describe_openings(plan))
        return shown

    def _own_table(self) -> str:
        """This hospital's table against the charter, for its operator alone; nothing at a party without data."""
        try:
            return str(own_table.count(self._flow.seat.source, self._flow.config) or "")
        except DataError as error:
            return f"cannot be counted: {error}"

    def _own_differences(self, plan: Job, questions: list[Question], earlier: Callable[[], list[EarlierRowSet]]) -> list[str]:
        """For each question of a plan: by how few own people it differs from earlier answers and the questions before it."""
        seat = self._flow.seat
        if seat.source is None:
            return [""] * len(questions)
        numbers = {job: f"question {number}" for number, job in enumerate(plan.questions, 1)}
        before = [entry for entry in earlier() if entry.job not in numbers]
        try:
            asked = dict(zip(plan.questions, questions, strict=True))
            found = own_differences.smallest(seat.source, seat.digest_key, asked, before)
        except (DataError, ConfigError) as error:
            return [f"; cannot be compared: {error}"] * len(questions)
        return [
            "".join(f"; {people} own people differ from {numbers.get(job, f'job {job[:12]}')}" for job, people in each.items())
            for each in found
        ]

    def _own_rows(self, question: Question) -> str:
        """This hospital's own count behind the question, for its operator alone."""
        source, plan = self._flow.seat.source, question.analysis.plan
        if source is None:
            return "this party holds no data"
        try:
            rows = source.rows(Query(plan.columns, plan.listwise, question.where))
            used = sum(len(batch) for batch in rows)
            table = own_table.count(source, self._flow.config)
        except DataError as error:
            return f"cannot be counted: {error}"
        counts = rows.counts
        return (
            f"{used} rows ({counts.used} people) of {counts.table}; not selected {counts.complement}, "
            f"missing values {counts.missing}, out of bounds {counts.out_of_bounds}"
            + (f"; own table: {table}" if table and table.outgrown else "")
        )
