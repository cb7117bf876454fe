"""Key switching of RNS-CKKS with hybrid digits (Han and Ki, eprint 2019/688), as typed NumPy calls.

A SwitchPlan holds limbs q_0 … q_{L-1}, special primes p_0 … p_{k-1} with product P, and alpha, the limbs of a digit. At a level
of l limbs a polynomial c (l, N) splits into dnum = ceil(l / alpha) digits, digit j being c modulo D_j, the product of limbs
alpha j … alpha j + alpha - 1, centred. A switching key (digits, 2, L + k, N) holds in row j an encryption of P g_j s' with
g_j = 1 modulo the limbs of digit j and 0 modulo the others; so

    sum of digits[j] key[j] = P c s' + sum of digits[j] e_j     under s, modulo Q P

and dividing by P leaves c s' with an error of at most N / 2 sum of D_j |e_j| / P, plus the rounding (1 + |s|_1) (1/2 + 2^-25).

Polynomials are uint64 arrays (..., rows, N) in the NTT domain of native.rns, canonical; "rows" are the l limbs of the level and
after them, where the text says l + k, the special primes. Results are new arrays and equal, bit for bit, on every instruction
set and for the calls in steps and at once. A plan and its keys belong to the instruction set in use when the plan was made.
Wrong shapes, levels and plans raise KernelInputError; residues are not looked at. Kernels release the GIL and do not branch
on residues.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from native._arrays import Words, checked, checked_int, contiguous, pointer
from native._load import ffi, lib
from native.errors import KernelInputError
from native.rns import Basis, Permutation

__all__ = [
    "SwitchKey",
    "SwitchPlan",
    "accumulate",
    "decompose",
    "divide",
    "multiply",
    "prepare",
    "product",
    "rescale",
    "switch",
]

MAX_SPECIAL = 6  # SWITCH_SOURCES of switching.h, less the limb that a division may drop with them
MAX_DIGITS = 64  # SWITCH_DIGITS
LINE = 64  # bytes: vectors that cross no cache line

# ---- constants ------------------------------------------------------------------------------------------------------------


class _Base:
    """The run of rows first … first + sources - 1 of a basis, with the constants that carry its residues to every row."""

    __slots__ = ("_alive", "first", "handle", "rows", "sources")

    def __init__(self, basis: Basis, first: int, sources: int, special: int) -> None:
        run = basis.primes[first : first + sources]
        product = math.prod(run)
        inside = range(first, first + sources)
        words = [
            [pow(product // d, -1, d) for d in run],
            [product // d % p for p in basis.primes for d in run],
            [product % p for p in basis.primes],
            [0 if row in inside else pow(product, -1, p) for row, p in enumerate(basis.primes)],
            [special % p for p in basis.primes],
        ]
        arrays = [ffi.new("uint64_t[]", row) for row in words]
        constants = ffi.new("switch_constants *", (len(basis), first, sources, basis.handle, *arrays))
        handle = lib.switch_base_new(constants)
        if handle == ffi.NULL:
            raise MemoryError
        self.first, self.sources, self.rows = first, sources, len(basis)
        self.handle = ffi.gc(handle, lib.switch_base_free)
        self._alive = basis  # owns the tables


@dataclass(frozen=True, slots=True)
class _Level:
    """The runs of one level: its digits, and what divisions drop (by how many rows)."""

    limbs: int
    digits: tuple[_Base, ...]
    handles: Any  # switch_base *[] of the digits
    divisions: dict[int, _Base]
    rescale: _Base | None


class SwitchPlan:
    """Constants for every level. Immutable; shared by threads.

    limbs, special: bases of one degree without a common prime, at most 6 special primes. alpha: limbs in a digit, at most as
    many as there are special primes; a digit is below 2^alpha P, which primes of equal lengths give. Raises KernelInputError
    otherwise.
    """

    __slots__ = ("_levels", "alpha", "limbs", "special")

    limbs: Basis
    special: Basis
    alpha: int
    _levels: tuple[_Level, ...]

    def __init__(self, limbs: Basis, special: Basis, alpha: int) -> None:
        if limbs.degree != special.degree:
            raise KernelInputError("limbs and special primes must be of one degree")
        checked_int(len(special), 1, MAX_SPECIAL, "number of special primes")
        checked_int(alpha, 1, len(special), "alpha")
        checked_int(-(-len(limbs) // alpha), 1, MAX_DIGITS, "number of digits")
        product = math.prod(special.primes)
        starts = range(0, len(limbs), alpha)
        if any(math.prod(limbs.primes[at : at + alpha]) >= product << alpha for at in starts):
            raise KernelInputError("the special primes are too short for digits of alpha limbs")
        whole = Basis(limbs.degree, limbs.primes + special.primes)
        levels = tuple(_level(whole, level, len(special), alpha, product) for level in range(1, len(limbs) + 1))
        for name, value in (("limbs", limbs), ("special", special), ("alpha", alpha), ("_levels", levels)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a SwitchPlan does not change")

    @property
    def degree(self) -> int:
        return self.limbs.degree

    def digits(self, level: int) -> int:
        """How many digits a polynomial of this level has."""
        return len(self._at(level).digits)

    def _at(self, level: int) -> _Level:
        return self._levels[checked_int(level, 1, len(self.limbs), "level") - 1]


def _level(whole: Basis, limbs: int, special: int, alpha: int, product: int) -> _Level:
    top = len(whole) - special
    rows = whole.part([*range(limbs), *range(top, top + special)])
    digits = tuple(_Base(rows, at, min(alpha, limbs - at), product) for at in range(0, limbs, alpha))
    handles = ffi.new("switch_base *[]", [base.handle for base in digits])
    divisions = {special: _Base(rows, limbs, special, product)}
    if limbs == 1:
        return _Level(limbs, digits, handles, divisions, None)
    divisions[special + 1] = _Base(rows, limbs - 1, special + 1, product)
    return _Level(limbs, digits, handles, divisions, _Base(whole.part(slice(limbs)), limbs - 1, 1, product))


# ---- arrays ---------------------------------------------------------------------------------------------------------------


def _empty(*shape: int) -> Words:
    """A new array that begins on a cache line."""
    size = math.prod(shape)
    raw = np.empty(size + LINE // 8, np.uint64)
    at = -raw.ctypes.data % LINE // 8
    return raw[at : at + size].reshape(shape)


class _Scratch(threading.local):
    """Memory that kernels work in: one piece a thread, as large as its largest call needed."""

    def __init__(self) -> None:
        self.words = _empty(0)

    def of(self, words: int) -> Any:
        if self.words.size < words:
            self.words = _empty(words)
        return pointer(self.words)


_scratch = _Scratch()


def _rows(x: Any, shape: Sequence[int], name: str) -> Words:
    """x, contiguous, when it is uint64 of exactly this shape."""
    words: Words = checked(x, np.uint64, name)
    if words.shape != tuple(shape):
        raise KernelInputError(f"{name} must have shape {tuple(shape)}, not {words.shape}")
    return contiguous(words)


def _permutation(permutation: Permutation | None, degree: int) -> tuple[Any, Permutation | None]:
    """(uint32_t[], alive)"""
    if permutation is None:
        return ffi.NULL, None
    indices: Permutation = contiguous(checked(permutation, np.uint32, "permutation"))
    if indices.shape != (degree,) or int(indices.max()) >= degree:
        raise KernelInputError(f"a permutation holds {degree} entries, each below {degree}")
    return pointer(indices, "uint32_t[]"), indices


# ---- keys -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SwitchKey:
    """A switching key in the layout of its plan's kernels; made by `prepare`."""

    plan: SwitchPlan
    words: Words  # (rows, N / 8, digits, 2, 8), read-only

    def handle(self, plan: SwitchPlan) -> Any:
        """switch_key *, for the plan that the key was prepared for. The key must outlive it."""
        if self.plan is not plan:
            raise KernelInputError("the switching key was prepared for another plan")
        return ffi.new("switch_key *", (ffi.cast("uint64_t *", self.words.ctypes.data), self.words.shape[2], self.words.shape[0]))


