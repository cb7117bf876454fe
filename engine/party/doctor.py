"""`unseen party doctor`: everything that a party can know to be wrong before a question fails over it.

Each line is ok, warn or fail, says what was found, and what to do. Counts of own rows stand in these lines: they are for this
party's operator, on this machine, and are never sent or logged. Nothing is written but a folder for what a query spills. What
needs a signed charter (peers, certificates) is left out while there is none; the own data are held against a draft's dictionary.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import grpc
from cryptography import x509

from engine import charter as charters
from engine import charter_draft as drafts
from engine import identity as identities
from engine.address import host_and_port, relay_of
from engine.charter import Charter, Member, Terms
from engine.data.check import check as check_mapping
from engine.data.config import open_source
from engine.errors import ConfigError, DataError
from engine.identity import Identity
from engine.party import audit, hardening, reach
from engine.party import config as configs
from engine.party.config import File
from engine.party.links import LINK_ADVICE
from engine.party.own_table import OwnTable
from engine.relay.caller import Caller, RelayError
from engine.transport.codes import LinkCode
from engine.wire.v1 import admin_pb2
from engine.wire.v1.admin_pb2_grpc import AdminStub
from native.errors import UnseenError

if TYPE_CHECKING:
    from engine.data.duckdb_source import DuckDBSource

Status = Literal["ok", "warn", "fail"]
RENEW = timedelta(days=60)  # new certificates need everybody's signature, which takes weeks
LITTLE_SPACE, NO_SPACE = 1 << 30, 100 << 20  # bytes
ADMIN_SECONDS = 5.0
SWAPS = Path("/proc/swaps")


@dataclass(frozen=True)
class Line:
    """One finding: which check, how it went, what was found, what to do about it."""

    check: str
    status: Status
    text: str
    advice: str = ""


@dataclass(frozen=True)
class Patient:
    """What could be read so far."""

    path: Path
    file: File
    charter: Charter | None
    terms: Terms | None  # the charter, or a draft of it
    member: Member | None
    identity: Identity | None

    def beside(self, path: str) -> Path:
        """A path of the configuration, which is relative to the file."""
        return self.path.resolve().parent / path

    @property
    def state(self) -> Path:
        return self.beside(self.file.party.state)

    @property
    def spill(self) -> Path | None:
        """The daemon's own folder, where this is the daemon's user: a folder of another user's would be in its way."""
        return self.state / "spill" if self.state.exists() and self.state.stat().st_uid == os.geteuid() else None


def examine(path: Path) -> Iterator[Line]:
    """All checks, in the order in which they are best mended. Never raises UnseenError."""
    yield _hardened()
    yield _swap()
    try:
        file = configs.read(path)
    except ConfigError as error:
        yield Line("configuration", "fail", str(error), "`unseen party init` writes one; examples/hospital.toml explains it")
        return
    yield Line("configuration", "ok", f"{path.name} of {file.party.name}")
    patient = _admit(path, file)
    yield from _charter(patient)
    yield from _keys(patient)
    yield from _folders(patient)
    yield from _certificates(patient)
    yield _disk(patient)
    yield from _audit_log(patient)
    yield from _data(patient)
    yield from _daemon(patient)
    yield from _relay(patient)
    yield from _peers(patient)


def _admit(path: Path, file: File) -> Patient:
    folder, name = path.resolve().parent, file.party.name
    charter: Charter | None = None
    terms: Terms | None = None
    members: tuple[Member, ...] = ()
    try:
        charter = terms = charters.load(folder / file.party.charter)
        members = charter.members
    except UnseenError:
        try:
            draft = drafts.read(folder / file.party.charter)
            terms, members = draft.terms, draft.members
        except UnseenError:
            pass
    try:
        identity = identities.load(name, folder / file.party.keys)
    except ConfigError:
        identity = None
    member = next((each for each in members if each.name == name), None)
    return Patient(path, file, charter, terms, member, identity)


def _hardened() -> Line:
    """This process will read rows as the daemon does, and gives up the same things."""
    try:
        hardening.no_core_dumps()
        hardening.unreadable()
    except OSError as error:
        return Line(
            "core dumps", "fail", f"cannot be turned off ({error.strerror})", "ask who runs this machine's security policy"
        )
    if not hardening.is_hardened():
        return Line("core dumps", "fail", "stay on", "ask who runs this machine's security policy")
    return Line("core dumps", "ok", "off; the daemon turns them off too")


def _swap() -> Line:
    """Shares and keys that are swapped out are on a disk. Compressed memory (zram) is none."""
    try:
        lines = SWAPS.read_text(encoding="utf-8").splitlines()[1:]
    except OSError:
        lines = []
    on_disk = [line.split()[0] for line in lines if not line.startswith("/dev/zram")]
    if on_disk:
        advice = "swapoff, encrypted swap, or packaging/unseen@.service, which keeps its daemon out of it"
        return Line("swap", "warn", f"{', '.join(on_disk)} could hold shares and keys", advice)
    return Line("swap", "ok", "none on a disk")


# -- the agreement and the own folder ------------------------------------------------------------------------------------------


