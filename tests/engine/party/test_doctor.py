"""`unseen party doctor` finds each ailment, says what to do, and has nothing to say against a healthy party."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engine import identity
from engine.cli.main import app
from engine.party import doctor, hardening
from tests.engine.party.party_study import Clock, Study, make_charter, make_keys, make_study, scenario, study
from tests.engine.party.test_serve import ROOT, write_config

pytestmark = pytest.mark.usefixtures("fake_analysis")


@pytest.fixture(autouse=True)
def _open_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other tests of this process go on being able to look into it."""
    monkeypatch.setattr(hardening, "unreadable", lambda: None)
    monkeypatch.setattr(hardening, "is_hardened", lambda: True)
    monkeypatch.setattr(doctor, "SWAPS", Path("/nowhere"))  # this machine's is its own affair


def found(path: Path) -> dict[tuple[str, str], str]:
    """(check, status) -> texts and advice."""
    lines: dict[tuple[str, str], str] = {}
    for line in doctor.examine(path):
        assert line.status == "ok" or line.advice, line
        lines[line.check, line.status] = " | ".join(filter(None, [lines.get((line.check, line.status)), line.text, line.advice]))
    return lines


@pytest.fixture
def s() -> Iterator[Study]:
    """A study's folders, no daemon running."""
    with tempfile.TemporaryDirectory(prefix="u-") as name:
        yield make_study(Path(name), make_keys(Path(name) / "keys"))


def no_peers(lines: dict[tuple[str, str], str]) -> set[tuple[str, str]]:
    """What is wrong beside the others' daemons, which do not run."""
    return {key for key in lines if key[1] != "ok" and key[0] != "peer"}


# -- a healthy party -----------------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_a_running_study() -> None:
    async def body(s: Study) -> None:
        config = write_config(s, "um")
        await s.begin()
        lines = await asyncio.to_thread(found, config)
        assert {status for _, status in lines} == {"ok"}, lines
        assert lines["peer", "ok"].count("clocks differ by 0.") == 2
        assert lines["links", "ok"] == "to iu, uk"
        assert "20 rows; the charter declares at most 1024 | 3 columns fit" in lines["data", "ok"]
        result = await asyncio.to_thread(CliRunner().invoke, app, ["party", "doctor", "--config", str(config), "--json"])
        assert result.exit_code == 0
        assert {line["status"] for line in json.loads(result.stdout)} == {"ok"}

    scenario(body)


def test_a_daemon_that_does_not_run_yet_is_no_ailment(s: Study) -> None:
    lines = found(write_config(s, "um"))
    assert no_peers(lines) == set()
    assert "does not run" in lines["daemon", "ok"]
    assert not list((s.folder / "um").glob("*.sock"))


