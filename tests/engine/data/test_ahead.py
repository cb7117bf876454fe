"""A stream made ahead: the same items and errors, never too far ahead, and no thread left behind."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from engine.data.ahead import MOST, ahead


class Numbers:
    """Counts what was made, and who made and closed it."""

    def __init__(self, stop: int, error: BaseException | None = None) -> None:
        self.stop, self.error = stop, error
        self.made, self.closed_in = 0, ""
        self.reached = {number: threading.Event() for number in range(stop + 1)}

    def __iter__(self) -> Generator[int]:
        try:
            for number in range(self.stop):
                self.made += 1
                self.reached[number].set()
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed_in = threading.current_thread().name


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read ahead"]


@pytest.mark.parametrize("stop", [0, 1, 2, 3, 100])
def test_the_same_items_in_the_same_order(stop: int) -> None:
    numbers = Numbers(stop)
    assert list(ahead(iter(numbers))) == list(range(stop))
    assert numbers.closed_in == "read ahead"
    assert not threads()


def test_an_error_comes_after_the_items_before_it() -> None:
    error = ValueError("spoiled")
    stream = ahead(iter(Numbers(5, error)))
    assert [next(stream) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="spoiled") as caught:
        next(stream)
    assert caught.value is error
    assert not threads()


def test_never_further_ahead_than_allowed() -> None:
    numbers = Numbers(100)
    for number in ahead(iter(numbers)):
        assert numbers.made <= number + 1 + MOST


def test_it_is_ahead_while_the_last_item_is_in_use() -> None:
    numbers = Numbers(10)
    stream = ahead(iter(numbers))
    assert next(stream) == 0
    assert numbers.reached[MOST].wait(timeout=60)
    stream.close()


def test_leaving_early_closes_the_stream_in_its_own_thread() -> None:
    numbers = Numbers(100)
    stream = ahead(iter(numbers))
    next(stream)
    stream.close()
    assert numbers.closed_in == "read ahead"
    assert numbers.made <= 1 + MOST
    assert not threads()
