"""How this process's C library deals with memory that a job has freed.

A job of large arrays frees and takes the same megabytes again and again. glibc's defaults hand each back to the kernel, which
clears its pages and gives them out one page fault at a time: a tenth of the time of an encrypted fit, a quarter of that of a
linear regression. Here freed memory up to `KEPT` stays with the process, in one arena for all threads, so that what one thread
has freed serves another. Source: mallopt(3). Where there is no mallopt (musl), nothing happens.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
KEPT = 1 << 30  # bytes at the end of the heap
LARGEST = 32 << 20  # bytes: an array beyond is the kernel's at once; glibc takes no larger limit
AHEAD = 16 << 20  # bytes that the heap grows by


def keep_freed_memory() -> None:
    """To be called before other threads start."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGEST), (M_TRIM_THRESHOLD, KEPT), (M_TOP_PAD, AHEAD)):
            mallopt(option, value)
