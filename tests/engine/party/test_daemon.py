"""Three daemons on loopback: a question's way from Submit to Fetch, and every way in which it can end before."""

import asyncio
import json
import re
import stat
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import generate_latest

from engine import receipt
from engine.errors import ConfigError, DataError
from engine.party import audit, notices
from engine.party import flow as flow_module
from engine.party.config import FloorsSection, PolicySection
from engine.party.errors import JournalCorrupt
from engine.party.journal import recover
from engine.party.runner import Outcome, Work
from engine.spec import SignedSpec
from engine.transport.credentials import dial
from engine.wire.v1 import admin_pb2, jobs_pb2
from engine.wire.v1.jobs_pb2_grpc import JobsStub
from protocols.errors import PeerMisbehaved, RangeError
from protocols.session import Session
from tests.engine.party.party_study import EVERYTHING, HOSPITALS, Clock, Hold, Study, answer, code_of, meet, stop, study

pytestmark = pytest.mark.usefixtures("fake_analysis")

BY_HAND = PolicySection()
RELEASED = [("released", "", "")] * 3


def scenario(body: Callable[[Study], Awaitable[None]], **changes: Any) -> None:
    """Run `body` in a fresh study."""

    async def run() -> None:
        async with study(**changes) as s:
            await body(s)

    asyncio.run(run())


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), code_of(caught.value)


def journal_states(s: Study, name: str, job: str) -> list[str]:
    records, _ = recover((s.folder / name / "journal").read_bytes())
    return [record["state"] for record in records if record["job"] == job and record["kind"] == "state"]


# -- the way through ---------------------------------------------------------------------------------------------------------


def test_a_question_is_approved_computed_charged_and_fetched() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        signed = s.ask()
        assert {reply.job for reply in await s.submit(signed)} == {signed.job_id}
        assert await s.ends(signed.job_id) == RELEASED
        states = [event.state for event in await s.watch(signed.job_id, "um") if not event.detail]
        assert states == ["received", "verified", "approved", "keyed", "computing", "checked", "charged", "released"]

    scenario(body)


def test_a_release_is_the_stored_bytes_at_every_call_with_a_signed_receipt() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
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

        await s.start(run=run)
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        events = await s.watch(signed.job_id, "iu")
        assert "newton 3" in [event.detail for event in events]
        assert [event.sequence for event in events] == sorted({event.sequence for event in events})

    scenario(body)


def test_the_same_bytes_many_times_at_once_are_one_job() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
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
        await s.start()
        await s.linked()
        signed = s.ask()
        await s.submit(signed, to=("um", "iu"))
        await s.state(signed.job_id, "um", "approved")
        await s.submit(signed, to=("uk",))
        assert await s.ends(signed.job_id) == RELEASED

    scenario(body)


def test_a_party_that_is_down_at_submit_joins_when_it_is_back() -> None:
    async def body(s: Study) -> None:
        await s.start("um", "iu")
        signed = s.ask()
        await s.submit(signed, to=("um", "iu"))
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

        await s.start(run=run)
        await s.linked()
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
        await s.start("iu", run=run, policy=EVERYTHING.model_copy(update={"floors": FloorsSection(cohort=50, cell=5)}))
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        assert await s.ends(signed.job_id) == RELEASED
        assert floors == [(50, 10)] * 3
        found = receipt.Receipt.model_validate_json(jobs_pb2.Release.FromString(await s.fetch(signed.job_id, "um")).receipt)
        assert {check.rule: check.limit for check in found.checks}["cohort"] == 50
        assert not found.warnings

    scenario(body)


def test_a_receipt_warns_where_two_hospitals_are_enough() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        await s.ends(signed.job_id)
        found = receipt.Receipt.model_validate_json(jobs_pb2.Release.FromString(await s.fetch(signed.job_id, "um")).receipt)
        assert "subtract" in found.warnings[0]

    scenario(body, floors={"hospitals": 2})


def test_a_restart_keeps_release_history_and_event_numbers() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
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


# -- by hand -----------------------------------------------------------------------------------------------------------------


