"""All members of a session in one process: one thread each, an in-memory Channel, and randomness that follows from a seed.

For tests and demonstrations only: with a seed, the masks are no secret. What is simulated is otherwise the real thing: the
same protocol code, the same refusals (a frame of the wrong kind, dtype or shape raises PeerMisbehaved, a silent peer
PeerLost after the deadline, a failing member aborts all others), the same meters. Every member's view, all frames it
received, is recorded for the view tests, and a registry refuses any (key, block) that one member's streams would consume
twice.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import queue
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from protocols.errors import PeerLost, PeerMisbehaved, ProtocolError
from protocols.prf import PairwiseKeys, PrfStream, on_consumed
from protocols.session import Expect, Meter, Session

DEADLINE = 60.0  # seconds of silence after which a peer is given up

Program = Callable[[Session], Any]
Tamper = Callable[["Frame", int], "Frame | None"]  # (frame, receiver) -> what arrives instead; None: it is lost


@dataclass(frozen=True)
class Frame:
    """One message as it travels: `step` counts its sender's exchanges, `sequence` the frames before it on the same link."""

    sender: int
    step: int
    sequence: int
    kind: str
    payload: np.ndarray


class KeyStreamReused(ProtocolError):
    """A member consumed the same blocks of a PRF key twice: a mask would repeat."""


class ReuseRegistry:
    """Every (key, block range) that a member's streams consumed, over all its sessions. Overlap raises KeyStreamReused."""

    def __init__(self) -> None:
        self._ranges: dict[tuple[str, bytes], list[tuple[int, int]]] = defaultdict(list)
        self._lock = threading.Lock()

    def of(self, member: str) -> Callable[[bytes, int, int], None]:
        """The hook for one member's thread. The two ends of a key consume the same blocks, so members count apart."""

        def register(key: bytes, first: int, blocks: int) -> None:
            with self._lock:
                self._add(self._ranges[member, key], first, first + blocks)

        return register

    @property
    def keys(self) -> int:
        return len(self._ranges)

    @staticmethod
    def _add(ranges: list[tuple[int, int]], first: int, end: int) -> None:
        if first == end:
            return
        at = bisect.bisect_left(ranges, (first, end))
        overlaps_left = at > 0 and ranges[at - 1][1] > first
        overlaps_right = at < len(ranges) and ranges[at][0] < end
        if overlaps_left or overlaps_right:
            raise KeyStreamReused("a PRF stream would repeat blocks that were used before")
        if at > 0 and ranges[at - 1][1] == first:
            ranges[at - 1] = (ranges[at - 1][0], end)
        else:
            ranges.insert(at, (first, end))


class Network:
    """The links between the members: one queue for each ordered pair, and one switch that aborts them all."""

    def __init__(self, members: int, deadline: float, tamper: Tamper | None) -> None:
        self.deadline = deadline
        self.tamper = tamper
        pairs = itertools.permutations(range(members), 2)
        self._links: dict[tuple[int, int], queue.SimpleQueue[Frame | None]] = {pair: queue.SimpleQueue() for pair in pairs}

    def deliver(self, frame: Frame, receiver: int) -> None:
        arrives = self.tamper(frame, receiver) if self.tamper else frame
        if arrives is not None:
            self._links[frame.sender, receiver].put(arrives)

    def next_frame(self, sender: int, receiver: int) -> Frame:
        try:
            frame = self._links[sender, receiver].get(timeout=self.deadline)
        except queue.Empty:
            raise PeerLost("a peer fell silent past the round deadline") from None
        if frame is None:
            raise PeerLost("a peer aborted the session")
        return frame

    def require_drained(self) -> None:
        """A frame that nobody waited for is not in the plan."""
        if any(not link.empty() for link in self._links.values()):
            raise PeerMisbehaved("a frame was sent that no plan holds")

    def abort(self) -> None:
        for link in self._links.values():
            link.put(None)


