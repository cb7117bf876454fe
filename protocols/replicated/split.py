"""Truncation and lifting that leak nothing: from two addends, one known to party 0, one to parties 1 and 2.

Theorem. Let K be the ring's width, |z| < 2^(K-3), 0 < f <= K - 3, and a + b = z + 2^(K-3) - 1 modulo 2^K, 0 <= a, b < 2^K. Let
A and B be the top bits of a and b, and a^ = a - 2^K A, b^ = b - 2^K B the same words read as signed numbers. Then
    y = floor(a^ / 2^f) + floor(b^ / 2^f) + 2^(K-f) A B + 1 - 2^(K-3-f)
is floor(z / 2^f) or ceil(z / 2^f). For uniform b it is the larger with probability (z mod 2^f) / 2^f: the error lies in
(-1, 1), and its mean is exactly 0.
Proof. z' = z + 2^(K-3) - 1 lies in [0, 2^(K-2)). As integers a + b = z' + c 2^K, c in {0, 1}. If c = 0, a + b < 2^(K-1) and
both top bits are 0; if c = 1, a + b >= 2^K and one of them is 1. So c = A OR B = A + B - A B, and
    a^ + b^ = z' + (c - A - B) 2^K = z' - A B 2^K.
The floors add up to (a^ + b^ - u) / 2^f with u = (a mod 2^f) + (b mod 2^f), which is z' mod 2^f, or 2^f more if the low parts
carry; and z' mod 2^f = (z - 1) mod 2^f, as 2^f divides 2^(K-3). So y = (z - 1 - u) / 2^f + 1, which is
floor((z - 1) / 2^f) + 1 = ceil(z / 2^f) without a carry and one less with it. The low parts carry when b mod 2^f exceeds
(z - 1) mod 2^f: never if 2^f divides z, else for 2^f - (z mod 2^f) of its 2^f values.

Lifting to Z_2^256 is the truncation by 128 bits of 2^128 z there: 2^128 times a share of z is a share of it, and since 2^128
divides it, the result is exact.

Shares of y, where A B counts modulo 2^f and W = ceil(f / 64) words hold it:
    y_0 = s,   y_1 = floor(a^ / 2^f) + 1 - 2^(K-3-f) - s + 2^(K-f) (c_0 + c_1),
    y_2 = floor(b^ / 2^f) + 2^(K-f) (A B - c_0 - c_1),
with s, c_0, t_1 from the PRF of parties 0 and 2, and c_1, t_2 from that of 0 and 1. A B is the cross product of convert.py:
    party 0 -> 1: y_1 and e_1 = A + t_1,   party 2 -> 1: h_1 = B t_1 + c_0,   so party 1 knows  B e_1 - h_1 = A B - c_0,
    party 0 -> 2: e_2 = A + t_2,           party 1 -> 2: h_2 = B t_2 + c_1,   so party 2 knows  B e_2 - h_2 = A B - c_1.
From replicated shares a = x_0 + x_1 + 2^(K-3) - 1 and b = x_2. From additive shares z_i (a product not yet re-shared) a round
before it makes the addends, with r_1 from the PRF of parties 0 and 1, and r_2 from that of 0 and 2:
    party 1 -> 2: z_1 + r_1,   party 2 -> 1: z_2 + r_2,   b = z_1 + r_1 + z_2 + r_2,   a = z_0 - r_1 - r_2 + 2^(K-3) - 1.

Source: one party's number and two parties' number are ABY3's (Mohassel and Rindal, CCS 2018, section 5.3); the carry from a
known top bit is SIRNN's (Rathee et al., IEEE S&P 2021).
Adversary: one semi-honest party. Party 0 receives nothing. Party 1 receives z_2 + r_2, y_1, e_1 and h_1; their masks r_2, s,
t_1, c_0 are uniform, independent, used once, and from the PRF of parties 0 and 2, whose keys it does not have. Party 2 receives
z_1 + r_1, e_2 and h_2; their masks r_1, t_2, c_1 are from the PRF of parties 0 and 1, whose keys it does not have. Leaks
nothing: it holds for every bound and takes nothing of the budget. As with every truncation on shares, which neighbour z / 2^f
is rounded to depends on numbers that a party knows.
Rounds: 1, or 2 from additive shares. Bytes: party 0 sends an element of the result's ring and 2 W words, parties 1 and 2 send W
words each, and an element each in the round before.
"""

