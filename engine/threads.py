"""Threads of a daemon, begun so that nobody waits for ever for one that cannot.

`threading.Thread.start` waits until the new thread says that it runs. Where memory is full a thread may die before it can say
anything, in the interpreter's own first steps, and whoever started it, be it the event loop, would wait for good.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

START_SECONDS = 5.0


class _Begun(threading.Event):
    """What `start` waits for, not for ever."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(START_SECONDS if timeout is None else timeout)


def begin(thread: threading.Thread) -> None:
    """Start it. Raises MemoryError when it does not begin, RuntimeError when the system has no thread to give."""
    begun: Any = _Begun()
    thread._started = begun  # type: ignore[attr-defined]
    thread.start()
    if not begun.is_set():
        raise MemoryError("a thread could not begin")


def pool(size: int) -> ThreadPoolExecutor:
    """Threads that have all begun, so that none has to when memory is short."""
    executor, everybody = ThreadPoolExecutor(size), threading.Barrier(size)
    list(executor.map(lambda _: everybody.wait(START_SECONDS), range(size)))
    return executor
