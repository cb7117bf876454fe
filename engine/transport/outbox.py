"""What one session sends to one peer: arrays cut into frames, no more than a window of them under way.

Promised to the peer: never more than WINDOW bytes sent that it has not taken (its `Credit` messages say how much it took).
Promised to this process: a frame is made only when the link can write it, so a slow peer costs no memory; the array itself
stays with the worker, whose exchange ends when the last frame was handed to gRPC. Used by the event loop alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import numpy as np

from engine.transport.codes import CHUNK, FRAME_OVERHEAD, WINDOW
from engine.transport.messages import chunk_count, wire_dtype
from engine.wire.v1.party_link_pb2 import Frame, LinkMessage
from protocols.errors import PeerMisbehaved


class Outbox:
    """One direction of one session."""

    def __init__(self, route: bytes) -> None:
        self.queued = False  # the link has it in its round
        self.moved = time.monotonic()  # when the last frame was handed over
        self._route = route
        self._parcels: deque[_Parcel] = deque()
        self._step = 0
        self._sent = 0
        self._taken = 0

    def put(self, kind: str, array: np.ndarray, on_handed_over: Callable[[], None]) -> None:
        """Queue an array; `on_handed_over` is called when its last frame was given to the link."""
        self._parcels.append(_Parcel(self._route, self._step, kind, array, on_handed_over))
        self._step += 1

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


class _Parcel:
    """One array being cut into frames."""

    def __init__(self, route: bytes, step: int, kind: str, array: np.ndarray, on_handed_over: Callable[[], None]) -> None:
        self.on_handed_over = on_handed_over
        self._bytes = np.ascontiguousarray(array, wire_dtype(array.dtype)).reshape(-1).view(np.uint8)
        self._chunks = chunk_count(array.nbytes)
        self._header = Frame(
            route=route, step=step, kind=kind, dtype=wire_dtype(array.dtype), shape=array.shape, chunks=self._chunks
        )
        self._next = 0

    @property
    def finished(self) -> bool:
        return self._next == self._chunks

    @property
    def next_cost(self) -> int:
        return min(CHUNK, self._bytes.size - self._next * CHUNK) + FRAME_OVERHEAD

    def next_message(self) -> bytes:
        start = self._next * CHUNK
        self._header.chunk = self._next
        self._header.payload = self._bytes[start : start + CHUNK].tobytes()
        self._next += 1
        return LinkMessage(frame=self._header).SerializeToString()
