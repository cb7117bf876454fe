"""What stands in for an analysis, its data and its session, where a test of the daemon does not care which."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engine.analyses.base import Output, Plan, RowSet, Stage, State, Step
from engine.data.rows import RowCounts, Rows
from engine.errors import FormulaError
from engine.party import gate
from engine.party.runner import Outcome, ReleasedShare, Work
from protocols.engine import Declared, Engine, Secret
from protocols.session import Expect, Session

Run = Callable[[Session, Work], Outcome]  # what a daemon does in a session


class FakeAnalysis:
    """Takes the columns of the question, opens one number; on its way it needs as many bits more as options={"bits": ...} say."""

    name = "describe"
    modes = ("result", "steps")

    def __init__(self, question: Any, dictionary: Any, limits: Any) -> None:
        if question.formula == "wrong ~":
            raise FormulaError("the formula ends too early")
        for column in question.columns:
            dictionary[column]
        columns = tuple(question.columns)
        self.plan = Plan(columns, columns, (), 0, (RowSet(columns),), (Output("mean", (1,), "aggregate"),), limits.rows_log2)
        if question.formula == "on rows ~":
            self.plan = replace(self.plan, shares_rows=True)
        self._bits = question.options.get("bits", 0)

    def start(self) -> State:
        return State("only")

    def stage(self, state: State) -> Stage:
        return Stage("only", (Declared("mean", (1,), 1.0),), outputs=self.plan.outputs)

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        mpc.truncate(mpc.shift_left(totals["mean"], self._bits), 1)
        return Step(outputs={"mean": totals["mean"]})


class FakeSource:
    """A hospital's table of which only the counts are ever looked at."""

    def __init__(self, table: int = 20) -> None:
        self.table = table

    def rows(self, query: Any) -> Rows:
        return Rows(iter(()), RowCounts(table=self.table, used=0))

    def size(self) -> int:
        return self.table

    def snapshot(self) -> bytes:
        return b"\x07" * 32


def answer(session: Session, work: Work) -> Outcome:
    """A session that exchanges once and releases one number."""
    meet(session)
    shares = {}
    for output in (*gate.OUTPUTS, *work.analysis.plan.outputs):
        size = math.prod(output.shape)
        share = np.frombuffer(session.entropy(32 * size), "<u8").reshape(*output.shape, 4)
        shares[output.name] = ReleasedShare(share, output.frac)
    return Outcome(
        None, shares, {}, {work.analysis.plan.columns: session.entropy(40)}, ["refused"], stages=1, meter=session.meter
    )


def stop(code: str) -> Run:
    def run(session: Session, work: Work) -> Outcome:
        meet(session)
        return Outcome(code)

    return run


def meet(session: Session, kind: str = "meet") -> None:
    """One round with everybody."""
    others = [peer for peer in range(len(session.members)) if peer != session.me]
    array = np.zeros(1, np.uint8)
    session.exchange(kind, dict.fromkeys(others, array), dict.fromkeys(others, Expect(array.dtype, array.shape)))


class Hold:
    """A session that waits in the middle until the test lets it go."""

    def __init__(self, then: Run = answer) -> None:
        self.entered, self.release, self._then = threading.Semaphore(0), threading.Event(), then

    def __call__(self, session: Session, work: Work) -> Outcome:
        self.entered.release()
        with work.alive():
            self.release.wait(30)
        return self._then(session, work)

    async def reached(self, parties: int = 3) -> None:
        for _ in range(parties):
            assert await asyncio.to_thread(self.entered.acquire, True, 20)


class Silence:
    """The network of a dead daemon."""

    def connected(self) -> list[str]:
        return []

    def ready(self) -> list[str]:
        return []

    def drain(self) -> None:
        return None

    async def drain_heard(self, member: str) -> None:
        return None

    def notify(self, notice: Any) -> None:
        return None

    async def open_session(self, job_id: bytes, attempt: int, timeout: float) -> Any:
        raise ConnectionError
