"""SPU (Ma et al., USENIX ATC 2023): ABY3 in Z_2^64 at 18 fractional bits, its default approximations, programs in JAX."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import spu
from spu.utils import frontend

from benchmarks import work
from benchmarks.peers import worker
from benchmarks.peers.worker import Prepared, Unable

rank, ports = worker.rank_and_ports()
lib = spu.libspu
SECRET = lib.Visibility.VIS_SECRET
NEWTON_STEPS, SCHULZ_STEPS = 5, 10  # the fewest that reach 1e-6 SE in exact arithmetic


def newton(x: Any, y: Any) -> Any:
    """Newton steps with X'WX / n inverted by Newton-Schulz, everything shared."""
    n, d = x.shape
    beta = jnp.zeros(d, x.dtype)
    for _ in range(NEWTON_STEPS):
        p = jax.nn.sigmoid(x @ beta)
        information = x.T @ (x * (p * (1 - p))[:, None]) / n
        inverse = jnp.eye(d) * (4.0 / d)  # the trace is below d / 4
        for _ in range(SCHULZ_STEPS):
            inverse = inverse @ (2 * jnp.eye(d) - information @ inverse)
        beta = beta + inverse @ (x.T @ (y - p) / n)
    return beta


PROGRAMS: dict[str, Callable[..., Any]] = {
    "ring products": lambda x, y: x * y,
    "products": lambda x, y: x * y,
    "comparisons": lambda x, y: x < y,
    "sigmoids": jax.nn.sigmoid,
    "reciprocals": lambda x: 1.0 / x,
    "exp": jnp.exp,
    "log": jnp.log,
    "gram": lambda x: x.T @ x,
    "newton": newton,
}
INTEGERS = {"ring products": np.int64}


def main() -> None:
    ordinary = lib.RuntimeConfig(protocol=lib.ProtocolKind.ABY3, field=lib.FieldType.FM64)
    precise = lib.RuntimeConfig(protocol=lib.ProtocolKind.ABY3, field=lib.FieldType.FM64)
    precise.fxp_exp_mode = lib.RuntimeConfig.ExpMode.EXP_PADE  # its default errs by 1e-3, always upwards: 0.15 SE of 10 000 rows
    parties = lib.link.Desc()
    for i, port in enumerate(ports):
        parties.add_party(f"p{i}", f"127.0.0.1:{port}")
    link = lib.link.create_brpc(parties, rank)
    io = spu.Io(3, ordinary)
    runtimes = {config is precise: spu.Runtime(link.spawn(), config) for config in (ordinary, precise)}

    def prepare(name: str, given: dict[str, np.ndarray]) -> Prepared:
        if name not in PROGRAMS:
            raise Unable(f"spu has no {name}")
        arrays = {key: values.astype(INTEGERS.get(name, np.float32)) for key, values in given.items()}
        program, runtime = PROGRAMS[name], runtimes[name == "newton"]

        def ordered(*arguments: Any) -> Any:
            return program(*arguments)

        ordered.__name__ = name.replace(" ", "_")
        executable, _ = frontend.compile(
            frontend.Kind.JAX, ordered, list(arrays.values()), {}, list(arrays), [SECRET] * len(arrays), lambda out: ["out"]
        )
        for key, values in arrays.items():
            runtime.set_var(key, _dealt(io.make_shares(values, SECRET) if rank == 0 else None))
        rows = len(given["x"]) if name == "gram" else 1
        return lambda: runtime.run(executable), lambda _: answer_of(name, _opened(runtime), rows)

    def _dealt(shares: list[Any] | None) -> Any:
        """Party 0's three shares, one to each party."""
        mine = link.scatter([_packed(share) for share in shares] if shares else [], 0)
        return _unpacked(mine)

    def _opened(runtime: Any) -> np.ndarray:
        """The answer at every party."""
        return np.asarray(io.reconstruct([_unpacked(share) for share in link.all_gather(_packed(runtime.get_var("out")))]))

    worker.serve(prepare, link.barrier)


def answer_of(name: str, opened: np.ndarray, rows: int) -> np.ndarray:
    """As it is compared: a sample of exact integers, or numbers."""
    return opened[: work.SAMPLE].astype(object) if name in INTEGERS else np.asarray(opened, float) / rows


def _packed(share: Any) -> str:
    chunks = [base64.b64encode(chunk).decode() for chunk in share.share_chunks]
    return json.dumps([base64.b64encode(share.meta).decode(), *chunks])


def _unpacked(text: str) -> Any:
    share = lib.Share()
    share.meta, *chunks = (base64.b64decode(part) for part in json.loads(text))
    share.share_chunks = chunks
    return share


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)  # for the integers of ring products
    main()
