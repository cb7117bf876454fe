"""What must not appear in the code: weak randomness, pickle, eval, and openings outside their places."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    p for top in ("unseen", "engine", "protocols", "native") for p in sorted((ROOT / top).rglob("*.py")) if "wire" not in p.parts
]

RANDOMNESS = {"random", "numpy.random", "torch"}
SERIALISERS = {"pickle", "cloudpickle", "dill", "shelve", "marshal", "joblib"}
SIMULATION = {"protocols/simulation.py"}

OPEN_MASKED_CALLERS = {
    "protocols/replicated/truncate.py",
    "protocols/replicated/convert.py",
    "protocols/replicated/opening.py",
    "protocols/replicated/integers.py",
}
RELEASE_SHARE_CALLERS = {"engine/dry_run.py", "engine/party/gate.py", "protocols/replicated/engine.py"}


def tree(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def calls(path: Path) -> set[str]:
    """Names called, the last part of a dotted one."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            found.add(node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
    return found


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_weak_randomness_and_no_serialiser_that_runs_code(path: Path) -> None:
    banned = SERIALISERS | (RANDOMNESS if relative(path) not in SIMULATION else set())
    assert not {name for name in imported(path) if any(name == ban or name.startswith(ban + ".") for ban in banned)}
    attributes = {ast.unparse(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
    assert relative(path) in SIMULATION or not {a for a in attributes if a.startswith(("np.random", "numpy.random"))}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_eval_and_no_exec(path: Path) -> None:
    names = {node.func.id for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not names & {"eval", "exec", "__import__"}


def test_values_are_opened_in_their_places_only() -> None:
    assert {relative(p) for p in SOURCES if "open_masked" in calls(p)} <= OPEN_MASKED_CALLERS
    assert {relative(p) for p in SOURCES if "release_share" in calls(p)} <= RELEASE_SHARE_CALLERS


def test_the_plaintext_engine_and_the_simulation_stay_out_of_daemons() -> None:
    users = {relative(p) for p in SOURCES if imported(p) & {"protocols.plaintext", "protocols.simulation"}}
    assert not {
        name for name in users if name.startswith(("engine/party", "engine/transport", "engine/client", "engine/cli", "unseen"))
    }
