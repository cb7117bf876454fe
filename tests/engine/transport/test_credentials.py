"""Without the key of a pinned, valid certificate everybody is refused, on every method, in both directions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from engine.errors import NotAuthorised
from engine.identity import Identity
from engine.transport import credentials
from engine.transport.codes import LinkCode
from engine.wire.v1 import jobs_pb2, party_link_pb2

METHODS = [
    f"/{service.full_name}/{method.name}"
    for file in (jobs_pb2.DESCRIPTOR, party_link_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
    for method in service.methods
]


class GuardedServer:
    """Every method of every service, answering with the name of the member that `peer_member` finds."""

    def __init__(self, loop, owner, charter):
        self.loop, self.charter = loop, charter
        self.admitted = []

        async def answer(_, context):
            try:
                member = credentials.peer_member(context, charter)
            except NotAuthorised:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED)
            self.admitted.append(member.name)
            await context.write(member.name.encode())

        async def begin():
            self.server = grpc.aio.server(options=credentials.SERVER_OPTIONS)
            for path in METHODS:
                service, method = path[1:].split("/")
                handlers = {method: grpc.stream_stream_rpc_method_handler(answer)}
                self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
            port = self.server.add_secure_port("127.0.0.1:0", credentials.server_credentials(owner, charter))
            await self.server.start()
            return f"127.0.0.1:{port}"

        self.address = loop.run(begin())

    def call(self, method, client_credentials, name):
        """What the server answers, or the status of the refusal."""

        async def once():
            options = (("grpc.ssl_target_name_override", name), ("grpc.use_local_subchannel_pool", 1))
            if client_credentials is None:
                channel = grpc.aio.insecure_channel(self.address, options=options)
            else:
                channel = grpc.aio.secure_channel(self.address, client_credentials, options=options)
            async with channel:
                call = channel.stream_stream(method)()
                try:
                    return await call.read()
                except grpc.aio.AioRpcError as error:
                    return error.code()

        return self.loop.run(once())


def presenting(server: Identity, key: bytes | None, chain: bytes | None):
    """A client that trusts the right server and shows `chain`."""
    return grpc.ssl_channel_credentials(server.certificate, key, chain)


def issued_by(issuer: Identity, name: str) -> tuple[bytes, bytes]:
    """A certificate for `name` that a member signs with its own TLS key, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    parent = x509.load_pem_x509_certificate(issuer.certificate)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    builder = builder.issuer_name(parent.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(minutes=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    certificate = builder.sign(load_pem_private_key(issuer.tls_key, None), hashes.SHA256())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, certificate.public_bytes(Encoding.PEM) + issuer.certificate


@pytest.fixture
def guarded(loop, study, identities):
    server = GuardedServer(loop, identities["birch"], study().charter)
    yield server
    loop.run(server.server.stop(0))


@pytest.mark.parametrize("method", METHODS)
def test_a_member_is_admitted_under_its_name(guarded, identities, method):
    for name in ("alder", "cedar", "rosa"):
        client = presenting(identities["birch"], identities[name].tls_key, identities[name].certificate)
        assert guarded.call(method, client, "birch") == name.encode()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", ["plain text", "no certificate", "unknown authority", "not in the charter", "issued by a member"])
def test_anybody_else_is_refused(guarded, identities, stranger, method, bad):
    server = identities["birch"]
    chosen = {
        "plain text": lambda: None,
        "no certificate": lambda: presenting(server, None, None),
        "unknown authority": lambda: presenting(server, (other := stranger("alder")).tls_key, other.certificate),
        "not in the charter": lambda: presenting(server, (other := stranger("zelkova")).tls_key, other.certificate),
        "issued by a member": lambda: presenting(server, *issued_by(identities["cedar"], "alder")),
    }[bad]()
    refusal = grpc.StatusCode.PERMISSION_DENIED if bad == "issued by a member" else grpc.StatusCode.UNAVAILABLE
    assert guarded.call(method, chosen, "birch") is refusal
    assert guarded.admitted == []


@pytest.mark.parametrize("method", METHODS)
def test_an_expired_certificate_is_refused_though_the_charter_pins_it(loop, study, identities, stranger, method):
    expired = stranger("alder", timedelta(seconds=-1))
    charter = study().charter
    pinned = {"certificate": expired.certificate.decode()}
    members = [m if m.name != "alder" else m.model_copy(update=pinned) for m in charter.members]
    server = GuardedServer(loop, identities["birch"], charter.model_copy(update={"members": tuple(members)}))
    answer = server.call(method, presenting(identities["birch"], expired.tls_key, expired.certificate), "birch")
    assert answer in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED)
    assert server.admitted == []
    loop.run(server.server.stop(0))


def test_own_expired_certificate_is_told_before_anybody_is_dialled(study, stranger):
    charter = study().charter
    expired = stranger("alder", timedelta(seconds=-1))
    with pytest.raises(NotAuthorised, match="alder is not valid today"):
        credentials.channel_credentials(expired, charter.member("birch"))
    with pytest.raises(NotAuthorised, match="alder is not valid today"):
        credentials.server_credentials(expired, charter)


@pytest.mark.parametrize("impostor", ["unknown authority", "another member", "expired", "plain text"])
def test_a_dialler_refuses_whoever_is_not_the_member_it_meant(loop, study, identities, stranger, impostor):
    running = study()
    presented = {
        "unknown authority": lambda: stranger("birch"),
        "another member": lambda: identities["cedar"],
        "expired": lambda: stranger("birch", timedelta(seconds=-1)),
        "plain text": lambda: None,
    }[impostor]()

    async def serve():
        server = grpc.aio.server()
        if presented is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port(
                "127.0.0.1:0", grpc.ssl_server_credentials([(presented.tls_key, presented.certificate)])
            )
        await server.start()
        return server, f"127.0.0.1:{port}"

    server, address = loop.run(serve())
    pinned = {"address": address}
    if impostor == "expired":
        pinned["certificate"] = presented.certificate.decode()
    members = [m if m.name != "birch" else m.model_copy(update=pinned) for m in running.charter.members]
    mesh = running.start("alder", running.charter.model_copy(update={"members": tuple(members)}))
    loop.wait_until(lambda: mesh.last_error("birch") is not LinkCode.NEVER)
    assert mesh.last_error("birch") is (LinkCode.CERTIFICATE if impostor == "expired" else LinkCode.UNREACHABLE)
    assert mesh.connected() == set()
    loop.run(server.stop(0))


@pytest.mark.parametrize("caller", ["rosa", "cedar"])
def test_only_the_earlier_party_of_a_pair_may_open_its_link(study, identities, caller):
    """A researcher never may; a later party is dialled and does not dial."""
    running = study()
    running.start("birch")

    async def connect():
        async with credentials.dial(identities[caller], running.charter.member("birch")) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await channel.stream_stream("/engine.wire.v1.PartyLink/Connect")().read()
            return refusal.value.code()

    assert running.loop.run(connect()) is grpc.StatusCode.PERMISSION_DENIED


def test_a_member_without_an_address_cannot_be_dialled(study, identities):
    with pytest.raises(NotAuthorised, match="runs no daemon"):
        credentials.dial(identities["alder"], study().charter.member("rosa"))
