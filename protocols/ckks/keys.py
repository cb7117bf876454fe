"""Keys. Secrets are ternary, noise is the centred binomial over 42 coins, both from a PrfStream that the caller gives.

    public key            (-a s + e, a) modulo Q p, p the first special prime
    switching key w -> s  for each digit d: (-a_d s + e_d + P g_d w, a_d) modulo QP, with g_d = 1 modulo the primes of d, 0
    modulo the others
    relinearisation key   w = s^2
    Galois key of g       w = s(X^g)

Uniform halves are expansions of 16-byte seeds; a seed given from outside makes a common random polynomial. `polynomials` of a
key may also come from elsewhere: a joint key is the sum of its shares.
Source: Han and Ki, eprint 2019/688, section 3.1; Mouchet et al., eprint 2020/304 for the joint ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NoReturn, Self

import numpy as np
import numpy.typing as npt

from native import rns, sampling, switching
from native.rns import Basis
from native.switching import SwitchKey
from protocols.ckks.context import Context, Words
from protocols.ckks.noise import NOISE_VARIANCE
from protocols.errors import KeyMismatch
from protocols.prf import PrfStream

SEED_BYTES = 16
BLOCK_BYTES = 16


def fresh_seed(randomness: PrfStream) -> bytes:
    return randomness.bytes(SEED_BYTES).tobytes()


def uniform(context: Context, seed: bytes, index: int, basis: Basis) -> Words:
    """Polynomial `index` of this seed, (limbs, N), uniform; a smaller basis gives the first limbs of a larger one. Public."""
    first = index * sampling.uniform_bytes(context.everything) // BLOCK_BYTES
    return sampling.uniform(seed, first, basis)


def ternary_coefficients(randomness: PrfStream, degree: int) -> npt.NDArray[np.int8]:
    """Uniform in {-1, 0, 1}, (N,). Secret."""
    key, first = randomness.take(sampling.small_bytes(degree))
    return sampling.ternary(key, first, degree)


def ternary(randomness: PrfStream, basis: Basis) -> Words:
    """A polynomial of such coefficients, transformed, (limbs, N). Secret."""
    return rns.forward(rns.from_small(ternary_coefficients(randomness, basis.degree), basis), basis)


def noise_coefficients(randomness: PrfStream, count: int, degree: int) -> npt.NDArray[np.int8]:
    """Of noise polynomials, (count, N). Secret."""
    key, first = randomness.take(sampling.small_bytes(count * degree))
    return sampling.binomial42(key, first, count * degree).reshape(count, degree)


def noise_polynomial(randomness: PrfStream, basis: Basis) -> Words:
    """One, transformed, (limbs, N). Secret."""
    return rns.forward(rns.from_small(noise_coefficients(randomness, 1, basis.degree)[0], basis), basis)


def hide(uniform_half: Words, secret: Words, randomness: PrfStream, basis: Basis) -> Words:
    """-a s + e, (limbs, N)."""
    product = rns.mul(uniform_half, secret[: len(uniform_half)], basis)
    return rns.sub(noise_polynomial(randomness, basis), product, basis, out=product)


class SecretKey:
    """s, transformed, modulo all of QP: (limbs, N). Never printed, copied or serialised by accident."""

    __slots__ = ("context", "id", "polynomial")

    def __init__(self, context: Context, key_id: bytes, polynomial: Words) -> None:
        self.context, self.id, self.polynomial = context, key_id, polynomial
        polynomial.setflags(write=False)

    def __repr__(self) -> str:
        return "<secret key>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret key is not serialised or copied")


@dataclass(frozen=True, eq=False, repr=False)
class PublicKey:
    """(b, a) = (-a s + e, a) modulo Q p, (2, L + 2, N); for a sum of secrets, b is the sum of their shares."""

    context: Context
    key_id: bytes
    polynomials: Words
    seed: bytes | None = None
    holders: int = 1


@dataclass(frozen=True, eq=False, repr=False)
class SwitchingKey:
    """(digits, 2, limbs of QP, N), and the kernels' form of it. `noise_variance`: of a coefficient of e_d."""

    context: Context
    key_id: bytes
    polynomials: Words
    seed: bytes | None = None
    noise_variance: float = NOISE_VARIANCE

    @cached_property
    def prepared(self) -> SwitchKey:
        return switching.prepare(self.polynomials, self.context.plan)

    def in_use(self) -> Self:
        """The same key in the kernels' form alone, half as large: it switches, and can be neither written nor turned."""
        found = replace(self, polynomials=self.polynomials[:0])
        found.__dict__["prepared"] = self.prepared
        return found


