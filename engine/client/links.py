"""The researcher's lines to the parties: one channel each, mutual TLS, pinned to the certificate in the charter."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import grpc

from engine import errors
from engine.client.config import ResearcherConfig
from engine.relay.doors import ThreadedDoors
from engine.transport import credentials
from engine.transport.codes import PROTOCOL_VERSION
from engine.wire.v1 import jobs_pb2 as wire
from engine.wire.v1.jobs_pb2_grpc import JobsStub
from native.errors import UnseenError

Reply = TypeVar("Reply")

CALL_SECONDS = 10.0
"""How long a party may take to answer a plain call. Its answers are stored bytes or short texts, never work in progress."""

_LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_CODE = "unseen-code"  # in the trailing metadata: the name of the exception that the party raised (engine/party/status.py)
_CANNOT_TAKE = {"storage-failed", "too-many"}  # no room there, on the disk or in the queue: Paused, to a researcher
_MAY_RAISE = (errors.SpecError, errors.SignatureInvalid, errors.NotAuthorised, errors.Expired, errors.Paused)


class Links:
    """Stubs of the Jobs service by party name. Opened on first use, closed together."""

    def __init__(self, config: ResearcherConfig) -> None:
        self._config = config
        self._channels: dict[str, grpc.Channel] = {}
        self._doors = ThreadedDoors(config.identity, config.charter.id)
        self._lock = threading.Lock()

    def channel(self, member: str) -> grpc.Channel:
        with self._lock:
            if member not in self._channels:
                self._channels[member] = self._dial(member)
            return self._channels[member]

    def jobs(self, member: str) -> JobsStub:
        return JobsStub(self.channel(member))

    def _dial(self, member: str) -> grpc.Channel:
        pinned = self._config.charter.member(member)
        own = credentials.channel_credentials(self._config.identity, pinned)
        options = [*credentials.channel_options(pinned), ("grpc.enable_http_proxy", 0)]
        return grpc.secure_channel(self._doors.target(member, self._config.addresses[member]), own, options=options)

    def greet(self, members: Sequence[str]) -> None:
        """Returns when all members have said that they serve this charter and speak this program's version of the protocol.

        Parties that differ in these have no links with each other: what was asked would wait until it expires. Raises
        CharterError, OtherVersion, Unreachable, each naming the member.
        """
        self.everyone(members, self.greeting)

    def greeting(self, member: str, jobs: JobsStub) -> None:
        """`greet` for one member, as a call for `one`."""
        hello = jobs.Hello(wire.HelloRequest(), timeout=CALL_SECONDS)
        require_same(member, hello, self._config.charter.id)

    def everyone(self, members: Sequence[str], call: Callable[[str, JobsStub], Reply]) -> dict[str, Reply]:
        """Call all members at once. When some fail, raises the error of the first in order, after all have answered."""
        replies, failures = self.try_everyone(members, call)
        for error in failures.values():
            raise error
        return replies

    def try_everyone(
        self, members: Sequence[str], call: Callable[[str, JobsStub], Reply]
    ) -> tuple[dict[str, Reply], dict[str, UnseenError]]:
        """Call all members at once: the replies of those that answered, the errors of those that did not."""
        replies: dict[str, Reply] = {}
        failures: dict[str, UnseenError] = {}
        with ThreadPoolExecutor(max_workers=len(members)) as pool:
            pending = {member: pool.submit(self.one, member, call) for member in members}
        for member, future in pending.items():
            try:
                replies[member] = future.result()
            except UnseenError as error:
                failures[member] = error
        return replies, failures

    def one(self, member: str, call: Callable[[str, JobsStub], Reply]) -> Reply:
        """Call one member. Raises Unreachable, or the error that the member's answer names."""
        try:
            return call(member, self.jobs(member))
        except grpc.RpcError as error:
            raise (self._doors.failure(member) if lost(error) else None) or translate(
                error, member, self._config.addresses[member]
            ) from None

    def close(self) -> None:
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()
        self._doors.close()


def require_same(member: str, hello: wire.HelloReply, charter_id: str) -> None:
    """Raises OtherVersion, CharterError. The version first: what else another one says may mean something else."""
    if hello.protocol_version != PROTOCOL_VERSION:
        raise errors.OtherVersion(
            f"{member} speaks version {hello.protocol_version} of the protocol, this program {PROTOCOL_VERSION}, so no question "
            f"starts. Agree with {member}'s operator on one version of unseen"
        )
    if hello.charter.hex() != charter_id:
        raise errors.CharterError(
            f"{member} serves another study, or another edition of the charter ({hello.charter.hex()[:12]}, yours is "
            f"{charter_id[:12]}), so no question starts. All members use the same charter file: compare yours with {member}'s "
            "(`unseen study show`)"
        )


def lost(error: grpc.RpcError) -> bool:
    """Whether the line broke, in contrast to a party that answered with an error."""
    return _code(error) in _LOST


def translate(error: grpc.RpcError, member: str, address: str) -> UnseenError:
    """A gRPC failure as one of ours. What kind it is the party says with a code; its text speaks about the question alone."""
    code = _code(error)
    if code in _LOST:
        return errors.Unreachable(
            f"{member} does not answer at {address}: its daemon is down, or its address, name or certificate is not the charter's"
        )
    named, details = _answer(error)
    if named in _CANNOT_TAKE:
        return errors.Paused(f"{member}: {details}; send the same question again when there is room")
    for name in errors.__all__:
        kind = getattr(errors, name)
        if named == _kebab(name) and issubclass(kind, _MAY_RAISE):
            return kind(f"{member}: {details}")  # type: ignore[no-any-return]
    return UnseenError(f"{member}: {details or 'failed; ask its operator to look at the log'}")


def _code(error: Any) -> grpc.StatusCode | None:
    return error.code() if isinstance(error, grpc.Call) else None


def _answer(error: Any) -> tuple[str, str]:
    """The code and the text that a party answered with; a stranger's text is made safe to print."""
    if not isinstance(error, grpc.Call):
        return "", ""
    metadata = dict(error.trailing_metadata() or ())
    text = "".join(c if c.isprintable() else " " for c in str(error.details()))
    return str(metadata.get(_CODE, "")), text[:500].strip()


def _kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