def test_operators_approve_over_their_sockets() -> None:
    async def body(s: Study) -> None:
        await s.start(policy=BY_HAND)
        await s.linked()
        signed = s.ask(where="age >= 18")
        await s.submit(signed)
        shown = await s.admin("um").ShowJob(admin_pb2.AdminJobReference(job=signed.job_id[:8]))
        assert "age >= 18" in shown.question
        assert any("mean" in line for line in shown.opens)
        assert shown.own_rows.endswith("out of bounds 0")
        assert [job.state for job in (await s.admin("um").ListJobs(admin_pb2.AdminListRequest())).jobs] == ["verified"]
        await s.decide("Approve", signed.job_id, *HOSPITALS)
        assert await s.ends(signed.job_id) == RELEASED
        assert await refused(s.admin("um").Approve(admin_pb2.AdminJobReference(job=signed.job_id))) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "spec-error",
        )

    scenario(body)


def test_one_operator_rejects_for_all_and_is_named() -> None:
    async def body(s: Study) -> None:
        await s.start(policy=BY_HAND)
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        await s.decide("Approve", signed.job_id, "um")
        await s.decide("Reject", signed.job_id, "iu")
        assert await s.ends(signed.job_id) == [("refused", "policy", "iu")] * 3

    scenario(body)


def test_a_refusal_reaches_a_party_that_receives_the_question_later() -> None:
    async def body(s: Study) -> None:
        await s.start("um", "iu")
        await s.start("uk", policy=PolicySection(steps=False))
        await s.linked()
        signed = s.ask(disclosure="steps")
        await s.submit(signed, to=("uk",))
        assert await s.ends(signed.job_id, ("uk",)) == [("refused", "policy", "uk")]
        await s.submit(signed, to=("um", "iu"))
        assert await s.ends(signed.job_id) == [("refused", "policy", "uk")] * 3

    scenario(body)


def test_a_hospital_that_shares_no_rows_refuses_for_all() -> None:
    async def body(s: Study) -> None:
        await s.start("um", "iu")
        await s.start("uk", policy=PolicySection(share_rows=False))
        await s.linked()
        on_rows, on_sums = s.ask(formula="on rows ~"), s.ask()
        for signed in (on_rows, on_sums):
            await s.submit(signed)
        assert await s.ends(on_rows.job_id) == [("refused", "policy", "uk")] * 3
        shown = await s.admin("uk").ShowJob(admin_pb2.AdminJobReference(job=on_sums.job_id))
        assert shown.state == "verified"

    scenario(body)


def test_the_socket_is_the_operators_alone() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        assert stat.S_IMODE((s.folder / "um").stat().st_mode) == 0o700
        assert stat.S_IMODE((s.folder / "um" / "admin.sock").stat().st_mode) == 0o600
        reply = await s.admin("um").PartyStatus(admin_pb2.PartyStatusRequest())
        assert (reply.member, list(reply.missing)) == ("um", ["iu", "uk"])
        for reference in ("", "0", "zz"):
            assert (await refused(s.admin("um").ShowJob(admin_pb2.AdminJobReference(job=reference))))[1] == "spec-error"

    scenario(body)


@pytest.mark.parametrize(("rows", "outgrown"), [(1024, False), (1025, True)])
def test_a_table_that_has_outgrown_the_charter_is_told_to_its_operator(rows: int, outgrown: bool) -> None:
    """In the log at once and without a count, in `status` and `show` with counts and what to do."""

    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND, table=rows)
        await s.daemons["um"]._table_check
        warnings = [json.loads(line) for line in s.logs.getvalue().splitlines() if '"warning"' in line]
        assert [(line["party"], line["event"].split(";")[0]) for line in warnings] == outgrown * [
            ("um", "the own table has more rows than the charter declares for it")
        ]
        assert str(rows) not in s.logs.getvalue()
        status = await s.admin("um").PartyStatus(admin_pb2.PartyStatusRequest())
        assert str(rows) in status.table
        assert ("a new charter that declares at least 2048" in status.table) == outgrown
        signed = s.ask()
        await s.submit(signed, to=("um",))
        shown = await s.admin("um").ShowJob(admin_pb2.AdminJobReference(job=signed.job_id))
        assert shown.own_rows.startswith(f"0 rows (0 people) of {rows}")
        assert ("a new charter that declares at least 2048" in shown.own_rows) == outgrown

    scenario(body)


