"""Other frameworks at the same work, where they are installed: never dependencies, each in an interpreter of its own.

A peer is three processes (PyTorch and SEAL: one) of `python -m benchmarks.peers.NAME_worker RANK PORT PORT PORT`, on loopback
without delay and without TLS, which answer requests like our own parties do (trio.py). What a peer's users would write for each
work stands in its module. Work that it has no function for is skipped with that reason, and so is work that would take longer
than the limit, by two runs on a few of the rows.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks import table
from benchmarks.table import Row
from benchmarks.trio import Trio, WorkFailed, together

NAMES = ("crypten", "spu", "mpyc")
MODES = {
    "crypten": "64-bit ring, dealer",
    "spu": "64-bit ring, ABY3",
    "mpyc": "prime field, Shamir",
    "torch": "64-bit ring",
    "tenseal": "SEAL",
}
PROCESSES = {"torch": 1, "tenseal": 1}  # where it is not three
FRACTION = 500  # of the rows, for the first look at how long a work takes
FIRST_ROWS = 200  # at least
START_SECONDS = 60.0
MARGIN = 3  # estimates from small runs on a busy machine are off by as much: within it, the work is tried and may run out of time


@dataclass(frozen=True)
class Skipped:
    """Why a peer does not run a work."""

    why: str


class Peer:
    """One framework in one interpreter. Started at its first work; started again after a work that had to be given up."""

    def __init__(self, name: str, python: str, limit: float) -> None:
        self.name, self.mode, self.parties = name, MODES[name], PROCESSES.get(name, 3)
        self._python, self._limit = python, limit
        self._trio: Trio | None = None
        self._verdicts: dict[tuple[str, int, int], Skipped | None] = {}

    def prepare(self, name: str, n: int, d: int) -> Skipped | None:
        """Small runs, which warm up and tell how long the whole would take. None: go ahead. Asked once for each size."""
        if (name, n, d) not in self._verdicts:
            self._verdicts[name, n, d] = self._verdict(name, n, d)
        return self._verdicts[name, n, d]

    def _verdict(self, name: str, n: int, d: int) -> Skipped | None:
        sizes = [min(n, max(FIRST_ROWS, n // FRACTION)), min(n, 3 * max(FIRST_ROWS, n // FRACTION))]
        self.run(name, sizes[0], d)  # what it compiles and connects at first is not part of the work
        best = []
        for rows in sizes:
            runs = [self.run(name, rows, d) for _ in range(2)]
            for found in runs:
                if isinstance(found, Skipped):
                    return found
            best.append(min(found["seconds"] for found in runs if not isinstance(found, Skipped)))
        small, larger = sizes
        slope = max(0.0, best[1] - best[0]) / (larger - small) if larger > small else 0.0  # all sizes pay for the start
        expected = best[1] + slope * (n - larger)
        if expected > MARGIN * self._limit:
            return Skipped(f"would take about {expected:.0f} s: {best[0]:.2g} s for {small} rows, {best[1]:.2g} s for {larger}")
        return None

    def run(self, name: str, n: int, d: int, **details: Any) -> Row | Skipped:
        """One repetition. `details` go to the worker with the rest."""
        try:
            limit = START_SECONDS + MARGIN * self._limit
            answer = together(self._started().ask(timeout=limit, work=name, n=n, d=d, **details))
        except WorkFailed as failure:
            self.close()
            return Skipped(str(failure))
        if "unable" in answer:
            return Skipped(answer["unable"])
        return _row(self, name, n, d, answer)

    def close(self) -> None:
        if self._trio is not None:
            self._trio.close()
            self._trio = None

    def _started(self) -> Trio:
        if self._trio is None:
            # here, because the bench starts without gRPC
            from engine.sandbox_files import free_ports

            ports = [str(port) for port in free_ports(3)]
            command = [self._python, "-m", f"benchmarks.peers.{self.name}_worker"]
            self._trio = Trio([[*command, str(rank), *ports] for rank in range(self.parties)], _threads())
        return self._trio


def _threads() -> dict[str, str]:
    """Each process its part of the cores: with more threads than cores, OpenMP spins and SPU takes a hundred times as long."""
    each = str(max(1, (os.cpu_count() or 1) // 3))
    return {"OMP_NUM_THREADS": each, "OMP_THREAD_LIMIT": each}


def _row(peer: Peer, name: str, n: int, d: int, answer: dict[str, Any]) -> Row:
    return table.row(
        name,
        peer.name,
        mode=peer.mode,
        parties=peer.parties,
        n=n,
        d=d,
        joint_seconds=answer["seconds"],
        **{"error_unit": table.SE if name == "newton" else table.ABSOLUTE, **answer},
    )


@contextmanager
def installed(pythons: Sequence[str], limit: float, names: Sequence[str] = NAMES) -> Iterator[list[Peer]]:
    """The peers that one of these interpreters can import, each in the first that can, while inside."""
    with ExitStack() as stack:
        found = []
        for name in names:
            python = next((python for python in pythons if _importable(python, name)), None)
            if python is not None:
                found.append(Peer(name, python, limit))
                stack.callback(found[-1].close)
        yield found


def _importable(python: str, name: str) -> bool:
    """Whether the interpreter finds the package; it is not imported."""
    question = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    try:
        return subprocess.run([python, "-c", question], capture_output=True, timeout=60, check=False).returncode == 0
    except OSError:
        return False
