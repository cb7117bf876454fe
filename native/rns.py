"""Polynomials of Z_q[X] / (X^N + 1) in residue number form, as typed NumPy calls.

A polynomial is a uint64 array (..., limbs, N): row i of the last two axes holds residues modulo the i-th prime of a Basis,
canonical, that is in [0, p). Leading axes broadcast. A wrong dtype, shape or size raises KernelInputError, whose text never
holds a value of an array; that residues are below their primes is the caller's business (`check` for data from outside).
Kernels release the GIL and do not branch on the values. Results are the same, bit for bit, on every instruction set.

`forward` takes coefficients to the values at the odd powers of a primitive 2N-th root of unity psi: out[k] is the value at
psi^exponents(N)[k]. Products of such rows are products of polynomials; X -> X^g moves their entries (`automorphism`).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from native._arrays import Words, broadcast_shape, checked, checked_int, contiguous, pointer
from native._load import ffi, isa, lib
from native.errors import KernelInputError

__all__ = [
    "Basis",
    "add",
    "automorphism",
    "check",
    "exponents",
    "forward",
    "from_signed",
    "from_small",
    "inverse",
    "is_prime",
    "mul",
    "mul_add",
    "neg",
    "permutation",
    "scale",
    "sub",
]

Permutation: TypeAlias = npt.NDArray[np.uint32]

MIN_LOG, MAX_LOG = 3, 17  # degrees 8 to 131072
MIN_PRIME, MAX_PRIME = 1 << 20, 1 << 50
BLOCK = 8  # values stand in bit-reversed order, but every 64 neighbours as the transpose of an 8 x 8 matrix

# ---- tables ---------------------------------------------------------------------------------------------------------------

_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23)  # leave no doubt below 3 825 123 056 546 413 051 > 2^61 (Jiang and Deng 2014)


def is_prime(p: int) -> bool:
    """Whether p, 0 <= p < 2^61, is prime (Miller and Rabin, with witnesses that leave no doubt)."""
    if p < 2 or any(p % q == 0 for q in _WITNESSES):
        return p in _WITNESSES
    twos = ((p - 1) & -(p - 1)).bit_length() - 1
    return all(_passes(p, q, twos) for q in _WITNESSES)


def _passes(p: int, witness: int, twos: int) -> bool:
    x = pow(witness, (p - 1) >> twos, p)
    if x in (1, p - 1):
        return True
    return any((x := x * x % p) == p - 1 for _ in range(twos - 1))


def _log_degree(degree: int) -> int:
    checked_int(degree, 1 << MIN_LOG, 1 << MAX_LOG, "degree")
    if degree & (degree - 1):
        raise KernelInputError("degree must be a power of two")
    return degree.bit_length() - 1


@functools.lru_cache(maxsize=1024)
def _root(degree: int, p: int) -> int:
    """psi = g^((p - 1) / 2N) for the smallest g that gives order 2N. Checks p."""
    checked_int(p, MIN_PRIME + 1, MAX_PRIME - 1, "prime")
    if p % (2 * degree) != 1 or not is_prime(p):
        raise KernelInputError("primes must be primes that are 1 modulo twice the degree")
    candidates = (pow(g, (p - 1) // (2 * degree), p) for g in range(2, p))
    return next(psi for psi in candidates if pow(psi, degree, p) == p - 1)


@functools.lru_cache(maxsize=64)  # half a megabyte each for degree 16384
def _table(degree: int, p: int, form: str) -> Any:
    """The table of one prime; `form` is the instruction set in use, and part of the cache's key."""
    table = lib.rns_table_new(_log_degree(degree), p, _root(degree, p))
    if table == ffi.NULL:
        raise MemoryError
    return ffi.gc(table, lib.rns_table_free)


