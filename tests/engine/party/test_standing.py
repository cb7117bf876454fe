"""pause, resume, revoke: what an operator decides beyond approving."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from engine.party.store import Store
from engine.wire.v1 import admin_pb2, jobs_pb2
from tests.engine.party.party_study import BY_HAND, HOSPITALS, RELEASED, Study, refused, scenario
from tests.engine.party.stand_ins import Hold
from tests.engine.party.test_serve import write_config

pytestmark = pytest.mark.usefixtures("fake_analysis")


def events(s: Study, name: str) -> list[tuple[str, str]]:
    """(event, member) of every line of an audit log."""
    lines = (s.folder / name / "audit.jsonl").read_text().splitlines()
    return [(entry["event"], entry.get("member", "")) for entry in map(json.loads, lines)]


async def set_pause(s: Study, name: str, paused: bool) -> admin_pb2.PartyStatusReply:
    return await s.admin(name).Pause(admin_pb2.AdminPause(paused=paused))


async def revoke(s: Study, name: str, researcher: str, revoked: bool = True) -> admin_pb2.PartyStatusReply:
    return await s.admin(name).RevokeResearcher(admin_pb2.AdminRevocation(researcher=researcher, revoked=revoked))


def test_a_paused_party_takes_no_new_question_and_finishes_what_it_has() -> None:
    async def body(s: Study) -> None:
        hold = Hold()
        await s.begin(run=hold)
        running, new = s.ask(), s.ask()
        await s.submit(running)
        await hold.reached()
        assert (await set_pause(s, "um", True)).paused
        _, code, text = await refused(s.submit(new, to=("um",)))
        assert (code, "again later" in text) == ("paused", True)
        assert {reply.job for reply in await s.submit(running)} == {running.job_id}  # known already
        hold.release.set()
        assert await s.ends(running.job_id) == RELEASED
        assert not (await set_pause(s, "um", False)).paused
        await s.submit(new)
        assert await s.ends(new.job_id) == RELEASED
        assert ("paused", "") in events(s, "um")
        assert ("resumed", "") in events(s, "um")

    scenario(body)


def test_a_pause_and_a_revocation_survive_a_restart() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        await set_pause(s, "um", True)
        await revoke(s, "um", "ben")
        await s.crash("um")
        await s.start("um")
        reply = await s.admin("um").PartyStatus(admin_pb2.PartyStatusRequest())
        assert (reply.paused, list(reply.revoked)) == (True, ["ben"])
        assert (await refused(s.submit(s.ask(), to=("um",)))).code == "paused"
        await set_pause(s, "um", False)
        await revoke(s, "um", "ben", revoked=False)
        await s.stop("um")
        await s.start("um")
        reply = await s.admin("um").PartyStatus(admin_pb2.PartyStatusRequest())
        assert (reply.paused, list(reply.revoked)) == (False, [])

    scenario(body)


def test_an_approval_is_taken_back_before_the_others_agree() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = await s.asked()
        _, code, text = await refused(s.decide("Revoke", signed.job_id, "iu"))
        assert (code, "reject" in text) == ("spec-error", True)
        await s.decide("Approve", signed.job_id, "iu")
        _, code, text = await refused(s.decide("Reject", signed.job_id, "iu"))
        assert (code, "revoke" in text) == ("spec-error", True)
        await s.decide("Revoke", signed.job_id, "iu")
        assert await s.ends(signed.job_id) == [("refused", "policy", "iu")] * 3
        assert ("withdrawn", "") in events(s, "iu")

    scenario(body)


def test_an_approval_is_taken_back_in_the_middle_of_a_session_and_nothing_is_released() -> None:
    async def body(s: Study) -> None:
        hold, signed = await s.held()
        await s.decide("Revoke", signed.job_id, "uk")
        assert await s.ends(signed.job_id) == [("refused", "policy", "uk")] * 3
        hold.release.set()
        await s.stop()
        for name in HOSPITALS:
            assert not list((s.folder / name / "jobs" / signed.job_id).glob("release*"))

    scenario(body)


def test_an_answer_that_counts_cannot_be_taken_back() -> None:
    async def body(s: Study) -> None:
        await s.begin()
        signed = await s.asked()
        assert await s.ends(signed.job_id) == RELEASED
        assert (await refused(s.decide("Revoke", signed.job_id, "um"))).code == "spec-error"
        assert Store(s.folder / "um" / "jobs").release(signed.job_id)

    scenario(body)


def test_a_revoked_researcher_is_served_no_more_and_what_waits_ends_for_all() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        hers, his = s.ask("ana"), s.ask("ben")
        await s.submit(hers)
        await s.submit(his, "ben")
        assert list((await revoke(s, "um", "ana")).revoked) == ["ana"]
        async with asyncio.timeout(20):
            for daemon in s.daemons.values():
                while not (job := daemon.flow.book.find(hers.job_id)).ended:
                    await job.changed.wait()
        reference = jobs_pb2.JobReference(job=hers.job_id)
        ana = s.jobs("um")
        calls = (ana.Status(reference), ana.Fetch(reference), ana.List(jobs_pb2.ListRequest()), s.submit(s.ask(), to=("um",)))
        for call in calls:
            assert (await refused(call)).code == "not-authorised"
        status = await s.jobs("iu").Status(reference)
        assert (status.state, status.code, status.by) == ("refused", "policy", "um")
        assert (await s.jobs("um", "ben").Status(jobs_pb2.JobReference(job=his.job_id))).state == "verified"
        await revoke(s, "um", "ana", revoked=False)
        await s.submit(s.ask(), to=("um",))
        assert [e for e in events(s, "um") if e[1] == "ana" and e[0] != "submitted"] == [
            ("revoked", "ana"),
            ("restored", "ana"),
        ]
        assert (await refused(revoke(s, "um", "nobody"))).code == "spec-error"

    scenario(body)


def test_hello_says_what_the_time_is() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        reply = await s.jobs("um").Hello(jobs_pb2.HelloRequest())
        assert reply.time.startswith(s.daemons["um"].flow.book.clock().strftime("%Y-%m-%dT%H:"))

    scenario(body)


# -- the commands ------------------------------------------------------------------------------------------------------------


def test_the_commands_reach_the_daemon() -> None:
    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        signed = await s.asked(to=("um",))
        config = write_config(s, "um")

        async def run(*arguments: str) -> Any:
            return await asyncio.to_thread(CliRunner().invoke, app, ["party", *arguments, "--config", str(config)])

        assert "paused" in (await run("pause")).stdout
        shown = (await run("status")).stdout
        assert "paused: takes no new questions" in shown
        assert "missing: iu: has not been here" in shown or "missing: iu: does not answer" in shown
        assert json.loads((await run("resume", "--json")).stdout)["paused"] is False
        assert "serves no more: ben" in (await run("revoke", "--researcher", "ben")).stdout
        assert "ben" not in (await run("revoke", "--researcher", "ben", "--undo")).stdout
        await run("approve", signed.job_id[:12])
        assert "refused (policy)" in (await run("revoke", signed.job_id[:12])).stdout
        for wrong in (["revoke"], ["revoke", signed.job_id, "--researcher", "ana"], ["revoke", signed.job_id, "--undo"]):
            assert (await run(*wrong)).exit_code == 2

    scenario(body)
