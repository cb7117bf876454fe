"""Doors: the local sockets through which gRPC reaches a relay."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from engine.relay.doors import Doors, ThreadedDoors
from engine.relay.line import Line
from engine.transport.codes import LinkCode
from tests.engine.relay.relay_place import is_closed, place, run, says


def test_a_door_leads_through_the_relay_and_says_why_it_did_not(keys, charter):
    async def body() -> None:
        async with place(keys, charter) as p:
            doors = Doors(keys["ana"], charter.id)
            target = await doors.target("um", f"relay://127.0.0.1:{p.at[1]}")
            path = "\0" + target.removeprefix("unix-abstract:")
            away = Line(*await asyncio.open_unix_connection(path))
            assert await is_closed(away)
            failure = doors.failure("um")
            assert failure is not None
            assert failure.code is LinkCode.NOT_AT_RELAY
            async with p.waiting():
                line = Line(*await asyncio.open_unix_connection(path))
                assert await says(line, b"through") == b"through"
                assert doors.failure("um") is None
                await doors.close()
                assert await is_closed(line)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_unix_connection(path)

    run(body())


def test_a_door_opens_to_the_own_user_only(keys, charter, monkeypatch):
    async def body() -> None:
        async with place(keys, charter) as p, p.waiting():
            doors = Doors(keys["ana"], charter.id)
            target = await doors.target("um", f"relay://127.0.0.1:{p.at[1]}")
            monkeypatch.setattr("os.geteuid", lambda: 12345)
            line = Line(*await asyncio.open_unix_connection("\0" + target.removeprefix("unix-abstract:")))
            with pytest.raises((EOFError, OSError)):
                await says(line, b"x")
            await doors.close()

    run(body())


def test_an_address_of_a_daemon_needs_no_door(keys, charter):
    with closing(ThreadedDoors(keys["ana"], charter.id)) as doors:
        assert doors.target("um", "um.example.org:7443") == "um.example.org:7443"
        assert doors._thread is None
