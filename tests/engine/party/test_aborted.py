"""Sessions that end without a release: stopped by the gate, failed at one party, or left by one that stops or dies."""

import asyncio

import pytest

from engine.errors import DataError
from engine.party.runner import Outcome, Work
from protocols.errors import PeerMisbehaved, RangeError
from protocols.session import Session
from tests.engine.party.party_study import BY_HAND, HOSPITALS, RELEASED, Study, journal_states, refused, scenario
from tests.engine.party.stand_ins import stop

pytestmark = pytest.mark.usefixtures("fake_analysis")


@pytest.mark.parametrize(("stopped", "code"), [("refused", "rules"), ("singular", "singular"), ("separated", "separated")])
def test_a_stop_of_the_gate_ends_the_job_alike_everywhere(stopped: str, code: str) -> None:
    async def body(s: Study) -> None:
        await s.begin(run=stop(stopped))
        signed = await s.asked()
        assert await s.ends(signed.job_id) == [("refused", code, "")] * 3
        assert (await refused(s.fetch(signed.job_id, "um"))).code == "not-yet"
        assert not (s.folder / "um" / "jobs" / signed.job_id / "release.bin").exists()

    scenario(body)


CANARY = "CANARY-4711"


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (DataError(CANARY), ("refused", "rules", "")),
        (RangeError(CANARY), ("aborted", "internal", "iu")),
        (ValueError(CANARY), ("aborted", "internal", "iu")),
        (MemoryError(CANARY), ("aborted", "internal", "iu")),
        (PeerMisbehaved(CANARY), ("aborted", "peer-misbehaved", "")),
    ],
)
def test_a_failure_at_one_party_ends_the_job_everywhere_without_a_word_of_its_text(
    error: Exception, ends: tuple[str, str, str]
) -> None:
    def fail(session: Session, work: Work) -> Outcome:
        raise error

    async def body(s: Study) -> None:
        await s.start("um", "uk")
        await s.begin("iu", run=fail)
        signed = await s.asked()
        found = await s.ends(signed.job_id)
        assert found[0] == found[2] == ends
        assert found[1][:2] == ends[:2]
        again = s.ask()
        await s.submit(again)  # the daemons live
        await s.ends(again.job_id)
        assert CANARY not in s.logs.getvalue()
        for file in s.folder.rglob("*"):
            assert not file.is_file() or CANARY.encode() not in file.read_bytes()

    scenario(body)


def test_a_party_that_stops_aborts_the_job_everywhere() -> None:
    async def body(s: Study) -> None:
        hold, signed = await s.held()
        stopping = asyncio.create_task(s.stop("iu"))
        assert await s.ends(signed.job_id, ("um", "uk")) == [("aborted", "stopped", "iu")] * 2
        hold.release.set()
        await stopping
        assert journal_states(s, "iu", signed.job_id)[-1] == "aborted"

    scenario(body)


def test_a_party_that_is_killed_in_a_session_aborts_the_job_everywhere_and_never_runs_it_again() -> None:
    async def body(s: Study) -> None:
        hold, signed = await s.held()
        await s.crash("iu")
        assert {end[:2] for end in await s.ends(signed.job_id, ("um", "uk"))} == {("aborted", "peer-lost")}
        hold.release.set()
        assert journal_states(s, "iu", signed.job_id)[-1] == "computing"
        await s.begin("iu", run=hold)
        assert await s.ends(signed.job_id, ("iu",)) == [("aborted", "restarted", "iu")]
        assert {reply.state for reply in await s.submit(signed)} == {"aborted"}
        assert "charged" not in [state for name in HOSPITALS for state in journal_states(s, name, signed.job_id)]

    scenario(body)


def test_a_job_that_waited_when_its_party_died_goes_on() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = await s.asked()
        await s.decide("Approve", signed.job_id, "um", "iu")
        for name in ("um", "iu"):
            await s.crash(name)
        await s.begin("um", "iu", policy=BY_HAND)
        await s.decide("Approve", signed.job_id, "uk")
        assert await s.ends(signed.job_id) == RELEASED

    scenario(body)