def test_what_has_begun_or_ended_cannot_be_rejected() -> None:
    async def body(s: Study) -> None:
        hold = Hold()
        await s.start(run=hold)
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        await hold.reached()
        assert (await refused(s.decide("Reject", signed.job_id, "um")))[1] == "spec-error"
        hold.release.set()
        assert await s.ends(signed.job_id) == RELEASED
        assert (await refused(s.decide("Reject", signed.job_id, "um")))[1] == "spec-error"

    scenario(body)


# -- who may ask -------------------------------------------------------------------------------------------------------------


def test_wrong_questions_are_refused_at_once_and_leave_nothing() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        signed, other = s.ask(), s.ask()
        altered = SignedSpec(signed.data.replace(b"age", b"sex"), signed.signature)
        wrong = {
            "not-authorised": (signed, "ben"),
            "signature-invalid": (altered, "ana"),
            "unknown-column": (s.ask(columns=["agee"]), "ana"),
            "cohort-error": (s.ask(where="age >"), "ana"),
            "formula-error": (s.ask(formula="wrong ~"), "ana"),
        }
        for code, (question, caller) in wrong.items():
            assert (await refused(s.submit(question, caller, to=("um",))))[1] == code
        assert (await refused(s.submit(SignedSpec(signed.data, other.signature), to=("um",))))[1] == "signature-invalid"
        assert (await refused(s.submit(signed, "iu", to=("um",))))[1] == "not-authorised"
        assert not list(s.daemons["um"].flow.book)
        assert not list((s.folder / "um" / "jobs").iterdir())

    scenario(body)


def test_a_question_whose_plan_does_not_fit_is_refused_and_told_to_the_operator() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        await s.submit(s.ask(options={"bits": 187}), to=("um",))
        assert "outgrow" not in s.logs.getvalue()
        wide = s.ask(options={"bits": 188})
        with pytest.raises(grpc.aio.AioRpcError, match="tighten") as caught:
            await s.submit(wide, to=("um",))
        assert (caught.value.code(), code_of(caught.value)) == (grpc.StatusCode.INVALID_ARGUMENT, "spec-error")
        assert s.daemons["um"].flow.book.get(wide.job_id) is None
        line = next(json.loads(line) for line in s.logs.getvalue().splitlines() if "outgrow" in line)
        assert (line["level"], line["member"], line["job"], line["error"]) == ("warning", "ana", wide.job_id, "RangeError")

    scenario(body)


def test_a_known_question_stays_its_signers() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        await s.ends(signed.job_id)
        assert await refused(s.submit(signed, "ben", to=("um",))) == (grpc.StatusCode.PERMISSION_DENIED, "not-authorised")
        reference = jobs_pb2.JobReference(job=signed.job_id)
        for call in ("Status", "Fetch"):
            assert await refused(getattr(s.jobs("um", "ben"), call)(reference)) == (grpc.StatusCode.NOT_FOUND, "not-there")
        assert (await refused(anext(s.jobs("um", "ben").Watch(reference).__aiter__())))[1] == "not-there"
        assert not (await s.jobs("um", "ben").List(jobs_pb2.ListRequest())).jobs
        assert [job.spec for job in (await s.jobs("um").List(jobs_pb2.ListRequest())).jobs] == [signed.data]

    scenario(body)


def test_without_a_pinned_certificate_nothing_answers() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        address = s.charter.member("um").address or ""
        async with grpc.aio.insecure_channel(address) as channel:
            assert (await refused(JobsStub(channel).Hello(jobs_pb2.HelloRequest())))[0] is grpc.StatusCode.UNAVAILABLE
        hello = await s.jobs("um").Hello(jobs_pb2.HelloRequest())
        assert (hello.member, hello.charter.hex()) == ("um", s.charter.id)

    scenario(body)


