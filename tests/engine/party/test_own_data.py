"""What is wrong with one hospital's own data ends like any other refusal: at every party alike, and naming nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from engine.analyses import Ask, Limits, build
from engine.cohort import Condition
from engine.data.frame_source import FrameSource
from engine.data.rows import Query, Rows
from engine.dictionary import Dictionary
from engine.errors import DataError
from engine.party import runner
from engine.party.gate import GatePolicy
from engine.party.runner import Outcome, Work
from protocols.errors import ValueRangeError
from protocols.session import Session
from protocols.simulation import simulate
from tests import datasets


class Unreadable(FrameSource):
    """A table that breaks off while it is read."""

    def rows(self, query: Query) -> Rows:
        rows = super().rows(query)
        return Rows(self._broken(rows), rows.counts)

    def _broken(self, rows: Rows) -> Any:
        yield from rows
        raise DataError("The file changed while it was read.")


def outcomes(rows_log2: int, kinds: tuple[type[FrameSource], ...]) -> list[Outcome]:
    data = datasets.load("indo_rct")
    dictionary = Dictionary.parse(data.dictionary)
    sources = [kind(frame, dictionary) for kind, frame in zip(kinds, data.frames().values(), strict=True)]
    analysis = build(Ask("describe", columns=["age"]), dictionary, Limits(rows_log2))
    work = Work(analysis, GatePolicy(), digest_key=bytes(16))

    def party(session: Session) -> Outcome:
        return runner.run(session, replace(work, source=sources[session.me]))

    return simulate(3, range(3), party)


@pytest.mark.parametrize(
    ("rows_log2", "kinds", "error"),
    [
        (16, (Unreadable, FrameSource, FrameSource), DataError),
        (8, (FrameSource, FrameSource, FrameSource), ValueRangeError),  # the first hospital has more rows than its charter says
    ],
    ids=["unreadable", "more rows than the charter says"],
)
def test_it_is_a_refusal_like_any_other(rows_log2: int, kinds: Any, error: type) -> None:
    found = outcomes(rows_log2, kinds)
    assert [outcome.stop for outcome in found] == ["refused"] * 3
    assert len({tuple(outcome.opened) for outcome in found}) == 1
    assert isinstance(found[0].data_error, error)
    assert [outcome.data_error for outcome in found[1:]] == [None, None]
    assert not any(outcome.row_sets or outcome.shares for outcome in found)


def test_without_the_fault_there_is_an_answer() -> None:
    assert [outcome.stop for outcome in outcomes(16, (FrameSource,) * 3)] == [None] * 3


def hidden_fit(
    where: str | None, bands: tuple[int, ...], kind: type[FrameSource] = FrameSource, engine: str = "replicated"
) -> list[Outcome]:
    data = datasets.load("indo_rct")
    dictionary = Dictionary.parse(data.dictionary)
    sources = [type_(frame, dictionary) for type_, frame in zip((kind, *[FrameSource] * 2), data.frames().values(), strict=True)]
    analysis = build(Ask("logit", formula="pep_out ~ indo + age", engine=engine), dictionary, Limits(10, bands))
    condition = None if where is None else Condition.parse(where, dictionary)
    work = Work(analysis, GatePolicy(), where=condition, digest_key=bytes(16))
    return simulate(3, range(3), lambda session: runner.run(session, replace(work, source=sources[session.me])))


@pytest.mark.parametrize(
    ("where", "band", "kind"),
    [(None, 512, Unreadable), ("age > 99", 512, FrameSource), ("age > 19", 512, FrameSource), (None, 128, FrameSource)],
    ids=["unreadable", "nobody", "a few left out", "outgrown band"],
)
def test_shared_rows_are_refused_by_the_same_messages_whatever_failed(where: str | None, band: int, kind: Any) -> None:
    """As many frames of each kind and as many bytes as where one hospital's `where` leaves only a few."""
    found, likewise = hidden_fit(where, (band,) * 3, kind), hidden_fit("age > 95", (band,) * 3)
    assert [outcome.stop for outcome in found + likewise] == ["refused"] * 6
    for one, other in zip(found, likewise, strict=True):
        assert (one.opened, one.meter.frames, one.meter.bytes_sent) == (other.opened, other.meter.frames, other.meter.bytes_sent)


def test_more_rows_than_declared_are_refused_where_none_are_shared() -> None:
    """How many blocks a hospital computes on ciphertexts would show them."""
    found = hidden_fit(None, (128, 512, 512), engine="ckks")
    assert [outcome.stop for outcome in found] == ["refused"] * 3
    assert str(found[0].data_error) == runner.OUTGROWN
    assert [outcome.data_error for outcome in found[1:]] == [None, None]


class Growing(FrameSource):
    """Nine people come in between the first pass over the rows, whose counts the rules have seen, and the next."""

    def __init__(self, frame: pd.DataFrame, dictionary: Dictionary) -> None:
        super().__init__(frame, dictionary)
        self._later, self._passes = FrameSource(pd.concat([frame, frame.iloc[:9]], ignore_index=True), dictionary), 0

    def rows(self, query: Query) -> Rows:
        self._passes += 1
        return super().rows(query) if self._passes == 1 else self._later.rows(query)


def test_rows_that_change_after_the_rules_have_seen_them_end_the_job() -> None:
    data = datasets.load("indo_rct")
    dictionary = Dictionary.parse(data.dictionary)

    def fit(kind: type[FrameSource]) -> list[Outcome]:
        kinds = (kind, FrameSource, FrameSource)
        sources = [type_(frame, dictionary) for type_, frame in zip(kinds, data.frames().values(), strict=True)]
        asked = Ask("logit", formula="pep_out ~ indo + age", disclosure="steps")
        work = Work(build(asked, dictionary, Limits(10, (512,) * 3)), GatePolicy(), steps=True, digest_key=bytes(16))
        return simulate(3, range(3), lambda session: runner.run(session, replace(work, source=sources[session.me])))

    assert [outcome.stop for outcome in fit(FrameSource)] == [None] * 3
    with pytest.raises(DataError, match="changed while"):
        fit(Growing)


def test_encrypted_fits_compute_on_the_rows_of_the_first_pass() -> None:
    """A database whose rows change between two passes does not end a fit of many steps: there is one pass."""
    unchanged, changing = (hidden_fit(None, (512,) * 3, kind, engine="ckks") for kind in (FrameSource, Growing))
    assert [outcome.stop for outcome in unchanged + changing] == [None] * 6
    assert changing[0].row_sets == unchanged[0].row_sets
    assert changing[0].opened == unchanged[0].opened
