"""One look at another party's daemon, layer by layer: name, TCP or relay, TLS with the pinned certificate, study, version, clock.

gRPC says of all of these `UNAVAILABLE`; an operator has to know which it was.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import grpc

from engine import identity as identities
from engine.address import host_and_port
from engine.charter import Charter, Member
from engine.errors import ConfigError, NotAuthorised
from engine.identity import Identity
from engine.relay.doors import ThreadedDoors
from engine.transport import credentials
from engine.transport.codes import PROTOCOL_VERSION
from engine.wire.v1 import jobs_pb2
from engine.wire.v1.jobs_pb2_grpc import JobsStub
from native.errors import UnseenError

SECONDS = 5.0
CLOCKS_DIFFER = 10.0  # seconds: expiries and certificates are compared with the own clock


class NotReached(UnseenError):
    """Why not, and what to do. `is_network`: before anything of ours was spoken, which a firewall may do on purpose."""

    def __init__(self, why: str, advice: str, *, is_network: bool = False) -> None:
        super().__init__(why)
        self.advice, self.is_network = advice, is_network


def reach(identity: Identity, keys: Path, charter: Charter, member: Member) -> str:
    """What was found, in words. `keys` is the folder of `identity`'s keys. Raises NotReached."""
    with closing(ThreadedDoors(identity, charter.id)) as doors:
        try:
            target = doors.target(member.name, member.address or "")
            with _connect(member, target) as line:
                _handshake(line, keys, member)
            hello, differs = _greet(identity, member, target)
        except NotReached:
            relay = doors.failure(member.name)
            if relay is not None:
                raise NotReached(str(relay), relay.advice, is_network=True) from None
            raise
    if hello.charter.hex() != charter.id:
        ids = f"its study is {hello.charter.hex()[:12]}, yours {charter.id[:12]}"
        raise NotReached(f"serves another charter: {ids}", "compare charter.json with it; all members use the same file")
    if hello.protocol_version != PROTOCOL_VERSION:
        versions = f"protocol {hello.protocol_version} ({hello.software_version}), yours is {PROTOCOL_VERSION}"
        raise NotReached(f"speaks {versions}", "agree on one version of unseen")
    if abs(differs) > CLOCKS_DIFFER:
        raise NotReached(
            f"its clock is {differs:+.0f} s from yours", "synchronise both machines' clocks (chrony, systemd-timesyncd)"
        )
    return f"answers at {member.address} with the charter's certificate; clocks differ by {abs(differs):.1f} s"


def _connect(member: Member, target: str) -> socket.socket:
    if target != member.address:
        return _through(target)
    try:
        host, port = host_and_port(member.address or "")
        return socket.create_connection((host, port), SECONDS)
    except ConfigError as error:
        raise NotReached(str(error), "mend the charter") from None
    except socket.gaierror:
        raise NotReached(
            f"{host} is no name that this machine knows", "mend the name service, or the charter", is_network=True
        ) from None
    except TimeoutError:
        raise NotReached(f"{member.address} is silent", "ask both firewalls to let this through", is_network=True) from None
    except OSError as error:
        advice = "is its daemon running, and its firewall open to you?"
        raise NotReached(f"{member.address} does not connect ({error.strerror})", advice, is_network=True) from None


def _through(door: str) -> socket.socket:
    """To a door of engine/relay, behind which the relay has its own limits of time."""
    line = socket.socket(socket.AF_UNIX)
    line.settimeout(3 * SECONDS)
    line.connect("\0" + door.removeprefix("unix-abstract:"))
    return line


def _handshake(line: socket.socket, keys: Path, member: Member) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=member.certificate)
    context.load_cert_chain(keys / identities.TLS_CERTIFICATE, keys / identities.TLS_KEY)
    context.set_alpn_protocols(["h2"])
    try:
        with context.wrap_socket(line, server_hostname=member.name) as secured:
            presented = secured.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as error:
        advice = "compare the charter's id with it; a member with new keys needs a new charter"
        raise NotReached(f"shows another certificate than the charter's ({error.verify_message})", advice) from None
    except (ssl.SSLError, OSError):
        raise NotReached(
            "does not speak TLS as a party does", "is another program, or a proxy that opens TLS, at its address?"
        ) from None
    if presented != member.certificate_der:
        raise NotReached("shows another certificate than the charter's", "compare the charter's id with it")


def _greet(identity: Identity, member: Member, target: str) -> tuple[jobs_pb2.HelloReply, float]:
    """Its greeting, and by how many seconds its clock is ahead."""
    try:
        secure = credentials.channel_credentials(identity, member)
    except NotAuthorised as error:
        raise NotReached(str(error), "see `certificates`") from None
    options = [*credentials.channel_options(member), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(target, secure, options=options) as channel:
        before = datetime.now(UTC)
        try:
            hello: jobs_pb2.HelloReply = JobsStub(channel).Hello(jobs_pb2.HelloRequest(), timeout=SECONDS)
        except grpc.RpcError:
            raise NotReached("does not take your certificate", "does it have the same charter.json? compare ids") from None
        after = datetime.now(UTC)
    try:
        its = datetime.strptime(hello.time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        raise NotReached("does not say what the time is", "agree on one version of unseen") from None
    return hello, (its - (before + (after - before) / 2)).total_seconds()
