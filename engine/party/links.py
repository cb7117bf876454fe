"""The other parties as the flow sees them: the mesh, and in words why one of them is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection

import grpc

from engine.charter import Charter
from engine.identity import Identity
from engine.transport.codes import LinkCode
from engine.transport.mesh import Mesh
from engine.transport.session_link import SessionLink
from engine.wire.v1.party_link_pb2 import JobNotice

LINK_ADVICE: dict[str, str] = {
    LinkCode.NEVER: "has not been here since this daemon started; is its daemon running?",
    LinkCode.UNREACHABLE: "does not answer at its address, or takes another certificate than the charter's; compare both with it",
    LinkCode.CERTIFICATE: "a certificate is not valid today: its owner makes new keys, and all sign the charter again",
    LinkCode.NOT_AUTHORISED: "does not take this party's certificate; compare the charter's id (`unseen study show`) with it",
    LinkCode.OTHER_VERSION: "runs another version of unseen; agree on one",
    LinkCode.OTHER_CHARTER: "serves another study, or another edition of the charter; compare ids (`unseen study show`)",
    LinkCode.NO_GREETING: "answers, but not as a party would; is another program at its address?",
    LinkCode.MALFORMED: "sent what is no message; compare versions with it",
    LinkCode.SLOW: "takes nothing; is its machine or line overloaded?",
    LinkCode.CLOSED: "closed the link, or the network did; this party tries again by itself",
    LinkCode.RELAY: "is behind a relay that does not answer; does it run, and does the firewall let this party out?",
    LinkCode.RELAY_REFUSES: "is behind a relay that does not take this party; ask the relay's operator to serve this charter",
    LinkCode.NOT_AT_RELAY: "is not at its relay; is its daemon running?",
    LinkCode.STOPPED: "was stopped",
}


class Links:
    """One per daemon. `on_notice(member, notice)` is set before `start`."""

    on_notice: Callable[[str, JobNotice], None]

    def __init__(self, identity: Identity, charter: Charter) -> None:
        self._mesh = Mesh(identity, charter, on_notice=lambda member, notice: self.on_notice(member, notice))

    def add_to(self, server: grpc.aio.Server) -> None:
        self._mesh.add_to(server)

    async def start(self) -> None:
        await self._mesh.start()

    async def stop(self) -> None:
        await self._mesh.stop()

    async def wait_connected(self, timeout: float) -> None:
        """Returns when all parties are linked. Raises Unreachable, naming each missing one and why."""
        await self._mesh.wait_connected(timeout)

    def connected(self) -> Collection[str]:
        return self._mesh.connected()

    def ready(self) -> Collection[str]:
        return self._mesh.ready()

    def drain(self) -> None:
        self._mesh.drain()

    async def drain_heard(self, member: str) -> None:
        await self._mesh.drain_heard(member)

    def notify(self, notice: JobNotice) -> None:
        self._mesh.notify(notice)

    def last_error(self, member: str) -> str:
        """Why there is no link to `member`, as a code; empty while there is one."""
        return self._mesh.last_error(member) or ""

    async def open_session(self, job_id: bytes, attempt: int, timeout: float) -> SessionLink:
        return await self._mesh.open_session(job_id, attempt, timeout)
