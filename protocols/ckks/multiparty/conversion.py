"""Between joint ciphertexts and shares: nothing is ever decrypted to anyone.

Encryption to shares, of the constant coefficient of each of n ciphertexts (the sum over slots is N/2 times it; X^(N/2) is i in
every slot, and its coefficient the imaginary part of that sum) or of all N coefficients of one, at level 0, modulo q = q_0.
Every hospital brings ciphertexts that its own data entered; their sum over hospitals is what is converted.
    1  hospital i adds a fresh encryption of zero to each of its own: without it, one division of what it sends by what it was
       sent reads its data column (circuit privacy)
    2  it sends c_1 to every other hospital; each adds up the joint c_1 itself, never taking a sum from another, and they compare
       digests of it
    3  it publishes to the compute parties   h_i = (c_1 s_i + c_(0,i) + e_i - M_i) mod q   with M_i uniform modulo q, so h_i is
       uniform and independent of everything, whatever c_1 is: a crafted one reads nothing through it
    4  the sum of the M_i reaches the compute parties as shares of an integer, under pairwise masks (sums.py), and the wrap count
       is computed on shares (unwrap.py)
c_(0,i) stays at home: only its coefficient enters h_i. One share for each (key, c_1): asked again, a hospital sends the
very same bytes. Conversions are counted for each key.

Shares to encryption, of up to N/2 numbers in Z_2^256 as coefficients of one polynomial: the compute parties turn their shares
into three integers with the same sum (replicated/integers.py) and encrypt one each under the joint public key; hospitals add up.
`spread` takes it apart into ciphertexts of one number in every slot each.

Adversary: semi-honest. One compute party, or all hospitals but one that do not compute: nothing. Compute parties that
collude: the numbers converted, which are totals over hospitals, with their noise, and how many hospitals' numbers exceed
their h_i; what h_i + M_i is of one hospital stays behind the pairwise masks, and were it known it would be one more Ring-LWE
sample of s_i, because of e_i.
Rounds: 4 and a batch of comparisons; 2. Bytes a hospital: n packed polynomials of one limb to each other hospital, 8 n or 16 n to
each compute party, a contribution of n or 2 n numbers; a compute party: one ciphertext to each other hospital.
Sources: Mouchet et al., eprint 2020/304, protocol 4 (E2S, S2E), with masks uniform modulo q instead of bounded ones; expansion by
automorphisms: Angel, Chen, Laine, Setty, IEEE S&P 2018 (eprint 2017/1142), figure 3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from native import rns, sampling
from native.rns import Basis
from protocols import sums
from protocols.ckks.arithmetic import stretched
from protocols.ckks.ciphertext import Ciphertext, require_degree_1, require_same_scale
from protocols.ckks.context import Context, Words
from protocols.ckks.encryption import zero_polynomials
from protocols.ckks.keys import SEED_BYTES, PublicKey, SecretKey
from protocols.ckks.multiparty.agreement import require_same
from protocols.ckks.multiparty.gather import packed, packed_frame, unpacked
from protocols.ckks.multiparty.keys import JointKeys
from protocols.ckks.multiparty.unwrap import centred
from protocols.ckks.noise import Estimate, fresh_public
from protocols.ckks.rotations import turn
from protocols.engine import Declared, Engine, Secret
from protocols.errors import KeyMismatch, LevelExhausted, MisuseError, PeerMisbehaved, SecurityBudgetExceeded
from protocols.prf import PrfStream
from protocols.replicated.integers import integer_share
from protocols.session import COMPUTE, Expect, Session

MOST_CONVERSIONS = 1 << 17  # coefficients under one key
SUMMED, PARTIAL, MASKS, ENCRYPTED = "ciphertexts to add up", "masked partial decryption", "decryption masks", "encrypted shares"
Coefficients = Literal["constant", "complex", "all"]
Residues = npt.NDArray[np.uint64]


@dataclass
class ShareBook:
    """What a hospital has published of one key: a share for each joint ciphertext, made once. Lives and dies with the key."""

    key: SecretKey
    converted: int = 0
    _made: dict[bytes, tuple[bytes, Residues, Residues]] = field(default_factory=dict)

    def share(self, c1: Words, c0: Residues, which: Coefficients, randomness: PrfStream) -> tuple[Residues, Residues]:
        """(h, M), the published shares and their masks, each (n k,), of the joint c_1 (n, N); c0: own coefficients, k for each.

        The same bytes for the same c_1, whatever its neighbours are. Raises SecurityBudgetExceeded; MisuseError when another c_0,
        or other coefficients, are asked for of a known c_1.
        """
        own = c0.reshape(len(c1), -1)
        names = [hashlib.sha256(row.data.cast("B")).digest() for row in c1]
        asked = [hashlib.sha256(which.encode() + row.tobytes()).digest() for row in own]
        new = [i for i, name in enumerate(names) if name not in self._made and name not in names[:i]]
        if new:
            self.converted += own[new].size
            if self.converted > MOST_CONVERSIONS:
                raise SecurityBudgetExceeded("too many conversions under one key: ask for fewer columns")
            made = _masked_share(self.key, c1[new], np.ascontiguousarray(own[new]).reshape(-1), which, randomness)
            h, masks = (each.reshape(len(new), -1) for each in made)
            self._made |= {names[i]: (asked[i], h[place], masks[place]) for place, i in enumerate(new)}
        found = [self._made[name] for name in names]
        if any(entry != now for (entry, _, _), now in zip(found, asked, strict=True)):
            raise MisuseError("a second share of one ciphertext would be published; start another session, with other keys")
        return np.concatenate([h for _, h, _ in found]), np.concatenate([mask for _, _, mask in found])


def _masked_share(
    key: SecretKey, c1: Words, c0: Residues, which: Coefficients, randomness: PrfStream
) -> tuple[Residues, Residues]:
    """h = c_1 s_i + c_(0,i) + e_i - M_i modulo q, and M_i."""
    basis = key.context.levels[0]
    q = np.uint64(basis.primes[0])
    inner = coefficients(rns.mul(c1[:, None], key.polynomial[:1], basis)[:, 0], which, basis)
    mask, noise = _uniform(randomness, basis, len(inner)), _noise(randomness, basis, len(inner))
    for term in (c0, noise, q - mask):
        inner = _below(inner + term, q)
    return inner, mask


def _uniform(randomness: PrfStream, basis: Basis, n: int) -> Residues:
    """n numbers uniform modulo q."""
    key, first = randomness.take(sampling.uniform_bytes(basis))
    return np.ascontiguousarray(sampling.uniform(key, first, basis)[0, :n])


def _noise(randomness: PrfStream, basis: Basis, n: int) -> Residues:
    key, first = randomness.take(sampling.small_bytes(basis.degree))
    return np.ascontiguousarray(rns.from_small(sampling.binomial42(key, first, basis.degree), basis)[0, :n])


def coefficients(values: Words, which: Coefficients, basis: Basis) -> Residues:
    """Of transformed polynomials (n, N) modulo the one prime of this basis: the constant ones (n,); each with that of X^(N/2)
    after it, (2 n,); or, of a single polynomial, all N."""
    if which == "all":
        whole: Residues = rns.inverse(values.copy(), basis)[0]
        return whole
    q, (first, second) = np.uint64(basis.primes[0]), _totals_of_halves(values, basis).T
    constant = _below(first + second, q)
    if which == "constant":
        return _mean(constant, basis)
    lowered = np.zeros((1, basis.degree), np.uint64)  # X^(-N/2) has one value at the places of the first half, minus it at others
    lowered[0, : len(values)] = _below(first + (q - second), q)
    lowered = rns.scale(lowered, [int(_monomial(basis, 3 * basis.degree // 2)[0, 0])], basis)
    return _mean(np.stack([constant, lowered[0, : len(values)]], axis=1).reshape(-1), basis)


def _totals_of_halves(values: Words, basis: Basis) -> Residues:
    """(n, 2)"""
    q, total = np.uint64(basis.primes[0]), values.reshape(len(values), 2, -1)
    while total.shape[2] > 1:  # halves on halves: neither a division nor a branch on what is secret
        half = total.shape[2] // 2
        total = _below(total[..., :half] + total[..., half:], q)
    return total[..., 0]


def _mean(totals: Residues, basis: Basis) -> Residues:
    """totals / N."""
    q, mean = np.uint64(basis.primes[0]), totals
    for _ in range(basis.degree.bit_length() - 1):
        mean = (mean + (mean & np.uint64(1)) * q) >> np.uint64(1)
    return mean


def _below(values: Residues, q: np.uint64) -> Residues:
    """values < 2 q, modulo q, without a branch."""
    reduced: Residues = values - (values >= q) * q
    return reduced


def to_shares(
    session: Session,
    keys: JointKeys,
    book: ShareBook | None,
    mpc: Engine | None,
    mine: Sequence[Ciphertext] | None,
    count: int,
    scale: float,
    which: Coefficients = "constant",
    also: bytes = b"",
) -> Secret | None:
    """Shares, integers with frac 0, of the sum over hospitals of `count` ciphertexts (1 for `which` = "all"), times `scale`.

    Run by all members; hospitals bring `mine`, at level 0, and their book; compute parties their engine, and get the Secret of
    shape (count,), (2 count,) or (N,), bounded by q / 2. `also`: what hospitals compare together with the joint ciphertexts.
    """
    basis, numbers = keys.context.levels[0], {"constant": count, "complex": 2 * count, "all": keys.context.degree}[which]
    q, hospitals = basis.primes[0], len(session.hospitals)
    published = masks = None
    if mine is not None and book is not None:
        if book.key is not keys.share:
            raise KeyMismatch("a share book of another key: each key has its own")
        polynomials = _hidden(session, keys.public, mine, count, scale)
        c1 = _joint(session, np.ascontiguousarray(polynomials[:, 1]), basis)
        require_same(session, also, c1, among=session.hospitals)
        c0 = coefficients(np.ascontiguousarray(polynomials[:, 0]), which, basis)
        published, masks = book.share(c1, c0, which, _fresh(session))
    else:
        session.exchange(SUMMED, {}, {})
        require_same(session, among=())
    total = _published(session, published, numbers, q)
    declared = (Declared(MASKS, (numbers,), float(hospitals * (q - 1)), frac=0),)
    contribution = None if masks is None else {MASKS: masks.astype(np.int64)}
    if mpc is None or total is None:
        sums.contribute(session, declared, contribution or {})
        return None
    if contribution is not None:
        mpc.contribute(contribution)
    return centred(mpc, total, mpc.totals(declared)[MASKS], q, hospitals)


def _fresh(session: Session) -> PrfStream:
    return PrfStream(session.entropy(SEED_BYTES))


def _hidden(session: Session, key: PublicKey, mine: Sequence[Ciphertext], count: int, scale: float) -> Words:
    """My ciphertexts, each with a fresh encryption of zero, (count, 2, N)."""
    if len(mine) != count:
        raise MisuseError("a hospital brings as many ciphertexts as the plan says")
    randomness, basis = _fresh(session), key.context.levels[0]
    out = np.empty((count, 2, key.context.degree), np.uint64)
    for place, each in zip(out, mine, strict=True):
        if each.key_id != key.key_id:
            raise KeyMismatch("a ciphertext of another session cannot be converted: encrypt under this session's keys")
        require_degree_1(each)
        require_same_scale(scale, each.scale)
        if each.level != 0:
            raise LevelExhausted("ciphertexts are converted at level 0: rescale or drop them to it")
        rns.add(each.polynomials, zero_polynomials(key, 0, randomness), basis, out=place[:, None])
    return out


def _joint(session: Session, c1: Words, basis: Basis) -> Words:
    """The sum of all hospitals' c_1, (n, N), added up here."""
    others = [h for h in session.hospitals if h != session.me]
    limb = range(1)
    frame = packed(c1[:, None], basis, limb)
    expect = dict.fromkeys(others, packed_frame(basis, limb, len(c1)))
    total = c1[:, None]
    for received in session.exchange(SUMMED, dict.fromkeys(others, frame), expect).values():
        total = rns.add(total, unpacked(received, basis, limb, len(c1)), basis)
    return np.ascontiguousarray(total[:, 0])


