"""The book of jobs: what is shown was written before, and what is written together is read together."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine import spec as specs
from engine.party.audit import AuditLog
from engine.party.book import Job, JobBook
from engine.party.errors import IllegalTransition, StorageFailed
from engine.party.jobs import State
from engine.party.journal import Journal
from engine.party.store import Store
from engine.spec import SignedSpec

SPEC = specs.new(study="0" * 64, researcher="rosa", analysis="crosstab", formula="sex ~ ill")
NOTICE = b"n" * 64


class Disk:
    """A state folder whose syncs are counted, and fail when told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.syncs, self.full = folder, 0, False

    def sync(self, handle: int) -> None:
        self.syncs += 1
        if self.full:
            raise OSError(28, "No space left on device")

    def book(self) -> JobBook:
        audit = AuditLog(self.folder / "audit.jsonl")
        journal = Journal(self.folder / "journal", sync=self.sync)
        return JobBook(journal, Store(self.folder / "jobs"), audit, clock=lambda: datetime.now(UTC))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def received(book: JobBook) -> Job:
    return book.receive(SignedSpec(SPEC.to_bytes(), bytes(64)), SPEC)


def test_a_party_agrees_in_one_write_that_a_restart_reads_whole(disk: Disk) -> None:
    book = disk.book()
    job = received(book)
    before = disk.syncs
    book.agree(job, "um", NOTICE)
    assert disk.syncs == before + 1
    again = disk.book().get(job.id)
    assert again is not None
    for found in (job, again):
        assert found.state is State.APPROVED
        assert found.approvals == {"um": NOTICE.hex()}
        assert [event.state for event in found.events] == [State.RECEIVED, State.VERIFIED, State.APPROVED]


def test_a_party_whose_disk_fails_has_not_agreed(disk: Disk) -> None:
    book = disk.book()
    job = received(book)
    disk.full = True
    with pytest.raises(StorageFailed):
        book.agree(job, "um", NOTICE)
    assert (job.state, job.approvals) == (State.VERIFIED, {})
    disk.full = False
    again = disk.book().get(job.id)
    assert again is not None
    assert (again.state, again.approvals) == (State.VERIFIED, {})


def test_a_job_that_has_begun_cannot_be_agreed_to_again(disk: Disk) -> None:
    book = disk.book()
    job = received(book)
    book.agree(job, "um", NOTICE)
    with pytest.raises(IllegalTransition):
        book.agree(job, "um", NOTICE)