def test_the_command_hardens_itself_and_fails_where_a_line_does(s: Study) -> None:
    config = write_config(s, "um")
    result = subprocess.run(
        [sys.executable, "-m", "engine.cli.main", "party", "doctor", "--config", str(config)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    assert result.returncode == 1, result.stderr  # nobody else runs
    assert "ok    core dumps     off" in result.stdout
    assert "fail  peer           iu: 127.0.0.1:" in result.stdout
    assert "\n                     -> is its daemon running" in result.stdout


# -- the own side ----------------------------------------------------------------------------------------------------------------


def test_a_configuration_that_is_not_there_or_wrong(s: Study) -> None:
    assert found(s.folder / "nowhere.toml").keys() == {("core dumps", "ok"), ("swap", "ok"), ("configuration", "fail")}
    assert "polcy" in found(_changed(write_config(s, "um"), "[policy]", "[polcy]"))["configuration", "fail"]
    assert "'nobody'" in found(_changed(write_config(s, "um"), '"ana"', '"nobody"'))["configuration", "fail"]


def test_a_charter_that_lacks_a_signature_and_the_data_are_looked_at_all_the_same(s: Study) -> None:
    config = write_config(s, "um")
    envelope = json.loads((s.folder / "charter.json").read_text())
    del envelope["signatures"]["iu"]
    (s.folder / "charter.json").write_text(json.dumps(envelope))
    lines = found(config)
    assert "signature of iu" in lines["charter", "fail"]
    assert no_peers(lines) == {("charter", "fail")}
    assert "3 columns fit" in lines["data", "ok"]
    assert ("peer", "fail") not in lines
    (s.folder / "charter.json").unlink()
    assert "no dictionary without a charter" in found(config)["data", "warn"]


def test_keys_that_are_gone_others_or_readable(s: Study) -> None:
    config = write_config(s, "um")
    (s.folder / "keys" / "um" / identity.SIGNING_KEY).chmod(0o640)
    (s.folder / "um").mkdir(mode=0o755)
    (s.folder / "um").chmod(0o755)
    lines = found(config)
    assert "signing.key is open to other users (640)" in lines["folders", "fail"]
    assert f"chmod 700 {s.folder.resolve()}/um" in lines["folders", "fail"]
    assert "not those that the charter pins" in found(_changed(config, "keys/um", "keys/iu"))["keys", "fail"]
    assert "no usable keys" in found(_changed(config, "keys/iu", "keys"))["keys", "fail"]


@pytest.mark.parametrize(("days", "status", "said"), [(-1, "fail", "expired on"), (30, "warn", "expires on")])
def test_a_certificate_at_its_end(s: Study, days: int, status: str, said: str) -> None:
    s.keys["iu"] = identity.create("iu", s.folder / "keys" / "iu2", valid_for=timedelta(days=days))
    s.charter = make_charter(s.keys)
    lines = found(write_config(s, "um"))
    assert f"iu's {said}" in lines["certificates", status]


def test_an_audit_log_that_was_changed(s: Study) -> None:
    config = write_config(s, "um")
    (s.folder / "um").mkdir(mode=0o700)
    (s.folder / "um" / "audit.jsonl").write_text('{"event":"started"}\n')
    assert "altered" in found(config)["audit log", "fail"]


@pytest.mark.parametrize(
    ("free", "status"), [(50 << 20, "fail"), (500 << 20, "warn"), (5 << 30, "ok")], ids=["none", "little", "enough"]
)
def test_room_on_the_disk(s: Study, monkeypatch: pytest.MonkeyPatch, free: int, status: str) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: type("Usage", (), {"free": free})())
    assert ("disk", status) in found(write_config(s, "um"))


@pytest.mark.parametrize(("device", "status"), [("/dev/sda2", "warn"), ("/dev/zram0", "ok")])
def test_swap_on_a_disk(s: Study, monkeypatch: pytest.MonkeyPatch, device: str, status: str) -> None:
    (s.folder / "swaps").write_text(f"Filename\tType\tSize\tUsed\tPriority\n{device}\tpartition\t1\t0\t-2\n")
    monkeypatch.setattr(doctor, "SWAPS", s.folder / "swaps")
    assert ("swap", status) in found(write_config(s, "um"))


def test_metrics_that_everybody_could_read(s: Study) -> None:
    assert "0.0.0.0:9464" in found(write_config(s, "um", metrics="0.0.0.0:9464"))["metrics", "warn"]
    assert ("metrics", "warn") not in found(write_config(s, "um", metrics="127.0.0.1:9464"))


def test_a_port_that_is_not_the_charters(s: Study) -> None:
    config, address = write_config(s, "um"), s.charter.member("um").address
    assert ("listen", "warn") not in found(config)
    config = write_config(s, "um", listen="127.0.0.1:0")
    assert f"listens at 127.0.0.1:0; the charter sends the others to {address}" in found(config)["listen", "warn"]


def test_a_port_that_another_program_has(s: Study) -> None:
    config = write_config(s, "um")
    with doctor.socket.create_server(("127.0.0.1", int((s.charter.member("um").address or "").rpartition(":")[2]))):
        assert "cannot be used" in found(config)["daemon", "fail"]


# -- the own data ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("age,indo,sex\n" + "40,1,male\n" * 20 + "400,1,male\n", "ok", "age: 1 of 21 values do not fit the dictionary"),
        ("age,indo,sex\n" + "40,1,male\n" * 20 + "400,1,male\n" * 2, "fail", "age: 2 of 22 values do not fit the dictionary"),
        ("age,indo,sex\n" + "40,,male\n" * 20, "warn", "indo: Every value is missing"),
        ("age,indo,sex\n", "warn", "no rows"),
        ("age,indo,sex\n" + "40,1,male\n" * 1025, "fail", "1025 rows; the charter declares at most 1024"),
        ("age,indo,sex\n" + "40,1,male\n" * 1000, "warn", "1000 rows; the charter declares at most 1024"),
        ("age,indo\n40,1\n", "fail", "sex"),
        (None, "fail", "rows.csv"),
    ],
)
def test_own_data(s: Study, text: str | None, status: str, said: str) -> None:
    config = write_config(s, "um")
    (s.folder / "rows.csv").unlink() if text is None else (s.folder / "rows.csv").write_text(text)
    assert said in found(config)["data", status]


