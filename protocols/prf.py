"""Pairwise pseudorandom streams: AES-128 in counter mode under keys derived by HKDF-SHA256 from an X25519 secret.

One key for each (session, unordered pair of members, purpose), so that counters of different sessions, pairs or purposes
cannot meet; inside one stream the counter only moves forward. Both ends draw the same amounts in the same order.
Source: RFC 5869 (HKDF), NIST SP 800-38A (CTR).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import native

# The simulator's reuse registry: told (key, first block, blocks) of everything this thread's streams consume.
on_consumed: ContextVar[Callable[[bytes, int, int], None] | None] = ContextVar("on_consumed", default=None)


class PrfStream:
    """A stream of pseudorandom ring elements and bytes. Its 128-bit block counter never moves back."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._block = 0

    def take(self, n: int) -> tuple[bytes, int]:
        """(key, first block) of the next n bytes, which are the caller's from now on."""
        first, blocks = self._block, -(-n // 16)
        self._block += blocks
        if (register := on_consumed.get()) is not None:
            register(self._key, first, blocks)
        return self._key, first

    def bytes(self, n: int) -> np.ndarray:
        """n bytes as uint8, shape (n,)."""
        return native.aes_ctr(*self.take(n), n)

    def ring(self, shape: tuple[int, ...], limbs: int) -> np.ndarray:
        """Uniform elements of Z_2^(64*limbs), uint64 of shape (*shape, limbs)."""
        count = int(np.prod(shape, dtype=np.int64)) * limbs
        return self.bytes(8 * count).view("<u8").reshape(*shape, limbs)


def add_difference(x: np.ndarray, plus: PrfStream, minus: PrfStream) -> np.ndarray:
    """x plus the next elements of one stream, less those of the other; x is uint64 (*shape, limbs)."""
    return native.add_streams(x, plus.take(x.nbytes), minus.take(x.nbytes))


class PairwiseKeys:
    """My secrets with every other member of a session, and the streams made of them."""

    def __init__(self, session_id: bytes, me: int, secrets: Mapping[int, bytes]) -> None:
        self._session_id = session_id
        self._me = me
        self._secrets = dict(secrets)
        self._streams: dict[tuple[int, str], PrfStream] = {}

    def stream(self, peer: int, purpose: str) -> PrfStream:
        if (peer, purpose) not in self._streams:
            low, high = sorted((self._me, peer))
            info = b"unseen prf v1\0" + low.to_bytes(2, "little") + high.to_bytes(2, "little") + purpose.encode()
            key = HKDF(hashes.SHA256(), 16, salt=self._session_id, info=info).derive(self._secrets[peer])
            self._streams[peer, purpose] = PrfStream(key)
        return self._streams[peer, purpose]
