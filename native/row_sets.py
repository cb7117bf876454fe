"""Names of rows, and sets of them (engine/data/row_sets.py)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from native._arrays import Words, checked, checked_int, contiguous, pointer
from native._load import ffi, lib
from native.aes import checked_key
from native.errors import KernelInputError


def row_names(columns: Iterable[npt.NDArray[np.float64]], start: int) -> Words:
    """A name of each row, made of its values one column after another: float64 (n,) each -> uint64 (n,).

    All names begin as `start`, 0 <= start < 2^64. Any NaN is the same value, and -0.0 is 0.0.
    """
    sources = [contiguous(checked(a, np.float64, "column")) for a in columns]
    if not sources or any(a.ndim != 1 or a.shape != sources[0].shape for a in sources):
        raise KernelInputError("columns must be one or more arrays of one shape (n,)")
    names = np.full(sources[0].shape, checked_int(start, 0, (1 << 64) - 1, "start"), np.uint64)
    for source in sources:
        lib.row_names_fold(pointer(names), pointer(source, "double[]"), source.size)
    return names


def row_set_add(cells: Words, key: bytes, low: Words, high: Words | None = None) -> None:
    """Add AES(key, low + 2^64 high), and a 1, to the cells that its first four bytes name: one in each of four tables.

    cells: uint64 (4, 256, 4), a count and a sum of 192 bits each, changed in place. low, high: uint64 (n,); high None: zeros.
    """
    flags = checked(cells, np.uint64, "cells").flags
    if cells.shape != (4, 256, 4) or not (flags.c_contiguous and flags.writeable):
        raise KernelInputError("cells must be a writable, contiguous array of shape (4, 256, 4)")
    parts = [contiguous(checked(a, np.uint64, "words")) for a in (low, *(() if high is None else (high,)))]
    if any(a.ndim != 1 or a.shape != parts[0].shape for a in parts):
        raise KernelInputError("low and high must have one shape (n,)")
    second = pointer(parts[1]) if len(parts) == 2 else ffi.NULL
    lib.row_set_add(pointer(cells), pointer(parts[0]), second, parts[0].size, checked_key(key))
