"""The verbs of an engine: what an analysis may do with numbers that nobody sees.

An engine computes on `Secret` values. Each carries, in public, its shape, the ring it lives in, its scale (`frac`, the number
of fractional bits) and `bound`, an exact integer with |ring integer| <= bound that follows from the bounds of the inputs
and of every operation since. This is the range plan: it is computed by the same code that computes the result, a product or a
masked opening whose bound does not fit its ring raises RangeError before anything is sent, and a dry run without numbers
(outline.py) gives the plan of a job beforehand. Where bounds cannot be inferred (a quotient, a coefficient) a clamp executed on
shares, or a theorem cited at the call of `bounded`, supplies them.

Every compute party runs the same calls in the same order. `+ - *` and `@` on Secrets are these verbs; a public operand may
be a Python int, a float or a NumPy array.

Opening has two verbs and no third: `open_masked`, inside protocols/ only, and `release_share`, called by the gate only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

SMALL, LARGE = 2, 4  # limbs of Z_2^128 and Z_2^256
SMALL_FRAC, LARGE_FRAC = 28, 64

Public = int | float | np.ndarray
Value = int | float | np.ndarray | tuple[np.ndarray, np.ndarray]  # of a hospital; a pair is a compensated sum (hi, lo) of float64


@dataclass(frozen=True)
class Declared:
    """One array that hospitals contribute: what the plan says of it before anyone has computed it.

    The value shared is `value / 2^scale_bits`, with `frac` fractional bits, in Z_2^256; |value| <= limit for the total over all
    hospitals and for each hospital alone. Counts have frac = scale_bits = 0.
    """

    name: str
    shape: tuple[int, ...]
    limit: float
    frac: int = LARGE_FRAC
    scale_bits: int = 0

    @property
    def bound(self) -> int:
        """|ring integer| <= bound: the limit at this scale, plus one unit for each of up to 2^16 hospitals' roundings."""
        exact = int(self.limit) + 1
        return (exact << self.frac >> self.scale_bits) + (1 if self.frac == 0 else 1 << 16)


@dataclass(frozen=True, eq=False)
class Secret:
    """A value that no single party knows: an array of ring elements, shared."""

    engine: Engine
    data: Any  # the engine's own: replicated shares, or the clear ring elements of the plaintext engine
    shape: tuple[int, ...]
    limbs: int
    frac: int
    bound: int
    proven: bool = True  # the bound rests on ranges that are checked on shares; else no mask relies on it

    __array_ufunc__ = None  # `array * secret` is the secret's verb, not NumPy's loop over elements

    def __add__(self, other: Secret | Public) -> Secret:
        return self.engine.add(self, other)

    __radd__ = __add__

    def __neg__(self) -> Secret:
        return self.engine.neg(self)

    def __sub__(self, other: Secret | Public) -> Secret:
        return self.engine.add(self, self.engine.neg(other) if isinstance(other, Secret) else -other)

    def __rsub__(self, other: Public) -> Secret:
        return self.engine.add(self.engine.neg(self), other)

    def __mul__(self, other: Secret | Public) -> Secret:
        return self.engine.mul(self, other)

    __rmul__ = __mul__

    def __matmul__(self, other: Secret | np.ndarray) -> Secret:
        return self.engine.matmul(self, other)

    def __rmatmul__(self, other: np.ndarray) -> Secret:
        return self.engine.matmul(self.T, np.swapaxes(other, -1, -2)).T

    def __getitem__(self, index: Any) -> Secret:
        """NumPy basic or advanced indexing of the leading (value) axes; local."""
        return self.engine.index(self, index)

    def reshape(self, *shape: int) -> Secret:
        return self.engine.reshape(self, shape)

    @property
    def T(self) -> Secret:
        """Swap of the last two axes; local."""
        return self.engine.transpose(self)

    def sum(self, axis: int | None = None) -> Secret:
        """Sum over one axis (or all); local, the bound grows by the number of terms."""
        return self.engine.sum(self, axis)


