"""Parameter presets: data, checked when they are made.

A preset is refused when its ring and modulus are not in the table below, so no key exists outside of it. Sources: the table is
that of Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption", eprint 2024/463: 128 bits against
classical attacks, secret uniform over {-1, 0, 1}; q_0 ... q_L and the special primes of P are all counted. Hybrid key switching
with P at least as large as a digit: Han and Ki, eprint 2019/688.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

from native.rns import is_prime
from protocols.errors import ParameterError

LARGEST_MODULUS_BITS = {4096: 106, 8192: 214, 16384: 430, 32768: 868, 65536: 1747}
"""N to the largest log2(Q P)."""

MOST_PRIME_BITS = 47  # the fastest kernels keep every value below 2^52 without a correction
LEAST_PRIME_BITS = 30


def ntt_primes(degree: int, bits: int, count: int) -> tuple[int, ...]:
    """The `count` largest primes p = 1 mod 2N below 2^bits, falling: how the primes of the presets were found."""
    found: list[int] = []
    candidate = (1 << bits) - 2 * degree + 1
    while len(found) < count:
        if is_prime(candidate):
            found.append(candidate)
        candidate -= 2 * degree
    return tuple(found)


@dataclass(frozen=True)
class Preset:
    """N, the primes q_0 ... q_L, the special primes whose product is P, how many q_i make a digit, and log2 of the scale.

    A ciphertext at level l has limbs modulo q_0 ... q_l; a product takes one level. Raises ParameterError.
    """

    degree: int
    primes: tuple[int, ...]
    special: tuple[int, ...]
    digit: int
    scale_bits: int

    def __post_init__(self) -> None:
        limit = LARGEST_MODULUS_BITS.get(self.degree)
        if limit is None:
            raise ParameterError(f"the security table has no ring of degree {self.degree}: take a preset of protocols.ckks")
        everything = (*self.primes, *self.special)
        if not self.primes or not self.special or len(set(everything)) != len(everything):
            raise ParameterError("a preset needs distinct primes, and at least one of each kind")
        if any(not LEAST_PRIME_BITS < p.bit_length() <= MOST_PRIME_BITS or p % (2 * self.degree) != 1 for p in everything):
            raise ParameterError(f"every prime must be 1 modulo 2N, and of {LEAST_PRIME_BITS + 1} to {MOST_PRIME_BITS} bits")
        if not all(map(is_prime, everything)):
            raise ParameterError("a modulus of the preset is not a prime")
        if self.modulus_bits > limit:
            raise ParameterError(
                f"log2(QP) is beyond {limit}, the largest for degree {self.degree}: drop limbs or double the degree"
            )
        if not 1 <= self.digit <= len(self.primes) or any(math.prod(d) > self.special_modulus for d in self.digits):
            raise ParameterError("a digit of the key switch is larger than P: make digits of fewer primes, or add special primes")
        if not 0 < self.scale_bits < self.primes[0].bit_length():
            raise ParameterError("the scale must lie below the first prime, or nothing could be decrypted at level 0")

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def top(self) -> int:
        """L, the level of a fresh ciphertext."""
        return len(self.primes) - 1

    @property
    def slots(self) -> int:
        return self.degree // 2

    @property
    def scale(self) -> float:
        return float(1 << self.scale_bits)

    @cached_property
    def special_modulus(self) -> int:
        return math.prod(self.special)

    @property
    def modulus_bits(self) -> float:
        """log2(Q P), what the security rests on together with N."""
        return math.log2(math.prod(self.primes)) + math.log2(self.special_modulus)

    @property
    def digits(self) -> tuple[tuple[int, ...], ...]:
        """The primes of each digit of the key switch."""
        return tuple(self.primes[i : i + self.digit] for i in range(0, len(self.primes), self.digit))

    @cached_property
    def id(self) -> bytes:
        """16 bytes that name these parameters: equal where all of them are, and nowhere else."""
        fields = (self.degree, self.primes, self.special, self.digit, self.scale_bits)
        return hashlib.sha256(b"unseen ckks preset v1\0" + repr(fields).encode()).digest()[:16]


# Every prime is the next of ntt_primes(N, bits): 47 bits for P and then q_0, 40 or 42 bits for q_1 ... q_L.
N8192 = Preset(
    degree=8192,
    primes=(140737488125953, 1099511480321, 1099510890497),
    special=(140737488273409,),
    digit=1,
    scale_bits=40,
)
"""One product, and a level to spare. 174 of 214 bits."""

N16384 = Preset(
    degree=16384,
    primes=(
        140737486716929,
        *(1099510054913, 1099508121601, 1099507695617, 1099506515969, 1099506352129, 1099505827841),
    ),
    special=(140737488125953, 140737487306753),
    digit=2,
    scale_bits=40,
)
"""Six products. 381 of 430 bits: digits of three primes, 428 bits, are no faster."""

N32768 = Preset(
    degree=32768,
    primes=(
        140737484685313,
        *(4398044938241, 4398043496449, 4398042972161, 4398042513409, 4398042185729),
        *(4398038450177, 4398037794817, 4398035304449, 4398034911233, 4398034845697),
    ),
    special=(140737487306753, 140737486716929, 140737486520321, 140737485864961),
    digit=4,
    scale_bits=42,
)
"""Ten products; a fit takes nine: a linear predictor (1), series of degree 63 (6), weights (1), columns (1). Its coefficients are
encrypted at level 9, its sums converted at level 0. 655 of 868 bits.
"""

PRESETS = {preset.degree: preset for preset in (N8192, N16384, N32768)}
