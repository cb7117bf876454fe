"""The verbs that all engines share: shapes, scales, the range plan, and everything that is local.

An engine's value is a tuple of arrays (one in the clear, two of three components when replicated), and every linear map acts on
each of them alone. What needs messages is left to the few abstract methods below, which a new engine implements; the
bounds are computed here, once, so that a dry run (outline.py) gives the very plan that the replicated engine enforces.
Rule of every bound: |result| <= bound follows from the operands' bounds. A truncation errs by less than 2 units in either of its
forms (replicated/cost.py), so it adds 2. What rests on rows that nothing has checked on shares is not proven, and no mask relies
on it: to whatever picks the form of a truncation or a lift its bound is all that the ring can open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from protocols import fixed_point, ring
from protocols.elements import Elements, indexed
from protocols.engine import LARGE, LARGE_FRAC, SMALL, Declared, Public, Secret, Value
from protocols.errors import MisuseError, RangeError

Parts = Any  # a NamedTuple of uint64 arrays of shape (*shape, limbs): `Clear` or `Shares`


class PlannedEngine(ABC):
    """Shapes, scales and bounds of every verb; subclasses move the numbers."""

    name: str
    _elements = Elements()

    # -- what an engine implements: `bound` is what a mask has to hide, the value before any bits are dropped ----------------
    @abstractmethod
    def _public(self, elements: np.ndarray) -> Parts:
        """Public ring elements as this engine's parts. Local."""

    @abstractmethod
    def _mul(self, x: Parts, y: Parts, drop: int, bound: int) -> Parts: ...

    @abstractmethod
    def _matmul(self, x: Parts, y: Parts, drop: int, bound: int) -> Parts: ...

    @abstractmethod
    def _mul_add(self, x: Parts, y: Parts, z: Parts, drop: int, bound: int) -> Parts: ...

    @abstractmethod
    def _row_products(self, x: Parts, y: Parts, also: Parts | None, symmetric: bool, bound: int) -> Parts:
        """x^T y, and the columns x^T also behind it, in Z_2^256; `symmetric` is about the first."""

    @abstractmethod
    def _drop(self, x: Parts, bits: int, bound: int) -> Parts: ...

    @abstractmethod
    def _negative(self, x: Parts, bits: int, blur: int) -> Parts:
        """1 where the low `bits` bits, read as a signed number, are negative; any bit where they are in [0, 2^blur)."""

    @abstractmethod
    def _none_negative(self, x: Parts, y: Parts) -> Parts:
        """1 where neither x nor y, read over the whole ring, is negative."""

    @abstractmethod
    def _lift(self, x: Parts, bound: int) -> Parts: ...

    @abstractmethod
    def contribute(self, values: Mapping[str, Value]) -> None: ...

    @abstractmethod
    def totals(self, declared: Sequence[Declared]) -> dict[str, Secret]: ...

    @abstractmethod
    def rows(self, declared: Mapping[int, Sequence[Declared]]) -> dict[int, dict[str, Secret]]: ...

    @abstractmethod
    def public_random_bytes(self, n: int) -> bytes: ...

    @abstractmethod
    def release_share(self, x: Secret) -> np.ndarray: ...

    # -- values in ---------------------------------------------------------------------------------------------------
    def constant(self, value: Public, *, limbs: int = LARGE, frac: int = LARGE_FRAC) -> Secret:
        elements, bound = fixed_point.encode(value, frac, limbs)
        return self._secret(self._public(elements), frac, bound)

    # -- local arithmetic --------------------------------------------------------------------------------------------
    def add(self, x: Secret, y: Secret | Public) -> Secret:
        y = self._operand(x, y)
        return self._secret(self._added(x.data, y.data), x.frac, x.bound + y.bound, proven=x.proven and y.proven)

    def neg(self, x: Secret) -> Secret:
        return self._map(x, self._elements.neg, x.bound)

    def index(self, x: Secret, index: Any) -> Secret:
        index = index if isinstance(index, tuple) else (index,)
        indexed(x.shape, index)  # IndexError here, before an index can reach the limbs
        if any(i is Ellipsis for i in index):
            index = (*index, slice(None))
        return self._map(x, lambda a: self._elements.index(a, index), x.bound)

    def reshape(self, x: Secret, shape: tuple[int, ...]) -> Secret:
        target = np.broadcast_to(np.False_, x.shape).reshape(shape).shape
        return self._map(x, lambda a: a.reshape(*target, x.limbs), x.bound)

    def transpose(self, x: Secret) -> Secret:
        if len(x.shape) < 2:
            raise MisuseError("a transpose needs two axes; reshape first")
        return self._map(x, lambda a: self._elements.contiguous(np.swapaxes(a, -2, -3)), x.bound)

    def stack(self, xs: Sequence[Secret], axis: int = 0) -> Secret:
        return self._join(xs, lambda arrays: self._elements.stack(arrays, range(arrays[0].ndim)[axis]))

    def concat(self, xs: Sequence[Secret], axis: int = 0) -> Secret:
        return self._join(xs, lambda arrays: self._elements.concatenate(arrays, range(arrays[0].ndim - 1)[axis]))

    def combine(self, xs: Sequence[Secret], table: Sequence[Sequence[int]], start: Sequence[int]) -> Secret:
        for x in xs:
            self._require_mine(x)
        if not xs or len({(x.limbs, x.frac, x.shape) for x in xs}) != 1:
            raise MisuseError("values combined must share shape, ring and scale")
        if len(table) != len(start) or any(len(row) != len(xs) for row in table):
            raise MisuseError("a combination has a row and a start for each result, and a number for each value")
        peaks = [
            abs(first) + sum(abs(c) * x.bound for c, x in zip(row, xs, strict=True))
            for row, first in zip(table, start, strict=True)
        ]
        limbs = xs[0].limbs
        ring.require_fit(max(peaks, default=0), limbs)
        factors = self._elements.from_ints(np.array(table, dtype=object).reshape(len(table), len(xs)), limbs)
        firsts = self._public(self._elements.from_ints(np.array(start, dtype=object), limbs))
        parts = zip(*(x.data for x in xs), strict=True)
        data = type(firsts)(*(self._elements.combine(terms, factors, first) for terms, first in zip(parts, firsts, strict=True)))
        return self._secret(data, xs[0].frac, max(peaks, default=0), proven=_all_proven(xs))

    def sum(self, x: Secret, axis: int | None = None) -> Secret:
        if axis is None:
            return self.sum(self.reshape(x, (ring.count(x.shape),)), 0)
        axis = range(len(x.shape))[axis]
        terms = x.shape[axis]
        return self._map(x, lambda a: self._sum_axis(np.moveaxis(a, axis, 0)), x.bound * terms)

    def shift_left(self, x: Secret, bits: int) -> Secret:
        return self._map(x, lambda a: self._elements.shift_left(a, bits), x.bound << bits)

    def rescale_up(self, x: Secret, frac: int) -> Secret:
        if frac < x.frac:
            raise MisuseError("rescale_up cannot lose bits; use truncate")
        return replace(self.shift_left(x, frac - x.frac), frac=frac) if frac > x.frac else x

    # -- products ----------------------------------------------------------------------------------------------------
    def mul(self, x: Secret, y: Secret | Public, *, frac: int | None = None) -> Secret:
        return self._multiply(x, y, frac, terms=1, together=self._mul, locally=self._elements.mul)

    def matmul(self, x: Secret, y: Secret | np.ndarray, *, frac: int | None = None) -> Secret:
        shape = y.shape if isinstance(y, Secret) else np.shape(y)
        if len(x.shape) < 2 or len(shape) < 2 or x.shape[-1] != shape[-2]:
            raise MisuseError(f"matmul needs (..., m, k) @ (..., k, n), got {x.shape} @ {shape}")
        return self._multiply(x, y, frac, terms=x.shape[-1], together=self._matmul, locally=self._elements.matmul)

    def mul_add(self, x: Secret, y: Secret, z: Secret, *, frac: int) -> Secret:
        for each in (x, y, z):
            self._require_mine(each)
        if not x.limbs == y.limbs == z.limbs or z.frac != x.frac + y.frac or not 0 <= frac < z.frac:
            raise MisuseError("mul_add needs one ring, an addend at the scale of the product, and bits to drop")
        bound = x.bound * y.bound + z.bound
        after, proven = self._bound_after(bound, z.frac - frac, x.limbs), _all_proven((x, y, z))
        data = self._mul_add(x.data, y.data, z.data, z.frac - frac, _to_mask(bound, proven, x.limbs))
        return self._secret(data, frac, after, proven=proven)

    def row_products(self, x: Secret, y: Secret, *, symmetric: bool = False, also: Secret | None = None) -> Secret:
        factors = [y] if also is None else [y, also]
        for each in (x, *factors):
            self._require_mine(each)
        if any(each.limbs != SMALL for each in (x, *factors)):
            raise MisuseError("row_products takes rows in Z_2^128")
        if any(len(each.shape) != 2 or each.shape[0] != x.shape[0] for each in (x, *factors)) or (
            symmetric and x.shape != y.shape
        ):
            raise MisuseError(f"row_products needs (n, d) and (n, m), got {x.shape} and {[each.shape for each in factors]}")
        if any(each.frac != y.frac for each in factors):
            raise MisuseError("row_products needs one scale on its right side")
        bound = x.shape[0] * x.bound * max(each.bound for each in factors)
        ring.require_maskable(bound, SMALL)
        proven = _all_proven((x, *factors))
        right = None if also is None else also.data
        data = self._row_products(x.data, y.data, right, symmetric, _to_mask(bound, proven, SMALL))
        return self._secret(data, x.frac + y.frac, bound, proven=proven)

    def truncate(self, x: Secret, bits: int) -> Secret:
        if bits == 0:
            return x
        self._require_mine(x)
        if not 0 < bits <= x.frac:
            raise MisuseError("truncate drops fractional bits, and only as many as there are")
        bound = self._bound_after(x.bound, bits, x.limbs)
        data = self._drop(x.data, bits, _to_mask(x.bound, x.proven, x.limbs))
        return self._secret(data, x.frac - bits, bound, proven=x.proven)

    # -- comparisons -------------------------------------------------------------------------------------------------
    def is_negative(self, x: Secret, *, bits: int | None = None, blur: int = 0) -> Secret:
        # the low `blur` bits of two addends hold up to 2^(blur+1) - 2 units (replicated/compare.py)
        needed = max(blur + 2, (x.bound + (2 << blur) - 2).bit_length() + 1)
        bits = needed if bits is None else bits
        if not needed <= bits <= ring.bits(x.limbs):
            raise RangeError(f"a comparison at {bits} bits cannot hold a value that needs {needed}")
        return self._secret(self._negative(x.data, bits, blur), 0, 1)

    def less_than(self, x: Secret, y: Secret | Public, *, bits: int | None = None) -> Secret:
        return self.is_negative(x - y, bits=bits)

    def in_range(self, x: Secret, bound: int | np.ndarray) -> Secret:
        # -bound <= x <= bound  <=>  neither x + bound nor bound - x is negative. For bound < 2^(K-2) no sum that could hide a
        # violation overflows: where x + bound wraps, x > bound and bound - x is negative, and the other way round.
        self._require_mine(x)
        bounds = np.broadcast_to(np.asarray(bound, dtype=object), x.shape)
        if not all(0 <= each < 1 << (ring.bits(x.limbs) - 2) for each in bounds.flat):
            raise RangeError("in_range needs 0 <= bound < a quarter of the ring")
        edge = self._public(self._elements.from_ints(bounds, x.limbs))
        minus_x = type(x.data)(*map(self._elements.neg, x.data))
        return self._secret(self._none_negative(self._added(edge, x.data), self._added(edge, minus_x)), 0, 1)

    def select(self, bit: Secret, x: Secret, y: Secret | Public) -> Secret:
        # y + bit * (x - y)
        y = self._operand(x, y)
        self._require_bit(bit)
        chosen = self.mul(bit, x - y, frac=x.frac) + y
        return self.bounded(chosen, max(x.bound, y.bound), "it is x or y, the bit being 0 or 1")

    def clamp(self, x: Secret, limit: float) -> tuple[Secret, Secret]:
        # x + over * (edge - x) + under * (-edge - x), over and under never both 1
        edge = fixed_point.scaled_limit(limit, x.frac)
        to_edges = self.stack([self._add_units(-x, edge), self._add_units(-x, -edge)])
        over_under = self.is_negative(self.stack([to_edges[0], -to_edges[1]]))
        clamped = self.sum(self.mul(over_under, to_edges, frac=x.frac), 0) + x
        clamped = self.bounded(clamped, min(edge, x.bound), "it is x inside the limit, else the limit")
        return clamped, self.bounded(self.sum(over_under, 0), 1, "a number is not above and below at once")

    # -- ranges ------------------------------------------------------------------------------------------------------
    def bounded(self, x: Secret, bound: int, because: str, *, checked: bool = False) -> Secret:
        if not because:
            raise MisuseError("a stated bound needs its proof")
        return replace(x, bound=min(bound, x.bound), proven=x.proven or checked)

    def lift(self, x: Secret) -> Secret:
        if x.limbs != SMALL:
            raise MisuseError("only values of Z_2^128 are lifted")
        ring.require_maskable(x.bound, x.limbs)
        data = self._lift(x.data, _to_mask(x.bound, x.proven, x.limbs))
        return self._secret(data, x.frac, x.bound, proven=x.proven)

    def narrow(self, x: Secret) -> Secret:
        self._require_mine(x)
        if x.limbs != LARGE:
            raise MisuseError("only values of Z_2^256 are narrowed")
        return self._secret(type(x.data)(*map(self._elements.narrow, x.data)), x.frac, x.bound, proven=x.proven)

    # -- helpers -----------------------------------------------------------------------------------------------------
    def _secret(self, data: Parts, frac: int, bound: int, *, proven: bool = True) -> Secret:
        *shape, limbs = data[0].shape
        ring.require_fit(bound, limbs)
        return Secret(self, data, tuple(shape), limbs, frac, bound, proven)

    def _map(self, x: Secret, linear: Callable[[np.ndarray], np.ndarray], bound: int) -> Secret:
        self._require_mine(x)
        ring.require_fit(bound, x.limbs)
        return self._secret(type(x.data)(*map(linear, x.data)), x.frac, bound, proven=x.proven)

    def _join(self, xs: Sequence[Secret], join: Callable[[list[np.ndarray]], np.ndarray]) -> Secret:
        if not xs or len({(x.limbs, x.frac) for x in xs}) != 1:
            raise MisuseError("values joined must share ring and scale")
        for x in xs:
            self._require_mine(x)
        data = type(xs[0].data)(*(join(list(arrays)) for arrays in zip(*(x.data for x in xs), strict=True)))
        return self._secret(data, xs[0].frac, max(x.bound for x in xs), proven=_all_proven(xs))

    def _operand(self, x: Secret, y: Secret | Public) -> Secret:
        """y as a Secret at x's ring and scale."""
        self._require_mine(x)
        if not isinstance(y, Secret):
            return self.constant(y, limbs=x.limbs, frac=x.frac)
        self._require_mine(y)
        if (x.limbs, x.frac) != (y.limbs, y.frac):
            raise MisuseError(f"scales differ: {x.limbs} limbs, {x.frac} bits and {y.limbs} limbs, {y.frac} bits; rescale one")
        return y

    def _add_units(self, x: Secret, units: int) -> Secret:
        """x plus an integer number of its own smallest units."""
        return replace(self.add(replace(x, frac=0), units), frac=x.frac)

    def _multiply(
        self,
        x: Secret,
        y: Secret | Public,
        frac: int | None,
        *,
        terms: int,
        together: Callable[[Parts, Parts, int, int], Parts],
        locally: Callable[[np.ndarray, np.ndarray], np.ndarray],
    ) -> Secret:
        """x * y or x @ y: the bound of the sum of products, the bits to drop, and one round at most."""
        self._require_mine(x)
        if isinstance(y, Secret):
            self._require_mine(y)
            if x.limbs != y.limbs:
                raise MisuseError("a product needs both factors in one ring; lift the smaller")
            y_frac, y_bound, proven = y.frac, y.bound, x.proven and y.proven
        else:
            elements, y_frac, y_bound = self._public_factor(x, y)
            proven = x.proven
        frac = max(x.frac, y_frac) if frac is None else frac
        if frac < 0:
            raise MisuseError("a scale has no negative number of fractional bits")
        drop = max(0, x.frac + y_frac - frac)
        bound = terms * x.bound * y_bound
        after, to_mask = self._bound_after(bound, drop, x.limbs), _to_mask(bound, proven, x.limbs)
        if isinstance(y, Secret):
            data = together(x.data, y.data, drop, to_mask)
        else:
            data = type(x.data)(*(locally(a, elements) for a in x.data))
            data = self._drop(data, drop, to_mask) if drop else data
        return self.rescale_up(self._secret(data, x.frac + y_frac - drop, after, proven=proven), frac)

    def _public_factor(self, x: Secret, y: Public) -> tuple[np.ndarray, int, int]:
        """(ring elements, scale, bound) of a public factor: integers are exact, floats take the ring's scale."""
        frac = 0 if fixed_point.is_integer(y) else fixed_point.default_frac(x.limbs)
        elements, bound = fixed_point.encode(y, frac, x.limbs)
        return elements, frac, bound

    def _bound_after(self, bound: int, drop: int, limbs: int) -> int:
        """The bound once `drop` bits are dropped; RangeError if the value does not fit what drops them."""
        if not drop:
            ring.require_fit(bound, limbs)
            return bound
        if drop > ring.opening_bits(limbs):
            raise RangeError("more bits dropped than the ring can open")
        ring.require_maskable(bound, limbs)
        return (bound >> drop) + 2

    def _added(self, x: Parts, y: Parts) -> Parts:
        return type(x)(*(self._elements.add(a, b) for a, b in zip(x, y, strict=True)))

    def _sum_axis(self, a: np.ndarray) -> np.ndarray:
        """Sum of ring elements over the first axis, by halves so that each step is one kernel call."""
        if a.shape[0] == 0:
            return np.zeros(a.shape[1:], dtype=np.uint64)
        while a.shape[0] > 1:
            half = a.shape[0] // 2
            folded = self._elements.add(a[:half], a[half : 2 * half])
            a = self._elements.concatenate([folded, a[2 * half :]], 0) if a.shape[0] % 2 else folded
        return np.asarray(a[0])

    def _require_mine(self, x: Secret) -> None:
        if x.engine is not self:
            raise MisuseError("this value belongs to another engine or session")

    def _require_bit(self, bit: Secret) -> None:
        if bit.frac != 0 or bit.bound != 1:
            raise MisuseError("select needs a 0/1 value (frac 0, bound 1)")


def _all_proven(xs: Iterable[Secret]) -> bool:
    return all(x.proven for x in xs)


def _to_mask(bound: int, proven: bool, limbs: int) -> int:
    """What a mask would have to hide: the bound, or anything at all, so that two addends are taken (replicated/cost.py)."""
    return bound if proven else (1 << ring.opening_bits(limbs)) - 1


def transposed(a: np.ndarray) -> np.ndarray:
    """A matrix of ring elements seen with rows and columns exchanged."""
    return np.swapaxes(a, -2, -3)


def upper_triangle(square: np.ndarray) -> np.ndarray:
    """(d, d, limbs) -> (d (d + 1) / 2, limbs): on and above the diagonal."""
    rows, columns = np.triu_indices(len(square))
    return square[rows, columns]


def mirrored(triangle: np.ndarray, d: int) -> np.ndarray:
    """The inverse of `upper_triangle` for a symmetric matrix."""
    rows, columns = np.triu_indices(d)
    place = np.empty((d, d), dtype=np.intp)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return triangle[place]
