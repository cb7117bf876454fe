"""The sign of a shared number, on packed bits.

x mod 2^k is shared by the same components mod 2^k, free of charge. Let a = x_0 + x_1, known to party 0, and b = x_2, known
to parties 1 and 2. The sign of x, |x| < 2^(k-1), is bit k - 1 of a + b mod 2^k: a_(k-1) ^ b_(k-1) ^ carry, the carry coming
out of the k - 1 bits below. Blocks of them generate a carry (g) and propagate one (p), where (g, p) of a high block after a low
one is
    (g_high ^ p_high g_low,  p_high p_low):
a tree joins blocks in pairs; the lowest block never needs its p. Bits travel as 64 to a word, all ANDs of a level in one message,
each with an XOR zero-share.
Source: the tree is Kogge and Stone 1973, on the replicated bits of Araki et al., CCS 2016; splitting x into a number known
to one party and one known to two is from ABY3 (Mohassel and Rindal, CCS 2018), section 5.3.

Blur. The addends without their low j bits sum to floor(x / 2^j) or, where those bits carry, one less: negative for x < 0, not
negative for x >= 2^j. What is in between counts as the one or the other.

First round: shares of g and p of blocks of B bits. Both are polynomials modulo 2 in the block's bits, sum_S A_S u_S over the
subsets S of the block, with A_S the product of a's bits in S, known to party 0, and u_S a function of b, known to parties 1 and
2: for one more bit (a, b) on top,
    g = a b ^ (a ^ b) g_below,    p = (a ^ b) p_below.
All A_S u_S come from the cross product of convert.py over bits, added up: c_0, t_1 from the PRF of parties 0 and 2, c_1, t_2 from
that of 0 and 1; 0 -> 1: A_S ^ t_1,S; 2 -> 1: (sum_S u_S t_1,S) ^ c_0; 0 -> 2: A_S ^ t_2,S; 1 -> 2: (sum_S u_S t_2,S) ^ c_1. The
shares are (c_0, c_1, (sum_S A_S u_S) ^ c_0 ^ c_1); g and p have their own c_0, c_1 and the same t_1, t_2, each of which masks one
A_S. Of the top bit a_(k-1) party 1 gets e = a_(k-1) ^ t, and (t, e, b_(k-1)) are shares of a_(k-1) ^ b_(k-1).
Larger blocks take fewer levels and more bits from party 0, 2 (2^B - 1) / B for each bit: B = 2 for many numbers, more for
few (`cost.block_bits`).
Adversary: one semi-honest party; all it receives is masked by bits it does not know. Leaks nothing.
Rounds: 1 + ceil(log2(ceil((k - 1) / B))), and 1 more to make the bit a ring element.
Bytes: with B = 2 about 8 bits for each of the k bits, over the three parties, half of them from party 0.
"""

from __future__ import annotations

import numpy as np

import native
from protocols import ring
from protocols.replicated import cost
from protocols.replicated.convert import bits_to_ring
from protocols.replicated.multiply import conjunction
from protocols.replicated.sharing import Shares
from protocols.session import Expect, Session

KIND, CROSS = "addends' bits", "cross product of bits"
ONES = np.uint64(2**64 - 1)


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
    generate, propagate, top = _first_round(session, addend)
    carry = _carry_out(session, generate, propagate)
    return Shares(top.own ^ carry.own, top.next ^ carry.next)