def _charter(patient: Patient) -> Iterator[Line]:
    if patient.charter is None:
        try:
            charters.load(patient.beside(patient.file.party.charter))
        except UnseenError as error:
            yield Line("charter", "fail", str(error), "`unseen study show charter.json` says who is missing; ask the coordinator")
        return
    yield Line("charter", "ok", f"study {patient.charter.id[:12]}, signed by {len(patient.charter.members)} members")
    try:
        configs.load(patient.path)
    except UnseenError as error:
        yield Line("configuration", "fail", f"does not go with the charter: {error}", f"mend {patient.path.name}")


def _keys(patient: Patient) -> Iterator[Line]:
    folder = patient.beside(patient.file.party.keys)
    if patient.identity is None:
        advice = "restore the folder from a backup; new keys need `unseen party init` and everybody's signature under the charter"
        yield Line("keys", "fail", f"no usable keys of {patient.file.party.name} in {folder.name}/", advice)
    elif patient.member is not None and patient.member.public_key != patient.identity.public_key:
        yield Line("keys", "fail", "are not those that the charter pins", "point `keys` at the folder whose member file was sent")
    else:
        yield Line("keys", "ok", "are there" + (", and are the charter's" if patient.member else ""))


def _folders(patient: Patient) -> Iterator[Line]:
    """Whoever reads keys/ is this party; whoever reads state/ learns who asked what."""
    keys = patient.beside(patient.file.party.keys)
    if patient.state.exists() and patient.spill is None:
        owner = patient.state.stat().st_uid
        yield Line(
            "folders", "warn", f"{patient.state.name}/ belongs to another user (uid {owner})", "ask as the daemon's own user"
        )
    private = [keys, keys / identities.SIGNING_KEY, keys / identities.TLS_KEY, patient.state]
    there = [path for path in private if path.exists()]
    for path in there:
        mode = path.stat().st_mode
        if mode & 0o077:
            yield Line(
                "folders",
                "fail",
                f"{path} is open to other users ({mode & 0o777:o})",
                f"chmod {'700' if path.is_dir() else '600'} {path}",
            )
    if all(not path.stat().st_mode & 0o077 for path in there):
        yield Line("folders", "ok", "keys and state are private to their owner")


def _certificates(patient: Patient) -> Iterator[Line]:
    if patient.charter is None:
        return
    now, soonest = datetime.now(UTC), ("", datetime.max.replace(tzinfo=UTC))
    for member in patient.charter.members:
        certificate = x509.load_pem_x509_certificate(member.certificate.encode())
        until = certificate.not_valid_after_utc
        soonest = min(soonest, (member.name, until), key=lambda each: each[1])
        renew = f"{member.name} makes new keys (`unseen init` or `unseen party init`); add them to the charter; all sign again"
        if now >= until:
            yield Line("certificates", "fail", f"{member.name}'s expired on {until:%Y-%m-%d}", renew)
        elif now < certificate.not_valid_before_utc:
            yield Line("certificates", "fail", f"{member.name}'s is not valid yet", "set this machine's clock, or wait")
        elif until - now < RENEW:
            yield Line("certificates", "warn", f"{member.name}'s expires on {until:%Y-%m-%d}", renew)
    if soonest[1] - now >= RENEW:
        yield Line("certificates", "ok", f"all valid; the first to expire is {soonest[0]}'s, on {soonest[1]:%Y-%m-%d}")