class Basis:
    """Primes and a degree N, with their tables for the instruction set in use when it was made. Immutable; tables are shared.

    degree: a power of two from 8 to 131072. primes: distinct primes between 2^20 and 2^50, 1 modulo 2N; at least one.
    Raises KernelInputError otherwise.
    """

    __slots__ = ("_tables", "degree", "handle", "primes", "values")

    degree: int
    primes: tuple[int, ...]
    values: Words  # the primes as an array
    _tables: tuple[Any, ...]
    handle: Any  # rns_table *[]

    def __init__(self, degree: int, primes: Iterable[int]) -> None:
        numbers = tuple(checked_int(p, 0, MAX_PRIME, "prime") for p in primes)
        _log_degree(degree)
        if not numbers or len(set(numbers)) != len(numbers):
            raise KernelInputError("a basis takes at least one prime, and each only once")
        self._fill(degree, numbers, tuple(_table(degree, p, isa()) for p in numbers))

    def _fill(self, degree: int, primes: tuple[int, ...], tables: tuple[Any, ...]) -> None:
        values = np.array(primes, np.uint64)
        values.flags.writeable = False
        for name, value in (("degree", degree), ("primes", primes), ("values", values), ("_tables", tables)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "handle", ffi.new("rns_table *[]", list(tables)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Basis does not change")

    def __len__(self) -> int:
        return len(self.primes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Basis):
            return NotImplemented
        return (self.degree, self.primes) == (other.degree, other.primes)

    def __hash__(self) -> int:
        return hash((self.degree, self.primes))

    def __repr__(self) -> str:
        return f"Basis({self.degree}, {self.primes})"

    def part(self, which: slice | Sequence[int]) -> Basis:
        """The basis of some of the primes, in the order given, with the same tables. KernelInputError when none is left."""
        chosen = range(len(self))[which] if isinstance(which, slice) else [self._index(i) for i in which]
        if len(chosen) == 0 or len(set(chosen)) != len(chosen):
            raise KernelInputError("a basis takes at least one prime, and each only once")
        basis = object.__new__(Basis)
        basis._fill(self.degree, tuple(self.primes[i] for i in chosen), tuple(self._tables[i] for i in chosen))
        return basis

    def _index(self, i: int) -> int:
        return checked_int(i, -len(self), len(self) - 1, "index of a prime") % len(self)


# ---- arrays ---------------------------------------------------------------------------------------------------------------


def checked_polynomial(x: Any, basis: Basis, name: str = "polynomial") -> Words:
    """x itself, when it is uint64 of shape (..., limbs, N) of this basis."""
    words: Words = checked(x, np.uint64, name)
    if words.ndim < 2 or words.shape[-2:] != (len(basis), basis.degree):
        raise KernelInputError(f"{name} must have shape (..., {len(basis)}, {basis.degree}), not {words.shape}")
    return words


def _in_place(x: Words, basis: Basis, name: str = "polynomial") -> Words:
    words = checked_polynomial(x, basis, name)
    if not (words.flags.c_contiguous and words.flags.aligned and words.flags.writeable):
        raise KernelInputError(f"{name} is worked on in place: it must be contiguous, aligned and writable")
    return words


def _output(out: Words | None, shape: tuple[int, ...], basis: Basis, operands: Iterable[np.ndarray]) -> Words:
    """A new array, or `out` when it fits and overlaps no operand except as a whole."""
    if out is None:
        return np.empty(shape, np.uint64)
    words = _in_place(out, basis, "out")
    if words.shape != shape:
        raise KernelInputError(f"out must have shape {shape}, not {words.shape}")
    for a in operands:
        if a is not words and np.may_share_memory(a, words):
            whole = a.shape == words.shape and a.ctypes.data == words.ctypes.data and a.flags.c_contiguous
            if not whole:
                raise KernelInputError("out overlaps an operand in part")
    return words


def _offsets(a: np.ndarray, leading: tuple[int, ...], axes: int = 2) -> Iterable[int]:
    """For each index of `leading`, where that polynomial of a (contiguous, to be broadcast) begins, in items."""
    if not leading:
        return (0,)
    own, step = a.shape[: a.ndim - axes], math.prod(a.shape[a.ndim - axes :])
    if own == leading:
        return range(0, a.size, step)
    return map(int, np.broadcast_to(np.arange(0, a.size, step).reshape(own), leading).flat)


def _elementwise(kernel: Any, out: Words | None, basis: Basis, *operands: Words, leading: tuple[int, ...] = ()) -> Words:
    """kernel on every polynomial; the result has at least the given leading axes."""
    sources = [contiguous(checked_polynomial(a, basis)) for a in operands]
    shapes = {leading, *(a.shape[:-2] for a in sources)}
    shapes.discard(())
    if shapes:
        (leading,) = shapes if len(shapes) == 1 else (broadcast_shape(*shapes),)
    result = _output(out, (*leading, len(basis), basis.degree), basis, sources)
    handle, limbs, cells = basis.handle, len(basis), [pointer(a) for a in (result, *sources)]
    for places in zip(*(_offsets(a, leading) for a in (result, *sources)), strict=True):
        kernel(*map(operator.add, cells, places), handle, limbs)
    return result


# ---- transforms -----------------------------------------------------------------------------------------------------------


def _transform(kernel: Any, x: Words, basis: Basis) -> Words:
    words = _in_place(x, basis)
    at = pointer(words)
    for place in _offsets(words, words.shape[:-2]):
        kernel(at + place, basis.handle, len(basis))
    return x


def forward(x: Words, basis: Basis) -> Words:
    """Coefficients, any values below 2^50, to values at the odd powers of psi, in place; returns x."""
    return _transform(lib.rns_forward, x, basis)


def inverse(x: Words, basis: Basis) -> Words:
    """Values at the odd powers of psi, anything below 2p, to coefficients, in place; returns x."""
    return _transform(lib.rns_inverse, x, basis)


@functools.lru_cache(maxsize=16)
def exponents(degree: int) -> npt.NDArray[np.uint32]:
    """(N,): the odd powers of psi at which `forward` evaluates, in its order. Read-only."""
    index = np.arange(degree, dtype=np.uint32)
    reverse: npt.NDArray[np.uint32] = np.zeros(degree, np.uint32)
    for bit in range(_log_degree(degree)):
        reverse = reverse << np.uint32(1) | index >> np.uint32(bit) & np.uint32(1)
    if degree >= BLOCK**2:
        reverse = reverse.reshape(-1, BLOCK, BLOCK).swapaxes(1, 2).reshape(degree)
    out: npt.NDArray[np.uint32] = np.add(2 * reverse, 1, dtype=np.uint32)
    out.flags.writeable = False
    return out


@functools.lru_cache(maxsize=256)
def permutation(degree: int, galois_element: int) -> Permutation:
    """(N,) for `automorphism`: X -> X^galois_element on values. galois_element is odd, 0 < galois_element < 2N. Read-only."""
    odd = exponents(degree)
    if not checked_int(galois_element, 1, 2 * degree - 1, "galois element") & 1:
        raise KernelInputError("a galois element is odd")
    index = np.empty(2 * degree, np.uint32)
    index[odd] = np.arange(degree, dtype=np.uint32)
    out: Permutation = index[odd.astype(np.uint64) * np.uint64(galois_element) % np.uint64(2 * degree)]
    out.flags.writeable = False
    return out


def automorphism(x: Words, permutation: Permutation, out: Words | None = None) -> Words:
    """out[..., i, k] = x[..., i, permutation[k]]: x (..., limbs, N), permutation uint32 (N,); out is not x."""
    source = contiguous(checked(x, np.uint64, "polynomial"))
    indices: Permutation = contiguous(checked(permutation, np.uint32, "permutation"))
    if source.ndim < 1 or indices.ndim != 1 or source.shape[-1] != indices.size or indices.size == 0:
        raise KernelInputError(f"a permutation of shape (N,) does not fit {source.shape}")
    if int(indices.max()) >= indices.size:
        raise KernelInputError("a permutation has an entry that is not below N")
    result = np.empty_like(source) if out is None else checked(out, np.uint64, "out")
    if result.shape != source.shape or not (result.flags.c_contiguous and result.flags.aligned and result.flags.writeable):
        raise KernelInputError("out must be contiguous and writable, and of the polynomial's shape")
    if np.may_share_memory(result, source):
        raise KernelInputError("out overlaps the polynomial")
    lib.rns_automorphism(
        pointer(result), pointer(source), pointer(indices, "uint32_t[]"), source.size // indices.size, indices.size
    )
    return result


# ---- elementwise ----------------------------------------------------------------------------------------------------------


def add(a: Words, b: Words, basis: Basis, out: Words | None = None) -> Words:
    """a + b."""
    return _elementwise(lib.rns_add, out, basis, a, b)


def sub(a: Words, b: Words, basis: Basis, out: Words | None = None) -> Words:
    """a - b."""
    return _elementwise(lib.rns_sub, out, basis, a, b)


def neg(a: Words, basis: Basis, out: Words | None = None) -> Words:
    """-a."""
    return _elementwise(lib.rns_neg, out, basis, a)


def mul(a: Words, b: Words, basis: Basis, out: Words | None = None) -> Words:
    """a b, residue by residue: the product of polynomials that were transformed."""
    return _elementwise(lib.rns_mul, out, basis, a, b)


def mul_add(acc: Words, a: Words, b: Words, basis: Basis) -> Words:
    """acc += a b, in place; returns acc."""
    shape = _in_place(acc, basis, "accumulator").shape
    if broadcast_shape(shape, *(x.shape for x in (a, b) if isinstance(x, np.ndarray))) != shape:
        raise KernelInputError("the product does not broadcast to the accumulator's shape")
    return _elementwise(lib.rns_mul_add, acc, basis, a, b, leading=shape[:-2])


def scale(a: Words, factors: Sequence[int], basis: Basis, out: Words | None = None) -> Words:
    """factors[i] a on limb i; factors: one public integer for each limb, of any size."""
    if len(factors) != len(basis):
        raise KernelInputError(f"{len(basis)} limbs take as many factors, not {len(factors)}")
    reduced = ffi.new("uint64_t[]", [int(f) % p for f, p in zip(factors, basis.primes, strict=True)])

    def kernel(to: Any, source: Any, handle: Any, limbs: int) -> None:
        lib.rns_scale(to, source, reduced, handle, limbs)

    return _elementwise(kernel, out, basis, a)


def _residues(kernel: Any, ctype: str, values: np.ndarray, basis: Basis, out: Words | None) -> Words:
    source = contiguous(values)
    if source.ndim < 1 or source.shape[-1] != basis.degree:
        raise KernelInputError(f"coefficients must have shape (..., {basis.degree}), not {source.shape}")
    leading = source.shape[:-1]
    result = _output(out, (*leading, len(basis), basis.degree), basis, [source])
    to, at = pointer(result), pointer(source, ctype)
    for place, start in zip(_offsets(result, leading), _offsets(source, leading, 1), strict=True):
        kernel(to + place, at + start, basis.handle, len(basis))
    return result


def from_signed(values: npt.NDArray[np.int64], basis: Basis, out: Words | None = None) -> Words:
    """Residues (..., limbs, N) of int64 coefficients (..., N), each between -2^62 and 2^62, exclusively: not looked at here."""
    return _residues(lib.rns_from_signed, "int64_t[]", checked(values, np.int64, "coefficients"), basis, out)


def from_small(values: npt.NDArray[np.int8], basis: Basis, out: Words | None = None) -> Words:
    """Residues (..., limbs, N) of int8 coefficients (..., N)."""
    return _residues(lib.rns_from_small, "int8_t[]", checked(values, np.int8, "coefficients"), basis, out)


# ---- data from outside ----------------------------------------------------------------------------------------------------


def check(x: Words, basis: Basis) -> Words:
    """x, when every residue is below its prime; else KernelInputError. Takes data that are public to this process."""
    source = contiguous(checked_polynomial(x, basis))
    at = pointer(source)
    for place in _offsets(source, source.shape[:-2]):
        if not lib.rns_check(at + place, basis.handle, len(basis)):
            raise KernelInputError("a residue is not below its prime")
    return x
