"""All sessions of one daemon: opens them with the other members, and brings each message to the session it names.

Promised to the daemon: `open` returns on every member or raises on every member (a member that comes too late is told), a pair
(job, attempt) opens at most once in this process, and no frame is taken before all members agreed on the session id. Promised
to this process: a peer can announce at most HELD_HELLOS sessions that are not open here; frames of unknown or closed sessions
are dropped and counted. Used by the event loop alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping

from engine.charter import Charter
from engine.identity import Identity
from engine.transport import frames, messages
from engine.transport.codes import HELD_HELLOS, AbortCode
from engine.transport.frames import Part
from engine.transport.link import Link
from engine.transport.opening import Key, Opening
from engine.transport.session_link import Agreement, SessionLink
from engine.wire.v1.party_link_pb2 import Abort, Credit, Heartbeat, Leave, LinkMessage, SessionHello, SessionReady
from protocols.errors import MisuseError, PeerLost, PeerMisbehaved, ProtocolError


class Sessions:
    """The sessions that are opening or running here. `links` is the mesh's own table, read when needed."""

    def __init__(self, identity: Identity, charter: Charter, links: Mapping[str, Link]) -> None:
        self.dropped: Counter[str] = Counter()  # messages of unknown or closed sessions, by member
        self._identity = identity
        self._charter = charter
        self._links = links
        self._parties = charter.parties
        self._held: dict[str, OrderedDict[Key, SessionHello | None]] = {name: OrderedDict() for name in self._parties}
        self._opened: dict[bytes, int] = {}  # the highest attempt of each job
        self._openings: dict[Key, Opening] = {}  # kept while the session runs, to know a differing hello
        self._running: dict[Key, SessionLink] = {}
        self._by_id: dict[bytes, SessionLink] = {}
        self._by_route: dict[bytes, tuple[SessionLink, int]] = {}

    async def open(self, job: bytes, attempt: int, timeout: float) -> SessionLink:
        """Agree with all other members. Raises PeerLost, PeerMisbehaved; MisuseError for an attempt not above the last."""
        if len(job) != 32 or not self._opened.get(job, -1) < attempt < 2**32:
            raise MisuseError("each attempt at a job opens one session; take the next attempt number")
        self._opened[job] = attempt
        key = (job, attempt)
        opening = self._openings[key] = Opening(self._identity, self._charter, key)
        try:
            async with asyncio.timeout(timeout):
                return await self._agree(opening)
        except TimeoutError:
            self._give_up(key, PeerLost("the members did not all open the session in time"), AbortCode.NOT_OPENED)
            raise PeerLost("the members did not all open the session in time") from None
        except PeerMisbehaved as error:
            self._give_up(key, error, AbortCode.MISBEHAVED)
            raise
        except BaseException:
            self._give_up(key, PeerLost("the session was not opened"), AbortCode.NOT_OPENED)
            raise

    def close_all(self, code: AbortCode) -> None:
        """End every session and opening, everywhere."""
        for session in list(self._running.values()):
            session.abort(code)
        for opening in self._openings.values():
            opening.fail(PeerLost(f"this member aborted the session: {code}"))

    def abort_job(self, job: bytes, code: AbortCode) -> None:
        """End every attempt at a job, everywhere, whether or not it has a session."""
        self._tell(messages.abort(job, None, code))
        self._abort_here(job, None, PeerLost(f"this member aborted the job: {code}"))

    async def _agree(self, opening: Opening) -> SessionLink:
        others = {index: name for index, name in enumerate(self._parties) if name != opening.me}
        while not self._links.keys() >= set(others.values()):  # whoever called for the session may have had its links before
            await opening.change()
        self._tell(opening.hello)
        self._use_held(opening)
        await opening.everybody_greeted()
        session = self._start(opening, {index: self._links[name] for index, name in others.items()})
        self._tell(opening.ready)
        await opening.everybody_ready()
        if session.ended:
            raise PeerLost("the session was aborted while it opened")
        return session

    def _start(self, opening: Opening, links: Mapping[int, Link]) -> SessionLink:
        """From here on frames find their session: the others may start before I hold everybody's ready."""
        job, attempt = opening.key
        hospitals = tuple(i for i, name in enumerate(self._parties) if name in self._charter.hospitals)
        me = self._parties.index(opening.me)
        agreement = Agreement(job, attempt, opening.session_id, me, self._parties, hospitals, opening.secrets())
        session = SessionLink(agreement, links, self._charter.round_deadline, self._forget)
        self._running[opening.key] = self._by_id[agreement.session] = session
        for index, peer in session.peers.items():
            self._by_route[peer.route] = session, index
        return session

    def _use_held(self, opening: Opening) -> None:
        for name, held in self._held.items():
            if opening.key in held:
                hello = held.pop(opening.key)
                if hello is None:
                    raise PeerMisbehaved(f"{name} sent two different keys for one session")
                opening.add_hello(name, hello)

    def _give_up(self, key: Key, error: ProtocolError, code: AbortCode) -> None:
        if key in self._running:
            self._running[key].abort(code)
            return
        if key in self._openings:  # else a session ran already, and its end was told
            self._openings.pop(key).fail(error)
            self._tell(messages.abort(*key, code))

    def _forget(self, session: SessionLink) -> None:
        """A session is over: nothing finds it any more."""
        key = (session.agreement.job, session.agreement.attempt)
        self._running.pop(key, None)
        self._by_id.pop(session.agreement.session, None)
        for peer in session.peers.values():
            self._by_route.pop(peer.route, None)
        opening = self._openings.pop(key, None)
        if opening is not None:
            opening.fail(PeerLost("the session was aborted while it opened"))

    def _tell(self, message: LinkMessage) -> None:
        for link in self._links.values():
            link.send(message)

    # -- what peers send ------------------------------------------------------------------------------------------------------

    def on_session_hello(self, peer: str, hello: SessionHello) -> None:
        """Use it, hold it until the session is opened here, or drop it when that attempt is over."""
        key = (hello.job, hello.attempt)
        if key in self._openings:
            self._try(key, lambda opening: opening.add_hello(peer, hello))
        elif hello.attempt > self._opened.get(hello.job, -1):
            self._hold(peer, key, hello)
        else:  # that attempt is over here: let the peer not wait for it
            self.dropped[peer] += 1
            self._links[peer].send(messages.abort(*key, AbortCode.NOT_OPENED))

    def on_session_ready(self, peer: str, ready: SessionReady) -> None:
        key = (ready.job, ready.attempt)
        if key in self._openings:
            self._try(key, lambda opening: opening.add_ready(peer, ready.session))
        else:
            self.dropped[peer] += 1

    def on_due(self, peer: str, raw: bytes) -> bool:
        """Whether `raw` was the very message that a running session waits for; it has been taken."""
        session, index = self._by_route.get(frames.route_of(raw), (None, -1))
        return session is not None and self._parties[index] == peer and session.on_due(index, raw)

    def on_frame(self, peer: str, frame: Part, raw: bytes) -> None:
        """A frame of any other kind: early, repeated, of an unknown session, or one that the plan does not hold."""
        session, index = self._by_route.get(frame.route, (None, -1))
        if session is None or self._parties[index] != peer:
            self.dropped[peer] += 1
        else:
            session.on_frame(index, frame, frames.fingerprint(raw))

    def on_heartbeat(self, peer: str, heartbeat: Heartbeat) -> None:
        if heartbeat.session in self._by_id:
            self._by_id[heartbeat.session].on_heartbeat(self._parties.index(peer), heartbeat)

    def on_credit(self, peer: str, credit: Credit) -> None:
        if credit.session in self._by_id:
            self._by_id[credit.session].on_credit(self._parties.index(peer), credit)

    def on_leave(self, peer: str, leave: Leave) -> None:
        if leave.session in self._by_id:
            self._by_id[leave.session].on_leave(self._parties.index(peer))

    def on_abort(self, peer: str, abort: Abort) -> None:
        attempt = abort.attempt if abort.HasField("attempt") else None
        for key in [key for key in self._held[peer] if _covers(abort.job, attempt, key)]:
            del self._held[peer][key]
        self._abort_here(abort.job, attempt, PeerLost(f"{peer} aborted the session: {AbortCode(abort.code)}"))

    def on_peer_back(self) -> None:
        """There is a link more: an opening may wait for it."""
        for opening in self._openings.values():
            opening.look_again()

    def on_peer_lost(self, peer: str) -> None:
        """The link to `peer` closed: its sessions end, and what it announced is void."""
        self._held[peer].clear()
        for session in list(self._running.values()):
            session.on_peer_lost(self._parties.index(peer))
        for opening in self._openings.values():
            opening.fail(PeerLost(f"the link to {peer} closed while a session opened"))

    def _abort_here(self, job: bytes, attempt: int | None, error: PeerLost) -> None:
        for key in [key for key in self._openings if _covers(job, attempt, key)]:
            if key in self._running:
                self._running[key].on_abort(error)
            self._openings[key].fail(error)

    def _try(self, key: Key, act: Callable[[Opening], None]) -> None:
        """What breaks the rules of an opening ends it, and the session that may run already."""
        opening = self._openings[key]
        try:
            act(opening)
        except PeerMisbehaved as error:
            opening.fail(error)
            if key in self._running:
                self._running[key].on_misbehaviour(error)

    def _hold(self, peer: str, key: Key, hello: SessionHello) -> None:
        held = self._held[peer]
        if key in held:
            if held[key] != hello:
                held[key] = None  # poisoned: this attempt can only fail
        else:
            held[key] = hello
            if len(held) > HELD_HELLOS:
                held.popitem(last=False)


def _covers(job: bytes, attempt: int | None, key: Key) -> bool:
    return key[0] == job and attempt in (None, key[1])
