"""What one peer sends in one session: frames in strict order, put together into the arrays that the local plan expects.

Promised to the session: an array is returned only when every frame of it had the expected kind, dtype, shape, count, position and
length; nothing is allocated by what a peer claims, only by the local plan. Frames that come before the plan asks for them wait,
at most WINDOW bytes of them (an honest sender keeps within it, see outbox.py). An identical duplicate is dropped; a differing
one, a gap, or an excess raises PeerMisbehaved. Not thread-safe: the session's lock guards it.

Two ways in. `take_due` takes the one message that may come next for the array that the plan waits for, known beforehand up to its
payload; `accept` takes any other frame, parsed.
"""

from __future__ import annotations

from collections import OrderedDict, deque

import numpy as np

from engine.transport.codes import FRAME_OVERHEAD, REMEMBERED_FRAMES, WINDOW
from engine.transport.frames import Layout, Part, fingerprint
from protocols.errors import PeerMisbehaved

Print = int | bytes  # of frames.fingerprint


class Inbox:
    """One peer's frames of one session."""

    def __init__(self, route: bytes) -> None:
        self.taken = 0  # bytes that the plan has used, overhead included; what Credit tells the sender
        self._route = route
        self._early: deque[Part] = deque()
        self._early_bytes = 0
        self._due = (0, 0)  # (step, chunk) that must arrive next
        self._due_head: bytes | None = None  # how the message begins that would bring it; None while no array is awaited
        self._due_length = 0
        self._seen: OrderedDict[tuple[int, int], Print] = OrderedDict()  # of the last frames; see `_repeated`
        self._assembly: Assembly | None = None

    def expect(self, layout: Layout) -> bool:
        """The plan asks for the next array. True when it is complete already. Raises PeerMisbehaved."""
        self._assembly = Assembly(layout)
        while self._early and not self._assembly.complete:
            frame = self._early.popleft()
            self._early_bytes -= cost(frame)
            self._use(frame)
        self._look_out()
        return self._assembly.complete

    def take_due(self, raw: bytes) -> bool | None:
        """Take the message that must come next, and say whether it completes the awaited array. None: it is another one."""
        if self._due_head is None or len(raw) != self._due_length or not raw.startswith(self._due_head):
            return None
        assert self._assembly is not None
        self._remember(self._due, fingerprint(raw))
        chunks = self._assembly.layout.chunks
        self._due = self._following(chunks)
        payload = memoryview(raw)[len(self._due_head) :]
        self._assembly.fill(payload)
        self.taken += len(payload) + FRAME_OVERHEAD
        self._look_out()
        return self._assembly.complete

    def accept(self, frame: Part, known: Print) -> bool:
        """A parsed frame has come. True when it completes the array that the plan waits for. Raises PeerMisbehaved."""
        place = (frame.step, frame.chunk)
        if place != self._due:
            return self._repeated(place, known)
        self._due = self._following(frame.chunks)
        self._remember(place, known)
        if self._assembly is not None and not self._assembly.complete:
            self._use(frame)
            self._look_out()
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

    def _look_out(self) -> None:
        """Know the next frame of the awaited array beforehand."""
        assert self._assembly is not None
        if self._assembly.complete:
            self._due_head = None
            return
        layout, (step, chunk) = self._assembly.layout, self._due
        start, stop = layout.span(chunk)
        self._due_head = layout.head(self._route, step, chunk)
        self._due_length = len(self._due_head) + stop - start

    def _following(self, chunks: int) -> tuple[int, int]:
        step, chunk = self._due
        return (step, chunk + 1) if chunk + 1 < chunks else (step + 1, 0)

    def _use(self, frame: Part) -> None:
        assert self._assembly is not None
        self._assembly.add(frame)
        self.taken += cost(frame)

    def _repeated(self, place: tuple[int, int], known: Print) -> bool:
        """An identical duplicate changes nothing; whatever else is out of order breaks the session.

        Neither is ever used, so a fingerprint need not withstand a forger: it only tells a stutter from a fault.
        """
        if self._seen.get(place) != known:
            raise PeerMisbehaved("a peer sent a frame out of order, or two different ones for one place")
        return False

    def _remember(self, place: tuple[int, int], known: Print) -> None:
        self._seen[place] = known
        if len(self._seen) > REMEMBERED_FRAMES:
            self._seen.popitem(last=False)


class Assembly:
    """One array on its way in: allocated at its expected size when the first fitting frame is there."""

    def __init__(self, layout: Layout) -> None:
        self.array = np.empty(0, np.uint8)
        self.layout = layout
        self._next = 0

    @property
    def complete(self) -> bool:
        return self._next == self.layout.chunks

    def add(self, frame: Part) -> None:
        """Raises PeerMisbehaved unless the frame is the next one of exactly this array."""
        plan = self.layout
        start, stop = plan.span(self._next)
        header = frame.kind, frame.dtype, tuple(frame.shape), frame.chunks, frame.chunk
        if header != (plan.kind, plan.dtype, plan.shape, plan.chunks, self._next) or len(frame.payload) != stop - start:
            raise PeerMisbehaved(f"a peer sent a frame that the plan does not hold in place of {plan.kind}")
        self.fill(frame.payload)

    def fill(self, payload: bytes | memoryview) -> None:
        """The next payload, known to fit."""
        start, stop = self.layout.span(self._next)
        if self._next == 0:
            self.array = np.empty(self.layout.shape, self.layout.dtype)
        self.array.reshape(-1).view(np.uint8)[start:stop] = np.frombuffer(payload, np.uint8)
        self._next += 1


def cost(frame: Part) -> int:
    """What a frame counts for in the window."""
    return len(frame.payload) + FRAME_OVERHEAD
