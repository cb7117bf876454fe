"""Threads that cannot begin, and those that have."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from engine import threads


def test_a_thread_begins_and_does_its_work() -> None:
    done, found = threading.Event(), list[str]()

    def work() -> None:
        found.append(threading.current_thread().name)
        done.set()

    thread = threading.Thread(target=work, name="worker", daemon=True)
    threads.begin(thread)
    assert done.wait(20)
    thread.join(20)
    assert found == ["worker"]
    assert not thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nobody_waits_for_a_thread_that_dies_in_its_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(self: threading.Thread) -> None:
        raise MemoryError

    monkeypatch.setattr(threads, "START_SECONDS", 0.1)
    monkeypatch.setattr(threading.Thread, "_bootstrap", die)
    with pytest.raises(MemoryError, match="could not begin"):
        threads.begin(threading.Thread(target=print, daemon=True))


def test_what_the_system_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> int:
        raise RuntimeError("can't start new thread")

    for name in ("_start_new_thread", "_start_joinable_thread"):  # before and since Python 3.13
        monkeypatch.setattr(threading, name, refuse, raising=False)
    with pytest.raises(RuntimeError):
        threads.begin(threading.Thread(target=print, daemon=True))


def test_a_pool_starts_no_thread_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with threads.pool(3) as pool:

        def refuse(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", refuse)
        everybody = threading.Barrier(3)
        assert sorted(pool.map(lambda number: (everybody.wait(20), number)[1], range(3))) == [0, 1, 2]
        assert list(pool.map(abs, range(50))) == list(range(50))
