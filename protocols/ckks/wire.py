"""Ciphertexts and public keys as bytes. Secret keys have no such form.

    4  "UCKS"        1  version       1  kind          1  level          1  whether a seed stands for the uniform half
    2  holders       4  element       16 parameters    16 key            8  scale      8  bound      8  deviation
    [16 seed]        residues, packed to the bits of their primes, the uniform half left out where the seed is there

Little-endian; floats are IEEE doubles. `deviation` is the noise variance of a switching key, `holders` of a Galois key says how
many more keys follow it; what a kind does not use is zero. Whatever can be read is written back as the same bytes. A reader
knows its parameters beforehand: sizes follow from them and are compared before anything is allocated. What a ciphertext says
about itself, bound and deviation, is its sender's claim: a plan that knows better compares.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from native import packing
from native.errors import KernelInputError
from native.rns import Basis
from protocols.ckks.ciphertext import Ciphertext
from protocols.ckks.context import Context, Words
from protocols.ckks.keys import SEED_BYTES, GaloisKeys, PublicKey, RelinearisationKey, SwitchingKey, uniform
from protocols.ckks.noise import Estimate
from protocols.errors import CiphertextMalformed, EncryptionError, KeyMismatch, MisuseError

MAGIC, VERSION = b"UCKS", 1
CIPHERTEXT, PRODUCT, PUBLIC_KEY, RELINEARISATION_KEY, GALOIS_KEY = 1, 2, 3, 4, 5
Kind = TypeVar("Kind", bound=SwitchingKey)
KEY_ID_BYTES = 16
LAYOUT = struct.Struct("<4sBBBBHI16s16sddd")


@dataclass(frozen=True, slots=True)
class _Header:
    kind: int
    level: int
    seeded: int
    holders: int
    element: int
    context_id: bytes
    key_id: bytes
    scale: float
    bound: float
    deviation: float

    def pack(self) -> bytes:
        if len(self.key_id) != KEY_ID_BYTES:
            raise MisuseError(f"a key that travels has an id of {KEY_ID_BYTES} bytes")
        fields = (self.kind, self.level, self.seeded, self.holders, self.element)
        names = (self.context_id, self.key_id, self.scale, self.bound, self.deviation)
        return LAYOUT.pack(MAGIC, VERSION, *fields, *names)


def write_ciphertext(a: Ciphertext) -> bytes:
    kind, estimate = CIPHERTEXT if a.degree == 1 else PRODUCT, a.estimate
    seeded, context = a.seed is not None, a.context
    numbers = (a.scale, estimate.bound, estimate.deviation)
    header = _Header(kind, a.level, seeded, estimate.holders, 0, context.id, a.key_id, *numbers)
    kept = a.polynomials[:1] if seeded else a.polynomials
    return header.pack() + (a.seed or b"") + packing.pack(kept, context.levels[a.level])


def read_ciphertext(context: Context, data: bytes) -> Ciphertext:
    """Raises CiphertextMalformed, or KeyMismatch when it belongs to other parameters."""
    header, body = _header(context, data, {CIPHERTEXT, PRODUCT})
    if header.level > context.top or header.element or not header.holders or (header.seeded and header.kind != CIPHERTEXT):
        raise _malformed()
    if not (_positive(header.scale) and _positive(header.deviation) and 0 <= header.bound < math.inf):
        raise _malformed()
    basis, parts = context.levels[header.level], header.kind + 1
    seed, kept = _body(body, header.seeded, (parts - header.seeded, len(basis), context.degree), basis)
    polynomials = kept if seed is None else np.stack([kept[0], uniform(context, seed, 0, basis)])
    estimate = Estimate(header.bound, header.deviation, header.holders)
    try:
        return Ciphertext(context, polynomials, header.scale, header.key_id, estimate, seed)
    except EncryptionError:
        raise _malformed() from None


def write_public_key(key: PublicKey) -> bytes:
    seeded, context = key.seed is not None, key.context
    header = _Header(PUBLIC_KEY, context.top, seeded, key.holders, 0, context.id, key.key_id, 0.0, 0.0, 0.0)
    kept = key.polynomials[:1] if seeded else key.polynomials
    return header.pack() + (key.seed or b"") + packing.pack(kept, context.wide[-1])


def read_public_key(context: Context, data: bytes) -> PublicKey:
    """Raises CiphertextMalformed, or KeyMismatch when it belongs to other parameters."""
    header, body = _header(context, data, {PUBLIC_KEY})
    if (
        header.level != context.top
        or header.element
        or not header.holders
        or not _blank(header.scale, header.bound, header.deviation)
    ):
        raise _malformed()
    basis = context.wide[-1]
    seed, kept = _body(body, header.seeded, (2 - header.seeded, len(basis), context.degree), basis)
    polynomials = kept if seed is None else np.stack([kept[0], uniform(context, seed, 0, basis)])
    return PublicKey(context, header.key_id, polynomials, seed, header.holders)


def write_relinearisation_key(key: RelinearisationKey) -> bytes:
    return _write_switching_key(key, RELINEARISATION_KEY, 0, 0)


def read_relinearisation_key(context: Context, data: bytes) -> RelinearisationKey:
    """Raises CiphertextMalformed, or KeyMismatch when it belongs to other parameters."""
    header, body = _header(context, data, {RELINEARISATION_KEY})
    if header.element or header.holders:
        raise _malformed()
    return _read_switching_key(context, header, body, RelinearisationKey)


def write_galois_keys(keys: GaloisKeys) -> bytes:
    """One key after the other, in the order of their elements."""
    ordered, written = sorted(keys.keys.items()), b""
    for place, (element, key) in enumerate(ordered):
        written += _write_switching_key(key, GALOIS_KEY, element, len(ordered) - 1 - place)
    return written


def read_galois_keys(context: Context, data: bytes) -> GaloisKeys:
    """Raises CiphertextMalformed, or KeyMismatch when it belongs to other parameters."""
    found: dict[int, SwitchingKey] = {}
    rest, last, follow = memoryview(data), 0, None
    while follow != 0:
        header, _ = _header(context, rest[: LAYOUT.size], {GALOIS_KEY})
        if not last < header.element < 2 * context.degree or not header.element & 1 or follow not in (None, header.holders + 1):
            raise _malformed()
        size = LAYOUT.size + _key_bytes(context, header.seeded)
        found[header.element] = _read_switching_key(context, header, rest[LAYOUT.size : size], SwitchingKey)
        rest, last, follow = rest[size:], header.element, header.holders
    if rest:
        raise _malformed()
    names = {key.key_id for key in found.values()}
    if len(names) != 1:
        raise KeyMismatch("Galois keys of different secrets in one message")
    return GaloisKeys(context, names.pop(), found)


def _write_switching_key(key: SwitchingKey, kind: int, element: int, follow: int) -> bytes:
    seeded, context = key.seed is not None, key.context
    header = _Header(kind, context.top, seeded, follow, element, context.id, key.key_id, 0.0, 0.0, key.noise_variance)
    kept = key.polynomials[:, 0] if seeded else key.polynomials
    return header.pack() + (key.seed or b"") + packing.pack(kept, context.everything)


def _read_switching_key(context: Context, header: _Header, body: memoryview, kind: type[Kind]) -> Kind:
    if header.level != context.top or not _blank(header.scale, header.bound) or not _positive(header.deviation):
        raise _malformed()
    basis, digits = context.everything, len(context.preset.digits)
    tail = (len(basis), context.degree)
    seed, kept = _body(body, header.seeded, (digits, *tail) if header.seeded else (digits, 2, *tail), basis)
    if seed is not None:
        kept = np.stack([kept, np.stack([uniform(context, seed, digit, basis) for digit in range(digits)])], axis=1)
    return kind(context, header.key_id, kept, seed, header.deviation)


def _key_bytes(context: Context, seeded: int) -> int:
    shape = (len(context.preset.digits) * (2 - seeded), len(context.everything), context.degree)
    return SEED_BYTES * seeded + packing.packed_size(shape, context.everything)


def _header(context: Context, data: bytes | memoryview, kinds: set[int]) -> tuple[_Header, memoryview]:
    view = memoryview(data).cast("B")
    if len(view) < LAYOUT.size:
        raise _malformed()
    magic, version, *fields = LAYOUT.unpack(view[: LAYOUT.size])
    header = _Header(*fields)
    if magic != MAGIC or version != VERSION or header.kind not in kinds or header.seeded > 1:
        raise _malformed()
    if header.context_id != context.id:
        raise KeyMismatch("these bytes belong to other parameters: all parties must use one preset")
    return header, view[LAYOUT.size :]


def _body(body: memoryview, seeded: int, shape: tuple[int, ...], basis: Basis) -> tuple[bytes | None, Words]:
    """(the seed where there is one, residues of this shape)."""
    skip = SEED_BYTES * seeded
    if len(body) != skip + packing.packed_size(shape, basis):
        raise _malformed()
    try:
        return (bytes(body[:skip]) if seeded else None), packing.unpack(body[skip:], shape, basis)
    except KernelInputError:
        raise _malformed() from None


def _positive(value: float) -> bool:
    return 0 < value < math.inf


def _blank(*values: float) -> bool:
    """Each is +0.0."""
    return all(value == 0 and math.copysign(1, value) > 0 for value in values)


def _malformed() -> CiphertextMalformed:
    return CiphertextMalformed("bytes that are not what these parameters ask for: ask the sender again")
