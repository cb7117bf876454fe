"""Studies of real daemons' meshes on loopback: real certificates, real gRPC servers, one event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import uvloop

from engine.charter import Charter
from engine.identity import Identity
from engine.transport import credentials
from engine.transport.mesh import Mesh
from engine.transport.session_link import SessionLink
from engine.wire.v1.party_link_pb2 import JobNotice

NAMES = ("alder", "birch", "cedar", "dogwood", "elm")
PATIENCE = 30.0


class Loop:
    """An event loop in its own thread, as a daemon has one."""

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        async def wrapped() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wrapped(), self.loop).result(PATIENCE)

    def call(self, function: Callable[[], Any]) -> Any:
        async def wrapped() -> Any:
            return function()

        return self.run(wrapped())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns at the loop turn after which `condition` holds."""

        async def watch() -> None:
            while not condition():
                await asyncio.sleep(0.002)

        self.run(asyncio.wait_for(watch(), PATIENCE))

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)


def make_charter(
    identities: dict[str, Identity], addresses: dict[str, str], deadline: float, title: str = "transport"
) -> Charter:
    parties = [name for name in identities if name in NAMES]
    members: list[dict[str, Any]] = [
        {
            "name": name,
            "roles": ("hospital", "compute") if parties.index(name) < 3 else ("hospital",),
            "public_key": identities[name].public_key,
            "certificate": identities[name].certificate.decode(),
            "address": addresses.get(name, "127.0.0.1:1"),
        }
        for name in parties
    ]
    members += [
        {"name": name, "roles": ("researcher",), "public_key": key.public_key, "certificate": key.certificate.decode()}
        for name, key in identities.items()
        if name not in NAMES
    ]
    content = {"members": members, "compute": tuple(parties[:3]), "analyses": ("mean",), "round_deadline": deadline}
    return Charter(title=title, dictionary={}, **content)


class Study:
    """Meshes of several parties, each with its server; `heard` records what their callbacks were told."""

    def __init__(self, loop: Loop, identities: dict[str, Identity], deadline: float) -> None:
        self.loop, self.identities, self.deadline = loop, identities, deadline
        self.names = [name for name in identities if name in NAMES]
        self.servers: dict[str, grpc.aio.Server] = {}
        self.addresses: dict[str, str] = {}
        self.meshes: dict[str, Mesh] = {}
        self.notices: list[tuple[str, str, JobNotice]] = []
        self.aborts: list[tuple[str, str, bytes]] = []
        for name in self.names:
            self.bind(name)
        self.charter = make_charter(identities, self.addresses, deadline)

    def bind(self, name: str, port: int = 0) -> None:
        """A server for `name`; its certificate pins do not depend on addresses."""
        pins = make_charter(self.identities, {}, self.deadline)

        async def make() -> None:
            server = grpc.aio.server(options=credentials.SERVER_OPTIONS)
            address = f"127.0.0.1:{port}"
            bound = server.add_secure_port(address, credentials.server_credentials(self.identities[name], pins))
            self.servers[name], self.addresses[name] = server, f"127.0.0.1:{bound}"

        self.loop.run(make())

    def start(self, name: str, charter: Charter | None = None) -> Mesh:
        async def begin() -> Mesh:
            mesh = Mesh(
                self.identities[name],
                charter or self.charter,
                on_notice=lambda member, notice: self.notices.append((name, member, notice)),
                on_abort=lambda member, job: self.aborts.append((name, member, job)),
            )
            mesh.add_to(self.servers[name])
            await self.servers[name].start()
            await mesh.start()
            return mesh

        self.meshes[name] = self.loop.run(begin())
        return self.meshes[name]

    def start_all(self) -> Study:
        for name in self.names:
            self.start(name)
        for mesh in self.meshes.values():
            self.loop.run(mesh.wait_connected(PATIENCE))
        return self

    def stop(self, name: str) -> None:
        self.loop.run(self.meshes.pop(name).stop())
        self.loop.run(self.servers.pop(name).stop(0))

    def stop_all(self) -> None:
        for name in list(self.meshes):
            self.stop(name)
        for server in self.servers.values():
            self.loop.run(server.stop(0))

    def opening(self, name: str, job: bytes, attempt: int = 1, timeout: float = PATIENCE) -> Future[SessionLink]:
        return asyncio.run_coroutine_threadsafe(self.meshes[name].open_session(job, attempt, timeout), self.loop.loop)

    def open(self, job: bytes = b"j" * 32, attempt: int = 1) -> list[SessionLink]:
        futures = [self.opening(name, job, attempt) for name in self.names]
        return [future.result(PATIENCE) for future in futures]

    def everybody(self, work: Callable[[SessionLink], Any], links: list[SessionLink]) -> list[Any]:
        """Run `work` for every member in its own worker thread; results or exceptions, in member order."""
        with ThreadPoolExecutor(len(links)) as pool:
            futures = [pool.submit(work, link) for link in links]
            try:
                return [future.exception(PATIENCE) or future.result() for future in futures]
            except TimeoutError:
                for link in links:
                    link.abort()
                raise
