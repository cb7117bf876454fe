"""What a process that holds rows and keys gives up: core dumps, being read by other processes of its user, and living on without
what died in it when its memory was full."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import threading
from typing import Any, NoReturn

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
OUT_OF_MEMORY = 71  # the exit code
_LAST_WORDS = b"unseen: out of memory; the daemon ends, and what ran is aborted. Give it more, or memory = in [data] less\n"


def no_core_dumps() -> None:
    """For files. Where the kernel pipes dumps to a program, this limit does not hold: `unreadable` does."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def unreadable() -> None:
    """No debugger attaches to this process, nobody reads its memory through /proc, and it is never dumped. Raises OSError."""
    if _prctl(PR_SET_DUMPABLE, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def end_without_memory() -> None:
    """End this process where a library's thread dies for want of memory, or a MemoryError reaches nobody.

    It would leave its library deaf, and the daemon half alive. A process that is gone is noticed by its peers at once, started
    again by its supervisor, and knows from its journal what to do. A session that runs out of memory is not meant: it ends, and
    the daemon goes on (engine/threads.py has the case of a thread that cannot begin).
    """
    unraisable, of_thread = sys.unraisablehook, threading.excepthook

    def on_unraisable(found: Any) -> None:
        if issubclass(found.exc_type, MemoryError):
            _end()
        unraisable(found)

    def on_thread(found: Any) -> None:
        if issubclass(found.exc_type, MemoryError):
            _end()
        of_thread(found)

    sys.unraisablehook, threading.excepthook = on_unraisable, on_thread


def _end() -> NoReturn:
    os.write(2, _LAST_WORDS)
    os._exit(OUT_OF_MEMORY)


def is_hardened() -> bool:
    """Whether both hold for this process."""
    return resource.getrlimit(resource.RLIMIT_CORE)[0] == 0 and _prctl(PR_GET_DUMPABLE, 0) == 0


def _prctl(option: int, argument: int) -> int:
    """prctl(2), in the C library that Python itself runs on."""
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0))
