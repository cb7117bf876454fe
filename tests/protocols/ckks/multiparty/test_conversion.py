"""Ciphertexts to shares and back, and the attacks that its guards stop. Each attack works once its guard is gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import native
from native import rns
from protocols.ckks.arithmetic import multiply_plain, rescale
from protocols.ckks.ciphertext import Ciphertext
from protocols.ckks.context import context_of
from protocols.ckks.encoder import encode
from protocols.ckks.encryption import encrypt
from protocols.ckks.keys import PublicKey, noise_polynomial
from protocols.ckks.multiparty import conversion
from protocols.ckks.multiparty.conversion import ShareBook, elements, spread, to_ciphertext, to_shares
from protocols.ckks.multiparty.keys import JointKeys, joint_keys
from protocols.ckks.multiparty.rows import SumsPlan
from protocols.ckks.parameters import N8192
from protocols.engine import LARGE, Secret
from protocols.errors import KeyMismatch, LevelExhausted, MisuseError, PeerMisbehaved, ScaleMismatch, SecurityBudgetExceeded
from protocols.prf import PrfStream
from protocols.replicated import cost
from protocols.replicated.engine import Replicated
from protocols.replicated.sharing import reconstruct
from protocols.session import Session
from protocols.simulation import Frame, Simulation

MEMBERS, HOSPITALS = 4, (0, 2, 3)
CONTEXT = context_of(N8192)
BASIS = CONTEXT.levels[0]
Q = CONTEXT.preset.primes[0]
SCALE = 2.0**42
Brings = Callable[[Session, JointKeys], list[Ciphertext] | None]


@dataclass
class Converted:
    values: np.ndarray  # the centred integers that were shared
    keys: list[JointKeys]
    views: list[list[Frame]]
    rounds: list[int]  # of the conversion, at each member


def convert(brings: Brings, count: int, which: Any = "constant", scale: float = SCALE, **options: Any) -> Converted:
    """One session: joint keys, what each hospital brings, and its conversion."""

    def program(session: Session) -> tuple[np.ndarray | None, JointKeys, int]:
        keys = joint_keys(session, CONTEXT)
        before = session.meter.rounds
        mpc = Replicated(session) if session.computes else None
        book = ShareBook(keys.share) if keys.share else None
        mine = brings(session, keys) if session.holds_data else None
        found = to_shares(session, keys, book, mpc, mine, count, scale, which)
        rounds = session.meter.rounds - before
        return None if mpc is None or found is None else mpc.release_share(found), keys, rounds

    outcome = Simulation(MEMBERS, HOSPITALS, **options).run(program)
    shares, keys, rounds = zip(*outcome.results, strict=True)
    return Converted(native.to_ints(reconstruct(shares[:3])), list(keys), outcome.views, list(rounds))


def vectors(me: int, count: int) -> np.ndarray:
    return np.random.default_rng(me).uniform(-1, 1, (count, CONTEXT.slots))


def means(session: Session, keys: JointKeys, count: int = 3) -> list[Ciphertext]:
    """`count` ciphertexts at level 0, of this hospital's vectors."""
    randomness = PrfStream(session.entropy(16))
    plains = [encode(CONTEXT, v, level=0, scale=SCALE) for v in vectors(session.me, count)]
    return [encrypt(plain, keys.public, randomness) for plain in plains]


# ---- right answers ---------------------------------------------------------------------------------------------------------


def test_sums_over_slots_and_hospitals_arrive_as_shares() -> None:
    found = convert(means, 3)
    expected = sum(vectors(h, 3).mean(axis=1) for h in HOSPITALS)
    assert np.abs(found.values.astype(float) / SCALE - expected).max() < 2.0**-26


@pytest.mark.parametrize(("which", "count", "numbers"), [("constant", 3, 3), ("complex", 2, 4), ("all", 1, CONTEXT.degree)])
def test_the_metered_rounds_are_the_declared_ones(which: str, count: int, numbers: int) -> None:
    found = convert(lambda session, keys: means(session, keys, count), count, which)
    steps = len(HOSPITALS) + 1
    comparisons = cost.negative((steps * numbers, LARGE), (2 * steps * Q).bit_length())
    assert found.rounds == [4 + comparisons.rounds] * 3 + [4]  # the last member does not compute


