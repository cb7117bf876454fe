"""A party that dies, or falls silent, in the middle of a question: the job is aborted everywhere, and nobody gets an answer."""

import json
import os
import signal
import time
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import unseen
from engine.cli.main import app
from engine.dictionary import Dictionary
from engine.party.journal import recover
from tests import datasets
from tests.conformance.daemons import linked, process, start_again, told

DEADLINE = 2.0
MOMENTS = ("computing", "newton 1", "newton 2", "final")
MODES = ("result", "steps")
ON_CIPHERTEXTS = ("gradient 1", "gradient 2", "sums 1")  # keys are made; a gradient, a Hessian is added up on ciphertexts
PATIENCE = 15.0
FORMULA = "pep_out ~ indo + age + female + risk + sod1"

pytestmark = pytest.mark.slow


def lose(box: Any, study: Any, victim: str, moment: str, how: signal.Signals, mode: str, engine: str) -> Any:
    """Ask, and when another party reports the moment, send the victim the signal. Returns the job."""
    job = study.submit(study.spec("logit", formula=FORMULA, disclosure=mode, engine=engine))
    watcher = next(party for party in box.layout.parties if party != victim)
    for event in job.events(timeout=120):
        if event.member == watcher and (event.state == moment or event.detail.startswith(moment)):
            os.kill(box.processes[victim], how)
            return job
    raise AssertionError("the job ended before that moment")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_lost_party_aborts_the_job_everywhere(victim: int, how: signal.Signals) -> None:
    moments = MOMENTS[victim::2] if how is signal.SIGKILL else MOMENTS[2:3]
    for number, moment in enumerate(moments):
        one_loss(victim, moment, how, MODES[(victim + number) % 2])


def test_a_party_killed_on_the_way_of_an_encrypted_fit_is_named_and_another_session_makes_its_own_keys() -> None:
    """Its share of the keys dies with it: no session can go on under them. Each in turn, at a moment of its own."""
    data = datasets.load("indo_rct")
    box = unseen.sandbox(data.files, Dictionary.parse(data.dictionary), round_deadline=PATIENCE)
    with box:
        sessions = set[str]()
        for victim, moment in zip(reversed(box.layout.parties), ON_CIPHERTEXTS, strict=True):
            with unseen.connect(box.layout.researcher) as study:
                job = lose(box, study, victim, moment, signal.SIGKILL, "result", "ckks")
                lost = time.monotonic()
                with pytest.raises(unseen.JobAborted, match=f"^{victim}: A party could not be reached"):
                    job.result(timeout=10 * PATIENCE)
                assert time.monotonic() - lost < 2 * PATIENCE
            for party in set(box.layout.parties) - {victim}:
                assert told(box, "show", job.id, party=party)["state"] == "aborted"
                sessions |= session_of(box, party, job.id)
            assert process(box, victim).wait(timeout=20) == -signal.SIGKILL
            start_again(box, victim)
            linked(box)
            assert told(box, "show", job.id, party=victim)["code"] == "restarted"  # its journal decides
            with unseen.connect(box.layout.researcher) as later, pytest.raises(unseen.JobAborted):
                later.submit(job.spec).result(timeout=PATIENCE)  # the same bytes are the same job
        assert len(sessions) == len(ON_CIPHERTEXTS)
        with unseen.connect(box.layout.researcher) as later:
            again = later.submit(later.spec("logit", formula=FORMULA, engine="ckks"))
            fit, plain = again.result(timeout=120), later.logit(FORMULA)
        assert np.allclose(fit.params, plain.params, rtol=0, atol=1e-3 * plain.bse.to_numpy())
        assert not session_of(box, box.layout.parties[0], again.id) & sessions


def session_of(box: Any, party: str, job: str) -> set[str]:
    """The session that a journal holds of a job: keys follow from its fresh hellos."""
    records, _ = recover((box.layout.folder(party) / "state" / "journal").read_bytes())
    return {record["facts"]["session"] for record in records if record.get("job") == job and "session" in record.get("facts", {})}


def one_loss(victim: int, moment: str, how: signal.Signals, mode: str) -> None:
    data = datasets.load("indo_rct")
    box = unseen.sandbox(data.files, Dictionary.parse(data.dictionary), round_deadline=DEADLINE)
    with box as study:
        name = box.layout.parties[victim]
        job = lose(box, study, name, moment, how, mode, "replicated")
        try:
            with pytest.raises(unseen.JobAborted):
                job.result(timeout=10 * DEADLINE)
            for party in set(box.layout.parties) - {name}:
                shown = CliRunner().invoke(app, ["party", "show", job.id, "--json", "--config", str(box.layout.config(party))])
                assert json.loads(shown.stdout)["state"] == "aborted"
            with pytest.raises(unseen.UnseenError):  # and it stays so
                job.result(timeout=10 * DEADLINE)
        finally:
            with suppress(ProcessLookupError):
                os.kill(box.processes[name], signal.SIGCONT)
