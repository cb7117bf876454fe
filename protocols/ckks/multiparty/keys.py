"""Joint keys of all hospitals of a session: each holds a share s_i of s = sum s_i, and nobody ever holds s.

    public key       a common      b_i = -a s_i + e_i                                        (b, a), b = sum b_i
    relinearisation  a_d common    h_i = -a_d u_i + P g_d s_i + e_i,  k_i = a_d s_i + e_i'   h, k their sums
    for each digit d               r_i = s_i h + (u_i - s_i) k + e_i''                       (r, k): r + k s = P g_d s^2 + noise
    Galois key of g  a_gd common   c_i = -a_gd s_i + P g_d s_i(X^g) + e_i                    (c, a_gd)

Common polynomials come from a seed that all members made together (agreement.py), all of it anew for each session: keys are
never stored, never used twice, and a retry is another session with other keys. All members compare what they received, and
what they made of the seed, before use.
Adversary: semi-honest; all hospitals but one, with any compute parties, learn nothing of the last one's share (Ring-LWE). A
share or a sum that differs between members ends the session. Leaks nothing else.
Rounds: 2 for the seed, 2 for each of two sums, 1 to compare. Bytes a hospital: about 2 (H - 1) / H polynomials of QP for each of
1 + 3 digits + digits (Galois keys).
Source: Mouchet, Troncoso-Pastoriza, Bossuat, Hubaux, PoPETs 2021 (eprint 2020/304), protocols 1 and 2; digits as in keys.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from native import rns
from protocols.ckks.context import Context, Words
from protocols.ckks.keys import (
    SEED_BYTES,
    GaloisKeys,
    PublicKey,
    RelinearisationKey,
    SecretKey,
    SwitchingKey,
    hide,
    noise_polynomial,
    secret_key,
    switching_halves,
    ternary,
    uniform,
)
from protocols.ckks.multiparty.agreement import CommonRandomness, common_randomness, require_same
from protocols.ckks.multiparty.gather import joint_sum
from protocols.ckks.noise import NOISE_VARIANCE
from protocols.prf import PrfStream
from protocols.session import Session

FIRST, SECOND = "joint keys, first sum", "joint keys, second sum"


@dataclass(frozen=True, eq=False, repr=False)
class JointKeys:
    """The same at every member but for `share`, which a hospital alone has."""

    context: Context
    public: PublicKey
    relinearisation: RelinearisationKey
    galois: GaloisKeys
    share: SecretKey | None


@dataclass(frozen=True, eq=False, repr=False)
class _Common:
    """The seeds that everybody expands alike."""

    key_id: bytes
    public: bytes
    relinearisation: bytes
    galois: dict[int, bytes]

    @classmethod
    def of(cls, common: CommonRandomness, elements: Sequence[int]) -> _Common:
        def seed(label: str) -> bytes:
            return common.stream(label).bytes(SEED_BYTES).tobytes()

        galois = {element: seed(f"galois key {element}") for element in elements}
        return cls(seed("key id"), seed("public key"), seed("relinearisation key"), galois)


def joint_keys(session: Session, context: Context, elements: Sequence[int] = ()) -> JointKeys:
    """Keys for this session; Galois keys for `elements`. Run by all members alike. Raises PeerMisbehaved."""
    common = _Common.of(common_randomness(session), elements)
    randomness = PrfStream(session.entropy(SEED_BYTES)) if session.holds_data else None
    share = None if randomness is None else secret_key(context, randomness, common.key_id)
    digits, basis = len(context.preset.digits), context.everything
    a = [uniform(context, common.relinearisation, digit, basis) for digit in range(digits)]
    ephemeral = mine = None
    if share is not None and randomness is not None:
        ephemeral = ternary(randomness, basis)
        mine = _first(share, ephemeral, a, common, randomness)
    count = 1 + 2 * digits + len(elements) * digits
    first = joint_sum(session, FIRST, mine, basis, count)
    b, h, k, turned = np.split(first, [1, 1 + digits, 1 + 2 * digits])
    mine = None
    if share is not None and randomness is not None and ephemeral is not None:
        mine = _second(share, ephemeral, h, k, randomness)
    second = joint_sum(session, SECOND, mine, basis, digits)
    require_same(session, common.key_id, first, second)
    return _assembled(session, context, common, share, b[0], np.stack([second, k], axis=1), turned)


def _first(share: SecretKey, ephemeral: Words, a: Sequence[Words], common: _Common, randomness: PrfStream) -> Words:
    """b_i; every h_i; every k_i; every c_i, by Galois element and digit."""
    context, s, digits = share.context, share.polynomial, len(a)
    basis = context.everything
    out = np.empty((1 + (2 + len(common.galois)) * digits, *s.shape), np.uint64)
    out[0] = hide(uniform(context, common.public, 0, basis), s, randomness, basis)
    switching_halves(context, a, ephemeral, s, randomness, out[1 : 1 + digits])
    for place, each in zip(out[1 + digits :], a, strict=False):
        place[...] = noise_polynomial(randomness, basis)
        rns.mul_add(place, each, s, basis)
    places = out[1 + 2 * digits :].reshape(-1, digits, *s.shape)
    for (element, seed), place in zip(common.galois.items(), places, strict=True):
        rotated = rns.automorphism(s, context.permutation(element))
        halves = (uniform(context, seed, digit, basis) for digit in range(digits))
        switching_halves(context, halves, s, rotated, randomness, place)
    return out


def _second(share: SecretKey, ephemeral: Words, h: Words, k: Words, randomness: PrfStream) -> Words:
    """Every r_i."""
    basis, s = share.context.everything, share.polynomial
    difference = rns.sub(ephemeral, s, basis)
    out = np.stack([noise_polynomial(randomness, basis) for _ in h])
    for digit in range(len(h)):
        rns.mul_add(out[digit], h[digit], s, basis)
        rns.mul_add(out[digit], k[digit], difference, basis)
    return out


def _assembled(
    session: Session, context: Context, common: _Common, share: SecretKey | None, b: Words, relinearisation: Words, turned: Words
) -> JointKeys:
    holders, digits, basis = len(session.hospitals), len(context.preset.digits), context.everything
    limbs = context.top + 2
    a = uniform(context, common.public, 0, context.wide[-1])
    public = PublicKey(context, common.key_id, np.stack([b[:limbs], a]), common.public, holders)
    variance = relinearisation_variance(context.degree, holders)
    galois = {}
    for place, (element, seed) in enumerate(common.galois.items()):
        rows = turned[place * digits : (place + 1) * digits]
        polynomials = np.empty((digits, 2, *rows.shape[1:]), np.uint64)
        for digit, row in enumerate(rows):
            polynomials[digit] = row, uniform(context, seed, digit, basis)
        galois[element] = SwitchingKey(context, common.key_id, polynomials, seed, holders * NOISE_VARIANCE).in_use()
    return JointKeys(
        context,
        public,
        RelinearisationKey(context, common.key_id, relinearisation, noise_variance=variance).in_use(),
        GaloisKeys(context, common.key_id, galois),
        share,
    )


def relinearisation_variance(degree: int, holders: int) -> float:
    """Of a coefficient of s e_0 + u e_1 + e_2, sums over the holders: ternary ones have 2/3 a coefficient and holder."""
    secret, noise = holders * 2 / 3, holders * NOISE_VARIANCE
    return 2 * degree * secret * noise + noise