def test_real_and_imaginary_parts_of_one_ciphertext_are_two_sums() -> None:
    def pair(session: Session, keys: JointKeys) -> list[Ciphertext]:
        x, y = vectors(session.me, 2)
        plain = encode(CONTEXT, x + 1j * y, 2.0, level=0, scale=SCALE)
        return [encrypt(plain, keys.public, PrfStream(session.entropy(16)))]

    found = convert(pair, 1, "complex")
    expected = sum(vectors(h, 2).mean(axis=1) for h in HOSPITALS)
    assert np.abs(found.values.astype(float) / SCALE - expected).max() < 2.0**-26


def test_a_whole_polynomial_arrives_as_shares() -> None:
    found = convert(lambda session, keys: means(session, keys, 1), 1, "all")
    total = sum(vectors(h, 1)[0] for h in HOSPITALS)
    expected = rns.inverse(encode(CONTEXT, total, 3.0, level=0, scale=SCALE).polynomial.copy(), BASIS)[0].astype(object)
    centred = np.where(expected > Q // 2, expected - Q, expected)
    assert np.abs((found.values - centred).astype(float)).max() < 2.0**16


def test_shared_numbers_arrive_encrypted_and_spread_over_the_slots() -> None:
    count, frac, level = 5, 36, 1
    numbers = np.random.default_rng(0).uniform(-0.4, 0.4, count)
    integers = np.array([round(float(v) * 2**frac) for v in numbers], dtype=object)

    def program(session: Session) -> tuple[np.ndarray | None, int]:
        keys = joint_keys(session, CONTEXT, elements(count))
        mpc = Replicated(session) if session.computes else None
        x = None
        if mpc is not None:
            fresh = mpc.mul(mpc.constant(integers, frac=0), mpc.constant(np.ones(count, np.int64), frac=0))
            x = mpc.bounded(replace(fresh, frac=frac), 1 << frac - 1, "numbers below one half")
        before = session.meter.rounds
        packed = to_ciphertext(session, keys, x, count, frac, 0.5, level)
        rounds = session.meter.rounds - before
        book = mine = None
        if packed is not None and keys.share is not None:
            singles = spread(packed, count, 0.5, keys)
            plain = encode(
                CONTEXT, vectors(session.me, 1)[0], level=level, scale=SCALE * CONTEXT.preset.primes[1] / singles[0].scale
            )
            mine, book = [replace(rescale(multiply_plain(each, plain)), scale=SCALE) for each in singles], ShareBook(keys.share)
        found = to_shares(session, keys, book, mpc, mine, count, SCALE)
        return None if mpc is None or found is None else mpc.release_share(found), rounds

    shares, rounds = zip(*Simulation(MEMBERS, HOSPITALS).run(program).results, strict=True)
    assert rounds == (2, 2, 2, 1)  # as declared: shares of integers among those who compute, then the ciphertexts
    values = native.to_ints(reconstruct(shares[:3])).astype(float) / SCALE
    expected = numbers * sum(vectors(h, 1)[0].mean() for h in HOSPITALS)
    assert np.abs(values - expected).max() < 2.0**-20


# ---- attacks ---------------------------------------------------------------------------------------------------------------


def test_what_is_converted_is_as_noisy_as_stated() -> None:
    """A multiple of zero, rescaled, and an encryption of zero from every hospital: what arrives is noise."""

    def zeros(session: Session, keys: JointKeys) -> list[Ciphertext]:
        randomness = PrfStream(session.entropy(16))
        small = vectors(session.me, 1)[0] / 100  # what the encryption of zero is off by, less than the rounding
        plain = encode(CONTEXT, small, level=1, scale=SCALE * CONTEXT.preset.primes[1] / CONTEXT.preset.scale)
        zero = encode(CONTEXT, np.zeros(CONTEXT.slots), 1.0, level=1)
        found = [rescale(multiply_plain(encrypt(zero, keys.public, randomness), plain)) for _ in range(64)]
        return [replace(each, scale=SCALE) for each in found]

    values = convert(zeros, 64, "complex").values.astype(float)
    stated = SumsPlan(CONTEXT.preset, 1, 12, len(HOSPITALS)).noise
    assert 0.8 < np.sqrt(np.mean(values**2)) / stated < 1.25


def columns_times(session: Session, keys: JointKeys) -> list[Ciphertext]:
    """The hospital's own column times a ciphertext that everybody has."""
    everybodys = encrypt(encode(CONTEXT, np.full(CONTEXT.slots, 0.3), level=1), keys.public, PrfStream(bytes(16)))
    plain = encode(CONTEXT, vectors(session.me, 1)[0], level=1, scale=SCALE * CONTEXT.preset.primes[1] / everybodys.scale)
    product = rescale(multiply_plain(everybodys, plain))
    return [replace(product, scale=SCALE)]


def column_read(converted: Converted) -> bool:
    """Whether dividing what hospital 2 sent to hospital 0 by the public ciphertext gives hospital 2's column.

    Whoever guesses the column right finds c_1 p / q_1 near what was sent: it is noise alone, or nothing, that stands between.
    """
    everybodys = encrypt(encode(CONTEXT, np.full(CONTEXT.slots, 0.3), level=1), converted.keys[0].public, PrfStream(bytes(16)))
    plain = encode(CONTEXT, vectors(2, 1)[0], level=1, scale=SCALE * CONTEXT.preset.primes[1] / everybodys.scale)
    guessed = rescale(multiply_plain(everybodys, plain)).polynomials[1, :1]
    frame = next(f for f in converted.views[0] if f.kind == conversion.SUMMED and f.sender == 2)
    sent = conversion.unpacked(frame.payload, BASIS, range(1), 1)[0]
    apart = rns.inverse(rns.sub(sent, guessed, BASIS), BASIS)[0].astype(object)
    return bool(max(min(a, Q - a) for a in apart) < 2**20)


def nothing(key: PublicKey, level: int, randomness: PrfStream) -> np.ndarray:
    return np.zeros((2, level + 1, CONTEXT.degree), np.uint64)


def noise_alone(key: PublicKey, level: int, randomness: PrfStream) -> np.ndarray:
    return np.stack([noise_polynomial(randomness, CONTEXT.levels[level]) for _ in range(2)])


@pytest.mark.parametrize("instead", [nothing, noise_alone])
def test_no_division_reads_a_column_because_of_the_encryption_of_zero(monkeypatch: pytest.MonkeyPatch, instead: Any) -> None:
    """Noise alone is no encryption of zero."""
    assert not column_read(convert(columns_times, 1))
    monkeypatch.setattr(conversion, "zero_polynomials", instead)
    assert column_read(convert(columns_times, 1))


def test_every_ciphertext_has_an_encryption_of_zero_of_its_own() -> None:
    """With one for all of a batch, differences of products would show differences of columns."""
    found = convert(lambda session, keys: columns_times(session, keys) * 2, 2)
    frame = next(f for f in found.views[0] if f.kind == conversion.SUMMED and f.sender == 2)
    one, other = conversion.unpacked(frame.payload, BASIS, range(1), 2)
    apart = rns.inverse(rns.sub(one, other, BASIS), BASIS)[0].astype(float) / Q
    counts, _ = np.histogram(apart, 64, (0, 1))
    expected = CONTEXT.degree / 64
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 6 * np.sqrt(2 * 63)


def crafted(session: Session, keys: JointKeys) -> list[Ciphertext]:
    """Hospital 0 brings c_1 = floor(q / 4), the others nothing: shares of the joint one are multiples of q / 4."""
    polynomials = np.zeros((2, 1, CONTEXT.degree), np.uint64)
    if session.me == 0:
        polynomials[1] = Q // 4
    like = encrypt(encode(CONTEXT, [0.0], level=0, scale=SCALE), keys.public, PrfStream(bytes(16)))
    return [replace(like, polynomials=polynomials)]


def partials(converted: Converted, sender: int) -> np.ndarray:
    """What a hospital published to compute party 0 (the attacker's view; party 0 is a hospital as well)."""
    return next(f for f in converted.views[0] if f.kind == conversion.PARTIAL and f.sender == sender).payload


def key_read(converted: Converted) -> bool:
    """Whether the published share of hospital 2 shows its secret, coefficient by coefficient: multiples of q / 4."""
    quarters = partials(converted, 2).astype(float) / (Q / 4)
    near = np.abs(quarters - np.rint(quarters)) < 2.0**-20
    if near.mean() < 0.9:
        return False
    share = converted.keys[2].share
    assert share is not None
    secret = rns.inverse(share.polynomial[:1].copy(), BASIS)[0].astype(object)
    ternary = np.where(secret > Q // 2, secret - Q, secret)
    return bool((np.rint(quarters).astype(int) % 4 == ternary % 4).mean() > 0.99)


def test_no_crafted_ciphertext_reads_the_key_through_a_uniform_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "zero_polynomials", lambda key, level, _: np.zeros((2, level + 1, CONTEXT.degree), np.uint64))
    assert not key_read(convert(crafted, 1, "all"))
    bounded = np.random.default_rng(5)  # a mask as wide as an honest value's bound would ask for, and no wider
    monkeypatch.setattr(conversion, "_uniform", lambda randomness, basis, n: bounded.integers(0, 2**20, n).astype(np.uint64))
    assert key_read(convert(crafted, 1, "all"))


def test_published_shares_are_uniform_whatever_is_converted() -> None:
    """Chi-square of 8192 published words in 64 classes, for a crafted ciphertext and for an honest one."""
    for brings in (crafted, lambda session, keys: means(session, keys, 1)):
        words = partials(convert(brings, 1, "all"), 2).astype(float) / Q
        counts, _ = np.histogram(words, 64, (0, 1))
        expected = len(words) / 64
        assert ((counts - expected) ** 2 / expected).sum() < 63 + 6 * np.sqrt(2 * 63)


def book_of(converted: Converted) -> ShareBook:
    share = converted.keys[2].share
    assert share is not None
    return ShareBook(share)


def test_a_share_is_made_once_and_sent_again_byte_for_byte() -> None:
    """Fresh noise each time would average to the key: 400 of them show it (the mutation)."""
    book, randomness = book_of(convert(means, 3)), PrfStream(bytes(range(16)))
    c1 = np.random.default_rng(1).integers(0, Q, (1, CONTEXT.degree), dtype=np.uint64)
    c0 = np.zeros(CONTEXT.degree, np.uint64)
    first = book.share(c1, c0, "all", randomness)
    for _ in range(5):
        again = book.share(c1, c0, "all", randomness)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert book.converted == CONTEXT.degree

    def unmasked(h: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return (h + mask) % np.uint64(Q)

    exact = conversion.coefficients(rns.mul(c1, book.key.polynomial[:1], BASIS), "all", BASIS).astype(object)
    fresh = [unmasked(*conversion._masked_share(book.key, c1, c0, "all", randomness)) for _ in range(400)]
    errors = np.array([(each.astype(object) - exact + Q // 2) % Q - Q // 2 for each in fresh], dtype=float)
    assert np.abs(errors[0]).max() > 5
    assert np.mean(np.abs(errors.mean(axis=0)) < 0.5) > 0.95


def test_every_coefficient_has_a_mask_of_its_own() -> None:
    book, randomness = book_of(convert(means, 3)), PrfStream(bytes(range(16)))
    c1 = np.random.default_rng(2).integers(0, Q, (6, CONTEXT.degree), dtype=np.uint64)
    _, masks = book.share(c1, np.zeros(6, np.uint64), "constant", randomness)
    assert len(set(masks.tolist())) == 6


def test_a_share_is_made_once_whatever_its_neighbours_are() -> None:
    """Row by row: else any other neighbour would give the same ciphertext a second share, with fresh noise."""
    book, randomness = book_of(convert(means, 3)), PrfStream(bytes(range(16)))
    rows = np.random.default_rng(3).integers(0, Q, (4, CONTEXT.degree), dtype=np.uint64)
    zeros = np.zeros(2, np.uint64)
    first, _ = book.share(rows[[0, 1]], zeros, "constant", randomness)
    second, _ = book.share(rows[[2, 0]], zeros, "constant", randomness)
    twice, _ = book.share(rows[[3, 3]], zeros, "constant", randomness)
    assert first[0] == second[1]
    assert twice[0] == twice[1]
    assert book.converted == 4


def test_another_entry_under_a_known_ciphertext_is_refused() -> None:
    book, randomness = book_of(convert(means, 3)), PrfStream(bytes(16))
    c1 = np.ones((1, CONTEXT.degree), np.uint64)
    book.share(c1, np.zeros(1, np.uint64), "constant", randomness)
    with pytest.raises(MisuseError, match="second share"):
        book.share(c1, np.ones(1, np.uint64), "constant", randomness)
    with pytest.raises(MisuseError, match="second share"):
        book.share(c1, np.zeros(2, np.uint64), "complex", randomness)


def test_a_book_belongs_to_its_key() -> None:
    other = book_of(convert(means, 3, seed="other"))

    def program(session: Session) -> None:
        keys = joint_keys(session, CONTEXT)
        to_shares(session, keys, other, None, means(session, keys), 3, SCALE)

    with pytest.raises(KeyMismatch, match="book"):
        Simulation(3, (0, 1, 2)).run(program)


def test_conversions_are_counted_for_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "MOST_CONVERSIONS", 5)
    book, randomness = book_of(convert(means, 3)), PrfStream(bytes(16))
    rows = np.random.default_rng(4).integers(0, Q, (6, CONTEXT.degree), dtype=np.uint64)
    book.share(rows[:3], np.zeros(3, np.uint64), "constant", randomness)
    with pytest.raises(SecurityBudgetExceeded, match="conversions"):
        book.share(rows[3:], np.zeros(3, np.uint64), "constant", randomness)


def test_different_encrypted_numbers_at_two_hospitals_end_the_session() -> None:
    def program(session: Session) -> None:
        keys = joint_keys(session, CONTEXT)
        mpc, book = Replicated(session), ShareBook(keys.share)  # type: ignore[arg-type]
        to_shares(session, keys, book, mpc, means(session, keys), 3, SCALE, "constant", b"other" if session.me == 2 else b"same")

    with pytest.raises(PeerMisbehaved, match="differed"):
        Simulation(3, (0, 1, 2)).run(program)


def test_two_ciphertexts_to_two_peers_end_the_session() -> None:
    def tamper(frame: Frame, receiver: int) -> Frame:
        if (frame.kind, frame.sender, receiver) != (conversion.SUMMED, 2, 3):
            return frame
        payload = frame.payload.copy()
        payload[0] ^= 1
        return replace(frame, payload=payload)

    with pytest.raises(PeerMisbehaved, match="differed"):
        convert(means, 3, tamper=tamper)


def test_a_published_share_beyond_the_modulus_is_refused() -> None:
    def tamper(frame: Frame, receiver: int) -> Frame:
        return replace(frame, payload=np.full_like(frame.payload, Q)) if frame.kind == conversion.PARTIAL else frame

    with pytest.raises(PeerMisbehaved, match="residues"):
        convert(means, 3, tamper=tamper)


# ---- misuse ----------------------------------------------------------------------------------------------------------------


def other_session(session: Session, keys: JointKeys) -> list[Ciphertext]:
    return [replace(each, key_id=bytes(16)) for each in means(session, keys)]


def too_high(session: Session, keys: JointKeys) -> list[Ciphertext]:
    plain = encode(CONTEXT, [0.5], level=1, scale=SCALE)
    return [encrypt(plain, keys.public, PrfStream(session.entropy(16))) for _ in range(3)]


@pytest.mark.parametrize(
    ("brings", "error"),
    [
        (other_session, KeyMismatch),
        (too_high, LevelExhausted),
        (lambda session, keys: [replace(each, scale=SCALE / 2) for each in means(session, keys)], ScaleMismatch),
        (lambda session, keys: means(session, keys, 2), MisuseError),
    ],
)
def test_what_does_not_fit_the_plan_is_refused(brings: Brings, error: type[Exception]) -> None:
    with pytest.raises(error):
        convert(brings, 3)


def test_numbers_out_of_plan_are_not_encrypted() -> None:
    def program(session: Session) -> None:
        keys = joint_keys(session, CONTEXT)
        mpc = Replicated(session)
        x: Secret = mpc.constant(np.ones(2), frac=36)
        to_ciphertext(session, keys, x, 2, 36, 0.5, 1)

    with pytest.raises(MisuseError, match="plan"):
        Simulation(3, (0, 1, 2)).run(program)
