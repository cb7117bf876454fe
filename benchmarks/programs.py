"""What one party does in a measurement, as a program on its Session: the same over gRPC and in memory.

A program returns what it measured: seconds from the start that all parties wait for to its own end, its rounds and bytes, its
peak memory, and, at party 0 alone, the error of the opened answer. Sharing the inputs and opening the answer are not timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

import native
from benchmarks import memory, work
from benchmarks.work import SAMPLE, Arrays
from protocols.engine import LARGE, LARGE_FRAC, SMALL, SMALL_FRAC, Declared, Engine, Secret
from protocols.numeric.exponential import exp, log
from protocols.numeric.logistic import sigmoid
from protocols.numeric.reciprocal import reciprocal
from protocols.numeric.solve import inverse
from protocols.plaintext import Plaintext
from protocols.replicated.engine import Replicated
from protocols.replicated.sharing import after, before, reconstruct
from protocols.session import COMPUTE, Expect, Session

Program = Callable[[Session], dict[str, Any]]
Run = Callable[[Engine, Mapping[str, Secret]], Secret]
SMALLEST = 0.5  # of the numbers whose reciprocal or logarithm is taken

# work -> (limbs, fractional bits of the inputs, what runs)
RUNS: dict[str, tuple[int, int, Run]] = {
    "ring products": (SMALL, 0, lambda mpc, a: mpc.mul(a["x"], a["y"])),
    "products": (SMALL, SMALL_FRAC, lambda mpc, a: mpc.mul(a["x"], a["y"])),
    "comparisons": (SMALL, 16, lambda mpc, a: mpc.less_than(a["x"], a["y"], bits=40)),
    "sigmoids": (SMALL, SMALL_FRAC, lambda mpc, a: sigmoid(mpc, a["x"])[0]),
    "reciprocals": (LARGE, LARGE_FRAC, lambda mpc, a: reciprocal(mpc, a["x"], SMALLEST)[0]),
    "exp": (LARGE, LARGE_FRAC, lambda mpc, a: exp(mpc, a["x"])[0]),
    "log": (LARGE, LARGE_FRAC, lambda mpc, a: log(mpc, a["x"], SMALLEST)[0]),
    "gram": (SMALL, SMALL_FRAC, lambda mpc, a: mpc.row_products(a["x"], a["x"], symmetric=True)),
    "inverse": (LARGE, LARGE_FRAC, lambda mpc, a: inverse(mpc, a["x"], float(a["x"].shape[-1]))[0]),
    "lift": (SMALL, SMALL_FRAC, lambda mpc, a: mpc.lift(a["x"])),
}


JOINT = {"joint keys": "keys", "conversion": "conversion", "joint step": "step"}
"""Programs of joint_programs.py, which take the request's other fields."""


def program(request: Mapping[str, Any]) -> Program:
    """The program that a bench asks for by name."""
    if request["do"] == "work":
        return partial(on_shares, name=request["work"], n=request["n"], d=request["d"])
    if request["do"] in JOINT:
        from benchmarks import joint_programs

        return partial(getattr(joint_programs, JOINT[request["do"]]), **{k: v for k, v in request.items() if k != "do"})
    return partial(EXCHANGES[request["do"]], count=request["count"], size=request["size"])


def ring_name(name: str) -> str:
    return f"Z_2^{64 * RUNS[name][0]}"


# -- works ----------------------------------------------------------------------------------------------------------------------


def on_shares(session: Session, *, name: str, n: int, d: int) -> dict[str, Any]:
    given = work.inputs(name, n, d)
    mpc = Replicated(session)
    secrets = _shared(mpc, session, name, given)
    barrier(session)
    memory.reset_peak()
    meter = session.meter
    rounds, sent, began = meter.rounds, meter.bytes_sent, time.perf_counter()
    answer = RUNS[name][2](mpc, secrets)
    measured: dict[str, Any] = {
        "seconds": time.perf_counter() - began,
        "rounds": meter.rounds - rounds,
        "bytes_sent": meter.bytes_sent - sent,
        "peak_rss": memory.peak_mib(),
    }
    elements = _gathered(session, mpc.release_share(answer))
    if elements is not None:
        measured["error"] = _error(name, given, elements, answer.frac)
    return measured


def in_the_clear(name: str, n: int, d: int) -> dict[str, Any]:
    """The same calls on the plaintext engine: what the arithmetic alone costs, and errs."""
    given = work.inputs(name, n, d)
    limbs, frac, run = RUNS[name]
    mpc = Plaintext()
    secrets = {key: mpc.constant(_encodable(values, frac), limbs=limbs, frac=frac) for key, values in given.items()}
    memory.reset_peak()
    began = time.perf_counter()
    answer = run(mpc, secrets)
    seconds = time.perf_counter() - began
    error = _error(name, given, answer.data.value, answer.frac)
    return {"seconds": seconds, "rounds": 0, "bytes_sent": 0, "peak_rss": memory.peak_mib(), "error": error}


def _encodable(values: np.ndarray, frac: int) -> np.ndarray:
    """Integers stay exact: the engine takes a float array as one that needs a truncation."""
    return values.astype(np.int64) if frac == 0 else values


