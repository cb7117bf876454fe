"""What one peer sends in one session: frames in strict order, put together into the arrays that the local plan expects.

Promised to the session: an array is returned only when every frame of it had the expected kind, dtype, shape, count, position and
length; nothing is allocated by what a peer claims, only by the local plan. Frames that come before the plan asks for them wait,
at most WINDOW bytes of them (an honest sender keeps within it, see outbox.py). An identical duplicate is dropped; a differing
one, a gap, or an excess raises PeerMisbehaved. Not thread-safe: the session's lock guards it.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import numpy as np

from engine.transport.codes import CHUNK, FRAME_OVERHEAD, REMEMBERED_FRAMES, WINDOW
from engine.transport.messages import chunk_count, size, wire_dtype
from engine.wire.v1.party_link_pb2 import Frame
from protocols.errors import PeerMisbehaved
from protocols.session import Expect


class Inbox:
    """One peer's frames of one session."""

    def __init__(self) -> None:
        self.taken = 0  # bytes that the plan has used, overhead included; what Credit tells the sender
        self._early: deque[Frame] = deque()
        self._early_bytes = 0
        self._due = (0, 0)  # (step, chunk) that must arrive next
        self._seen: OrderedDict[tuple[int, int], int] = OrderedDict()  # fingerprints of the last frames; see `_repeated`
        self._assembly: Assembly | None = None

    def expect(self, kind: str, what: Expect) -> bool:
        """The plan asks for the next array. True when it is complete already. Raises PeerMisbehaved."""
        self._assembly = Assembly(kind, what)
        while self._early and not self._assembly.complete:
            frame = self._early.popleft()
            self._early_bytes -= cost(frame)
            self._use(frame)
        return self._assembly.complete

    def accept(self, frame: Frame, fingerprint: int) -> bool:
        """A frame has come. True when it completes the array that the plan waits for. Raises PeerMisbehaved."""
        place = (frame.step, frame.chunk)
        if place != self._due:
            return self._repeated(place, fingerprint)
        self._due = (frame.step, frame.chunk + 1) if frame.chunk + 1 < frame.chunks else (frame.step + 1, 0)
        self._remember(place, fingerprint)
        if self._assembly is not None and not self._assembly.complete:
            self._use(frame)
            return self._assembly.complete
        if self._early_bytes + cost(frame) > WINDOW:
            raise PeerMisbehaved("a peer sent more than its window ahead of the plan")
        self._early.append(frame)
        self._early_bytes += cost(frame)
        return False

    def take(self) -> np.ndarray:
        """The complete array; the next `expect` asks for the one after it."""
        assert self._assembly is not None
        assert self._assembly.complete
        array = self._assembly.array
        self._assembly = None
        return array

    def _use(self, frame: Frame) -> None:
        assert self._assembly is not None
        self._assembly.add(frame)
        self.taken += cost(frame)

    def _repeated(self, place: tuple[int, int], fingerprint: int) -> bool:
        """An identical duplicate changes nothing; whatever else is out of order breaks the session.

        Neither is ever used, so a fingerprint need not withstand a forger: it only tells a stutter from a fault.
        """
        if self._seen.get(place) != fingerprint:
            raise PeerMisbehaved("a peer sent a frame out of order, or two different ones for one place")
        return False

    def _remember(self, place: tuple[int, int], fingerprint: int) -> None:
        self._seen[place] = fingerprint
        if len(self._seen) > REMEMBERED_FRAMES:
            self._seen.popitem(last=False)


class Assembly:
    """One array on its way in: allocated at its expected size when the first fitting frame is there."""

    def __init__(self, kind: str, what: Expect) -> None:
        self.array = np.empty(0, np.uint8)
        self._kind = kind
        self._dtype, self._shape = wire_dtype(what.dtype), tuple(what.shape)
        self._size = size(what)
        self._chunks = chunk_count(self._size)
        self._next = 0

    @property
    def complete(self) -> bool:
        return self._next == self._chunks

    def add(self, frame: Frame) -> None:
        """Raises PeerMisbehaved unless the frame is the next one of exactly this array."""
        start = self._next * CHUNK
        stop = min(start + CHUNK, self._size)
        header = frame.kind, frame.dtype, tuple(frame.shape), frame.chunks, frame.chunk
        if header != (self._kind, self._dtype, self._shape, self._chunks, self._next) or len(frame.payload) != stop - start:
            raise PeerMisbehaved(f"a peer sent a frame that the plan does not hold in place of {self._kind}")
        if self._next == 0:
            self.array = np.empty(self._shape, self._dtype)
        self.array.reshape(-1).view(np.uint8)[start:stop] = np.frombuffer(frame.payload, np.uint8)
        self._next += 1


def cost(frame: Frame) -> int:
    """What a frame counts for in the window."""
    return len(frame.payload) + FRAME_OVERHEAD
