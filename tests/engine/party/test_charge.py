"""Charge and release: what a crash, a full disk or silence between the two leaves behind."""

from typing import Any

import grpc
import pytest

from engine.party.errors import JournalCorrupt
from tests.engine.party.party_study import HOSPITALS, RELEASED, Study, journal_states, refused, scenario

pytestmark = pytest.mark.usefixtures("fake_analysis")


def test_a_crash_between_charge_and_release_gives_the_same_bytes_and_one_charge() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        s.daemons["iu"].flow._settle = lambda job: None  # type: ignore[method-assign]
        signed = await s.asked()
        assert await s.ends(signed.job_id, ("um", "uk")) == RELEASED[:2]
        await s.state(signed.job_id, "iu", "charged")
        stored = (s.folder / "iu" / "jobs" / signed.job_id / "release.bin").read_bytes()
        await s.crash("iu")
        await s.start("iu")
        assert await s.ends(signed.job_id, ("iu",)) == RELEASED[:1]
        assert await s.fetch(signed.job_id, "iu") == stored
        assert journal_states(s, "iu", signed.job_id).count("charged") == 1

    scenario(body)


def test_what_not_everybody_charged_is_released_by_nobody() -> None:
    async def body(s: Study) -> None:
        await s.begin()

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        s.daemons["iu"].flow.book.store._write = full  # type: ignore[method-assign]
        signed = s.ask()
        s.daemons["iu"].flow.book.store.put_spec = lambda signed: None  # type: ignore[method-assign]
        await s.submit(signed)
        assert await s.ends(signed.job_id) == [("aborted", "internal", "iu")] * 3
        for name in HOSPITALS:
            assert (await refused(s.fetch(signed.job_id, name))).code == "not-yet"
            assert "released" not in journal_states(s, name, signed.job_id)

    scenario(body)


def test_a_charged_job_whose_peer_stays_silent_is_aborted_and_still_counts() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        s.daemons["iu"].flow._conclude = lambda *_: None  # type: ignore[method-assign]  # never charges, never speaks
        signed = await s.asked()
        assert {end[:2] for end in await s.ends(signed.job_id, ("um", "uk"))} == {("aborted", "peer-lost")}
        job = s.daemons["um"].flow.book.get(signed.job_id)
        assert job is not None
        assert job.charged

    scenario(body, round_deadline=0.5)


def test_every_word_to_the_others_follows_what_the_journal_holds() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        said: list[tuple[str, str]] = []
        daemon = s.daemons["um"]
        send = daemon.links.notify

        def notify(notice: Any) -> None:
            said.append((notice.verdict, journal_states(s, "um", notice.job.hex())[-1]))
            send(notice)

        daemon.links.notify = notify  # type: ignore[method-assign]
        signed = await s.asked()
        await s.ends(signed.job_id)
        assert said[:3] == [("approved", "approved"), ("start", "keyed"), ("charged", "charged")]

    scenario(body)


@pytest.mark.parametrize("state", ["verified", "approved", "keyed", "computing", "checked", "charged"])
def test_a_full_disk_ends_the_job_and_the_daemon_lives(state: str) -> None:
    async def body(s: Study) -> None:
        await s.begin()
        daemon = s.daemons["iu"]
        real = daemon._journal.append

        def append(*records: dict[str, Any]) -> None:
            if any(record.get("state") == state for record in records):
                daemon._journal._sync = broken
            try:
                real(*records)
            finally:
                daemon._journal._sync = sync

        def broken(handle: int) -> None:
            raise OSError(28, "No space left on device")

        sync = daemon._journal._sync
        daemon._journal.append = append  # type: ignore[method-assign]
        signed = s.ask()
        if state == "verified":
            assert (await refused(s.submit(signed, to=("iu",))))[:2] == (grpc.StatusCode.RESOURCE_EXHAUSTED, "storage-failed")
        else:
            await s.submit(signed)
            assert {end[:2] for end in await s.ends(signed.job_id)} == {("aborted", "storage")}
        daemon._journal.append = real  # type: ignore[method-assign]
        again = await s.asked()
        assert await s.ends(again.job_id) == RELEASED

    scenario(body)


def test_a_daemon_does_not_start_on_a_journal_that_was_changed() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        await s.submit(s.ask(), to=("um",))
        await s.stop("um")
        path = s.folder / "um" / "journal"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(JournalCorrupt):
            await s.start("um")

    scenario(body)
