"""How the members of a session agree on its keys and its id: signed ephemeral X25519 (RFC 7748), one hello each.

A hello carries a fresh public key and 32 fresh bytes, signed with the member's Ed25519 key over (job, attempt, member, key,
nonce). The session id is SHA-256 over job, attempt, charter and everybody's hello in the charter's order, so members that saw
different hellos get different ids, and the SessionReady messages, which carry the id, do not agree: the session does not start.
Adversary: the network and one lying member; leaks nothing; one round of hellos, one of readies. The private key lives for the
opening only.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine import canonical
from engine.charter import Charter
from engine.errors import SignatureInvalid
from engine.identity import Identity
from engine.wire.v1.party_link_pb2 import LinkMessage, SessionHello, SessionReady
from protocols.errors import PeerMisbehaved, ProtocolError

DOMAIN = "unseen session v1"

Key = tuple[bytes, int]  # job, attempt


class Opening:
    """One attempt at a job, from my hello to everybody's ready. Used by the event loop alone."""

    def __init__(self, identity: Identity, charter: Charter, key: Key) -> None:
        self.key = key
        self.me = identity.name
        self._charter = charter
        self._private = X25519PrivateKey.generate()
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        nonce = os.urandom(32)
        signature = canonical.sign(identity.signing_key, DOMAIN, _signed_part(key, self.me, public, nonce))
        own = SessionHello(job=key[0], attempt=key[1], public_key=public, nonce=nonce, signature=signature)
        self._hellos = {self.me: own}
        self._ready: dict[str, bytes] = {}
        self._changed = asyncio.Event()
        self._failure: ProtocolError | None = None

    @property
    def hello(self) -> LinkMessage:
        return LinkMessage(session_hello=self._hellos[self.me])

    @property
    def ready(self) -> LinkMessage:
        job, attempt = self.key
        return LinkMessage(session_ready=SessionReady(job=job, attempt=attempt, session=self.session_id))

    def add_hello(self, member: str, hello: SessionHello) -> None:
        """A member's hello; the same again changes nothing. Raises PeerMisbehaved for a differing one, or a bad signature."""
        known = self._hellos.get(member)
        if known is not None and known != hello:
            raise PeerMisbehaved(f"{member} sent two different keys for one session")
        try:
            signed = _signed_part((hello.job, hello.attempt), member, hello.public_key, hello.nonce)
            canonical.verify(self._charter.member(member).key_bytes, DOMAIN, signed, hello.signature)
        except SignatureInvalid:
            raise PeerMisbehaved(f"the session key of {member} is not signed by {member}") from None
        self._hellos[member] = hello
        self._changed.set()

    def add_ready(self, member: str, session: bytes) -> None:
        """Raises PeerMisbehaved when the member announced another session id before."""
        if self._ready.setdefault(member, session) != session:
            raise PeerMisbehaved(f"{member} announced two different sessions")
        self._changed.set()

    def fail(self, error: ProtocolError) -> None:
        """Whoever waits for this opening gets `error`."""
        self._failure = self._failure or error
        self._changed.set()

    def look_again(self) -> None:
        """Something outside that this opening may wait for has come."""
        self._changed.set()

    async def everybody_greeted(self) -> None:
        """Returns when all hellos are there and verified."""
        while len(self._hellos) < len(self._charter.parties):
            await self.change()
        self._raise_if_failed()

    async def everybody_ready(self) -> None:
        """Returns when all others announced the same session id. Raises PeerMisbehaved when one announced another."""
        while len(self._ready) < len(self._charter.parties) - 1:
            await self.change()
        self._raise_if_failed()
        if any(session != self.session_id for session in self._ready.values()):
            raise PeerMisbehaved("the members did not see the same session keys")

    @property
    def session_id(self) -> bytes:
        """SHA-256 over everything that was agreed. Only when everybody greeted."""
        job, attempt = self.key
        hellos = [[name, self._hellos[name].public_key.hex(), self._hellos[name].nonce.hex()] for name in self._charter.parties]
        agreed = {"job": job.hex(), "attempt": attempt, "charter": self._charter.id, "hellos": hellos}
        return bytes.fromhex(canonical.digest(DOMAIN.encode() + b"\0" + canonical.to_bytes(agreed)))

    def secrets(self) -> Mapping[int, bytes]:
        """The X25519 secret with each other member, by number; forgets the private key. Raises PeerMisbehaved for a weak key."""
        private, self._private = self._private, X25519PrivateKey.generate()
        others = [(i, name) for i, name in enumerate(self._charter.parties) if name != self.me]
        try:
            return {i: private.exchange(X25519PublicKey.from_public_bytes(self._hellos[name].public_key)) for i, name in others}
        except ValueError:  # a point of small order: the shared secret would be zero
            raise PeerMisbehaved("a peer sent a session key of small order") from None

    async def change(self) -> None:
        """Returns when something has come that this opening may wait for. Raises what it failed with."""
        self._raise_if_failed()
        self._changed.clear()
        await self._changed.wait()

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise self._failure


def _signed_part(key: Key, member: str, public_key: bytes, nonce: bytes) -> bytes:
    job, attempt = key
    return canonical.to_bytes(
        {"job": job.hex(), "attempt": attempt, "member": member, "public_key": public_key.hex(), "nonce": nonce.hex()}
    )
