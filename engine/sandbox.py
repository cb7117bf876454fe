"""A whole study on one machine: real daemons on loopback, each its own process with its own folder, keys and data.

    with unseen.sandbox({"um": "um.csv", "iu": "iu.csv", "uk": "uk.csv"}, dictionary="dictionary.toml") as study:
        print(study.ols("age ~ indo").summary())

The first three hospitals compute. With two, a third compute party without data joins, and two contributing hospitals are enough
for an answer. For trying out and for tests: whoever runs a sandbox holds everybody's keys and data.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from engine.client import config as configs
from engine.client.config import ResearcherConfig
from engine.client.links import Links
from engine.client.study import Study
from engine.dictionary import Dictionary
from engine.errors import ConfigError
from engine.sandbox_daemons import DaemonFailed, Daemons, PortTaken
from engine.sandbox_files import Choices, Layout, lay_out, make_identities, named, write
from engine.transport.mesh import SERVICE as LINKS

LINK_SECONDS = 30.0
ATTEMPTS = 5
_log = logging.getLogger("unseen.sandbox")


class Sandbox:
    """Enter it for the Study; leave it, and everything is stopped (and removed, unless you gave the directory)."""

    def __init__(
        self,
        files: Mapping[str, Any],
        dictionary: str | Path | Mapping[str, Any] | Dictionary | None,
        directory: Path | None,
        choices: Choices,
    ) -> None:
        self._files, self._dictionary, self._choices = files, dictionary, choices
        self._keep = directory
        self._study: Study | None = None
        self._daemons: Daemons | None = None
        self._own_names: Mapping[str, str] = {}
        self.assumptions: tuple[str, ...] = ()

    def __enter__(self) -> Study:
        root = self._keep or Path(tempfile.mkdtemp(prefix="unseen-"))
        self._root = root.resolve()
        atexit.register(self.close)
        try:
            return self._open()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop the daemons. Again is nothing."""
        atexit.unregister(self.close)
        if self._study is not None:
            self._study.close()
        if self._daemons is not None:
            self._daemons.stop()
            self._daemons = None
        if self._keep is None:
            shutil.rmtree(self._root, ignore_errors=True)

    @property
    def study(self) -> Study:
        """The study. Known once entered."""
        assert self._study is not None
        return self._study

    @property
    def layout(self) -> Layout:
        """Where everything lies. Known once entered."""
        return self._layout

    @property
    def processes(self) -> dict[str, int]:
        """The daemons' process ids, by party."""
        assert self._daemons is not None
        return self._daemons.pids()

    def run(self) -> None:
        """Block until a signal interrupts. Raises DaemonFailed when a daemon ends by itself."""
        assert self._daemons is not None
        raise self._daemons.wait_for_a_failure()

    def _open(self) -> Study:
        self._layout = lay_out(self._root, self._files)
        dictionary = self._agreed_dictionary()
        members = make_identities(self._layout)
        for attempt in range(ATTEMPTS):
            write(self._layout, members, dictionary, self._choices, self._own_names)
            self._daemons = Daemons(self._layout)
            try:
                self._daemons.start()
                break
            except PortTaken:
                self._daemons.stop()
                if attempt == ATTEMPTS - 1:
                    raise
        config = configs.load(self._layout.researcher)
        self._wait_for_links(config)
        self._study = Study(config, self.assumptions)
        return self._study

    def _agreed_dictionary(self) -> Dictionary:
        if isinstance(self._dictionary, Dictionary):
            return self._dictionary
        if isinstance(self._dictionary, Mapping):
            return Dictionary.parse(self._dictionary)
        if self._dictionary is not None:
            return Dictionary.from_toml(Path(self._dictionary))
        from engine.data.infer import infer

        dictionary, assumptions, self._own_names = infer(self._layout.hospitals)
        self.assumptions = tuple(assumptions)
        _log.warning("no dictionary was given: %d columns were inferred; study.assumptions says how", len(dictionary.columns))
        return dictionary

    def _wait_for_links(self, config: ResearcherConfig) -> None:
        """Each daemon's health service says when it has a link to every other."""
        assert self._daemons is not None
        deadline = time.monotonic() + LINK_SECONDS
        with contextlib.closing(Links(config)) as links:
            for party in self._layout.parties:
                if not _linked(links, party, deadline - time.monotonic()):
                    unlinked = f"{party} does not reach the other parties; see {self._layout.log(party)}"
                    raise self._daemons.failure() or DaemonFailed(unlinked)


def _linked(links: Links, party: str, seconds: float) -> bool:
    """Wait for the party's word that it is linked to all others; False when it does not come."""
    # here, because a researcher's installation has no daemons, and not this package
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    request = health_pb2.HealthCheckRequest(service=LINKS)
    watch = health_pb2_grpc.HealthStub(links.channel(party)).Watch(request, timeout=max(0.1, seconds), wait_for_ready=True)
    try:
        return any(reply.status == health_pb2.HealthCheckResponse.SERVING for reply in watch)
    except grpc.RpcError:
        return False
    finally:
        watch.cancel()


def sandbox(
    files: Mapping[str, Any] | Sequence[str | Path],
    dictionary: str | Path | Mapping[str, Any] | Dictionary | None = None,
    directory: str | Path | None = None,
    *,
    steps: bool = True,
    approve: str = "automatic",
    floors: Mapping[str, Any] | None = None,
    round_deadline: float = 30.0,
) -> Sandbox:
    """A study over these files, one for each hospital: {"um": "um.csv", ...}, or paths, whose names become the hospitals'.

    Values are CSV or Parquet files or data frames. A `dictionary` is a TOML file, the same as a dict, or a Dictionary; without
    one it is inferred, and `study.assumptions` says what was assumed. In `directory` (a new folder) everything stays for a look;
    without one it is removed at the end. `approve="by-hand"` lets every question wait for `unseen party approve`. Raises
    ConfigError, DictionaryError, DaemonFailed.
    """
    if not isinstance(files, Mapping):
        files = named([Path(path) for path in files])
    if approve not in ("automatic", "by-hand"):
        raise ConfigError('approve is "automatic" or "by-hand"')
    choices = Choices(steps, approve, floors, round_deadline)
    return Sandbox(files, dictionary, Path(directory) if directory is not None else None, choices)
