"""A study's folders and processes on loopback, with or without a wide-area network between the parties."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.delay import Relays
from engine.client import config as configs
from engine.client.study import Study
from engine.dictionary import Dictionary
from engine.sandbox import Sandbox
from engine.sandbox_daemons import Daemons
from engine.sandbox_files import Choices, Layout, free_ports, lay_out, make_identities, write

_LISTEN = re.compile(r'^(listen = "127\.0\.0\.1:)(\d+)"$', re.MULTILINE)


class DistantSandbox(Sandbox):
    """A sandbox whose daemons reach each other, and are reached, through relays that delay every byte."""

    def __init__(self, files: Mapping[str, Path], dictionary: Dictionary, choices: Choices, rtt_ms: float) -> None:
        super().__init__(files, dictionary, None, choices)
        self._rtt_ms = rtt_ms
        self._relays = ExitStack()

    def close(self) -> None:
        super().close()
        self._relays.close()

    def _open(self) -> Study:
        self._layout = lay_out(self._root, self._files)
        write(self._layout, make_identities(self._layout), self._agreed_dictionary(), self._choices)
        self._relays.enter_context(delayed(self._layout, self._rtt_ms))
        self._daemons = Daemons(self._layout)
        self._daemons.start()
        config = configs.load(self._layout.researcher)
        self._wait_for_links(config)
        self._study = Study(config)
        return self._study


@contextmanager
def delayed(layout: Layout, rtt_ms: float) -> Iterator[None]:
    """Every daemon listens elsewhere, and a relay stands at its address in the charter. Only configurations change.

    Enter it after `sandbox_files.write` and before any daemon starts. All connections pass the relays, the researcher's too.
    """
    if not rtt_ms:
        yield
        return
    ports = {}
    for party, behind in zip(layout.parties, free_ports(len(layout.parties)), strict=True):
        address = listening(layout.config(party))
        ports[address] = behind
        _listen_at(layout.config(party), behind)
    with Relays(rtt_ms, ports):
        yield


def listening(config: Path) -> int:
    """The port that a party's configuration names."""
    match = _LISTEN.search(config.read_text(encoding="utf-8"))
    assert match is not None
    return int(match[2])


def _listen_at(config: Path, port: int) -> None:
    text = config.read_text(encoding="utf-8")
    config.write_text(_LISTEN.sub(rf'\g<1>{port}"', text), encoding="utf-8")
