"""Logs hold listed fields only."""

import io
import json
import logging

import pytest

from engine.errors import DataError
from engine.party.log import Log

CANARY = "CANARY-4711"


def lines(stream: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_field_that_is_not_listed_is_dropped() -> None:
    stream = io.StringIO()
    Log("um", stream=stream).info("job", job="ab", value=CANARY, row={"age": CANARY}, state="approved")
    assert CANARY not in stream.getvalue()
    assert {key: lines(stream)[0][key] for key in ("event", "job", "state", "party")} == {
        "event": "job",
        "job": "ab",
        "state": "approved",
        "party": "um",
    }


def test_an_exception_is_logged_by_class_and_place_without_its_text() -> None:
    stream = io.StringIO()
    try:
        raise DataError(f"row {CANARY} is odd")
    except DataError as error:
        Log("um", stream=stream).failure("session failed", error, job="ab")
    assert CANARY not in stream.getvalue()
    assert lines(stream)[0]["error"] == "DataError"
    assert "test_log.py" in lines(stream)[0]["at"]


@pytest.mark.parametrize(("level", "written"), [("info", 1), ("warning", 0)])
def test_the_level_is_obeyed(level: str, written: int) -> None:
    stream = io.StringIO()
    Log("um", level, stream).info("job")
    assert len(lines(stream)) == written


def test_other_loggers_keep_their_text_only_when_they_are_ours() -> None:
    stream = io.StringIO()
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        Log("um", stream=stream).capture_others()
        logging.getLogger("grpc._cython.cygrpc").error("a servicer raised %s", CANARY, exc_info=ValueError(CANARY))
        logging.getLogger("engine.transport.mesh").warning("no link peer=%s", "iu")
    finally:
        root.handlers[:], root.level = before[0], before[1]
    assert CANARY not in stream.getvalue()
    assert lines(stream)[0]["logger"] == "grpc._cython.cygrpc"
    assert lines(stream)[1]["event"] == "no link peer=iu"
