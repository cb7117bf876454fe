"""Three daemons on loopback: a question's way from Submit to Fetch, and what a daemon says of itself."""

import asyncio
import json
import re

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import generate_latest

from engine import receipt
from engine.errors import ConfigError
from engine.party import audit
from engine.party.config import FloorsSection
from engine.party.runner import Outcome, Work
from engine.transport.credentials import dial
from engine.wire.v1 import jobs_pb2
from protocols.session import Session
from tests.engine.party.party_study import EVERYTHING, HOSPITALS, RELEASED, Study, journal_states, scenario
from tests.engine.party.stand_ins import Hold, answer, meet

pytestmark = pytest.mark.usefixtures("fake_analysis")


def test_a_question_is_approved_computed_charged_and_fetched() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = s.ask()
        assert {reply.job for reply in await s.submit(signed)} == {signed.job_id}
        assert await s.ends(signed.job_id) == RELEASED
        states = [event.state for event in await s.watch(signed.job_id, "um") if not event.detail]
        assert states == ["received", "verified", "approved", "keyed", "computing", "checked", "charged", "released"]

    scenario(body)


def test_a_release_is_the_stored_bytes_at_every_call_with_a_signed_receipt() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = await s.asked()
        await s.ends(signed.job_id)
        receipts = []
        for name in HOSPITALS:
            sent = await s.fetch(signed.job_id, name)
            assert sent == await s.fetch(signed.job_id, name)
            assert sent == (s.folder / name / "jobs" / signed.job_id / "release.bin").read_bytes()
            found = jobs_pb2.Release.FromString(sent)
            assert {array.name for array in found.shares} >= {"mean", "people", "rows"}
            key = s.charter.member(name).key_bytes
            receipts.append(receipt.verify(found.receipt, found.receipt_signature, key, name))
        receipt.agree(receipts)
        assert receipts[0].approvals == tuple(sorted(HOSPITALS))
        assert receipts[0].snapshots == dict.fromkeys(HOSPITALS, "07" * 32)

    scenario(body)


def test_progress_reaches_the_watcher() -> None:
    async def body(s: Study) -> None:
        def run(session: Session, work: Work) -> Outcome:
            work.progress("newton 3")
            return answer(session, work)

        await s.begin(run=run)
        signed = await s.asked()
        events = await s.watch(signed.job_id, "iu")
        assert "newton 3" in [event.detail for event in events]
        assert [event.sequence for event in events] == sorted({event.sequence for event in events})

    scenario(body)


def test_the_same_bytes_many_times_at_once_are_one_job() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = s.ask()
        replies = await asyncio.gather(*(s.submit(signed) for _ in range(8)))
        assert {reply.job for some in replies for reply in some} == {signed.job_id}
        assert await s.ends(signed.job_id) == RELEASED
        for name in HOSPITALS:
            assert journal_states(s, name, signed.job_id).count("received") == 1
            assert journal_states(s, name, signed.job_id).count("charged") == 1
        assert {reply.state for reply in await s.submit(signed)} == {"released"}

    scenario(body)


def test_a_question_that_reaches_a_party_late_is_answered_then() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = await s.asked(to=("um", "iu"))
        await s.state(signed.job_id, "um", "approved")
        await s.submit(signed, to=("uk",))
        assert await s.ends(signed.job_id) == RELEASED

    scenario(body)


def test_a_party_that_is_down_at_submit_joins_when_it_is_back() -> None:
    async def body(s: Study) -> None:
        await s.start("um", "iu")
        signed = await s.asked(to=("um", "iu"))
        await s.start("uk")
        await s.submit(signed, to=("uk",))
        assert await s.ends(signed.job_id) == RELEASED

    scenario(body)


def test_jobs_run_one_after_the_other_and_each_is_compared_with_all_before() -> None:
    async def body(s: Study) -> None:
        seen: dict[str, list[set[str]]] = {}
        hold = Hold()

        def run(session: Session, work: Work) -> Outcome:
            seen.setdefault(session.members[session.me], []).append({entry.job for entry in work.earlier})
            return hold(session, work)

        await s.begin(run=run)
        questions = [s.ask() for _ in range(3)]
        await s.submit(questions[0])
        await hold.reached()
        await asyncio.gather(*(s.submit(signed) for signed in questions[1:]))
        running = [job.state for daemon in s.daemons.values() for job in daemon.flow.book if job.state == "computing"]
        assert len(running) == 3
        hold.release.set()
        for signed in questions:
            assert await s.ends(signed.job_id) == RELEASED
        for compared in seen.values():
            assert [len(jobs) for jobs in compared] == [0, 1, 2]

    scenario(body)


