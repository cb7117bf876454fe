"""Plans and questions that come all at once, from a researcher who has just been revoked, or at a party that has become stricter;
plans that only probe the rules."""

from __future__ import annotations

import asyncio
import threading

import pytest

from engine import plan as plans
from engine.analyses.base import RowSet
from engine.errors import SpecError
from engine.party import flow as flow_module
from engine.party import ledger, policy
from engine.party.describe import describe_plan
from engine.plan import SignedPlan
from engine.wire.v1 import jobs_pb2
from tests.engine.party.party_study import BY_HAND, EVERYTHING, HOSPITALS, RELEASED, Study, refused, scenario
from tests.engine.party.plan_sessions import Refuse, ids
from tests.engine.party.test_standing import revoke

pytestmark = pytest.mark.usefixtures("fake_analysis")

ON_ROWS = {"formula": "on rows ~"}  # the stand-in analysis that shares rows
NO_ROWS = EVERYTHING.model_copy(update={"share_rows": False})


def request(signed: SignedPlan) -> jobs_pb2.SubmitPlanRequest:
    return jobs_pb2.SubmitPlanRequest(plan=signed.data, signature=signed.signature)


def test_plans_that_come_at_once_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "MAX_WAITING", 10)

    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        asked = [s.plan(*(s.question() for _ in range(4))) for _ in range(8)]
        await asyncio.gather(*(s.jobs("um").SubmitPlan(request(each)) for each in asked), return_exceptions=True)
        assert len(s.daemons["um"].flow.book.open_jobs()) == 10

    scenario(body)


def test_whoever_is_revoked_while_a_plan_is_read_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, read, compile_question = threading.Event(), threading.Event(), policy.compile_question

    def slow(*args: object) -> policy.Question:
        inside.set()
        assert read.wait(20)
        return compile_question(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(policy, "compile_question", slow)

    async def body(s: Study) -> None:
        await s.start("um")
        coming = asyncio.create_task(refused(s.jobs("um").SubmitPlan(request(s.plan()))))
        single = s.ask()
        alone = jobs_pb2.SubmitRequest(spec=single.data, signature=single.signature)
        question = asyncio.create_task(refused(s.jobs("um").Submit(alone)))
        assert await asyncio.to_thread(inside.wait, 20)
        await revoke(s, "um", "ana")
        read.set()
        assert [(await coming).code, (await question).code] == ["not-authorised"] * 2
        assert not list(s.daemons["um"].flow.book)

    scenario(body)


def test_a_party_that_has_become_stricter_does_not_run_what_it_agreed_to() -> None:
    async def body(s: Study) -> None:
        await s.start("um", "uk")
        await s.start("iu", policy=BY_HAND)
        await s.linked()
        alone, plan = s.ask(**ON_ROWS), s.plan(s.question(), s.question(**ON_ROWS))
        await s.submit(alone)
        await s.submit_plan(plan)
        for job in (alone.job_id, plan.job_id):
            await s.state(job, "uk", "approved")
        await s.stop("uk")
        await s.start("uk", policy=NO_ROWS)
        for job in (alone.job_id, plan.job_id):
            assert await s.ends(job) == [("refused", "policy", "uk")] * 3

    scenario(body)


def test_after_three_plans_that_the_rules_refused_an_operator_sees_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(s: Study) -> None:
        run = Refuse(1)
        await s.begin(run=run)
        for _ in range(flow_module.MAX_REFUSED_PLANS):
            run.seen.clear()
            signed = s.plan()
            await s.submit_plan(signed)
            assert await s.ends(signed.job_id) == [("refused", "rules", "")] * 3
        last, single = s.plan(), s.ask()
        assert {reply.state for reply in await s.submit_plan(last)} == {"verified"}
        await s.submit(single)
        assert await s.ends(single.job_id) == RELEASED  # a question by itself is charged, and goes on as before
        await s.decide("Approve", last.job_id, *HOSPITALS)
        assert await s.ends(last.job_id) == RELEASED

    scenario(body)


def test_more_groups_than_can_be_compared_are_refused_at_the_door() -> None:
    groups = [RowSet(("age",))] * 600
    ledger.check_comparisons([groups, groups[:400]])
    with pytest.raises(SpecError, match="question 2 of the plan"):
        ledger.check_comparisons([groups, groups])


def test_a_purpose_does_not_look_like_another_line_of_the_page() -> None:
    async def body(s: Study) -> None:
        document = plans.parse(s.plan().data)
        purpose = "age.\n\n1          describe age\nown rows   0"
        assert "\n" not in describe_plan(document.model_copy(update={"purpose": purpose}))
        assert len(ids(s.plan())) == len(document.questions)

    scenario(body)
