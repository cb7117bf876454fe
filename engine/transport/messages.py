"""What crosses a link: LinkMessage, decoded and checked for form before anybody acts on it.

Promised to all that handle messages: identifiers have their length, strings and ranks are bounded, a body is present. Whether a
well-formed message fits is the business of the session or opening that it names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from engine.transport import frames
from engine.transport.codes import CHUNK, KIND_LIMIT, RANK_LIMIT, AbortCode
from engine.transport.frames import DTYPES, ROUTE_SIZE, Part
from engine.wire.v1.party_link_pb2 import (
    Abort,
    Drain,
    Frame,
    Heartbeat,
    JobNotice,
    LinkHello,
    LinkMessage,
    SessionHello,
    SessionReady,
)
from protocols.errors import PeerMisbehaved


def decode(raw: bytes) -> tuple[str, Any]:
    """Name and body of a well-formed message; a frame as Part. Raises PeerMisbehaved for anything else, whatever the bytes."""
    try:
        name, body = _parse(raw)
    except DecodeError:
        raise PeerMisbehaved("a peer sent bytes that are no message") from None
    if name is None or not _CHECKS[name](body):
        raise PeerMisbehaved("a peer sent a message that is not well formed")
    return name, body


def _parse(raw: bytes) -> tuple[str | None, Any]:
    split = frames.split(raw)
    if split is not None:
        return "frame", _part(*split)
    message = LinkMessage.FromString(raw)
    name = message.WhichOneof("body")
    if name == "frame":
        return name, _part(message.frame, message.frame.payload)
    return name, getattr(message, name) if name else None


def _part(frame: Frame, payload: bytes | memoryview) -> Part:
    shape = tuple(frame.shape)
    return Part(frame.route, frame.step, frame.kind, frame.dtype, shape, frame.chunk, frame.chunks, payload)


def _frame(frame: Part) -> bool:
    return (
        len(frame.route) == ROUTE_SIZE
        and 0 < len(frame.kind) <= KIND_LIMIT
        and frame.dtype in DTYPES
        and len(frame.shape) <= RANK_LIMIT
        and frame.chunk < frame.chunks
        and len(frame.payload) <= CHUNK
    )


def _session_hello(hello: SessionHello) -> bool:
    lengths = len(hello.job), len(hello.public_key), len(hello.nonce), len(hello.signature)
    return lengths == (32, 32, 32, 64)


def _ready(ready: SessionReady) -> bool:
    return len(ready.job) == 32 and len(ready.session) == 32


def _notice(notice: JobNotice) -> bool:
    return len(notice.job) == 32 and len(notice.signature) == 64 and 0 < len(notice.verdict) <= 16


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "hello": lambda m: len(m.charter) == 32 and len(m.nonce) == 32,
    "session_hello": _session_hello,
    "session_ready": _ready,
    "frame": _frame,
    "heartbeat": lambda m: len(m.session) == 32,
    "abort": lambda m: len(m.job) == 32 and 0 < len(m.code) <= 32,
    "job_notice": _notice,
    "credit": lambda m: len(m.session) == 32,
    "leave": lambda m: len(m.session) == 32,
    "drain": lambda m: True,
}


def link_hello(version: int, charter_id: str, nonce: bytes) -> LinkMessage:
    return LinkMessage(hello=LinkHello(protocol_version=version, charter=bytes.fromhex(charter_id), nonce=nonce))


def heartbeat(session: bytes, working: bool) -> LinkMessage:
    return LinkMessage(heartbeat=Heartbeat(session=session, working=working))


def drain(*, heard: bool) -> LinkMessage:
    return LinkMessage(drain=Drain(heard=heard))


def abort(job: bytes, attempt: int | None, code: AbortCode) -> LinkMessage:
    return LinkMessage(abort=Abort(job=job, attempt=attempt, code=code.value))


def route(session: bytes, sender: int, receiver: int) -> bytes:
    """Names one direction of one session, so that a frame recorded there fits nowhere else."""
    direction = sender.to_bytes(2, "little") + receiver.to_bytes(2, "little")
    return hashlib.sha256(b"unseen route v1\0" + session + direction).digest()
