"""A party that dies, or falls silent, in the middle of a question: the job is aborted everywhere, and nobody gets an answer."""

import json
import os
import signal
import time
from contextlib import suppress
from typing import Any

import pytest
from typer.testing import CliRunner

import unseen
from engine.cli.main import app
from engine.dictionary import Dictionary
from tests import datasets

DEADLINE = 2.0
MOMENTS = ("computing", "newton 1", "newton 2", "final")
MODES = ("result", "steps")
ON_CIPHERTEXTS = ("gradient 1", "sums 1")  # keys are made, then coefficients and sums converted; sums, and Hessians, converted
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


@pytest.mark.parametrize(("victim", "moment"), [(2, ON_CIPHERTEXTS[0]), (1, ON_CIPHERTEXTS[1])])
def test_a_party_killed_while_keys_are_made_or_sums_converted_aborts_the_job_everywhere(victim: int, moment: str) -> None:
    """Its share of the keys dies with it: no session can go on under them, and another makes its own."""
    one_loss(victim, moment, signal.SIGKILL, "result", "ckks", deadline=15.0)


def one_loss(
    victim: int, moment: str, how: signal.Signals, mode: str, engine: str = "replicated", deadline: float = DEADLINE
) -> None:
    data = datasets.load("indo_rct")
    box = unseen.sandbox(data.files, Dictionary.parse(data.dictionary), round_deadline=deadline)
    with box as study:
        name = box.layout.parties[victim]
        job = lose(box, study, name, moment, how, mode, engine)
        try:
            lost = time.monotonic()
            with pytest.raises(unseen.JobAborted):
                job.result(timeout=10 * deadline)
            if engine == "ckks":
                assert time.monotonic() - lost < 2 * deadline
            for party in set(box.layout.parties) - {name}:
                shown = CliRunner().invoke(app, ["party", "show", job.id, "--json", "--config", str(box.layout.config(party))])
                assert json.loads(shown.stdout)["state"] == "aborted"
            with pytest.raises(unseen.UnseenError):  # and it stays so
                job.result(timeout=10 * deadline)
        finally:
            with suppress(ProcessLookupError):
                os.kill(box.processes[name], signal.SIGCONT)
