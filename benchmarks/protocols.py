"""Functions on shares, three parties, beside what the peers take for the same arrays.

Modes: `grpc` runs three processes over real links with mutual TLS, and a delay is real time spent in relays (delay.py);
`in-memory` runs three threads over queues. Ours and each peer run in turn, A B A B, in one run; every row is the repetition with
the median seconds, its error and bytes from that repetition, and `ratio_to_PEER` is the ratio of the medians.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from benchmarks import programs, table, work
from benchmarks.parties import GRPC, IN_MEMORY, MODES, Parties, parties_of
from benchmarks.peers import Peer, Skipped
from benchmarks.table import Row
from benchmarks.trio import together

REPLICATED, PLAINTEXT = "replicated", "plaintext"
ENGINES = (REPLICATED, PLAINTEXT)
WARM_UP = 64  # rows of the untimed run before the first

__all__ = ["ENGINES", "GRPC", "IN_MEMORY", "MODES", "measure"]


def measure(
    names: Sequence[str] = work.OURS,
    rows: int | None = None,
    columns: int | None = None,
    mode: str = GRPC,
    engine: str = REPLICATED,
    rtt_ms: float = 0.0,
    repeat: int = 3,
    peers: Sequence[Peer] = (),
) -> Iterator[Row]:
    """Rows of each work: ours, then the peers'. `rows` and `columns` replace the work's own sizes."""
    with ExitStack() as stack:
        parties = stack.enter_context(parties_of(mode, rtt_ms)) if engine == REPLICATED else None
        for name in names:
            n, d = rows or work.WORKS[name].rows, columns or work.WORKS[name].columns
            yield from _compared(name, n, d, parties, mode, rtt_ms, repeat, peers)


def _compared(
    name: str, n: int, d: int, parties: Parties | None, mode: str, rtt_ms: float, repeat: int, peers: Sequence[Peer]
) -> Iterator[Row]:
    able = {peer: peer.prepare(name, n, d) for peer in peers}
    ours: list[Row] = []
    theirs: dict[Peer, list[Row]] = {peer: [] for peer, found in able.items() if found is None}
    _ours(name, min(n, WARM_UP), d, parties, mode, rtt_ms)
    for _ in range(repeat):
        ours.append(_ours(name, n, d, parties, mode, rtt_ms))
        for peer, runs in theirs.items():
            found = peer.run(name, n, d)
            if isinstance(found, Skipped):
                able[peer] = found
            else:
                runs.append(found)
    yield {**table.middle(ours), **{f"ratio_to_{peer.name}": table.ratio(ours, runs) for peer, runs in theirs.items() if runs}}
    for peer in peers:
        reason = able[peer]
        if reason is None:
            yield table.middle(theirs[peer])
        else:
            yield table.skipped(name, peer.name, reason.why, mode=peer.mode, parties=peer.parties, n=n, d=d)


def _ours(name: str, n: int, d: int, parties: Parties | None, mode: str, rtt_ms: float) -> Row:
    if parties is None:
        found, engine, mode, count = programs.in_the_clear(name, n, d), PLAINTEXT, "clear", 1
    else:
        found, engine, count = together(parties.ask(do="work", work=name, n=n, d=d)), REPLICATED, 3
    return table.row(
        name,
        engine,
        mode=mode,
        parties=count,
        n=n,
        d=d,
        joint_seconds=found["seconds"],
        error_unit=table.ABSOLUTE,
        ring=programs.ring_name(name),
        rtt_ms=rtt_ms,
        **found,
    )
