"""Plans across three daemons on loopback: one approval, the gate first, then the questions in order; and every other end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from engine import receipt
from engine import spec as specs
from engine.party.notices import APPROVED
from engine.party.runner import Outcome, Work
from engine.wire.v1 import admin_pb2, jobs_pb2
from protocols.session import Session
from tests.engine.party.party_study import BY_HAND, HOSPITALS, RELEASED, Study, scenario
from tests.engine.party.plan_sessions import WITH_PLAN, Only, ids, journal, of_plan
from tests.engine.party.stand_ins import answer, meet

pytestmark = pytest.mark.usefixtures("fake_analysis")


def test_a_plan_is_approved_once_and_its_questions_are_answered_in_order() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = s.plan(s.question(), s.question(), s.question())
        replies = await s.submit_plan(signed)
        assert {(reply.job, reply.state) for reply in replies} == {(signed.job_id, "verified")}
        await s.decide("Approve", signed.job_id[:8], *HOSPITALS)
        for job in (signed.job_id, *ids(signed)):
            assert await s.ends(job) == RELEASED
        for name in HOSPITALS:
            records = [(r["job"], r["state"]) for r in journal(s, name) if r.get("state") in ("keyed", "released")]
            assert records == [(job, state) for job in (signed.job_id, *ids(signed)) for state in ("keyed", "released")]

    scenario(body)


def test_receipts_name_the_plan_and_so_does_the_journal() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed, alone = s.plan(), s.ask()
        await s.submit_plan(signed)
        await s.submit(alone)
        for job in (*ids(signed), alone.job_id):
            assert await s.ends(job) == RELEASED
        named = {signed.job_id: None, **dict.fromkeys(ids(signed), signed.job_id), alone.job_id: None}
        for job, its_plan in named.items():
            found = []
            for name in HOSPITALS:
                sent = jobs_pb2.Release.FromString(await s.fetch(job, name))
                found.append(receipt.verify(sent.receipt, sent.receipt_signature, s.charter.member(name).key_bytes, name))
                assert bool(sent.shares) == (job != signed.job_id)
            receipt.agree(found)
            assert (found[0].job, found[0].plan, set(found[0].approvals)) == (job, its_plan, set(HOSPITALS))
            expected = (receipt.PLAN, 2) if job == signed.job_id else ("describe", 1)
            assert (found[0].analysis, found[0].iterations) == expected
            listed = await s.jobs("um").Status(jobs_pb2.JobReference(job=job))
            assert listed.plan == (its_plan or "")
        (record,) = [r for r in journal(s, "uk") if r["kind"] == "plan"]
        assert (record["job"], record["questions"]) == (signed.job_id, list(ids(signed)))

    scenario(body)


def test_the_same_plan_many_times_is_one_plan_and_the_same_jobs() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = s.plan()
        replies = await asyncio.gather(*(s.submit_plan(signed) for _ in range(5)))
        assert {reply.job for some in replies for reply in some} == {signed.job_id}
        for job in ids(signed):
            assert await s.ends(job) == RELEASED
        for name in HOSPITALS:
            assert [r["job"] for r in journal(s, name) if r["kind"] == "plan"] == [signed.job_id]
            charged = [r["job"] for r in journal(s, name) if r.get("state") == "charged"]
            assert charged == [signed.job_id, *ids(signed)]
        assert {reply.state for reply in await s.submit_plan(signed)} == {"released"}

    scenario(body)


def test_a_question_of_a_plan_asked_by_itself_is_the_same_job() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        alone = s.ask()
        signed = s.plan(s.question(), specs.parse(alone.data))
        await s.submit_plan(signed)
        assert {reply.plan for reply in await s.submit(alone)} == {signed.job_id}
        assert await s.ends(alone.job_id) == RELEASED
        for name in HOSPITALS:
            assert [r["job"] for r in journal(s, name) if r.get("state") == "charged"].count(alone.job_id) == 1

    scenario(body)


def test_a_plan_that_reaches_a_party_late_is_answered_then() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = s.plan()
        await s.submit_plan(signed, to=("um", "iu"))
        await s.state(signed.job_id, "um", "approved")
        await s.submit_plan(signed, to=("uk",))
        for job in ids(signed):
            assert await s.ends(job) == RELEASED

    scenario(body)


def test_a_question_that_has_no_answer_does_not_keep_later_ones() -> None:
    async def body(s: Study) -> None:
        def run(session: Session, work: Work) -> Outcome:
            if work.analysis.plan.columns == ("indo",) and not of_plan(work):
                meet(session)
                return Outcome("singular")
            return answer(session, work)

        await s.begin(run=run)
        signed = s.plan(s.question(columns=["indo"]), s.question())
        await s.submit_plan(signed)
        assert [await s.ends(job) for job in ids(signed)] == [[("refused", "singular", "")] * 3, RELEASED]

    scenario(body)


def test_a_question_waits_for_those_before_it_though_all_agree() -> None:
    """The first one is not agreed to by everybody; the second one is, before."""

    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = s.plan()
        first, second = ids(signed)
        await s.submit_plan(signed)
        um = s.daemons["um"]
        heard, ready = um.flow.on_notice, asyncio.Event()
        kept: list[tuple[str, Any]] = []

        def look() -> None:
            if um.flow._agreed(um.flow.book.find(second)) and len(kept) == 2:
                ready.set()

        def first_comes_last(name: str, notice: Any) -> None:
            if (notice.job.hex(), notice.verdict) == (first, APPROVED):
                kept.append((name, notice))
            else:
                heard(name, notice)
            look()

        um.links.on_notice = first_comes_last
        await s.decide("Approve", signed.job_id, *HOSPITALS)
        await s.state(second, "um", "approved")
        look()
        async with asyncio.timeout(20):
            await ready.wait()
        um.flow.tick()
        assert um.flow.book.find(second).state == "approved"
        for name, notice in kept:
            heard(name, notice)
        for job in (first, second):
            assert await s.ends(job) == RELEASED

    scenario(body)


def test_a_restart_restores_a_plan_that_waits_and_it_goes_on() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = s.plan()
        await s.submit_plan(signed)
        await s.decide("Approve", signed.job_id, "um", "uk")
        await s.crash("uk")
        await s.begin("uk", policy=BY_HAND)
        book = s.daemons["uk"].flow.book
        assert book.find(signed.job_id).questions == ids(signed)
        assert [book.find(job).plan for job in ids(signed)] == [signed.job_id] * 2
        assert book.find(signed.job_id).document.to_bytes() == signed.data
        await s.decide("Approve", signed.job_id, "iu")
        for job in ids(signed):
            assert await s.ends(job) == RELEASED

    scenario(body)


def test_a_party_killed_while_the_gate_is_asked_ends_the_plan_and_all_of_it() -> None:
    async def body(s: Study) -> None:
        held = Only(of_plan)
        await s.begin(run=held)
        signed = s.plan()
        await s.submit_plan(signed)
        await held.hold.reached()
        await s.crash("uk")
        held.hold.release.set()
        await s.begin("uk")
        assert {state for state, _, _ in await s.ends(signed.job_id)} == {"aborted"}
        for job in ids(signed):
            assert await s.ends(job) == WITH_PLAN

    scenario(body)


@pytest.mark.parametrize("victim", HOSPITALS)
def test_a_party_killed_in_a_question_answers_the_next_one_when_it_is_back(victim: str) -> None:
    async def body(s: Study) -> None:
        held = Only(lambda work: not of_plan(work) and work.analysis.plan.columns == ("indo",))
        await s.begin(run=held)
        signed = s.plan(s.question(), s.question(columns=["indo"]), s.question())
        first, second, third = ids(signed)
        await s.submit_plan(signed)
        await held.hold.reached()
        await s.crash(victim)
        held.hold.release.set()
        await s.begin(victim)
        assert await s.ends(first) == RELEASED
        assert {state for state, _, _ in await s.ends(second)} == {"aborted"}
        assert await s.ends(third) == RELEASED

    scenario(body)


def test_a_party_killed_before_it_agreed_to_the_questions_of_a_released_plan_agrees_after_its_restart() -> None:
    """Its journal says that the plan was released, and nothing more of the questions."""

    async def body(s: Study) -> None:
        await s.begin()
        signed = s.plan()
        s.daemons["uk"].flow._follow_plan = lambda job, plan: None  # type: ignore[method-assign]
        await s.submit_plan(signed)
        assert await s.ends(signed.job_id) == RELEASED
        await s.crash("uk")
        assert "approved" not in {r.get("state") for r in journal(s, "uk") if r["job"] in ids(signed)}
        await s.begin("uk")
        for job in ids(signed):
            assert await s.ends(job) == RELEASED

    scenario(body)


def test_the_operator_sees_the_whole_plan_question_by_question() -> None:
    async def body(s: Study) -> None:
        await s.start(policy=BY_HAND)
        signed = s.plan(s.question(), s.question(columns=["indo"]), title="Primary analysis")
        await s.submit_plan(signed)
        shown = await s.admin("um").ShowJob(admin_pb2.AdminJobReference(job=signed.job_id[:10]))
        assert (shown.job, shown.analysis, shown.spec) == (signed.job_id, "plan of 2", signed.data)
        assert "Primary analysis" in shown.question
        assert [question.job for question in shown.questions] == list(ids(signed))
        for question, column in zip(shown.questions, ("age", "indo"), strict=True):
            assert column in question.question
            assert json.loads(question.spec)["columns"] == [column]
            assert question.opens
            assert "of 20" in question.own_rows
        listed = (await s.admin("um").ListJobs(admin_pb2.AdminListRequest())).jobs
        assert [job.plan for job in listed] == ["", signed.job_id, signed.job_id]

    scenario(body)
