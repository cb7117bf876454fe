"""From shares modulo a power of two to three integers with the same sum: what another modulus can take over.

A masked opening of z in Z_2^K, |z| < 2^(K-3), is an integer identity, o = z + 2^(K-3) + r_0 + r_1 + r_2 (opening.py), so
z = (o - 2^(K-3) - r_0) - r_1 - r_2 over the integers, each term known to the holders of one component; reduced modulo any
number, the three still add up to z there. Shares modulo 2^K themselves would wrap: they sum to z plus an unknown multiple of
2^K.
Adversary: one semi-honest compute party. Leaks what the opening does, 2^(b-(K-3)) an element for |z| < 2^b: for numbers of 80
bits in Z_2^256 less than 2^-170. 1 round, 4 elements in all.
"""

from __future__ import annotations

import numpy as np

import native
from protocols import ring
from protocols.errors import MisuseError
from protocols.replicated.opening import BALANCED_FROM, open_masked
from protocols.replicated.sharing import Shares
from protocols.session import Session


def integer_share(session: Session, x: Shares, bound: int) -> np.ndarray:
    """My of three integers that add up to each z, |z| <= bound: Python integers, (n,). x: (n, limbs), n < BALANCED_FROM."""
    *_, limbs = x.own.shape
    if len(x.own) >= BALANCED_FROM:
        raise MisuseError("integer shares are for few numbers; convert them in several calls")
    opened, mask = open_masked(session, x.own, bound)
    mine: np.ndarray = -native.to_ints(mask.own, signed=False)
    if session.me == 0:  # component 0 opened to parties 0 and 2; the addend is entered once
        mine = mine + native.to_ints(opened, signed=False) - (1 << ring.opening_bits(limbs))
    return mine
