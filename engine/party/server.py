"""`unseen party serve`: one daemon in this process, until SIGTERM or SIGINT.

Prints one line on stdout when it is ready: `ready NAME ADDRESS`. Logs go to stderr. No core dump is written: it would hold rows.
"""

from __future__ import annotations

import asyncio
import resource
import signal
from pathlib import Path

from threadpoolctl import threadpool_limits

from engine.data.config import open_source
from engine.data.rows import DataSource
from engine.party import config as configs
from engine.party.config import PartyConfig
from engine.party.daemon import Daemon, digest_key
from engine.party.log import Log


def serve(path: Path) -> None:
    """Run the party of this configuration file. Returns after a signal; raises ConfigError and its kin before `ready`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threadpool_limits(1, "blas")  # many small products beside DuckDB's threads: BLAS's own would spin, waiting for a core
    config = configs.load(path)
    log = Log(config.name, config.log_level)
    log.capture_others()
    asyncio.run(_serve(config, log))


async def _serve(config: PartyConfig, log: Log) -> None:
    key = digest_key(config.state)
    daemon = Daemon(config, _source(config, key), digest_key=key, log=log)
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    await daemon.start()
    print(f"ready {config.name} {config.listen}", flush=True)
    await asked_to_stop.wait()
    await daemon.stop()


def _source(config: PartyConfig, key: bytes) -> DataSource | None:
    """The hospital's own tables, as its [data] section maps them. Raises ConfigError, DataError."""
    if config.data is None:
        return None
    return open_source(config.data, config.charter.parsed_dictionary, key, config.folder)
