"""One session at this party, from the open link to the outcome. Plain synchronous Python, run in a worker thread.

`sit` answers a question; `sit_for_plan` asks the gate about every question of a plan (plan_check.py).
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from engine import analyses, threads
from engine.charter import Floors
from engine.data.rows import DataSource
from engine.errors import DataError
from engine.party import plan_check, terms
from engine.party.ledger import EarlierRowSet
from engine.party.policy import Question
from engine.party.progress import Watched
from engine.party.release import gate_policy
from engine.party.runner import Outcome, Work
from engine.party.terms import Terms
from protocols.session import Session

Run = Callable[[Session, Work], Outcome]
Result = TypeVar("Result")


class Agreed(Protocol):
    """What the members agreed on when the session opened."""

    @property
    def session(self) -> bytes: ...


class OpenSession(Protocol):
    """What the transport gives for a session (engine.transport.session_link.SessionLink). `session()` is called once."""

    @property
    def agreement(self) -> Agreed: ...
    @property
    def ended(self) -> bool: ...
    def session(self) -> Session: ...
    def heartbeating(self) -> AbstractContextManager[None]: ...
    def abort(self, code: str) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Seat:
    """What this party brings to every session."""

    run: Run
    floors: Floors
    steps: bool  # this party's policy allows `steps` mode
    source: DataSource | None  # None at a party without data
    digest_key: bytes
    clock: Callable[[], datetime]


@dataclass(frozen=True)
class Sitting:
    """A session that came to its end."""

    outcome: Outcome
    terms: Terms
    session: bytes
    times: tuple[datetime, datetime]
    question: int = 0  # of a plan that was refused: which question was, from 1


def sit(
    link: OpenSession,
    seat: Seat,
    question: Question,
    earlier: Callable[[], Sequence[EarlierRowSet]],
    never_charged: Collection[str],
    watched: Watched,
) -> Sitting:
    """Take part. Raises ProtocolError when a peer is lost or misbehaves, DataError when the own data cannot be read."""
    started = seat.clock()
    session, agreed, known = _begin(link, seat, earlier, watched)
    outcome = seat.run(session, _work(link, seat, agreed, question, known, never_charged, watched))
    return Sitting(outcome, agreed, session.id, (started, seat.clock()))


def sit_for_plan(
    link: OpenSession,
    seat: Seat,
    questions: Sequence[Question],
    earlier: Callable[[], Sequence[EarlierRowSet]],
    never_charged: Collection[str],
    watched: Watched,
) -> Sitting:
    """Take part in asking the gate about a plan's questions. Raises as `sit`."""
    started = seat.clock()
    session, agreed, known = _begin(link, seat, earlier, watched)
    work = {q.spec.job_id: _work(link, seat, agreed, q, known, never_charged, watched) for q in questions}
    outcome, refused = plan_check.check(session, seat.run, work)
    return Sitting(outcome, agreed, session.id, (started, seat.clock()), refused)


def _begin(
    link: OpenSession, seat: Seat, earlier: Callable[[], Sequence[EarlierRowSet]], watched: Watched
) -> tuple[Session, Terms, Sequence[EarlierRowSet]]:
    """The session, what all parties agreed on in it, and what a hospital compares its rows with."""
    session = link.session()
    watched.begin(session)
    agreed = terms.agree(session, seat.floors, _snapshot(link, session, seat.source))
    return session, agreed, earlier() if session.holds_data else ()


def _work(
    link: OpenSession,
    seat: Seat,
    agreed: Terms,
    question: Question,
    earlier: Sequence[EarlierRowSet],
    never_charged: Collection[str],
    watched: Watched,
) -> Work:
    return Work(
        analysis=analyses.under(question.analysis, agreed.floors.cell),
        policy=gate_policy(agreed),
        where=question.where,
        steps=question.spec.disclosure == "steps" and seat.steps,
        source=watched.source(seat.source),
        digest_key=seat.digest_key,
        earlier=earlier,
        never_charged=never_charged,
        progress=watched.stage,
        alive=link.heartbeating,
    )


async def in_thread(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread of its own, which never keeps the process from ending. Raises MemoryError if none can begin."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result(result) if error is None else done.set_exception(error)

    def target() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # handed to the event loop, whatever it is
            error = raised
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threads.begin(threading.Thread(target=target, name="session", daemon=True))
    return await done


def _snapshot(link: OpenSession, session: Session, source: Any) -> bytes | None:
    if not session.holds_data:
        return None
    with link.heartbeating():
        try:
            return bytes(source.snapshot())
        except DataError:
            return secrets.token_bytes(terms.SNAPSHOT_BYTES)  # the gate will refuse; nobody learns which hospital's data it was
