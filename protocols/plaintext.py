"""The plaintext engine: the same verbs in the clear, in one process.

It is the oracle of the conformance tests and the template of an engine. It enforces the same ranges and charges the same
openings, so that a dry run gives a job's range plan, its leak and its cost before anyone's data are asked for. It protects
nothing: no charter, spec or daemon accepts it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

import native
from protocols import ring, sums
from protocols.engine import LARGE, SMALL, Declared, Secret, Value
from protocols.errors import MisuseError
from protocols.planned import PlannedEngine, transposed
from protocols.replicated import cost
from protocols.session import Meter


class Clear(NamedTuple):
    """A value in the clear: ring elements, uint64 (*shape, limbs)."""

    value: np.ndarray


class Plaintext(PlannedEngine):
    """The verbs in the clear. `meter` and `cost` are those of a replicated run of the same calls."""

    name = "plaintext"

    def __init__(self) -> None:
        self.meter = Meter()
        self.cost = cost.NOTHING
        self._contributions: list[Mapping[str, Value]] = []

    # -- values in ---------------------------------------------------------------------------------------------------
    def contribute(self, values: Mapping[str, Value]) -> None:
        """One hospital's numbers for the next `totals` or `rows`; call it once for each hospital."""
        self._contributions.append(values)

    def totals(self, declared: Sequence[Declared]) -> dict[str, Secret]:
        contributions, self._contributions = self._contributions, []
        names = {each.name for each in declared}
        if not contributions or any(set(values) != names for values in contributions):
            raise MisuseError("a hospital contributes exactly the declared values")
        return {each.name: self._total(each, [values[each.name] for values in contributions]) for each in declared}

    def _total(self, each: Declared, values: list[Value]) -> Secret:
        total = np.zeros((*each.shape, LARGE), dtype=np.uint64)
        for value in values:
            total = native.add(total, sums.encode(each, value))
        return self._secret(Clear(total), each.frac, each.bound)

    def rows(self, declared: Mapping[int, Sequence[Declared]]) -> dict[int, dict[str, Secret]]:
        contributions, self._contributions = self._contributions, []
        if [set(values) for values in contributions] != [{each.name for each in plan} for plan in declared.values()]:
            raise MisuseError("a hospital contributes exactly the declared values")
        received = {}
        for (hospital, plan), values in zip(declared.items(), contributions, strict=True):
            clear = {each.name: Clear(sums.encode(each, values[each.name])[..., :SMALL].copy()) for each in plan}
            received[hospital] = {each.name: self._secret(clear[each.name], each.frac, each.bound, proven=False) for each in plan}
        return received

    # -- values out --------------------------------------------------------------------------------------------------
    def public_random_bytes(self, n: int) -> bytes:
        self.cost += cost.public_random_bytes(n)
        return secrets.token_bytes(n)

    def release_share(self, x: Secret) -> np.ndarray:
        """The value itself: the one additive share of an engine with one party."""
        self._require_mine(x)
        return np.array(x.data.value)

    # -- in the clear ------------------------------------------------------------------------------------------------
    def _public(self, elements: np.ndarray) -> Clear:
        return Clear(elements)

    def _mul(self, x: Clear, y: Clear, drop: int, bound: int) -> Clear:
        return self._finish(self._elements.mul(x.value, y.value), drop, bound)

    def _matmul(self, x: Clear, y: Clear, drop: int, bound: int) -> Clear:
        return self._finish(self._elements.matmul(x.value, y.value), drop, bound)

    def _mul_add(self, x: Clear, y: Clear, z: Clear, drop: int, bound: int) -> Clear:
        return self._finish(self._elements.add(self._elements.mul(x.value, y.value), z.value), drop, bound)

    def _row_products(self, x: Clear, y: Clear, also: Clear | None, symmetric: bool, bound: int) -> Clear:
        product = self._elements.gram(x.value) if x is y else self._elements.matmul(transposed(x.value), y.value)
        opened = len(product) * (len(product) + 1) // 2 if symmetric else product.shape[0] * product.shape[1]
        if also is not None:
            right = self._elements.matmul(transposed(x.value), also.value)
            opened += right.shape[0] * right.shape[1]
            product = self._elements.concatenate([product, right], 1)
        lifted = (opened, product.shape[-1])
        self._charge(lifted, bound, cost.lift(lifted, bound, replicated=False))
        return Clear(self._elements.widen(product))

    def _finish(self, product: np.ndarray, drop: int, bound: int) -> Clear:
        if drop:
            self._charge(product.shape, bound, cost.truncation(product.shape, drop, bound, replicated=False))
            return self._rounded(product, drop)
        self.cost += cost.reshare(product.shape)
        return Clear(product)

    def _drop(self, x: Clear, bits: int, bound: int) -> Clear:
        self._charge(x.value.shape, bound, cost.truncation(x.value.shape, bits, bound, replicated=True))
        return self._rounded(x.value, bits)

    def _rounded(self, elements: np.ndarray, bits: int) -> Clear:
        """elements / 2^bits to the nearest."""
        half = ring.power_of_two(bits - 1, elements.shape[-1])
        return Clear(self._elements.shift_right_signed(self._elements.add(elements, half), bits))

    def _negative(self, x: Clear, bits: int, blur: int) -> Clear:
        self.cost += cost.negative(x.value.shape, bits - blur)
        return Clear(self._sign(x, bits))

    def _none_negative(self, x: Clear, y: Clear) -> Clear:
        self.cost += cost.none_negative(x.value.shape)
        one, width = ring.power_of_two(0, x.value.shape[-1]), ring.bits(x.value.shape[-1])
        return Clear(
            self._elements.mul(self._elements.sub(one, self._sign(x, width)), self._elements.sub(one, self._sign(y, width)))
        )

    def _sign(self, x: Clear, bits: int) -> np.ndarray:
        """Bit `bits` - 1 as a ring element."""
        width = ring.bits(x.value.shape[-1])
        return self._elements.shift_right(self._elements.shift_left(x.value, width - bits), width - 1)

    def _lift(self, x: Clear, bound: int) -> Clear:
        self._charge(x.value.shape, bound, cost.lift(x.value.shape, bound, replicated=True))
        return Clear(self._elements.widen(x.value))

    def _charge(self, shape: tuple[int, ...], bound: int, price: cost.Cost) -> None:
        """A truncation or a lift of ring elements of this shape: its cost, and its leak where it opens under masks."""
        if cost.masks_suffice(shape, bound):
            *values, limbs = shape
            self.meter.opened_masked(ring.count(tuple(values)), ring.log2(bound), ring.opening_bits(limbs))
        self.cost += price
