"""Exceptions as gRPC statuses: a status, a stable code in the trailing metadata, and a text without data.

    unseen-code    the exception's class name in kebab case, e.g. "unknown-column"; the researcher's SDK goes by it

What is not ours is INTERNAL without a text: the log has its class and place.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

import grpc

from engine import errors
from engine.party.errors import StorageFailed, TooMany
from engine.party.log import Log
from native.errors import UnseenError

CODE = "unseen-code"


class NotThere(UnseenError):
    """No such job here, or not one of the caller's."""


class NotYet(UnseenError):
    """The job has no release."""


STATUS: dict[type[UnseenError], grpc.StatusCode] = {
    NotThere: grpc.StatusCode.NOT_FOUND,
    NotYet: grpc.StatusCode.ABORTED,
    errors.SpecError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.SignatureInvalid: grpc.StatusCode.UNAUTHENTICATED,
    errors.NotAuthorised: grpc.StatusCode.PERMISSION_DENIED,
    errors.Expired: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Paused: grpc.StatusCode.FAILED_PRECONDITION,
    errors.DataError: grpc.StatusCode.DATA_LOSS,
    TooMany: grpc.StatusCode.RESOURCE_EXHAUSTED,
    StorageFailed: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def of(error: BaseException) -> tuple[grpc.StatusCode, str, str]:
    """Status, stable code and text."""
    for kind, status in STATUS.items():
        if isinstance(error, kind):
            return status, kebab(type(error).__name__), str(error)
    return grpc.StatusCode.INTERNAL, "internal", "this party failed; its operator finds the cause in its log"


async def fail(context: Any, error: Exception, log: Log) -> NoReturn:
    """End a call with an exception's status."""
    status, code, text = of(error)
    if status is grpc.StatusCode.INTERNAL:
        log.failure("call failed", error)
    await context.abort(status, text, ((CODE, code),))
    raise AssertionError  # abort raises


def kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
