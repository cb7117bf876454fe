"""How a hospital's numbers become shares of the three compute parties.

A hospital that does not compute draws two seeds; x_0 and x_1 are their AES-CTR streams, x_2 = v - x_0 - x_1 is sent in full:
    to party 0: seeds of x_0, x_1;   to party 1: seed of x_1, and x_2;   to party 2: seed of x_0, and x_2.
A hospital that is compute party i sets x_(i-1), the component it does not hold, to zero, takes x_i from the PRF it shares
with party i - 1, and sends x_(i+1) = v - x_i to party i + 1: one message.
Adversary: one semi-honest compute party, which misses one component that is uniform to it. Leaks nothing. One round for all
hospitals together; a vector of n elements costs 2n elements and 64 bytes from outside, n elements from a compute party.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import native
from protocols.errors import MisuseError
from protocols.prf import PrfStream
from protocols.replicated.sharing import Shares, after, before
from protocols.session import COMPUTE, Expect, Session

STREAM = "input share"
SEED_WORDS = 2  # 16 bytes: an AES-128 key


def share_vectors(
    session: Session, kind: str, owners: Sequence[int], length: int, limbs: int, mine: np.ndarray | None
) -> dict[int, Shares]:
    """`share_vectors_of` with one length for all owners."""
    return share_vectors_of(session, kind, dict.fromkeys(owners, length), limbs, mine)


def share_vectors_of(
    session: Session, kind: str, lengths: Mapping[int, int], limbs: int, mine: np.ndarray | None
) -> dict[int, Shares]:
    """Each owner shares a vector of `lengths[owner]` elements in one round; compute parties get {owner: shares}, others {}.

    `mine`, uint64 (length, limbs), is my own vector where I am an owner.
    """
    owners = list(lengths)
    if (mine is not None) != (session.me in owners):
        raise MisuseError("exactly the owners of an input bring a vector")
    send, own_shares = _deal(session, mine, limbs) if mine is not None else ({}, None)
    expect = {}
    if session.computes:
        heard = [owner for owner in owners if _hears_from(session.me, owner)]
        expect = {owner: _expected(session.me, owner, lengths[owner], limbs) for owner in heard}
    received = session.exchange(kind, send, expect)
    if not session.computes:
        return {}
    others = [owner for owner in owners if owner != session.me]
    shares = {owner: _assemble(session, owner, received.get(owner), lengths[owner], limbs) for owner in others}
    return shares if own_shares is None else {**shares, session.me: own_shares}


def _hears_from(me: int, owner: int) -> bool:
    """An outsider writes to all three; compute party i only to party i + 1."""
    return owner not in COMPUTE or owner == before(me)


def _expected(me: int, owner: int, length: int, limbs: int) -> Expect:
    full = length * limbs
    words = full if owner in COMPUTE else 2 * SEED_WORDS if me == 0 else SEED_WORDS + full
    return Expect(np.dtype(np.uint64), (words,))


def _deal(session: Session, v: np.ndarray, limbs: int) -> tuple[dict[int, np.ndarray], Shares | None]:
    """(frames to send, my own shares if I compute)."""
    me = session.me
    if me in COMPUTE:
        x_own = session.stream(before(me), STREAM).ring((len(v),), limbs)
        x_next = native.sub(v, x_own)
        return {after(me): x_next.reshape(-1)}, Shares(x_own, x_next)
    seeds = [np.frombuffer(session.entropy(16), dtype=np.uint64) for _ in range(2)]
    streams = [_expand(seed, len(v), limbs) for seed in seeds]
    x_2 = native.sub(native.sub(v, streams[0]), streams[1]).reshape(-1)
    frames = {0: np.concatenate(seeds), 1: np.concatenate([seeds[1], x_2]), 2: np.concatenate([seeds[0], x_2])}
    return frames, None


def _assemble(session: Session, owner: int, frame: np.ndarray | None, length: int, limbs: int) -> Shares:
    """My shares of another member's vector."""
    me, zero = session.me, np.zeros((length, limbs), dtype=np.uint64)
    if owner == after(me):
        return Shares(zero, session.stream(owner, STREAM).ring((length,), limbs))
    assert frame is not None
    if owner in COMPUTE:
        return Shares(frame.reshape(length, limbs), zero)
    if me == 0:
        return Shares(_expand(frame[:SEED_WORDS], length, limbs), _expand(frame[SEED_WORDS:], length, limbs))
    seeded, full = _expand(frame[:SEED_WORDS], length, limbs), frame[SEED_WORDS:].reshape(length, limbs)
    return Shares(seeded, full) if me == 1 else Shares(full, seeded)


def _expand(seed: np.ndarray, length: int, limbs: int) -> np.ndarray:
    return PrfStream(seed.tobytes()).ring((length,), limbs)
