"""One byte string for one meaning: canonical JSON, its hash, and signatures over exactly those bytes.

Canonical form: UTF-8 JSON, keys sorted, no white space, no NaN. What is signed is the domain, a zero byte, and the bytes, so
that a signature for one kind of document cannot serve as one for another. Signatures are Ed25519 (RFC 8032).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from engine.errors import SignatureInvalid


def to_bytes(document: Any) -> bytes:
    """Canonical JSON of a tree of dicts, lists, strings, numbers, booleans and None."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def sign(key: Ed25519PrivateKey, domain: str, data: bytes) -> bytes:
    """64 bytes over `domain`, a zero byte and the exact bytes of `data`."""
    return key.sign(domain.encode() + b"\0" + data)


def verify(public_key: bytes, domain: str, data: bytes, signature: bytes) -> None:
    """Raises SignatureInvalid unless `signature` is the 32-byte key's over exactly these bytes in this domain."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, domain.encode() + b"\0" + data)
    except (InvalidSignature, ValueError):
        raise SignatureInvalid("the signature does not verify over these bytes; ask the sender for the original file") from None


def fields_of(error: ValidationError) -> str:
    """What pydantic found wrong, field by field, without the values."""
    found = error.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
