"""The replicated engine: the verbs of protocols/engine.py on three-party replicated shares (Araki et al., CCS 2016).

Adversary: one semi-honest compute party. What two compute parties together hold is everything that is shared. Each verb's
protocol, leak and cost is in its module; replicated/cost.py declares rounds and bytes. Every compute party builds one
`Replicated` a session and runs the same calls in the same order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from protocols import sums
from protocols.engine import Declared, Secret, Value
from protocols.errors import MisuseError, PeerMisbehaved
from protocols.planned import PlannedEngine
from protocols.replicated import compare, convert, multiply, opening, rows, truncate
from protocols.replicated.sharing import Shares, after, before, of_public
from protocols.session import Expect, Session

NONCE_BYTES, DIGEST_BYTES = 32, 32


class Replicated(PlannedEngine):
    """The verbs on shares, for compute party `session.me`."""

    name = "replicated"

    def __init__(self, session: Session) -> None:
        if not session.computes:
            raise MisuseError("only compute parties hold shares")
        self.session = session
        self._contribution: Mapping[str, Value] | None = None

    # -- values in ---------------------------------------------------------------------------------------------------
    def contribute(self, values: Mapping[str, Value]) -> None:
        """This party's own numbers for the next `totals` or `rows`, where it holds data itself. Nothing is sent yet."""
        self._contribution = values

    def totals(self, declared: Sequence[Declared]) -> dict[str, Secret]:
        values, self._contribution = self._contribution, None
        shares = sums.collect(self.session, declared, values)
        return {each.name: self._secret(shares[each.name], each.frac, each.bound) for each in declared}

    def rows(self, declared: Mapping[int, Sequence[Declared]]) -> dict[int, dict[str, Secret]]:
        values, self._contribution = self._contribution, None
        shares = rows.collect(self.session, declared, values)
        return {
            hospital: {each.name: self._secret(shares[hospital][each.name], each.frac, each.bound, proven=False) for each in plan}
            for hospital, plan in declared.items()
        }

    # -- the gate's door ---------------------------------------------------------------------------------------------
    def release_share(self, x: Secret) -> np.ndarray:
        self._require_mine(x)
        return opening.release_share(self.session, x.data)

    # -- randomness in public ----------------------------------------------------------------------------------------
    def public_random_bytes(self, n: int) -> bytes:
        # Each commits to SHA-256(session, who, nonce, bytes), then reveals; the XOR is uniform if one of the three is honest.
        mine = self.session.entropy(NONCE_BYTES + n)
        peers = (after(self.session.me), before(self.session.me))
        commitment = np.frombuffer(self._commitment(self.session.me, mine), dtype=np.uint8)
        commitments = self._broadcast("commitment", commitment, peers)
        revealed = self._broadcast("reveal", np.frombuffer(mine, dtype=np.uint8), peers)
        total = np.frombuffer(mine, dtype=np.uint8)
        for peer in peers:
            if self._commitment(peer, revealed[peer].tobytes()) != commitments[peer].tobytes():
                raise PeerMisbehaved("a peer revealed other random bytes than it had committed to")
            total = total ^ revealed[peer]
        return total[NONCE_BYTES:].tobytes()

    def _commitment(self, party: int, opening: bytes) -> bytes:
        return hashlib.sha256(b"unseen public randomness v1\0" + self.session.id + bytes([party]) + opening).digest()

    def _broadcast(self, kind: str, array: np.ndarray, peers: tuple[int, int]) -> dict[int, np.ndarray]:
        expect = Expect(array.dtype, array.shape)
        return self.session.exchange(kind, dict.fromkeys(peers, array), dict.fromkeys(peers, expect))

    # -- protocols ---------------------------------------------------------------------------------------------------
    def _public(self, elements: np.ndarray) -> Shares:
        return of_public(self.session.me, elements)

    def _mul(self, x: Shares, y: Shares, drop: int, bound: int) -> Shares:
        return multiply.product(self.session, x, y, drop, bound)

    def _matmul(self, x: Shares, y: Shares, drop: int, bound: int) -> Shares:
        return multiply.matrix_product(self.session, x, y, drop, bound)

    def _mul_add(self, x: Shares, y: Shares, z: Shares, drop: int, bound: int) -> Shares:
        return multiply.product_plus(self.session, x, y, z, drop, bound)

    def _row_products(self, x: Shares, y: Shares, also: Shares | None, symmetric: bool, bound: int) -> Shares:
        return multiply.row_products(self.session, x, y, also, symmetric, bound)

    def _drop(self, x: Shares, bits: int, bound: int) -> Shares:
        return truncate.truncate(self.session, x, bits, bound)

    def _negative(self, x: Shares, bits: int, blur: int) -> Shares:
        return compare.negative(self.session, x, bits, blur)

    def _none_negative(self, x: Shares, y: Shares) -> Shares:
        return compare.none_negative(self.session, x, y)

    def _lift(self, x: Shares, bound: int) -> Shares:
        return convert.lift(self.session, x, bound)
