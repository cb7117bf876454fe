"""unseen study keys | draft | sign | check: how a real study comes to its charter.

each member      unseen study keys um                        keys/ stays here; um.member.toml goes to the coordinator
the coordinator  unseen study draft study.toml *.member.toml writes charter.json, unsigned
each member      unseen study sign charter.json --name um    reads it, signs it, passes it on
everybody        unseen study check charter.json             says what it agrees to, and who has signed
"""

from __future__ import annotations

import base64
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer

from engine import canonical
from engine import charter as charters
from engine import identity as identities
from engine.charter import Charter
from engine.cli.output import print_text, say
from engine.errors import ConfigError, NotAuthorised, SignatureInvalid

Keys = Annotated[Path, typer.Option(help="The folder of your keys.")]
CharterPath = Annotated[Path, typer.Argument(help="The charter file.")]


def keys(name: Annotated[str, typer.Argument(help="Your name in the charter, e.g. um.")], folder: Keys = Path("keys")) -> None:
    """Make your keys, once. They never leave this folder; what the others need is written beside it."""
    if (folder / identities.SIGNING_KEY).exists():
        raise ConfigError(f"{folder} holds keys already; choose another folder, so that nothing is overwritten")
    identity = identities.create(name, folder)
    public = Path(f"{name}.member.toml")
    public.write_text(
        tomli_w.dumps({"name": name, "public_key": identity.public_key, "certificate": identity.certificate.decode()})
    )
    say(f"Keys of {name} are in {folder}, readable by you alone. Send {public} to the study's coordinator.")


def draft(
    study: Annotated[Path, typer.Argument(help="What the study agrees on: a TOML file, as examples/study.toml.")],
    members: Annotated[list[Path], typer.Argument(help="The members' own files, NAME.member.toml.")],
    out: Annotated[Path, typer.Option(help="Where to write the charter.")] = Path("charter.json"),
) -> None:
    """Put a charter together from the study's terms and its members' public keys. Nobody has signed it yet."""
    document = _read_toml(study)
    public = {entry.get("name"): entry for entry in map(_read_toml, members)}
    listed = document.get("members")
    if not isinstance(listed, list):
        raise ConfigError(f"{study.name} needs a [[members]] entry with name and roles for each member")
    document["members"] = [{**public.get(entry.get("name"), {}), **entry} for entry in listed]
    if isinstance(document.get("dictionary"), str):
        document["dictionary"] = _read_toml(study.parent / document["dictionary"])
    charter = charters.parse(document)
    charters.save(out, charter, {})
    say(f"{out} is study {charter.id[:12]}. Every member signs it now: unseen study sign {out} --name NAME")


def sign(
    charter: CharterPath,
    name: Annotated[str, typer.Option(help="Your name in the charter.")],
    folder: Annotated[Path, typer.Option("--keys", help="The folder of your keys.")] = Path("keys"),
) -> None:
    """Sign a charter, after reading it (`unseen study check` prints it in plain words)."""
    agreed, signatures = _read_charter(charter)
    identity = identities.load(name, folder)
    if agreed.member(name).public_key != identity.public_key:
        raise NotAuthorised(f"the charter holds another key for {name}; send the coordinator your {name}.member.toml again")
    signatures[name] = canonical.sign(identity.signing_key, charters.DOMAIN, agreed.to_bytes())
    charters.save(charter, agreed, signatures)
    say(f"Signed as {name}. {_signed_by(agreed, signatures)}")


def check(charter: CharterPath) -> None:
    """Say what a charter agrees to, and who has signed it."""
    agreed, signatures = _read_charter(charter)
    print_text(describe(agreed))
    print_text(_signed_by(agreed, signatures))


def describe(charter: Charter) -> str:
    """A charter in plain words."""
    floors = charter.floors
    rows = ", ".join(f"{name} {charter.member(name).rows}" for name in charter.hospitals)
    lines = [
        f"{charter.title} (study {charter.id[:12]})",
        f"hospitals  {', '.join(charter.hospitals)}",
        f"rows       {rows}: at most so many in each table, and so many are shared where a question shares rows",
        f"compute    {', '.join(charter.compute)}",
        f"asked by   {', '.join(charter.researchers)}",
        f"analyses   {', '.join(charter.analyses)}; engines {', '.join(charter.engines)}",
        f"steps      {'allowed: coefficients may be opened to the parties after each step' if charter.steps else 'not allowed'}",
        f"floors     {floors.cohort} people in a cohort, {floors.cell} in a cell, {floors.hospitals} contributing hospitals",
        f"columns    {', '.join(charter.parsed_dictionary.columns)}",
    ]
    return "\n".join(lines)


def _signed_by(charter: Charter, signatures: dict[str, bytes]) -> str:
    signed, missing = [], []
    for member in charter.members:
        try:
            canonical.verify(member.key_bytes, charters.DOMAIN, charter.to_bytes(), signatures.get(member.name, b""))
            signed.append(member.name)
        except SignatureInvalid:
            missing.append(member.name)
    return f"signed by {', '.join(signed) or 'nobody'}" + (f"; missing: {', '.join(missing)}" if missing else "; complete")


def _read_charter(path: Path) -> tuple[Charter, dict[str, bytes]]:
    """A charter and the signatures it has so far, none of them verified."""
    try:
        envelope = json.loads(path.read_bytes())
        signatures = {name: base64.b64decode(text) for name, text in envelope["signatures"].items()}
        document = envelope["charter"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is not a charter file; make one with `unseen study draft`") from None
    return charters.parse(document), signatures


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(f"{path} cannot be read") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not TOML: {error}") from None