def test_nothing_is_left_behind(s: Study) -> None:
    config = write_config(s, "um")
    found(config)
    assert not (s.folder / "um").exists()  # nor made
    (s.folder / "um").mkdir(mode=0o700)
    found(config)
    assert not list((s.folder / "um" / "spill").iterdir())


def test_another_user_is_told_so_and_leaves_the_state_folder_alone(s: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    (s.folder / "um").mkdir(mode=0o700)
    monkeypatch.setattr(doctor.os, "geteuid", lambda: 4711)
    lines = found(write_config(s, "um"))
    assert "belongs to another user" in lines["folders", "warn"]
    assert "3 columns fit" in lines["data", "ok"]
    assert not list((s.folder / "um").iterdir())


# -- the others ------------------------------------------------------------------------------------------------------------------


def test_a_party_that_is_down_is_a_warning_only_where_it_dials_us(s: Study) -> None:
    lines = found(write_config(s, "iu"))  # the order of the charter is um, iu, uk: um dials iu, iu dials uk
    assert "um: 127.0.0.1:" in lines["peer", "warn"]
    assert "uk: 127.0.0.1:" in lines["peer", "fail"]


def test_another_program_at_a_partys_address(s: Study) -> None:
    async def body() -> None:
        port = int((s.charter.member("iu").address or "").rpartition(":")[2])

        async def hang_up(_: Any, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", port):
            lines = await asyncio.to_thread(found, write_config(s, "um"))
        assert "iu: does not speak TLS" in lines["peer", "fail"]

    asyncio.run(body())


def test_a_name_that_nobody_knows(s: Study) -> None:
    def elsewhere(member: Any) -> Any:
        return member.model_copy(update={"address": "um.invalid:7443"}) if member.name == "iu" else member

    s.charter = s.charter.model_copy(update={"members": tuple(map(elsewhere, s.charter.members))})
    assert "um.invalid is no name" in found(write_config(s, "um"))["peer", "fail"]


async def _seen_from_um(s: Study, *, other: Study, clock: Any = None) -> str:
    """What um's doctor says of iu, where `other`'s iu answers at iu's address."""
    await other.start("iu", clock=clock)
    lines = await asyncio.to_thread(found, write_config(s, "um"))
    return next(part for part in lines["peer", "fail"].split(" | ") if part.startswith("iu: "))


def test_a_stranger_in_a_partys_place(s: Study) -> None:
    async def body() -> None:
        async with study() as other:
            other.charter = _at_addresses_of(s, make_charter(other.keys))
            assert "another certificate than the charter's" in await _seen_from_um(s, other=other)

    asyncio.run(body())


def test_a_party_with_another_charter(s: Study) -> None:
    async def body() -> None:
        async with study() as other:
            other.keys = s.keys
            other.charter = _at_addresses_of(s, make_charter(s.keys, title="last year's"))
            assert "serves another charter" in await _seen_from_um(s, other=other)

    asyncio.run(body())


def test_a_party_that_does_not_know_us(s: Study) -> None:
    async def body() -> None:
        async with study() as other:
            other.keys = {**s.keys, "um": other.keys["um"]}
            other.charter = _at_addresses_of(s, make_charter(other.keys))
            assert "does not take your certificate" in await _seen_from_um(s, other=other)

    asyncio.run(body())


def test_a_clock_that_is_wrong(s: Study) -> None:
    async def body() -> None:
        async with study() as other:
            other.keys, other.charter = s.keys, s.charter
            late = Clock()
            late.now += timedelta(hours=1)
            assert "clock is +3600 s from yours" in await _seen_from_um(s, other=other, clock=late)

    asyncio.run(body())


def test_another_version(s: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with study() as other:
            other.keys, other.charter = s.keys, s.charter
            monkeypatch.setattr("engine.party.jobs_service.PROTOCOL_VERSION", 7)
            assert "speaks protocol 7" in await _seen_from_um(s, other=other)

    asyncio.run(body())


def test_a_paused_daemon_and_a_missing_link_are_told() -> None:
    async def body(s: Study) -> None:
        await s.start("um")
        s.daemons["um"].flow.pause(True)
        lines = await asyncio.to_thread(found, write_config(s, "um"))
        assert "paused" in lines["daemon", "warn"]
        assert "none to iu" in lines["links", "fail"]

    scenario(body)


def _changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def _at_addresses_of(s: Study, charter: Any) -> Any:
    """The same members at the same places."""
    addresses = {member.name: member.address for member in s.charter.members}
    members = tuple(member.model_copy(update={"address": addresses[member.name]}) for member in charter.members)
    return charter.model_copy(update={"members": members})