from __future__ import annotations

import numpy as np

import native
from protocols import ring
from protocols.engine import LARGE, SMALL
from protocols.replicated.sharing import Shares
from protocols.session import Expect, Session

ADDENDS, PARTS = "addends", "parts of a truncation"
ADDEND_MASK, SHARE, CROSS = "addend mask", "share of a truncation", "cross product of top bits"
LIFTED = ring.bits(LARGE) - ring.bits(SMALL)  # the bits dropped from 2^128 z


def words_of_product(drop: int) -> int:
    """W: words that hold a number modulo 2^drop."""
    return -(-drop // 64)


def truncate(session: Session, x: Shares, drop: int) -> Shares:
    """z / 2^drop from replicated shares of z, |z| < 2^(K-3); 0 < drop <= K - 3. One round."""
    return _from_addends(session, _addend(session, x), drop, x.own.shape[-1])


def truncate_additive(session: Session, additive: np.ndarray, drop: int) -> Shares:
    """The same from my additive share of z. Two rounds."""
    return _from_addends(session, _exchanged_addend(session, additive), drop, additive.shape[-1])


def lift(session: Session, x: Shares) -> Shares:
    """The same integer, |z| < 2^125, in Z_2^256. One round."""
    return _from_addends(session, _addend(session, x), LIFTED, LARGE)


def lift_additive(session: Session, additive: np.ndarray) -> Shares:
    """The same from my additive share of z in Z_2^128. Two rounds."""
    return _from_addends(session, _exchanged_addend(session, additive), LIFTED, LARGE)


def _addend(session: Session, x: Shares) -> np.ndarray:
    """a, without its constant, at party 0; b at parties 1 and 2. Local."""
    return native.add(x.own, x.next) if session.me == 0 else x.next if session.me == 1 else x.own


def _exchanged_addend(session: Session, additive: np.ndarray) -> np.ndarray:
    """a, without its constant, at party 0; b at parties 1 and 2. One round, in which party 0 is idle."""
    *shape, limbs = additive.shape
    if session.me == 0:
        r_1, r_2 = (session.stream(peer, ADDEND_MASK).ring(tuple(shape), limbs) for peer in (1, 2))
        session.exchange(ADDENDS, {}, {})
        return native.sub(additive, native.add(r_1, r_2))
    masked = native.add(additive, session.stream(0, ADDEND_MASK).ring(tuple(shape), limbs))
    other = 3 - session.me
    received = session.exchange(ADDENDS, {other: masked}, {other: Expect(np.dtype(np.uint64), masked.shape)})
    return native.add(masked, received[other])


def _from_addends(session: Session, addend: np.ndarray, drop: int, limbs: int) -> Shares:
    """Shares of y in the ring of `limbs`. One round."""
    shape, words = addend.shape[:-1], words_of_product(drop)
    pair, dtype = (2, *shape), np.dtype(np.uint64)
    elements = ring.count(shape) * limbs
    if session.me == 0:
        s = session.stream(2, SHARE).ring(shape, limbs)
        c_0_t_1, c_1_t_2 = (session.stream(peer, CROSS).ring(pair, words) for peer in (2, 1))
        y_1_e_1, e_2 = native.split_private(addend, s, c_0_t_1, c_1_t_2, drop)
        session.exchange(PARTS, {1: y_1_e_1, 2: e_2.reshape(-1)}, {})
        return Shares(s, y_1_e_1[:elements].reshape(*shape, limbs))
    c_t = session.stream(0, CROSS).ring(pair, words)  # c_1, t_2 at party 1; c_0, t_1 at party 2
    h_other = native.split_help(addend, c_t, drop, limbs)
    other, from_0 = 3 - session.me, elements + h_other.size if session.me == 1 else h_other.size
    expect = {0: Expect(dtype, (from_0,)), other: Expect(dtype, h_other.shape)}
    received = session.exchange(PARTS, {other: h_other}, expect)
    e = received[0][from_0 - h_other.size :].reshape(*shape, words)
    y_2 = native.split_common(addend, e, received[other], c_t[0], drop, limbs)
    if session.me == 1:
        return Shares(received[0][:elements].reshape(*shape, limbs), y_2)
    return Shares(y_2, session.stream(0, SHARE).ring(shape, limbs))
