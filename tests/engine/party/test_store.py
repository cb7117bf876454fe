"""A job's files: whole or not at all, and the same bytes ever after."""

import os
from pathlib import Path

import pytest

from engine.party import store as stores
from engine.party.errors import StorageFailed
from engine.party.store import RELEASE, Store
from engine.spec import SignedSpec

SIGNED = SignedSpec(b'{"a":1}', b"s" * 64)
ROW_SETS = {("age", "sex"): b"\x00\xff digest", ("age",): b""}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "jobs")
    found.put_spec(SIGNED)
    return found


def test_what_was_stored_comes_back_byte_for_byte(store: Store) -> None:
    store.put_release(SIGNED.job_id, b"\x00release", ROW_SETS)
    assert store.spec(SIGNED.job_id) == SIGNED
    assert store.release(SIGNED.job_id) == b"\x00release"
    assert {entry.columns: entry.digest for entry in store.row_sets(SIGNED.job_id)} == ROW_SETS
    assert {entry.job for entry in store.row_sets(SIGNED.job_id)} == {SIGNED.job_id}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_file(store: Store, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    store.put_release(SIGNED.job_id, b"first", ROW_SETS)

    def crash(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(stores.os, call, crash)
    with pytest.raises(StorageFailed):
        store.put_release(SIGNED.job_id, b"second", ROW_SETS)
    monkeypatch.undo()
    assert store.release(SIGNED.job_id) == b"first"
    assert not list((store._folder / SIGNED.job_id).glob("*.tmp"))


def test_the_digests_are_durable_before_the_release(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: list[str] = []
    real = os.replace
    monkeypatch.setattr(stores.os, "replace", lambda old, new: (replaced.append(Path(new).name), real(old, new)))
    store.put_release(SIGNED.job_id, b"first", ROW_SETS)
    assert replaced == [stores.ROW_SETS, RELEASE]


def test_a_spec_that_was_changed_on_disk_is_not_taken(store: Store) -> None:
    (store._folder / SIGNED.job_id / stores.SPEC).write_bytes(b'{"a":2}')
    with pytest.raises(StorageFailed):
        store.spec(SIGNED.job_id)


@pytest.mark.parametrize("name", ["../x", "", "A" * 64, "0" * 63])
def test_only_job_ids_name_folders(store: Store, name: str) -> None:
    with pytest.raises(StorageFailed):
        store.release(name)


def test_files_and_folders_are_private(store: Store) -> None:
    folder = store._folder / SIGNED.job_id
    assert folder.stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in folder.iterdir())
