"""What all members of a session must agree on before anyone uses a key: common randomness, and what was made with it.

Commit and reveal (Blum, CRYPTO 1981): everybody publishes SHA-256(session, who, nonce), then the nonce; the seed hashes all
of them, so it is uniform to whoever contributed one honest nonce, and nobody can choose a common random polynomial after
having seen the others'. A seed is expanded under labels: HKDF-SHA256 (RFC 5869) to AES-128 keys in counter mode.
Adversary: any number of semi-honest members; a member that reveals something else than it committed to is caught here, one
that deals differently to different members when what was made of the seed is compared. Leaks nothing; the seed is
public to the members. Two rounds of 32 bytes to each other member; comparing costs one more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from protocols.errors import PeerMisbehaved
from protocols.prf import PrfStream
from protocols.session import Expect, Session

NONCE_BYTES = 32
DIGEST = Expect(np.dtype(np.uint8), (32,))
COMMIT, REVEAL, COMPARE = "common seed: commitment", "common seed: nonce", "what is joint: digest"


class CommonRandomness:
    """Streams that all members of a session expand alike from one public seed; a label names its stream and is used once."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._used: set[str] = set()

    def stream(self, label: str) -> PrfStream:
        if label in self._used:
            raise ValueError("a common random stream would be used twice")
        self._used.add(label)
        return PrfStream(HKDF(hashes.SHA256(), 16, salt=b"unseen common randomness v1", info=label.encode()).derive(self._seed))


def common_randomness(session: Session) -> CommonRandomness:
    """Two rounds between all members. Raises PeerMisbehaved when a nonce is not the one committed to."""
    nonce = session.entropy(NONCE_BYTES)
    commitments = _everyone(session, COMMIT, _commitment(session, session.me, nonce))
    nonces = {who: each.tobytes() for who, each in _everyone(session, REVEAL, nonce).items()}
    for who, each in nonces.items():
        if _commitment(session, who, each) != commitments[who].tobytes():
            raise PeerMisbehaved("a peer revealed another nonce than it had committed to")
    together = b"".join(nonces[who] for who in sorted(nonces))
    return CommonRandomness(hashlib.sha256(b"unseen common seed v1\0" + session.id + together).digest())


def require_same(session: Session, *parts: bytes | np.ndarray, among: Sequence[int] | None = None) -> None:
    """Everybody (or those `among`) holds the same bytes, or nobody goes on. One round. Raises PeerMisbehaved."""
    digest = hashlib.sha256(b"unseen joint data v1\0" + session.id)
    for part in parts:
        data = memoryview(part) if isinstance(part, bytes) else part.data.cast("B")
        digest.update(data.nbytes.to_bytes(8, "little"))
        digest.update(data)
    mine = digest.digest()
    if any(each.tobytes() != mine for each in _everyone(session, COMPARE, mine, among).values()):
        raise PeerMisbehaved(
            "the members of this session do not hold the same joint keys or ciphertexts: what one sent differed between peers"
        )


def _commitment(session: Session, who: int, nonce: bytes) -> bytes:
    return hashlib.sha256(b"unseen common nonce v1\0" + session.id + who.to_bytes(2, "little") + nonce).digest()


def _everyone(session: Session, kind: str, mine: bytes, among: Sequence[int] | None = None) -> dict[int, np.ndarray]:
    """{member: its 32 bytes}, mine included."""
    array = np.frombuffer(mine, np.uint8)
    peers = [peer for peer in (range(len(session.members)) if among is None else among) if peer != session.me]
    return {session.me: array, **session.exchange(kind, dict.fromkeys(peers, array), dict.fromkeys(peers, DIGEST))}
