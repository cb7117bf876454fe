"""researcher.toml: which study, which keys, under which name. Paths are read relative to the file.

name = "researcher"            # as the charter calls you
charter = "charter.json"       # the agreement that all members signed
keys = "keys"                  # the folder that `unseen init` made: signing.key, tls.key, tls.crt

[addresses]                    # optional: only where a party is reached at another address than the charter's
um = "127.0.0.1:7001"          # or, through a relay, "relay://relay.example.org:7444"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine import charter as charters
from engine import identity as identities
from engine.address import relay_of
from engine.canonical import fields_of
from engine.charter import Charter
from engine.errors import ConfigError, NotAuthorised
from engine.identity import Identity
from engine.toml_file import read_toml


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    charter: str
    keys: str
    addresses: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class ResearcherConfig:
    """A researcher's own view of a study: the verified charter, their keys, and where each party answers."""

    charter: Charter
    identity: Identity
    addresses: dict[str, str]


def load(path: Path) -> ResearcherConfig:
    """Read researcher.toml, the charter and the keys. Raises ConfigError, CharterError, SignatureInvalid, NotAuthorised."""
    file = _read(path)
    charter = charters.load(path.parent / file.charter)
    if file.name not in charter.researchers:
        raise NotAuthorised(
            f"{file.name!r} is no researcher of this charter; the researchers are: {', '.join(charter.researchers)}"
        )
    identity = identities.load(file.name, path.parent / file.keys)
    if identity.public_key != charter.member(file.name).public_key:
        raise NotAuthorised(
            f"the keys folder holds other keys than the charter pins for {file.name!r}; point `keys` at the right folder"
        )
    for address in file.addresses.values():
        relay_of(address)
    strangers = sorted(set(file.addresses) - set(charter.parties))
    if strangers:
        raise ConfigError(f"{path.name}: [addresses] names no party of this study: {', '.join(strangers)}")
    return ResearcherConfig(
        charter, identity, {name: file.addresses.get(name) or charter.member(name).address or "" for name in charter.parties}
    )


def _read(path: Path) -> _File:
    try:
        return _File.model_validate(read_toml(path, "give the path of your researcher.toml"))
    except ValidationError as error:
        raise ConfigError(f"{path.name} is not well formed: {fields_of(error)}") from None
