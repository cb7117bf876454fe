"""The audit log: what happened at this party, one JSON line each, every line holding the hash of the line before.

    {"event": ..., "job": ..., "member": ..., "prev": SHA-256 of the line before, "seq": n, "time": ...}

Whoever alters, removes, inserts or reorders a line breaks every hash behind it, and `verify` says where. A chain alone cannot
show that its end was cut off: the hash of a line that somebody else holds (`head`) can, and `verify` takes it. The log holds job
names, members, states and codes; nothing that depends on a patient.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from engine import canonical
from engine.party.errors import AuditCorrupt, StorageFailed
from engine.party.journal import sync_folder

START = "0" * 64


class AuditLog:
    """An open audit log."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Open or create; a last line that was cut short by a crash is dropped. Raises AuditCorrupt, StorageFailed."""
        self._clock = clock
        try:
            new = not path.exists()
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            data = path.read_bytes()
            self._end = data.rfind(b"\n") + 1
            if self._end < len(data):
                os.ftruncate(self._handle, self._end)
            if new:
                sync_folder(path.parent)
        except OSError as error:
            raise StorageFailed(
                f"the audit log cannot be opened ({error.strerror}); check the state folder and its disk"
            ) from None
        self.length, self.head = _walk(data[: self._end])

    def append(self, event: str, *, job: str = "", member: str = "", state: str = "", code: str = "") -> None:
        """Write one line and sync it. Raises StorageFailed, after which the line is not in the log."""
        time = self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        fields = {"event": event, "job": job, "member": member, "state": state, "code": code}
        entry = {key: value for key, value in fields.items() if value}
        line = canonical.to_bytes({**entry, "seq": self.length, "time": time, "prev": self.head})
        try:
            if os.pwrite(self._handle, line + b"\n", self._end) != len(line) + 1:
                raise OSError(28, "No space left on device")
            os.fsync(self._handle)
        except OSError as error:
            with suppress(OSError):  # the next line overwrites the same place
                os.ftruncate(self._handle, self._end)
            raise StorageFailed(
                f"the audit log could not be written ({error.strerror}); check the disk of the state folder"
            ) from None
        self._end += len(line) + 1
        self.length, self.head = self.length + 1, canonical.digest(line)

    def close(self) -> None:
        """Later appends fail: the number of a closed file may be another's by then."""
        os.close(self._handle)
        self._handle = -1


def verify(path: Path, head: str | None = None) -> int:
    """The number of lines of an intact log that holds the line with the hash `head`. Raises AuditCorrupt: where it breaks."""
    try:
        data = path.read_bytes()
    except OSError:
        raise AuditCorrupt(f"{path.name} cannot be read") from None
    if data and not data.endswith(b"\n"):
        raise AuditCorrupt("the audit log's last line is cut short")
    length, _ = _walk(data)
    known = {START, *(canonical.digest(line) for line in data.split(b"\n")[:-1])}
    if head is not None and head not in known:
        raise AuditCorrupt("the audit log does not hold a line that was in it before: its end was cut off")
    return length


def _walk(data: bytes) -> tuple[int, str]:
    """Lines and hash of the last one. Raises AuditCorrupt."""
    previous = START
    lines = data.split(b"\n")[:-1]
    for number, line in enumerate(lines):
        try:
            entry = json.loads(line)
            sound = entry["prev"] == previous and entry["seq"] == number and canonical.to_bytes(entry) == line
        except (ValueError, KeyError, TypeError, RecursionError):
            sound = False
        if not sound:
            raise AuditCorrupt(f"the audit log was altered at or before line {number + 1}")
        previous = canonical.digest(line)
    return len(lines), previous
