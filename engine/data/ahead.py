"""A stream made in a thread of its own, a little ahead of whoever takes from it.

DuckDB reads and decodes without Python's lock, and so do the kernels: what comes next is made while the last is worked on.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

from engine import threads

T = TypeVar("T")
MOST = 2  # made and not taken yet


@dataclass(frozen=True)
class _End:
    """What the thread says last."""

    error: BaseException | None


class _Maker(threading.Thread, Generic[T]):
    """Makes items while there is room for them, until told to stop. The stream is used and closed in this thread only."""

    def __init__(self, items: Generator[T]) -> None:
        super().__init__(name="read ahead", daemon=True)
        self._made: SimpleQueue[T | _End] = SimpleQueue()
        self._items, self._room, self._stopped = items, threading.Semaphore(MOST), False

    def run(self) -> None:
        try:
            self._make()
            self._items.close()
            self._made.put(_End(None))
        except BaseException as error:  # it belongs to whoever takes the items
            self._made.put(_End(error))

    def _make(self) -> None:
        while True:
            self._room.acquire()
            if self._stopped:
                return
            try:
                item = next(self._items)
            except StopIteration:
                return
            self._made.put(item)
            del item  # or it would be held until the next one is made

    def take(self) -> T | _End:
        found = self._made.get()
        self._room.release()
        return found

    def stop(self) -> None:
        """Returns when the thread has ended: after the item that it is making, if any."""
        self._stopped = True
        self._room.release()
        self.join()


def ahead(items: Generator[T]) -> Generator[T]:
    """The same items, and the same error if one ends them. At most two are held besides the one in use."""
    maker = _Maker(items)
    threads.begin(maker)
    try:
        while not isinstance(item := maker.take(), _End):
            yield item
            del item
    finally:
        maker.stop()
    if item.error is not None:
        raise item.error
