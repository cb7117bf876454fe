"""Zero-shares: three numbers that sum to zero, each pseudorandom to the other two parties, without a message.

Source: Araki et al., CCS 2016, section 2.2: party i outputs alpha_i = PRF(k_i, ctr) - PRF(k_(i-1), ctr), k_i being known to
parties i and i + 1, so that alpha_0 + alpha_1 + alpha_2 = 0; the XOR form for bits. Party i does not know k_(i+1), which
masks both other terms.
Adversary: one semi-honest party. Nothing is sent. Counters never repeat: each call moves both streams on.
"""

from __future__ import annotations

import numpy as np

from protocols.prf import add_difference
from protocols.replicated.sharing import after, before
from protocols.session import Session

ARITHMETIC, XOR = "zero-share", "zero-share of bits"


def add_zero_share(session: Session, x: np.ndarray) -> np.ndarray:
    """x, uint64 (*shape, limbs), plus my summand of zero in Z_2^(64*limbs)."""
    ours, theirs = (session.stream(peer, ARITHMETIC) for peer in (after(session.me), before(session.me)))
    return add_difference(x, ours, theirs)


def zero_words(session: Session, shape: tuple[int, ...]) -> np.ndarray:
    """My XOR share of zero words, uint64 of this shape."""
    ours = session.stream(after(session.me), XOR).ring(shape, 1)
    theirs = session.stream(before(session.me), XOR).ring(shape, 1)
    words: np.ndarray = ours ^ theirs
    return words.reshape(shape)
