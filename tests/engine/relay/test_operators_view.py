"""What a member sees of a relay before anything goes through it: setting up, the configuration, `unseen party doctor`."""

from __future__ import annotations

import asyncio
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from engine.client import config as configs
from engine.errors import ConfigError
from engine.party import doctor
from engine.relay.server import Limits, Relay
from tests.engine.party.party_study import HOSPITALS, Study, free_port, make_charter, make_keys, make_study, sign_charter
from tests.engine.party.test_serve import write_config


@pytest.fixture
def s() -> Iterator[Study]:
    """All hospitals are behind one relay."""
    with tempfile.TemporaryDirectory(prefix="u-") as name:
        found = make_study(Path(name), make_keys(Path(name) / "keys"))
        address = f"relay://127.0.0.1:{free_port()}"
        members = found.charter.model_dump(mode="json")["members"]
        found.charter = make_charter(
            found.keys, members=[m | {"address": address if m["name"] in HOSPITALS else None} for m in members]
        )
        yield found


def lines_of(s: Study) -> list[doctor.Line]:
    config = write_config(s, "um", listen=f"127.0.0.1:{free_port()}")
    return [line for line in doctor.examine(config) if line.check in ("relay", "peer")]


def beside_a_relay(s: Study, *served: object) -> list[doctor.Line]:
    """The lines, while a relay of these charters runs at the address that the study's has."""

    async def body() -> list[doctor.Line]:
        relay = Relay(served, Limits(patience=0.2))  # type: ignore[arg-type]
        await relay.start("127.0.0.1", int((s.charter.member("um").address or "").rpartition(":")[2]))
        try:
            return await asyncio.to_thread(lines_of, s)
        finally:
            await relay.stop()

    return asyncio.run(body())


def test_a_relay_that_waits_for_the_daemon_is_no_ailment(s: Study) -> None:
    relay, iu, uk = beside_a_relay(s, s.charter)
    assert (relay.check, relay.status) == ("relay", "ok")
    assert relay.text.endswith("answers and takes your key; the daemon does not run")
    for name, line in (("iu", iu), ("uk", uk)):  # um is the first in the charter, so it dials both: they should be there
        assert (line.status, line.text.startswith(f"{name}: {name} does not wait at the relay")) == ("fail", True)
        assert "is its daemon running?" in line.advice


def test_a_relay_that_serves_another_charter(s: Study) -> None:
    relay, *peers = beside_a_relay(s, make_charter(s.keys, title="last year's"))
    for line in (relay, *peers):
        assert line.status == "fail"
        assert "does not take this member's key" in line.text
        assert "serve this charter" in line.advice


def test_a_relay_that_does_not_run(s: Study) -> None:
    relay, *peers = lines_of(s)
    for line in (relay, *peers):
        assert line.status == "fail"
        assert "does not answer (" in line.text
        assert "firewall" in line.advice


def test_a_party_behind_a_relay_is_set_up_to_listen_on_its_own_machine(tmp_path: Path) -> None:
    home = tmp_path / "um"
    arguments = ["party", "init", "um", "--address", "relay://relay.example.org:7444", "--rows", "4000", "--folder", str(home)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert tomllib.loads((home / "hospital.toml").read_text())["party"]["listen"] == "127.0.0.1:7443"
    assert tomllib.loads((home / "um.member.toml").read_text())["address"] == "relay://relay.example.org:7444"


def test_half_an_address_makes_no_folder(tmp_path: Path) -> None:
    home = tmp_path / "um"
    result = CliRunner().invoke(app, ["party", "init", "um", "--address", "relay://relay.example.org", "--folder", str(home)])
    assert result.exit_code == 2
    assert "relay://HOST:PORT" in result.stderr
    assert not home.exists()


def test_a_researcher_may_name_a_relay_for_one_party(s: Study) -> None:
    sign_charter(s.charter, s.keys, s.folder / "charter.json")
    path = s.folder / "researcher.toml"
    text = 'name = "ana"\ncharter = "charter.json"\nkeys = "keys/ana"\n[addresses]\num = '
    path.write_text(text + '"relay://elsewhere.example.org:7444"\n')
    addresses = configs.load(path).addresses
    assert addresses["um"] == "relay://elsewhere.example.org:7444"
    assert addresses["iu"] == s.charter.member("iu").address
    path.write_text(text + '"relay://elsewhere.example.org"\n')
    with pytest.raises(ConfigError, match="relay://HOST:PORT"):
        configs.load(path)


@pytest.mark.parametrize(("listen", "said"), [("7444", "HOST:PORT"), ("192.0.2.1:7444", "cannot listen on 192.0.2.1:7444")])
def test_a_relay_that_cannot_listen_says_so(s: Study, listen: str, said: str) -> None:
    sign_charter(s.charter, s.keys, s.folder / "charter.json")
    result = CliRunner().invoke(app, ["relay", "serve", "--listen", listen, "--charter", str(s.folder / "charter.json")])
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_relay_serves_no_charter_that_a_member_did_not_sign(s: Study) -> None:
    sign_charter(s.charter, {name: key for name, key in s.keys.items() if name != "uk"}, s.folder / "charter.json")
    result = CliRunner().invoke(app, ["relay", "serve", "--charter", str(s.folder / "charter.json")])
    assert result.exit_code == 1
    assert "lacks a valid signature of uk" in result.stderr
