"""Operators who decide on a question over their sockets, and hospitals that refuse for all."""

import json
import stat

import grpc
import pytest

from engine.party.config import PolicySection
from engine.wire.v1 import admin_pb2
from tests.engine.party.party_study import BY_HAND, HOSPITALS, RELEASED, Study, refused, scenario

pytestmark = pytest.mark.usefixtures("fake_analysis")


def test_operators_approve_over_their_sockets() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = await s.asked(where="age >= 18")
        shown = await s.admin("um").ShowJob(admin_pb2.AdminJobReference(job=signed.job_id[:8]))
        assert "age >= 18" in shown.question
        assert any("mean" in line for line in shown.opens)
        assert shown.own_rows.endswith("out of bounds 0")
        assert [job.state for job in (await s.admin("um").ListJobs(admin_pb2.AdminListRequest())).jobs] == ["verified"]
        await s.decide("Approve", signed.job_id, *HOSPITALS)
        assert await s.ends(signed.job_id) == RELEASED
        assert (await refused(s.admin("um").Approve(admin_pb2.AdminJobReference(job=signed.job_id))))[:2] == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "spec-error",
        )

    scenario(body)


def test_one_operator_rejects_for_all_and_is_named() -> None:
    async def body(s: Study) -> None:
        await s.begin(policy=BY_HAND)
        signed = await s.asked()
        await s.decide("Approve", signed.job_id, "um")
        await s.decide("Reject", signed.job_id, "iu")
        assert await s.ends(signed.job_id) == [("refused", "policy", "iu")] * 3

    scenario(body)


def test_a_refusal_reaches_a_party_that_receives_the_question_later() -> None:
    async def body(s: Study) -> None:
        await s.start("um", "iu")
        await s.begin("uk", policy=PolicySection(steps=False))
        signed = await s.asked(disclosure="steps", to=("uk",))
        assert await s.ends(signed.job_id, ("uk",)) == [("refused", "policy", "uk")]
        await s.submit(signed, to=("um", "iu"))
        assert await s.ends(signed.job_id) == [("refused", "policy", "uk")] * 3

    scenario(body)


def test_a_hospital_that_shares_no_rows_refuses_for_all() -> None:
    async def body(s: Study) -> None:
        await s.start("um", "iu")
        await s.begin("uk", policy=PolicySection(share_rows=False))
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
            assert (await refused(s.admin("um").ShowJob(admin_pb2.AdminJobReference(job=reference)))).code == "spec-error"

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
        signed = await s.asked(to=("um",))
        shown = await s.admin("um").ShowJob(admin_pb2.AdminJobReference(job=signed.job_id))
        assert shown.own_rows.startswith(f"0 rows (0 people) of {rows}")
        assert ("a new charter that declares at least 2048" in shown.own_rows) == outgrown

    scenario(body)


def test_what_has_begun_or_ended_cannot_be_rejected() -> None:
    async def body(s: Study) -> None:
        hold, signed = await s.held()
        assert (await refused(s.decide("Reject", signed.job_id, "um"))).code == "spec-error"
        hold.release.set()
        assert await s.ends(signed.job_id) == RELEASED
        assert (await refused(s.decide("Reject", signed.job_id, "um"))).code == "spec-error"

    scenario(body)
