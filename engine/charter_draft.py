"""A charter on its way: terms first, then one member after another, then signatures.

    study.toml        the coordinator's: title, compute, analyses, floors ...; `dictionary` is the path of a dictionary (TOML)
    NAME.member.toml  each member's: what the others may know of it. `unseen party init` and `unseen init` write it

        name = "um"
        public_key = "..."                     # Ed25519, base64
        certificate = "-----BEGIN ..."         # PEM, self-signed
        address = "um.example.org:7443"        # parties only: where its daemon answers
        rows = 4096                            # hospitals only: its whole table has at most so many

    charter.json      {"charter": {...}, "signatures": {name: base64}}, from the first step to the last

Roles follow: whoever states rows is a hospital, whoever stands in `compute` computes, whoever has no address asks. A new member
makes another charter, so it removes the signatures that were there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from pydantic import BaseModel, ConfigDict, ValidationError

from engine import canonical
from engine import charter as charters
from engine import identity as identities
from engine.charter import Charter, Member, Terms
from engine.errors import CharterError, ConfigError, NotAuthorised, SignatureInvalid
from engine.identity import Identity
from engine.toml_file import read_toml


class Card(BaseModel):
    """What a member tells the others: NAME.member.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    public_key: str
    certificate: str
    address: str | None = None
    rows: int | None = None


@dataclass(frozen=True)
class Draft:
    """A charter file as it stands: terms, the members so far, and signatures that nobody has verified yet."""

    terms: Terms
    members: tuple[Member, ...] = ()
    signatures: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def document(self) -> dict[str, Any]:
        return {
            **self.terms.model_dump(mode="json"),
            "members": [member.model_dump(mode="json") for member in self.members],
        }

    @property
    def absent(self) -> list[str]:
        """The compute parties that are not there yet."""
        return [name for name in self.terms.compute if name not in {member.name for member in self.members}]

    def complete(self) -> Charter:
        """Raises CharterError saying what is missing."""
        if self.absent:
            raise CharterError(
                f"the charter lacks {', '.join(self.absent)}: `unseen study add-party charter.json NAME.member.toml`"
            )
        return charters.parse(self.document)

    def signed_by(self) -> tuple[str, ...]:
        """The members whose signatures verify over the charter as it stands; nobody while it is not complete."""
        try:
            charter = self.complete()
        except CharterError:
            return ()
        return tuple(member.name for member in charter.members if self._verifies(member, charter))

    def _verifies(self, member: Member, charter: Charter) -> bool:
        try:
            canonical.verify(member.key_bytes, charters.DOMAIN, charter.to_bytes(), self.signatures.get(member.name, b""))
        except SignatureInvalid:
            return False
        return True


def begin(path: Path) -> Draft:
    """The terms of a study.toml, no member yet. Raises ConfigError, CharterError, DictionaryError."""
    from engine import analyses  # here: nothing else about a charter waits for the statistics to be loaded

    document = read_toml(path)
    if "members" in document:
        raise ConfigError(
            f"{path.name}: members are added from their own files with `unseen study add-party`; remove [[members]]"
        )
    if isinstance(document.get("dictionary"), str):
        document["dictionary"] = read_toml(path.parent / document["dictionary"])
    terms = charters.parse_terms(document)
    unknown = sorted(set(terms.analyses) - set(analyses.ANALYSES))
    if unknown:
        raise ConfigError(
            f"{path.name}: no analysis is called {', '.join(unknown)}; there are {', '.join(sorted(analyses.ANALYSES))}"
        )
    return Draft(terms)


def add(draft: Draft, card: Card) -> Draft:
    """With this member, in the place of an earlier card of the same name; the draft itself, with its signatures, where it holds
    this very card. Raises ConfigError, CharterError."""
    held = [role for role, holds in (("hospital", card.rows is not None), ("compute", card.name in draft.terms.compute)) if holds]
    if not held and card.address is not None:
        raise ConfigError(
            f"{card.name} runs a daemon but neither holds data (`rows`) nor stands in `compute`: it has nothing to do"
        )
    known = card.model_dump(exclude_none=True)
    try:
        member = Member.model_validate({**known, "roles": held or ["researcher"]})
    except ValidationError as error:
        raise ConfigError(f"the file of member {card.name} is not well formed: {canonical.fields_of(error)}") from None
    _check_certificate(member)
    if held and member.address is None:
        raise ConfigError(
            f"{card.name} needs an address: its file comes from `unseen party init {card.name} --address HOST:PORT`"
        )
    if member in draft.members:
        return draft
    found = [member if each.name == member.name else each for each in draft.members]
    return replace(draft, members=tuple(found if member in found else [*found, member]), signatures={})


def sign(draft: Draft, identity: Identity) -> Draft:
    """With this member's signature. Raises CharterError, NotAuthorised when the charter pins another key for it."""
    charter = draft.complete()
    if charter.member(identity.name).public_key != identity.public_key:
        raise NotAuthorised(
            f"the charter holds another key for {identity.name}; send the coordinator your {identity.name}.member.toml again"
        )
    signature = canonical.sign(identity.signing_key, charters.DOMAIN, charter.to_bytes())
    return replace(draft, signatures={**draft.signatures, identity.name: signature})


def read(path: Path) -> Draft:
    """Raises ConfigError, CharterError, DictionaryError."""
    try:
        envelope = json.loads(path.read_bytes())
        document = dict(envelope["charter"])
        signatures = {name: base64.b64decode(text) for name, text in envelope["signatures"].items()}
        members = tuple(Member.model_validate(member) for member in document.pop("members"))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no {path}; a charter begins with `unseen study init study.toml`, or comes from the coordinator"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConfigError(f"{path} is not a charter file; begin one with `unseen study init study.toml`") from None
    return Draft(charters.parse_terms(document), members, signatures)


def write(path: Path, draft: Draft) -> None:
    charters.write_envelope(path, draft.document, draft.signatures)


def read_card(path: Path) -> Card:
    """Raises ConfigError."""
    try:
        return Card.model_validate(read_toml(path))
    except ValidationError as error:
        raise ConfigError(f"{path.name} is no member's file: {canonical.fields_of(error)}") from None


def card_of(identity: Identity, *, address: str | None = None, rows: int | None = None) -> Card:
    return Card(
        name=identity.name, public_key=identity.public_key, certificate=identity.certificate.decode(), address=address, rows=rows
    )


def _check_certificate(member: Member) -> None:
    """A certificate that no other member could connect with is found before anybody signs."""
    again = f"{member.name} makes a new one"
    certificate = x509.load_pem_x509_certificate(member.certificate.encode())
    if identities.names_in(certificate) != [member.name]:
        raise ConfigError(f"the certificate of {member.name} is made out to another name; {again}")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise ConfigError(f"the certificate of {member.name} has expired; {again}")
