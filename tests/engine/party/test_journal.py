"""The journal against torn writes, later changes, full and failing disks."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.party.errors import JournalCorrupt, StorageFailed
from engine.party.journal import HEADER, Journal, recover

RECORDS = [{"kind": "state", "job": f"{i:02x}", "state": "received"} for i in range(4)]
NUMBERED = [{**record, "seq": i} for i, record in enumerate(RECORDS)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = Journal(tmp_path / "journal")
    for record in RECORDS:
        journal.append(record)
    journal.close()
    return tmp_path / "journal"


def ends(data: bytes) -> list[int]:
    """Where each record ends."""
    found, at = [], 0
    while at < len(data):
        at += HEADER.size + HEADER.unpack_from(data, at)[0]
        found.append(at)
    return found


def test_records_come_back_in_order(path: Path) -> None:
    assert Journal(path).records == NUMBERED


def test_a_journal_cut_at_any_byte_holds_the_records_before_the_cut(path: Path) -> None:
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        records, end = recover(data[:cut])
        whole = sum(e <= cut for e in ends(data))
        assert records == NUMBERED[:whole]
        assert end == ([0, *ends(data)])[whole]


def test_a_cut_journal_is_mended_and_goes_on(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-3])
    journal = Journal(path)
    journal.append({"kind": "again"})
    journal.close()
    assert Journal(path).records == [*NUMBERED[:3], {"kind": "again", "seq": 3}]


def test_zeros_behind_the_last_record_are_a_torn_write(path: Path) -> None:
    data = path.read_bytes()
    for start in range(ends(data)[2] + 1, len(data)):
        torn = data[:start] + bytes(len(data) - start)
        assert recover(torn)[0] == NUMBERED[:3]
        assert recover(torn + bytes(4096))[0] == NUMBERED[:3]
    assert recover(data + bytes(4096))[0] == NUMBERED


def test_a_flipped_bit_anywhere_is_never_taken_for_a_torn_write(path: Path) -> None:
    data = path.read_bytes()
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            with pytest.raises(JournalCorrupt):
                recover(bytes(changed))


def test_a_record_taken_out_of_the_middle_shows(path: Path) -> None:
    data = path.read_bytes()
    first, second = ends(data)[:2]
    with pytest.raises(JournalCorrupt):
        recover(data[:first] + data[second:])


def test_a_corrupt_journal_is_not_opened_and_not_changed(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalCorrupt):
        Journal(path)
    assert path.read_bytes() == bytes(data)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_record_that_does_not_reach_the_disk_is_taken_back(path: Path, number: int) -> None:
    failing = [False]

    def sync(handle: int) -> None:
        if failing[0]:
            raise OSError(number, os.strerror(number))
        os.fsync(handle)

    journal = Journal(path, sync=sync)
    failing[0] = True
    with pytest.raises(StorageFailed):
        journal.append({"kind": "lost"})
    failing[0] = False
    journal.append({"kind": "kept"})
    journal.close()
    assert Journal(path).records == [*NUMBERED, {"kind": "kept", "seq": 4}]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_the_system_cuts_short_is_taken_back(path: Path) -> None:
    journal = Journal(path)
    size = path.stat().st_size
    with largest_file(size + 5), pytest.raises(StorageFailed):
        journal.append({"kind": "lost"})
    assert path.stat().st_size == size
    journal.append({"kind": "kept"})
    assert recover(path.read_bytes())[0][-1]["kind"] == "kept"


def test_several_records_are_written_together_or_not_at_all(path: Path) -> None:
    journal = Journal(path)
    with largest_file(path.stat().st_size + 60), pytest.raises(StorageFailed):
        journal.append({"kind": "first"}, {"kind": "second"})
    assert recover(path.read_bytes())[0] == NUMBERED


def test_a_closed_journal_writes_nothing(path: Path) -> None:
    journal = Journal(path)
    journal.close()
    with pytest.raises(StorageFailed):
        journal.append({"kind": "late"})
