"""Structured logs: one JSON object a line on stderr, holding listed fields only, so that no data can slip into them.

A field that is not on the list is dropped, whatever its value. An exception is logged by its class and the line that raised it,
never by its text, which may hold a value. Lines of other loggers keep their text only when the logger is ours.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, TextIO

import structlog

FIELDS = frozenset(
    {
        "event",
        "level",
        "time",
        "party",
        "job",
        "member",
        "state",
        "code",
        "by",
        "stage",
        "sent",
        "error",
        "at",
        "address",
        "logger",
    }
)
OURS = ("engine", "protocols", "native", "unseen")
LONGEST = 200


def allow_listed(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """structlog processor: keep listed fields, as short text."""
    return {key: str(value)[:LONGEST] for key, value in event.items() if key in FIELDS and value not in ("", None)}


class Log:
    """The daemon's log."""

    def __init__(self, party: str, level: str = "info", stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        number = logging.getLevelNamesMapping()[level.upper()]
        processors: list[Any] = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            allow_listed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ]
        wrapper = structlog.make_filtering_bound_logger(number)
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(stream), processors=processors, wrapper_class=wrapper, party=party
        )

    def info(self, event: str, **fields: Any) -> None:
        self._log.info(event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._log.warning(event, **fields)

    def failure(self, event: str, error: BaseException, **fields: Any) -> None:
        """An exception, without its text."""
        self._log.error(event, error=type(error).__name__, at=place(error), **fields)

    def capture_others(self) -> None:
        """Send the standard library's loggers here."""
        root = logging.getLogger()
        root.handlers[:] = [_Forward(self)]
        root.setLevel(logging.WARNING)
        logging.getLogger("engine").setLevel(logging.INFO)


class _Forward(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self._to = log

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name.split(".")[0] in OURS
        text = record.getMessage() if ours else "a library logged something; its text is withheld, it could hold data"
        send = self._to.warning if record.levelno >= logging.WARNING else self._to.info
        send(text, logger=record.name)


def place(error: BaseException) -> str:
    """file:line of the innermost frame of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{'/'.join(frames[-1].filename.split('/')[-3:])}:{frames[-1].lineno}" if frames else ""
