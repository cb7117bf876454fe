"""Checks of arrays before they reach C, and the strided views that the kernels take."""

from __future__ import annotations

import operator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from native._load import ffi
from native.errors import KernelInputError

Words: TypeAlias = npt.NDArray[np.uint64]
Bytes: TypeAlias = npt.NDArray[np.uint8]

WORD = 8  # bytes
LIMBS = (2, 4)


def checked_limbs(limbs: int) -> int:
    if limbs not in LIMBS:
        raise KernelInputError(f"limbs must be 2 (Z_2^128) or 4 (Z_2^256), not {limbs!r}")
    return int(limbs)


def checked_int(value: int, low: int, high: int, name: str) -> int:
    """value as an int with low <= value <= high."""
    try:
        number: int = operator.index(value)
    except TypeError:
        raise KernelInputError(f"{name} must be an integer, not {type(value).__name__}") from None
    if not low <= number <= high:
        raise KernelInputError(f"{name} must lie between {low} and {high}")
    return number


def checked(a: Any, dtype: type[np.generic], name: str) -> np.ndarray:
    """a itself, when it is an array of exactly this dtype."""
    if not isinstance(a, np.ndarray) or a.dtype != np.dtype(dtype):
        found = a.dtype if isinstance(a, np.ndarray) else type(a).__name__
        raise KernelInputError(f"{name} must be a NumPy array of {np.dtype(dtype)}, not {found}")
    return a


def checked_ring(a: Any, name: str = "operand", axes: int = 0) -> Words:
    """a itself, when it is uint64 of shape (..., L) with at least `axes` axes before the limbs."""
    words: Words = checked(a, np.uint64, name)
    if words.ndim < 1 + axes or words.shape[-1] not in LIMBS:
        wanted = "(..., " + "·, " * axes + "2 or 4)"
        raise KernelInputError(f"{name} must have shape {wanted}, not {words.shape}")
    return words


def same_limbs(*operands: Words) -> int:
    limbs: int = operands[0].shape[-1]
    if any(a.shape[-1] != limbs for a in operands):
        raise KernelInputError("operands are of different rings: " + ", ".join(str(a.shape[-1]) for a in operands) + " limbs")
    return limbs


def pointer(a: np.ndarray, ctype: str = "uint64_t[]") -> Any:
    """The address of a's first item. a must outlive the call."""
    if a.flags.c_contiguous:
        return ffi.from_buffer(ctype, a)  # three times faster than asking for the address
    return ffi.cast(ctype.replace("[]", "*"), a.ctypes.data)


def contiguous(a: np.ndarray) -> np.ndarray:
    """a, or a copy of it that C can walk through: contiguous and aligned."""
    return a if a.flags.c_contiguous and a.flags.aligned else np.require(a, requirements=["C", "A"])


def _whole_elements(a: Words) -> Words:
    """a, or a copy in which limbs are neighbours and strides are whole words."""
    if (a.strides[-1] == WORD or a.size == 0) and a.flags.aligned:
        return a
    return contiguous(a)


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(shapes)) == 1:
        return shapes[0]  # a third of what the next line takes
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise KernelInputError("shapes do not broadcast: " + ", ".join(map(str, shapes))) from None


def _broadcast_strides(a: Words, ndim: int) -> tuple[int, ...]:
    """The strides of a's leading axes once a is broadcast to ndim axes."""
    own = (0 if size == 1 else stride for size, stride in zip(a.shape[:-1], a.strides[:-1], strict=True))
    return (0,) * (ndim - a.ndim) + tuple(own)


def _folded(shape: tuple[int, ...], strides: list[tuple[int, ...]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The same walk with as few axes as possible: neighbouring axes become one where every operand steps evenly across both."""
    sizes: list[int] = []
    steps: list[tuple[int, ...]] = []  # one tuple an axis, one entry an operand
    for size, step in zip(shape, zip(*strides, strict=True), strict=True):
        if size == 1:
            continue
        if sizes and all(outer == inner * size for outer, inner in zip(steps[-1], step, strict=True)):
            sizes[-1] *= size
            steps[-1] = step
        else:
            sizes.append(size)
            steps.append(step)
    return tuple(sizes), steps


def views(*operands: Words) -> tuple[Words, Any, int, int, list[Words]]:
    """(out, ring_view[], outer, inner, alive): operands broadcast to out's shape and seen as two-dimensional.

    Operands that need more than two axes after folding are copied. `alive` holds the arrays that the views point into.
    """
    shape = operands[0].shape
    if all(a.shape == shape and a.flags.c_contiguous and a.flags.aligned for a in operands):
        out, step = np.empty(shape, np.uint64), shape[-1]
        cells = ffi.new("ring_view[]", [(pointer(a), 0, step) for a in operands])
        return out, cells, 1, out.size // step, list(operands)
    shape = broadcast_shape(*(a.shape for a in operands))
    out = np.empty(shape, np.uint64)
    if out.size == 0:
        return out, ffi.NULL, 0, 0, []
    alive = [_whole_elements(a) for a in operands]
    sizes, steps = _folded(shape[:-1], [_broadcast_strides(a, len(shape)) for a in alive])
    if len(sizes) > 2:
        alive = [contiguous(np.broadcast_to(a, shape)) for a in alive]
        sizes, steps = _folded(shape[:-1], [a.strides[:-1] for a in alive])
    while len(sizes) < 2:
        sizes, steps = (1, *sizes), [(0,) * len(alive), *steps]
    cells = ffi.new("ring_view[]", [(pointer(a), steps[0][i] // WORD, steps[1][i] // WORD) for i, a in enumerate(alive)])
    return out, cells, sizes[0], sizes[1], alive


def matrix(a: Words, batch: tuple[int, ...] = ()) -> tuple[Any, Words]:
    """(ring_matrix *, alive): a of shape (..., rows, columns, L) seen as a batch of matrices of the given leading shape."""
    whole = _whole_elements(a)
    step = 0
    if any(size != 1 for size in whole.shape[:-3]):
        whole = contiguous(np.broadcast_to(whole, batch + whole.shape[-3:]))
        step = whole.strides[-4] // WORD
    row, column = whole.strides[-3] // WORD, whole.strides[-2] // WORD
    return ffi.new("ring_matrix *", (pointer(whole), step, row, column)), whole
