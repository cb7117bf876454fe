"""Nothing in a question, a frame or a file is ever run as code: an audit hook, armed after imports, watches whole runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.cases import CASES

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from tests import datasets
from tests.conformance.cases import CASES
from tests.conformance.engines import on_shares

def answer(case):
    data = datasets.load(case.dataset)
    result, _ = on_shares(case, data)
    return result.summary(), result.to_dict(), result._repr_html_()

cases = [case for case in CASES if case.dataset == "indo_rct"]
for case in cases:  # libraries import lazily and build their own classes by exec: once, before the hook
    answer(case)

BANNED = {"exec", "pickle.find_class", "marshal.loads", "os.system", "subprocess.Popen", "ctypes.dlopen"}
seen = []

def watch(event, arguments):
    if event in BANNED:
        seen.append(event)
        raise RuntimeError(event)

sys.addaudithook(watch)
EXTRA
for case in cases:
    answer(case)
print("clean", len(cases), seen)
"""


def run(extra: str) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.replace("EXTRA", extra)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_no_analysis_runs_code() -> None:
    done = run("")
    questions = sum(case.dataset == "indo_rct" for case in CASES)
    assert done.stdout.startswith(f"clean {questions} []"), done.stdout + done.stderr


@pytest.mark.parametrize("extra", ["eval('1')", "import pickle; pickle.loads(pickle.dumps(print))"])
def test_the_hook_would_see_it(extra: str) -> None:
    done = run(extra)
    assert done.returncode != 0
    assert "RuntimeError" in done.stderr
