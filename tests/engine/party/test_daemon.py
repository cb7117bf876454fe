"""Three daemons on loopback: a question's way from Submit to Fetch, and every way in which it can end before."""

import asyncio

import pytest
from tests.engine.party.party_study import HOSPITALS, study

pytestmark = pytest.mark.usefixtures("fake_analysis")


def test_a_question_is_approved_computed_charged_and_fetched() -> None:
    async def scenario() -> None:
        async with study() as s:
            await s.start()
            await s.linked()
            signed = s.ask()
            replies = await s.submit(signed)
            assert {reply.job for reply in replies} == {signed.job_id}
            assert await s.ends(signed.job_id) == [("released", "", "")] * 3
            states = [event.state for event in await s.watch(signed.job_id, "um") if not event.detail]
            assert states == ["received", "verified", "approved", "keyed", "computing", "checked", "charged", "released"]
            releases = [await s.fetch(signed.job_id, name) for name in HOSPITALS]
            assert len(set(releases)) == 3
            assert releases == [await s.fetch(signed.job_id, name) for name in HOSPITALS]

    asyncio.run(scenario())
