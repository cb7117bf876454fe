"""Parties to run programs on: processes over gRPC with mutual TLS, or threads of this process over queues."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from benchmarks import programs
from benchmarks.network import delayed
from benchmarks.trio import Trio
from engine.dictionary import Dictionary
from engine.sandbox_files import Choices, lay_out, make_identities, write
from protocols.simulation import Simulation

GRPC, IN_MEMORY = "grpc", "in-memory"
MODES = (GRPC, IN_MEMORY)
DEADLINE = 600.0  # seconds of silence: the work of a measurement may be long


class Parties(Protocol):
    """Whoever answers a request like workers do."""

    def ask(self, **request: Any) -> list[dict[str, Any]]: ...


class InMemory:
    """Threads and queues: the protocols' arithmetic without a network. Their peak memory is the process'."""

    def __init__(self, count: int) -> None:
        self._count = count

    def ask(self, **request: Any) -> list[dict[str, Any]]:
        simulation = Simulation(self._count, tuple(range(self._count)), deadline=DEADLINE)
        results: list[dict[str, Any]] = simulation.run(programs.program(request)).results
        return results


@contextmanager
def parties_of(mode: str, rtt_ms: float = 0.0, count: int = 3) -> Iterator[Parties]:
    """Parties for this mode, while inside; the first three compute."""
    if mode == IN_MEMORY:
        yield InMemory(count)
        return
    with tempfile.TemporaryDirectory() as folder:
        names = [f"p{i + 1}" for i in range(count)]
        layout = lay_out(Path(folder) / "study", _one_row_each(names))
        write(layout, make_identities(layout), _DICTIONARY, Choices(round_deadline=DEADLINE))
        commands = [[sys.executable, "-m", "benchmarks.party", str(layout.config(name))] for name in names]
        with delayed(layout, rtt_ms), Trio(commands) as trio:
            yield trio


def _one_row_each(names: Sequence[str]) -> Mapping[str, pd.DataFrame]:
    """A party of a charter is a hospital; its table is never read here."""
    return {name: pd.DataFrame({"x": [0.0]}) for name in names}


_DICTIONARY = Dictionary.parse({"columns": {"x": {"type": "number", "bounds": [-1, 1]}}})
