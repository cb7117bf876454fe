"""Requirements 17 and 18: bytes from elsewhere are read as they were written, or refused with a typed error."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import ckks
from protocols.ckks import wire
from protocols.errors import CiphertextMalformed, KeyMismatch, MisuseError
from tests.protocols.ckks.setting import Setting, setting

REFUSED = (CiphertextMalformed, KeyMismatch)
SEAL_BYTES = 2 * 3 * 8192 * 8
HEADER = wire.LAYOUT.size


@pytest.fixture(scope="module")
def s() -> Setting:
    return setting(ckks.N8192)


def fresh(s: Setting) -> ckks.Ciphertext:
    return ckks.encrypt_with_secret(ckks.encode(s.context, s.vector(1)), s.secret, s.randomness)


KINDS: dict[str, tuple[Callable[[Setting], bytes], Callable[[ckks.Context, bytes], Any], Callable[[Any], bytes]]] = {
    "fresh ciphertext": (lambda s: wire.write_ciphertext(fresh(s)), ckks.read_ciphertext, ckks.write_ciphertext),
    "ciphertext": (
        lambda s: wire.write_ciphertext(s.encrypt(s.vector(1), level=1)),
        ckks.read_ciphertext,
        ckks.write_ciphertext,
    ),
    "product": (
        lambda s: wire.write_ciphertext(ckks.tensor(fresh(s), fresh(s))),
        ckks.read_ciphertext,
        ckks.write_ciphertext,
    ),
    "public key": (lambda s: ckks.write_public_key(s.public), ckks.read_public_key, ckks.write_public_key),
    "relinearisation key": (
        lambda s: ckks.write_relinearisation_key(s.relin),
        ckks.read_relinearisation_key,
        ckks.write_relinearisation_key,
    ),
    "Galois keys": (
        lambda s: ckks.write_galois_keys(ckks.galois_keys(s.secret, [1, 2], s.randomness)),
        ckks.read_galois_keys,
        ckks.write_galois_keys,
    ),
}


@pytest.fixture(scope="module", params=KINDS)
def message(request: pytest.FixtureRequest, s: Setting) -> tuple[bytes, Callable[..., Any], Callable[..., bytes]]:
    make, read, write = KINDS[request.param]
    return make(s), read, write


def test_what_is_read_is_written_as_the_same_bytes(s, message):
    data, read, write = message
    assert write(read(s.context, data)) == data


def test_a_ciphertext_is_read_as_it_was(s):
    a = fresh(s)
    found = ckks.read_ciphertext(s.context, ckks.write_ciphertext(a))
    assert np.array_equal(found.polynomials, a.polynomials)
    assert (found.scale, found.key_id, found.estimate, found.seed) == (a.scale, a.key_id, a.estimate, a.seed)
    error, stated = s.error(found, s.vector(1))
    assert error <= stated


def test_a_seed_still_stands_for_the_half_of_what_was_made_of_a_fresh_ciphertext(s):
    made = ckks.drop_to(ckks.add_constant(ckks.stretched(fresh(s), 0.5), 0.25), 1)
    data = ckks.write_ciphertext(made)
    assert len(data) == HEADER + 16 + (47 + 40) * 8192 // 8
    assert np.array_equal(ckks.read_ciphertext(s.context, data).polynomials, made.polynomials)


def test_a_key_without_a_proper_name_does_not_travel(s):
    with pytest.raises(MisuseError, match="16 bytes"):
        ckks.write_ciphertext(replace(fresh(s), key_id=b"short"))


def test_keys_work_after_a_journey(s):
    relin = ckks.read_relinearisation_key(s.context, ckks.write_relinearisation_key(s.relin))
    galois = ckks.read_galois_keys(s.context, ckks.write_galois_keys(s.galois))
    public = ckks.read_public_key(s.context, ckks.write_public_key(s.public))
    x = s.vector(1)
    a = ckks.encrypt(ckks.encode(s.context, x), public, s.randomness)
    error, stated = s.error(ckks.rotate(ckks.multiply(a, a, relin), 1, galois), np.roll(x**2, -1))
    assert error <= stated


def test_joint_keys_travel_with_both_halves(s):
    joint = replace(s.public, seed=None, holders=3)
    found = ckks.read_public_key(s.context, ckks.write_public_key(joint))
    assert np.array_equal(found.polynomials, joint.polynomials)
    assert found.holders == 3
    relin = replace(s.relin, seed=None, noise_variance=31.5)
    back = ckks.read_relinearisation_key(s.context, ckks.write_relinearisation_key(relin))
    assert np.array_equal(back.polynomials, relin.polynomials)
    assert back.noise_variance == 31.5


def test_a_fresh_ciphertext_is_a_third_of_seals(s):
    assert len(ckks.write_ciphertext(fresh(s))) <= 0.36 * SEAL_BYTES


def test_a_fresh_ciphertext_is_as_long_as_its_bits(s):
    assert len(ckks.write_ciphertext(fresh(s))) == HEADER + 16 + (47 + 40 + 40) * 8192 // 8


def test_truncated_and_extended_bytes_are_refused(s, message):
    data, read, _ = message
    for bad in (data[:-1], data + b"\0", data[: HEADER - 1], data[:HEADER], data[: HEADER + 16], data[: len(data) // 2], b""):
        with pytest.raises(REFUSED):
            read(s.context, bad)


def test_every_altered_byte_of_the_header_is_refused_or_read_as_it_stands(s, message):
    data, read, write = message
    for at in range(HEADER):
        for flip in (0x01, 0x80, 0xFF):
            bad = bytearray(data)
            bad[at] ^= flip
            _read_or_refused(s, bytes(bad), read, write)


def _read_or_refused(s: Setting, data: bytes, read: Callable[..., Any], write: Callable[..., bytes]) -> None:
    try:
        found = read(s.context, data)
    except REFUSED:
        return
    assert write(found) == data


FIELDS = {"magic": 0, "version": 4, "kind": 5, "level": 6, "seeded": 7, "holders": 8, "element": 10, "parameters": 14}


@pytest.mark.parametrize("field", FIELDS)
def test_an_altered_field_is_refused(s, field):
    data = bytearray(ckks.write_ciphertext(fresh(s)))
    data[FIELDS[field]] ^= 0xFE if field != "holders" else 0x01
    with pytest.raises(REFUSED):
        ckks.read_ciphertext(s.context, bytes(data))


NUMBERS = {"scale": 46, "bound": 54, "deviation": 62}
BAD_NUMBERS = [np.nan, np.inf, -np.inf, -1.0, 1e300]


@pytest.mark.parametrize("field", NUMBERS)
@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_numbers_that_cannot_be_are_refused(s, field, number):
    data = bytearray(ckks.write_ciphertext(fresh(s)))
    struct.pack_into("<d", data, NUMBERS[field], number)
    with pytest.raises(CiphertextMalformed):
        ckks.read_ciphertext(s.context, bytes(data))


@pytest.mark.parametrize("limb", range(3))
def test_a_residue_that_is_not_below_its_prime_is_refused(s, limb):
    data = bytearray(ckks.write_ciphertext(fresh(s)))
    at = HEADER + 16 + sum((47, 40, 40)[:limb]) * 1024
    data[at : at + 8] = b"\xff" * 8
    with pytest.raises(CiphertextMalformed):
        ckks.read_ciphertext(s.context, bytes(data))


def test_other_parameters_are_refused(s, message):
    data, read, _ = message
    with pytest.raises(KeyMismatch, match="other parameters"):
        read(ckks.context_of(ckks.N16384), data)


def test_a_kind_is_not_read_as_another(s):
    written = {name: make(s) for name, (make, _, _) in KINDS.items()}
    for name, data in written.items():
        for other, (_, read, _) in KINDS.items():
            if KINDS[name][1] is not KINDS[other][1]:
                with pytest.raises(REFUSED):
                    read(s.context, data)


def test_galois_keys_are_in_order_and_of_one_secret(s):
    data = ckks.write_galois_keys(ckks.galois_keys(s.secret, [1, 2], s.randomness))
    first, second = data[: len(data) // 2], data[len(data) // 2 :]
    for bad in (second + first, first + first):
        with pytest.raises(CiphertextMalformed):
            ckks.read_galois_keys(s.context, bad)
    other = bytearray(second)
    other[30] ^= 1
    with pytest.raises(KeyMismatch, match="different secrets"):
        ckks.read_galois_keys(s.context, first + bytes(other))


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_refused(data):
    context = ckks.context_of(ckks.N8192)
    for _, read, _ in KINDS.values():
        with pytest.raises(REFUSED):
            read(context, data)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(KINDS)), st.data())
def test_altered_messages_are_refused_or_read_as_they_stand(kind, draw):
    s = setting(ckks.N8192)
    data = bytearray(_written(kind))
    for _ in range(draw.draw(st.integers(1, 4))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    _, read, write = KINDS[kind]
    _read_or_refused(s, bytes(data), read, write)


_messages: dict[str, bytes] = {}


def _written(kind: str) -> bytes:
    if kind not in _messages:
        _messages[kind] = KINDS[kind][0](setting(ckks.N8192))
    return _messages[kind]
