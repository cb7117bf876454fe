"""A crash or silence ends the session at every member within two round deadlines, and nobody waits for ever."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from engine import identity
from engine.transport.codes import CHUNK, LinkCode
from protocols.errors import PeerLost
from protocols.session import Expect
from tests.engine.transport.studies import make_charter

DEADLINE = 1.0


def wait_for(peer, size=8):
    return lambda link: link.session().exchange("x", {}, {peer: Expect(np.dtype("u1"), (size,))})


def timed(work):
    """The exception that ends `work`, and after how many deadlines."""

    def run(link):
        begun = time.monotonic()
        try:
            work(link)
        except PeerLost as error:
            return error, (time.monotonic() - begun) / DEADLINE
        return None

    return run


def chatter(link):
    """Rounds with everybody until something happens."""
    session = link.session()
    others = [i for i in range(len(session.members)) if i != session.me]
    while True:
        session.exchange("x", {i: np.zeros(8, "u1") for i in others}, {i: Expect(np.dtype("u1"), (8,)) for i in others})


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_closed_link_ends_the_session_at_every_member_at_once(study, lost):
    running = study(4, deadline=30.0).start_all()
    links = running.open()
    victim = running.names[lost]

    def cut():
        for link in list(running.meshes[victim]._links.values()):
            link.close(LinkCode.CLOSED)

    def work(link):
        if link.agreement.me == lost:
            running.loop.call(cut)
        return wait_for((link.agreement.me + 1) % 4)(link)

    begun = time.monotonic()
    assert [type(error) for error in running.everybody(work, links)] == [PeerLost] * 4
    assert time.monotonic() - begun < 10  # the deadline is 30 s


@pytest.mark.parametrize("silent", [0, 1, 2, 3])
def test_a_silent_member_ends_the_session_everywhere_within_two_deadlines(study, silent):
    running = study(4, deadline=DEADLINE).start_all()
    links = running.open()
    waiting = [link for link in links if link.agreement.me != silent]
    outcome = running.everybody(timed(wait_for(silent)), waiting)
    assert all(isinstance(error, PeerLost) and deadlines < 2 for error, deadlines in outcome)
    running.loop.wait_until(lambda: links[silent].ended)


def test_a_chain_of_waiting_members_ends_within_two_deadlines(study):
    """0 waits for 1, 1 for 2, 2 for the silent 3: nobody is wrongly kept alive by those that only wait."""
    running = study(4, deadline=DEADLINE).start_all()
    links = running.open()
    outcome = running.everybody(timed(lambda link: wait_for(link.agreement.me + 1)(link)), links[:3])
    assert all(deadlines < 2 for _, deadlines in outcome)


def test_members_that_wait_for_each_other_do_not_wait_for_ever(study):
    running = study(3, deadline=DEADLINE).start_all()
    outcome = running.everybody(timed(lambda link: wait_for((link.agreement.me + 1) % 3)(link)), running.open())
    assert all(deadlines < 3 for _, deadlines in outcome)


def test_a_member_that_works_at_home_may_take_longer_than_the_deadline(study):
    """And those that wait for one who waits for it stay, too."""
    running = study(3, deadline=0.5).start_all()
    links = running.open()
    begun = time.monotonic()

    def work(link):
        session = link.session()
        if session.me == 2:
            with link.heartbeating():
                running.loop.wait_until(lambda: time.monotonic() - begun > 4 * 0.5)
            session.exchange("x", {1: np.zeros(8, "u1")}, {})
        elif session.me == 1:
            session.exchange("x", {}, {2: Expect(np.dtype("u1"), (8,))})
            session.exchange("x", {0: np.zeros(8, "u1")}, {})
        else:
            session.exchange("x", {}, {1: Expect(np.dtype("u1"), (8,))})
        return "done"

    assert running.everybody(work, links) == ["done"] * 3


def test_a_receiver_that_takes_nothing_ends_the_session_within_two_deadlines(study):
    running = study(3, deadline=DEADLINE).start_all()
    links = running.open()
    big = np.zeros(64 * CHUNK, "u1")
    (outcome,) = running.everybody(timed(lambda link: link.session().exchange("x", {1: big}, {})), links[:1])
    assert outcome[1] < 2
    running.loop.wait_until(lambda: links[1].ended and links[2].ended)


def test_stopping_a_daemon_ends_its_sessions_everywhere(study):
    running = study(3, deadline=30.0).start_all()
    links = running.open()

    def work(link):
        if link.agreement.me == 1:
            running.stop("birch")
        return wait_for((link.agreement.me + 1) % 3)(link)

    assert [type(error) for error in running.everybody(work, links)] == [PeerLost] * 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_or_stopped_process_ends_the_session_at_the_others(study, tmp_path, how):
    running = study(3, deadline=DEADLINE)
    for name, key in running.identities.items():
        folder = tmp_path / name
        identity.create(name, folder)  # the folder's layout; the keys are the study's
        (folder / identity.TLS_KEY).write_bytes(key.tls_key)
        (folder / identity.TLS_CERTIFICATE).write_bytes(key.certificate)
        pem = identity.Encoding.PEM, identity.PrivateFormat.PKCS8, identity.NoEncryption()
        (folder / identity.SIGNING_KEY).write_bytes(key.signing_key.private_bytes(*pem))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        running.addresses["cedar"] = f"127.0.0.1:{free.getsockname()[1]}"
    running.charter = make_charter(running.identities, running.addresses, DEADLINE)
    running.start("alder")
    running.start("birch")
    argument = json.dumps(["cedar", str(tmp_path), running.addresses, DEADLINE])
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "tests.engine.transport.party_process", argument]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root)
    try:
        for name in ("alder", "birch"):
            running.loop.run(running.meshes[name].wait_connected(20))
        futures = [running.opening(name, b"j" * 32, 1) for name in ("alder", "birch")]
        links = [future.result(20) for future in futures]
        struck = []

        def work(link):
            try:
                chatter(link)
            except PeerLost:
                return time.monotonic() - struck[0]

        def strike():
            child.stdout.readline()  # rounds go on
            struck.append(time.monotonic())
            child.send_signal(how)

        threading.Thread(target=strike).start()
        assert all(seconds < 2 * DEADLINE for seconds in running.everybody(work, links))
    finally:
        child.kill()
        child.wait(10)
        child.stdout.close()


def test_links_come_back_and_sessions_open_again(study):
    running = study().start_all()
    port = int(running.addresses["birch"].rsplit(":", 1)[1])
    running.stop("birch")
    running.loop.wait_until(lambda: running.meshes["alder"].last_error("birch") is not None)
    running.bind("birch", port)
    running.start("birch")
    for mesh in running.meshes.values():
        running.loop.run(mesh.wait_connected(20))
    assert len({link.agreement.session for link in running.open(attempt=5)}) == 1
