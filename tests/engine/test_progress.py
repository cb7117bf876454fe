"""Bars at the researcher's: on a terminal, of what the events say, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from engine.client.progress import Bars, Silent, amount, shown
from engine.client.watch import JobEvent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def event(member: str, detail: str = "", read: int | None = None, sent: int = 0, state: str = "computing") -> JobEvent:
    return JobEvent(member, state, detail, "", "", "2026-01-01T12:00:00Z", 0, read, sent)


def on_terminal(monkeypatch: pytest.MonkeyPatch, *events: JobEvent) -> str:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with shown("logit 0123456789ab", {"a": 10240, "b": 2048}, quiet=False) as bars:
        assert isinstance(bars, Bars)
        for each in events:
            bars.show(each)
        bars._live.refresh()
        return screen.getvalue()


def test_a_bar_for_each_hospital_while_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_terminal(monkeypatch, event("a", "start", 45, 1_500_000), event("b", "start", 50, 700_000))
    assert "start, 2.2 MB exchanged" in text
    assert "a reads its table" in text
    assert "45 % of at most 10,240 rows" in text
    assert "50 % of at most 2,048 rows" in text


def test_no_bar_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_terminal(monkeypatch, event("a", "newton 2", None, 5000), event("b", "newton 2", None, 3000))
    assert "newton 2, 8.0 kB exchanged" in text
    assert "reads its table" not in text


def test_who_is_waited_for_goes_before_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "waiting for approval: b" in on_terminal(monkeypatch, event("a", state="approved"), event("b", state="verified"))


@pytest.mark.parametrize(("screen", "quiet"), [(Terminal(), True), (io.StringIO(), False)])
def test_nothing_is_shown_where_quiet_was_asked_for_or_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, quiet: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    with shown("logit", {"a": 1024}, quiet) as bars:
        assert type(bars) is Silent
        bars.show(event("a", "start", 45))
    assert screen.getvalue() == ""


def test_what_is_printed_to_a_file_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with shown("logit", {}, quiet=False):
        print("a line of the result")
    assert sys.stdout.getvalue() == "a line of the result\n"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (2_345_000, "2.3 MB"), (9.9e12, "9900.0 GB")]
)
def test_amounts(size: int, text: str) -> None:
    assert amount(size) == text