def test_metrics_hold_counts_only() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        signed = s.ask(where="age >= 47", columns=["age", "indo"])
        await s.submit(signed)
        await s.ends(signed.job_id)
        page = generate_latest(s.daemons["um"]._metrics.registry).decode()
        assert 'unseen_job_states_total{state="released"} 1.0' in page
        for line in page.splitlines():
            assert line.startswith("#") or re.fullmatch(r'unseen_\w+(\{state="\w+"\})? [0-9.e+]+', line), line

    scenario(body)


# -- time --------------------------------------------------------------------------------------------------------------------


def test_an_expired_question_is_refused() -> None:
    async def body(s: Study) -> None:
        clock = Clock()
        await s.start("um", clock=clock)
        signed = s.ask()
        clock.now = clock.now.replace(year=clock.now.year + 1)
        assert await refused(s.submit(signed, to=("um",))) == (grpc.StatusCode.FAILED_PRECONDITION, "expired")

    scenario(body)


@pytest.mark.parametrize("policy", [BY_HAND, EVERYTHING])
def test_a_question_that_waits_too_long_is_refused_everywhere(policy: PolicySection) -> None:
    async def body(s: Study) -> None:
        clock = Clock()
        await s.start("um", "iu", policy=policy, clock=clock)
        signed = s.ask()
        await s.submit(signed, to=("um", "iu"))
        clock.now = clock.now.replace(year=clock.now.year + 1)
        s.daemons["um"].flow.tick()
        s.daemons["iu"].flow.tick()
        assert await s.ends(signed.job_id, ("um", "iu")) == [("refused", "expired", "")] * 2

    scenario(body)


# -- sessions that end without a release ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stopped", "code"), [("refused", "rules"), ("singular", "singular"), ("separated", "separated")])
def test_a_stop_of_the_gate_ends_the_job_alike_everywhere(stopped: str, code: str) -> None:
    async def body(s: Study) -> None:
        await s.start(run=stop(stopped))
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        assert await s.ends(signed.job_id) == [("refused", code, "")] * 3
        assert (await refused(s.fetch(signed.job_id, "um")))[1] == "not-yet"
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
        await s.start("iu", run=fail)
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
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
        hold = Hold()
        await s.start(run=hold)
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        await hold.reached()
        stopping = asyncio.create_task(s.stop("iu"))
        assert await s.ends(signed.job_id, ("um", "uk")) == [("aborted", "stopped", "iu")] * 2
        hold.release.set()
        await stopping
        assert journal_states(s, "iu", signed.job_id)[-1] == "aborted"

    scenario(body)


def test_a_party_that_is_killed_in_a_session_aborts_the_job_everywhere_and_never_runs_it_again() -> None:
    async def body(s: Study) -> None:
        hold = Hold()
        await s.start(run=hold)
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        await hold.reached()
        await s.crash("iu")
        assert {end[:2] for end in await s.ends(signed.job_id, ("um", "uk"))} == {("aborted", "peer-lost")}
        hold.release.set()
        assert journal_states(s, "iu", signed.job_id)[-1] == "computing"
        await s.start("iu", run=hold)
        await s.linked()
        assert await s.ends(signed.job_id, ("iu",)) == [("aborted", "restarted", "iu")]
        assert {reply.state for reply in await s.submit(signed)} == {"aborted"}
        assert "charged" not in [state for name in HOSPITALS for state in journal_states(s, name, signed.job_id)]

    scenario(body)


def test_a_job_that_waited_when_its_party_died_goes_on() -> None:
    async def body(s: Study) -> None:
        await s.start(policy=BY_HAND)
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        await s.decide("Approve", signed.job_id, "um", "iu")
        for name in ("um", "iu"):
            await s.crash(name)
        await s.start("um", "iu", policy=BY_HAND)
        await s.linked()
        await s.decide("Approve", signed.job_id, "uk")
        assert await s.ends(signed.job_id) == RELEASED

    scenario(body)


