"""A small study for the daemon's tests: three hospitals that also compute, two researchers, real mutual TLS on loopback.

The analysis and the session's work are stand-ins (stand_ins.py): what is tested here is everything around them.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest

from engine import canonical, identity, plan, spec
from engine import charter as charters
from engine.identity import Identity
from engine.party import status
from engine.party.config import PartyConfig, PolicySection
from engine.party.daemon import Daemon
from engine.party.jobs import ENDS
from engine.party.journal import recover
from engine.party.log import Log
from engine.plan import SignedPlan
from engine.spec import SignedSpec
from engine.transport.credentials import dial
from engine.wire.v1 import admin_pb2, jobs_pb2
from engine.wire.v1.admin_pb2_grpc import AdminStub
from engine.wire.v1.jobs_pb2_grpc import JobsStub
from tests.engine.party.stand_ins import FakeSource, Hold, Run, Silence, answer

HOSPITALS = ("um", "iu", "uk")
RESEARCHERS = ("ana", "ben")
DICTIONARY = {
    "columns": {
        "age": {"type": "integer", "bounds": [0, 120]},
        "indo": {"type": "binary"},
        "sex": {"type": "category", "levels": ["female", "male"]},
    }
}
DEADLINE = 2.0
EVERYTHING = PolicySection(
    approve="automatic",
    steps=True,
    automatic=[{"researcher": name, "analyses": ["*"], "columns": ["*"]} for name in RESEARCHERS],  # type: ignore[list-item]
)


BY_HAND = PolicySection()
RELEASED = [("released", "", "")] * 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_charter(keys: dict[str, Identity], **changes: Any) -> charters.Charter:
    def member(name: str) -> dict[str, Any]:
        hospital = name in HOSPITALS
        return {
            "name": name,
            "roles": ["hospital", "compute"] if hospital else ["researcher"],
            "public_key": keys[name].public_key,
            "certificate": keys[name].certificate.decode(),
            "address": f"127.0.0.1:{free_port()}" if hospital else None,
            "rows": charters.BAND,
        }

    return charters.parse(
        {
            "title": "test",
            "members": [member(name) for name in (*HOSPITALS, *RESEARCHERS)],
            "compute": list(HOSPITALS),
            "analyses": ["describe", "ols"],
            "steps": True,
            "round_deadline": DEADLINE,
            "dictionary": DICTIONARY,
            **changes,
        }
    )


@dataclass
class Study:
    """The members' keys and folders; daemons are started and stopped by name."""

    folder: Path
    keys: dict[str, Identity]
    charter: charters.Charter
    daemons: dict[str, Daemon] = field(default_factory=dict)
    logs: io.StringIO = field(default_factory=io.StringIO)
    _channels: list[grpc.aio.Channel] = field(default_factory=list)

    def config(self, name: str, policy: PolicySection = EVERYTHING) -> PartyConfig:
        address = self.charter.member(name).address or ""
        return PartyConfig(self.charter, self.keys[name], self.folder, self.folder / name, address, None, "info", policy, {})

    async def start(
        self, *names: str, policy: PolicySection = EVERYTHING, run: Any = answer, clock: Any = None, table: int = 20
    ) -> None:
        """Start these daemons (all, when none is named), each with so many rows."""
        for name in names or HOSPITALS:
            extra = {"clock": clock} if clock else {}
            daemon = Daemon(
                self.config(name, policy),
                FakeSource(table),
                digest_key=b"k" * 32,
                log=Log(name, "info", self.logs),
                run=run,
                **extra,
            )
            await daemon.start()
            self.daemons[name] = daemon

    async def stop(self, *names: str) -> None:
        await asyncio.gather(*(self.daemons.pop(name).stop() for name in names or list(self.daemons)))

    async def crash(self, name: str) -> None:
        """As a kill would: links and calls are cut, nothing more is written."""
        daemon = self.daemons.pop(name)
        daemon._journal.close()
        daemon._audit.close()
        daemon._ticker.cancel()
        daemon.flow.network = Silence()
        await daemon.links.stop()
        await asyncio.gather(daemon._server.stop(0), daemon._admin.stop(0))
        os.close(daemon._lock)

    async def linked(self) -> None:
        """Returns when all running daemons hold links to each other."""
        await asyncio.gather(*(daemon.links.wait_connected(20) for daemon in self.daemons.values()))

    async def begin(self, *names: str, **options: Any) -> None:
        """Start these daemons and wait for their links."""
        await self.start(*names, **options)
        await self.linked()

    def jobs(self, member: str, caller: str = "ana") -> JobsStub:
        channel = dial(self.keys[caller], self.charter.member(member))
        self._channels.append(channel)
        return JobsStub(channel)

    def admin(self, member: str) -> AdminStub:
        channel = grpc.aio.insecure_channel(f"unix:{self.folder / member / 'admin.sock'}")
        self._channels.append(channel)
        return AdminStub(channel)

    def ask(self, researcher: str = "ana", **fields: Any) -> SignedSpec:
        question = {"analysis": "describe", "columns": ["age"], **fields}
        return spec.sign(spec.new(study=self.charter.id, researcher=researcher, **question), self.keys[researcher].signing_key)

    async def submit(self, signed: SignedSpec, caller: str = "ana", to: tuple[str, ...] = HOSPITALS) -> list[jobs_pb2.JobStatus]:
        request = jobs_pb2.SubmitRequest(spec=signed.data, signature=signed.signature)
        return list(await asyncio.gather(*(self.jobs(name, caller).Submit(request) for name in to)))

    async def asked(self, *, to: tuple[str, ...] = HOSPITALS, **fields: Any) -> SignedSpec:
        """A new question of ana's, submitted."""
        signed = self.ask(**fields)
        await self.submit(signed, to=to)
        return signed

    async def held(self, then: Run = answer) -> tuple[Hold, SignedSpec]:
        """All daemons in the middle of a first question's session, which goes on when the test lets it."""
        hold = Hold(then)
        await self.begin(run=hold)
        signed = await self.asked()
        await hold.reached()
        return hold, signed

    def plan(self, *questions: spec.Spec, researcher: str = "ana", title: str = "a plan") -> SignedPlan:
        """These questions, or two of them, under one signature."""
        asked = list(questions) or [self.question(researcher), self.question(researcher)]
        made = plan.new(study=self.charter.id, researcher=researcher, title=title, purpose="to see", questions=asked)
        return plan.sign(made, self.keys[researcher].signing_key)

    def question(self, researcher: str = "ana", **fields: Any) -> spec.Spec:
        """A question for a plan."""
        return spec.parse(self.ask(researcher, **fields).data)

    async def submit_plan(
        self, signed: SignedPlan, caller: str = "ana", to: tuple[str, ...] = HOSPITALS
    ) -> list[jobs_pb2.JobStatus]:
        request = jobs_pb2.SubmitPlanRequest(plan=signed.data, signature=signed.signature)
        return list(await asyncio.gather(*(self.jobs(name, caller).SubmitPlan(request) for name in to)))

    async def watch(self, job: str, member: str) -> list[jobs_pb2.JobEvent]:
        """All events at one party, until the job has ended there."""
        return [event async for event in self.jobs(member).Watch(jobs_pb2.JobReference(job=job))]

    async def ends(self, job: str, members: tuple[str, ...] = HOSPITALS) -> list[tuple[str, str, str]]:
        """(state, code, by) of the last event at each party."""
        async with asyncio.timeout(30):
            histories = await asyncio.gather(*(self.watch(job, member) for member in members))
        assert all(events[-1].state in ENDS for events in histories)
        return [(events[-1].state, events[-1].code, events[-1].by) for events in histories]

    async def state(self, job: str, member: str, state: str) -> None:
        """Returns when the job has reached `state` at one party."""
        async with asyncio.timeout(20):
            async for event in self.jobs(member).Watch(jobs_pb2.JobReference(job=job)):
                if event.state == state:
                    return
        raise AssertionError(f"the job ended before it was {state}")

    async def fetch(self, job: str, member: str, caller: str = "ana") -> bytes:
        reply = await self.jobs(member, caller).Fetch(jobs_pb2.JobReference(job=job))
        return bytes(reply.SerializeToString(deterministic=True))

    async def decide(self, verb: str, job: str, *members: str) -> None:
        for member in members:
            await getattr(self.admin(member), verb)(admin_pb2.AdminJobReference(job=job))

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()
        await self.stop()


