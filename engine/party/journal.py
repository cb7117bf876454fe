"""What the daemon must not forget: an append-only file of small JSON records, each on disk before the act that it allows.

    record   length u32 | crc32 of the payload u32 | crc32 of the eight bytes before u32 | payload

The length has a checksum of its own, so a write that was cut short (the rest of the record is missing, or zeros: the file grew
before its blocks were written) is told from a record that was changed later. The first is cut off when the journal is opened: it
was never acted on. The second raises JournalCorrupt: something was forgotten that was acted on. Payloads are numbered, so that a
record taken out of the middle shows too.

A write that fails (disk full, disk failing) is taken back, and raises StorageFailed; the daemon goes on living, the job does not.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine import canonical
from engine.party.errors import JournalCorrupt, StorageFailed

HEADER = struct.Struct("<III")
MAX_RECORD = 1 << 20
Record = dict[str, Any]


class Journal:
    """An open journal. `records` is what was found when it was opened."""

    def __init__(self, path: Path, *, sync: Callable[[int], None] = os.fsync) -> None:
        """Open or create. Raises JournalCorrupt, StorageFailed."""
        self._path, self._sync = path, sync
        try:
            new = not path.exists()
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            data = path.read_bytes()
            self.records, self._end = recover(data)
            if self._end < len(data):
                os.ftruncate(self._handle, self._end)
            sync(self._handle)
            if new:
                sync_folder(path.parent)
        except OSError as error:
            raise StorageFailed(f"the journal cannot be opened ({error.strerror}); check the state folder and its disk") from None
        self._next = len(self.records)

    def append(self, *records: Record) -> None:
        """Write all and sync once. Raises StorageFailed, after which none of them is in the journal."""
        data = b"".join(_frame({**record, "seq": self._next + i}) for i, record in enumerate(records))
        try:
            _write_all(self._handle, data, self._end)
            self._sync(self._handle)
        except OSError as error:
            self._take_back()
            raise StorageFailed(
                f"the journal could not be written ({error.strerror}); check the disk of the state folder"
            ) from None
        self._end += len(data)
        self._next += len(records)

    def _take_back(self) -> None:
        """Cut the file where its last good record ends. If that fails too, the next append overwrites the same place."""
        try:
            os.ftruncate(self._handle, self._end)
            self._sync(self._handle)
        except OSError:
            pass

    def close(self) -> None:
        """Later appends fail: the number of a closed file may be another's by then."""
        os.close(self._handle)
        self._handle = -1


def recover(data: bytes) -> tuple[list[Record], int]:
    """The records of a journal's bytes and where the last one ends. Raises JournalCorrupt."""
    records: list[Record] = []
    at = 0
    while at < len(data):
        payload = _payload(data, at)
        if payload is None:
            break
        record = json.loads(payload)
        if record.get("seq") != len(records):
            raise JournalCorrupt(f"the journal lacks record {len(records)}; restore the state folder from a backup")
        records.append(record)
        at += HEADER.size + len(payload)
    return records, at


def _payload(data: bytes, at: int) -> bytes | None:
    """The payload of the record at `at`; None for one that was cut short. Raises JournalCorrupt."""
    corrupt = JournalCorrupt(f"the journal was changed at byte {at}; restore the state folder from a backup")
    if len(data) - at < HEADER.size:
        return None
    length, crc, check = HEADER.unpack_from(data, at)
    if zlib.crc32(data[at : at + 8]) != check:
        if not any(data[at + HEADER.size :]):
            return None  # no payload behind it: the write ended in the header
        raise corrupt
    payload = data[at + HEADER.size : at + HEADER.size + length]
    if len(payload) < length:
        return None
    if zlib.crc32(payload) == crc:
        return payload
    if payload.endswith(b"\0") and not any(data[at + HEADER.size + length :]):
        return None  # JSON never ends in a zero: the blocks behind were not written
    raise corrupt


def _frame(record: Record) -> bytes:
    payload = canonical.to_bytes(record)
    if len(payload) > MAX_RECORD:
        raise StorageFailed("a journal record is larger than any record should be")
    head = struct.pack("<II", len(payload), zlib.crc32(payload))
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def _write_all(handle: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, at)
        view, at = view[written:], at + written


def sync_folder(folder: Path) -> None:
    """Make a new name in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
