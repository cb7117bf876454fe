"""Between rings: shared bits to ring elements, and Z_2^128 to Z_2^256.

Lifting, exact in two forms, of which cost.masks_suffice picks one by shape and bound. That of split.py leaks nothing and takes
two rounds from additive shares, one from replicated ones. A masked opening of z in Z_2^128 is an integer identity, o = z + 2^125
+ r_0 + r_1 + r_2, so that z = o - 2^125 - r_0 - r_1 - r_2 holds in Z_2^256 too, and each term is known to the holders of one
component: 1 round, 4 elements of 16 bytes; the leak is the opening's.

Bits. A bit v = v_0 ^ v_1 ^ v_2 is w ^ s with w = v_0 ^ v_1 known to party 0 and s = v_2 known to parties 1 and 2, hence
    v = s + (1 - 2s) w,
and a product of a number that party 0 knows with one that parties 1 and 2 know takes one round (a cross product): with c_0,
t_1 from the PRF of parties 0 and 2, and c_1, t_2 from that of parties 0 and 1,
    party 0 -> 1: e_1 = w + t_1,    party 2 -> 1: h_1 = u t_1 + c_0,    so party 1 gets  u e_1 - h_1 = u w - c_0,
    party 0 -> 2: e_2 = w + t_2,    party 1 -> 2: h_2 = u t_2 + c_1,    so party 2 gets  u e_2 - h_2 = u w - c_1,
and (c_0, c_1, u w - c_0 - c_1) are its shares. It is the one-round oblivious transfer with a helper of ABY3 (Mohassel and
Rindal, CCS 2018, section 5.4.1), with linear messages. Party 1 sees e_1 and h_1, uniform because of t_1 and c_0, which it
does not know; party 2 likewise; party 0 receives nothing. 4 elements in all, 2 of them from party 0: many bits are cut into three
parts, and party j leads part j in the place of party 0, so that all parties send the same. Few bits are all in part 0.
Adversary: one semi-honest party. Leaks nothing but what a masked opening does.
"""

from __future__ import annotations

import numpy as np

import native
from protocols import ring
from protocols.engine import LARGE, SMALL
from protocols.replicated import cost, split
from protocols.replicated.opening import add_seen, open_masked, thirds
from protocols.replicated.sharing import Shares, after, before
from protocols.session import COMPUTE, Expect, Session

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
    me, peers = session.me, (after(session.me), before(session.me))
    own, following = np.empty((n, limbs), dtype=np.uint64), np.empty((n, limbs), dtype=np.uint64)
    send: dict[int, list[np.ndarray]] = {peer: [] for peer in peers}
    helped = []
    for leader, part in enumerate(thirds(n, 64)):
        count, packed = part.stop - part.start, slice(part.start // 64, -(-part.stop // 64))
        if not count:
            continue
        if me == leader:
            w = native.bits_to_ring(bits.own[packed] ^ bits.next[packed], count, limbs)
            for component, peer, other in ((own, before(me), after(me)), (following, after(me), before(me))):
                component[part], t = session.stream(peer, CROSS).ring((2, count), limbs)
                send[other].append(native.add(w, t))
            continue
        s = native.bits_to_ring((bits.next if me == after(leader) else bits.own)[packed], count, limbs)
        u = native.sub(ring.power_of_two(0, limbs), native.shift_left(s, 1))
        c, t = session.stream(leader, CROSS).ring((2, count), limbs)
        send[3 - me - leader].append(native.add(native.mul(u, t), c))
        helped.append((leader, part, s, u, c))
    received = _pieces(session, {peer: np.concatenate(pieces) for peer, pieces in send.items() if pieces}, n, limbs)
    for leader, part, s, u, c in helped:
        e, h = received[leader, leader], received[leader, 3 - me - leader]
        rest = native.add(native.sub(native.sub(native.mul(u, e), h), c), s)
        own[part], following[part] = (c, rest) if me == after(leader) else (rest, c)
    return Shares(own, following)


def _pieces(session: Session, send: dict[int, np.ndarray], n: int, limbs: int) -> dict[tuple[int, int], np.ndarray]:
    """{(leader, sender): what the sender wrote to me about the leader's part}; everybody writes in the order of the parts."""
    me, counts = session.me, [part.stop - part.start for part in thirds(n, 64)]
    about = {peer: [leader for leader in COMPUTE if leader != me and counts[leader]] for peer in COMPUTE if peer != me}
    sizes = {peer: sum(counts[leader] for leader in leaders) for peer, leaders in about.items()}
    expect = {peer: Expect(np.dtype(np.uint64), (size, limbs)) for peer, size in sizes.items() if size}
    pieces = {}
    for peer, frame in session.exchange(KIND, send, expect).items():
        start = 0
        for leader in about[peer]:
            pieces[leader, peer] = frame[start : start + counts[leader]]
            start += counts[leader]
    return pieces
