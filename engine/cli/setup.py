"""unseen init, unseen party init: a member's own folder, before there is a charter; unseen party doctor: is everything right?

NAME/                private to its owner (0700)
  keys/              never leaves it
  hospital.toml      parties: the daemon's configuration, to be read and completed
  researcher.toml    researchers
  state/             parties
  NAME.member.toml   for the coordinator: what the others may know
  charter.json       the member puts it here, once it is complete
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tomli_w
import typer

from engine import charter_draft as drafts
from engine import identity as identities
from engine.address import host_and_port, relay_of
from engine.charter import BAND, MAX_ROWS
from engine.charter_draft import Card
from engine.cli.output import FAILED, print_json, print_text, say
from engine.errors import ConfigError
from engine.identity import Identity
from engine.party.template import hospital_toml, researcher_toml

NAME = re.compile(r"[a-z][a-z0-9-]{0,38}")
Name = Annotated[str, typer.Argument(help="Your name in the charter: lower-case letters, digits and hyphens.")]
Folder = Annotated[Path | None, typer.Option(help="A new folder for everything; NAME when left out.")]


def init(name: Name, folder: Folder = None) -> None:
    """Make a researcher's folder: keys, researcher.toml, and the file for the study's coordinator."""
    home, identity = _new_member(name, folder)
    (home / "researcher.toml").write_text(researcher_toml(name), encoding="utf-8")
    _hand_over(home, drafts.card_of(identity))


def party_init(
    name: Name,
    address: Annotated[
        str, typer.Option(help="HOST:PORT where the others reach your daemon, or relay://HOST:PORT of your relay.")
    ],
    rows: Annotated[
        int | None,
        typer.Option(help="Hospitals: your whole table has at most so many rows; rounded up to whole thousands (1024)."),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Hospitals: your CSV or Parquet file, as [data] source.")] = None,
    folder: Folder = None,
) -> None:
    """Make a party's folder: keys, hospital.toml, and the file for the study's coordinator. Without --rows it only computes."""
    port = _port(address)
    if rows is not None and not 1 <= rows <= MAX_ROWS:
        raise ConfigError("--rows is the most rows that your table may have while the charter holds, at least 1")
    if data is not None and rows is None:
        raise ConfigError("--data belongs to a hospital: give --rows too, the most rows that your table may have")
    source = None if rows is None else _source(data, name)
    home, identity = _new_member(name, folder)
    (home / "state").mkdir(mode=0o700)
    (home / "hospital.toml").write_text(hospital_toml(name, port, source), encoding="utf-8")
    _hand_over(home, drafts.card_of(identity, address=address, rows=None if rows is None else -(-rows // BAND) * BAND))
    say(f"Then read {home / 'hospital.toml'}, put charter.json beside it, and in that folder ask: unseen party doctor")


def doctor(
    config: Annotated[
        Path, typer.Option("--config", envvar="UNSEEN_PARTY", help="This party's hospital.toml; or set UNSEEN_PARTY.")
    ] = Path("hospital.toml"),
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for what is wrong: charter, keys, folders, own data, clocks, the way to the others. Exit code 1 when one fails."""
    from engine.party import doctor

    lines = []
    for line in doctor.examine(config):
        lines.append(line)
        if not json:
            print_text(f"{line.status:<5} {line.check:<14} {line.text}" + (f"\n{'':<21}-> {line.advice}" if line.advice else ""))
    if json:
        print_json([asdict(line) for line in lines])
    if any(line.status == "fail" for line in lines):
        raise typer.Exit(FAILED)


def _new_member(name: str, folder: Path | None) -> tuple[Path, Identity]:
    if not NAME.fullmatch(name):
        raise ConfigError("a member's name has lower-case letters, digits and hyphens, a letter first, and at most 39 of them")
    home = folder or Path(name)
    if home.exists() and any(home.iterdir()):
        raise ConfigError(f"{home} is not empty; choose a new folder with --folder, so that no key is overwritten")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    return home, identities.create(name, home / "keys")


def _hand_over(home: Path, card: Card) -> None:
    path = home / f"{card.name}.member.toml"
    path.write_text(tomli_w.dumps(card.model_dump(exclude_none=True)), encoding="utf-8")
    say(f"{home} is private to you; its keys never leave it. Send {path} to the study's coordinator.")


def _port(address: str) -> int | None:
    """What the daemon listens on; None behind a relay. Raises ConfigError."""
    if relay_of(address) is not None:
        return None
    _, port = host_and_port(address)
    if not port:
        raise ConfigError("--address is where the others reach this daemon: its port is not 0")
    return port


def _source(data: str | None, name: str) -> str:
    """As hospital.toml will read it: relative paths start at its folder, not here."""
    return f"{name}.csv" if data is None else str(Path(data).absolute())
