"""Encryption and decryption.

    under a public key (b, a)     (b u + e_0, a u + e_1) / p + (m, 0), modulo Q p and rounded, u ternary: three transforms a limb
    under the secret key          (-a s + e + m, a), a the expansion of a seed that travels in its place
    decryption                    c_0 + c_1 s (+ c_2 s^2) = m + e

What is divided by p is a ring-LWE sample modulo Q p, and what follows from one hides as well as it does; e_0 and e_1 make it one,
though after the rounding they show in one coefficient of 2^45.

Ring-LWE hides m from whoever has no secret key, and that is all: m is in no way hidden from the key's holder, and a decrypted
vector carries e, which depends on the key. It must not be shown to others (Li and Micciancio, EUROCRYPT 2021, eprint 2020/1533).
Source: Cheon, Kim, Kim, Song, eprint 2016/421.
"""

from __future__ import annotations

import numpy as np

from native import encryption, rns
from protocols.ckks import noise
from protocols.ckks.ciphertext import Ciphertext, Plaintext, require_same_context
from protocols.ckks.context import Context, Words
from protocols.ckks.encoder import checked_level, readable_level
from protocols.ckks.keys import PublicKey, SecretKey, fresh_seed, hide, noise_coefficients, ternary_coefficients, uniform
from protocols.ckks.noise import Estimate
from protocols.errors import KeyMismatch
from protocols.prf import PrfStream


def encrypt(plain: Plaintext, key: PublicKey, randomness: PrfStream) -> Ciphertext:
    """A ciphertext at the plaintext's level, made on that level's limbs only."""
    context = plain.context
    require_same_context(context, key.context)
    polynomials = _encrypted(plain.polynomial, key, plain.level, randomness)
    added = noise.fresh_public(context.degree, plain.scale, key.holders)
    estimate = Estimate(plain.estimate.bound, plain.estimate.deviation + added, key.holders)
    return Ciphertext(context, polynomials, plain.scale, key.key_id, estimate)


def encrypt_zero(key: PublicKey, level: int, scale: float, randomness: PrfStream) -> Ciphertext:
    """A fresh encryption of zero: added to a ciphertext it hides how that one was made."""
    context = key.context
    polynomials = zero_polynomials(key, checked_level(context, level), randomness)
    estimate = Estimate(0.0, noise.fresh_public(context.degree, scale, key.holders), key.holders)
    return Ciphertext(context, polynomials, scale, key.key_id, estimate)


def zero_polynomials(key: PublicKey, level: int, randomness: PrfStream) -> Words:
    """(b u + e_0, a u + e_1) divided by p, (2, level + 1, N): the error that remains is that of the rounding."""
    return _encrypted(None, key, level, randomness)


def _encrypted(plain: Words | None, key: PublicKey, level: int, randomness: PrfStream) -> Words:
    context = key.context
    u, e = ternary_coefficients(randomness, context.degree), noise_coefficients(randomness, 2, context.degree)
    return encryption.encrypt(key.polynomials, u, e, context.wide[level], plain)


def encrypt_with_secret(plain: Plaintext, secret: SecretKey, randomness: PrfStream) -> Ciphertext:
    """The same under the secret key: less noise, and half of it travels as a seed of 16 bytes."""
    context = plain.context
    require_same_context(context, secret.context)
    basis, seed = context.levels[plain.level], fresh_seed(randomness)
    polynomials = np.empty((2, plain.level + 1, context.degree), np.uint64)
    polynomials[1] = uniform(context, seed, 0, basis)
    masked = hide(polynomials[1], secret.polynomial, randomness, basis)
    rns.add(masked, plain.polynomial, basis, out=polynomials[0])
    estimate = plain.estimate.noisier(noise.fresh_secret(context.degree, plain.scale))
    return Ciphertext(context, polynomials, plain.scale, secret.id, estimate, seed)


def decrypt(ciphertext: Ciphertext, secret: SecretKey) -> Plaintext:
    """The plaintext, on as many limbs as its bound asks for; its estimate states the error. For the key's holder alone."""
    context = ciphertext.context
    require_same_context(context, secret.context)
    if ciphertext.key_id != secret.id:
        raise KeyMismatch("this ciphertext is under another key: decrypt it with its own")
    level = readable_level(context, ciphertext.level, ciphertext.scale, ciphertext.estimate)
    total = inner_product(context, ciphertext.polynomials[:, : level + 1], secret, level)
    return Plaintext(context, total, ciphertext.scale, ciphertext.estimate)


def inner_product(context: Context, polynomials: Words, secret: SecretKey, level: int) -> Words:
    """c_0 + c_1 s + c_2 s^2 by Horner's rule, (level + 1, N)."""
    basis, s = context.levels[level], secret.polynomial[: level + 1]
    total = rns.mul(polynomials[-1], s, basis)
    for part in polynomials[-2:0:-1]:
        rns.mul(rns.add(total, part, basis, out=total), s, basis, out=total)
    return rns.add(total, polynomials[0], basis, out=total)