class MemoryChannel:
    """`Channel` over a Network, recording what its member receives."""

    def __init__(self, network: Network, me: int) -> None:
        self._network = network
        self._me = me
        self._steps = 0
        self._sent: Counter[int] = Counter()
        self._received: Counter[int] = Counter()
        self.view: list[Frame] = []

    def exchange(self, kind: str, send: Mapping[int, np.ndarray], expect: Mapping[int, Expect]) -> dict[int, np.ndarray]:
        step, self._steps = self._steps, self._steps + 1
        for receiver, array in send.items():
            self._network.deliver(Frame(self._me, step, self._sent[receiver], kind, array.copy()), receiver)
            self._sent[receiver] += 1
        return {sender: self._receive(sender, kind, expected) for sender, expected in expect.items()}

    def _receive(self, sender: int, kind: str, expected: Expect) -> np.ndarray:
        frame = self._network.next_frame(sender, self._me)
        planned = (self._received[sender], kind, expected.dtype, expected.shape)
        if (frame.sequence, frame.kind, frame.payload.dtype, frame.payload.shape) != planned:
            raise PeerMisbehaved("a frame is not the one that the plan holds at this step")
        self._received[sender] += 1
        self.view.append(frame)
        return frame.payload.copy()


@dataclass
class Outcome:
    """What came of a simulation: one entry for each member."""

    results: list[Any]
    meters: list[Meter]
    views: list[list[Frame]]


@dataclass
class Simulation:
    """A cast whose randomness follows from `seed`; `secret_seeds` overrides it for single pairs, `entropy_seeds` for single
    members."""

    members: int = 3
    hospitals: Sequence[int] = (0, 1, 2)
    seed: str = "seed"
    deadline: float = DEADLINE
    tamper: Tamper | None = None
    registry: ReuseRegistry | None = None
    secret_seeds: Mapping[tuple[int, int], str] = field(default_factory=dict)
    entropy_seeds: Mapping[int, str] = field(default_factory=dict)

    def run(self, program: Program) -> Outcome:
        """Run `program(session)` on every member; raises the error of the member that failed first, once all have stopped."""
        network = Network(self.members, self.deadline, self.tamper)
        channels = [MemoryChannel(network, me) for me in range(self.members)]
        sessions = [self._session(me, channel) for me, channel in enumerate(channels)]
        results: list[Any] = [None] * self.members
        failures: list[BaseException] = []

        def member(session: Session) -> None:
            if self.registry is not None:
                on_consumed.set(self.registry.of(session.members[session.me]))
            try:
                results[session.me] = program(session)
            except BaseException as failure:  # handed to the caller below
                failures.append(failure)
                network.abort()

        threads = [threading.Thread(target=member, args=(session,), daemon=True) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        network.require_drained()
        return Outcome(results, [session.meter for session in sessions], [channel.view for channel in channels])

    def _session(self, me: int, channel: MemoryChannel) -> Session:
        members = tuple(f"member {i}" for i in range(self.members))
        session_id = _digest(self.seed, "session")[:16]
        secrets = {peer: self._secret(me, peer) for peer in range(self.members) if peer != me}
        entropy = PrfStream(_digest(self.entropy_seeds.get(me, self.seed), f"entropy {me}")[:16])
        return Session(
            id=session_id,
            me=me,
            members=members,
            hospitals=tuple(self.hospitals),
            channel=channel,
            keys=PairwiseKeys(session_id, me, secrets),
            entropy=lambda n: entropy.bytes(n).tobytes(),
        )

    def _secret(self, me: int, peer: int) -> bytes:
        pair = (min(me, peer), max(me, peer))
        return _digest(self.secret_seeds.get(pair, self.seed), f"secret {pair}")


def simulate(members: int, hospitals: Sequence[int], program: Program, **options: Any) -> list[Any]:
    """The results of `program(session)` on every member of a session; options as in `Simulation`."""
    return Simulation(members, hospitals, **options).run(program).results


def _digest(seed: str, label: str) -> bytes:
    return hashlib.sha256(f"unseen simulation v1\0{seed}\0{label}".encode()).digest()
