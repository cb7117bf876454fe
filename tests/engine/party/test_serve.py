"""`unseen party serve` as a process of its own: ready, signals, what it leaves behind."""

import asyncio
import os
import signal
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from engine import identity
from engine.errors import ConfigError
from engine.party import daemon
from engine.party.journal import recover
from engine.spec import SignedSpec
from tests.engine.party.party_study import Study, free_port, make_charter, scenario, sign_charter
from tests.engine.party.stand_ins import Hold

pytestmark = pytest.mark.usefixtures("fake_analysis")

DUMPABLE = """
import builtins, ctypes, sys
from pathlib import Path
from engine.party import server
say = builtins.print
builtins.print = lambda *words, **options: say(*words, ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), **options)
server.serve(Path(sys.argv[1]), observable=OBSERVABLE)
"""  # adds to the line that says ready whether this process may be dumped or looked into (PR_GET_DUMPABLE)
SERVE = "import sys; from pathlib import Path; from engine.party import server; server.serve(Path(sys.argv[1]))"
ROOT = Path(__file__).parents[3]


def write_config(s: Study, name: str, **party: Any) -> Path:
    """hospital.toml of one party, with a table of twenty rows."""
    if not (s.folder / "charter.json").exists():
        sign_charter(s.charter, s.keys, s.folder / "charter.json")
    (s.folder / "rows.csv").write_text("age,indo,sex\n" + "40,1,male\n" * 20)
    section = {
        "name": name,
        "charter": "charter.json",
        "keys": f"keys/{name}",
        "state": name,
        "listen": s.charter.member(name).address,
    }
    policy = {"approve": "automatic", "automatic": [{"researcher": "ana", "analyses": ["*"], "columns": ["*"]}]}
    path = s.folder / f"{name}.toml"
    path.write_text(tomli_w.dumps({"party": section | party, "policy": policy, "data": {"source": "rows.csv"}}))
    return path


async def serve(path: Path, code: str = SERVE) -> asyncio.subprocess.Process:
    """A daemon in its own process, started and not yet ready."""
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(path), stdout=pipe, stderr=pipe, env=environment)


async def ready(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode()


async def end(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    return process.returncode or 0, errors.decode()


async def in_a_session(s: Study) -> tuple[asyncio.subprocess.Process, Hold, SignedSpec]:
    """iu as a process in the middle of a session, which the others hold."""
    hold = Hold()
    await s.start("um", "uk", run=hold)
    process = await serve(write_config(s, "iu"))
    await ready(process)
    await s.linked()
    signed = await s.asked()
    await hold.reached(2)
    await s.state(signed.job_id, "iu", "computing")
    return process, hold, signed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_says_when_it_is_ready_and_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    async def body(s: Study) -> None:
        metrics = f"127.0.0.1:{free_port()}"
        process = await serve(write_config(s, "um", metrics=metrics))
        assert await ready(process) == f"ready um {s.charter.member('um').address}\n"
        assert "Max core file size        0                    0" in Path(f"/proc/{process.pid}/limits").read_text()
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://{metrics}/metrics").read().decode())
        assert "unseen_links 0.0" in page
        process.send_signal(number)
        code, errors = await end(process)
        assert code == 0, errors
        assert '"event": "stopped"' in errors
        assert "Traceback" not in errors

    scenario(body)


@pytest.mark.parametrize(
    ("number", "ended", "left"),
    [(signal.SIGINT, ("aborted", "stopped", "iu"), "aborted"), (signal.SIGKILL, ("aborted", "peer-lost", "iu"), "computing")],
)
def test_a_signal_in_the_middle_of_a_session_aborts_it_at_the_others(
    number: signal.Signals, ended: tuple[str, str, str], left: str
) -> None:
    async def body(s: Study) -> None:
        process, hold, signed = await in_a_session(s)
        process.send_signal(number)
        found = await s.ends(signed.job_id, ("um", "uk"))
        assert {end[:2] for end in found} == {ended[:2]}
        assert ended[2] in {end[2] for end in found}
        hold.release.set()
        code, errors = await end(process)
        assert code == (0 if number is signal.SIGINT else -signal.SIGKILL), errors
        records, _ = recover((s.folder / "iu" / "journal").read_bytes())
        assert records[-1]["state"] == left

    scenario(body)


def test_sigterm_waits_for_what_runs_and_a_second_one_does_not() -> None:
    async def body(s: Study) -> None:
        process, hold, signed = await in_a_session(s)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while b'"draining"' not in await process.stderr.readline():
                pass
        assert s.daemons["um"].flow.book.find(signed.job_id).state == "computing"
        process.send_signal(signal.SIGTERM)
        found = await s.ends(signed.job_id, ("um", "uk"))
        assert {end[:2] for end in found} == {("aborted", "stopped")}
        hold.release.set()
        assert (await end(process))[0] == 0

    scenario(body)


@pytest.mark.parametrize(("observable", "dumpable"), [(False, 0), (True, 1)])
def test_nobody_looks_into_a_daemon_but_the_owner_of_a_sandbox(observable: bool, dumpable: int) -> None:
    async def body(s: Study) -> None:
        process = await serve(write_config(s, "um"), DUMPABLE.replace("OBSERVABLE", str(observable)))
        assert (await ready(process)).endswith(f" {dumpable}\n")
        process.send_signal(signal.SIGINT)
        assert (await end(process))[0] == 0

    scenario(body)


def test_a_daemon_whose_certificate_has_expired_says_so() -> None:
    async def body(s: Study) -> None:
        s.keys["um"] = identity.create("um", s.folder / "keys" / "um", valid_for=timedelta(seconds=-1))
        s.charter = make_charter(s.keys)
        process = await serve(write_config(s, "um"))
        code, errors = await end(process)
        assert code != 0
        assert "the certificate of um is not valid today; um makes a new one" in errors

    scenario(body)


def test_a_wrong_configuration_ends_before_it_is_ready() -> None:
    async def body(s: Study) -> None:
        process = await serve(write_config(s, "um", listen="203.0.113.1:1"))
        code, errors = await end(process)
        assert code != 0
        assert "cannot listen on 203.0.113.1:1" in errors

    scenario(body)


def test_the_digest_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    key = daemon.digest_key(tmp_path / "state")
    assert len(key) == 32
    assert daemon.digest_key(tmp_path / "state") == key
    path = tmp_path / "state" / "digest.key"
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(key[:31])
    with pytest.raises(ConfigError, match="damaged"):
        daemon.digest_key(tmp_path / "state")
