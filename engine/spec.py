"""One question, as data. Its canonical bytes are signed by the researcher; their SHA-256 is the job's identity.

The signature is verified over the received bytes before they are parsed, and bytes that are not the canonical form of what they
parse to are refused, so that a question has exactly one byte string.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine import canonical
from engine.errors import Expired, SpecError

DOMAIN = "unseen spec v1"
MAX_SPEC_BYTES = 64 * 1024
DEFAULT_LIFETIME = timedelta(days=7)
MAX_LIFETIME = timedelta(days=90)


class Spec(BaseModel):
    """A question. `nonce` makes two askings of the same question two jobs; after `expires` (UTC) nobody starts it.

    `Study.spec` makes one: `study`, `researcher`, `nonce` and `expires` (a week, 90 days at most) follow from the study. Which of
    the other fields an analysis takes, and which options, its method of `Study` says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1] = 1
    study: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the charter")
    researcher: str = Field(min_length=1, max_length=64)
    analysis: str = Field(min_length=1, max_length=32)
    formula: str | None = Field(default=None, max_length=10_000)
    columns: list[str] = Field(default_factory=list, max_length=1000)
    by: str | None = Field(default=None, max_length=256)
    where: str | None = Field(default=None, max_length=10_000)
    complete: list[str] = Field(default_factory=list, max_length=1000)
    reference: dict[str, str | int | float] = Field(default_factory=dict, max_length=100)
    engine: str = Field(default="replicated", max_length=32)
    disclosure: Literal["result", "steps"] = "result"
    options: dict[str, str | bool | int | float] = Field(default_factory=dict, max_length=32)
    nonce: str = Field(pattern=r"^[0-9a-f]{32}$")
    expires: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

    def to_bytes(self) -> bytes:
        """The canonical bytes that the researcher signs."""
        return canonical.to_bytes(self.model_dump(mode="json"))

    @property
    def job_id(self) -> str:
        """SHA-256 of these bytes, hex."""
        return canonical.digest(self.to_bytes())

    def check_not_expired(self, now: datetime) -> None:
        """Raises Expired after `expires`, SpecError when the expiry is further away than a charter may bind."""
        try:
            expires = datetime.strptime(self.expires, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise SpecError("expires is no date; write it like 2026-01-31T12:00:00Z") from None
        if now >= expires:
            raise Expired("this question has expired; submit it again with a new expiry")
        if expires - now > MAX_LIFETIME + timedelta(minutes=5):
            raise SpecError(f"a question may live for at most {MAX_LIFETIME.days} days; choose an earlier expiry")


@dataclass(frozen=True)
class SignedSpec:
    """A spec's exact bytes with the researcher's signature over them."""

    data: bytes
    signature: bytes
    domain = DOMAIN

    @property
    def job_id(self) -> str:
        return canonical.digest(self.data)

    def open(self, public_key: bytes) -> Spec:
        """Verify, then parse. Raises SignatureInvalid, SpecError."""
        if len(self.data) > MAX_SPEC_BYTES:
            raise SpecError(f"a question may hold at most {MAX_SPEC_BYTES} bytes")
        canonical.verify(public_key, DOMAIN, self.data, self.signature)
        spec = parse(self.data)
        if spec.to_bytes() != self.data:
            raise SpecError("the question is not in canonical form; let the SDK write it")
        return spec


def parse(data: bytes) -> Spec:
    """A Spec from JSON bytes, strictly. Raises SpecError naming the field."""
    try:
        spec = Spec.model_validate(json.loads(data))
        spec.to_bytes()  # a number that is none, or half a character, has no canonical form
        return spec
    except ValidationError as error:
        raise SpecError(f"the question is not well formed: {canonical.fields_of(error)}") from None
    except (ValueError, RecursionError):
        raise SpecError("the question is not JSON") from None


def new(*, study: str, researcher: str, analysis: str, lifetime: timedelta = DEFAULT_LIFETIME, **fields: Any) -> Spec:
    """A Spec with a fresh nonce and expiry. Raises SpecError naming the field that is wrong."""
    expires = (datetime.now(UTC) + lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
    envelope = {"study": study, "researcher": researcher, "nonce": secrets.token_hex(16), "expires": expires}
    try:
        data = canonical.to_bytes({**envelope, "analysis": analysis, **fields})
    except (TypeError, ValueError):
        raise SpecError("a question holds texts, numbers, lists and tables alone; write a date as text, in quotes") from None
    return parse(data)


def sign(spec: Spec, key: Ed25519PrivateKey) -> SignedSpec:
    data = spec.to_bytes()
    return SignedSpec(data, canonical.sign(key, DOMAIN, data))
