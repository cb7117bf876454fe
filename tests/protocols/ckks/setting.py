"""One party that holds every key, and what its ciphertexts decrypt to, for tests and with fixed seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from native import _load, rns
from protocols import ckks
from protocols.prf import PrfStream

STEPS = (1, -3, 64)


@dataclass(frozen=True)
class Setting:
    context: ckks.Context
    randomness: PrfStream

    @cached_property
    def secret(self) -> ckks.SecretKey:
        return ckks.secret_key(self.context, self.randomness)

    @cached_property
    def public(self) -> ckks.PublicKey:
        return ckks.public_key(self.secret, self.randomness)

    @cached_property
    def relin(self) -> ckks.RelinearisationKey:
        return ckks.relinearisation_key(self.secret, self.randomness)

    @cached_property
    def galois(self) -> ckks.GaloisKeys:
        return ckks.galois_keys(self.secret, {*STEPS, *ckks.inner_sum_steps(4, 2)}, self.randomness, conjugation=True)

    def encrypt(self, values: np.ndarray, bound: float = 1.0, level: int | None = None) -> ckks.Ciphertext:
        return ckks.encrypt(ckks.encode(self.context, values, bound, level=level), self.public, self.randomness)

    def vector(self, seed: int) -> np.ndarray:
        """One number in [-1, 1] for each slot, the ends among them."""
        values = np.random.default_rng(seed).uniform(-1, 1, self.context.slots)
        values[:2] = -1, 1
        return values

    def error(self, ciphertext: ckks.Ciphertext, expected: np.ndarray) -> tuple[float, float]:
        """(the largest error over all slots, the bound that the decryption states)."""
        plain = ckks.decrypt(ciphertext, self.secret)
        return float(np.max(np.abs(ckks.decode(plain) - expected))), plain.estimate.error


def setting(preset: ckks.Preset, seed: int = 0) -> Setting:
    """The setting of this preset and seed, for the instruction set in use."""
    return _settings(preset, seed, _load.isa())


@cache
def _settings(preset: ckks.Preset, seed: int, isa: str) -> Setting:
    return Setting(ckks.context_of(preset), PrfStream(seed.to_bytes(16, "little")))


def integers(polynomial: np.ndarray, basis: rns.Basis) -> list[int]:
    """The coefficients, in [-Q/2, Q/2), of a transformed polynomial (limbs, N), put together by Python's integers."""
    rows = rns.inverse(polynomial.copy(), basis).astype(object)
    modulus = math.prod(basis.primes)
    total = sum(row * (modulus // p * pow(modulus // p, -1, p)) for row, p in zip(rows, basis.primes, strict=True))
    return [int(c) for c in (total + modulus // 2) % modulus - modulus // 2]


def at_slots(coefficients: Sequence[float], slots: Sequence[int]) -> np.ndarray:
    """The polynomial's values at exp(i pi 5^j / N) for these j: the definition of the canonical embedding."""
    n = len(coefficients)
    powers = [pow(5, j, 2 * n) * np.arange(n, dtype=object) % (2 * n) for j in slots]
    return np.array([np.exp(1j * np.pi / n * p.astype(float)) @ np.asarray(coefficients) for p in powers])
