"""Who a member is: an Ed25519 key that signs documents, and a TLS key with a self-signed certificate that the charter pins."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.errors import ConfigError

SIGNING_KEY, TLS_KEY, TLS_CERTIFICATE = "signing.key", "tls.key", "tls.crt"


@dataclass(frozen=True)
class Identity:
    """A member's name and private keys. Never leaves the member's own folder."""

    name: str
    signing_key: Ed25519PrivateKey
    tls_key: bytes  # PEM
    certificate: bytes  # PEM

    @property
    def public_key(self) -> str:
        return base64.b64encode(self.signing_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def create(name: str, folder: Path, *, valid_for: timedelta = timedelta(days=730)) -> Identity:
    """Make both keys and the certificate (DNS SAN = name) in `folder`, private to its owner."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    signing = Ed25519PrivateKey.generate()
    tls = ec.generate_private_key(ec.SECP256R1())
    certificate = _self_signed(name, tls, valid_for)
    pem = PrivateFormat.PKCS8
    _write_private(folder / SIGNING_KEY, signing.private_bytes(Encoding.PEM, pem, NoEncryption()))
    _write_private(folder / TLS_KEY, tls.private_bytes(Encoding.PEM, pem, NoEncryption()))
    (folder / TLS_CERTIFICATE).write_bytes(certificate)
    return load(name, folder)


def load(name: str, folder: Path) -> Identity:
    """Read a member's keys. Raises ConfigError when a file is missing or is no key."""
    try:
        signing = load_pem_private_key((folder / SIGNING_KEY).read_bytes(), None)
        if not isinstance(signing, Ed25519PrivateKey):
            raise ValueError
        return Identity(name, signing, (folder / TLS_KEY).read_bytes(), (folder / TLS_CERTIFICATE).read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: the key is under a password
        files = f"{SIGNING_KEY}, {TLS_KEY}, {TLS_CERTIFICATE}"
        raise ConfigError(f"no usable keys of {name} in the keys folder; make them again or restore {files}") from None


def names_in(certificate: x509.Certificate) -> list[str]:
    """The DNS names that a certificate is made out to."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    return found.value.get_values_for_type(x509.DNSName)


def owner(folder: Path) -> Identity:
    """The keys of a folder, with the name that its certificate is made out to. Raises ConfigError."""
    try:
        (name,) = names_in(x509.load_pem_x509_certificate((folder / TLS_CERTIFICATE).read_bytes()))
    except (OSError, ValueError):
        raise ConfigError(f"{folder} holds no keys; they are made by `unseen party init` and `unseen init`") from None
    return load(name, folder)


def _self_signed(name: str, key: ec.EllipticCurvePrivateKey, valid_for: timedelta) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5) if valid_for > timedelta(0) else now + valid_for - timedelta(days=1))
        .not_valid_after(now + valid_for)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _write_private(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
