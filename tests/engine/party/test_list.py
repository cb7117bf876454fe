"""Listing one's own jobs: reply by reply, each document once, and nothing out of reach."""

from __future__ import annotations

import asyncio

import pytest

from engine.client import config, study
from engine.party import jobs_service
from engine.transport.codes import MESSAGE_LIMIT
from engine.wire.v1 import jobs_pb2
from tests.engine.party.party_study import BY_HAND, Study, refused, scenario
from tests.engine.party.plan_sessions import ids

pytestmark = pytest.mark.usefixtures("fake_analysis")


def researcher(s: Study) -> study.Study:
    """Ana's side, on the charter's addresses."""
    addresses = {name: s.charter.member(name).address or "" for name in s.charter.parties}
    return study.Study(config.ResearcherConfig(s.charter, s.keys["ana"], addresses))


async def pages(s: Study, **fields: str) -> list[list[jobs_pb2.ListedJob]]:
    """What um lists to ana, reply by reply."""
    found, stub = [], s.jobs("um")
    reply = await stub.List(jobs_pb2.ListRequest(**fields))
    found.append(list(reply.jobs))
    while reply.more:
        reply = await stub.List(jobs_pb2.ListRequest(**fields, before=found[-1][-1].status.job))
        found.append(list(reply.jobs))
    return found


def test_more_documents_than_a_message_holds_are_listed_and_the_oldest_is_found() -> None:
    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        first = s.plan()
        alone = s.ask()
        await s.submit_plan(first, to=("um",))
        await s.submit(alone, to=("um",))
        for job in s.daemons["um"].flow.book.open_jobs():
            if not job.plan:
                s.daemons["um"].flow.reject(job)
        big = [s.ask(columns=["x" * 60] * 950) for _ in range(72)]
        assert sum(len(each.data) for each in big) > MESSAGE_LIMIT
        for each in big:
            await s.submit(each, to=("um",))
        with researcher(s) as ana:
            listed = await asyncio.to_thread(ana.jobs)
            newest_first = [*reversed([each.job_id for each in big]), alone.job_id]
            assert [job.id for job in listed if not job.plan] == newest_first
            assert {job.id: job.plan for job in listed if job.plan} == dict.fromkeys(ids(first), first.job_id)
            assert (await asyncio.to_thread(ana.job, alone.job_id[:10])).id == alone.job_id
            assert (await asyncio.to_thread(ana.job, ids(first)[0])).id == ids(first)[0]
            assert (await asyncio.to_thread(ana.submitted_plan, first.job_id[:10])).id == first.job_id

    columns = {"age": {"type": "integer", "bounds": [0, 120]}, "x" * 60: {"type": "binary"}}
    scenario(body, dictionary={"columns": columns})


def test_a_plan_is_listed_once_however_large_and_rejected_ones_count_for_no_more() -> None:
    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        plans = [s.plan(*(s.question(columns=["age"] + ["sex"] * 560) for _ in range(30))) for _ in range(3)]
        for signed in plans:
            await s.submit_plan(signed, to=("um",))
            s.daemons["um"].flow.reject(s.daemons["um"].flow.book.find(signed.job_id))
        [listed] = await pages(s)
        assert [job.status.job for job in listed if job.plan] == [signed.job_id for signed in reversed(plans)]
        assert not any(job.spec for job in listed)
        documents = sum(len(signed.data) for signed in plans)
        assert sum(job.ByteSize() for job in listed) < 1.2 * documents

    scenario(body)


@pytest.mark.parametrize("limit", ["MAX_LISTED", "MAX_LISTED_BYTES"])
def test_every_reply_holds_plans_whole_and_together_they_hold_all(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_service, limit, 4 if limit == "MAX_LISTED" else 2500)

    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        expected: list[str] = []
        for questions in (0, 3, 0, 2, 6, 0, 0):
            if questions:
                plan = s.plan(*(s.question() for _ in range(questions)))
                await s.submit_plan(plan, to=("um",))
                expected += [plan.job_id, *ids(plan)]
            else:
                expected.append((await s.asked(to=("um",))).job_id)
        found = await pages(s)
        assert len(found) > 3
        assert [job.status.job for page in found for job in page] == expected[::-1]
        for page in found:
            plans = {job.status.job for job in page if job.plan}
            assert {job.status.plan for job in page} - {""} == plans
            assert all(bool(job.spec) == (not job.plan and not job.status.plan) for job in page)
        with researcher(s) as ana:
            assert {job.id for job in await asyncio.to_thread(ana.jobs)} == set(expected) - {
                plan.id for plan in await asyncio.to_thread(ana.plans)
            }

    scenario(body)


def test_a_job_asked_for_by_its_id_is_listed_alone_with_its_document() -> None:
    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        signed = s.plan()
        await s.submit_plan(signed, to=("um",))
        await s.asked(to=("um",))
        for id in ids(signed):
            [[job]] = await pages(s, prefix=id)
            assert (job.status.job, bool(job.spec), job.plan) == (id, True, b"")
        [[job]] = await pages(s, prefix=signed.job_id[:12])
        assert (job.status.job, job.spec, job.plan) == (signed.job_id, b"", signed.data)
        assert await pages(s, prefix="none") == [[]]

    scenario(body)


def test_nobody_pages_from_somebody_elses_job() -> None:
    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        signed = await s.asked(to=("um",))
        for before in (signed.job_id, "0" * 64):
            request = jobs_pb2.ListRequest(before=before)
            assert (await refused(s.jobs("um", "ben").List(request))).code == "not-there"

    scenario(body)
