"""The SDK against parties that are played by scripts: states, errors, and every lie that a party could tell about an answer."""

from __future__ import annotations

import re
import secrets
import socket
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field
from types import SimpleNamespace

import grpc
import numpy as np
import pytest

import native
from engine import canonical, errors, identity, receipt
from engine import charter as charters
from engine import spec as specs
from engine.analyses.base import Output
from engine.client import study as client_study
from engine.client.config import ResearcherConfig
from engine.client.study import Study
from engine.party import gate
from engine.transport import credentials
from engine.transport.codes import PROTOCOL_VERSION
from engine.wire.v1 import jobs_pb2 as wire
from engine.wire.v1.jobs_pb2_grpc import JobsServicer, add_JobsServicer_to_server

MEMBERS = {
    "a": ["hospital", "compute"],
    "b": ["hospital", "compute"],
    "c": ["hospital", "compute"],
    "d": ["hospital"],
    "ana": ["researcher"],
}
PARTIES = ("a", "b", "c", "d")
DICTIONARY = {"columns": {"age": {"type": "integer", "bounds": [0, 120]}, "treated": {"type": "binary"}}}
OUTPUTS = (Output("mean", (2,), "aggregate"), Output("table", (2, 2), "count", frac=0))
OPENED = (Output("beta", (2,), "estimate"),)
VALUES = {"mean": [1.5, -2.25], "table": [[10, 20], [30, 40]], "rows": 100, "people": 90, "missing": 12, "out_of_bounds": 0}
FLAGS = {"missing_small": 0, "out_of_bounds_small": 1}
RELEASED = ("received", "verified", "approved", "keyed", "computing", "checked", "charged", "released")


@dataclass
class Party(JobsServicer):
    """A party that says what its script says."""

    name: str
    script: list[tuple[str, str, str]] = field(default_factory=lambda: [(state, "", "") for state in RELEASED])  # state, code, by
    release: wire.Release | None = None
    fails: tuple[grpc.StatusCode, str, str] | None = None  # status, unseen-code, text
    hangs: bool = False  # its stream stays open after the script
    charter: str = ""  # the id of the one that it serves
    version: int = PROTOCOL_VERSION
    says_more: bool = False  # lists the same job for ever
    plan: str = ""  # that it says its jobs are part of
    submitted: list[bytes] = field(default_factory=list)
    listings: list[wire.ListRequest] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def Hello(self, request, context):
        return wire.HelloReply(member=self.name, charter=bytes.fromhex(self.charter), protocol_version=self.version)

    def Submit(self, request, context):
        if self.fails:
            status, code, text = self.fails
            context.set_trailing_metadata((("unseen-code", code),))
            context.abort(status, text)
        self.submitted.append(request.spec)
        return wire.JobStatus(job=canonical.digest(request.spec), member=self.name, state="received")

    def Status(self, request, context):
        state, code, by = self.script[-1]
        return wire.JobStatus(job=request.job, member=self.name, state=state, code=code, by=by, submitted="2026-01-01T00:00:00Z")

    def Watch(self, request, context):
        for sequence, (state, code, by) in enumerate(self.script):
            yield wire.JobEvent(
                job=request.job, member=self.name, sequence=sequence, state=state, code=code, by=by, time="2026-01-01T00:00:00Z"
            )
        if self.hangs:
            self.stopped.wait()

    def Fetch(self, request, context):
        return self.release

    def List(self, request, context):
        self.listings.append(request)
        status = wire.JobStatus(
            job=canonical.digest(self.submitted[0]), state=self.script[-1][0], submitted="2026-01-01T00:00:00Z", plan=self.plan
        )
        return wire.ListReply(jobs=[wire.ListedJob(status=status, spec=self.submitted[0])], more=self.says_more)


class Analysis:
    """An analysis whose result is what was opened."""

    plan = SimpleNamespace(outputs=OUTPUTS, opened=OPENED)

    def result(self, opened):
        return opened


