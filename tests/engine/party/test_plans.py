"""Plans across three daemons on loopback: one approval, the gate first, then the questions in order; and every other end."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from engine import canonical, plan, receipt
from engine import spec as specs
from engine.party import flow as flow_module
from engine.party.config import PolicySection
from engine.party.journal import recover
from engine.party.notices import APPROVED
from engine.party.plan_check import ALLOWED
from engine.party.runner import Outcome, Work
from engine.plan import SignedPlan
from engine.wire.v1 import admin_pb2, jobs_pb2
from protocols.session import Session
from tests.engine.party.party_study import BY_HAND, EVERYTHING, HOSPITALS, RELEASED, Clock, Study, refused, scenario
from tests.engine.party.stand_ins import Hold, answer, meet
from tests.engine.party.test_standing import events, revoke, set_pause

pytestmark = pytest.mark.usefixtures("fake_analysis")

WITH_PLAN = [("refused", "plan", "")] * 3


def ids(signed: SignedPlan) -> tuple[str, ...]:
    """The jobs of its questions."""
    return plan.parse(signed.data).job_ids


def of_plan(work: Work) -> bool:
    """Whether a session asks the gate about a question of a plan, and answers none."""
    return work.analysis.plan.outputs == (ALLOWED,)


class Refuse:
    """Sessions in which the gate refuses the question of that number."""

    def __init__(self, number: int) -> None:
        self.number, self.seen = number, Counter[int]()

    def __call__(self, session: Session, work: Work) -> Outcome:
        self.seen[session.me] += 1
        if of_plan(work) and self.seen[session.me] == self.number:
            meet(session)
            return Outcome("refused", opened=["refused"], meter=session.meter)
        return answer(session, work)


class Only:
    """Holds the sessions that `chosen` names, and answers the others."""

    def __init__(self, chosen: Any) -> None:
        self.hold, self._chosen = Hold(), chosen

    def __call__(self, session: Session, work: Work) -> Outcome:
        return self.hold(session, work) if self._chosen(work) else answer(session, work)


def journal(s: Study, name: str) -> list[dict[str, Any]]:
    return recover((s.folder / name / "journal").read_bytes())[0]


def states(s: Study, name: str, job: str) -> list[str]:
    found = s.daemons[name].flow.book.get(job)
    assert found is not None
    return [event.state for event in found.events if not event.detail]


# -- the way through ---------------------------------------------------------------------------------------------------------


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

        await s.start(run=run)
        await s.linked()
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


# -- refusals ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2])
def test_the_gates_refusal_of_a_question_refuses_the_plan_and_says_which(number: int) -> None:
    async def body(s: Study) -> None:
        await s.start(run=Refuse(number), policy=BY_HAND)
        await s.linked()
        signed = s.plan()
        await s.submit_plan(signed)
        await s.decide("Approve", signed.job_id, *HOSPITALS)
        assert await s.ends(signed.job_id) == [("refused", "rules", "")] * 3
        for job in ids(signed):
            assert await s.ends(job) == WITH_PLAN
            for name in HOSPITALS:
                assert states(s, name, job) == ["received", "verified", "refused"]  # nobody had agreed to it
                assert not s.daemons[name].flow.book.find(job).approvals
        replies = [await s.jobs(name).Status(jobs_pb2.JobReference(job=signed.job_id)) for name in HOSPITALS]
        assert {reply.question for reply in replies} == {number}
        assert (await refused(s.fetch(ids(signed)[0], "um"))).code == "not-yet"

    scenario(body)


def test_a_policy_that_refuses_one_question_refuses_the_plan_and_names_both() -> None:
    async def body(s: Study) -> None:
        await s.start("um", "iu")
        await s.start("uk", policy=EVERYTHING.model_copy(update={"steps": False}))
        await s.linked()
        signed = s.plan(s.question(), s.question(disclosure="steps"), s.question())
        await s.submit_plan(signed)
        assert await s.ends(signed.job_id) == [("refused", "policy", "uk")] * 3
        assert (await s.jobs("uk").Status(jobs_pb2.JobReference(job=signed.job_id))).question == 2
        for job in ids(signed):
            assert await s.ends(job) == WITH_PLAN

    scenario(body)


def test_a_plan_of_which_rules_cover_a_part_waits_for_the_operator() -> None:
    async def body(s: Study) -> None:
        rule = {"researcher": "ana", "analyses": ["*"], "columns": ["age"]}
        await s.start(policy=PolicySection(approve="automatic", automatic=[rule]))  # type: ignore[list-item]
        await s.linked()
        covered, partly = s.plan(), s.plan(s.question(), s.question(columns=["indo"]))
        assert {reply.state for reply in await s.submit_plan(partly)} == {"verified"}
        await s.submit_plan(covered)
        assert await s.ends(covered.job_id) == RELEASED
        assert states(s, "um", partly.job_id) == ["received", "verified"]

    scenario(body)


def test_an_operator_decides_about_a_plan_as_a_whole() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = s.plan()
        await s.submit_plan(signed)
        await s.decide("Approve", signed.job_id, "um", "iu")
        for verb in ("Approve", "Reject"):
            assert (await refused(s.decide(verb, ids(signed)[1], "uk"))).code == "spec-error"
        await s.decide("Reject", signed.job_id, "uk")
        assert await s.ends(signed.job_id) == [("refused", "policy", "uk")] * 3
        for job in ids(signed):
            assert await s.ends(job) == WITH_PLAN

    scenario(body)


def test_an_approval_of_a_plan_is_taken_back_before_and_after_its_questions_have_begun() -> None:
    async def body(s: Study) -> None:
        held = Only(lambda work: not of_plan(work))
        await s.start(run=held, policy=BY_HAND)
        await s.linked()
        early, late = s.plan(), s.plan()
        await s.submit_plan(early)
        await s.decide("Approve", early.job_id, "iu")
        await s.decide("Revoke", early.job_id, "iu")
        assert await s.ends(early.job_id) == [("refused", "policy", "iu")] * 3
        await s.submit_plan(late)
        await s.decide("Approve", late.job_id, *HOSPITALS)
        await held.hold.reached()
        await s.decide("Revoke", late.job_id, "iu")
        for job in ids(late):
            assert await s.ends(job) == [("refused", "policy", "iu")] * 3
        held.hold.release.set()
        assert events(s, "iu").count(("withdrawn", "")) == 3

    scenario(body)


# -- what a submission is held against ---------------------------------------------------------------------------------------


def test_a_plan_is_refused_at_once_with_the_number_of_the_wrong_question() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        for fields, code in (({"formula": "wrong ~"}, "formula-error"), ({"columns": ["ag"]}, "unknown-column")):
            with pytest.raises(Exception, match="question 2 of the plan") as caught:
                await s.submit_plan(s.plan(s.question(), s.question(**fields)), to=("um",))
            assert dict(caught.value.trailing_metadata())["unseen-code"] == code  # type: ignore[attr-defined]
        assert not list(s.daemons["um"].flow.book)

    scenario(body)


def test_a_question_asked_before_is_in_no_plan() -> None:
    async def body(s: Study) -> None:
        await s.start(policy=BY_HAND)
        alone, first = s.ask(), s.plan()
        await s.submit(alone)
        await s.submit_plan(first)
        for taken in (specs.parse(alone.data), plan.parse(first.data).questions[1]):
            assert (await refused(s.submit_plan(s.plan(s.question(), taken), to=("um",)))).code == "spec-error"

    scenario(body)


def test_only_the_signer_submits_a_plan_and_only_the_signer_sees_it() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        signed = s.plan()
        assert (await refused(s.submit_plan(signed, caller="ben", to=("um",)))).code == "not-authorised"
        forged = SignedPlan(signed.data, canonical.sign(s.keys["ana"].signing_key, specs.DOMAIN, signed.data))
        assert (await refused(s.submit_plan(forged, to=("um",)))).code == "signature-invalid"
        assert not list(s.daemons["um"].flow.book)
        await s.submit_plan(signed, to=("um",))
        for job in (signed.job_id, *ids(signed)):
            assert (await refused(s.jobs("um", "ben").Status(jobs_pb2.JobReference(job=job)))).code == "not-there"
        assert not (await s.jobs("um", "ben").List(jobs_pb2.ListRequest())).jobs
        mine = (await s.jobs("um").List(jobs_pb2.ListRequest())).jobs
        assert [(job.plan == signed.data, bool(job.spec)) for job in mine] == [(True, False), (False, True), (False, True)]

    scenario(body)


def test_two_lists_for_two_hospitals_are_two_plans_and_neither_begins() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        common = s.question()
        one, other = s.plan(common, s.question()), s.plan(common)
        await s.submit_plan(one, to=("um", "uk"))
        await s.submit_plan(other, to=("iu",))
        await s.state(one.job_id, "um", "approved")
        await s.state(other.job_id, "iu", "approved")
        for name in HOSPITALS:
            s.daemons[name].flow.tick()
            mine = other if name == "iu" else one
            assert s.daemons[name].flow.book.find(mine.job_id).state == "approved"
            assert states(s, name, common.job_id) == ["received", "verified"]
        assert (await refused(s.submit_plan(one, to=("iu",)))).code == "spec-error"  # their question is in the other one there

    scenario(body)


def test_a_plan_counts_for_as_many_jobs_as_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "MAX_WAITING", 4)

    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        assert (await refused(s.submit_plan(s.plan(*(s.question() for _ in range(4))), to=("um",)))).code == "too-many"
        await s.submit_plan(s.plan(), to=("um",))
        await s.submit(s.ask(), to=("um",))
        assert (await refused(s.submit(s.ask(), to=("um",)))).code == "too-many"
        await s.submit_plan(s.plan(researcher="ben"), caller="ben", to=("um",))

    scenario(body)


def test_a_paused_party_takes_no_plan_and_finishes_what_it_has() -> None:
    async def body(s: Study) -> None:
        held = Only(of_plan)
        await s.start(run=held)
        await s.linked()
        running, new = s.plan(), s.plan()
        await s.submit_plan(running)
        await held.hold.reached()
        await set_pause(s, "um", True)
        assert (await refused(s.submit_plan(new, to=("um",)))).code == "paused"
        held.hold.release.set()
        for job in ids(running):
            assert await s.ends(job) == RELEASED

    scenario(body)


def test_a_plan_that_nobody_decides_about_expires_with_its_first_question() -> None:
    async def body(s: Study) -> None:
        clock = Clock()
        await s.start(policy=BY_HAND, clock=clock)
        await s.linked()
        signed = s.plan(s.question(lifetime=timedelta(days=3)), s.question(lifetime=timedelta(days=1)))
        await s.submit_plan(signed)
        clock.now += timedelta(days=2)
        for name in HOSPITALS:
            s.daemons[name].flow.tick()
        assert await s.ends(signed.job_id) == [("refused", "expired", "")] * 3
        for job in ids(signed):
            assert await s.ends(job) == WITH_PLAN
        assert (await refused(s.submit_plan(s.plan(s.question(lifetime=timedelta(days=1))), to=("um",)))).code == "expired"

    scenario(body)


def test_a_researcher_who_is_served_no_more_loses_the_plan_and_what_is_left_of_it() -> None:
    async def body(s: Study) -> None:
        held = Only(lambda work: not of_plan(work))
        await s.start(run=held)
        await s.linked()
        running, waiting = s.plan(), s.plan()
        await s.submit_plan(running)
        await held.hold.reached()
        await s.submit_plan(waiting)
        await revoke(s, "iu", "ana")
        held.hold.release.set()
        book = s.daemons["iu"].flow.book
        assert {book.find(job).code for job in ids(running)} == {"policy"}
        assert (book.find(waiting.job_id).code, {book.find(job).code for job in ids(waiting)}) == ("policy", {"plan"})
        for job in (*ids(running), waiting.job_id):
            assert {state for state, _, _ in await s.ends(job, ("um", "uk"))} == {"refused"}

    scenario(body)


# -- restarts ----------------------------------------------------------------------------------------------------------------


def test_a_restart_restores_a_plan_that_waits_and_it_goes_on() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = s.plan()
        await s.submit_plan(signed)
        await s.decide("Approve", signed.job_id, "um", "uk")
        await s.crash("uk")
        await s.start("uk", policy=BY_HAND)
        await s.linked()
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
        await s.start(run=held)
        await s.linked()
        signed = s.plan()
        await s.submit_plan(signed)
        await held.hold.reached()
        await s.crash("uk")
        held.hold.release.set()
        await s.start("uk")
        await s.linked()
        assert {state for state, _, _ in await s.ends(signed.job_id)} == {"aborted"}
        for job in ids(signed):
            assert await s.ends(job) == WITH_PLAN

    scenario(body)


@pytest.mark.parametrize("victim", HOSPITALS)
def test_a_party_killed_in_a_question_answers_the_next_one_when_it_is_back(victim: str) -> None:
    async def body(s: Study) -> None:
        held = Only(lambda work: not of_plan(work) and work.analysis.plan.columns == ("indo",))
        await s.start(run=held)
        await s.linked()
        signed = s.plan(s.question(), s.question(columns=["indo"]), s.question())
        first, second, third = ids(signed)
        await s.submit_plan(signed)
        await held.hold.reached()
        await s.crash(victim)
        held.hold.release.set()
        await s.start(victim)
        await s.linked()
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
        await s.start("uk")
        await s.linked()
        for job in ids(signed):
            assert await s.ends(job) == RELEASED

    scenario(body)


# -- the operator's view -----------------------------------------------------------------------------------------------------


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
