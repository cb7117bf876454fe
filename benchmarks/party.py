"""One party of a measurement in a process of its own: real links, mutual TLS, a fresh session for each request, and no daemon.

python -m benchmarks.party hospital.toml       then one JSON request a line on stdin (see trio.py)
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import uvloop

from benchmarks import programs, trio
from engine.party import allocator
from engine.party import config as configs
from engine.transport import credentials
from engine.transport.mesh import Mesh

PATIENCE = 60.0  # seconds until all parties are there
JOB = b"bench".ljust(32, b"\0")


async def _connected(config: Path) -> tuple[Mesh, grpc.aio.Server]:
    found = configs.load(config)
    server = grpc.aio.server(options=credentials.SERVER_OPTIONS)
    server.add_secure_port(found.listen, credentials.server_credentials(found.identity, found.charter))
    mesh = Mesh(found.identity, found.charter, on_notice=lambda *_: None)
    mesh.add_to(server)
    await server.start()
    await mesh.start()
    await mesh.wait_connected(PATIENCE)
    return mesh, server


def main(config: Path) -> None:
    allocator.keep_freed_memory()
    loop = uvloop.new_event_loop()  # a daemon's
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def on_loop(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    mesh, server = on_loop(_connected(config))
    attempts = itertools.count(1)

    def handle(request: dict[str, Any]) -> Mapping[str, Any]:
        link = on_loop(mesh.open_session(JOB, next(attempts), PATIENCE))
        try:
            return programs.program(request)(link.session())
        except BaseException:
            link.abort()  # the others must not wait for this one
            raise
        finally:
            link.close()

    trio.serve(handle)
    on_loop(mesh.stop())
    on_loop(server.stop(0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