# -- charge and release --------------------------------------------------------------------------------------------------------


def test_a_crash_between_charge_and_release_gives_the_same_bytes_and_one_charge() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        s.daemons["iu"].flow._settle = lambda job: None  # type: ignore[method-assign]
        signed = s.ask()
        await s.submit(signed)
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
        await s.start()
        await s.linked()

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        s.daemons["iu"].flow.book.store._write = full  # type: ignore[method-assign]
        signed = s.ask()
        s.daemons["iu"].flow.book.store.put_spec = lambda signed: None  # type: ignore[method-assign]
        await s.submit(signed)
        assert await s.ends(signed.job_id) == [("aborted", "internal", "iu")] * 3
        for name in HOSPITALS:
            assert (await refused(s.fetch(signed.job_id, name)))[1] == "not-yet"
            assert "released" not in journal_states(s, name, signed.job_id)

    scenario(body)


def test_a_charged_job_whose_peer_stays_silent_is_aborted_and_still_counts() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        s.daemons["iu"].flow._conclude = lambda *_: None  # type: ignore[method-assign]  # never charges, never speaks
        signed = s.ask()
        await s.submit(signed)
        assert {end[:2] for end in await s.ends(signed.job_id, ("um", "uk"))} == {("aborted", "peer-lost")}
        job = s.daemons["um"].flow.book.get(signed.job_id)
        assert job is not None
        assert job.charged

    scenario(body, round_deadline=0.5)


def test_every_word_to_the_others_follows_what_the_journal_holds() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        said: list[tuple[str, str]] = []
        daemon = s.daemons["um"]
        send = daemon.links.notify

        def notify(notice: Any) -> None:
            said.append((notice.verdict, journal_states(s, "um", notice.job.hex())[-1]))
            send(notice)

        daemon.links.notify = notify  # type: ignore[method-assign]
        signed = s.ask()
        await s.submit(signed)
        await s.ends(signed.job_id)
        assert said[:3] == [("approved", "approved"), ("start", "keyed"), ("charged", "charged")]

    scenario(body)


@pytest.mark.parametrize("state", ["verified", "approved", "keyed", "computing", "checked", "charged"])
def test_a_full_disk_ends_the_job_and_the_daemon_lives(state: str) -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
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
            assert (await refused(s.submit(signed, to=("iu",)))) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "storage-failed")
        else:
            await s.submit(signed)
            assert {end[:2] for end in await s.ends(signed.job_id)} == {("aborted", "storage")}
        daemon._journal.append = real  # type: ignore[method-assign]
        again = s.ask()
        await s.submit(again)
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


def test_a_researcher_and_a_peer_can_only_hold_so_much() -> None:
    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        flow = s.daemons["um"].flow
        for i in range(flow_module.MAX_EARLY + 10):
            flow.on_notice("iu", notices.sign(s.keys["iu"], f"{i:064x}", "approved"))
        assert len(flow._early["iu"]) == flow_module.MAX_EARLY
        await s.submit(s.ask(), to=("um",))
        assert (await refused(s.submit(s.ask(), to=("um",))))[1] == "too-many"
        await s.submit(s.ask("ben"), "ben", to=("um",))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow_module, "MAX_WAITING", 1)
        scenario(body)


# -- the daemon itself ---------------------------------------------------------------------------------------------------------


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
            await s.start("iu", "uk")
            await s.linked()
            assert await status("engine.wire.v1.PartyLink") == serving

    scenario(body)


def test_the_audit_log_tells_a_jobs_life_and_verifies() -> None:
    async def body(s: Study) -> None:
        await s.start()
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
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
        await s.start()
        await s.linked()
        signed = s.ask(where="age >= 4711")
        await s.submit(signed)
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

        await s.start(run=run)
        await s.linked()
        signed = s.ask()
        await s.submit(signed)
        assert {end[0] for end in await s.ends(signed.job_id)} == {"aborted"}

    scenario(body)
