"""What happens to a job, as it happens: the parties' event streams merged into one. No polling; each stream is one blocking call.

A broken line is dialled again (gRPC waits for the party with its own back-off), and a party repeats its events from the first, so
that none is lost; those already seen are dropped by their number. A party that comes back greets anew: as another version, or
with another charter, it takes part in nothing, and waiting has no end. When all that is left to wait for is parties that stay
away for `AWAY_SECONDS`, Unreachable names them.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc

from engine.client.links import Links, lost, translate
from engine.errors import ResultTimeout, Unreachable
from engine.wire.v1 import jobs_pb2 as wire
from native.errors import UnseenError

AWAY_SECONDS = 15.0
FAILED = frozenset({"refused", "aborted"})
ENDED = FAILED | {"released"}


@dataclass(frozen=True)
class JobEvent:
    """One thing that happened to a job at one party."""

    member: str
    state: str  # received, verified, approved, keyed, computing, checked, charged, released, refused, aborted
    detail: str  # the stage of a running session, e.g. "newton 3"
    code: str  # why it was refused or aborted, else ""
    by: str  # the member that refused or aborted; "" where naming it could say something about its data
    time: str  # RFC 3339, the party's clock
    sequence: int  # the party's own count
    read: int | None = None  # per cent of its table that this hospital has gone past, in steps of 5; None while it reads nothing
    sent: int = 0  # bytes that it has sent to the other parties in the running session


@dataclass(frozen=True)
class _Line:
    """What a follower reports besides events: its stream ended, its line broke, or the party answered with an error."""

    member: str
    ended: bool = False
    error: UnseenError | None = None


def _event(member: str, event: wire.JobEvent) -> JobEvent:
    read = min(int(event.read), 100) if event.HasField("read") else None
    return JobEvent(
        member, event.state, event.detail, event.code, event.by, event.time, int(event.sequence), read, int(event.sent)
    )


class Watch:
    """Iterate over the events of one job at `members`; stops when the job has ended at all of them or failed at one."""

    def __init__(self, links: Links, job: str, members: Sequence[str], timeout: float | None = None) -> None:
        self._links, self._job, self._members = links, job, tuple(members)
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._queue: queue.SimpleQueue[JobEvent | _Line] = queue.SimpleQueue()
        self._calls: dict[str, grpc.Call] = {}
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[JobEvent]:
        for member in self._members:
            threading.Thread(target=self._follow, args=(member,), daemon=True, name=f"watch {member}").start()
        try:
            yield from self._merged()
        finally:
            self._stopped.set()
            for call in list(self._calls.values()):
                call.cancel()

    def _merged(self) -> Iterator[JobEvent]:
        waiting, away = set(self._members), dict[str, float]()
        while waiting:
            item = self._next(waiting, away)
            if isinstance(item, JobEvent):
                away.pop(item.member, None)
                yield item
                if item.state in FAILED:
                    return
                if item.state in ENDED:
                    waiting.discard(item.member)
            elif item.error is not None:
                raise item.error
            elif item.ended:
                waiting.discard(item.member)
            else:
                away.setdefault(item.member, time.monotonic())

    def _next(self, waiting: set[str], away: dict[str, float]) -> JobEvent | _Line:
        """Wait for the next report, until the caller's deadline, or until everyone waited for has been away for too long."""
        given_up = max(away[m] for m in waiting) + AWAY_SECONDS if waiting <= away.keys() else None
        limits = [limit for limit in (self._deadline, given_up) if limit is not None]
        try:
            return self._queue.get(timeout=max(0.0, min(limits) - time.monotonic()) if limits else None)
        except queue.Empty:
            if given_up is not None and time.monotonic() >= given_up:
                raise Unreachable(
                    f"{', '.join(sorted(waiting))} went away before the job had ended; fetch the result when it is back"
                ) from None
            raise ResultTimeout(
                f"no result yet; the job goes on. Fetch it later: `unseen result {self._job[:12]}`, or study.job(id).result()"
            ) from None

    def _follow(self, member: str) -> None:
        """One party's stream, dialled again when it breaks, until it ends."""
        seen, broke = -1, False
        while not self._stopped.is_set():
            try:
                call = self._links.jobs(member).Watch(wire.JobReference(job=self._job), wait_for_ready=True)
                self._calls[member] = call
                if self._stopped.is_set():
                    call.cancel()
                for event in call:
                    if broke:
                        self._links.one(member, self._links.greeting)
                        broke = False
                    if int(event.sequence) > seen:
                        seen = int(event.sequence)
                        self._queue.put(_event(member, event))
                self._queue.put(_Line(member, ended=True))
                return
            except Unreachable:
                self._queue.put(_Line(member))
            except UnseenError as error:
                self._queue.put(_Line(member, error=error))
                return
            except (grpc.RpcError, ValueError) as error:  # ValueError: the channel was closed under us
                if self._stopped.is_set() or isinstance(error, ValueError):
                    return
                if not lost(error):
                    self._queue.put(_Line(member, error=translate(error, member, "its address")))
                    return
                broke = True
                self._queue.put(_Line(member))
