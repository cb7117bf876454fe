"""Three daemons that listen on loopback for themselves alone, and a researcher: every connection between them is the relay's."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

import unseen
from engine import identity
from engine.cli.main import app
from engine.client import config as configs
from engine.errors import JobAborted, Unreachable
from engine.party import doctor, hardening
from engine.relay.doors import Doors
from engine.relay.line import Line, join
from engine.relay.words import MAGIC, NONCE_SIZE, Word
from engine.transport import credentials
from engine.wire.v1 import jobs_pb2
from engine.wire.v1.jobs_pb2_grpc import JobsStub
from tests import datasets
from tests.conformance.cases import CASES, Case
from tests.conformance.test_across_daemons import ask
from tests.engine.party.party_study import make_charter, make_keys
from tests.engine.relay.through import RelayedSandbox

DATASET = "indo_rct"
SAME = [case for case in CASES if case.dataset == DATASET and case.engine == "replicated"]


@pytest.fixture(scope="module")
def box() -> Iterator[RelayedSandbox]:
    data = datasets.load(DATASET)
    opened = RelayedSandbox(data.files, data.dictionary)
    with opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("case", SAME, ids=lambda case: case.id)
def test_the_same_questions_are_answered(box: RelayedSandbox, case: Case) -> None:
    result = ask(box.study, case)
    case.check(result, datasets.load(DATASET).pooled(), case.fields)
    assert len(result.receipt.approvals) == 3


@pytest.mark.slow
def test_a_relay_that_goes_is_told_by_all_and_one_that_comes_back_is_used(
    box: RelayedSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardening, "is_hardened", lambda: True)
    monkeypatch.setattr(doctor, "SWAPS", Path("/nowhere"))
    um = box.layout.config(box.layout.parties[0])
    lines = _doctor(um)
    assert {line["status"] for line in lines} == {"ok"}, lines
    assert [line["text"] for line in lines if line["check"] == "relay"] == [
        f"127.0.0.1:{box.relay.port} leads to this party's daemon"
    ]
    peers = [line["text"] for line in lines if line["check"] == "peer"]
    assert len(peers) == 2
    assert all(f"answers at {box.relay.address} with the charter's certificate" in text for text in peers)

    box.relay.stop(signal.SIGKILL)
    lines = _doctor(um)
    failed = {line["check"]: line for line in lines if line["status"] == "fail"}
    assert f"the relay 127.0.0.1:{box.relay.port} does not answer" in failed["relay"]["text"]
    assert "firewall" in failed["relay"]["advice"]
    assert "(relay-unreachable)" in failed["links"]["text"] or "(closed)" in failed["links"]["text"]
    with pytest.raises(Unreachable, match=r"the relay .* does not answer"), closing(_connect(box)) as study:
        study.describe(["age"])

    box.relay.start()
    config = configs.load(box.layout.researcher)
    box._wait_for_links(config)
    with closing(_connect(box)) as study:
        assert study.describe(["age", "risk"]).to_frame().loc["age", "n"] == len(datasets.load(DATASET).pooled())
    assert box.relay.stop() == 0
    box.relay.start()
    box._wait_for_links(config)


@pytest.mark.slow
def test_parties_of_both_kinds_go_together_and_a_job_ends_with_the_relay_in_its_middle() -> None:
    data = datasets.load("randhie")
    last = list(data.files)[-1]
    box = RelayedSandbox(data.files, data.dictionary, behind=[last])
    with box as study:
        assert study.crosstab("site ~ hlthg").observed.to_numpy().sum() == len(data.pooled())
        job = study.submit(study.spec("logit", formula="hlthg ~ coins + female + xage + linc + disea + physlm + C(site)"))
        assert any(event.state == "computing" for event in job.events(60))
        box.relay.stop(signal.SIGKILL)
        with pytest.raises(JobAborted):
            job.result(60)
        box.relay.start()
        box._wait_for_links(configs.load(box.layout.researcher))
        with closing(_connect(box)) as again:
            assert again.job(job.id).status().parties[last] == "aborted"


def _doctor(config: Path) -> Any:
    return json.loads(CliRunner().invoke(app, ["party", "doctor", "--config", str(config), "--json"]).stdout)


def _connect(box: RelayedSandbox) -> Any:
    return unseen.connect(box.layout.researcher)


def test_a_relay_that_answers_in_a_partys_place_sees_a_handshake_that_fails(tmp_path: Path) -> None:
    """It says `paired` and leads the line to a server of its own, with a certificate that it made out to um."""
    keys = make_keys(tmp_path / "keys")
    charter = make_charter(keys)
    impostor = identity.create("um", tmp_path / "impostor")

    async def body() -> None:
        server = grpc.aio.server()
        port = server.add_secure_port("127.0.0.1:0", credentials.server_credentials(impostor, charter))
        await server.start()
        joined = asyncio.Event()

        async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            line = Line(reader, writer)
            await line.say(MAGIC + bytes(NONCE_SIZE))
            await line.hear(5)
            await line.say(Word.PAIRED.encode())
            joined.set()
            await join(line, Line(*await asyncio.open_connection("127.0.0.1", port)))

        relay = await asyncio.start_server(lie, "127.0.0.1", 0)
        doors = Doors(keys["ana"], charter.id)
        target = await doors.target("um", f"relay://127.0.0.1:{relay.sockets[0].getsockname()[1]}")
        async with credentials.dial(keys["ana"], charter.member("um"), target) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await JobsStub(channel).Hello(jobs_pb2.HelloRequest(), timeout=10)
        assert joined.is_set()
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "CERTIFICATE_VERIFY_FAILED" in (refused.value.details() or "")
        await doors.close()
        relay.close()
        await server.stop(0)

    asyncio.run(body())
