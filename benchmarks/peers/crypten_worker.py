"""CrypTen (Knott et al., NeurIPS 2021): additive shares in Z_2^64 at 16 fractional bits, triples from a trusted first party."""

from __future__ import annotations

import os
import sys
import types
from typing import Any

import numpy as np

from benchmarks.peers import worker
from benchmarks.peers.worker import Prepared, Unable

_stub: Any = types.ModuleType("torch.onnx._internal.registration")  # crypten imports what torch has moved
_stub.registry = None
sys.modules.setdefault("torch.onnx._internal.registration", _stub)

rank, ports = worker.rank_and_ports()
os.environ.update(
    RANK=str(rank), WORLD_SIZE="3", RENDEZVOUS=f"tcp://127.0.0.1:{ports[0]}", GLOO_SOCKET_IFNAME="lo", MASTER_ADDR="127.0.0.1"
)

import crypten  # noqa: E402  needs the above
import torch  # noqa: E402

NEWTON_STEPS, SCHULZ_STEPS = 5, 10  # the fewest that reach 1e-6 SE in exact arithmetic


def _barrier() -> None:
    crypten.comm.get().barrier()


def _rounds() -> int:
    rounds: int = crypten.comm.get().get_communication_stats()["rounds"]
    return rounds


def prepare(name: str, given: dict[str, np.ndarray]) -> Prepared:
    if name in ("lift", "inverse", "ring products"):
        raise Unable(f"crypten has no {name}")
    shared = {key: crypten.cryptensor(torch.tensor(values, dtype=torch.float64), src=0) for key, values in given.items()}
    x, y = shared["x"], shared.get("y")
    runs = {
        "products": lambda: x * y,
        "comparisons": lambda: x < y,
        "sigmoids": lambda: x.sigmoid(),
        "reciprocals": lambda: x.reciprocal(),
        "exp": lambda: x.exp(),
        "log": lambda: x.log(),
        "gram": lambda: x.t().matmul(x),
        "newton": lambda: _newton(x, y),
    }
    rows = len(given["x"]) if name == "gram" else 1
    return runs[name], lambda answer: answer.get_plain_text().numpy() / rows


def _newton(x: Any, y: Any) -> Any:
    """Newton steps with X'WX / n inverted by Newton-Schulz, everything shared."""
    n, d = x.size()
    xt = x.t()
    beta = crypten.cryptensor(torch.zeros(d), src=0)
    for _ in range(NEWTON_STEPS):
        p = x.matmul(beta).sigmoid()
        weighted = x * (p * (1 - p)).unsqueeze(1)
        information = xt.matmul(weighted) / n
        gradient = xt.matmul(y - p) / n
        beta = beta + _inverse(information, d).matmul(gradient)
    return beta


def _inverse(a: Any, d: int) -> Any:
    """Newton-Schulz from I / trace: a's trace is below d / 4."""
    two = 2 * torch.eye(d)
    z = torch.eye(d) * (4 / d)
    inverse = crypten.cryptensor(z, src=0)
    for _ in range(SCHULZ_STEPS):
        inverse = inverse.matmul(a.matmul(inverse).neg() + two)
    return inverse


if __name__ == "__main__":
    torch.set_num_threads(1)
    crypten.init()
    crypten.cfg.communicator.verbose = True  # counts rounds
    worker.serve(prepare, _barrier, _rounds)
