"""The signed agreement of one study: who takes part, with which keys and certificates, on which columns, under which floors.

A charter is JSON; its canonical bytes are signed by every member, and its SHA-256 names the study. A member is `hospital` (holds
data), `compute` (holds shares; exactly three), both, or `researcher` (asks). Certificates are pinned: each member's own stands in
the charter, and nothing else is trusted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from engine import canonical
from engine.address import relay_of
from engine.dictionary import Dictionary
from engine.errors import CharterError, NotAuthorised, SignatureInvalid

DOMAIN = "unseen charter v1"
BAND = 1024  # tables are declared in steps of so many rows
MAX_ROWS = 1 << 40
ENGINES = ("replicated", "ckks")
ENGINES = ("replicated", "ckks")
MAX_HOSPITALS = 32  # the range proof of protocols/numeric/solve.py allows this many roundings in a total
ON_SHARED_ROWS = ("logit", "poisson")  # analyses that may share rows, as many as the charter declares for each table
Role = Literal["hospital", "compute", "researcher"]


class Member(BaseModel):
    """One organisation: its name is also the DNS SAN of its certificate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,38}$")
    roles: tuple[Role, ...] = Field(min_length=1)
    public_key: str  # Ed25519, base64 of 32 bytes
    certificate: str  # PEM
    address: str | None = None  # host:port of its daemon, or relay://host:port; researchers have none
    rows: int = Field(default=BAND, ge=BAND, le=MAX_ROWS, multiple_of=BAND)  # a hospital's whole table has at most so many

    @field_validator("public_key")
    @classmethod
    def _key(cls, value: str) -> str:
        if len(base64.b64decode(value, validate=True)) != 32:
            raise ValueError("an Ed25519 public key has 32 bytes")
        return value

    @field_validator("address")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        relay_of(value)
        return value

    @field_validator("certificate")
    @classmethod
    def _pem(cls, value: str) -> str:
        try:
            x509.load_pem_x509_certificate(value.encode())
        except ValueError:
            raise ValueError("the certificate cannot be read") from None
        return value

    @property
    def key_bytes(self) -> bytes:
        return base64.b64decode(self.public_key)

    @cached_property
    def certificate_der(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding

        return x509.load_pem_x509_certificate(self.certificate.encode()).public_bytes(Encoding.DER)


class Floors(BaseModel):
    """The disclosure floors that every hospital's policy may only tighten."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cohort: int = Field(default=10, ge=5)
    cell: int = Field(default=10, ge=5)
    hospitals: int = Field(default=3, ge=2)
    residual_df: int = Field(default=10, ge=1)
    parameters_share: float = Field(default=0.1, gt=0, le=0.5)


class Terms(BaseModel):
    """What a study agrees on beside its members. `analyses` and `steps` say what may be asked at all; a hospital's policy may
    allow less."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    title: str = Field(min_length=1, max_length=200)
    compute: tuple[str, str, str]
    analyses: tuple[str, ...] = Field(min_length=1)
    engines: tuple[str, ...] = ("replicated",)
    steps: bool = False
    floors: Floors = Floors()
    round_deadline: float = Field(default=30.0, ge=0.5, le=600)  # seconds
    dictionary: dict[str, Any]

    @model_validator(mode="after")
    def _possible(self) -> Terms:
        if len(set(self.compute)) != 3:
            raise ValueError("`compute` names three different members")
        if "plaintext" in self.engines:
            raise ValueError("the plaintext engine computes in the clear and is for tests only")
        if not self.engines or not set(self.engines) <= set(ENGINES):
            raise ValueError(f"`engines` lists what the study allows of {', '.join(ENGINES)}")
        return self

    @cached_property
    def parsed_dictionary(self) -> Dictionary:
        return Dictionary.parse(self.dictionary)


class Charter(Terms):
    """The agreement: terms, and the members who sign them."""

    members: tuple[Member, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Charter:
        names = [m.name for m in self.members]
        if len(set(names)) != len(names):
            raise ValueError("two members have the same name")
        computing = {m.name for m in self.members if "compute" in m.roles}
        if computing != set(self.compute):
            raise ValueError("exactly the three members listed in `compute` carry the role compute")
        if any(m.address is None for m in self.members if set(m.roles) & {"hospital", "compute"}):
            raise ValueError("every hospital and compute party needs an address")
        unstated = [m.name for m in self.members if "hospital" in m.roles and "rows" not in m.model_fields_set]
        if unstated and set(self.analyses) & set(ON_SHARED_ROWS):
            raise ValueError(
                f"a study that allows {' or '.join(ON_SHARED_ROWS)} shares rows: state `rows` of {', '.join(unstated)}"
            )
        if len(self.hospitals) > MAX_HOSPITALS:
            raise ValueError(f"a study may have at most {MAX_HOSPITALS} hospitals")
        if len(self.hospitals) < self.floors.hospitals:
            raise ValueError("fewer hospitals than the floor `hospitals` asks for")
        return self

    @property
    def hospitals(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.members if "hospital" in m.roles)

    @property
    def parties(self) -> tuple[str, ...]:
        """All daemons of the study: the three compute parties first, in `compute`'s order, then the other hospitals."""
        return self.compute + tuple(name for name in self.hospitals if name not in self.compute)

    @property
    def researchers(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.members if "researcher" in m.roles)

    @property
    def bands(self) -> tuple[int, ...]:
        """The rows declared for each hospital's table, in the order of `parties`."""
        return tuple(self.member(name).rows for name in self.parties if "hospital" in self.member(name).roles)

    @property
    def rows_log2(self) -> int:
        """2^rows_log2 is at least the rows of all hospitals together."""
        return int(sum(self.bands) - 1).bit_length()

    def member(self, name: str) -> Member:
        """Raises NotAuthorised for a name that the charter does not hold."""
        for member in self.members:
            if member.name == name:
                return member
        raise NotAuthorised(f"{name!r} is not a member of this study's charter")

    def to_bytes(self) -> bytes:
        return canonical.to_bytes(self.model_dump(mode="json"))

    @property
    def id(self) -> str:
        return canonical.digest(self.to_bytes())


Agreed = TypeVar("Agreed", bound=Terms)


def parse(document: Mapping[str, Any]) -> Charter:
    """A Charter from its JSON tree. Raises CharterError naming the field, DictionaryError."""
    return _parsed(Charter, document)


def parse_terms(document: Mapping[str, Any]) -> Terms:
    """Terms from the same tree without `members`. Raises CharterError naming the field, DictionaryError."""
    return _parsed(Terms, document)


def _parsed(kind: type[Agreed], document: Mapping[str, Any]) -> Agreed:
    try:
        agreed = kind.model_validate(document)
    except ValidationError as error:
        raise CharterError(f"the charter is not well formed: {canonical.fields_of(error)}") from None
    agreed.parsed_dictionary  # noqa: B018  a charter with a wrong dictionary is a wrong charter
    return agreed


def load(path: Path) -> Charter:
    """Read a charter file and verify that every member signed it. Raises CharterError, SignatureInvalid."""
    try:
        envelope = json.loads(path.read_bytes())
        document, signatures = envelope["charter"], envelope["signatures"]
    except FileNotFoundError:
        raise CharterError(
            f"there is no {path.name} yet: the coordinator begins it with `unseen study init`, every member signs it, "
            "and it goes to all"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise CharterError(f"{path.name} is not a charter file; ask the study's coordinator for it") from None
    charter = parse(document)
    for member in charter.members:
        try:
            canonical.verify(member.key_bytes, DOMAIN, charter.to_bytes(), base64.b64decode(signatures.get(member.name, "")))
        except SignatureInvalid:
            raise SignatureInvalid(f"the charter lacks a valid signature of {member.name}") from None
    return charter


def save(path: Path, charter: Charter, signatures: Mapping[str, bytes]) -> None:
    """Write the charter with its members' signatures, each `canonical.sign(key, DOMAIN, charter.to_bytes())`."""
    write_envelope(path, charter.model_dump(mode="json"), signatures)


def write_envelope(path: Path, document: Mapping[str, Any], signatures: Mapping[str, bytes]) -> None:
    """A charter file, whatever stage it is at. A disk that is full leaves the one that was there."""
    signed = {name: base64.b64encode(signature).decode() for name, signature in signatures.items()}
    text = json.dumps({"charter": document, "signatures": signed}, indent=1, sort_keys=True) + "\n"
    written = path.with_name(path.name + ".tmp")
    written.write_text(text, encoding="utf-8")
    written.replace(path)
