"""Questions that are refused at a party's door: wrong, of somebody else, too late, too many."""

import json

import grpc
import pytest

from engine.party import flow as flow_module
from engine.party import notices
from engine.party.config import PolicySection
from engine.spec import SignedSpec
from engine.wire.v1 import jobs_pb2
from engine.wire.v1.jobs_pb2_grpc import JobsStub
from tests.engine.party.party_study import BY_HAND, EVERYTHING, Clock, Study, code_of, refused, scenario

pytestmark = pytest.mark.usefixtures("fake_analysis")


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
            assert (await refused(s.submit(question, caller, to=("um",)))).code == code
        assert (await refused(s.submit(SignedSpec(signed.data, other.signature), to=("um",)))).code == "signature-invalid"
        assert (await refused(s.submit(signed, "iu", to=("um",)))).code == "not-authorised"
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
        await s.begin()
        signed = await s.asked()
        await s.ends(signed.job_id)
        assert (await refused(s.submit(signed, "ben", to=("um",))))[:2] == (grpc.StatusCode.PERMISSION_DENIED, "not-authorised")
        reference = jobs_pb2.JobReference(job=signed.job_id)
        for call in ("Status", "Fetch"):
            assert (await refused(getattr(s.jobs("um", "ben"), call)(reference)))[:2] == (grpc.StatusCode.NOT_FOUND, "not-there")
        assert (await refused(anext(s.jobs("um", "ben").Watch(reference).__aiter__()))).code == "not-there"
        assert not (await s.jobs("um", "ben").List(jobs_pb2.ListRequest())).jobs
        assert [job.spec for job in (await s.jobs("um").List(jobs_pb2.ListRequest())).jobs] == [signed.data]

    scenario(body)


def test_without_a_pinned_certificate_nothing_answers() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        address = s.charter.member("um").address or ""
        async with grpc.aio.insecure_channel(address) as channel:
            assert (await refused(JobsStub(channel).Hello(jobs_pb2.HelloRequest()))).status is grpc.StatusCode.UNAVAILABLE
        hello = await s.jobs("um").Hello(jobs_pb2.HelloRequest())
        assert (hello.member, hello.charter.hex()) == ("um", s.charter.id)

    scenario(body)


def test_an_expired_question_is_refused() -> None:
    async def body(s: Study) -> None:
        clock = Clock()
        await s.start("um", clock=clock)
        signed = s.ask()
        clock.now = clock.now.replace(year=clock.now.year + 1)
        assert (await refused(s.submit(signed, to=("um",))))[:2] == (grpc.StatusCode.FAILED_PRECONDITION, "expired")

    scenario(body)


@pytest.mark.parametrize("policy", [BY_HAND, EVERYTHING])
def test_a_question_that_waits_too_long_is_refused_everywhere(policy: PolicySection) -> None:
    async def body(s: Study) -> None:
        clock = Clock()
        await s.start("um", "iu", policy=policy, clock=clock)
        signed = await s.asked(to=("um", "iu"))
        clock.now = clock.now.replace(year=clock.now.year + 1)
        s.daemons["um"].flow.tick()
        s.daemons["iu"].flow.tick()
        assert await s.ends(signed.job_id, ("um", "iu")) == [("refused", "expired", "")] * 2

    scenario(body)


def test_a_researcher_and_a_peer_can_only_hold_so_much() -> None:
    async def body(s: Study) -> None:
        await s.start("um", policy=BY_HAND)
        flow = s.daemons["um"].flow
        for i in range(flow_module.MAX_EARLY + 10):
            flow.on_notice("iu", notices.sign(s.keys["iu"], f"{i:064x}", "approved"))
        assert len(flow._early["iu"]) == flow_module.MAX_EARLY
        await s.submit(s.ask(), to=("um",))
        assert (await refused(s.submit(s.ask(), to=("um",)))).code == "too-many"
        await s.submit(s.ask("ben"), "ben", to=("um",))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flow_module, "MAX_WAITING", 1)
        scenario(body)
