"""A polynomial in the Chebyshev basis on a ciphertext of SEAL, which has no such function: Paterson and Stockmeyer.

Written as its users would: 16 products for degree 63, scales kept exact by encoding each constant at the scale that its sum
needs. One level deeper than the shortest way, which needs twice the products.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tenseal.sealapi as seal

SMALL = 8  # T_1 ... T_7 make the leaves


@dataclass
class Chebyshev:
    """T_k of one ciphertext, each made when it is first asked for. `levels`: (parms_id, last prime), level 0 first."""

    evaluator: Any
    encoder: Any
    relin: Any
    levels: list[tuple[Any, int]]
    terms: dict[int, Any] = field(default_factory=dict)

    def of(self, k: int) -> Any:
        """T_{a+b} = 2 T_a T_b - T_{a-b}, a a power of two."""
        if k not in self.terms:
            a = 1 << (k - 1).bit_length() - 1
            product = self._product(self.of(a), self.of(k - a))
            self.evaluator.add_inplace(product, product)
            if 2 * a == k:
                self.evaluator.add_plain_inplace(product, self._constant(-1.0, product.parms_id(), product.scale))
            else:
                self.evaluator.sub_inplace(product, self._weighted(2 * a - k, 1.0, self._level(product), product.scale))
            self.evaluator.rescale_to_next_inplace(product)
            self.terms[k] = product
        return self.terms[k]

    def evaluate(self, coefficients: list[float], level: int, scale: float) -> Any:
        """sum c_k T_k at this level and scale; len(coefficients) a power of two."""
        total = self._unscaled(coefficients, level + 1, scale * self.levels[level + 1][1])
        self.evaluator.rescale_to_next_inplace(total)
        total.scale = scale
        return total

    def _unscaled(self, c: list[float], level: int, scale: float) -> Any:
        """The same at `level`, to be rescaled: p = q T_g + r."""
        if len(c) <= SMALL:
            total = self._weighted(1, c[1], level, scale)
            for k in range(2, len(c)):
                if abs(c[k]) > 1 / self.levels[level][1]:  # SEAL refuses products with nothing
                    self.evaluator.add_inplace(total, self._weighted(k, c[k], level, scale))
            self.evaluator.add_plain_inplace(total, self._constant(c[0], total.parms_id(), scale))
            return total
        g = len(c) // 2
        power = self.of(g)
        quotient, rest = [c[g], *(2 * v for v in c[g + 1 :])], c[:g]
        for j in range(1, g):
            rest[g - j] -= c[g + j]
        total = self._product(self.evaluate(quotient, level, scale / power.scale), power)
        total.scale = scale
        self.evaluator.add_inplace(total, self._unscaled(rest, level, scale))
        return total

    def _product(self, a: Any, b: Any) -> Any:
        level = min(self._level(a), self._level(b))
        out = seal.Ciphertext()
        self.evaluator.multiply(self._at(a, level), self._at(b, level), out)
        self.evaluator.relinearize_inplace(out, self.relin)
        return out

    def _weighted(self, k: int, weight: float, level: int, scale: float) -> Any:
        """weight T_k at this level and scale."""
        out, term = seal.Ciphertext(), self._at(self.of(k), level)
        self.evaluator.multiply_plain(term, self._constant(weight, term.parms_id(), scale / term.scale), out)
        out.scale = scale
        return out

    def _constant(self, value: float, parms_id: Any, scale: float) -> Any:
        plain = seal.Plaintext()
        self.encoder.encode(value, parms_id, scale, plain)
        return plain

    def _level(self, ciphertext: Any) -> int:
        return int(ciphertext.coeff_modulus_size()) - 1

    def _at(self, ciphertext: Any, level: int) -> Any:
        if self._level(ciphertext) == level:
            return ciphertext
        out = seal.Ciphertext()
        self.evaluator.mod_switch_to(ciphertext, self.levels[level][0], out)
        return out
