"""What a member and a relay say to each other before bytes are passed on.

    relay      MAGIC, 32 fresh bytes
    member     64 bytes of signature, {"study", "member", "verb": "wait" | "dial", "to"}; the fresh bytes are signed, too
    relay      to "wait": waiting; then still, now and then; then call, when somebody dials.    member: here
               to "dial": paired, and from then on the other side's bytes
               or a code that says why not, and the line is closed

Each is a frame of two bytes of length and at most FRAME_LIMIT bytes. A member proves by its signing key, which the charter pins,
who it is: nobody else can wait in its place, and no stranger takes up lines. Codes are never free text. The words cross in the
clear: who is in between sees what the relay sees, and can do what a relay can do, that is cut lines.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine import canonical
from engine.charter import Charter, Member
from engine.errors import NotAuthorised, Unreachable
from engine.transport.codes import LinkCode

DOMAIN = "unseen relay v1"
MAGIC = b"unseen relay 1 "
NONCE_SIZE, SIGNATURE_SIZE = 32, 64
FRAME_LIMIT = 512  # bytes: a request with the longest names has 64 + 220


class Word(StrEnum):
    """All that a relay says, and the one word of a member that waits."""

    WAITING = "waiting"
    STILL = "still"
    CALL = "call"
    HERE = "here"
    PAIRED = "paired"
    NOT_AUTHORISED = "not-authorised"  # no member of a charter that this relay serves, or not its key
    MALFORMED = "malformed"
    TOO_MANY = "too-many"  # lines of this member, or of all
    AWAY = "away"  # nobody waits under the name that was asked for


class RelayError(Unreachable):
    """The relay does not answer, or cannot join the lines. `code` says why, `advice` what to do."""

    def __init__(self, text: str, code: LinkCode, advice: str) -> None:
        super().__init__(text)
        self.code, self.advice = code, advice


class Request(BaseModel):
    """What a member wants: to wait for calls, or to be joined with `to`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    study: str = Field(pattern=r"^[0-9a-f]{64}$")
    member: str = Field(max_length=39)
    verb: Literal["wait", "dial"]
    to: str = Field(default="", max_length=39)


def sign(request: Request, nonce: bytes, key: Ed25519PrivateKey) -> bytes:
    """The frame that a member sends."""
    body = canonical.to_bytes(request.model_dump())
    return canonical.sign(key, DOMAIN, nonce + body) + body


def verify(frame: bytes, nonce: bytes, charters: dict[str, Charter]) -> tuple[Request, Member]:
    """Who asks for what. Raises ValueError for what is no request, NotAuthorised, SignatureInvalid."""
    signature, body = frame[:SIGNATURE_SIZE], frame[SIGNATURE_SIZE:]
    try:
        request = Request.model_validate(json.loads(body))
    except (ValidationError, ValueError, RecursionError):
        raise ValueError("no request of a member") from None
    charter = charters.get(request.study)
    if charter is None:
        raise NotAuthorised("this relay does not serve the study")
    member = charter.member(request.member)
    canonical.verify(member.key_bytes, DOMAIN, nonce + body, signature)
    named = member.name if request.verb == "wait" else request.to
    if named not in charter.parties:
        raise NotAuthorised(f"{named!r} is no party of this study")
    return request, member


def refusal(word: bytes, to: str, relay: str) -> RelayError:
    """What a relay's word of refusal means; anything unknown is no relay's."""
    match word.decode("ascii", "replace"):
        case Word.AWAY:
            advice = f"is its daemon running? It keeps lines to the relay; `unseen party doctor` there says more of {to}"
            return RelayError(f"{to} does not wait at the relay {relay}", LinkCode.NOT_AT_RELAY, advice)
        case Word.NOT_AUTHORISED:
            advice = "ask its operator to serve this charter; compare ids (`unseen study show`)"
            return RelayError(f"the relay {relay} does not take this member's key", LinkCode.RELAY_REFUSES, advice)
        case Word.TOO_MANY:
            advice = "it is in use to its limits; tell its operator"
            return RelayError(f"the relay {relay} has no room for another line", LinkCode.RELAY_REFUSES, advice)
        case Word.MALFORMED:
            advice = "compare versions of unseen with its operator"
            return RelayError(f"the relay {relay} does not understand this member", LinkCode.RELAY_REFUSES, advice)
    return no_relay(relay)


def no_relay(relay: str) -> RelayError:
    advice = "is another program at the relay's address, or another version of unseen?"
    return RelayError(f"what answers at {relay} is no relay", LinkCode.RELAY, advice)


def unreachable(relay: str, why: str) -> RelayError:
    advice = "does it run, and does your firewall let you connect to it?"
    return RelayError(f"the relay {relay} does not answer ({why})", LinkCode.RELAY, advice)
