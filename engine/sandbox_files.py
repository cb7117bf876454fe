"""The folders of a sandbox: what the members of a real study agree on over weeks, written in a moment on one machine.

    DIR/
      researcher/            researcher.toml, charter.json, keys/
      um/                    hospital.toml, charter.json, keys/, um.csv, state/, daemon.log
      iu/ ...                one folder each, private to its owner; the first three compute
      compute-3/             only with two hospitals: a compute party without data

Nobody but a sandbox holds everybody's keys: in a real study each member makes its own and signs the charter itself.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from engine import analyses, canonical
from engine import charter as charters
from engine import identity as identities
from engine.charter import BAND, Charter, Floors
from engine.dictionary import Dictionary
from engine.errors import ConfigError
from engine.identity import Identity

RESEARCHER, EXTRA = "researcher", "compute-3"


@dataclass(frozen=True)
class Choices:
    """What the caller of a sandbox decides."""

    steps: bool = True
    approve: str = "automatic"  # or "by-hand"
    floors: Mapping[str, Any] | None = None
    round_deadline: float = 30.0


@dataclass(frozen=True)
class Layout:
    """Where everything lies."""

    root: Path
    hospitals: Mapping[str, Path]  # name -> its own data file
    parties: tuple[str, ...]  # the hospitals, and the extra compute party where there is one

    def folder(self, member: str) -> Path:
        return self.root / member

    def config(self, party: str) -> Path:
        return self.root / party / "hospital.toml"

    def log(self, party: str) -> Path:
        return self.root / party / "daemon.log"

    @property
    def researcher(self) -> Path:
        return self.root / RESEARCHER / "researcher.toml"


def lay_out(root: Path, files: Mapping[str, Any]) -> Layout:
    """Make the folders and give each hospital its own copy of its data. Raises ConfigError for what cannot be a sandbox."""
    if len(files) < 2:
        raise ConfigError("a sandbox needs at least two hospitals: give two files or more, one for each")
    names = [member_name(name) for name in files]
    clashes = {name for name in names if names.count(name) > 1 or name in (RESEARCHER, EXTRA)}
    if clashes:
        raise ConfigError(f"two members would be called {', '.join(sorted(clashes))}: rename a hospital")
    if root.exists() and any(root.iterdir()):
        raise ConfigError(f"{root} is not empty: choose a new folder for this sandbox")
    parties = (*names, *([EXTRA] if len(names) == 2 else []))
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for member in (*parties, RESEARCHER):
        (root / member).mkdir(mode=0o700)
    copies = {name: _own_copy(source, root / name, name) for name, source in zip(names, files.values(), strict=True)}
    return Layout(root, copies, parties)


def named(paths: Sequence[Path]) -> dict[str, Path]:
    """Files by the hospitals' names: their own, or their folders' where all files are called alike (um/visits.csv, ...)."""
    stems = [path.stem for path in paths]
    names = stems if len(set(stems)) > 1 or len(paths) == 1 else [path.resolve().parent.name for path in paths]
    if len(set(names)) != len(names):
        raise ConfigError("two files have the same name: rename one, or pass a dict of hospital names and files")
    return dict(zip(names, paths, strict=True))


def member_name(name: str) -> str:
    """A hospital's name as a charter writes it: lower-case letters, digits and hyphens, a letter first."""
    plain = re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-")
    plain = plain if plain[:1].isalpha() else f"hospital-{plain}".rstrip("-")
    return plain[:39].rstrip("-")


def _own_copy(source: Any, folder: Path, name: str) -> Path:
    """The hospital's file in its own folder: a copy of a CSV or Parquet file, or a data frame written as Parquet."""
    if hasattr(source, "to_parquet"):
        target = folder / f"{name}.parquet"
        mixed = [column for column, dtype in source.dtypes.items() if dtype == "object"]
        source.astype(dict.fromkeys(mixed, "string")).to_parquet(target, index=False)
        return target
    path = Path(source)
    if not path.is_file():
        raise ConfigError(f"{path} is no file: give a CSV file, a Parquet file or a data frame for each hospital")
    target = folder / path.name
    shutil.copyfile(path, target)
    return target


def make_identities(layout: Layout) -> dict[str, Identity]:
    return {name: identities.create(name, layout.folder(name) / "keys") for name in (*layout.parties, RESEARCHER)}


