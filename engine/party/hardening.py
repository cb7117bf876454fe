"""What a process that holds rows and keys gives up: core dumps, and being read by other processes of its user."""

from __future__ import annotations

import ctypes
import os
import resource

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4


def no_core_dumps() -> None:
    """For files. Where the kernel pipes dumps to a program, this limit does not hold: `unreadable` does."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def unreadable() -> None:
    """No debugger attaches to this process, nobody reads its memory through /proc, and it is never dumped. Raises OSError."""
    if _prctl(PR_SET_DUMPABLE, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def is_hardened() -> bool:
    """Whether both hold for this process."""
    return resource.getrlimit(resource.RLIMIT_CORE)[0] == 0 and _prctl(PR_GET_DUMPABLE, 0) == 0


def _prctl(option: int, argument: int) -> int:
    """prctl(2), in the C library that Python itself runs on."""
    return int(ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0))
