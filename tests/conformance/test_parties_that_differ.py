"""A daemon with another charter, or of another version: it takes part in nothing, everybody is told who it is and what to do, and
when it has been mended the same study goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import unseen
from engine import canonical, identity
from engine import charter as charters
from engine.cli.main import app
from engine.party.links import LINK_ADVICE
from engine.transport.codes import LinkCode
from tests.conformance.daemons import doctor, end, linked, logged, start_again, told

pytestmark = pytest.mark.slow

HOSPITALS, ODD = ("north", "south", "west"), "west"
OTHERS = HOSPITALS[:2]
DICTIONARY = {"columns": {"age": {"type": "integer", "bounds": [18, 100]}, "dose": {"type": "number", "bounds": [0, 50]}}}
ANOTHER_VERSION = """
from engine.transport import codes
codes.PROTOCOL_VERSION += 1
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    rng = np.random.default_rng(7)
    frames = {name: pd.DataFrame({"age": rng.integers(18, 90, 200), "dose": rng.integers(0, 50, 200)}) for name in HOSPITALS}
    opened = unseen.sandbox(frames, DICTIONARY, tmp_path_factory.mktemp("differ") / "study")
    with opened:
        yield opened


def another_edition(box: Any) -> bytes:
    """The study's charter with one floor raised, signed by all its members."""
    document = charters.load(box.layout.folder(ODD) / "charter.json").model_dump(mode="json")
    document["floors"]["cell"] += 1
    charter = charters.parse(document)
    keys = {each.name: identity.load(each.name, box.layout.folder(each.name) / "keys") for each in charter.members}
    signatures = {name: canonical.sign(own.signing_key, charters.DOMAIN, charter.to_bytes()) for name, own in keys.items()}
    path: Path = box.layout.root / "another.json"
    charters.save(path, charter, signatures)
    return path.read_bytes()


def status(box: Any, party: str) -> list[str]:
    """The lines of `unseen party status`."""
    return CliRunner().invoke(app, ["party", "status", "--config", str(box.layout.config(party))]).stdout.splitlines()


def known(box: Any, job: str) -> dict[str, bool]:
    """Which parties hold a job."""
    return {party: job in [each["job"] for each in told(box, "jobs", party=party)] for party in HOSPITALS}


def asked_in_vain(box: Any, kind: type[unseen.UnseenError], *words: str) -> None:
    """By a study that was open before, and by a new one, and in a plan: the party is named, and nothing came anywhere."""
    question = box.study.spec("describe", columns=["dose"])
    with unseen.connect(box.layout.researcher) as anew:
        for ask in (box.study.submit, anew.submit, lambda spec: anew.plan([spec], title="t", purpose="p")):
            with pytest.raises(kind, match=f"^{ODD} ") as caught:
                ask(question)
            assert type(caught.value) is kind
            assert all(word in str(caught.value) for word in words)
    assert known(box, question.job_id) == dict.fromkeys(HOSPITALS, False)


def named_by_the_others(box: Any, code: LinkCode, of_peer: str) -> None:
    """`unseen party status` and `doctor` of both others name it, with the reason and what to do; so does its own status."""
    for party in OTHERS:
        logged(box, party, f"no link peer={ODD} code={code}")
        assert f"missing: {ODD}: {LINK_ADVICE[code]}" in status(box, party)
        lines = {line["check"]: line for line in doctor(box, party) if line["status"] == "fail"}
        assert set(lines) == {"links", "peer"}
        assert lines["links"]["text"] == f"none to {ODD} ({code})"
        assert lines["links"]["advice"] == LINK_ADVICE[code]
        assert lines["peer"]["text"].startswith(f"{ODD}: {of_peer}")
        assert lines["peer"]["advice"]
    assert "connected: nobody" in status(box, ODD)


def all_is_well_again(box: Any) -> None:
    """The same study object asks, and the party takes part."""
    linked(box)
    assert [line for party in HOSPITALS for line in doctor(box, party) if line["status"] == "fail"] == []
    assert box.study.describe(["dose"], timeout=30).nobs == 600


def test_a_party_with_another_edition_of_the_charter_is_named_and_can_be_mended(box: Any) -> None:
    path = box.layout.folder(ODD) / "charter.json"
    before = path.read_bytes()
    assert end(box, ODD, signal.SIGINT) == 0
    path.write_bytes(another_edition(box))
    other = charters.load(path)
    start_again(box, ODD)
    asked_in_vain(box, unseen.CharterError, other.id[:12], box.study.charter.id[:12], "unseen study show")
    named_by_the_others(box, LinkCode.OTHER_CHARTER, f"serves another charter: its study is {other.id[:12]}")
    assert end(box, ODD, signal.SIGINT) == 0
    path.write_bytes(before)
    start_again(box, ODD)
    all_is_well_again(box)


def test_a_party_of_another_version_is_named_and_can_be_mended(box: Any) -> None:
    assert end(box, ODD, signal.SIGINT) == 0
    start_again(box, ODD, ANOTHER_VERSION)
    asked_in_vain(box, unseen.OtherVersion, "version 2", "this program 1", "one version of unseen")
    named_by_the_others(box, LinkCode.OTHER_VERSION, "speaks protocol 2")
    assert end(box, ODD, signal.SIGINT) == 0
    start_again(box, ODD)
    all_is_well_again(box)
