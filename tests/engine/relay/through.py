"""A sandbox whose daemons listen on loopback for themselves alone: in the charter each has the relay's address."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from engine import canonical
from engine import charter as charters
from engine.client import config as configs
from engine.client.study import Study
from engine.dictionary import Dictionary
from engine.sandbox import Sandbox
from engine.sandbox_daemons import Daemons, command, environment
from engine.sandbox_files import Choices, free_ports, lay_out, make_identities, write


class RelayProcess:
    """`unseen relay serve` as a process of its own, at an address that stays the same when it is started again."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._charter = folder / "charter.json"
        self._process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"relay://127.0.0.1:{self.port}"

    def start(self) -> None:
        arguments = ["relay", "serve", "--listen", f"127.0.0.1:{self.port}", "--charter", str(self._charter)]
        with self._charter.with_name("relay.log").open("a") as log:
            self._process = subprocess.Popen(
                command(arguments), stdout=subprocess.PIPE, stderr=log, text=True, env=environment(), start_new_session=True
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"ready relay 127.0.0.1:{self.port}\n"

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(by)
        self._process.communicate(timeout=20)
        code, self._process = self._process.returncode, None
        return code


class RelayedSandbox(Sandbox):
    """The charter's addresses are the relay's, so that no connection goes any other way; with `behind`, these parties' only."""

    relay: RelayProcess

    def __init__(self, files: Mapping[str, Any], dictionary: Mapping[str, Any], behind: Collection[str] | None = None) -> None:
        self._behind = behind
        super().__init__(files, Dictionary.parse(dictionary), None, Choices())

    def close(self) -> None:
        super().close()
        if hasattr(self, "relay"):
            self.relay.stop()

    def _open(self) -> Study:
        self._layout = lay_out(self._root, self._files)
        members = make_identities(self._layout)
        charter = write(self._layout, members, self._agreed_dictionary(), self._choices)
        self.relay = RelayProcess(self._layout.folder("researcher"))
        behind = self._layout.parties if self._behind is None else self._behind
        relayed = {"address": self.relay.address}
        listed = tuple(m.model_copy(update=relayed) if m.name in behind else m for m in charter.members)
        charter = charters.parse(charter.model_copy(update={"members": listed}).model_dump(mode="json"))
        signed = {name: canonical.sign(own.signing_key, charters.DOMAIN, charter.to_bytes()) for name, own in members.items()}
        for name in members:
            charters.save(self._layout.folder(name) / "charter.json", charter, signed)
        self.relay.start()
        self._daemons = Daemons(self._layout)
        self._daemons.start()
        config = configs.load(self._layout.researcher)
        self._wait_for_links(config)
        self._study = Study(config)
        return self._study
