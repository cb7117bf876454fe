"""Truncation: never a wrap, error within (-2, +2] units for every |z| < 2^(K-3); by masked opening, or from two addends.

Two forms, of which cost.masks_suffice picks one by shape and bound. split.py's leaks nothing, errs by less than 1 unit, and takes
two rounds from additive shares (one from replicated ones). The masked opening takes one round:
Theorem. Let m = K - 3 and let o = z + 2^m + r_0 + r_1 + r_2 be what the holders of component j see (opening.py), an identity
of integers. Then
    y = floor(o / 2^f) - 2^(m-f) - sum floor(r_i / 2^f) - 1 = floor(z / 2^f + t) - 1,   t = sum (r_i mod 2^f) / 2^f in [0, 3),
lies in (z / 2^f - 2, z / 2^f + 2); its mean error is 0 to within half a unit, t having mean 3/2 and the floor taking 1/2 on
average. The first two terms and the -1 are known to the holders of component j, and floor(r_i / 2^f) to those of component
i, so y is shared at once: y_i = -floor(r_i / 2^f), and y_j has floor(o / 2^f) - 2^(m-f) - 1 added to it.
Adversary, leak and cost: those of the one masked opening (opening.py).
"""

from __future__ import annotations

import numpy as np

import native
from protocols import ring
from protocols.replicated import cost, split
from protocols.replicated.opening import add_seen, open_masked
from protocols.replicated.sharing import Shares
from protocols.session import Session


def truncate(session: Session, x: Shares, drop: int, bound: int) -> Shares:
    """z / 2^drop from replicated shares of z, |z| <= bound; 0 < drop <= K - 3. One round."""
    if cost.masks_suffice(x.own.shape, bound):
        return truncate_masked(session, x.own, drop, bound)
    return split.truncate(session, x, drop)


def truncate_additive(session: Session, additive: np.ndarray, drop: int, bound: int) -> Shares:
    """The same from my additive share of z. One round, or two."""
    if cost.masks_suffice(additive.shape, bound):
        return truncate_masked(session, additive, drop, bound)
    return split.truncate_additive(session, additive, drop)


def truncate_masked(session: Session, additive: np.ndarray, drop: int, bound: int) -> Shares:
    """Replicated shares of z / 2^drop from my additive share of z, |z| <= bound; 0 < drop <= K - 3. One masked opening."""
    opened, mask = open_masked(session, additive, bound)
    shares = Shares(*(native.neg(native.shift_right(r, drop)) for r in mask))
    limbs = additive.shape[-1]
    floor = native.truncation_finish(opened, drop, ring.opening_bits(limbs))
    return add_seen(session.me, shares, native.sub(floor, ring.power_of_two(0, limbs)))
