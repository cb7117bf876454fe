"""Keys that all hospitals make together, and the ways between ciphertexts and shares: what the engine `ckks` adds to a question.

joint keys                 the public and the relinearisation key, N = 32768
joint keys, with Galois    and the keys that take the encrypted coefficients apart
conversion                 seconds for each of 128 sums, out of 64 ciphertexts; `hospital_seconds` are CPU seconds of a hospital
                           that does not compute, which is why at least four take part
gradient, Hessian step     all that travels in one step of a logistic regression, without what hospitals compute: bytes_sent is of
                           the party that sends most

`grpc` runs a process for each party, over real links with mutual TLS; `in-memory` threads of one process. `error` is that of sums
that were encrypted under these keys, converted and opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks import table
from benchmarks.joint_programs import GRADIENT, HESSIAN
from benchmarks.parties import GRPC, MODES, Parties, parties_of
from benchmarks.table import Row
from benchmarks.trio import together
from protocols.ckks.parameters import N32768

CIPHERTEXTS = 64
LEAST_FOR_A_HOSPITAL = 4  # of which three compute
ENGINE = "ckks"

__all__ = ["GRPC", "MODES", "measure"]


def measure(counts: Sequence[int], columns: int = 20, mode: str = GRPC, rtt_ms: float = 0.0, repeat: int = 3) -> Iterator[Row]:
    """Rows for each number of hospitals; `columns` predictors and an intercept."""
    numbers = columns + 1
    for count in counts:
        with parties_of(mode, rtt_ms, count) as parties:
            for name, spread in (("joint keys", 1), ("joint keys, with Galois", numbers)):
                yield _row(name, parties, count, mode, repeat, rtt_ms, d=spread - 1 or None, do="joint keys", numbers=spread)
            for step in (GRADIENT, HESSIAN):
                yield _row(step, parties, count, mode, repeat, rtt_ms, d=columns, do="joint step", step=step, numbers=numbers)
            if count >= LEAST_FOR_A_HOSPITAL:
                yield _conversion(parties, count, mode, repeat, rtt_ms)
        if count < LEAST_FOR_A_HOSPITAL:
            with parties_of(mode, rtt_ms, LEAST_FOR_A_HOSPITAL) as parties:
                yield _conversion(parties, LEAST_FOR_A_HOSPITAL, mode, repeat, rtt_ms)


def _conversion(parties: Parties, count: int, mode: str, repeat: int, rtt_ms: float) -> Row:
    return _row("conversion", parties, count, mode, repeat, rtt_ms, do="conversion", ciphertexts=CIPHERTEXTS)


def _row(
    name: str, parties: Parties, count: int, mode: str, repeat: int, rtt_ms: float, d: int | None = None, **request: Any
) -> Row:
    runs = []
    for _ in range(repeat):
        found = together(parties.ask(**request))
        runs.append(
            table.row(name, ENGINE, mode=mode, parties=count, n=N32768.degree, d=d, error_unit=table.ABSOLUTE, rtt_ms=rtt_ms)
            | {"joint_seconds": found["seconds"], **found}
        )
    return table.middle(runs)
