"""One running session: the Channel that protocol code sees, over the links to the other members.

Theory of operation. `exchange` runs in a worker thread; links run on the event loop. The worker states under the lock what it
expects and hands what it sends to the loop in one call; the loop puts arriving frames into inboxes under the same lock and ends
the round when nothing is outstanding. The worker copies nothing and waits once.

Promised to protocols: an array comes from the named member, of this session, in order, of the expected kind and shape, or the
exchange raises. Promised to the daemon: whatever fails here (link lost, silence, a misbehaving peer, misuse) ends the session for
every member within two round deadlines, and an ended session never exchanges again.

Silence. An awaited peer must show a sign of life every round deadline: a frame, a credit, a heartbeat. Members heartbeat four
times a deadline while they compute at home (`heartbeating`), and while they wait for others as long as somebody works.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from engine.transport import messages
from engine.transport.codes import WINDOW, AbortCode
from engine.transport.frames import Layout, Part, layout
from engine.transport.inbox import Inbox
from engine.transport.link import Link
from engine.transport.outbox import Outbox, Parcel
from engine.wire.v1.party_link_pb2 import Credit, Heartbeat, Leave, LinkMessage
from protocols.errors import MisuseError, PeerLost, PeerMisbehaved, ProtocolError
from protocols.prf import PairwiseKeys
from protocols.session import Expect, Session


@dataclass(frozen=True)
class Agreement:
    """What the members agreed on when the session opened."""

    job: bytes
    attempt: int
    session: bytes
    me: int
    members: tuple[str, ...]
    hospitals: tuple[int, ...]
    secrets: Mapping[int, bytes] = field(repr=False)


class Peer:
    """Another member: its link, and both directions of the session with it."""

    def __init__(self, link: Link, agreement: Agreement, index: int) -> None:
        self.link = link
        self.name = agreement.members[index]
        self.outbox = Outbox(messages.route(agreement.session, agreement.me, index))
        self.route = messages.route(agreement.session, index, agreement.me)
        self.inbox = Inbox(self.route)
        self.last_sign = time.monotonic()
        self.credited = 0
        self.left = False  # it ended the session in order


class Round:
    """One exchange that waits."""

    def __init__(self, awaited: set[int], owed: set[int]) -> None:
        self.begun = time.monotonic()
        self.awaited = awaited  # members whose array is not complete
        self.owed = owed  # members whose array is not handed over
        self.over = False
        self._gate = threading.Lock()  # held until the round is over: one wait, at a fraction of an Event's cost
        self._gate.acquire()

    def __contains__(self, index: int) -> bool:
        return index in self.awaited or index in self.owed

    def settle(self) -> None:
        """Under the session's lock."""
        if not self.awaited and not self.owed:
            self.end()

    def end(self) -> None:
        """Under the session's lock. The second time changes nothing."""
        if not self.over:
            self.over = True
            self._gate.release()

    def wait(self) -> None:
        """For the worker, once."""
        self._gate.acquire()


