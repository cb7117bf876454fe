"""`unseen party serve`: one daemon in this process, until a signal.

SIGTERM lets what runs come to its end first, for two minutes at most; SIGINT, or a second SIGTERM, ends it at once, and running
jobs are aborted everywhere. Prints one line on stdout when it is ready: `ready NAME ADDRESS`. Logs go to stderr. No core dump is
written, and no debugger attaches: it would see rows.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop
from threadpoolctl import threadpool_limits

from engine import threads
from engine.data.config import open_source
from engine.data.rows import DataSource
from engine.party import config as configs
from engine.party import hardening
from engine.party.config import PartyConfig
from engine.party.daemon import Daemon, digest_key
from engine.party.log import Log

DRAIN_SECONDS = 120.0
WORKERS = 8  # threads for what the event loop hands out: compiling questions, counting rows


def serve(path: Path, *, observable: bool = False) -> None:
    """Run the party of this configuration file. Returns after a signal; raises ConfigError and its kin before `ready`.

    `observable`: its user may look into the process, as `unseen bench` does with its own sandbox.
    """
    hardening.no_core_dumps()
    hardening.end_without_memory()
    if not observable:
        hardening.unreadable()
    threadpool_limits(1, "blas")  # many small products beside DuckDB's threads: BLAS's own would spin, waiting for a core
    config = configs.load(path)
    log = Log(config.name, config.log_level)
    log.capture_others()
    uvloop.run(_serve(config, log))


async def _serve(config: PartyConfig, log: Log) -> None:
    key = digest_key(config.state)
    daemon = Daemon(config, _source(config, key), digest_key=key, log=log)
    asked, at_once = asyncio.Event(), asyncio.Event()

    def terminate() -> None:
        (at_once if asked.is_set() else asked).set()

    def interrupt() -> None:
        asked.set()
        at_once.set()

    loop = asyncio.get_running_loop()
    loop.set_default_executor(threads.pool(WORKERS))
    loop.add_signal_handler(signal.SIGTERM, terminate)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    await daemon.start()
    print(f"ready {config.name} {config.listen}", flush=True)
    await asked.wait()
    await _first_of(daemon.drain(DRAIN_SECONDS), at_once.wait())
    await daemon.stop()


async def _first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Returns when one of them does; the others are dropped."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _source(config: PartyConfig, key: bytes) -> DataSource | None:
    """The hospital's own tables, as its [data] section maps them. Raises ConfigError, DataError."""
    if config.data is None:
        return None
    return open_source(config.data, config.charter.parsed_dictionary, key, config.folder, config.spill)