class World:
    """Four parties on loopback, and a researcher connected to them."""

    def __init__(self, folder):
        self.identities = {name: identity.create(name, folder / name) for name in MEMBERS}
        self.parties = {name: Party(name) for name in PARTIES}
        self.servers, addresses = {}, {}
        # the server's credentials need the charter's certificates, not its addresses
        provisional = self.make_charter(dict.fromkeys(PARTIES, "127.0.0.1:1"))
        for name in PARTIES:
            addresses[name] = f"127.0.0.1:{self.start(name, provisional)}"
        self.charter = self.make_charter(addresses)
        for party in self.parties.values():
            party.charter = self.charter.id
        self.study = Study(ResearcherConfig(self.charter, self.identities["ana"], addresses))

    def make_charter(self, addresses):
        members = [
            {
                "name": name,
                "roles": roles,
                "public_key": self.identities[name].public_key,
                "certificate": self.identities[name].certificate.decode(),
                "address": addresses.get(name),
                "rows": charters.BAND,
            }
            for name, roles in MEMBERS.items()
        ]
        study = {"title": "t", "compute": ["a", "b", "c"], "analyses": ["describe", "ols", "logit"], "steps": True}
        return charters.parse({**study, "members": members, "dictionary": DICTIONARY})

    def start(self, name, charter, address="127.0.0.1:0"):
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=credentials.SERVER_OPTIONS)
        add_JobsServicer_to_server(self.parties[name], server)
        port = server.add_secure_port(address, credentials.server_credentials(self.identities[name], charter))
        server.start()
        self.servers[name] = server
        return port

    def stop(self, name):
        self.servers[name].stop(None).wait()

    def close(self):
        self.study.close()
        for party in self.parties.values():
            party.stopped.set()
        for server in self.servers.values():
            server.stop(None)

    def ask(self, disclosure="steps"):
        spec = specs.new(
            study=self.charter.id, researcher="ana", analysis="logit", formula="treated ~ age", disclosure=disclosure
        )
        return self.study.submit(spec)

    def release(self, spec, *, values=VALUES, change=None, **fields):
        """Give the compute parties shares of `values` and receipts; `change` alters one party's release after signing."""
        session = secrets.token_bytes(32)
        shares = _shares({**values, **FLAGS})
        for i, name in enumerate(("a", "b", "c")):
            data, signature = receipt.sign(
                self.receipt(name, spec, session, **fields.get(name, {})), self.identities[name].signing_key
            )
            public = [wire.PublicArray(name="beta", shape=(2,), values=np.array([0.5, 0.25]).tobytes())]
            self.parties[name].release = wire.Release(
                job=spec.job_id, session=session, shares=shares[i], public=public, receipt=data, receipt_signature=signature
            )
        if change:
            change(self.parties["b"].release, self.parties["a"].release)

    def receipt(self, name, spec, this_session, **fields):
        return receipt.build(
            outputs=(*gate.OUTPUTS, *OUTPUTS),
            opened_to_parties=OPENED if spec.disclosure == "steps" else (),
            checks={"cohort": 10, "ranges": None},
            **{
                "member": name,
                "job": spec.job_id,
                "session": this_session.hex(),
                "study": self.charter.id,
                "researcher": "ana",
                "analysis": spec.analysis,
                "engine": spec.engine,
                "disclosure": spec.disclosure,
                "parties": PARTIES,
                "approvals": PARTIES,
                "snapshots": dict.fromkeys(PARTIES, "00" * 32),
                "iterations": 4,
                "rounds": 10,
                "bytes_sent": 1000,
                "started": "2026-01-01T00:00:00Z",
                "finished": "2026-01-01T00:00:01Z",
                **fields,
            },
        )