def _published(session: Session, mine: Residues | None, numbers: int, q: int) -> Residues | None:
    """The sum modulo q of what hospitals publish, at the compute parties."""
    send = {} if mine is None else {party: mine for party in COMPUTE if party != session.me}
    expect = {}
    if session.computes:
        expect = {h: Expect(np.dtype(np.uint64), (numbers,)) for h in session.hospitals if h != session.me}
    received = session.exchange(PARTIAL, send, expect)
    if not session.computes:
        return None
    total = np.zeros(numbers, np.uint64) if mine is None else mine
    for each in received.values():
        if (each >= q).any():
            raise PeerMisbehaved("a peer sent residues that are not below their primes")
        total = (total + each) % np.uint64(q)
    return total


# ---- shares to encryption -------------------------------------------------------------------------------------------------


def stride(context: Context, count: int) -> int:
    """How far apart `count` numbers lie in a polynomial."""
    return context.degree >> (count - 1).bit_length()


def elements(count: int) -> tuple[int, ...]:
    """The Galois elements that `spread` needs for so many numbers."""
    steps = (count - 1).bit_length()
    return tuple((1 << steps - t) + 1 for t in range(steps))


def to_ciphertext(
    session: Session, keys: JointKeys, x: Secret | None, count: int, frac: int, bound: float, level: int
) -> Ciphertext | None:
    """Shared numbers (count,), at `frac` fractional bits in Z_2^256 and |x| <= bound, as coefficients of one joint ciphertext.

    Run by all members: compute parties bring x, hospitals get the ciphertext, `stride` apart and at scale 2^frac.
    """
    context = keys.context
    basis, limbs = context.levels[level], range(level + 1)
    mine = None
    if x is not None:
        if x.frac != frac or x.shape != (count,) or x.bound > int(bound * 2**frac):
            raise MisuseError("the numbers to encrypt have another shape, scale or bound than the plan says")
        mine = zero_polynomials(keys.public, level, _fresh(session))
        message = _polynomial(context, integer_share(session, x.data, x.bound), basis)
        rns.add(mine[0], message, basis, out=mine[0])
    others = [h for h in session.hospitals if h != session.me]
    send = {} if mine is None else dict.fromkeys(others, packed(mine, basis, limbs))
    expect = {}
    if session.holds_data:
        expect = {party: packed_frame(basis, limbs, 2) for party in COMPUTE if party != session.me}
    received = session.exchange(ENCRYPTED, send, expect)
    if not session.holds_data:
        return None
    total = mine
    for frame in received.values():
        part = unpacked(frame, basis, limbs, 2)
        total = part if total is None else rns.add(total, part, basis)
    assert total is not None
    scale, holders = 2.0**frac, keys.public.holders
    deviation = len(COMPUTE) * fresh_public(context.degree, scale, holders)
    return Ciphertext(context, total, scale, keys.public.key_id, Estimate(count * bound, deviation, holders))


