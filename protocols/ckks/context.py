"""What follows from a preset: tables for each level, the plan of the key switch, permutations. Made once and shared.

Polynomials are uint64 arrays (limbs, N) of residues in the transform's domain, in the kernels' own order, unless said otherwise.
Limb i is modulo q_i; keys have the limbs of P after those of Q.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from native import _load, rns, switching
from native.rns import Basis
from protocols.ckks.noise import Estimate
from protocols.ckks.parameters import Preset

Words = npt.NDArray[np.uint64]


class Context:
    """One preset, ready for use. Compared by `id`; made by `context_of`.

    levels[l]: q_0 ... q_l; wide[l]: these and p, the first special prime, what public keys encrypt modulo.
    """

    def __init__(self, preset: Preset) -> None:
        self.preset = preset
        self.id = preset.id
        self.degree = preset.degree
        self.slots = preset.slots
        self.top = preset.top
        self.everything = Basis(preset.degree, preset.primes + preset.special)
        self.special = self.everything.part(slice(preset.top + 1, None))
        self.levels = tuple(self.everything.part(slice(0, level + 1)) for level in range(preset.top + 1))
        self.wide = tuple(self.everything.part([*range(level + 1), preset.top + 1]) for level in range(preset.top + 1))
        self.plan = switching.SwitchPlan(self.levels[-1], self.special, preset.digit)
        self.moduli = tuple(float(math.prod(preset.primes[: level + 1])) for level in range(preset.top + 1))
        self._permutations: dict[int, npt.NDArray[np.uint32]] = {}

    def __repr__(self) -> str:
        return f"<ckks context of degree {self.degree}, {self.top + 1} limbs>"

    def permutation(self, element: int) -> npt.NDArray[np.uint32]:
        """Of X -> X^element, in the transform's domain."""
        if element not in self._permutations:
            self._permutations[element] = rns.permutation(self.degree, element)
        return self._permutations[element]

    def galois_element(self, step: int) -> int:
        """5^step modulo 2N: moves slot j + step to slot j."""
        return pow(5, step % self.slots, 2 * self.degree)

    @property
    def conjugation(self) -> int:
        return 2 * self.degree - 1

    def fits(self, level: int, scale: float, estimate: Estimate, spare: float = 1.0) -> bool:
        """Whether every |coefficient| stays below Q / 2, with a factor to spare: a coefficient is at most the largest slot."""
        return 2 * spare * scale * (estimate.bound + estimate.error) < self.moduli[level]


def context_of(preset: Preset) -> Context:
    """The context of this preset, for the instruction set in use."""
    return _contexts(preset, _load.isa())


@lru_cache(maxsize=32)
def _contexts(preset: Preset, isa: str) -> Context:
    return Context(preset)


Operation = Callable[..., Words]
"""An elementwise kernel of native.rns: (a, b, basis, out=...)."""


def each_part(operation: Operation, a: Words, b: Words, basis: Basis) -> Words:
    """operation on the first limbs of two arrays (parts, limbs, N)."""
    limbs = len(basis.primes)
    if a.shape == b.shape and a.shape[1] == limbs:
        return operation(a, b, basis)
    out = np.empty((len(a), limbs, basis.degree), np.uint64)
    for part in range(len(a)):
        operation(a[part, :limbs], b[part, :limbs], basis, out=out[part])
    return out