def prepare(key: Words, plan: SwitchPlan) -> SwitchKey:
    """The key, uint64 (digits at the top level, 2, L + k, N), canonical, NTT domain, as the other calls take it."""
    top = plan._levels[-1]
    digits, rows = len(top.digits), top.digits[0].rows
    source = _rows(key, (digits, 2, rows, plan.degree), "switching key")
    words = _empty(rows, plan.degree // 8, digits, 2, 8)
    lib.switch_prepare(pointer(words), pointer(source), digits, top.digits[0].handle)
    words.flags.writeable = False
    return SwitchKey(plan, words)


def _handle(key: SwitchKey, plan: SwitchPlan) -> Any:
    if not isinstance(key, SwitchKey):
        raise KernelInputError(f"a switching key comes from prepare, it is no {type(key).__name__}")
    return key.handle(plan)


# ---- in steps -------------------------------------------------------------------------------------------------------------


def decompose(c: Words, plan: SwitchPlan, level: int) -> Words:
    """The digits (dnum, level + k, N) of c (level, N), each within D_j (1/2 + 2^-25) of 0."""
    at = plan._at(level)
    source = _rows(c, (level, plan.degree), "polynomial")
    out = _empty(len(at.digits), at.digits[0].rows, plan.degree)
    scratch = _scratch.of((level + 1) * plan.degree)
    lib.switch_decompose(pointer(out), pointer(source), at.handles, len(at.digits), scratch)
    return out


def accumulate(digits: Words, key: SwitchKey, plan: SwitchPlan, level: int, permutation: Permutation | None = None) -> Words:
    """sum of digits[j] key[j], (2, level + k, N), from `decompose`'s digits, permuted first (native.rns.permutation)."""
    at, handle = plan._at(level), _handle(key, plan)
    base = at.digits[0]
    source = _rows(digits, (len(at.digits), base.rows, plan.degree), "digits")
    places, _alive = _permutation(permutation, plan.degree)
    out = _empty(2, base.rows, plan.degree)
    lib.switch_accumulate(pointer(out), pointer(source), len(at.digits), handle, places, len(plan.special), base.handle)
    return out


def divide(x: Words, plan: SwitchPlan, level: int, drop: int, add: Words | None = None) -> Words:
    """(x + P add) / D, rounded: x (..., level + k, N) -> (..., level + k - drop, N); add (..., level, N).

    drop = k: D is P. drop = k + 1, at level 2 and above: D is P q_{level-1}, the rescale merged in. Off by at most 1/2 + 2^-25.
    """
    base = _division(plan, level, drop)
    words: Words = checked(x, np.uint64, "polynomial")
    leading = words.shape[:-2]
    source = _rows(words, (*leading, base.rows, plan.degree), "polynomial")
    plus = None if add is None else _rows(add, (*leading, level, plan.degree), "addend")
    return _divided(source, plus, level, base, leading, plan.degree)


def rescale(x: Words, plan: SwitchPlan, level: int) -> Words:
    """x / q_{level-1}, rounded to nearest: (..., level, N) -> (..., level - 1, N), at level 2 and above."""
    base = plan._at(level).rescale
    if base is None:
        raise KernelInputError("level 1 has no limb to rescale by")
    words: Words = checked(x, np.uint64, "polynomial")
    source = _rows(words, (*words.shape[:-2], level, plan.degree), "polynomial")
    return _divided(source, None, 0, base, words.shape[:-2], plan.degree)


def _division(plan: SwitchPlan, level: int, drop: int) -> _Base:
    divisions = plan._at(level).divisions
    if drop not in divisions:
        raise KernelInputError(f"level {level} divides by dropping {' or '.join(map(str, divisions))} rows")
    return divisions[drop]


def _divided(source: Words, plus: Words | None, add_rows: int, base: _Base, leading: tuple[int, ...], degree: int) -> Words:
    out = _empty(*leading, base.first, degree)
    scratch = _scratch.of((base.sources + 4) * degree)
    added = ffi.NULL if plus is None else pointer(plus)
    lib.switch_divide(pointer(out), pointer(source), added, add_rows, base.handle, math.prod(leading), scratch)
    return out


def product(a: Words, b: Words, plan: SwitchPlan, level: int) -> Words:
    """(a0 b0, a0 b1 + a1 b0, a1 b1), (3, level, N), of a and b (2, level, N)."""
    at = plan._at(level)
    sources = [_rows(x, (2, level, plan.degree), "ciphertext") for x in (a, b)]
    out = _empty(3, level, plan.degree)
    lib.switch_product(pointer(out), *map(pointer, sources), level, at.digits[0].handle)
    return out


# ---- at once --------------------------------------------------------------------------------------------------------------


def switch(
    c: Words,
    key: SwitchKey,
    plan: SwitchPlan,
    level: int,
    drop: int,
    add: tuple[Words | None, Words | None] = (None, None),
    permutation: Permutation | None = None,
) -> Words:
    """divide(accumulate(decompose(c), key), drop, add): (2, level + k - drop, N), c and each addend (level, N).

    With a permutation, c and the addends go through it first (native.rns.automorphism), so that a ciphertext (c0, c1) is rotated
    by switch(c1, key, plan, level, k, (c0, None), permutation).
    """
    at, base, handle = plan._at(level), _division(plan, level, drop), _handle(key, plan)
    shape = (level, plan.degree)
    source = _rows(c, shape, "polynomial")
    if not isinstance(add, tuple) or len(add) != 2:
        raise KernelInputError("a key switch takes a pair of addends; None stands for 0")
    added = [None if x is None else _rows(x, shape, "addend") for x in add]
    pointers = ffi.new("uint64_t *[]", [ffi.NULL if x is None else pointer(x) for x in added])
    places, _alive = _permutation(permutation, plan.degree)
    out = _empty(2, base.first, plan.degree)
    scratch = _scratch.of(_switch_words(at, base, plan.degree))
    lib.switch_apply(pointer(out), pointer(source), pointers, handle, places, at.handles, len(at.digits), base.handle, scratch)
    return out


def multiply(a: Words, b: Words, key: SwitchKey, plan: SwitchPlan, level: int, drop: int) -> Words:
    """The product of ciphertexts a and b (2, level, N), its last part switched by key and added: (2, level + k - drop, N).

    switch(d2, key, plan, level, drop, (d0, d1)) for d0, d1, d2 = product(a, b); drop = k + 1 rescales as well.
    """
    at, base, handle = plan._at(level), _division(plan, level, drop), _handle(key, plan)
    sources = [_rows(x, (2, level, plan.degree), "ciphertext") for x in (a, b)]
    out = _empty(2, base.first, plan.degree)
    scratch = _scratch.of(_switch_words(at, base, plan.degree))
    lib.switch_multiply(pointer(out), *map(pointer, sources), handle, at.handles, len(at.digits), base.handle, scratch)
    return out


def _switch_words(at: _Level, base: _Base, degree: int) -> int:
    """Scratch of switch_apply and switch_multiply, in words."""
    return (2 * (at.limbs + len(at.digits) + base.sources) + 5) * degree