def _shares(values):
    """Three lists of SharedArray that add up to the values mod 2^256."""
    found = ([], [], [])
    for output in (*gate.OUTPUTS, *OUTPUTS):
        integers = np.vectorize(lambda v, frac=output.frac: int(v * 2**frac), otypes=[object])(np.array(values[output.name]))
        total = native.from_ints(np.asarray(integers, dtype=object).reshape(output.shape), 4)
        masks = [np.frombuffer(secrets.token_bytes(total.nbytes), "<u8").reshape(total.shape) for _ in range(2)]
        for shares, part in zip(found, [*masks, native.sub(native.sub(total, masks[0]), masks[1])], strict=True):
            shares.append(wire.SharedArray(name=output.name, shape=output.shape, limbs=4, frac=output.frac, share=part.tobytes()))
    return found


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(client_study, "compile_question", lambda spec, charter: SimpleNamespace(analysis=Analysis()))
    world = World(tmp_path)
    yield world
    world.close()


# -- the usual way ---------------------------------------------------------------------------------------------------------


def test_the_result_is_the_sum_of_three_shares_with_the_gates_counts(world):
    job = world.ask()
    world.release(job.spec)
    opened = job.result(timeout=20)
    assert opened.values["mean"].tolist() == [1.5, -2.25]
    assert opened.values["table"].tolist() == [[10, 20], [30, 40]]
    assert (opened.n, opened.people, opened.missing, opened.out_of_bounds) == (100, 90, 12, None)
    assert opened.public["beta"].tolist() == [0.5, 0.25]
    assert opened.stages == 4
    assert opened.context["job"] == job.id
    assert opened.context["receipt"].approvals == PARTIES


def test_every_party_gets_the_same_signed_bytes(world):
    job = world.ask()
    received = {party.submitted[0] for party in world.parties.values()}
    assert {canonical.digest(data) for data in received} == {job.id}


def test_events_of_all_parties_come_merged_and_end_with_the_job(world):
    events = list(world.ask().events(timeout=20))
    assert {event.member for event in events} == set(PARTIES)
    for party in PARTIES:
        assert [event.state for event in events if event.member == party] == list(RELEASED)


def test_who_was_lost_is_named_by_whoever_noticed_it(world):
    """A party that was told of a loss does not say whose it was; the first to speak may be such a one."""
    told = [("received", "", ""), ("aborted", "peer-lost", "")]
    for name in PARTIES:
        world.parties[name].script = told
    job = world.ask()
    with pytest.raises(errors.JobAborted, match=r"^A party could not be reached"):
        job.result(timeout=20)
    world.parties["b"].script = [("received", "", ""), ("aborted", "peer-lost", "d")]
    world.parties["b"].hangs = True
    with pytest.raises(errors.JobAborted, match=r"^d: A party could not be reached"):
        job.result(timeout=20)
    world.parties["b"].stopped.set()


def test_status_is_that_of_the_party_furthest_behind(world):
    world.parties["c"].script = [("received", "", ""), ("verified", "", "")]
    status = world.ask().status()
    assert status.state == "verified"
    assert status.parties == {"a": "released", "b": "released", "c": "verified", "d": "released"}
    assert not status.ended


def test_a_job_is_found_again_by_a_beginning_of_its_id(world):
    job = world.ask()
    world.release(job.spec)
    assert [listed.id for listed in world.study.jobs() if listed.state == "released"] == [job.id]
    assert world.study.job(job.id[:10]).result(timeout=20).n == 100
    with pytest.raises(errors.SpecError, match="none of your jobs"):
        world.study.job("ffff" if not job.id.startswith("ffff") else "0000")


def test_a_job_is_asked_for_by_the_beginning_given_and_what_can_begin_none_is_not_asked(world):
    job = world.ask()
    world.study.job(job.id)
    assert [request.prefix for party in world.parties.values() for request in party.listings] == [job.id] * len(PARTIES)
    for beginning in ("", "no id", job.id + "0"):
        with pytest.raises(errors.SpecError, match="none of your jobs"):
            world.study.job(beginning)
    assert all(len(party.listings) == 1 for party in world.parties.values())


def test_a_party_that_lists_the_same_job_for_ever_is_not_listened_to_for_ever(world):
    job = world.ask()
    world.parties["c"].says_more = True
    assert [listed.id for listed in world.study.jobs()] == [job.id]
    assert [request.before for request in world.parties["c"].listings] == ["", job.id]


