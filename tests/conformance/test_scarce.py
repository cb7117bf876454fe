"""A hospital's daemon that runs out of disk or of memory: the researcher is told, and all goes on when there is room again."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import unseen
from engine.client.links import CALL_SECONDS
from engine.party.jobs import REASONS
from engine.party.journal import recover
from tests.conformance.daemons import end, linked, process, start_again, told

pytestmark = pytest.mark.slow

HOSPITALS, SCARCE = ("north", "south", "west"), "west"
ROWS, DEADLINE = 20_000, 5.0
FORMULA = "event ~ age + dose"
DICTIONARY = {
    "columns": {
        "age": {"type": "integer", "bounds": [18, 100]},
        "dose": {"type": "number", "bounds": [0, 50]},
        "event": {"type": "binary"},
    }
}


def frame(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, ROWS),
            "dose": np.round(rng.uniform(0, 50, ROWS), 3),
            "event": (rng.random(ROWS) < 0.4).astype(int),
        }
    )


class Disk:
    """A small file system of its own under a party's folder, which can be filled to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._filler = folder, folder / "filler"

    def fill(self) -> None:
        with suppress(OSError), self._filler.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while file.write(b"0"):
                pass
        assert os.statvfs(self.folder).f_bavail == 0

    def free(self) -> None:
        self._filler.unlink()


def mounted(box: Any, kept: Path) -> Disk:
    """West's folder moves to a disk of its own, and its daemon with it. Skips where mounting is not permitted."""
    folder = box.layout.folder(SCARCE)
    end(box, SCARCE)
    subprocess.run(["cp", "-a", f"{folder}/.", str(kept)], check=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(folder)], capture_output=True)
    if done.returncode != 0:
        start_again(box, SCARCE)
        pytest.skip("mounting a small file system is not permitted here")
    subprocess.run(["cp", "-a", f"{kept}/.", str(folder)], check=True)
    start_again(box, SCARCE)
    linked(box)
    return Disk(folder)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    frames = {name: frame(seed) for seed, name in enumerate(HOSPITALS)}
    opened = unseen.sandbox(frames, DICTIONARY, tmp_path_factory.mktemp("scarce") / "study", round_deadline=DEADLINE)
    with opened:
        yield opened


@pytest.fixture(scope="module")
def disk(box: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    found = mounted(box, tmp_path_factory.mktemp("kept"))
    yield found
    end(box, SCARCE)
    subprocess.run(["umount", str(found.folder)], check=True)
    start_again(box, SCARCE)
    linked(box)


def states(folder: Path, job: str) -> list[str]:
    """What a journal holds of a job."""
    records, _ = recover((folder / "state" / "journal").read_bytes())
    return [record.get("state", record["kind"]) for record in records if record.get("job") == job]


def test_a_full_disk_is_told_and_what_was_asked_goes_on_when_there_is_room(box: Any, disk: Disk) -> None:
    study = box.study
    before = study.describe(["age"])
    disk.fill()
    question = study.spec("describe", columns=["dose"])
    with pytest.raises(unseen.Paused, match=f"^{SCARCE}: .*when there is room"):
        study.submit(question)
    assert states(disk.folder, question.job_id) == []
    assert question.job_id not in [job["job"] for job in told(box, "jobs", party=SCARCE)]  # it lives, and knows nothing of it
    assert study.job(before.job).result().to_dict() == before.to_dict()  # what is stored can be fetched
    disk.free()
    job = study.submit(question)  # the same bytes: those parties that took them before hold the same job
    assert job.id == question.job_id
    assert job.result(timeout=60).nobs == len(HOSPITALS) * ROWS
    assert states(disk.folder, job.id)[-1] == "released"


def test_a_disk_that_fills_up_in_the_middle_of_a_job_aborts_it_everywhere(box: Any, disk: Disk) -> None:
    study = box.study
    job = study.submit(study.spec("logit", formula=FORMULA))
    for event in job.events(timeout=60):
        if event.member == SCARCE and event.detail:
            disk.fill()
            break
    with pytest.raises(unseen.JobAborted, match="could not write to its disk"):
        job.result(timeout=60)
    assert (job.status().code, job.status().by) == ("storage", SCARCE)
    assert not {"charged", "released"} & set(states(disk.folder, job.id))
    disk.free()
    with pytest.raises(unseen.JobAborted):  # the same question stays aborted
        study.submit(job.spec).result(timeout=60)
    assert study.logit(FORMULA).nobs == len(HOSPITALS) * ROWS  # asked again, it is another job
    end(box, SCARCE)
    start_again(box, SCARCE)
    linked(box)
    assert told(box, "show", job.id, party=SCARCE)["state"] == "aborted"  # also where that end could not be written


@pytest.mark.parametrize("room", [0, 4 << 20], ids=["none", "a little"])
def test_a_daemon_out_of_memory_aborts_the_job_and_answers_the_next(box: Any, room: int) -> None:
    """Address space is what runs out: no thread can be started, or no row, key or message held."""
    end(box, SCARCE)  # one that has answered before has room for the next of the kind
    start_again(box, SCARCE)
    linked(box)
    pid = process(box, SCARCE).pid
    size = int(
        next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmSize:"))
    )
    before = resource.prlimit(pid, resource.RLIMIT_AS, ((size << 10) + room, resource.RLIM_INFINITY))
    begun = time.monotonic()
    with pytest.raises(unseen.UnseenError) as caught:
        box.study.logit(FORMULA)
    assert time.monotonic() - begun < CALL_SECONDS + 2 * DEADLINE + 10
    texts = tuple(reason.text for reason in REASONS.values())
    said = str(caught.value).removeprefix(f"{SCARCE}: ")  # it aborts, or cannot take the question, or not even a connection
    assert said.startswith((*texts, "this party failed")) or isinstance(caught.value, unseen.Unreachable)
    if process(box, SCARCE).poll() is None:
        resource.prlimit(pid, resource.RLIMIT_AS, before)
    else:
        start_again(box, SCARCE)
    linked(box)
    assert box.study.logit(FORMULA).nobs == len(HOSPITALS) * ROWS