def _first_round(session: Session, addend: np.ndarray) -> tuple[Shares, Shares, Shares]:
    """Shares of g and p of blocks below the top bit, (blocks, words), and of the top bit of a ^ b, (words,)."""
    k, words = addend.shape
    blocks = _blocks(addend[:-1], cost.block_bits(words, k))
    subsets, count = (1 << len(blocks)) - 1, blocks.shape[1]
    outputs = 2 * count - 1  # g, and p but for the lowest block
    if session.me == 0:
        c_0, t_1, top = _cross_words(session, 2, subsets, outputs, (count, words))
        c_1, t_2, _ = _cross_words(session, 1, subsets, outputs, (count, words))
        monomials, e = _monomials(blocks), addend[-1] ^ top
        to_1 = np.concatenate([(monomials ^ t_1).reshape(-1, words), e[None]])
        session.exchange(KIND, {1: to_1, 2: (monomials ^ t_2).reshape(-1, words)}, {})
        return *_split(Shares(c_0, c_1), count), Shares(top, e)
    mine, t, top = _cross_words(session, 0, subsets, outputs, (count, words))  # c_1 and t_2 at party 1, c_0 and t_1 at party 2
    g, p = _coefficients(blocks)
    other, first = 3 - session.me, session.me == 1
    expect = {
        0: Expect(np.dtype(np.uint64), (subsets * count + first, words)),
        other: Expect(np.dtype(np.uint64), (outputs, words)),
    }
    received = session.exchange(KIND, {other: _combined(g, p, t) ^ mine}, expect)
    rest = _combined(g, p, received[0][: subsets * count].reshape(t.shape)) ^ received[other] ^ mine
    rest[count:] ^= p[0, 1:]  # the empty subset
    if first:
        return *_split(Shares(mine, rest), count), Shares(received[0][-1], addend[-1])
    return *_split(Shares(rest, mine), count), Shares(addend[-1], top)


def _blocks(low: np.ndarray, size: int) -> np.ndarray:
    """(k - 1, words) as (size, blocks, words), lowest bit first, with zeros below: they generate and propagate nothing."""
    missing = -len(low) % size
    padded = np.concatenate([np.zeros((missing, low.shape[1]), dtype=np.uint64), low])
    return np.ascontiguousarray(padded.reshape(-1, size, low.shape[1]).swapaxes(0, 1))


def _monomials(a: np.ndarray) -> np.ndarray:
    """A_S for the subsets S of a block but the empty one, (2^B - 1, blocks, words); bit j of the index says whether j is in S."""
    products = np.full((1, *a.shape[1:]), ONES)
    for bit in a:
        products = np.concatenate([products, products & bit])
    return products[1:]


def _coefficients(b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """u_S of g and of p for all subsets, (2^B, blocks, words); that of g for the empty one is 0."""
    g, p = np.zeros((1, *b.shape[1:]), dtype=np.uint64), np.full((1, *b.shape[1:]), ONES)
    for bit in b:
        g = np.concatenate([bit & g, g])
        g[len(g) // 2] ^= bit
        p = np.concatenate([bit & p, p])
    return g, p


def _combined(g: np.ndarray, p: np.ndarray, t: np.ndarray) -> np.ndarray:
    """sum_S u_S t_S over the subsets but the empty one, for g and then for p but of the lowest block."""
    both = [np.bitwise_xor.reduce(g[1:] & t, axis=0), np.bitwise_xor.reduce(p[1:, 1:] & t[:, 1:], axis=0)]
    return np.concatenate(both)


def _cross_words(
    session: Session, peer: int, subsets: int, outputs: int, block: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """c (outputs, words), t (subsets, blocks, words) and a mask of the top bit (words,), shared with `peer`."""
    count, words = block
    drawn = session.stream(peer, CROSS).ring((outputs + subsets * count + 1, words), 1)[..., 0]
    return drawn[:outputs], drawn[outputs:-1].reshape(subsets, count, words), drawn[-1]


def _split(shares: Shares, count: int) -> tuple[Shares, Shares]:
    """(g, p): the p of the lowest block is never read, and zeros keep its place."""
    g = Shares(*(component[:count] for component in shares))
    p = Shares(*(np.concatenate([np.zeros_like(component[:1]), component[count:]]) for component in shares))
    return g, p


def _carry_out(session: Session, g: Shares, p: Shares) -> Shares:
    """Shares (words,) of the carry out of all blocks; g and p are (blocks, words), lowest first."""
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
