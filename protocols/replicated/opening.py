"""The only two places where shares of anything become numbers: `open_masked`, and `release_share` for the gate.

`open_masked` is the heart of truncation and lifting (a masked opening): from additive shares of z it lets the two holders of
one component j, parties j and j - 1, see z + 2^(K-3) + r, where r = r_0 + r_1 + r_2 and r_i, uniform in [0, 2^(K-2)), comes
from the PRF of the two holders of component i, so that no party knows r. For |z| < 2^(K-3) nothing wraps: what is opened is
an integer identity. Many elements are cut into three parts, and part j opens to the holders of component j: then all parties
send the same. Few elements are all in part 0, which takes fewer messages.
Adversary: one semi-honest party. Party j knows r_j and r_(j+1) and sees z + r_(j+2), party j - 1 knows r_(j-1) and r_j and
sees z + r_(j+1): for |z| < 2^b the distance from a view independent of z is at most 2^(b+1) / 2^(K-2) = 2^(b-(K-3)) an
element, charged on the session's meter before anything is sent. The single shares carry a zero-share, so they say no more
than their sum.
Cost: 1 round, 4 elements in all: 4/3 from each party, or 1, 2 and 1 where there is one part.

`release_share` adds a fresh zero-share to an additive share, so that the three say their sum and nothing else. Nothing is
sent here.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import native
from protocols import ring
from protocols.replicated.sharing import Shares, after, before
from protocols.replicated.zero import add_zero_share
from protocols.session import COMPUTE, Expect, Session

KIND, MASK = "masked opening", "opening mask"
BALANCED_FROM = 3 << 12  # elements that are worth six messages instead of four


def opening_mask(session: Session, shape: tuple[int, ...], limbs: int) -> Shares:
    """(r_i, r_(i+1)), each uniform in [0, 2^(K-2)) and known to the two holders of its component. Local."""
    own, following = (session.stream(peer, MASK).ring(shape, limbs) for peer in (before(session.me), after(session.me)))
    return Shares(native.truncation_mask(own), native.truncation_mask(following))


def thirds(n: int, unit: int = 1) -> tuple[slice, slice, slice]:
    """n elements in three parts, cut at multiples of `unit`, for parties to take each other's places; few are all in part 0."""
    third = n // 3 // unit * unit
    cuts = (0, third, 2 * third, n) if n >= BALANCED_FROM else (0, n, n, n)
    first, second, last = (slice(start, stop) for start, stop in pairwise(cuts))
    return first, second, last


def parts_seen(party: int, n: int) -> tuple[slice, slice]:
    """Which of n elements open to a party: parts i and i + 1, those of the components that it holds."""
    parts = thirds(n)
    return parts[party], parts[after(party)]


def count_seen(party: int, n: int) -> int:
    """How many of n elements open to a party."""
    return sum(part.stop - part.start for part in parts_seen(party, n))


def open_masked(session: Session, additive: np.ndarray, bound: int) -> tuple[np.ndarray, Shares]:
    """(z + 2^(K-3) + r, of the elements that open to me, (count_seen, limbs) in the order of parts_seen; my components of r).

    `additive` is my share of z, uint64 (*shape, limbs); |z| <= bound. Raises RangeError or SecurityBudgetExceeded before sending.
    """
    *shape, limbs = additive.shape
    ring.require_maskable(bound, limbs)
    session.meter.opened_masked(ring.count(tuple(shape)), ring.log2(bound), ring.opening_bits(limbs))
    mask = opening_mask(session, tuple(shape), limbs)
    offset = ring.opening_bits(limbs) if session.me == 0 else None
    masked = native.truncation_message(add_zero_share(session, additive), [mask.own], offset)
    flat = masked.reshape(-1, limbs)
    seen = [_elements(flat, parts_seen(party, len(flat))) for party in COMPUTE]
    peers = (after(session.me), before(session.me))
    mine = seen[session.me]
    expect = dict.fromkeys(peers, Expect(np.dtype(np.uint64), mine.shape)) if len(mine) else {}
    received = session.exchange(KIND, {peer: seen[peer] for peer in peers if len(seen[peer])}, expect)
    return native.truncation_message(mine, received.values()), mask


def _elements(flat: np.ndarray, parts: tuple[slice, slice]) -> np.ndarray:
    """Two parts after each other; without a copy where they are neighbours."""
    first, second = parts
    if first.stop == second.start or first.start == first.stop:
        return flat[first.start if first.start < first.stop else second.start : second.stop]
    return np.concatenate([flat[first], flat[second]])


def add_seen(me: int, x: Shares, addend: np.ndarray) -> Shares:
    """x with something added to part j by the two holders of component j, who saw it open: `addend` as in `open_masked`. Local.

    Changes the arrays of x, which are contiguous.
    """
    start, limbs = 0, addend.shape[-1]
    for component, part in zip(x, parts_seen(me, ring.count(x.own.shape[:-1])), strict=True):
        flat, stop = component.reshape(-1, limbs), start + part.stop - part.start
        flat[part] = native.add(flat[part], addend[start:stop])
        start = stop
    return x


def release_share(session: Session, x: Shares) -> np.ndarray:
    """My additive share of x, re-randomised: the three sum to x and say nothing more. Only the gate uses it."""
    return add_zero_share(session, x.own)
