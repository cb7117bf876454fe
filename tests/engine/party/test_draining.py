"""A party that is stopped in order: what runs is finished, and what waits at any party waits until it is back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from engine.party.notices import APPROVED, START
from engine.party.runner import Work
from tests.engine.party.party_study import HOSPITALS, RELEASED, Clock, Study, journal_states, refused, scenario
from tests.engine.party.plan_sessions import Only, ids, of_plan
from tests.engine.party.stand_ins import Hold

pytestmark = pytest.mark.usefixtures("fake_analysis")


def a_question(work: Work) -> bool:
    return not of_plan(work)


async def waiting(s: Study, *jobs: str) -> None:
    """Asserts that no party that runs begins these, though its clock ticks."""
    for name, daemon in s.daemons.items():
        await daemon.tick()
        assert {journal_states(s, name, job)[-1] for job in jobs} == {"approved"}


@pytest.mark.parametrize("member", HOSPITALS)
def test_a_draining_party_finishes_what_runs_and_nothing_else_of_a_plan_begins_before_it_is_back(member: str) -> None:
    async def body(s: Study) -> None:
        held = Only(a_question)
        await s.begin(run=held)
        signed = s.plan(*(s.question() for _ in range(4)))
        first, *later = ids(signed)
        await s.submit_plan(signed)
        await held.hold.reached()
        draining = asyncio.create_task(s.daemons[member].drain(30))
        await asyncio.sleep(0)  # it has begun
        assert (await refused(s.submit(s.ask(), to=(member,)))).code == "paused"
        assert not draining.done()
        held.hold.release.set()
        assert await s.ends(first) == RELEASED
        await draining
        await waiting(s, *later)
        await s.stop(member)
        await waiting(s, *later)
        await s.begin(member)
        for job in later:
            assert await s.ends(job) == RELEASED

    scenario(body)


def test_what_waits_for_a_drained_party_waits_also_over_a_restart_of_the_first_compute_party() -> None:
    async def body(s: Study) -> None:
        hold, running = await s.held()
        left = await s.asked()
        await s.state(left.job_id, "uk", "approved")
        hold.release.set()
        await s.daemons["uk"].drain(30)
        assert await s.ends(running.job_id) == RELEASED
        await s.stop("uk")
        await s.crash("um")
        await s.start("um")
        await waiting(s, left.job_id)
        await s.begin("uk")
        assert await s.ends(left.job_id) == RELEASED

    scenario(body)


def test_a_first_compute_party_that_comes_while_another_drains_waits_for_it() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        await s.daemons["uk"].drain(30)
        await s.crash("um")
        left = s.ask()
        await s.begin("um")
        await s.daemons["uk"].links.drain_heard("um")
        assert set(s.daemons["um"].links.connected()) - set(s.daemons["um"].links.ready()) == {"uk"}
        assert (await refused(s.submit(left, to=("uk",)))).code == "paused"
        await s.stop("uk")
        await s.begin("uk")
        await s.submit(left)
        assert await s.ends(left.job_id) == RELEASED

    scenario(body)


def test_a_question_whose_start_was_on_its_way_when_the_drain_began_is_answered() -> None:
    """Also where the word that another party agrees comes later still."""

    async def body(s: Study) -> None:
        await s.begin()
        links, both = s.daemons["iu"].links, asyncio.Event()
        hear, heard = links.on_notice, links.drain_heard
        late: dict[tuple[str, str], Any] = {}

        def keep(member: str, notice: Any) -> None:
            if (member, notice.verdict) in (("um", START), ("uk", APPROVED)):
                late[member, notice.verdict] = notice
                if len(late) == 2:
                    both.set()
            else:
                hear(member, notice)

        async def hear_start_first(member: str) -> None:
            if notice := late.pop(("um", START), None):
                hear("um", notice)
            await heard(member)
            if notice := late.pop(("uk", APPROVED), None):
                asyncio.get_running_loop().call_soon(hear, "uk", notice)

        links.on_notice, links.drain_heard = keep, hear_start_first  # type: ignore[method-assign]
        signed = await s.asked()
        async with asyncio.timeout(20):
            await both.wait()
        await s.daemons["iu"].drain(30)
        assert journal_states(s, "iu", signed.job_id)[-1] == "released"
        assert await s.ends(signed.job_id) == RELEASED

    scenario(body)


@pytest.mark.parametrize("member", HOSPITALS)
def test_a_party_that_stops_at_once_aborts_what_runs_and_nothing_that_waits(member: str) -> None:
    async def body(s: Study) -> None:
        held = Only(a_question)
        await s.begin(run=held)
        signed = s.plan(*(s.question() for _ in range(3)))
        first, *later = ids(signed)
        await s.submit_plan(signed)
        await held.hold.reached()
        others = tuple(name for name in HOSPITALS if name != member)
        stopping = asyncio.create_task(s.stop(member))
        assert await s.ends(first, others) == [("aborted", "stopped", member)] * 2
        await waiting(s, *later)
        held.hold.release.set()
        await stopping
        await s.begin(member)
        for job in later:
            assert await s.ends(job) == RELEASED

    scenario(body)


def test_what_waits_for_a_party_that_never_comes_back_expires() -> None:
    async def body(s: Study) -> None:
        hold, clock = Hold(), Clock()
        await s.begin(run=hold, clock=clock)
        running = await s.asked()
        await hold.reached()
        left = await s.asked()
        await s.state(left.job_id, "uk", "approved")
        hold.release.set()
        await s.daemons["uk"].drain(30)
        assert await s.ends(running.job_id) == RELEASED
        await s.stop("uk")
        clock.now += timedelta(days=8)
        for daemon in s.daemons.values():
            await daemon.tick()
        assert await s.ends(left.job_id, ("um", "iu")) == [("refused", "expired", "")] * 2

    scenario(body)


def test_a_drain_ends_after_its_time() -> None:
    async def body(s: Study) -> None:
        hold, signed = await s.held()
        await s.daemons["iu"].drain(0.01)
        assert s.daemons["iu"].flow.book.find(signed.job_id).state == "computing"
        hold.release.set()
        await s.ends(signed.job_id)

    scenario(body)