def test_a_question_is_listed_under_no_other_id_than_its_documents(world):
    """A party may leave the document to a plan that holds it, and may not put another one under its id."""
    asked = [world.study.spec("logit", formula="treated ~ age") for _ in range(2)]
    plan = world.study.draft_plan(asked[:1], title="t", purpose="p")

    def entry(job, state, **document):
        return wire.ListedJob(status=wire.JobStatus(job=job, state=state, plan=plan.id), **document)

    held, other = asked[0].job_id, asked[1].job_id
    told = [entry(held, "released"), entry(other, "released"), entry(plan.id, "released", plan=plan.to_bytes())]
    assert [job.id for job in client_study.listed(told)] == [held]
    told.append(entry(held, "refused", spec=asked[1].to_bytes()))
    assert [(job.id, job.state, job.spec) for job in client_study.listed(told)] == [(held, "released", asked[0])]
    told[2].plan = world.study.draft_plan(asked, title="t", purpose="p").to_bytes()
    assert not client_study.listed(told)


# -- no answer -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "by", "kind", "words"),
    [
        ("policy", "b", errors.RefusedByPolicy, "^b: "),
        ("rules", "", errors.RefusedByDisclosureRules, "disclosure rules"),
        ("expired", "", errors.Expired, "expired"),
        ("singular", "", errors.NotEstimable, "collinear"),
        ("separated", "", errors.NotEstimable, "does not converge"),
    ],
)
def test_a_refusal_raises_its_own_error(world, code, by, kind, words):
    for party in world.parties.values():
        party.script = [("received", "", ""), ("refused", code, by)]
    with pytest.raises(kind, match=words):
        world.ask().result(timeout=20)


@pytest.mark.parametrize(
    "code", ["peer-lost", "peer-misbehaved", "internal", "storage", "stopped", "restarted", "a code from the future"]
)
def test_an_aborted_job_says_so(world, code):
    for party in world.parties.values():
        party.script = [("received", "", ""), ("aborted", code, "c")]
    with pytest.raises(errors.JobAborted, match=r"^c: "):
        world.ask().result(timeout=20)


def test_one_party_that_aborts_ends_the_waiting_although_others_are_silent(world):
    for party in world.parties.values():
        party.script, party.hangs = [("received", "", "")], True
    world.parties["d"].script = [("received", "", ""), ("aborted", "peer-lost", "a")]
    with pytest.raises(errors.JobAborted, match=r"^a: "):
        world.ask().result(timeout=20)


def test_a_timeout_leaves_the_job_and_says_how_to_go_on(world):
    world.parties["a"].script, world.parties["a"].hangs = [("received", "", "")], True
    with pytest.raises(errors.ResultTimeout, match="unseen result"):
        world.ask().result(timeout=0.3)
    with pytest.raises(TimeoutError):
        world.ask().result(timeout=0.3)


def test_a_party_that_is_down_at_submit_is_named(world):
    world.stop("c")
    with pytest.raises(errors.Unreachable, match=r"^c does not answer"):
        world.ask()


def test_what_only_some_took_is_sent_again_from_what_they_hold(world):
    world.parties["c"].fails = (grpc.StatusCode.FAILED_PRECONDITION, "paused", "it takes no new questions")
    with pytest.raises(
        errors.Paused, match=r"^c: it takes no new questions. .*took it; `unseen submit --again ([0-9a-f]{12})`"
    ) as caught:
        world.ask()
    again = re.search("--again ([0-9a-f]+)", str(caught.value))[1]
    world.parties["c"].fails = None
    job = world.study.submit_again(again)
    assert job.id.startswith(again)
    assert world.parties["c"].submitted[-1] == world.parties["a"].submitted[0] == world.parties["a"].submitted[-1]
    world.parties["a"].plan = "ab" * 32
    with pytest.raises(errors.SpecError, match="unseen plan submit --again abababababab"):
        world.study.submit_again(again)
    for party in world.parties.values():
        party.fails = (grpc.StatusCode.FAILED_PRECONDITION, "paused", "it takes no new questions")
    with pytest.raises(errors.Paused) as caught:
        world.ask()
    assert "--again" not in str(caught.value)


