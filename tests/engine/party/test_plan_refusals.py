"""Plans that are refused: by the gate, a policy, an operator, or at the door."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine import canonical, plan
from engine import spec as specs
from engine.party import flow as flow_module
from engine.party.config import PolicySection
from engine.plan import SignedPlan
from engine.wire.v1 import jobs_pb2
from tests.engine.party.party_study import BY_HAND, EVERYTHING, HOSPITALS, RELEASED, Clock, Study, refused, scenario
from tests.engine.party.plan_sessions import WITH_PLAN, Only, Refuse, ids, of_plan, states
from tests.engine.party.test_standing import events, revoke, set_pause

pytestmark = pytest.mark.usefixtures("fake_analysis")


@pytest.mark.parametrize("number", [1, 2])
def test_the_gates_refusal_of_a_question_refuses_the_plan_and_says_which(number: int) -> None:
    async def body(s: Study) -> None:
        await s.begin(run=Refuse(number), policy=BY_HAND)
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
        await s.begin("uk", policy=EVERYTHING.model_copy(update={"steps": False}))
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
        await s.begin(run=held, policy=BY_HAND)
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
        assert [(job.plan == signed.data, bool(job.spec)) for job in mine] == [(False, False), (False, False), (True, False)]

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
        await s.begin(run=held)
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
        await s.begin(policy=BY_HAND, clock=clock)
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
        await s.begin(run=held)
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
