"""A daemon's links to all other parties of its study: of each pair, the one earlier in the charter dials the later one.

Promised to the daemon: links are made and made again until `stop`; `last_error` says for each missing one why, as a code;
notices keep their order and reach a peer that is away now when it comes back (the last one of each job is sent again at every
connection, so the receiver must not mind repetitions); a party that drains is not `ready` at the others until it has a new link,
and learns when they have heard; `open_session` waits for links that are missing and gives a Channel that obeys session_link.py.
All methods belong to the event loop on which `start` ran; a SessionLink's `exchange`, `abort`, `close` and `heartbeating` serve
any thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc

from engine.charter import Charter
from engine.errors import NotAuthorised, Unreachable
from engine.identity import Identity
from engine.relay.doors import Doors
from engine.transport import credentials, messages
from engine.transport.codes import KEPT_NOTICES, AbortCode, LinkCode
from engine.transport.link import Link, LinkRefused
from engine.transport.session_link import SessionLink
from engine.transport.sessions import Sessions
from engine.wire.v1.party_link_pb2 import JobNotice, LinkMessage
from protocols.errors import PeerMisbehaved

_log = logging.getLogger(__name__)

SERVICE = "engine.wire.v1.PartyLink"
METHOD = f"/{SERVICE}/Connect"
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds between two attempts at dialling


class Mesh:
    """One per daemon. `on_notice(member, notice)` and `on_abort(member, job)` are called on the event loop and must not block."""

    def __init__(
        self,
        identity: Identity,
        charter: Charter,
        *,
        on_notice: Callable[[str, JobNotice], None],
        on_abort: Callable[[str, bytes], None] = lambda member, job: None,
    ) -> None:
        self._identity, self._charter = identity, charter
        self._on_notice, self._on_abort = on_notice, on_abort
        place = charter.parties.index(identity.name)
        self._dialled_by_me, self._dialling_me = charter.parties[place + 1 :], charter.parties[:place]
        self._links: dict[str, Link] = {}
        self._errors = dict.fromkeys((*self._dialling_me, *self._dialled_by_me), LinkCode.NEVER)
        self._sessions = Sessions(identity, charter, self._links)
        self._doors = Doors(identity, charter.id)
        self._notices: OrderedDict[bytes, JobNotice] = OrderedDict()
        self._complete = asyncio.Event()
        self._draining = False
        self._draining_peers: set[str] = set()
        self._heard_drain: set[str] = set()
        self._hearing = asyncio.Event()  # whether a peer has heard may have changed
        self._stopping = asyncio.Event()
        self._diallers: list[asyncio.Task[None]] = []

    # -- life -----------------------------------------------------------------------------------------------------------------

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the later half of the links on the daemon's own server (made with credentials.server_credentials)."""
        handler: Any = grpc.stream_stream_rpc_method_handler(self._serve)  # bytes in, bytes out: messages.py decodes
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Connect": handler}),))

    async def start(self) -> None:
        """Begin to dial. Returns at once; see `wait_connected`."""
        self._diallers = [asyncio.create_task(self._keep_dialling(name)) for name in self._dialled_by_me]

    async def stop(self) -> None:
        """Abort what runs, say so to the others, close every link, dial no more. The server's own `stop` comes after this."""
        self._stopping.set()
        self._sessions.close_all(AbortCode.STOPPING)
        await asyncio.sleep(0)  # sessions end in a callback of the loop
        for link in self._links.values():
            link.close(LinkCode.STOPPED)
        await asyncio.gather(*(link.over() for link in list(self._links.values())))
        for dialler in self._diallers:
            dialler.cancel()
        await asyncio.gather(*self._diallers, return_exceptions=True)
        await self._doors.close()

    def connected(self) -> set[str]:
        """The parties with a link now."""
        return set(self._links)

    def ready(self) -> set[str]:
        """The parties with a link now that are not about to stop."""
        return self._links.keys() - self._draining_peers

    def drain(self) -> None:
        """Tell all parties, now and when they come back, that nothing more is to be begun with this one."""
        if not self._draining:
            self._draining = True
            for link in self._links.values():
                link.send(messages.drain(heard=False))

    async def drain_heard(self, member: str) -> None:
        """After `drain`: returns when `member` has heard, so that what it began before has been told here, or has no link."""
        while member in self._links and member not in self._heard_drain:
            self._hearing.clear()
            await self._hearing.wait()

    def last_error(self, member: str) -> LinkCode | None:
        """Why there is no link to `member`; None while there is one."""
        return None if member in self._links else self._errors[member]

    @property
    def dropped(self) -> Counter[str]:
        """Messages of unknown or closed sessions, by member."""
        return self._sessions.dropped

    async def wait_connected(self, timeout: float) -> None:
        """Returns when all parties are linked. Raises Unreachable, naming each missing one and why."""
        try:
            async with asyncio.timeout(timeout):
                await self._complete.wait()
        except TimeoutError:
            missing = ", ".join(f"{name} ({code})" for name, code in self._errors.items() if name not in self._links)
            raise Unreachable(f"no link to {missing}; compare address, firewall and charter with them") from None

    # -- jobs -----------------------------------------------------------------------------------------------------------------

    def notify(self, notice: JobNotice) -> None:
        """Tell all parties about a job, now or when they come back."""
        self._notices[notice.job] = notice
        self._notices.move_to_end(notice.job)
        if len(self._notices) > KEPT_NOTICES:
            self._notices.popitem(last=False)
        for link in self._links.values():
            link.send(LinkMessage(job_notice=notice))

    async def open_session(self, job_id: bytes, attempt: int, timeout: float) -> SessionLink:
        """Agree with all parties on fresh keys. All must call it within `timeout` seconds. Raises ProtocolError."""
        return await self._sessions.open(job_id, attempt, timeout)

    def abort(self, job_id: bytes, code: AbortCode | str) -> None:
        """End a job's sessions, or a job that has none yet, at every party."""
        self._sessions.abort_job(job_id, AbortCode(code))

    # -- links ----------------------------------------------------------------------------------------------------------------

    async def _serve(self, _requests: Any, context: Any) -> None:
        """A peer dialled this member."""
        try:
            peer = credentials.peer_member(context, self._charter).name
            if peer not in self._dialling_me:
                raise NotAuthorised(f"{peer} does not dial this member")
        except NotAuthorised:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, LinkCode.NOT_AUTHORISED.value)
        try:
            await self._tend(Link(peer, context, self._handle))
        except LinkRefused as refused:
            self._note(peer, refused.code)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, refused.code.value)
        except Exception as error:  # the stream broke while it was greeted; its text could quote what was sent
            _log.info("a stream of %s broke: %s", peer, type(error).__name__)

    async def _keep_dialling(self, name: str) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            code = await self._dial(name)
            pause = FIRST_PAUSE if code in (LinkCode.CLOSED, LinkCode.REPLACED) else min(2 * pause, LONGEST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    async def _dial(self, name: str) -> LinkCode:
        """One connection from beginning to end; says why it ended."""
        try:
            member = self._charter.member(name)
            target = await self._doors.target(name, member.address or "")
            channel = credentials.dial(self._identity, member, target)
        except NotAuthorised:
            return self._note(name, LinkCode.CERTIFICATE)
        try:
            call: Any = channel.stream_stream(METHOD)()
            return await self._tend(Link(name, call, self._handle), call.done_writing)
        except LinkRefused as refused:
            return self._note(name, refused.code)
        except Exception as error:  # whatever gRPC raised, the next attempt comes after a pause
            code, relay = _why(error), self._doors.failure(name)
            return self._note(name, relay.code if relay and code is LinkCode.UNREACHABLE else code)
        finally:
            await channel.close()

    async def _tend(self, link: Link, hang_up: Any = None) -> LinkCode:
        """Greet, serve as this peer's link until it ends. Raises LinkRefused."""
        await link.greet(self._charter.id)
        if self._stopping.is_set():
            raise LinkRefused(LinkCode.STOPPED)
        self._attach(link)
        try:
            code = await link.run(hang_up)
        finally:
            self._detach(link)
        return self._note(link.peer, code) if link.peer not in self._links else code

    def _attach(self, link: Link) -> None:
        older = self._links.get(link.peer)
        if older is not None:
            older.close(LinkCode.REPLACED)
            self._detach(older)
        self._links[link.peer] = link
        _log.info("link open peer=%s", link.peer)
        if self._draining:
            link.send(messages.drain(heard=False))
        for notice in self._notices.values():
            link.send(LinkMessage(job_notice=notice))
        self._sessions.on_peer_back()
        if len(self._links) == len(self._errors):
            self._complete.set()

    def _detach(self, link: Link) -> None:
        if self._links.get(link.peer) is link:
            del self._links[link.peer]
            self._complete.clear()
            self._draining_peers.discard(link.peer)
            self._heard_drain.discard(link.peer)
            self._hearing.set()
            self._sessions.on_peer_lost(link.peer)

    def _note(self, peer: str, code: LinkCode) -> LinkCode:
        if self._errors[peer] is not code:
            ordinary = code in (LinkCode.CLOSED, LinkCode.STOPPED, LinkCode.REPLACED)
            _log.log(logging.INFO if ordinary else logging.WARNING, "no link peer=%s code=%s", peer, code)
        self._errors[peer] = code
        return code

    def _handle(self, link: Link, raw: bytes) -> None:
        """One message of an attached link; one of a link that was replaced is void. Raises PeerMisbehaved."""
        if self._links.get(link.peer) is not link:
            return
        sessions, peer = self._sessions, link.peer
        if sessions.on_due(peer, raw):
            return
        name, body = messages.decode(raw)
        match name:
            case "frame":
                sessions.on_frame(peer, body, raw)
            case "heartbeat":
                sessions.on_heartbeat(peer, body)
            case "credit":
                sessions.on_credit(peer, body)
            case "leave":
                sessions.on_leave(peer, body)
            case "session_hello":
                sessions.on_session_hello(peer, body)
            case "session_ready":
                sessions.on_session_ready(peer, body)
            case "job_notice":
                self._on_notice(peer, body)
            case "drain":
                self._on_drain(link, body.heard)
            case "abort":
                sessions.on_abort(peer, body)
                self._on_abort(peer, body.job)
            case _:
                raise PeerMisbehaved("a second greeting")

    def _on_drain(self, link: Link, heard: bool) -> None:
        if heard:
            self._heard_drain.add(link.peer)
            self._hearing.set()
        elif link.peer not in self._draining_peers:
            _log.info("peer drains peer=%s", link.peer)
            self._draining_peers.add(link.peer)
            link.send(messages.drain(heard=True))


def _why(error: Exception) -> LinkCode:
    """The reason that a refused call gives."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return LinkCode.UNREACHABLE
    if error.code() is grpc.StatusCode.PERMISSION_DENIED:
        return LinkCode.NOT_AUTHORISED
    details = error.details() or ""
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION and details in set(LinkCode):
        return LinkCode(details)
    return LinkCode.UNREACHABLE