def write(
    layout: Layout,
    members: Mapping[str, Identity],
    dictionary: Dictionary,
    choices: Choices,
    own_names: Mapping[str, str] = MappingProxyType({}),
) -> Charter:
    """Choose ports, agree on the charter, write every member's configuration. Called again when a port was taken meanwhile.

    `own_names`: what the files call a column of the dictionary, where that is another name.
    """
    ports = free_ports(len(layout.parties))
    addresses = {party: f"127.0.0.1:{port}" for party, port in zip(layout.parties, ports, strict=True)}
    charter = _charter(layout, members, dictionary, choices, addresses)
    signatures = {
        name: canonical.sign(identity.signing_key, charters.DOMAIN, charter.to_bytes()) for name, identity in members.items()
    }
    for name in members:
        charters.save(layout.folder(name) / "charter.json", charter, signatures)
    for party in layout.parties:
        layout.config(party).write_text(
            _hospital_toml(party, addresses[party], layout.hospitals.get(party), choices, own_names), encoding="utf-8"
        )
    layout.researcher.write_text(
        f'# A researcher of this study: `unseen.connect("{layout.researcher.name}")`.\n'
        f'name = "{RESEARCHER}"\ncharter = "charter.json"\nkeys = "keys"\n',
        encoding="utf-8",
    )
    return charter


def _charter(
    layout: Layout, members: Mapping[str, Identity], dictionary: Dictionary, choices: Choices, addresses: Mapping[str, str]
) -> Charter:
    compute = layout.parties[:3]
    listed = [_member(members[party], _roles(party, layout, compute), layout, addresses[party]) for party in layout.parties]
    listed.append(_member(members[RESEARCHER], ["researcher"], layout, None))
    floors = Floors.model_validate({"hospitals": min(3, len(layout.hospitals)), **(choices.floors or {})})
    return charters.parse(
        {
            "title": f"sandbox of {', '.join(layout.hospitals)}"[:200],
            "members": listed,
            "compute": compute,
            "analyses": sorted(analyses.ANALYSES),
            "engines": charters.ENGINES,
            "steps": choices.steps,
            "floors": floors.model_dump(),
            "round_deadline": choices.round_deadline,
            "dictionary": dictionary.to_dict(),
        }
    )


def _roles(party: str, layout: Layout, compute: Sequence[str]) -> list[str]:
    return [role for role, holds in (("hospital", party in layout.hospitals), ("compute", party in compute)) if holds]


def _member(identity: Identity, roles: list[str], layout: Layout, address: str | None) -> dict[str, Any]:
    file = layout.hospitals.get(identity.name)
    return {
        "name": identity.name,
        "roles": roles,
        "public_key": identity.public_key,
        "certificate": identity.certificate.decode(),
        "address": address,
        "rows": band(file) if file else BAND,
    }


def band(file: Path) -> int:
    """What the charter declares for the whole table: its number of rows (lines, in a text file), rounded up to whole bands."""
    if file.suffix.lower() in (".parquet", ".pq"):
        import pyarrow.parquet as parquet

        rows: int = parquet.ParquetFile(file).metadata.num_rows
    else:
        with file.open("rb") as lines:
            rows = sum(block.count(b"\n") for block in iter(lambda: lines.read(1 << 20), b"")) + 1
    return max(BAND, -(-rows // BAND) * BAND)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _hospital_toml(party: str, listen: str, file: Path | None, choices: Choices, own_names: Mapping[str, str]) -> str:
    """A configuration as an operator would write it, with the choices explained."""
    lines = [
        f"# The daemon of {party}. Run it with: unseen party serve --config hospital.toml",
        "[party]",
        f'name = "{party}"',
        'charter = "charter.json"',
        'keys = "keys"',
        'state = "state"',
        f'listen = "{listen}"',
        "",
        "[policy]",
        f'approve = "{choices.approve}"  # "by-hand": every question waits for `unseen party approve`',
        f"steps = {json.dumps(choices.steps)}  # questions that open coefficients to the parties after each step",
    ]
    if choices.approve == "automatic":
        lines += ["", "[[policy.automatic]]", f'researcher = "{RESEARCHER}"', 'analyses = ["*"]', 'columns = ["*"]']
    if file is not None:
        lines += ["", "[data]", f"source = {_text(file.name)}"]
        lines += ["", "[data.columns]"] if own_names else []
        lines += [f"{_text(name)} = {_text(own)}" for name, own in own_names.items()]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    """A TOML string or quoted key: JSON's, but for characters that it would split in two."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
