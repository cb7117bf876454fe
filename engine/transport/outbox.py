"""What one session sends to one peer: arrays cut into frames, no more than a window of them under way.

Promised to the peer: never more than WINDOW bytes sent that it has not taken (its `Credit` messages say how much it took).
Promised to this process: a frame is made only when the link can write it, so a slow peer costs no memory; the array itself
stays with the worker, whose exchange ends when the last frame was handed to gRPC. `parcel` is for the session's worker, all else
for the event loop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from engine.transport.codes import FRAME_OVERHEAD, WINDOW
from engine.transport.frames import Layout
from protocols.errors import PeerMisbehaved


class Outbox:
    """One direction of one session."""

    def __init__(self, route: bytes) -> None:
        self.queued = False  # the link has it in its round
        self.moved = time.monotonic()  # when the last frame was handed over
        self._route = route
        self._parcels: deque[Parcel] = deque()
        self._step = 0
        self._sent = 0
        self._taken = 0

    def parcel(self, layout: Layout, array: np.ndarray) -> Parcel:
        """The next array, ready to be cut. It must not change before its last frame is made."""
        parcel = Parcel(self._route, self._step, layout, array)
        self._step += 1
        return parcel

    def put(self, parcel: Parcel, on_handed_over: Callable[[], None]) -> None:
        """Queue an array; `on_handed_over` is called when its last frame was given to the link."""
        parcel.on_handed_over = on_handed_over
        self._parcels.append(parcel)

    @property
    def sendable(self) -> bool:
        """Something is queued, and the peer's window has room for its next frame."""
        return bool(self._parcels) and self._sent + self._parcels[0].next_cost - self._taken <= WINDOW

    def next_message(self) -> bytes:
        """The next frame, ready for the wire. Only when `sendable`."""
        parcel = self._parcels[0]
        self._sent += parcel.next_cost
        self.moved = time.monotonic()
        message = parcel.next_message()
        if parcel.finished:
            self._parcels.popleft().on_handed_over()
        return message

    def credit(self, taken: int) -> None:
        """The peer took `taken` bytes in all. Raises PeerMisbehaved for a number that cannot be."""
        if not self._taken <= taken <= self._sent:
            raise PeerMisbehaved("a peer acknowledged what was not sent")
        self._taken = taken

    def clear(self) -> None:
        """The session is over: what is queued will not be sent."""
        self._parcels.clear()


class Parcel:
    """One array being cut into frames."""

    on_handed_over: Callable[[], None]

    def __init__(self, route: bytes, step: int, layout: Layout, array: np.ndarray) -> None:
        self._route, self._step, self._layout = route, step, layout
        self._bytes = np.ascontiguousarray(array, layout.dtype).reshape(-1).view(np.uint8).data
        self._turn_to(0)

    @property
    def finished(self) -> bool:
        return self._next == self._layout.chunks

    def next_message(self) -> bytes:
        """The payload's only copy."""
        head = self._layout.head(self._route, self._step, self._next)
        message = b"".join((head, self._bytes[self._start : self._stop]))
        self._turn_to(self._next + 1)
        return message

    def _turn_to(self, chunk: int) -> None:
        self._next = chunk
        self._start, self._stop = self._layout.span(chunk)
        self.next_cost = self._stop - self._start + FRAME_OVERHEAD
