"""What a party keeps of a job: a folder of files, each written whole or not at all.

    jobs/<job>/spec.json      the exact bytes that the researcher signed
    jobs/<job>/spec.sig       the signature over them
    jobs/<plan>/plan.json     the same of a plan, under its own id: its questions have no spec.json of their own
    jobs/<plan>/plan.sig
    jobs/<job>/row_sets.json  hospitals: keyed digests of the rows behind the release and its `where`, for the differencing rule
    jobs/<job>/release.bin    what Fetch sends: made once, stored before anybody is told, sent again byte for byte

A file goes to a temporary name, is synced, is renamed, and the folder is synced: after a crash it is the old file or the new one.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from engine import canonical
from engine.party.errors import StorageFailed
from engine.party.journal import sync_folder
from engine.party.ledger import EarlierRowSet
from engine.plan import SignedPlan
from engine.spec import SignedSpec

SPEC, SIGNATURE, PLAN, PLAN_SIGNATURE = "spec.json", "spec.sig", "plan.json", "plan.sig"
ROW_SETS, RELEASE = "row_sets.json", "release.bin"
Signed = TypeVar("Signed", SignedSpec, SignedPlan)
_JOB = re.compile(r"[0-9a-f]{64}")


class Store:
    """The jobs folder of one party."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put_spec(self, signed: SignedSpec) -> None:
        """Raises StorageFailed."""
        self._write(signed.job_id, SPEC, signed.data)
        self._write(signed.job_id, SIGNATURE, signed.signature)

    def spec(self, job: str) -> SignedSpec:
        """Raises StorageFailed when the files are gone or are another job's."""
        return _same(job, SignedSpec(self._read(job, SPEC), self._read(job, SIGNATURE)))

    def put_plan(self, signed: SignedPlan) -> None:
        """Raises StorageFailed."""
        self._write(signed.job_id, PLAN, signed.data)
        self._write(signed.job_id, PLAN_SIGNATURE, signed.signature)

    def plan(self, job: str) -> SignedPlan:
        """Raises StorageFailed when the files are gone or are another plan's."""
        return _same(job, SignedPlan(self._read(job, PLAN), self._read(job, PLAN_SIGNATURE)))

    def put_release(self, job: str, release: bytes, row_sets: Mapping[tuple[str, ...], bytes], where: str | None = None) -> None:
        """Digests first: a release without them could not be compared with later ones. Raises StorageFailed."""
        entries = [[list(columns), where, base64.b64encode(digest).decode()] for columns, digest in row_sets.items()]
        self._write(job, ROW_SETS, canonical.to_bytes(entries))
        self._write(job, RELEASE, release)

    def release(self, job: str) -> bytes:
        """Raises StorageFailed when there is none."""
        return self._read(job, RELEASE)

    def row_sets(self, job: str) -> list[EarlierRowSet]:
        """Raises StorageFailed when there is none."""
        entries = json.loads(self._read(job, ROW_SETS))
        return [EarlierRowSet(job, tuple(columns), base64.b64decode(digest), where) for columns, where, digest in entries]

    def _path(self, job: str, name: str) -> Path:
        if not _JOB.fullmatch(job):
            raise StorageFailed("a job's name is 64 hexadecimal digits")
        return self._folder / job / name

    def _read(self, job: str, name: str) -> bytes:
        try:
            return self._path(job, name).read_bytes()
        except OSError as error:
            raise StorageFailed(
                f"{name} of a job cannot be read ({error.strerror}); restore the state folder from a backup"
            ) from None

    def _write(self, job: str, name: str, data: bytes) -> None:
        path = self._path(job, name)
        try:
            if not path.parent.exists():
                path.parent.mkdir(mode=0o700)
                sync_folder(path.parent.parent)
            write_atomically(path, data)
        except OSError as error:
            raise StorageFailed(
                f"{name} of a job could not be written ({error.strerror}); check the disk of the state folder"
            ) from None


def _same(job: str, signed: Signed) -> Signed:
    if signed.job_id != job:
        raise StorageFailed("a stored question is not the one that was submitted; restore the state folder from a backup")
    return signed


def write_atomically(path: Path, data: bytes) -> None:
    """`path` holds all of `data`, durably, or what it held before. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
