"""Between rings: shared bits to ring elements, and Z_2^128 to Z_2^256.

Lifting, exact in two forms, of which cost.masks_suffice picks one by shape and bound. That of split.py leaks nothing and takes
two rounds from additive shares, one from replicated ones. A masked opening of z in Z_2^128 is an integer identity, o = z + 2^125
+ r_0 + r_1 + r_2, so that z = o - 2^125 - r_0 - r_1 - r_2 holds in Z_2^256 too, and each term is known to the holders of one
component: 1 round, 4 elements of 16 bytes; the leak is the opening's.

Bits. A bit v = v_0 ^ v_1 ^ v_2 is w ^ s with w = v_0 ^ v_1 known to party 0 and s = v_2 known to parties 1 and 2, hence
    v = s + (1 - 2s) w,
and a product of a number that party 0 knows with one that parties 1 and 2 know takes one round (`cross_product`): with c_0,
t_1 from the PRF of parties 0 and 2, and c_1, t_2 from that of parties 0 and 1,
    party 0 -> 1: e_1 = w + t_1,    party 2 -> 1: h_1 = u t_1 + c_0,    so party 1 gets  u e_1 - h_1 = u w - c_0,
    party 0 -> 2: e_2 = w + t_2,    party 1 -> 2: h_2 = u t_2 + c_1,    so party 2 gets  u e_2 - h_2 = u w - c_1,
and (c_0, c_1, u w - c_0 - c_1) are its shares. It is the one-round oblivious transfer with a helper of ABY3 (Mohassel and
Rindal, CCS 2018, section 5.4.1), with linear messages. Party 1 sees e_1 and h_1, uniform because of t_1 and c_0, which it
does not know; party 2 likewise; party 0 receives nothing. 4 elements in all.
Adversary: one semi-honest party. Leaks nothing but what a masked opening does.
"""

from __future__ import annotations

import numpy as np

import native
from protocols import ring
from protocols.engine import LARGE, SMALL
from protocols.replicated import cost, split
from protocols.replicated.opening import add_seen, open_masked
from protocols.replicated.sharing import Shares, add_component
from protocols.session import Expect, Session

KIND, CROSS = "bit to ring", "cross product"


def lift(session: Session, x: Shares, bound: int) -> Shares:
    """The same integer, |z| <= bound < 2^125, in Z_2^256. One round."""
    return lift_masked(session, x.own, bound) if cost.masks_suffice(x.own.shape, bound) else split.lift(session, x)


def lift_additive(session: Session, additive: np.ndarray, bound: int) -> Shares:
    """The same from my additive share of z in Z_2^128. One round, or two."""
    if cost.masks_suffice(additive.shape, bound):
        return lift_masked(session, additive, bound)
    return split.lift_additive(session, additive)


def lift_masked(session: Session, additive: np.ndarray, bound: int) -> Shares:
    """Replicated shares in Z_2^256 from my additive share of z, |z| <= bound < 2^125, in Z_2^128. One masked opening."""
    opened, mask = open_masked(session, additive, bound)
    shares = Shares(*(native.neg(native.widen(r, signed=False)) for r in mask))
    offset = ring.power_of_two(ring.opening_bits(SMALL), LARGE)
    return add_seen(session.me, shares, native.sub(native.widen(opened, signed=False), offset))


def bits_to_ring(session: Session, bits: Shares, n: int, limbs: int) -> Shares:
    """n shared bits, packed in words, as 0/1 ring elements of shape (n, limbs). One round."""
    if session.me == 0:
        return cross_product(session, native.bits_to_ring(bits.own ^ bits.next, n, limbs))
    s = native.bits_to_ring(bits.next if session.me == 1 else bits.own, n, limbs)
    sign = native.sub(ring.power_of_two(0, limbs), native.shift_left(s, 1))
    return add_component(session.me, cross_product(session, sign), 2, s)


def cross_product(session: Session, known: np.ndarray) -> Shares:
    """Shares of w * u: `known` is w at party 0 and u at parties 1 and 2, ring elements (n, limbs). One round."""
    n, limbs = known.shape
    expect = Expect(np.dtype(np.uint64), known.shape)
    if session.me == 0:
        c_0, t_1 = session.stream(2, CROSS).ring((2, n), limbs)
        c_1, t_2 = session.stream(1, CROSS).ring((2, n), limbs)
        session.exchange(KIND, {1: native.add(known, t_1), 2: native.add(known, t_2)}, {})
        return Shares(c_0, c_1)
    other = 3 - session.me
    mine, mask_of_other = session.stream(0, CROSS).ring((2, n), limbs)  # c_1, t_2 at party 1; c_0, t_1 at party 2
    help_other = native.add(native.mul(known, mask_of_other), mine)
    received = session.exchange(KIND, {other: help_other}, {0: expect, other: expect})
    rest = native.sub(native.sub(native.mul(known, received[0]), received[other]), mine)
    return Shares(mine, rest) if session.me == 1 else Shares(rest, mine)