def _polynomial(context: Context, numbers: np.ndarray, basis: Basis) -> Words:
    """Integers of any size as coefficients, `stride` apart; transformed, (limbs, N)."""
    out = np.zeros((len(basis), context.degree), np.uint64)
    for row, p in zip(out, basis.primes, strict=True):
        row[: len(numbers) * stride(context, len(numbers)) : stride(context, len(numbers))] = (numbers % p).astype(np.uint64)
    return rns.forward(out, basis)


def spread(packed_numbers: Ciphertext, count: int, bound: float, keys: JointKeys) -> list[Ciphertext]:
    """`count` ciphertexts, the j-th with coefficient j * stride in every slot; |coefficient| <= bound.

    X -> X^(2^k + 1) changes the sign of X^(N / 2^k): half the sum and half the difference of a ciphertext and its image hold
    every other coefficient. The halves are left to the scale. A ciphertext of a single number is its own image, but for noise, so
    `count` - 1 images are made; depth first, to hold few ciphertexts that are still to be taken apart.
    """
    context, turns = packed_numbers.context, elements(count)
    basis, steps = context.levels[packed_numbers.level], len(turns)
    backs = [_monomial(basis, 2 * context.degree - (stride(context, count) << t)) for t in range(steps)]
    single: dict[int, Ciphertext] = {}
    waiting = [(0, 0, packed_numbers)]
    while waiting:
        place, t, whole = waiting.pop()
        other = place + (1 << t)
        if other >= count:
            single[place] = _alone(whole, steps, t, bound)
            continue
        image = turn(whole, turns[t], keys.galois)
        odd = rns.sub(whole.polynomials, image.polynomials, basis)
        odd = rns.mul(odd, backs[t], basis, out=odd)
        even = rns.add(whole.polynomials, image.polynomials, basis)
        estimate = whole.estimate + image.estimate
        waiting += ((at, t + 1, replace(whole, polynomials=x, estimate=estimate)) for at, x in ((place, even), (other, odd)))
    return [single[place] for place in range(count)]


def _alone(c: Ciphertext, steps: int, done: int, bound: float) -> Ciphertext:
    """A number doubled as often as the others were, and all of it left to the scale."""
    context, doubled = c.context, c
    if done < steps:
        basis, factor = context.levels[c.level], 1 << steps - done
        polynomials = rns.scale(c.polynomials, [factor] * len(basis), basis)
        doubled = replace(c, polynomials=polynomials, estimate=c.estimate.scaled(factor))
    found = stretched(doubled, 2.0**-steps)
    return replace(found, estimate=replace(found.estimate, bound=bound))


def _monomial(basis: Basis, exponent: int) -> Words:
    """X^exponent, 0 <= exponent < 2N, transformed."""
    out = np.zeros((len(basis), basis.degree), np.uint64)
    out[:, exponent % basis.degree] = [1 if exponent < basis.degree else p - 1 for p in basis.primes]
    return rns.forward(out, basis)
