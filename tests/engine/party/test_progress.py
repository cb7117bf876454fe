"""What watchers, the operator and metrics see of a running session: positions in a table, bytes, stages; no count of rows."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine.data.rows import Batch, Query, RowCounts, Rows
from engine.party.progress import Progress, Watched
from engine.party.runner import Outcome, Work
from engine.wire.v1 import admin_pb2
from protocols.session import Session
from tests.engine.party.party_study import HOSPITALS, Study, scenario
from tests.engine.party.stand_ins import FakeSource, answer, meet

QUERY = Query((), ())


class Table(FakeSource):
    """A hospital's table in whose middle the reader waits."""

    def __init__(self, position: float) -> None:
        super().__init__(4321)
        self.position = position
        self.reached, self.release = threading.Event(), threading.Event()

    def rows(self, query: Any) -> Rows:
        def batches() -> Iterator[Batch]:
            self.reached.set()
            assert self.release.wait(30)
            yield from ()

        return Rows(batches(), RowCounts(table=4321, used=123), lambda: None if self.release.is_set() else self.position)


def read(session: Session, work: Work) -> Outcome:
    assert work.source is not None
    work.progress("start")
    meet(session)
    with work.alive():
        list(work.source.rows(QUERY))
    work.progress("newton 1")
    return answer(session, work)


@pytest.mark.parametrize(
    ("position", "shown"), [(0.0, 0), (0.0499, 0), (0.05, 5), (0.4999, 45), (0.999, 95), (1.0, 100), (None, None)]
)
def test_a_position_is_told_in_steps(position: float | None, shown: int | None) -> None:
    watched = Watched(lambda progress: None)
    source = watched.source(FakeSource())
    assert source is not None
    plain = source.rows
    source.rows = lambda query: replace(plain(query), position=lambda: position)  # type: ignore[method-assign]
    assert watched.look() == Progress()
    found = watched.source(source)
    assert found is not None
    found.rows(QUERY)
    assert watched.look() == Progress(read=shown)


@pytest.mark.usefixtures("fake_analysis")
def test_a_running_session_is_seen_by_researcher_operator_and_metrics() -> None:
    async def body(s: Study) -> None:
        tables = {name: Table(0.47) for name in HOSPITALS}
        await s.begin(run=read)
        for name, daemon in s.daemons.items():
            daemon.flow.seat = replace(daemon.flow.seat, source=tables[name])
        signed = await s.asked()
        for table in tables.values():
            assert await asyncio.to_thread(table.reached.wait, 20)
        await s.daemons["um"].tick()
        shown = await s.admin("um").ListJobs(admin_pb2.AdminListRequest())
        metrics = {m.name: m.samples[0].value for m in s.daemons["um"]._metrics.registry.collect() if m.samples}
        for table in tables.values():
            table.release.set()
        assert await s.ends(signed.job_id) == [("released", "", "")] * 3

        (job,) = shown.jobs
        assert job.doing == "start, 45 % of the own table read, 0.0 MB sent"
        assert metrics["unseen_session_read_percent"] == 45
        await s.daemons["um"].tick()
        assert s.daemons["um"]._metrics.registry.get_sample_value("unseen_session_sent_bytes") == 0

        events = [event for event in await s.watch(signed.job_id, "um") if event.detail]
        assert [(event.detail, event.state) for event in events] == [("start", "computing"), ("newton 1", "computing")]
        assert events[0].read == 45  # the newest of each stage
        assert events[0].sent == metrics["unseen_session_sent_bytes"] > 0
        assert not events[1].HasField("read")
        assert events[1].sent == events[0].sent + 2  # a byte to each peer
        logged = [json.loads(line) for line in s.logs.getvalue().splitlines()]
        stages = [line for line in logged if line["event"] == "stage" and line["party"] == "um"]
        assert [line["stage"] for line in stages] == ["start", "newton 1"]
        assert set(stages[0]) == {"event", "level", "time", "party", "job", "stage", "sent"}

    scenario(body)


@pytest.mark.usefixtures("fake_analysis")
def test_of_each_stage_the_newest_progress_is_kept_and_watchers_miss_no_later_event() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        book = s.daemons["um"].flow.book
        signed = await s.asked(to=("um",))
        job = book.get(signed.job_id)
        assert job is not None
        states = len(job.events)
        watcher = asyncio.create_task(s.watch(signed.job_id, "um"))
        for number in range(3000):
            book.progress(job, Progress("start", number % 100, number))
        book.progress(job, Progress("start", 2999 % 100, 2999))  # nothing new
        assert len(job.events) == states + 1
        assert job.events[-1].sequence == job.events[-2].sequence + 3000
        book.progress(job, Progress("", None, 1))  # before the first stage there is nothing to tell
        for number in range(3000):
            book.progress(job, Progress(f"newton {number}"))
        assert len(job.events) == 1000
        book.end(job, "policy", by="um")
        seen = await watcher
        assert seen[-1].state == "refused"
        assert [event.sequence for event in seen] == sorted({event.sequence for event in seen})

    scenario(body)