@pytest.mark.parametrize(
    ("differs", "kind", "words"),
    [
        ({"version": PROTOCOL_VERSION + 1}, errors.OtherVersion, "one version of unseen"),
        ({"charter": "0" * 64}, errors.CharterError, "unseen study show"),
        ({"version": 0, "charter": ""}, errors.OtherVersion, "one version of unseen"),  # a reply that says nothing
    ],
)
def test_nobody_is_asked_while_a_party_differs(world, differs, kind, words):
    for name, value in differs.items():
        setattr(world.parties["c"], name, value)
    question = {"analysis": "logit", "formula": "treated ~ age"}
    with pytest.raises(kind, match=f"^c .*{words}") as caught:
        world.ask()
    assert type(caught.value) is kind
    with pytest.raises(kind, match=f"^c .*{words}"):
        world.study.plan([question], title="t", purpose="p")
    assert [party.submitted for party in world.parties.values()] == [[], [], [], []]


def test_waiting_ends_when_a_party_comes_back_as_another_version(world):
    """It would wait until the question expires: a party of another version takes part in nothing."""
    for party in world.parties.values():
        party.script, party.hangs = [("received", "", ""), ("approved", "", "")], True
    events = world.ask().events(timeout=20)
    next(event for event in events if (event.member, event.state) == ("c", "approved"))
    world.stop("c")
    world.parties["c"].version += 1
    world.start("c", world.charter, world.charter.member("c").address)
    with pytest.raises(errors.OtherVersion, match=r"^c "):
        list(events)


def test_a_party_that_was_away_is_back_for_a_study_that_stayed_open(world):
    """Tried again at least every other second; with gRPC's own pauses the sixth attempt comes after a quarter of a minute."""
    world.ask()
    world.stop("c")
    with pytest.raises(errors.Unreachable, match=r"^c "):
        world.ask()
    waiting = world.study._links.jobs("c").Hello.future(wire.HelloRequest(), wait_for_ready=True, timeout=30)
    address = world.charter.member("c").address
    with socket.create_server(("127.0.0.1", int(address.split(":")[1]))) as nobody:
        deadline = time.monotonic() + 10
        for _ in range(6):
            nobody.settimeout(max(0.1, deadline - time.monotonic()))
            nobody.accept()[0].close()
    world.start("c", world.charter, address)
    waiting.result(timeout=5)
    world.ask()


def test_the_same_spec_again_is_the_same_job(world):
    job = world.ask()
    assert world.study.submit(job.spec).id == job.id
    assert len(set(world.parties["a"].submitted)) == 1


def test_an_interrupted_wait_says_how_to_fetch_the_result_later(world, capsys, monkeypatch):
    job = world.ask()

    def interrupted(timeout=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(job, "events", interrupted)
    with pytest.raises(KeyboardInterrupt):
        job.result()
    assert f"unseen result {job.id[:12]}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "unknown-column", errors.UnknownColumn),
        (grpc.StatusCode.INVALID_ARGUMENT, "spec-error", errors.SpecError),
        (grpc.StatusCode.PERMISSION_DENIED, "not-authorised", errors.NotAuthorised),
        (grpc.StatusCode.UNAUTHENTICATED, "signature-invalid", errors.SignatureInvalid),
        (grpc.StatusCode.FAILED_PRECONDITION, "expired", errors.Expired),
        (grpc.StatusCode.FAILED_PRECONDITION, "paused", errors.Paused),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "storage-failed", errors.Paused),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "too-many", errors.Paused),
        (grpc.StatusCode.INTERNAL, "internal", errors.UnseenError),
        (grpc.StatusCode.UNAVAILABLE, "", errors.Unreachable),
    ],
)
def test_a_partys_error_arrives_as_the_same_error_with_its_name(world, status, code, kind):
    world.parties["b"].fails = (status, code, "the reason\x1b[31m")
    with pytest.raises(kind) as caught:
        world.ask()
    assert type(caught.value) is kind
    assert str(caught.value).startswith("b")
    assert "\x1b" not in str(caught.value)