def _shared(mpc: Replicated, session: Session, name: str, given: Arrays) -> dict[str, Secret]:
    """Party 0's arrays on shares. In Z_2^128 re-shared once, so that every component is as random as in the middle of a job."""
    limbs, frac, _ = RUNS[name]
    limits = {key: float(np.max(np.abs(values))) for key, values in given.items()}
    declared = [Declared(key, values.shape, limits[key], frac) for key, values in given.items()]
    if limbs == LARGE:
        mpc.contribute(given if session.me == 0 else {key: np.zeros(values.shape) for key, values in given.items()})
        return mpc.totals(declared)
    if session.me == 0:
        mpc.contribute(given)
    one = mpc.constant(1, limbs=SMALL, frac=0)
    return {key: mpc.mul(x, one, frac=x.frac) for key, x in mpc.rows({0: declared})[0].items()}


def _error(name: str, given: Arrays, elements: np.ndarray, frac: int) -> float:
    if name == "ring products":
        return work.error(name, given, native.to_ints(elements[:SAMPLE]))
    opened = native.decode(elements, frac)
    return work.error(name, given, opened / len(given["x"]) if name == "gram" else opened)


def _gathered(session: Session, share: np.ndarray) -> np.ndarray | None:
    """The value at party 0, None elsewhere."""
    if session.me != 0:
        session.exchange("bench share", {0: share}, {})
        return None
    expect = Expect(share.dtype, share.shape)
    received = session.exchange("bench share", {}, {1: expect, 2: expect})
    return reconstruct((share, received[1], received[2]))


def barrier(session: Session) -> None:
    """Returns when everybody has come here."""
    byte = np.zeros(1, np.uint8)
    others = [i for i in range(len(session.members)) if i != session.me]
    session.exchange("bench start", dict.fromkeys(others, byte), {i: Expect(byte.dtype, byte.shape) for i in others})


# -- exchanges ------------------------------------------------------------------------------------------------------------------


def all_to_all(session: Session, *, count: int, size: int) -> dict[str, Any]:
    """`count` rounds in which each of three parties sends `size` bytes to both others and waits for theirs."""
    if session.me not in COMPUTE:
        return {}
    peers = (after(session.me), before(session.me))
    expect = dict.fromkeys(peers, Expect(np.dtype(np.uint8), (size,)))
    payloads = {i: np.full(size, i, np.uint8) for i in COMPUTE}

    def once() -> int:
        received = session.exchange("bench round", dict.fromkeys(peers, payloads[session.me]), expect)
        return sum(int(np.count_nonzero(received[peer] != payloads[peer])) for peer in peers)

    return _repeated(session, once, count)


def ring(session: Session, *, count: int, size: int) -> dict[str, Any]:
    """`count` rounds in which each of three parties sends `size` bytes to the party before it: what a product's reshare is."""
    if session.me not in COMPUTE:
        return {}
    to, source = before(session.me), after(session.me)
    payload, wanted = np.full(size, session.me, np.uint8), np.full(size, source, np.uint8)

    def once() -> int:
        received = session.exchange("bench ring", {to: payload}, {source: Expect(wanted.dtype, wanted.shape)})
        return int(np.count_nonzero(received[source] != wanted))

    return _repeated(session, once, count)


def there_and_back(session: Session, *, count: int, size: int) -> dict[str, Any]:
    """`count` times party 0 sends `size` bytes to party 1, which returns them. The others wait."""
    return _ping(session, count, size, size)


def one_way(session: Session, *, count: int, size: int) -> dict[str, Any]:
    """`count` times party 0 sends `size` bytes to party 1, which answers with one byte when it has all."""
    return _ping(session, count, size, 1)


def _ping(session: Session, count: int, there: int, back: int) -> dict[str, Any]:
    sent, answer = np.arange(there, dtype=np.uint64).astype(np.uint8), np.ones(back, np.uint8)
    expect_sent, expect_answer = Expect(sent.dtype, sent.shape), Expect(answer.dtype, answer.shape)

    def once() -> int:
        if session.me == 0:
            session.exchange("bench there", {1: sent}, {})
            received = session.exchange("bench back", {}, {1: expect_answer})[1]
            return int(np.count_nonzero(received != answer))
        if session.me == 1:
            received = session.exchange("bench there", {}, {0: expect_sent})[0]
            session.exchange("bench back", {0: answer}, {})
            return int(np.count_nonzero(received != sent))
        return 0

    measured = _repeated(session, once, count)
    return measured if session.me == 0 else {**measured, "each": None}


EXCHANGES: dict[str, Callable[..., dict[str, Any]]] = {
    "round": all_to_all,
    "ring": ring,
    "round trip": there_and_back,
    "throughput": one_way,
}


def _repeated(session: Session, once: Callable[[], int], count: int) -> dict[str, Any]:
    """Seconds of each repetition, and how many bytes were not the ones sent."""
    once()
    barrier(session)
    memory.reset_peak()
    rounds, sent, wrong, each = session.meter.rounds, session.meter.bytes_sent, 0, []
    for _ in range(count):
        began = time.perf_counter()
        wrong += once()
        each.append(time.perf_counter() - began)
    return {
        "each": each,
        "rounds": session.meter.rounds - rounds,
        "bytes_sent": session.meter.bytes_sent - sent,
        "peak_rss": memory.peak_mib(),
        "error": float(wrong),
    }
