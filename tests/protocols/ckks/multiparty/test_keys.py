"""Keys that nobody holds: what they encrypt, multiply and turn is right under the sum of the shares, and under nothing less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from native import rns
from protocols.ckks.context import Context, context_of
from protocols.ckks.encoder import decode, encode
from protocols.ckks.encryption import decrypt, encrypt
from protocols.ckks.keys import SecretKey
from protocols.ckks.multiparty.agreement import COMMIT, REVEAL, _commitment
from protocols.ckks.multiparty.gather import joint_sum
from protocols.ckks.multiparty.keys import FIRST, SECOND, JointKeys, joint_keys
from protocols.ckks.parameters import N8192
from protocols.ckks.products import multiply
from protocols.ckks.rotations import rotate
from protocols.errors import KeyMismatch, PeerLost, PeerMisbehaved
from protocols.prf import PrfStream
from protocols.session import Session
from protocols.simulation import Frame, Outcome, Simulation

MEMBERS, HOSPITALS = 5, (0, 2, 3, 4)  # member 1 computes and holds no data
CONTEXT = context_of(N8192)
ELEMENTS = (CONTEXT.galois_element(3),)


def make(session: Session) -> JointKeys:
    return joint_keys(session, CONTEXT, ELEMENTS)


def whole_secret(keys: list[JointKeys]) -> SecretKey:
    shares = [key.share for key in keys if key.share is not None]
    total = shares[0].polynomial
    for share in shares[1:]:
        total = rns.add(total, share.polynomial, CONTEXT.everything)
    return SecretKey(CONTEXT, shares[0].id, total)


@pytest.fixture(scope="module")
def made() -> Outcome:
    return Simulation(MEMBERS, HOSPITALS).run(make)


@pytest.fixture(scope="module")
def keys(made: Outcome) -> list[JointKeys]:
    return made.results


def test_the_metered_rounds_are_the_declared_ones(made: Outcome) -> None:
    seed, sums, comparison = 2, 2 * 2, 1
    assert [meter.rounds for meter in made.meters] == MEMBERS * [seed + sums + comparison]


def test_every_member_has_the_same_keys_and_hospitals_alone_a_share(keys: list[JointKeys]) -> None:
    assert [key.share is not None for key in keys] == [True, False, True, True, True]
    for key in keys[1:]:
        assert np.array_equal(key.public.polynomials, keys[0].public.polynomials)
        assert np.array_equal(key.relinearisation.prepared.words, keys[0].relinearisation.prepared.words)
        assert np.array_equal(key.galois.of(ELEMENTS[0]).prepared.words, keys[0].galois.of(ELEMENTS[0]).prepared.words)
    assert len({key.public.key_id for key in keys}) == 1


def test_encrypted_products_and_rotations_are_right_within_the_stated_error(keys: list[JointKeys]) -> None:
    rng, key = np.random.default_rng(1), keys[1]
    x, y = rng.uniform(-1, 1, (2, CONTEXT.slots))
    randomness = PrfStream(bytes(range(16)))
    a, b = (encrypt(encode(CONTEXT, values), key.public, randomness) for values in (x, y))
    answers = {"product": (multiply(a, b, key.relinearisation), x * y), "turned": (rotate(a, 3, key.galois), np.roll(x, -3))}
    for ciphertext, expected in answers.values():
        plain = decrypt(ciphertext, whole_secret(keys))
        error = np.abs(decode(plain) - expected).max()
        assert plain.estimate.error / 100 < error < plain.estimate.error < 1e-3


def test_all_shares_but_one_decrypt_nothing(keys: list[JointKeys]) -> None:
    ciphertext = encrypt(encode(CONTEXT, np.full(CONTEXT.slots, 0.5)), keys[1].public, PrfStream(bytes(16)))
    partial = whole_secret(keys[1:])
    total = rns.mul_add(ciphertext.polynomials[0].copy(), ciphertext.polynomials[1], partial.polynomial[:3], CONTEXT.levels[-1])
    words = rns.inverse(total, CONTEXT.levels[-1])[0].astype(float) / CONTEXT.preset.primes[0]
    counts, _ = np.histogram(words, 64, (0, 1))
    expected = CONTEXT.degree / 64
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 6 * np.sqrt(2 * 63)  # uniform, to six deviations of chi-square


def test_a_retry_has_other_keys_and_they_do_not_mix(keys: list[JointKeys]) -> None:
    again = Simulation(MEMBERS, HOSPITALS, seed="again").run(make).results
    assert again[0].public.key_id != keys[0].public.key_id
    assert not np.array_equal(again[0].share.polynomial, keys[0].share.polynomial)
    one = encrypt(encode(CONTEXT, [0.5]), keys[0].public, PrfStream(bytes(16)))
    other = encrypt(encode(CONTEXT, [0.5]), again[0].public, PrfStream(bytes(16)))
    with pytest.raises(KeyMismatch):
        multiply(one, other, keys[0].relinearisation)
    with pytest.raises(KeyMismatch):
        multiply(one, one, again[0].relinearisation)
    with pytest.raises(KeyMismatch):
        decrypt(one, whole_secret(again))


@pytest.mark.parametrize("kind", [f"{FIRST}: sums", f"{SECOND}: sums"])
def test_a_sum_that_differs_between_two_peers_ends_the_session(kind: str) -> None:
    def tamper(frame: Frame, receiver: int) -> Frame:
        if (frame.kind, frame.sender, receiver) != (kind, 2, 4):
            return frame
        payload = frame.payload.copy()
        payload[5] ^= 1  # a low bit of a residue
        return replace(frame, payload=payload)

    with pytest.raises(PeerMisbehaved, match="joint keys"):
        Simulation(MEMBERS, HOSPITALS, tamper=tamper).run(make)


def test_nonces_that_differ_between_peers_end_the_session() -> None:
    """A member that commits and reveals one nonce to some and another to others: their seeds differ, and so do key names."""

    def tamper(frame: Frame, receiver: int) -> Frame:
        if frame.sender != 4 or receiver != 3 or frame.kind not in (COMMIT, REVEAL):
            return frame
        nonce = bytes(32)
        payload = nonce if frame.kind == REVEAL else _commitment(session_of[0], 4, nonce)
        return replace(frame, payload=np.frombuffer(payload, np.uint8))

    session_of: list[Session] = []

    def program(session: Session) -> JointKeys:
        session_of.append(session)
        return make(session)

    with pytest.raises(PeerMisbehaved, match="joint keys"):
        Simulation(MEMBERS, HOSPITALS, tamper=tamper).run(program)


def test_a_residue_beyond_its_prime_is_refused() -> None:
    def tamper(frame: Frame, receiver: int) -> Frame:
        if (frame.kind, frame.sender, receiver) != (f"{FIRST}: shares of sums", 2, 4):
            return frame
        return replace(frame, payload=np.full_like(frame.payload, 255))

    with pytest.raises(PeerMisbehaved, match="residues"):
        Simulation(MEMBERS, HOSPITALS, tamper=tamper).run(make)


@pytest.mark.parametrize("kind", [f"{FIRST}: shares of sums", f"{SECOND}: sums"])
def test_a_peer_that_vanishes_ends_the_session(kind: str) -> None:
    gone = []

    def tamper(frame: Frame, receiver: int) -> Frame | None:
        if frame.sender == 3 and frame.kind == kind:
            gone.append(receiver)
        return None if frame.sender == 3 and gone else frame

    with pytest.raises(PeerLost):
        Simulation(MEMBERS, HOSPITALS, deadline=1.0, tamper=tamper).run(make)


def test_sums_travel_once_whatever_the_number_of_hospitals() -> None:
    def program(session: Session, context: Context = CONTEXT) -> np.ndarray:
        mine = np.full((2, 4, context.degree), session.me + 1, np.uint64) if session.holds_data else None
        return joint_sum(session, "test", mine, context.everything, 2)

    for members in (3, 8):
        outcome = Simulation(members, tuple(range(members))).run(program)
        assert all((result == members * (members + 1) // 2).all() for result in outcome.results)
        own = 2 * context_bytes()
        assert max(meter.bytes_sent for meter in outcome.meters) <= 2.7 * own


def context_bytes() -> int:
    return CONTEXT.degree // 8 * sum(p.bit_length() for p in CONTEXT.everything.primes)
