"""unseen relay serve: the meeting place of parties that may not accept connections. It has no keys and no folder."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from pathlib import Path
from typing import Annotated

import typer

from engine import charter as charters
from engine.address import host_and_port


def serve(
    charter: Annotated[list[Path], typer.Option(help="charter.json of a study whose members may meet here; again for another.")],
    listen: Annotated[str, typer.Option(help="HOST:PORT where members reach this relay.")] = "0.0.0.0:7444",
) -> None:
    """Pass on the encrypted bytes of parties that cannot accept connections. It sees who meets whom, when and how much."""
    host, port = host_and_port(listen)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a line is an open file
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    agreed = [charters.load(path) for path in charter]
    asyncio.run(_serve(agreed, host, port))


async def _serve(agreed: list[charters.Charter], host: str, port: int) -> None:
    from engine.relay.server import Relay

    asked = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, asked.set)
    relay = Relay(agreed)
    where = await relay.start(host, port)
    print(f"ready relay {where[0]}:{where[1]}", flush=True)
    await asked.wait()
    await relay.stop()