class SessionLink:
    """A session's two faces: `session()` for the worker thread, the `on_*` methods for the event loop."""

    def __init__(
        self, agreement: Agreement, links: Mapping[int, Link], deadline: float, on_over: Callable[[SessionLink], None]
    ) -> None:
        self.agreement = agreement
        self.peers = {index: Peer(link, agreement, index) for index, link in links.items()}
        self._deadline = deadline
        self._on_over = on_over
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._round: Round | None = None
        self._ended: ProtocolError | None = None
        self._working = 0
        self._taken = False
        self._last_work = time.monotonic()  # when anybody last sent a frame or said that it works
        self._timer = self._loop.call_later(deadline / 4, self._tick)

    # -- for the worker thread ------------------------------------------------------------------------------------------------

    def session(self) -> Session:
        """What a protocol sees of this session. Raises MisuseError the second time: its masks would repeat."""
        if self._taken:
            raise MisuseError("a session's randomness is taken once; open a new session")
        self._taken = True
        a = self.agreement
        keys = PairwiseKeys(a.session, a.me, a.secrets)
        return Session(a.session, a.me, a.members, a.hospitals, channel=self, keys=keys, entropy=os.urandom)

    def exchange(self, kind: str, send: Mapping[int, np.ndarray], expect: Mapping[int, Expect]) -> dict[int, np.ndarray]:
        """One round (see protocols.session.Channel). Raises PeerLost, PeerMisbehaved, MisuseError; each ends the session."""
        try:
            if not (send.keys() | expect.keys()) <= self.peers.keys():
                raise MisuseError("an exchange names a member that is not another member of this session")
            outgoing = {index: layout(kind, array.dtype, array.shape) for index, array in send.items()}
            incoming = {index: layout(kind, np.dtype(what.dtype), tuple(what.shape)) for index, what in expect.items()}
            waiting = self._begin(outgoing, incoming)
            parcels = {index: self.peers[index].outbox.parcel(outgoing[index], array) for index, array in send.items()}
            self._loop.call_soon_threadsafe(self._hand_over, parcels, incoming)
            waiting.wait()
            return self._collect(expect)
        except ProtocolError as error:
            self._abort(error, _code(error))
            raise
        except BaseException:  # a fault of this process: the others must not wait for it
            self.abort()
            raise

    @contextmanager
    def heartbeating(self) -> Iterator[None]:
        """While inside, tell the others that this member works on its own rows and is alive."""
        with self._lock:
            self._working += 1
        try:
            yield
        finally:
            with self._lock:
                self._working -= 1

    def abort(self, code: AbortCode | str = AbortCode.LOCAL_FAILURE) -> None:
        """End the session for every member. From any thread; wakes every waiter; the second time changes nothing."""
        code = AbortCode(code)
        self._abort(PeerLost(f"this member aborted the session: {code}"), code)

    def close(self) -> None:
        """End the session here, in order, after its last exchange. From any thread."""
        self._end(MisuseError("this session is closed"), LinkMessage(leave=Leave(session=self.agreement.session)))

    @property
    def ended(self) -> bool:
        return self._ended is not None

    def _begin(self, send: Collection[int], expect: Mapping[int, Layout]) -> Round:
        with self._lock:
            self._raise_if_ended()
            if self._round is not None:
                raise MisuseError("a session exchanges one round at a time")
            awaited = {peer for peer, what in expect.items() if not self.peers[peer].inbox.expect(what)}
            self._round = Round(awaited, set(send))
            self._raise_if_held_up_by_a_leaver()
            self._round.settle()
            return self._round

    def _collect(self, expect: Collection[int]) -> dict[int, np.ndarray]:
        with self._lock:
            self._raise_if_ended()
            self._round = None
            return {peer: self.peers[peer].inbox.take() for peer in expect}

    def _raise_if_ended(self) -> None:
        if self._ended is not None:
            raise type(self._ended)(*self._ended.args)

    def _raise_if_held_up_by_a_leaver(self) -> None:
        """Under the lock: who ended the session in order sends and takes nothing more."""
        names = [peer.name for index, peer in self.peers.items() if peer.left and self._round and index in self._round]
        if names:
            raise PeerLost(f"{', '.join(names)} ended the session while more was expected")

    def _abort(self, error: ProtocolError, code: AbortCode) -> None:
        self._end(error, messages.abort(self.agreement.job, self.agreement.attempt, code))

    def _end(self, error: ProtocolError, last_words: LinkMessage | None) -> None:
        """Only the first call counts: wake the worker, tell the others, forget the session."""
        with self._lock:
            if self._ended is not None:
                return
            self._ended = error
            if self._round is not None:
                self._round.end()
        self._loop.call_soon_threadsafe(self._finish, last_words)

    # -- for the event loop ---------------------------------------------------------------------------------------------------

    def on_due(self, index: int, raw: bytes) -> bool:
        """Whether this message is the one that the round waits for; it has been taken."""
        peer = self.peers[index]
        with self._lock:
            complete = peer.inbox.take_due(raw) if self._ended is None else None
            if complete is None:
                return False
            if complete and self._round is not None:
                self._round.awaited.discard(index)
                self._round.settle()
        peer.last_sign = self._last_work = time.monotonic()
        self._grant(peer)
        return True

    def on_frame(self, index: int, frame: Part, fingerprint: int | bytes) -> None:
        """Any other frame of the member's route has come."""
        peer = self.peers[index]
        peer.last_sign = self._last_work = time.monotonic()
        try:
            with self._lock:
                if self._ended is not None:
                    return
                if peer.inbox.accept(frame, fingerprint) and self._round is not None:
                    self._round.awaited.discard(index)
                    self._round.settle()
        except PeerMisbehaved as error:
            self._abort(error, AbortCode.MISBEHAVED)
        else:
            self._grant(peer)

    def on_credit(self, index: int, credit: Credit) -> None:
        """The member took what was sent: its window opens."""
        peer = self.peers[index]
        peer.last_sign = time.monotonic()
        try:
            peer.outbox.credit(credit.taken)
        except PeerMisbehaved as error:
            self._abort(error, AbortCode.MISBEHAVED)
        else:
            peer.link.offer(peer.outbox)

    def on_heartbeat(self, index: int, heartbeat: Heartbeat) -> None:
        """The member is alive."""
        self.peers[index].last_sign = time.monotonic()
        if heartbeat.working:
            self._last_work = time.monotonic()

    def on_leave(self, index: int) -> None:
        """The member ended the session in order."""
        self.peers[index].left = True
        try:
            with self._lock:
                self._raise_if_held_up_by_a_leaver()
        except PeerLost as error:
            self._abort(error, AbortCode.PEER_LOST)

    def on_abort(self, error: PeerLost) -> None:
        """A member ended the session and told everybody; `error` says who and why."""
        self._end(error, None)

    def on_peer_lost(self, index: int) -> None:
        """The link to the member closed; that matters unless it had left before."""
        if not self.peers[index].left:
            self._abort(PeerLost(f"the link to {self.peers[index].name} closed in the middle of a session"), AbortCode.PEER_LOST)

    def on_misbehaviour(self, error: PeerMisbehaved) -> None:
        """The member broke the rules elsewhere (a second, differing hello)."""
        self._abort(error, AbortCode.MISBEHAVED)

    def _hand_over(self, parcels: Mapping[int, Parcel], expect: Collection[int]) -> None:
        if self._ended is not None:
            return
        for index, parcel in parcels.items():
            peer = self.peers[index]
            peer.outbox.moved = time.monotonic()
            peer.outbox.put(parcel, partial(self._handed_over, index))
            peer.link.offer(peer.outbox)
        for index in expect:
            self._grant(self.peers[index])

    def _handed_over(self, index: int) -> None:
        with self._lock:
            if self._round is not None:
                self._round.owed.discard(index)
                self._round.settle()

    def _grant(self, peer: Peer) -> None:
        """Tell a sender what was taken, four times a window; a full window can never wait for an untold quarter."""
        if peer.inbox.taken - peer.credited >= WINDOW // 4:
            peer.credited = peer.inbox.taken
            peer.link.send(LinkMessage(credit=Credit(session=self.agreement.session, taken=peer.credited)))

    def _tick(self) -> None:
        """Four times a deadline: who is silent, and do I say that I am alive?"""
        now = time.monotonic()
        with self._lock:
            current = self._round
            silent = self._silent(current, now) if current is not None and not current.over else []
            working = self._working > 0
        if silent:
            names = ", ".join(self.peers[index].name for index in silent)
            self._abort(PeerLost(f"no sign of life of {names} within the round deadline"), AbortCode.SILENT)
            return
        if working or (current is not None and now - max(current.begun, self._last_work) < self._deadline):
            for peer in self.peers.values():
                if not peer.link.congested:
                    peer.link.send(messages.heartbeat(self.agreement.session, working))
        self._timer = self._loop.call_later(self._deadline / 4, self._tick)

    def _silent(self, current: Round, now: float) -> list[int]:
        """Members that hold the round up and gave no sign since the deadline."""
        last = {index: max(current.begun, self.peers[index].last_sign) for index in current.awaited}
        for index in current.owed:
            peer = self.peers[index]
            last[index] = max(current.begun, peer.last_sign, peer.outbox.moved)
        return [index for index, moment in last.items() if now - moment > self._deadline]

    def _finish(self, last_words: LinkMessage | None) -> None:
        self._timer.cancel()
        for peer in self.peers.values():
            peer.outbox.clear()
            if last_words is not None:
                peer.link.send(last_words)
        self._on_over(self)


def _code(error: ProtocolError) -> AbortCode:
    """What the others are told about an exchange that failed here."""
    if isinstance(error, PeerMisbehaved):
        return AbortCode.MISBEHAVED
    return AbortCode.PEER_LOST if isinstance(error, PeerLost) else AbortCode.LOCAL_FAILURE
