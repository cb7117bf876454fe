"""How one array crosses: cut into frames of at most CHUNK bytes, each a LinkMessage of which both ends know all but the payload.

Sender and receiver hold the same plan, so the receiver can write down beforehand every byte that precedes a payload: tags,
lengths, route, step, kind, dtype, shape, place (`Layout.head`). It compares where others parse; what is equal needs no further
check, and whatever is not equal (a frame ahead of the plan, a duplicate, another encoder's order, an attack) goes through
messages.decode, field by field. So a frame costs little, and no payload passes through protobuf, which copies a field each time
that it is set, nested, written, parsed or read. The bytes are protobuf's own, in the order of its fields.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from engine.transport.codes import CHUNK, KIND_LIMIT
from engine.wire.v1.party_link_pb2 import Frame, LinkMessage
from protocols.errors import MisuseError

DTYPES = ("|u1", "<u8", "<i8", "<f8")  # all that may cross, as NumPy writes them
LARGE = 1 << 14  # bytes of a message from which a fast hash pays, and a payload is read where it lies
HEAD_LIMIT = 512  # bytes before such a payload: they stay in memory as long as it does, and count for nothing
ROUTE_SIZE = 32

_STUTTER = AESGCM(os.urandom(16))


class Part(NamedTuple):
    """A frame that came and was parsed: its header's fields, and its payload."""

    route: bytes
    step: int
    kind: str
    dtype: str
    shape: tuple[int, ...]
    chunk: int
    chunks: int
    payload: bytes | memoryview


class Layout:
    """How an array of one kind, dtype and shape is cut and labelled. Made by `layout`."""

    def __init__(self, kind: str, dtype: str, shape: tuple[int, ...]) -> None:
        self.kind, self.dtype, self.shape = kind, dtype, shape
        self.size = math.prod(shape) * np.dtype(dtype).itemsize
        self.chunks = max(1, -(-self.size // CHUNK))  # an array of no bytes is one empty frame
        self._label = _bytes("kind", kind.encode()) + _bytes("dtype", dtype.encode())
        self._label += _bytes("shape", b"".join(map(varint, shape)))
        self._first = self._tail(0)

    def span(self, chunk: int) -> tuple[int, int]:
        """Where the chunk begins and ends in the array's bytes."""
        return chunk * CHUNK, min((chunk + 1) * CHUNK, self.size)

    def head(self, route: bytes, step: int, chunk: int) -> bytes:
        """The message that carries this chunk, up to its payload."""
        start, stop = self.span(chunk)
        place = _STEP + varint(step) if step else b""
        tail = self._tail(chunk) if chunk else self._first
        inner = 2 + ROUTE_SIZE + len(place) + len(tail) + stop - start
        return b"".join((_FRAME, varint(inner), _ROUTE, route, place, tail))

    def _tail(self, chunk: int) -> bytes:
        """What follows the step."""
        start, stop = self.span(chunk)
        payload = _tag("payload", 2) + varint(stop - start) if stop > start else b""
        return self._label + _number("chunk", chunk) + _number("chunks", self.chunks) + payload


@lru_cache(maxsize=1024)
def layout(kind: str, dtype: np.dtype, shape: tuple[int, ...]) -> Layout:
    """Raises MisuseError for a dtype that may not cross the wire, or a kind of no or too many characters."""
    if not 0 < len(kind) <= KIND_LIMIT:
        raise MisuseError(f"the kind of a message has 1 to {KIND_LIMIT} characters")
    name = dtype.newbyteorder("<").str
    if name not in DTYPES:
        raise MisuseError(f"arrays of {dtype} do not cross the wire; send uint8, uint64, int64 or float64")
    return Layout(kind, name, shape)


def fingerprint(raw: bytes) -> int | bytes:
    """Tells a message from a differing one, in this process alone. Keyed, as Python's hash is; fast for large ones too."""
    return hash(raw) if len(raw) < LARGE else _STUTTER.encrypt(bytes(12), b"", raw)  # the tag: AES-GMAC


def route_of(raw: bytes) -> bytes:
    """The route of a message that a Layout's head may begin; of any other, some bytes that are no route."""
    if raw[:1] != _FRAME:
        return b""
    at = 1
    while at < 5 and raw[at : at + 1] >= b"\x80":
        at += 1
    return raw[at + 3 : at + 3 + ROUTE_SIZE]


def split(raw: bytes) -> tuple[Frame, memoryview] | None:
    """Header and payload of a large message that ends in its payload, as a Layout's do; None for another. Raises DecodeError."""
    if len(raw) < LARGE or raw[:1] != _FRAME:
        return None
    inner, begin = _read_varint(raw, 1)
    at = begin
    while begin + inner == len(raw) and at <= HEAD_LIMIT:
        tag = raw[at : at + 1]
        number, behind = _read_varint(raw, at + 1)
        if tag == _PAYLOAD and behind + number == len(raw):
            return Frame.FromString(raw[begin:at]), memoryview(raw)[behind:]
        if tag[0] >= 0x80 or tag[0] & 7 not in (0, 2):  # the header's own fields have tags of one byte, and are numbers or bytes
            return None
        at = behind + number if tag[0] & 7 == 2 else behind
    return None


@lru_cache(maxsize=4096)
def varint(number: int) -> bytes:
    """protobuf's base 128, lowest digits first."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends; a number that fits no message when there is none."""
    number = 0
    for place, digit in enumerate(raw[at : at + 10]):
        number |= (digit & 0x7F) << 7 * place
        if digit < 0x80:
            return number, at + place + 1
    return 1 << 70, at


def _tag(name: str, wire_type: int) -> bytes:
    return bytes((Frame.DESCRIPTOR.fields_by_name[name].number << 3 | wire_type,))


def _bytes(name: str, value: bytes) -> bytes:
    return _tag(name, 2) + varint(len(value)) + value if value else b""


def _number(name: str, value: int) -> bytes:
    return _tag(name, 0) + varint(value) if value else b""


_FRAME = bytes((LinkMessage.FRAME_FIELD_NUMBER << 3 | 2,))
_ROUTE = _tag("route", 2) + varint(ROUTE_SIZE)
_STEP = _tag("step", 0)
_PAYLOAD = _tag("payload", 2)
