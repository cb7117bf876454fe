"""The audit log's chain: deletion, alteration, insertion, reordering and cutting show."""

import json
from pathlib import Path

import pytest

from engine.party import audit
from engine.party.audit import AuditLog
from engine.party.errors import AuditCorrupt, StorageFailed


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    found = AuditLog(tmp_path / "audit.jsonl")
    for i in range(5):
        found.append("state", job=f"{i}" * 8, member="ana", state="approved")
    return found


@pytest.fixture
def path(log: AuditLog, tmp_path: Path) -> Path:
    log.close()
    return tmp_path / "audit.jsonl"


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_an_intact_log_verifies_with_its_head(log: AuditLog, path: Path) -> None:
    assert audit.verify(path, log.head) == 5


def test_the_chain_goes_on_after_a_restart(path: Path) -> None:
    again = AuditLog(path)
    again.append("started")
    assert audit.verify(path, again.head) == 6


@pytest.mark.parametrize("gone", range(4))
def test_a_deleted_line_shows(path: Path, gone: int) -> None:
    kept = lines(path)
    del kept[gone]
    path.write_bytes(b"".join(kept))
    with pytest.raises(AuditCorrupt):
        audit.verify(path)


@pytest.mark.parametrize("first", range(4))
def test_two_lines_in_another_order_show(path: Path, first: int) -> None:
    swapped = lines(path)
    swapped[first], swapped[first + 1] = swapped[first + 1], swapped[first]
    path.write_bytes(b"".join(swapped))
    with pytest.raises(AuditCorrupt):
        audit.verify(path)


def test_every_altered_byte_shows_against_the_head(log: AuditLog, path: Path) -> None:
    data = path.read_bytes()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1
        path.write_bytes(changed)
        with pytest.raises(AuditCorrupt):
            audit.verify(path, log.head)


def test_an_inserted_line_shows(path: Path) -> None:
    inserted = lines(path)
    entry = json.loads(inserted[2])
    inserted.insert(2, json.dumps({**entry, "event": "forged"}).encode() + b"\n")
    path.write_bytes(b"".join(inserted))
    with pytest.raises(AuditCorrupt):
        audit.verify(path)


@pytest.mark.parametrize("kept", range(5))
def test_an_end_that_was_cut_off_shows_to_whoever_knows_a_later_line(log: AuditLog, path: Path, kept: int) -> None:
    path.write_bytes(b"".join(lines(path)[:kept]))
    with pytest.raises(AuditCorrupt):
        audit.verify(path, log.head)


def test_a_line_cut_short_by_a_crash_is_dropped_at_the_next_start(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])
    again = AuditLog(path)
    again.append("started")
    assert audit.verify(path) == 5


def test_a_daemon_does_not_go_on_with_an_altered_log(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"ana", b"ben", 1))
    with pytest.raises(AuditCorrupt):
        AuditLog(path)


def test_a_line_that_cannot_be_written_is_not_in_the_chain(log: AuditLog, path: Path) -> None:
    with pytest.raises(StorageFailed):  # closed by the fixture
        log.append("late")
    assert audit.verify(path, log.head) == 5
