"""A daemon whose memory is full ends where it could not go on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.party.hardening import OUT_OF_MEMORY

SETUP = "import sys, threading; from engine.party import hardening; hardening.end_without_memory()\n"
DYING = {
    "a library's thread": "def run(): raise MemoryError\n"
    "thread = threading.Thread(target=run); thread.start(); thread.join(); print('lives')",
    "what nobody can catch": "class Thing:\n    def __del__(self): raise MemoryError\nThing()\nprint('lives')",
}


@pytest.mark.parametrize("code", DYING.values(), ids=DYING)
def test_the_process_ends_where_a_memory_error_reaches_nobody(code: str) -> None:
    found = subprocess.run([sys.executable, "-c", SETUP + code], capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == OUT_OF_MEMORY
    assert found.stdout == ""
    assert "out of memory" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("code", DYING.values(), ids=DYING)
def test_other_errors_do_not_end_it(code: str) -> None:
    code = code.replace("MemoryError", "OSError")
    found = subprocess.run([sys.executable, "-c", SETUP + code], capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stdout) == (0, "lives\n")
    assert "OSError" in found.stderr
