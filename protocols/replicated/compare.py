"""The sign of a shared number, on packed bits.

x mod 2^k is shared by the same components mod 2^k, free of charge. Let a = x_0 + x_1, known to party 0, and b = x_2, known
to parties 1 and 2. The sign of x, |x| < 2^(k-1), is bit k - 1 of a + b mod 2^k: a_(k-1) ^ b_(k-1) ^ carry, the carry coming
out of the k - 1 bits below by a tree over (generate, propagate) = (a_j b_j, a_j ^ b_j), where (g, p) of a high block after
a low one is
    (g_high ^ p_high g_low,  p_high p_low);
the lowest block never needs its p. Bits travel as 64 to a word, all ANDs of a level in one message, each with an XOR
zero-share.
Source: the tree is Kogge and Stone 1973, on the replicated bits of Araki et al., CCS 2016; splitting x into a number known
to one party and one known to two is from ABY3 (Mohassel and Rindal, CCS 2018), section 5.3.

Blur. The addends without their low j bits sum to floor(x / 2^j) or, where those bits carry, one less: negative for x < 0, not
negative for x >= 2^j. What is in between counts as the one or the other.

First round: party 0 knows the bits a, parties 1 and 2 the bits b, and shares of a AND b come from the cross product of
convert.py over bits: c_0, t_1 from the PRF of parties 0 and 2, c_1, t_2 from that of 0 and 1; 0 -> 1: e_1 = a ^ t_1; 2 ->
1: h_1 = b t_1 ^ c_0; 0 -> 2: e_2 = a ^ t_2; 1 -> 2: h_2 = b t_2 ^ c_1. The shares are (c_0, c_1, a b ^ c_0 ^ c_1), and
(t_1, e_1, 0) are shares of a itself.
Adversary: one semi-honest party; all it receives is masked by bits it does not know. Leaks nothing.
Rounds: 1 + ceil(log2(k - 1)), and 1 more to make the bit a ring element.
Bytes: about 10 bits for each of the k bits, over the three parties.
"""

from __future__ import annotations

import numpy as np

import native
from protocols import ring
from protocols.replicated.convert import bits_to_ring
from protocols.replicated.multiply import conjunction
from protocols.replicated.sharing import Shares
from protocols.session import Expect, Session

KIND, CROSS = "addends' bits", "cross product of bits"


def negative(session: Session, x: Shares, k: int, blur: int = 0) -> Shares:
    """1 where x < 0, else 0, in x's ring; |x| < 2^(k-1), or any x when k is the ring's width.

    With a blur |x| <= 2^(k-1) + 1 - 2^(blur+1), and 0 <= x < 2^blur may give 1; k - blur bits are compared.
    """
    *shape, limbs = x.own.shape
    n = ring.count(tuple(shape))
    if n == 0:
        return x
    sign = _sign_bits(session, _addend_planes(session, x, k)[blur:])
    return _as_ring(session, sign, tuple(shape), limbs)


def none_negative(session: Session, x: Shares, y: Shares) -> Shares:
    """1 where neither x nor y is negative, read over the whole ring. One AND more than a sign."""
    *shape, limbs = x.own.shape
    if ring.count(tuple(shape)) == 0:
        return x
    planes = [_addend_planes(session, each, ring.bits(limbs)) for each in (x, y)]
    signs = _sign_bits(session, np.concatenate(planes, axis=1))
    first, second = (Shares(*halves) for halves in zip(*(np.split(s, 2) for s in _negate(session, signs)), strict=True))
    return _as_ring(session, conjunction(session, first, second), tuple(shape), limbs)


def _as_ring(session: Session, bits: Shares, shape: tuple[int, ...], limbs: int) -> Shares:
    elements = bits_to_ring(session, bits, ring.count(shape), limbs)
    return Shares(*(a.reshape(*shape, limbs) for a in elements))


def _addend_planes(session: Session, x: Shares, k: int) -> np.ndarray:
    """Bit planes (k, words) of the addend I know: a at party 0, b at parties 1 and 2. Local."""
    addend = native.add(x.own, x.next) if session.me == 0 else x.next if session.me == 1 else x.own
    return native.to_bitplanes(np.ascontiguousarray(addend).reshape(-1, addend.shape[-1]), k)


def _sign_bits(session: Session, addend: np.ndarray) -> Shares:
    """XOR shares (words,) of the top bit of a + b."""
    generate, propagate = _generate_and_propagate(session, addend)
    top = Shares(*(p[-1] for p in propagate))
    carry = _carry_out(session, generate, Shares(*(p[:-1] for p in propagate)))
    return Shares(top.own ^ carry.own, top.next ^ carry.next)


def _generate_and_propagate(session: Session, addend: np.ndarray) -> tuple[Shares, Shares]:
    """Shares of a AND b below the top bit, (k - 1, words), and of a ^ b, (k, words). One round."""
    k, words = addend.shape
    low = addend[:-1]
    dtype = np.dtype(np.uint64)
    if session.me == 0:
        c_0, t_1 = _cross_words(session, 2, k, words)
        c_1, t_2 = _cross_words(session, 1, k, words)
        e_1 = addend ^ t_1
        session.exchange(KIND, {1: e_1, 2: low ^ t_2[:-1]}, {})
        return Shares(c_0, c_1), Shares(t_1, e_1)
    mine, t = _cross_words(session, 0, k, words)  # c_1 and t_2 at party 1, c_0 and t_1 at party 2
    other = 3 - session.me
    e_shape = (k if session.me == 1 else k - 1, words)
    expect = {0: Expect(dtype, e_shape), other: Expect(dtype, low.shape)}
    received = session.exchange(KIND, {other: (low & t[:-1]) ^ mine}, expect)
    rest = (low & received[0][: k - 1]) ^ received[other] ^ mine
    if session.me == 1:
        return Shares(mine, rest), Shares(received[0], addend)
    return Shares(rest, mine), Shares(addend, t)


def _cross_words(session: Session, peer: int, k: int, words: int) -> tuple[np.ndarray, np.ndarray]:
    """c (k - 1, words) and t (k, words) shared with `peer`."""
    drawn = session.stream(peer, CROSS).ring((2 * k - 1, words), 1)[..., 0]
    return drawn[: k - 1], drawn[k - 1 :]


def _carry_out(session: Session, g: Shares, p: Shares) -> Shares:
    """Shares (words,) of the carry out of all bits; g and p are (bits, words), lowest bit first."""
    while len(g.own) > 1:
        pairs = len(g.own) // 2
        low, high, odd = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2), slice(2 * pairs, None)
        left = Shares(*(np.concatenate([b[high], b[high][1:]]) for b in p))
        right = Shares(*(np.concatenate([a[low], b[low][1:]]) for a, b in zip(g, p, strict=True)))
        both = conjunction(session, left, right)
        g = Shares(*(np.concatenate([a[high] ^ c[:pairs], a[odd]]) for a, c in zip(g, both, strict=True)))
        # the lowest block's p is never read again: a placeholder keeps the rows aligned
        p = Shares(*(np.concatenate([b[:1], c[pairs:], b[odd]]) for b, c in zip(p, both, strict=True)))
    return Shares(g.own[0], g.next[0])


def _negate(session: Session, bits: Shares) -> Shares:
    """NOT of shared bits: component 0 is inverted by its two holders. Local."""
    return Shares(~bits.own if session.me == 0 else bits.own, ~bits.next if session.me == 2 else bits.next)