def test_the_strictest_floor_of_any_party_holds_at_all_of_them() -> None:
    async def body(s: Study) -> None:
        floors: list[tuple[int, int]] = []

        def run(session: Session, work: Work) -> Outcome:
            floors.append((work.policy.cohort, work.policy.cell))
            return answer(session, work)

        await s.start("um", "uk", run=run)
        await s.begin("iu", run=run, policy=EVERYTHING.model_copy(update={"floors": FloorsSection(cohort=50, cell=5)}))
        signed = await s.asked()
        assert await s.ends(signed.job_id) == RELEASED
        assert floors == [(50, 10)] * 3
        found = receipt.Receipt.model_validate_json(jobs_pb2.Release.FromString(await s.fetch(signed.job_id, "um")).receipt)
        assert {check.rule: check.limit for check in found.checks}["cohort"] == 50
        assert not found.warnings

    scenario(body)


def test_a_receipt_warns_where_two_hospitals_are_enough() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = await s.asked()
        await s.ends(signed.job_id)
        found = receipt.Receipt.model_validate_json(jobs_pb2.Release.FromString(await s.fetch(signed.job_id, "um")).receipt)
        assert "subtract" in found.warnings[0]

    scenario(body, floors={"hospitals": 2})


def test_a_restart_keeps_release_history_and_event_numbers() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = await s.asked()
        await s.ends(signed.job_id)
        before = (
            await s.fetch(signed.job_id, "uk"),
            [(e.sequence, e.state) for e in await s.watch(signed.job_id, "uk") if not e.detail],
        )
        await s.stop("uk")
        await s.start("uk")
        after = await s.fetch(signed.job_id, "uk"), [(e.sequence, e.state) for e in await s.watch(signed.job_id, "uk")]
        assert after == before
        assert s.daemons["uk"].flow.book.store.row_sets(signed.job_id)

    scenario(body)


def test_metrics_hold_counts_only() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = await s.asked(where="age >= 47", columns=["age", "indo"])
        await s.ends(signed.job_id)
        page = generate_latest(s.daemons["um"]._metrics.registry).decode()
        assert 'unseen_job_states_total{state="released"} 1.0' in page
        for line in page.splitlines():
            assert line.startswith("#") or re.fullmatch(r'unseen_\w+(\{state="\w+"\})? [0-9.e+]+', line), line

    scenario(body)


def test_two_daemons_never_share_a_state_folder() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        running = s.daemons["um"]
        with pytest.raises(ConfigError, match="another daemon"):
            await s.start("um")
        s.daemons["um"] = running

    scenario(body)


def test_health_follows_daemon_and_links() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        async with dial(s.keys["ana"], s.charter.member("um")) as channel:
            health = health_pb2_grpc.HealthStub(channel)

            async def status(service: str) -> int:
                await s.daemons["um"].tick()
                return int((await health.Check(health_pb2.HealthCheckRequest(service=service))).status)

            serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
            assert await status("") == await status("engine.wire.v1.Jobs") == serving
            assert await status("engine.wire.v1.PartyLink") == not_serving
            await s.begin("iu", "uk")
            assert await status("engine.wire.v1.PartyLink") == serving

    scenario(body)


def test_the_audit_log_tells_a_jobs_life_and_verifies() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = await s.asked()
        await s.ends(signed.job_id)
        head = s.daemons["um"]._audit.head
        path = s.folder / "um" / "audit.jsonl"
        audit.verify(path, head)
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        states = [entry["state"] for entry in entries if entry.get("job") == signed.job_id and entry["event"] == "state"]
        assert states == ["approved", "keyed", "computing", "checked", "charged", "released"]

    scenario(body)


def test_nothing_but_listed_fields_is_logged() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = await s.asked(where="age >= 4711")
        await s.ends(signed.job_id)
        assert "4711" not in s.logs.getvalue()
        assert signed.job_id in s.logs.getvalue()

    scenario(body)


def test_messages_of_the_session_meet() -> None:
    """The stand-in run really exchanges: a party that is not there would be missed."""

    async def body(s: Study) -> None:
        def run(session: Session, work: Work) -> Outcome:
            if session.me:
                meet(session, "another kind")
            return answer(session, work)

        await s.begin(run=run)
        signed = await s.asked()
        assert {end[0] for end in await s.ends(signed.job_id)} == {"aborted"}

    scenario(body)
