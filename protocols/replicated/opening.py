"""The only two places where shares of anything become numbers: `open_masked`, and `release_share` for the gate.

`open_masked` is the heart of truncation and lifting (a masked opening): from additive shares of z it lets
parties 0 and 2, the two holders of component 0, see z + 2^(K-3) + r, where r = r_0 + r_1 + r_2 and r_i, uniform in [0,
2^(K-2)), comes from the PRF of the two holders of component i, so that no party knows r. For |z| < 2^(K-3) nothing wraps:
what is opened is an integer identity.
Adversary: one semi-honest party. Party 0 knows r_0 and r_1 and sees z + r_2, party 2 knows r_2 and r_0 and sees z + r_1:
for |z| < 2^b the distance from a view independent of z is at most 2^(b+1) / 2^(K-2) = 2^(b-(K-3)) an element, charged on
the session's meter before anything is sent. The single shares carry a zero-share, so they say no more than their sum.
Cost: 1 round, 4 elements in all (party 1 sends 2).

`release_share` adds a fresh zero-share to an additive share, so that the three say their sum and nothing else. Nothing is
sent here.
"""

from __future__ import annotations

import numpy as np

import native
from protocols import ring
from protocols.replicated.sharing import Shares, after, before
from protocols.replicated.zero import zero_share
from protocols.session import Expect, Session

KIND, MASK = "masked opening", "opening mask"
SEES = (0, 2)  # the holders of component 0


def opening_mask(session: Session, shape: tuple[int, ...], limbs: int) -> Shares:
    """(r_i, r_(i+1)), each uniform in [0, 2^(K-2)) and known to the two holders of its component. Local."""
    own, following = (session.stream(peer, MASK).ring(shape, limbs) for peer in (before(session.me), after(session.me)))
    return Shares(native.truncation_mask(own), native.truncation_mask(following))


def open_masked(session: Session, additive: np.ndarray, bound: int) -> tuple[np.ndarray | None, Shares]:
    """Parties 0 and 2 learn z + 2^(K-3) + r; returns (that, or None at party 1; my components of r).

    `additive` is my share of z, uint64 (*shape, limbs); |z| <= bound. Raises RangeError or SecurityBudgetExceeded before sending.
    """
    *shape, limbs = additive.shape
    ring.require_maskable(bound, limbs)
    session.meter.opened_masked(ring.count(tuple(shape)), ring.log2(bound), ring.opening_bits(limbs))
    mask = opening_mask(session, tuple(shape), limbs)
    offset = ring.opening_bits(limbs) if session.me == 0 else None
    masked = native.truncation_message(additive, [mask.own, zero_share(session, tuple(shape), limbs)], offset)
    sees = session.me in SEES
    expect = Expect(np.dtype(np.uint64), masked.shape)
    received = session.exchange(
        KIND,
        {peer: masked for peer in SEES if peer != session.me},
        {peer: expect for peer in range(3) if sees and peer != session.me},
    )
    if not sees:
        return None, mask
    return native.add(masked, native.add(*received.values())), mask


def release_share(session: Session, x: Shares) -> np.ndarray:
    """My additive share of x, re-randomised: the three sum to x and say nothing more. Only the gate uses it."""
    *shape, limbs = x.own.shape
    return native.add(x.own, zero_share(session, tuple(shape), limbs))