def _disk(patient: Patient) -> Line:
    folder = next(path for path in (patient.state, *patient.state.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    text, advice = f"{free / (1 << 30):.1f} GiB free for {patient.state.name}/", "make room: without it jobs are aborted"
    if free < NO_SPACE:
        return Line("disk", "fail", text, advice)
    return Line("disk", "warn", text, advice) if free < LITTLE_SPACE else Line("disk", "ok", text)


def _audit_log(patient: Patient) -> Iterator[Line]:
    path = patient.state / "audit.jsonl"
    if not path.exists():
        return
    try:
        yield Line("audit log", "ok", f"{audit.verify(path)} lines, each following from the one before")
    except UnseenError as error:
        yield Line("audit log", "fail", str(error), "find out who changed it; restore the state folder from a backup")


# -- the own data --------------------------------------------------------------------------------------------------------------


def _data(patient: Patient) -> Iterator[Line]:
    section, terms = patient.file.data, patient.terms
    if section is None:
        yield Line("data", "ok", "none: this party only computes")
        return
    if terms is None:
        yield Line(
            "data", "warn", "not looked at: there is no dictionary without a charter", "put charter.json beside the configuration"
        )
        return
    try:
        with open_source(section, terms.parsed_dictionary, bytes(32), patient.path.resolve().parent, patient.spill) as source:
            examined = source.examine()
            yield from _database(source)
    except ConfigError as error:
        yield Line("data", "fail", str(error), "mend [data] in the configuration")
        return
    except DataError as error:
        yield Line("data", "fail", str(error), "mend [data], or the file's owner and mode")
        return
    rows = max((counts[0] for counts in examined.values()), default=0)
    yield _rows(rows, patient.member)
    fits = True
    for finding in check_mapping(examined):
        status: Status = {"note": "ok", "warning": "warn", "error": "fail"}[finding.severity]  # type: ignore[assignment]
        fits = fits and status == "ok"
        found, _, advice = finding.text.partition(". ")
        yield Line("data", status, f"{finding.column}: {found}", advice)
    if fits:
        yield Line("data", "ok", f"{len(examined)} columns fit the dictionary")


def _database(source: DuckDBSource) -> Iterator[Line]:
    """The daemon only reads, but what its user may do, a thief of its password may do."""
    powers = source.powers()
    if powers is None:
        return
    for power in powers:
        advice = "give unseen a user of its own that may SELECT from this table alone (docs/operations.md)"
        yield Line("database", "warn", f"the database's user {power}", advice)
    if not powers:
        yield Line("database", "ok", "its user may read this table, and nothing else")


def _rows(rows: int, member: Member | None) -> Line:
    """A table that outgrows what its charter declares makes refusals."""
    if member is None or "hospital" not in member.roles:
        return Line("data", "ok", f"{rows} rows")
    table = OwnTable(rows, member.rows)
    return Line("data", "fail" if table.outgrown else "warn" if table.nearly_full else "ok", table.found, table.advice)


# -- the daemon and the others -------------------------------------------------------------------------------------------------


def _daemon(patient: Patient) -> Iterator[Line]:
    address, listen = patient.member.address if patient.member else None, patient.file.party.listen
    if address is not None and relay_of(address) is None and address.rpartition(":")[2] != listen.rpartition(":")[2]:
        advice = "make them one, or see to it that the one port leads to the other"
        yield Line("listen", "warn", f"listens at {listen}; the charter sends the others to {address}", advice)
    metrics = patient.file.party.metrics
    if metrics is not None and not _is_loopback(metrics):
        yield Line("metrics", "warn", f"{metrics} is open to the network", "listen on 127.0.0.1, or let only your monitoring in")
    reply = _status(patient)
    if reply is None:
        yield _port(patient.file.party.listen)
        return
    if patient.charter is not None and reply.charter != patient.charter.id:
        yield Line("daemon", "fail", "runs with an older charter", "start it again")
    elif reply.paused:
        yield Line("daemon", "warn", "is paused: it takes no new questions", "`unseen party resume`")
    else:
        yield Line("daemon", "ok", f"runs {reply.software_version}")
    for name in reply.missing:
        yield Line("links", "fail", f"none to {name} ({reply.why[name]})", LINK_ADVICE.get(reply.why[name], ""))
    if not reply.missing:
        yield Line("links", "ok", f"to {', '.join(reply.connected)}")


def _relay(patient: Patient) -> Iterator[Line]:
    """Does the way that the charter names lead here? A party behind a relay dials itself."""
    charter, identity, member = patient.charter, patient.identity, patient.member
    if charter is None or identity is None or member is None or (relay := relay_of(member.address)) is None:
        return
    caller = Caller(identity, charter.id, relay)
    try:
        asyncio.run(_dial(caller))
        yield Line("relay", "ok", f"{caller.where} leads to this party's daemon")
    except RelayError as error:
        if error.code == LinkCode.NOT_AT_RELAY and _status(patient) is None:
            yield Line("relay", "ok", f"{caller.where} answers and takes your key; the daemon does not run")
        else:
            yield Line("relay", "fail", str(error), error.advice)


async def _dial(caller: Caller) -> None:
    (await caller.dial(caller.identity.name)).cut()


def _status(patient: Patient) -> admin_pb2.PartyStatusReply | None:
    """The running daemon's own word; None when there is none, or it is another user's."""
    path = patient.state / "admin.sock"
    if not path.exists():
        return None
    with grpc.insecure_channel(f"unix:{path}") as channel:
        try:
            reply: admin_pb2.PartyStatusReply = AdminStub(channel).PartyStatus(
                admin_pb2.PartyStatusRequest(), timeout=ADMIN_SECONDS
            )
        except grpc.RpcError:
            return None
    return reply


def _port(listen: str) -> Line:
    host, port = host_and_port(listen)
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return Line("daemon", "ok", f"does not run; {listen} is free for it")
    except OSError as error:
        advice = "choose another `listen`, end the other program, or run this as the daemon's own user"
        return Line("daemon", "fail", f"does not answer, and {listen} cannot be used ({error.strerror})", advice)


def _peers(patient: Patient) -> Iterator[Line]:
    charter, identity = patient.charter, patient.identity
    if charter is None or identity is None or patient.member is None:
        return
    keys = patient.beside(patient.file.party.keys)
    for name in charter.parties:
        if name != identity.name:
            try:
                yield Line("peer", "ok", f"{name}: {reach.reach(identity, keys, charter, charter.member(name))}")
            except reach.NotReached as error:
                dials_us = charter.parties.index(name) < charter.parties.index(identity.name)
                yield Line("peer", "warn" if dials_us and error.is_network else "fail", f"{name}: {error}", error.advice)


def _is_loopback(address: str) -> bool:
    host, _ = host_and_port(address)
    return host in ("localhost", "::1") or host.startswith("127.")
