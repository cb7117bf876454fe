"""What a protocol sees of one session: who I am, who the others are, a Channel, randomness, and the meters.

A session is one attempt at a job. Its members are numbered: 0, 1, 2 are the compute parties, in the charter's order;
hospitals that do not compute follow. `hospitals` are the members that hold data. Protocol code is plain synchronous
Python, the same on every member (SPMD), and talks to the others through `Channel.exchange` alone.

Randomness comes from two places only: pairwise PRF streams (`Session.stream`), which both ends advance in lock-step, and
`Session.entropy`, fresh bytes of the operating system's CSPRNG (a seeded stand-in exists in protocols/simulation.py for tests).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from protocols.errors import SecurityBudgetExceeded
from protocols.prf import PairwiseKeys, PrfStream

COMPUTE = (0, 1, 2)
BUDGET_LOG2 = -40.0


@dataclass(frozen=True)
class Expect:
    """What the plan says the next frame from a peer holds. Anything else is refused before it is allocated."""

    dtype: np.dtype
    shape: tuple[int, ...]


class Channel(Protocol):
    """Authenticated, ordered, session-bound messages between the members of one session."""

    def exchange(self, kind: str, send: Mapping[int, np.ndarray], expect: Mapping[int, Expect]) -> dict[int, np.ndarray]:
        """One round: send an array to each member named in `send`, wait for one from each named in `expect`.

        `kind` names the message in the plan; both ends must call with the same kind at the same step.
        Raises PeerLost (link gone, silent past the deadline, aborted) or PeerMisbehaved (a frame that is not the expected one).
        """
        ...


@dataclass
class Meter:
    """Counts what a session costs and what its masks do not hide.

    A masked opening of z with |z| < 2^b under a mask uniform over 2^m values has statistical distance at most 2^(b-m)
    from one that is independent of z. The sum over all openings of a job must stay within 2^-40.
    """

    rounds: int = 0
    bytes_sent: int = 0
    frames: Counter[str] = field(default_factory=Counter)
    masked_openings: int = 0
    leakage: float = 0.0

    def sent(self, kind: str, nbytes: int, peers: int) -> None:
        self.rounds += 1
        self.bytes_sent += nbytes
        self.frames[kind] += peers

    def opened_masked(self, count: int, bound_bits: float, mask_bits: float) -> None:
        """Charge `count` openings of values below 2^bound_bits, each leaking 2^(bound_bits - mask_bits).

        Raises SecurityBudgetExceeded.
        """
        self.masked_openings += count
        self.leakage += count * 2.0 ** (bound_bits - mask_bits)
        if self.leakage > 2.0**BUDGET_LOG2:
            raise SecurityBudgetExceeded("the masked openings of this job exceed 2^-40; ask for a smaller range or fewer columns")

    @property
    def leakage_log2(self) -> float:
        return math.log2(self.leakage) if self.leakage else -math.inf


@dataclass
class Session:
    """One member's view of one attempt at a job."""

    id: bytes
    me: int
    members: tuple[str, ...]
    hospitals: tuple[int, ...]
    channel: Channel
    keys: PairwiseKeys
    entropy: Callable[[int], bytes]
    meter: Meter = field(default_factory=Meter)

    @property
    def computes(self) -> bool:
        return self.me in COMPUTE

    @property
    def holds_data(self) -> bool:
        return self.me in self.hospitals

    def stream(self, peer: int, purpose: str) -> PrfStream:
        """The PRF stream that `peer` and I share for `purpose`; the same object at each call, so that it never repeats."""
        return self.keys.stream(peer, purpose)

    def exchange(self, kind: str, send: Mapping[int, np.ndarray], expect: Mapping[int, Expect]) -> dict[int, np.ndarray]:
        """`Channel.exchange`, metered: every round and byte of a session passes here."""
        received = self.channel.exchange(kind, send, expect)
        self.meter.sent(kind, sum(a.nbytes for a in send.values()), len(send))
        return received
