"""Every guard is needed: without it a named test turns red.

Each mutation replaces one piece of text in a copy of the packages and runs the test that names the promise. The same tests pass
in the unchanged copy, so a red one is red because the guard is gone. The guards stand in one file for each package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from tests.mutations import guards_of_analyses, guards_of_ckks, guards_of_native, guards_of_party, guards_of_protocols
from tests.mutations.mutation import Mutation

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("unseen", "engine", "protocols", "native", "tests")

pytestmark = pytest.mark.slow
PACKAGED = (guards_of_protocols, guards_of_ckks, guards_of_native, guards_of_analyses, guards_of_party)
MUTATIONS = [mutation for package in PACKAGED for mutation in package.GUARDS]


def copied(folder: Path) -> Path:
    """The packages, to be changed freely."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "examples").symlink_to(ROOT / "examples")
    return folder


def run(folder: Path, tests: list[str]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False)


def mutated(mutation: Mutation, folders: SimpleQueue[Path]) -> subprocess.CompletedProcess[str] | None:
    """The named test's run without the guard, in a copy of its own; None when the guard's text is not there exactly once."""
    folder = folders.get()
    file = folder / mutation.file
    original = file.read_text(encoding="utf-8")
    try:
        if original.count(mutation.guard) != 1:
            return None
        file.write_text(original.replace(mutation.guard, mutation.without), encoding="utf-8")
        return run(folder, [mutation.test])
    finally:
        file.write_text(original, encoding="utf-8")
        folders.put(folder)


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[subprocess.CompletedProcess[str] | None]]]:
    """All mutations that were asked for, as many at a time as there are processors: each in a copy of its own."""
    asked = [
        item.callspec.params["mutation"] for item in request.session.items if "outcomes" in getattr(item, "fixturenames", ())
    ]
    folders: SimpleQueue[Path] = SimpleQueue()
    workers = max(1, min(os.cpu_count() or 1, len(asked)))
    for _ in range(workers):
        folders.put(copied(tmp_path_factory.mktemp("mutants")))
    with ThreadPoolExecutor(workers) as pool:
        yield {mutation.name: pool.submit(mutated, mutation, folders) for mutation in asked}


def test_all_named_tests_pass_with_the_guards_in_place(tmp_path: Path) -> None:
    done = run(copied(tmp_path), sorted({mutation.test for mutation in MUTATIONS}))
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_without_the_guard_a_named_test_turns_red(mutation: Mutation, outcomes: dict[str, Future[Any]]) -> None:
    done = outcomes[mutation.name].result()
    assert done is not None, "the guard's text has changed; change it here too"
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
