"""Who may connect to whom: mutual TLS in which every certificate is pinned by the charter.

Promised to every service of a daemon: a caller holds the private key of a certificate that stands in the charter and is valid
today, and `peer_member` says whose. Promised to a dialler: the other end holds the key of the one certificate pinned for the
member it meant to reach. A member's certificate is its own root, so no authority can vouch for another key; a certificate that a
member issues further is refused by `peer_member`, which compares whole certificates.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from engine.charter import Charter, Member
from engine.errors import NotAuthorised
from engine.identity import Identity
from engine.transport.codes import MESSAGE_LIMIT

Options = tuple[tuple[str, Any], ...]

_REDIAL: Options = (  # a party that was away is back for those who ask it within seconds; gRPC's own limit is two minutes
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # for one attempt, connection and handshake
    ("grpc.max_reconnect_backoff_ms", 2_000),
)
_COMMON: Options = (
    ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ("grpc.max_receive_message_length", MESSAGE_LIMIT),
    ("grpc.keepalive_time_ms", 10_000),  # a dead peer is noticed on an idle link too
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
)
SERVER_OPTIONS: Options = (
    *_COMMON,
    ("grpc.so_reuseport", 0),  # a second daemon on the same port is an error, not a coin toss
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.max_concurrent_streams", 64),
)


def server_credentials(identity: Identity, charter: Charter) -> grpc.ServerCredentials:
    """For a daemon's port: own key, only members of the charter as clients. Raises NotAuthorised when its own is not valid."""
    _check_validity(identity.certificate, identity.name)
    roots = "\n".join(member.certificate for member in charter.members).encode()
    own = [(identity.tls_key, identity.certificate)]
    return grpc.ssl_server_credentials(own, root_certificates=roots, require_client_auth=True)


def channel_credentials(identity: Identity, member: Member) -> grpc.ChannelCredentials:
    """For dialling exactly `member`. Raises NotAuthorised when either certificate is not valid today."""
    _check_validity(identity.certificate, identity.name)
    _check_validity(member.certificate.encode(), member.name)
    return grpc.ssl_channel_credentials(member.certificate.encode(), identity.tls_key, identity.certificate)


def channel_options(member: Member) -> Options:
    """Options for dialling `member`: the name in its certificate is the charter's, whatever its address."""
    own_connection = ("grpc.use_local_subchannel_pool", 1)  # a new channel is a new handshake
    return (*_COMMON, *_REDIAL, ("grpc.ssl_target_name_override", member.name), own_connection)


def dial(identity: Identity, member: Member, target: str | None = None) -> grpc.aio.Channel:
    """A channel to `member` at its address, or at `target`, a door of engine/relay that leads there.

    Raises NotAuthorised when it has no address or a certificate is not valid.
    """
    if member.address is None:
        raise NotAuthorised(f"{member.name} runs no daemon: the charter holds no address for it")
    return grpc.aio.secure_channel(
        target or member.address, channel_credentials(identity, member), options=channel_options(member)
    )


def peer_member(context: Any, charter: Charter) -> Member:
    """The member whose pinned certificate opened this call (`context` is a servicer's). Raises NotAuthorised for anybody else."""
    presented = _der_certificates(context.auth_context().get("x509_pem_cert", ()))
    for member in charter.members:
        if presented == [member.certificate_der]:
            _check_validity(member.certificate.encode(), member.name)
            return member
    raise NotAuthorised("the certificate of this connection is not one that the charter pins")


def _der_certificates(pems: Iterable[bytes]) -> list[bytes]:
    try:
        return [x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) for pem in pems]
    except ValueError:
        raise NotAuthorised("the certificate of this connection cannot be read") from None


def _check_validity(pem: bytes, name: str) -> None:
    certificate = x509.load_pem_x509_certificate(pem)
    now = datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise NotAuthorised(f"the certificate of {name} is not valid today; {name} makes a new one, all sign the charter again")