def test_a_party_with_another_certificate_is_not_spoken_to(world, tmp_path):
    world.stop("b")
    impostor = identity.create("b", tmp_path / "impostor")
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), options=credentials.SERVER_OPTIONS)
    add_JobsServicer_to_server(world.parties["b"], server)
    server.add_secure_port(world.charter.member("b").address, credentials.server_credentials(impostor, world.charter))
    server.start()
    with pytest.raises(errors.Unreachable, match=r"^b does not answer"):
        world.ask()
    assert world.parties["b"].submitted == []
    server.stop(None)


# -- lies ------------------------------------------------------------------------------------------------------------------


def _alter_receipt(release, other):
    release.receipt = release.receipt.replace(b'"rounds":10', b'"rounds":11')


def _other_session(release, other):
    release.session = bytes(32)


def _others_receipt(release, other):
    release.receipt, release.receipt_signature = other.receipt, other.receipt_signature


def _wrong_shape(release, other):
    release.shares[-1].shape[:] = [4]


def _short_share(release, other):
    release.shares[-1].share = release.shares[-1].share[:-8]


def _wrong_frac(release, other):
    release.shares[-1].frac = 64


def _wrong_limbs(release, other):
    release.shares[-1].limbs = 2


def _extra_array(release, other):
    release.shares.add().CopyFrom(release.shares[0])
    release.shares[-1].name = "more"


def _missing_array(release, other):
    del release.shares[0]


def _twice(release, other):
    release.shares.add().CopyFrom(release.shares[0])


def _another_job(release, other):
    release.job = "0" * 64


def _other_public(release, other):
    release.public[0].values = np.array([0.5, 0.5]).tobytes()


def _no_public(release, other):
    del release.public[0]


def _garbage_receipt(release, other):
    release.receipt = b"{}"


def _wrong_count(release, other):
    part = next(share for share in release.shares if share.name == "table")
    part.share = secrets.token_bytes(len(part.share))


LIES = [
    _alter_receipt,
    _other_session,
    _others_receipt,
    _wrong_shape,
    _short_share,
    _wrong_frac,
    _wrong_limbs,
    _extra_array,
    _missing_array,
    _twice,
    _another_job,
    _other_public,
    _no_public,
    _garbage_receipt,
    _wrong_count,
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_an_altered_release_is_withheld(world, lie):
    job = world.ask()
    world.release(job.spec, change=lie)
    with pytest.raises(errors.ReceiptInvalid):
        job.result(timeout=20)


@pytest.mark.parametrize(
    "fields",
    [
        {"session": "11" * 32},
        {"job": "11" * 32},
        {"study": "11" * 32},
        {"researcher": "eve"},
        {"analysis": "ols"},
        {"engine": "ckks"},
        {"disclosure": "result"},
        {"parties": ("a", "b", "c")},
        {"approvals": ("a", "b", "c")},
        {"snapshots": {"a": "22" * 32}},
        {"iterations": 5},
        {"stops": ("singular",)},
        {"warnings": ("another",)},
        {"member": "a"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_signed_receipt_that_tells_another_story_is_withheld(world, fields):
    job = world.ask()
    world.release(job.spec, b=fields)
    with pytest.raises(errors.ReceiptInvalid):
        job.result(timeout=20)


def test_receipts_may_differ_in_what_is_each_partys_own(world):
    job = world.ask()
    world.release(job.spec, b={"rounds": 11, "bytes_sent": 7, "leakage_log2": -60.0, "finished": "2026-01-01T00:00:02Z"})
    assert job.result(timeout=20).n == 100


def test_nothing_opened_to_the_parties_is_accepted_in_result_mode(world):
    job = world.ask(disclosure="result")
    world.release(job.spec)
    with pytest.raises(errors.ReceiptInvalid):
        job.result(timeout=20)