def make_keys(folder: Path) -> dict[str, Identity]:
    return {member: identity.create(member, folder / member) for member in (*HOSPITALS, *RESEARCHERS)}


def make_study(folder: Path, keys: dict[str, Identity], **changes: Any) -> Study:
    return Study(folder, keys, make_charter(keys, **changes))


@asynccontextmanager
async def study(**changes: Any) -> AsyncIterator[Study]:
    with tempfile.TemporaryDirectory(prefix="u-") as name:  # short: a socket's path is
        found = make_study(Path(name), make_keys(Path(name) / "keys"), **changes)
        try:
            yield found
        finally:
            await found.close()


def scenario(body: Callable[[Study], Awaitable[None]], **changes: Any) -> None:
    """Run `body` in a fresh study."""

    async def run() -> None:
        async with study(**changes) as s:
            await body(s)

    asyncio.run(run())


def code_of(error: grpc.aio.AioRpcError) -> str:
    """The stable code in the trailing metadata."""
    return next((str(value) for key, value in error.trailing_metadata() or () if key == status.CODE), "")


class Refusal(NamedTuple):
    """How a call fails."""

    status: grpc.StatusCode
    code: str
    text: str


async def refused(call: Awaitable[Any]) -> Refusal:
    """The refusal of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refusal(caught.value.code(), code_of(caught.value), caught.value.details() or "")


def journal_states(s: Study, name: str, job: str) -> list[str]:
    """The states of a job that one party's journal holds, in their order."""
    records, _ = recover((s.folder / name / "journal").read_bytes())
    return [record["state"] for record in records if record["job"] == job and record["kind"] == "state"]


def sign_charter(charter: charters.Charter, keys: dict[str, Identity], path: Path) -> None:
    signatures = {name: canonical.sign(key.signing_key, charters.DOMAIN, charter.to_bytes()) for name, key in keys.items()}
    charters.save(path, charter, signatures)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now