@runtime_checkable
class Engine(Protocol):
    """The verbs. `replicated` and `plaintext` implement all of them; conformance tests hold them to the same answers."""

    name: str

    # -- values in ------------------------------------------------------------------------------------------------
    def constant(self, value: Public, *, limbs: int = LARGE, frac: int = LARGE_FRAC) -> Secret:
        """A public number as a Secret. Integers with frac = 0 are exact. Local."""
        ...

    def contribute(self, values: Mapping[str, Value]) -> None:
        """For the next `totals` or `rows`: this party's own, if it holds data; in the clear, one call for each hospital."""
        ...

    def totals(self, declared: Sequence[Declared]) -> dict[str, Secret]:
        """Receive the hospitals' contributions (protocols/sums.py) and return their sums over hospitals. One round.

        The caller range-checks them on shares before it multiplies anything.
        """
        ...

    def rows(self, declared: Mapping[int, Sequence[Declared]]) -> dict[int, dict[str, Secret]]:
        """Receive the arrays of single hospitals, {hospital: its own declarations}, in Z_2^128: neither masked nor summed.

        For rows, where a statistic needs them (protocols/replicated/rows.py). Values come from `contribute`, in the clear in the
        order of `declared`. One round for all hospitals together. Nothing is range-checked here: bounds are not `proven`.
        """
        ...

    # -- local arithmetic -------------------------------------------------------------------------------------------
    def add(self, x: Secret, y: Secret | Public) -> Secret:
        """x + y with broadcasting; scales must agree (a public operand is encoded at x's scale)."""
        ...

    def neg(self, x: Secret) -> Secret: ...

    def index(self, x: Secret, index: Any) -> Secret: ...

    def reshape(self, x: Secret, shape: tuple[int, ...]) -> Secret: ...

    def transpose(self, x: Secret) -> Secret: ...

    def stack(self, xs: Sequence[Secret], axis: int = 0) -> Secret:
        """np.stack of values of one ring and scale; the largest bound holds for all. Stacking before a product is how one
        round serves many."""
        ...

    def concat(self, xs: Sequence[Secret], axis: int = 0) -> Secret: ...

    def sum(self, x: Secret, axis: int | None = None) -> Secret: ...

    def combine(self, xs: Sequence[Secret], table: Sequence[Sequence[int]], start: Sequence[int]) -> Secret:
        """start_j + sum_i table_ji x_i for each row j, stacked on a new first axis: values of one shape, ring and scale.

        `start` counts in their units. Exact and local, as the same sum of products with integers would be.
        """
        ...

    def shift_left(self, x: Secret, bits: int) -> Secret:
        """x * 2^bits exactly, the scale unchanged. Local."""
        ...

    def rescale_up(self, x: Secret, frac: int) -> Secret:
        """The same value with more fractional bits. Local."""
        ...

    # -- products -----------------------------------------------------------------------------------------------------
    def mul(self, x: Secret, y: Secret | Public, *, frac: int | None = None) -> Secret:
        """Elementwise product with broadcasting, brought to `frac` fractional bits (default: max of the operands').

        One round, truncation included, or two where a masked opening would leak too much (replicated/cost.py); none when y is
        an int array or int (exact, local) and no truncation is due.
        A public float array is encoded at frac bits of x's ring default and truncated.
        """
        ...

    def matmul(self, x: Secret, y: Secret | np.ndarray, *, frac: int | None = None) -> Secret:
        """(..., m, k) @ (..., k, n): products summed first, truncated once. Rounds as `mul`."""
        ...

    def mul_add(self, x: Secret, y: Secret, z: Secret, *, frac: int) -> Secret:
        """x * y + z elementwise, z at x's and y's fractional bits together, truncated once to `frac`. Rounds as `mul`."""
        ...

    def row_products(self, x: Secret, y: Secret, *, symmetric: bool = False, also: Secret | None = None) -> Secret:
        """x^T y, (n, d) and (n, m) -> (d, m): sums over rows of Z_2^128, exact, in Z_2^256. Rounds as `mul`.

        `symmetric` says that the result is (y is x, or x times a weight for each row): then only one triangle is computed and
        lifted. `also` (n, k), at y's scale, adds the columns x^T also in the same rounds.
        """
        ...

    def truncate(self, x: Secret, bits: int) -> Secret:
        """Drop `bits` fractional bits: error within (-2, +2] units of the result, never a wrap. One round."""
        ...

    # -- comparisons ----------------------------------------------------------------------------------------------------
    def is_negative(self, x: Secret, *, bits: int | None = None, blur: int = 0) -> Secret:
        """1 where x < 0, else 0 (frac = 0, bound 1, in x's ring). x must fit `bits` - 1 bits (from its bound by default).

        With a `blur` of j, 0 <= x < 2^j units may count as negative too, and j bits fewer are compared.
        """
        ...

    def less_than(self, x: Secret, y: Secret | Public, *, bits: int | None = None) -> Secret:
        """1 where x < y, else 0. About 9 rounds whatever the shape."""
        ...

    def in_range(self, x: Secret, bound: int | np.ndarray) -> Secret:
        """1 where |ring integer of x| <= bound (an int, or an object array of ints broadcast to x), for ANY ring element x, also
        one that broke its declared bound: the comparison takes the ring's full width."""
        ...

    def select(self, bit: Secret, x: Secret, y: Secret | Public) -> Secret:
        """x where bit is 1, y where it is 0. One round."""
        ...

    def clamp(self, x: Secret, limit: float) -> tuple[Secret, Secret]:
        """(x clamped to [-limit, limit], 1 where the clamp acted). The result's bound is the limit's."""
        ...

    # -- ranges -----------------------------------------------------------------------------------------------------------
    def bounded(self, x: Secret, bound: int, because: str, *, checked: bool = False) -> Secret:
        """x with a smaller stated bound, which `because` (a theorem, a constraint checked on shares) proves. No computation.

        A theorem about something that is not proven proves nothing to masks; a check on shares, `checked`, that has opened
        before anything is made of x does.
        """
        ...

    def lift(self, x: Secret) -> Secret:
        """Z_2^128 -> Z_2^256, value and scale unchanged. One round."""
        ...

    def narrow(self, x: Secret) -> Secret:
        """Z_2^256 -> Z_2^128, value and scale unchanged: shares modulo 2^128. Local; the bound must fit the smaller ring."""
        ...

    # -- randomness in public ------------------------------------------------------------------------------------------------
    def public_random_bytes(self, n: int) -> bytes:
        """n bytes that all compute parties agree on and none chose alone (for subsamples, not for secrets)."""
        ...

    # -- the gate's door --------------------------------------------------------------------------------------------------------
    def release_share(self, x: Secret) -> np.ndarray:
        """This party's additive share of x, re-randomised by a zero-share: uint64 (*shape, limbs). The gate alone calls it."""
        ...
