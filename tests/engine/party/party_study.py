"""A small study for the daemon's tests: three hospitals that also compute, two researchers, real mutual TLS on loopback.

The analysis and the session's work are stand-ins: what is tested here is everything around them.
"""

from __future__ import annotations

import asyncio
import io
import math
import os
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from engine import canonical, identity, spec
from engine import charter as charters
from engine.analyses.base import Output, Plan, Stage, State, Step
from engine.data.rows import RowCounts, Rows
from engine.errors import FormulaError
from engine.identity import Identity
from engine.party import gate, status
from engine.party.config import PartyConfig, PolicySection
from engine.party.daemon import Daemon
from engine.party.jobs import ENDS
from engine.party.log import Log
from engine.party.runner import Outcome, ReleasedShare, Work
from engine.spec import SignedSpec
from engine.transport.credentials import dial
from engine.wire.v1 import admin_pb2, jobs_pb2
from engine.wire.v1.admin_pb2_grpc import AdminStub
from engine.wire.v1.jobs_pb2_grpc import JobsStub
from protocols.engine import Declared, Engine, Secret
from protocols.session import Expect, Session

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


class FakeAnalysis:
    """Takes the columns of the question, opens one number; on its way it needs as many bits more as options={"bits": ...} say."""

    name = "describe"
    modes = ("result", "steps")

    def __init__(self, question: Any, dictionary: Any, limits: Any) -> None:
        if question.formula == "wrong ~":
            raise FormulaError("the formula ends too early")
        for column in question.columns:
            dictionary[column]
        columns = tuple(question.columns)
        self.plan = Plan(columns, columns, (), 0, (columns,), (Output("mean", (1,), "aggregate"),), limits.rows_log2)
        if question.formula == "on rows ~":
            self.plan = replace(self.plan, shares_rows=True)
        self._bits = question.options.get("bits", 0)

    def start(self) -> State:
        return State("only")

    def stage(self, state: State) -> Stage:
        return Stage("only", (Declared("mean", (1,), 1.0),), outputs=self.plan.outputs)

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        mpc.truncate(mpc.shift_left(totals["mean"], self._bits), 1)
        return Step(outputs={"mean": totals["mean"]})


class FakeSource:
    """A hospital's table of which only the counts are ever looked at."""

    def __init__(self, table: int = 20) -> None:
        self.table = table

    def rows(self, query: Any) -> Rows:
        return Rows(iter(()), RowCounts(table=self.table, used=0))

    def size(self) -> int:
        return self.table

    def snapshot(self) -> bytes:
        return b"\x07" * 32


def answer(session: Session, work: Work) -> Outcome:
    """A session that exchanges once and releases one number."""
    meet(session)
    shares = {}
    for output in (*gate.OUTPUTS, *work.analysis.plan.outputs):
        size = math.prod(output.shape)
        share = np.frombuffer(session.entropy(32 * size), "<u8").reshape(*output.shape, 4)
        shares[output.name] = ReleasedShare(share, output.frac)
    return Outcome(
        None, shares, {}, {work.analysis.plan.columns: session.entropy(40)}, ["refused"], stages=1, meter=session.meter
    )


def stop(code: str) -> Callable[[Session, Work], Outcome]:
    def run(session: Session, work: Work) -> Outcome:
        meet(session)
        return Outcome(code)

    return run


def meet(session: Session, kind: str = "meet") -> None:
    """One round with everybody."""
    others = [peer for peer in range(len(session.members)) if peer != session.me]
    array = np.zeros(1, np.uint8)
    session.exchange(kind, dict.fromkeys(others, array), dict.fromkeys(others, Expect(array.dtype, array.shape)))


class Hold:
    """A session that waits in the middle until the test lets it go."""

    def __init__(self, then: Callable[[Session, Work], Outcome] = answer) -> None:
        self.entered, self.release, self._then = threading.Semaphore(0), threading.Event(), then

    def __call__(self, session: Session, work: Work) -> Outcome:
        self.entered.release()
        with work.alive():
            self.release.wait(30)
        return self._then(session, work)

    async def reached(self, parties: int = 3) -> None:
        for _ in range(parties):
            assert await asyncio.to_thread(self.entered.acquire, True, 20)


class Silence:
    """The network of a dead daemon."""

    def connected(self) -> list[str]:
        return []

    def notify(self, notice: Any) -> None:
        return None

    async def open_session(self, job_id: bytes, attempt: int, timeout: float) -> Any:
        raise ConnectionError


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


def code_of(error: grpc.aio.AioRpcError) -> str:
    """The stable code in the trailing metadata."""
    return next((str(value) for key, value in error.trailing_metadata() or () if key == status.CODE), "")


def sign_charter(charter: charters.Charter, keys: dict[str, Identity], path: Path) -> None:
    signatures = {name: canonical.sign(key.signing_key, charters.DOMAIN, charter.to_bytes()) for name, key in keys.items()}
    charters.save(path, charter, signatures)


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now
