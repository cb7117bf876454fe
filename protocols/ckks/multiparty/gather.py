"""Sums of polynomials over all hospitals, which every member of the session receives: how key shares become joint keys.

Each hospital adds up some limbs of everybody's polynomials and passes the sums on (reduce-scatter and all-gather: Thakur,
Rabenseifner and Gropp, IJHPCA 2005), so a hospital sends about 2 (H - 1) / H times its own polynomials, however many hospitals
there are, instead of H - 1 times. What travels is packed to the bits of each prime.
Adversary: whatever the polynomials may show to everybody: only key shares are summed here. A hospital that passes different
sums to different members is caught when digests are compared (agreement.py). Two rounds.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from native import packing, rns
from native.errors import KernelInputError
from native.rns import Basis
from protocols.ckks.context import Words
from protocols.errors import PeerMisbehaved
from protocols.session import Expect, Session

PARTS, SUMS = "shares of sums", "sums"


def joint_sum(session: Session, kind: str, mine: Words | None, basis: Basis, polynomials: int) -> Words:
    """The sum over hospitals of polynomials of this basis, uint64 (polynomials, limbs, N), at every member.

    `mine` is a hospital's own, and the sum is written over it; None elsewhere. Raises PeerMisbehaved when a residue is not below
    its prime.
    """
    me, members, limbs = session.me, range(len(session.members)), _limbs(session, len(basis))
    mine_to_sum = limbs.get(me, range(0))
    send: dict[int, np.ndarray] = {}
    expect: dict[int, Expect] = {}
    if mine is not None:
        send = {h: packed(mine, basis, part) for h, part in limbs.items() if h != me and part}
        others = [h for h in session.hospitals if h != me]
        expect = dict.fromkeys(others, packed_frame(basis, mine_to_sum, polynomials)) if mine_to_sum else {}
    received = session.exchange(f"{kind}: {PARTS}", send, expect)
    out = np.empty((polynomials, len(basis), basis.degree), np.uint64) if mine is None else mine
    send = {}
    if mine is not None and mine_to_sum:
        own = basis.part(mine_to_sum)
        total = np.ascontiguousarray(mine[:, mine_to_sum.start : mine_to_sum.stop])
        for frame in received.values():
            total = rns.add(total, unpacked(frame, basis, mine_to_sum, polynomials), own)
        out[:, mine_to_sum.start : mine_to_sum.stop] = total
        send = dict.fromkeys([member for member in members if member != me], packed(out, basis, mine_to_sum))
    expect = {h: packed_frame(basis, part, polynomials) for h, part in limbs.items() if h != me and part}
    for h, frame in session.exchange(f"{kind}: {SUMS}", send, expect).items():
        out[:, limbs[h].start : limbs[h].stop] = unpacked(frame, basis, limbs[h], polynomials)
    return out


def _limbs(session: Session, count: int) -> dict[int, range]:
    """{hospital: the limbs that it adds up}, as even as can be."""
    hospitals = len(session.hospitals)
    cuts = pairwise(count * i // hospitals for i in range(hospitals + 1))
    return {h: range(start, stop) for h, (start, stop) in zip(session.hospitals, cuts, strict=True)}


def packed(polynomials: Words, basis: Basis, limbs: range) -> npt.NDArray[np.uint8]:
    """These limbs of polynomials (n, limbs, N) as they travel."""
    chosen = np.ascontiguousarray(polynomials[:, limbs.start : limbs.stop])
    return np.frombuffer(packing.pack(chosen, basis.part(limbs)), np.uint8)


def unpacked(frame: npt.NDArray[np.uint8], basis: Basis, limbs: range, polynomials: int) -> Words:
    """What `packed` sent, (polynomials, limbs, N). Raises PeerMisbehaved."""
    try:
        return packing.unpack(frame.data, (polynomials, len(limbs), basis.degree), basis.part(limbs))
    except KernelInputError:
        raise PeerMisbehaved("a peer sent residues that are not below their primes") from None


def packed_frame(basis: Basis, limbs: range, polynomials: int) -> Expect:
    """What the plan says of such a frame."""
    return Expect(np.dtype(np.uint8), (packing.packed_size((polynomials, len(limbs), basis.degree), basis.part(limbs)),))