class RelinearisationKey(SwitchingKey):
    """s^2 -> s."""


@dataclass(frozen=True, eq=False, repr=False)
class GaloisKeys:
    """By Galois element: keys s(X^element) -> s."""

    context: Context
    key_id: bytes
    keys: Mapping[int, SwitchingKey]
    _turned: dict[int, SwitchKey] = field(default_factory=dict, init=False)

    def of(self, element: int) -> SwitchingKey:
        if element not in self.keys:
            raise KeyMismatch("there is no key for this rotation: name its step when the Galois keys are made")
        return self.keys[element]

    def turned(self, element: int) -> SwitchKey:
        """The key of this element under X -> X^(1/element), which switches s -> s(X^(1/element)). Made once."""
        if element not in self._turned:
            back = self.context.permutation(pow(element, -1, 2 * self.context.degree))
            self._turned[element] = switching.prepare(rns.automorphism(self.of(element).polynomials, back), self.context.plan)
        return self._turned[element]


def secret_key(context: Context, randomness: PrfStream, key_id: bytes | None = None) -> SecretKey:
    """A ternary secret. `key_id` names the key that it is a share of; a key of its own gets a random name."""
    name = fresh_seed(randomness) if key_id is None else key_id
    return SecretKey(context, name, ternary(randomness, context.everything))


def public_key(secret: SecretKey, randomness: PrfStream, seed: bytes | None = None) -> PublicKey:
    """(-a s + e, a); with the common seed of a session, b is the share of a joint key."""
    context, common = secret.context, fresh_seed(randomness) if seed is None else seed
    basis = context.wide[-1]
    polynomials = np.empty((2, len(basis), context.degree), np.uint64)
    polynomials[1] = uniform(context, common, 0, basis)
    polynomials[0] = hide(polynomials[1], secret.polynomial, randomness, basis)
    return PublicKey(context, secret.id, polynomials, common)


def gadget(context: Context, source: Words) -> Words:
    """P g_d w for each digit d, (digits, limbs of QP, N), all transformed."""
    limbs, width = context.top + 1, context.preset.digit
    shifted = rns.scale(source[:limbs], [context.preset.special_modulus] * limbs, context.levels[-1])
    out = np.zeros((len(context.preset.digits), *source.shape), np.uint64)
    for digit in range(len(out)):
        rows = slice(digit * width, min((digit + 1) * width, limbs))
        out[digit, rows] = shifted[rows]
    return out


def switching_halves(
    context: Context, uniform_halves: Iterable[Words], secret: Words, source: Words, randomness: PrfStream, out: Iterable[Words]
) -> None:
    """-a_d s + e_d + P g_d w for each digit d, written to `out`: s = secret, w = source, all (limbs of QP, N)."""
    basis = context.everything
    for each, message, place in zip(uniform_halves, gadget(context, source), out, strict=True):
        rns.add(hide(each, secret, randomness, basis), message, basis, out=place)


def switching_polynomials(secret: SecretKey, source: Words, seed: bytes, randomness: PrfStream) -> Words:
    """(digits, 2, limbs of QP, N): an encryption of P g_d w, w = source (limbs of QP, N), under s for each digit d."""
    context = secret.context
    out = np.empty((len(context.preset.digits), 2, *source.shape), np.uint64)
    for digit in range(len(out)):
        out[digit, 1] = uniform(context, seed, digit, context.everything)
    switching_halves(context, out[:, 1], secret.polynomial, source, randomness, out[:, 0])
    return out


def relinearisation_key(secret: SecretKey, randomness: PrfStream) -> RelinearisationKey:
    context, seed = secret.context, fresh_seed(randomness)
    square = rns.mul(secret.polynomial, secret.polynomial, context.everything)
    return RelinearisationKey(context, secret.id, switching_polynomials(secret, square, seed, randomness), seed)


def galois_keys(secret: SecretKey, steps: Iterable[int], randomness: PrfStream, *, conjugation: bool = False) -> GaloisKeys:
    """Keys for rotations by these steps, and for the conjugation where asked."""
    context = secret.context
    elements = {context.galois_element(step) for step in steps} | ({context.conjugation} if conjugation else set())
    keys = {}
    for element in sorted(elements):
        seed, turned = fresh_seed(randomness), rns.automorphism(secret.polynomial, context.permutation(element))
        keys[element] = SwitchingKey(context, secret.id, switching_polynomials(secret, turned, seed, randomness), seed)
    return GaloisKeys(context, secret.id, keys)
