"""Three workers as processes: their answers, their failures, and the network that delays them."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from benchmarks import memory
from benchmarks.delay import Relays
from benchmarks.peers import MARGIN, Peer, Skipped, installed
from benchmarks.trio import Trio, WorkFailed, together
from engine.sandbox_files import free_ports

WORKER = str(Path(__file__).parent / "worker.py")


@pytest.fixture
def trio():
    with Trio([[sys.executable, WORKER, str(rank)] for rank in range(3)]) as workers:
        yield workers


def test_every_worker_answers_in_order_whatever_is_printed(trio):
    answers = trio.ask(do="add", to=10)
    assert [answer["sum"] for answer in answers] == [10, 11, 12]
    assert together(answers) == {"sum": 12, "only first": 7}


def test_a_failure_is_told_and_the_workers_go_on(trio):
    with pytest.raises(WorkFailed, match="ValueError: no such work"):
        trio.ask(do="fail")
    assert [answer["sum"] for answer in trio.ask(do="add", to=0)] == [0, 1, 2]


def test_a_silent_worker_is_given_up(trio):
    with pytest.raises(WorkFailed, match="no answer within"):
        trio.ask(timeout=0.1, do="hang")


def test_a_worker_that_ended_leaves_its_last_words(trio):
    with pytest.raises(WorkFailed, match="gone away"):
        trio.ask(do="end")


# -- peers -----------------------------------------------------------------------------------------------------------------


class Estimated(Peer):
    """Pretends to run: a second to begin with, and a second for 1000 rows."""

    def __init__(self, limit):
        super().__init__("crypten", sys.executable, limit)
        self.ran = []

    def run(self, name, n, d):
        self.ran.append(n)
        return {"seconds": 1 + n / 1000, "error": 0.0}


def test_work_that_would_take_too_long_is_skipped_and_the_start_is_not_multiplied():
    assert Estimated(limit=101.5 / MARGIN).prepare("products", 100_000, 1) is None
    refused = Estimated(limit=100.5 / MARGIN).prepare("products", 100_000, 1)
    assert isinstance(refused, Skipped)
    assert "about 101 s" in refused.why


def test_a_size_is_tried_once():
    peer = Estimated(limit=1000)
    peer.prepare("products", 100_000, 1)
    tried = list(peer.ran)
    peer.prepare("products", 100_000, 1)
    assert peer.ran == tried
    assert max(tried) < 100_000


def test_a_peer_that_no_interpreter_has_is_left_out():
    with installed([sys.executable, "/no/such/python"], 1.0, ("no_such_framework",)) as found:
        assert found == []


# -- the network and what the kernel counts ----------------------------------------------------------------------------------


def test_relays_pass_every_byte_on_in_both_directions():
    data = np.random.default_rng(1).bytes(3 << 20)
    listener = socket.create_server(("127.0.0.1", 0))
    (port,) = free_ports(1)

    def echo():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(_until_end(connection))

    server = threading.Thread(target=echo)
    server.start()
    with listener, Relays(10.0, {port: listener.getsockname()[1]}), socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert _until_end(client) == data
        server.join()


def test_tcp_counts_what_a_process_sent():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _ = listener.accept()
        with server:
            before = memory.sent_by_me()
            client.sendall(bytes(100_000))
            assert len(_exactly(server, 100_000)) == 100_000
            assert memory.sent_by_me() - before == 100_000
            # both ends are this process', as a researcher's are: not a party's traffic
            assert memory.sent_between({"me": os.getpid()}) == {"me": 0}


def test_the_peak_is_of_what_came_after_the_reset():
    high = np.ones(64 << 20, np.uint8)
    assert memory.peak_mib() >= 64
    before = memory.peak_mib()
    del high
    memory.reset_peak()
    assert memory.peak_mib() < before - 32


def _until_end(connection):
    found = bytearray()
    while data := connection.recv(1 << 16):
        found += data
    return bytes(found)


def _exactly(connection, count):
    found = bytearray()
    while len(found) < count:
        found += connection.recv(count)
    return bytes(found)
