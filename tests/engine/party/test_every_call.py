"""Who may call what: every method of every service that a real daemon offers, over real TLS, for every kind of caller.

The table below is what is promised. A method that it does not list, or that nobody offers any more, fails the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import FileDescriptor

from engine import identity
from engine.identity import Identity
from engine.wire.v1 import admin_pb2
from engine.wire.v1.admin_pb2_grpc import AdminStub
from tests.engine.party.party_study import Study, code_of, make_charter, scenario
from tests.engine.transport.test_credentials import issued_by, presenting

PROTO = Path(__file__).parents[3] / "proto"
CALLED, PEER, RESEARCHER, LATE = "uk", "um", "ana", "ben"  # ben's certificate is pinned, and has expired

CLOSED = "unavailable"  # the handshake fails: nothing is heard, nothing is said
FORBIDDEN = "not-authorised"
ABSENT = "unimplemented"  # not offered on this port to anybody
ANSWERED = "answered"

STRANGERS = ("plain text", "no certificate", "stranger", "expired")  # nobody whom the charter knows today
CALLERS = (*STRANGERS, "issued by a member", "researcher", "peer")

# what somebody with a certificate that a member issued, a researcher, and a peer get; all others get CLOSED
TABLE: dict[str, tuple[str, str, str]] = {
    "engine.wire.v1.Jobs/Hello": (FORBIDDEN, ANSWERED, ANSWERED),
    "engine.wire.v1.Jobs/Submit": (FORBIDDEN, "signature-invalid", FORBIDDEN),
    "engine.wire.v1.Jobs/SubmitPlan": (FORBIDDEN, "signature-invalid", FORBIDDEN),
    "engine.wire.v1.Jobs/Status": (FORBIDDEN, "not-there", FORBIDDEN),
    "engine.wire.v1.Jobs/Watch": (FORBIDDEN, "not-there", FORBIDDEN),
    "engine.wire.v1.Jobs/Fetch": (FORBIDDEN, "not-there", FORBIDDEN),
    "engine.wire.v1.Jobs/List": (FORBIDDEN, ANSWERED, FORBIDDEN),
    "engine.wire.v1.PartyLink/Connect": ("permission-denied", "permission-denied", ANSWERED),
    "engine.wire.v1.Admin/ListJobs": (ABSENT, ABSENT, ABSENT),
    "engine.wire.v1.Admin/ShowJob": (ABSENT, ABSENT, ABSENT),
    "engine.wire.v1.Admin/Approve": (ABSENT, ABSENT, ABSENT),
    "engine.wire.v1.Admin/Reject": (ABSENT, ABSENT, ABSENT),
    "engine.wire.v1.Admin/Revoke": (ABSENT, ABSENT, ABSENT),
    "engine.wire.v1.Admin/Pause": (ABSENT, ABSENT, ABSENT),
    "engine.wire.v1.Admin/RevokeResearcher": (ABSENT, ABSENT, ABSENT),
    "engine.wire.v1.Admin/PartyStatus": (ABSENT, ABSENT, ABSENT),
    "grpc.health.v1.Health/Check": (ANSWERED, ANSWERED, ANSWERED),  # that it serves, and no more
    "grpc.health.v1.Health/Watch": (ANSWERED, ANSWERED, ANSWERED),
}


def descriptors() -> Iterator[FileDescriptor]:
    for file in sorted(PROTO.rglob("*.proto")):
        module = ".".join(file.relative_to(PROTO).with_suffix("").parts) + "_pb2"
        yield import_module(module).DESCRIPTOR


def methods() -> list[str]:
    return [
        f"{service.full_name}/{method.name}"
        for file in descriptors()
        for service in file.services_by_name.values()
        for method in service.methods
    ]


def test_the_table_lists_every_method_there_is() -> None:
    assert sorted(method for method in TABLE if not method.startswith("grpc.health.")) == sorted(methods())
    assert len(list(PROTO.rglob("*.proto"))) >= 3


async def outcome(address: str, shown: grpc.ChannelCredentials | None, method: str) -> str:
    """What a call with an empty request comes to."""
    options = (("grpc.ssl_target_name_override", CALLED), ("grpc.use_local_subchannel_pool", 1))
    opened = grpc.aio.secure_channel(address, shown, options) if shown else grpc.aio.insecure_channel(address, options)
    async with opened as channel:
        call = channel.stream_stream(f"/{method}")()
        try:
            await call.write(b"")
            await call.done_writing()
            reply = await call.read()
        except grpc.aio.AioRpcError as error:
            return code_of(error) or error.code().name.lower().replace("_", "-")
        if reply is grpc.aio.EOF:
            return (await call.code()).name.lower().replace("_", "-")
        return ANSWERED


def credentials(s: Study, other: Identity) -> dict[str, grpc.ChannelCredentials | None]:
    server = s.keys[CALLED]

    def showing(who: Identity) -> grpc.ChannelCredentials:
        return presenting(server, who.tls_key, who.certificate)

    return {
        "plain text": None,
        "no certificate": presenting(server, None, None),
        "stranger": showing(other),
        "expired": showing(s.keys[LATE]),
        "issued by a member": presenting(server, *issued_by(s.keys[PEER], RESEARCHER)),
        "researcher": showing(s.keys[RESEARCHER]),
        "peer": showing(s.keys[PEER]),
    }


@pytest.mark.usefixtures("fake_analysis")
def test_every_caller_gets_from_every_method_what_the_table_says() -> None:
    async def body(s: Study) -> None:
        s.keys[LATE] = identity.create(LATE, s.folder / "keys" / "expired", valid_for=timedelta(seconds=-1))
        s.charter = make_charter(s.keys)
        await s.start(CALLED)
        other = identity.create(RESEARCHER, s.folder / "keys" / "stranger")  # under a name that the charter knows
        shown = credentials(s, other)
        assert tuple(shown) == CALLERS
        address = s.charter.member(CALLED).address or ""
        found = {method: {caller: await outcome(address, shown[caller], method) for caller in CALLERS} for method in TABLE}
        expected = {
            method: dict.fromkeys(STRANGERS, CLOSED) | dict(zip(CALLERS[len(STRANGERS) :], cells, strict=True))
            for method, cells in TABLE.items()
        }
        assert found == expected
        assert not list(s.daemons[CALLED].flow.book)

    scenario(body)


@pytest.mark.usefixtures("fake_analysis")
def test_the_operators_door_is_a_socket_of_the_daemons_own_user() -> None:
    """What the port does not offer is offered there, and file permissions are what keeps others out."""

    async def body(s: Study) -> None:
        await s.start(CALLED)
        socket = s.folder / CALLED / "admin.sock"
        assert socket.stat().st_mode & 0o777 == 0o600
        assert socket.parent.stat().st_mode & 0o777 == 0o700
        offered = [name for name in methods() if name.startswith("engine.wire.v1.Admin/")]
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            reply = await AdminStub(channel).PartyStatus(admin_pb2.PartyStatusRequest())
            assert reply.member == CALLED
            for method in TABLE.keys() - set(offered):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(f"/{method}")(b"")
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED, method

    scenario(body)
