"""What a researcher asks of this party, over mutual TLS: the caller is whose pinned certificate opened the connection.

Nobody but the researcher who signed a question can see its job, or learn that there is one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from engine.charter import Charter, Member
from engine.errors import NotAuthorised
from engine.party import status
from engine.party.book import Event, Job
from engine.party.flow import Flow
from engine.party.jobs import State
from engine.party.log import Log
from engine.party.status import NotThere, NotYet
from engine.party.version import SOFTWARE_VERSION
from engine.plan import SignedPlan
from engine.spec import SignedSpec
from engine.transport.codes import PROTOCOL_VERSION
from engine.transport.credentials import peer_member
from engine.wire.v1 import jobs_pb2 as wire
from engine.wire.v1.jobs_pb2_grpc import JobsServicer

MAX_LISTED = 1000  # jobs in one reply
MAX_LISTED_BYTES = 2 << 20  # of one reply: half of what a message may hold (MESSAGE_LIMIT)


class JobsService(JobsServicer):
    """The Jobs service of one party."""

    def __init__(self, flow: Flow, log: Log) -> None:
        self._flow, self._log = flow, log
        self._charter: Charter = flow.config.charter
        self._member = flow.config.name

    async def Hello(self, request: wire.HelloRequest, context: Any) -> wire.HelloReply:
        try:
            peer_member(context, self._charter)
        except NotAuthorised as error:
            await status.fail(context, error, self._log)
        return wire.HelloReply(
            member=self._member,
            charter=bytes.fromhex(self._charter.id),
            protocol_version=PROTOCOL_VERSION,
            software_version=SOFTWARE_VERSION,
            connected=sorted(self._flow.network.connected()),
            time=rfc3339(self._flow.book.clock()),
        )

    async def Submit(self, request: wire.SubmitRequest, context: Any) -> wire.JobStatus:
        try:
            caller = self._researcher(context)
            job = await self._flow.submit(SignedSpec(request.spec, request.signature), caller)
        except Exception as error:
            await status.fail(context, error, self._log)
        return self._status(job)

    async def SubmitPlan(self, request: wire.SubmitPlanRequest, context: Any) -> wire.JobStatus:
        try:
            caller = self._researcher(context)
            job = await self._flow.submit_plan(SignedPlan(request.plan, request.signature), caller)
        except Exception as error:
            await status.fail(context, error, self._log)
        return self._status(job)

    async def Status(self, request: wire.JobReference, context: Any) -> wire.JobStatus:
        return self._status(await self._own(request, context))

    async def Watch(self, request: wire.JobReference, context: Any) -> AsyncIterator[wire.JobEvent]:
        job = await self._own(request, context)
        sent = -1
        while True:
            changed = job.changed
            for event in [event for event in job.events if event.sequence > sent]:
                yield self._event(job, event)
                sent = event.sequence
            if job.ended and sent == job.events[-1].sequence:
                return
            await changed.wait()

    async def Fetch(self, request: wire.JobReference, context: Any) -> wire.Release:
        job = await self._own(request, context)
        try:
            if job.state is not State.RELEASED:
                raise NotYet(f"this job is {job.state} at {self._member}: there is nothing to fetch")
            return wire.Release.FromString(self._flow.book.store.release(job.id))
        except Exception as error:
            await status.fail(context, error, self._log)

    async def List(self, request: wire.ListRequest, context: Any) -> wire.ListReply:
        try:
            caller = self._researcher(context)
            own = [job for job in self._flow.book if job.researcher == caller.name and job.id.startswith(request.prefix)]
            return self._page(_older(own, request.before) if request.before else own)
        except Exception as error:
            await status.fail(context, error, self._log)

    def _researcher(self, context: Any) -> Member:
        caller = peer_member(context, self._charter)
        if "researcher" not in caller.roles:
            raise NotAuthorised(f"{caller.name} is not a researcher of this study")
        self._flow.check_served(caller.name)
        return caller

    async def _own(self, request: wire.JobReference, context: Any) -> Job:
        """The caller's job of that id. Whether somebody else's exists is not told."""
        try:
            caller = self._researcher(context)
            job = self._flow.book.get(request.job)
            if job is None or job.researcher != caller.name:
                raise NotThere("there is no such job of yours here; submit the question to every party")
            return job
        except Exception as error:
            await status.fail(context, error, self._log)

    def _page(self, own: Sequence[Job]) -> wire.ListReply:
        """The newest of these, given oldest first, that fit into one reply. A plan and its questions are never torn apart."""
        reply, size = wire.ListReply(), 0
        for _, together in groupby(reversed(own), key=lambda job: job.plan or job.id):
            entries = self._listed(list(together))
            size += sum(entry.ByteSize() for entry in entries)
            if reply.jobs and (size > MAX_LISTED_BYTES or len(reply.jobs) + len(entries) > MAX_LISTED):
                reply.more = True
                break
            reply.jobs.extend(entries)
        return reply

    def _listed(self, together: Sequence[Job]) -> list[wire.ListedJob]:
        """A question, or what is listed of a plan: each document once, a question's alone where the plan's is not among them."""
        held = any(job.questions for job in together)
        entries = [wire.ListedJob(status=self._status(job)) for job in together]
        for job, entry in zip(together, entries, strict=True):
            if job.questions:
                entry.plan = job.document.to_bytes()
            elif not held:
                entry.spec = job.document.to_bytes()
        return entries

    def _status(self, job: Job) -> wire.JobStatus:
        return wire.JobStatus(
            job=job.id,
            member=self._member,
            state=job.state,
            code=job.code,
            submitted=rfc3339(job.submitted),
            by=job.shown_by,
            plan=job.plan,
            question=job.refused_question,
        )

    def _event(self, job: Job, event: Event) -> wire.JobEvent:
        return wire.JobEvent(
            job=job.id,
            member=self._member,
            sequence=event.sequence,
            time=rfc3339(event.time),
            state=event.state,
            detail=event.detail,
            code=event.code,
            by=event.by,
            read=None if event.progress is None else event.progress.read,
            sent=0 if event.progress is None else event.progress.sent,
        )


def _older(jobs: Sequence[Job], id: str) -> Sequence[Job]:
    """Those that came before this one. Raises NotThere."""
    place = next((place for place, job in enumerate(jobs) if job.id == id), None)
    if place is None:
        raise NotThere("there is no such job of yours to list others before; list from the newest on")
    return jobs[:place]


def rfc3339(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
