"""What keys are made of, checked by Python's integers, and that secrets stay where they are."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from native import encryption, rns
from protocols import ckks
from protocols.ckks import keys, noise
from protocols.prf import PrfStream
from tests.protocols.ckks.setting import Setting, integers, setting

PRESETS = [ckks.N8192, ckks.N16384]  # single limbs; groups, the last one smaller


@pytest.fixture(params=PRESETS, ids=lambda p: f"N{p.degree}")
def s(request: pytest.FixtureRequest) -> Setting:
    return setting(request.param)


def test_a_secret_is_ternary_and_balanced(s):
    found = integers(s.secret.polynomial, s.context.everything)
    counts = [found.count(v) for v in (-1, 0, 1)]
    assert sum(counts) == s.context.degree
    assert all(abs(count - s.context.degree / 3) < 6 * math.sqrt(s.context.degree * 2 / 9) for count in counts)


def test_a_public_key_is_an_encryption_of_zero(s):
    basis = s.context.wide[-1]
    b, a = s.public.polynomials
    noisy = rns.add(b, rns.mul(a, s.secret.polynomial[: len(basis)], basis), basis)
    assert 10 < max(map(abs, integers(noisy, basis))) <= noise.NOISE_LARGEST
    assert np.array_equal(a, keys.uniform(s.context, s.public.seed, 0, basis))


def test_a_relinearisation_key_encrypts_the_square_digit_by_digit(s):
    context, basis = s.context, s.context.everything
    modulus, special = math.prod(basis.primes), context.preset.special_modulus
    square = rns.mul(s.secret.polynomial, s.secret.polynomial, basis)
    for digit, primes in enumerate(context.preset.digits):
        b, a = s.relin.polynomials[digit]
        group, rest = math.prod(primes), modulus // math.prod(primes) // special
        gadget = rest * pow(rest, -1, group) % (group * rest) * special  # P times 1 modulo the digit, 0 modulo the rest
        message = rns.scale(square, [gadget] * len(basis), basis)
        phase = rns.sub(rns.add(b, rns.mul(a, s.secret.polynomial, basis), basis), message, basis)
        assert 10 < max(map(abs, integers(phase, basis))) <= noise.NOISE_LARGEST


def test_uniform_halves_of_a_seed_are_all_different():
    s = setting(ckks.N8192)
    halves = [s.relin.polynomials[digit, 1, 0].tobytes() for digit in range(3)]
    halves += [key.polynomials[0, 1, 0].tobytes() for key in s.galois.keys.values()]
    assert len(set(halves)) == len(halves)


def test_a_smaller_basis_gives_the_first_limbs_of_a_larger_one(s):
    whole = keys.uniform(s.context, bytes(16), 1, s.context.everything)
    assert np.array_equal(keys.uniform(s.context, bytes(16), 1, s.context.levels[1]), whole[:2])


def test_randomness_is_the_argument_and_no_part_of_it_is_used_twice():
    context = ckks.context_of(ckks.N8192)
    first, same, other = (PrfStream(bytes([k]) * 16) for k in (1, 1, 2))
    secrets = [ckks.secret_key(context, stream) for stream in (first, same, other, first)]
    bytes_of = [key.polynomial.tobytes() for key in secrets]
    assert bytes_of[0] == bytes_of[1]
    assert len(set(bytes_of)) == 3
    plain, public = ckks.encode(context, [1.0]), ckks.public_key(secrets[0], other)
    assert not np.array_equal(*(ckks.encrypt(plain, public, other).polynomials[1] for _ in range(2)))


def test_an_encryption_has_the_coins_of_its_stream(s):
    n, basis = s.context.degree, s.context.wide[-1]
    key, again = bytes(range(16)), PrfStream(bytes(range(16)))
    u, e = keys.ternary_coefficients(again, n), keys.noise_coefficients(again, 2, n)
    assert {-1, 0, 1} == set(u.tolist())
    assert 9 < np.abs(e).max() <= noise.NOISE_LARGEST
    found = ckks.encrypt_zero(s.public, s.context.top, s.context.preset.scale, PrfStream(key))
    assert np.array_equal(found.polynomials, encryption.encrypt(s.public.polynomials, u, e, basis))


def test_shares_of_a_public_key_add_up_to_the_key_of_the_sum():
    context, seed, name = ckks.context_of(ckks.N8192), bytes(range(16)), b"joint key of two"
    streams = [PrfStream(bytes([k]) * 16) for k in (1, 2)]
    secrets = [ckks.secret_key(context, stream, name) for stream in streams]
    shares = [ckks.public_key(secret, stream, seed) for secret, stream in zip(secrets, streams, strict=True)]
    assert np.array_equal(shares[0].polynomials[1], shares[1].polynomials[1])
    total = rns.add(shares[0].polynomials[0], shares[1].polynomials[0], context.wide[-1])
    joint = ckks.PublicKey(context, name, np.stack([total, shares[0].polynomials[1]]), seed, holders=2)
    both = rns.add(secrets[0].polynomial, secrets[1].polynomial, context.everything)
    x = np.linspace(-1, 1, context.slots)
    encrypted = ckks.encrypt(ckks.encode(context, x), joint, streams[0])
    plain = ckks.decrypt(encrypted, ckks.SecretKey(context, name, both))
    error = np.max(np.abs(ckks.decode(plain) - x))
    assert error <= plain.estimate.error <= 16 * error
    assert encrypted.estimate.holders == 2


def test_a_secret_key_is_not_shown_or_serialised_by_accident():
    secret = setting(ckks.N8192).secret
    assert repr(secret) == str(secret) == "<secret key>"
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not serialised"):
            call(secret)


def test_nothing_prints_its_content():
    s = setting(ckks.N8192)
    a = s.encrypt(s.vector(1))
    for thing in (s.context, s.public, s.relin, s.galois, a, ckks.encode(s.context, [0.5])):
        assert "array" not in repr(thing)
        assert len(repr(thing)) < 200
