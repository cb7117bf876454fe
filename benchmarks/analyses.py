"""Whole questions across real daemons with mutual TLS: time, rounds, bytes, memory, and the error against the pooled fit.

seconds         what the researcher waits
joint_seconds   of these, the part after the hospitals' contributions, which must not depend on the number of rows where only
                sums are shared; local_seconds is the rest: reading rows, approvals, the gate's counts, fetching the answer
rounds, bytes   of the compute party with most, from the signed receipts; bytes_os is what TCP counted for that daemon towards
                other parties: TLS, gRPC, heartbeats and the agreement on the job and its keys included
peak_rss        the largest VmHWM of a daemon during the question, in MiB
cpu_seconds     of all daemons together
converted       under `ckks`: sums that came out of ciphertexts, two of each; `level` is that of the encrypted coefficients

Framing adds less than 1 % to large messages, about 160 bytes to each small one, and agreeing on a job some kilobytes: bytes_os
and bytes_sent agree within 10 % from about half a megabyte on, and `os_ratio` says how well for each row.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import data, memory, table
from benchmarks.network import DistantSandbox
from benchmarks.peers import Peer, Skipped
from benchmarks.questions import MODES, QUESTIONS, RESULT, Pooled, error
from benchmarks.table import Row
from engine.analyses.base import EncryptedSums
from engine.analyses.encrypted_sums import plan_of
from engine.dictionary import Dictionary
from engine.receipt import Receipt
from engine.sandbox_files import Choices
from engine.wire.v1.jobs_pb2 import Release
from native.errors import UnseenError

PEERS_WORK = {"logit": "newton"}  # what a peer runs beside a question
DEADLINE = 120.0
ROWS_LOG2 = 24  # of a study, which decides no level
TWO_JOBS = "two jobs"

__all__ = ["MODES", "QUESTIONS", "Setting", "measure", "two_jobs"]


@dataclass(frozen=True)
class Setting:
    """One study: `rows` over all hospitals, of which the first three compute."""

    rows: int
    columns: int = 20
    parties: int = 3
    prevalence: float = 0.3
    rtt_ms: float = 0.0
    engine: str = "replicated"
    frame: pd.DataFrame = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frame", data.make(self.rows, self.columns, self.prevalence))

    def sandbox(self, folder: Path) -> DistantSandbox:
        files = data.split(self.frame, self.parties, folder)
        floors = None if self.parties >= 3 else {"hospitals": 2}
        choices = Choices(floors=floors, round_deadline=DEADLINE)
        return DistantSandbox(files, Dictionary.parse(data.dictionary(self.columns)), choices, self.rtt_ms)


def measure(
    setting: Setting,
    questions: Sequence[str] = tuple(QUESTIONS),
    modes: Sequence[str] = MODES,
    repeat: int = 3,
    peers: Sequence[Peer] = (),
) -> Iterator[Row]:
    """Each question `repeat` times in one study, the median by seconds; those that iterate, in each mode; peers in turn."""
    with tempfile.TemporaryDirectory() as folder, (sandbox := setting.sandbox(Path(folder))) as study:
        with suppress(UnseenError):  # a refusal too has made the connections, which is all that this is for
            QUESTIONS["crosstab"].ask(study, setting.columns, RESULT, setting.engine)
        for name in questions:
            pooled = QUESTIONS[name].pooled(setting.frame, setting.columns)
            for mode in modes if QUESTIONS[name].iterative else (RESULT,):
                yield from _compared(setting, sandbox, study, name, mode, pooled, repeat, peers)


def _compared(
    setting: Setting,
    sandbox: DistantSandbox,
    study: Any,
    name: str,
    mode: str,
    pooled: Pooled,
    repeat: int,
    peers: Sequence[Peer],
) -> Iterator[Row]:
    work, n, d = PEERS_WORK.get(name), setting.rows, setting.columns
    states: dict[Peer, Skipped | None] = {peer: peer.prepare(work, n, d) for peer in peers} if work else {}
    ours: list[Row] = []
    theirs: dict[Peer, list[Row]] = {peer: [] for peer in states}
    for _ in range(repeat):
        try:
            ours.append(_once(setting, sandbox, study, name, mode, pooled))
        except UnseenError as failure:  # a row of the table too: it says what this size or setting is refused for
            yield table.skipped(name, setting.engine, str(failure), mode=mode, parties=setting.parties, n=n, d=d)
            return
        for peer in (peer for peer, state in states.items() if state is None):
            found = peer.run(work or "", n, d)
            if isinstance(found, Skipped):
                states[peer] = found
            else:
                theirs[peer].append({**found, "bench": name})
    ratios = {f"ratio_to_{peer.name}": table.ratio(ours, runs) for peer, runs in theirs.items() if runs}
    yield {**table.middle(ours), **ratios}
    for peer, state in states.items():
        if state is None:
            yield table.middle(theirs[peer])
        else:
            yield table.skipped(name, peer.name, state.why, mode=peer.mode, parties=peer.parties, n=n, d=d)


def _once(setting: Setting, sandbox: DistantSandbox, study: Any, name: str, mode: str, pooled: Pooled) -> Row:
    pids = sandbox.processes
    _reset(pids)
    sent, cpu = memory.sent_between(pids), _cpu(pids)
    began = time.perf_counter()
    result = QUESTIONS[name].ask(study, setting.columns, mode, setting.engine)
    seconds = time.perf_counter() - began
    cpu, sent_after = _cpu(pids) - cpu, memory.sent_between(pids)
    receipts = [_receipt(sandbox, member, result.receipt.job) for member in study.charter.compute]
    most = max(receipts, key=lambda receipt: receipt.bytes_sent)
    counted = sent_after[most.member] - sent[most.member]
    joint = max(receipt.joint_seconds for receipt in receipts)
    return table.row(
        name,
        most.engine,
        mode=most.disclosure,
        parties=setting.parties,
        n=setting.rows,
        d=setting.columns,
        seconds=seconds,
        joint_seconds=joint,
        rounds=max(receipt.rounds for receipt in receipts),
        bytes_sent=most.bytes_sent,
        peak_rss=_peak(pids),
        error=error(QUESTIONS[name], result, pooled),
        error_unit=table.SE,
        local_seconds=seconds - joint,
        cpu_seconds=cpu,
        bytes_os=counted,
        os_ratio=counted / most.bytes_sent,
        leakage_log2=most.leakage_log2,
        rtt_ms=setting.rtt_ms,
        prevalence=setting.prevalence,
        **_encrypted(most, setting),
    )


def _encrypted(receipt: Receipt, setting: Setting) -> Row:
    """What only rows of fits on ciphertexts have."""
    if not receipt.converted:
        return {}
    sums = EncryptedSums(setting.columns + 1, {})
    return {"converted": receipt.converted, "level": plan_of(sums, ROWS_LOG2, setting.parties).level}


def two_jobs(setting: Setting, question: str = "ols", mode: str = RESULT, repeat: int = 3) -> Iterator[Row]:
    """Two jobs asked at once, against the same two one after the other, in turn: `ratio_to_in_turn` should not exceed 1.

    Rounds, bytes and JOINT seconds are the two jobs' together.
    """
    asked = QUESTIONS[question]
    pooled = asked.pooled(setting.frame, setting.columns)
    with (
        tempfile.TemporaryDirectory() as folder,
        (sandbox := setting.sandbox(Path(folder))) as study,
        ThreadPoolExecutor(2) as pool,
    ):
        orders: dict[str, Callable[..., Iterable[Any]]] = {"at once": pool.map, "in turn": map}
        runs: dict[str, list[Row]] = {order: [] for order in orders}

        def ask(_: int) -> Any:
            return asked.ask(study, setting.columns, mode, setting.engine)

        ask(0)
        for _ in range(repeat):
            for order, mapped in orders.items():
                _reset(sandbox.processes)
                began = time.perf_counter()
                results = list(mapped(ask, range(2)))
                seconds = time.perf_counter() - began
                worst = max(error(asked, result, pooled) for result in results)
                runs[order].append(_two(setting, sandbox, f"{question}, {order}", seconds, results, worst))
        yield {**table.middle(runs["at once"]), "ratio_to_in_turn": table.ratio(runs["at once"], runs["in turn"])}
        yield table.middle(runs["in turn"])


def _two(setting: Setting, sandbox: DistantSandbox, what: str, seconds: float, results: Sequence[Any], worst: float) -> Row:
    receipts = [result.receipt for result in results]
    return table.row(
        TWO_JOBS,
        receipts[0].engine,
        mode=receipts[0].disclosure,
        parties=setting.parties,
        n=setting.rows,
        d=setting.columns,
        seconds=seconds,
        joint_seconds=sum(receipt.joint_seconds for receipt in receipts),
        rounds=sum(receipt.rounds for receipt in receipts),
        bytes_sent=sum(receipt.bytes_sent for receipt in receipts),
        peak_rss=_peak(sandbox.processes),
        error=worst,
        error_unit=table.SE,
        question=what,
        rtt_ms=setting.rtt_ms,
        prevalence=setting.prevalence,
    )


def _reset(pids: dict[str, int]) -> None:
    for pid in pids.values():
        memory.reset_peak(pid)


def _peak(pids: dict[str, int]) -> float:
    return max(memory.peak_mib(pid) for pid in pids.values())


def _cpu(pids: dict[str, int]) -> float:
    return sum(memory.cpu_seconds(pid) for pid in pids.values())


def _receipt(sandbox: DistantSandbox, member: str, job: str) -> Receipt:
    """The receipt that a party of this sandbox stored with its answer."""
    stored = sandbox.layout.folder(member) / "state" / "jobs" / job / "release.bin"
    return Receipt.model_validate(json.loads(Release.FromString(stored.read_bytes()).receipt))
