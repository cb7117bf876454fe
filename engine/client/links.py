"""The researcher's lines to the parties: one channel each, mutual TLS, pinned to the certificate in the charter."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc

from engine import errors
from engine.client.config import ResearcherConfig
from engine.errors import UnseenError
from engine.transport import credentials
from engine.wire.v1.jobs_pb2_grpc import JobsStub

Reply = TypeVar("Reply")

CALL_SECONDS = 10.0
"""How long a party may take to answer a plain call. Its answers are stored bytes or short texts, never work in progress."""

MAX_MESSAGE_BYTES = 64 << 20
_LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_BY_STATUS: dict[grpc.StatusCode, type[UnseenError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.SpecError,
    grpc.StatusCode.PERMISSION_DENIED: errors.NotAuthorised,
    grpc.StatusCode.UNAUTHENTICATED: errors.SignatureInvalid,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Expired,
}


class Links:
    """Stubs of the Jobs service by party name. Opened on first use, closed together."""

    def __init__(self, config: ResearcherConfig) -> None:
        self._config = config
        self._channels: dict[str, grpc.Channel] = {}
        self._lock = threading.Lock()

    def jobs(self, member: str) -> JobsStub:
        with self._lock:
            if member not in self._channels:
                self._channels[member] = self._dial(member)
            return JobsStub(self._channels[member])

    def _dial(self, member: str) -> grpc.Channel:
        pinned = credentials.dial(self._config.identity, self._config.charter.member(member))
        limits = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.enable_http_proxy", 0)]
        return grpc.secure_channel(self._config.addresses[member], pinned.credentials, options=[*pinned.options, *limits])

    def everyone(self, members: Sequence[str], call: Callable[[str, JobsStub], Reply]) -> dict[str, Reply]:
        """Call all members at once. Raises what the first of them (in order) that failed raised, after all have answered."""
        with ThreadPoolExecutor(max_workers=len(members)) as pool:
            pending = {member: pool.submit(self.one, member, call) for member in members}
        return {member: future.result() for member, future in pending.items()}

    def one(self, member: str, call: Callable[[str, JobsStub], Reply]) -> Reply:
        """Call one member. Raises Unreachable, or the error that the member's answer names."""
        try:
            return call(member, self.jobs(member))
        except grpc.RpcError as error:
            raise translate(error, member, self._config.addresses[member]) from None

    def close(self) -> None:
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()


def lost(error: grpc.RpcError) -> bool:
    """Whether the line broke, in contrast to a party that answered with an error."""
    return _code(error) in _LOST


def translate(error: grpc.RpcError, member: str, address: str) -> UnseenError:
    """A gRPC failure as one of ours. The party's text is shown only where it speaks about the question itself."""
    code = _code(error)
    if code in _LOST:
        return errors.Unreachable(f"{member} does not answer at {address}: its daemon is down, or the address, name or certificate is wrong")
    details = _printable(str(error.details())) if isinstance(error, grpc.Call) else ""
    if code in _BY_STATUS:
        return _BY_STATUS[code](f"{member}: {details or 'no reason given'}")
    return errors.UnseenError(f"{member} answered {code.name if code else 'with an unknown error'}; ask its operator to look at the daemon's log")


def _code(error: Any) -> grpc.StatusCode | None:
    return error.code() if isinstance(error, grpc.Call) else None


def _printable(text: str) -> str:
    """A stranger's text, made safe to print: one line, no control characters, not long."""
    return "".join(c if c.isprintable() else " " for c in text)[:500].strip()
