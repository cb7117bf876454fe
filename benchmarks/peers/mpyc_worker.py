"""MPyC (Schoenmakers): Shamir's sharing over a prime field, fixed-point numbers of 64 bits, half of them fractional."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.peers import worker
from benchmarks.peers.worker import Prepared, Unable

rank, ports = worker.rank_and_ports()
addresses = [argument for port in ports for argument in ("-P", f"127.0.0.1:{port}")]
sys.argv = [sys.argv[0], *addresses, "-I", str(rank), "--no-log"]

from mpyc.runtime import mpc  # noqa: E402  reads sys.argv

BITS, FRAC = 64, 32  # half of the bits, as its division needs
PROGRAMS: dict[str, Callable[..., Any]] = {
    "products": lambda x, y: x * y,
    "comparisons": lambda x, y: x < y,
    "reciprocals": lambda x: 1 / x,
    "gram": lambda x: x.T @ x,
}
MISSING = {"newton": "mpyc has no exponential for fixed-point numbers"}


def prepare(name: str, given: dict[str, np.ndarray]) -> Prepared:
    if name not in PROGRAMS:
        raise Unable(MISSING.get(name, f"mpyc has no {name}"))
    numbers = mpc.SecFxp(BITS, FRAC)
    shared = [_settled(mpc.input(numbers.array(values), senders=0)) for values in given.values()]
    rows = len(given["x"]) if name == "gram" else 1
    return lambda: _settled(PROGRAMS[name](*shared)), lambda answer: np.asarray(mpc.run(mpc.output(answer)), float) / rows


def _settled(shares: Any) -> Any:
    """The same shares, once they are there: MPyC computes on promises."""
    mpc.run(mpc.gather(shares))
    return shares


def _barrier() -> None:
    mpc.run(_all_there())


async def _all_there() -> None:
    await mpc.transfer(b"")


if __name__ == "__main__":
    assert asyncio.get_event_loop() is not None
    mpc.run(mpc.start())
    worker.serve(prepare, _barrier)
