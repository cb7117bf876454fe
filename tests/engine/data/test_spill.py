"""The folder for what a query spills: private, gone afterwards, and emptied after a process that was killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.data.spill import Spill

ROOT = Path(__file__).resolve().parents[3]
HOLD = """
import sys
from pathlib import Path
from engine.data.spill import Spill
spill = Spill(Path(sys.argv[1]))
print(spill.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process with a spill folder of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_a_folder_is_private_and_goes_away(tmp_path):
    spill = Spill(tmp_path / "spill")
    assert [Path(spill.name).stat().st_mode & 0o777, (tmp_path / "spill").stat().st_mode & 0o777] == [0o700, 0o700]
    (Path(spill.name) / "duckdb_temp_storage").write_bytes(b"rows")
    spill.cleanup()
    spill.cleanup()
    assert list((tmp_path / "spill").iterdir()) == []


def test_a_living_process_keeps_its_folder(tmp_path, holder):
    Spill(tmp_path).cleanup()
    assert holder[1].is_dir()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, holder):
    process, folder = holder
    (folder / "duckdb_temp_storage").write_bytes(b"rows")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert folder.is_dir()
    Spill(tmp_path).cleanup()
    assert not folder.exists()


def test_what_is_not_a_spill_folder_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    Spill(tmp_path).cleanup()
    assert (tmp_path / "notes.txt").read_text() == "mine"
