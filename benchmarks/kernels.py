"""The C kernels on one thread, in every instruction set that this machine runs, beside NumPy, OpenSSL and PyTorch.

`engine` is the instruction set, `mode` the ring; `throughput` is in `unit`; `error` counts the elements of a sample that differ
from Python's integers. Peers of the products compute in Z_2^64, a half or a quarter of our words: what a framework with a 64-bit
ring does. Ours and the peers' runs alternate; the ratio is that of the fastest instruction set here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import native
from benchmarks import table, work
from benchmarks.alternate import alternate
from benchmarks.clock import timed
from benchmarks.peers import Peer, Skipped
from benchmarks.table import Row
from native import _load

SAMPLE = 64
KEY = bytes(range(16))
PLANES = 40
LIMBS = (2, 4)
GB, ELEMENTS = "GB/s", "elements/s"


@dataclass(frozen=True)
class Kernel:
    """`inputs(rng, n, d, limbs)`, `run(inputs)`, `wrong(inputs, answer)` on a sample, `amount(n, d, limbs)` of `unit` a run."""

    rows: int
    columns: int
    inputs: Callable[[np.random.Generator, int, int, int], tuple[Any, ...]]
    run: Callable[..., np.ndarray]
    wrong: Callable[[tuple[Any, ...], np.ndarray], int]
    amount: Callable[[int, int, int], float]
    unit: str
    limbs: tuple[int, ...] = LIMBS


def measure(
    names: Sequence[str] = (),
    rows: int | None = None,
    columns: int | None = None,
    isas: Sequence[str] = (),
    repeat: int = 5,
    peers: Sequence[Peer] = (),
    beside: bool = False,
) -> Iterator[Row]:
    """One row for each kernel, ring and instruction set (all by default); with `beside`, what is installed to compare with."""
    chosen = [isa for isa in native.isas() if not isas or isa in isas]
    in_use = native.isa()
    try:
        for name in names or KERNELS:
            kernel = KERNELS[name]
            for limbs in kernel.limbs:
                size = rows or kernel.rows, columns or kernel.columns, limbs
                yield from _compared(name, kernel, size, chosen, repeat, peers, beside)
    finally:
        _load.select(in_use)


Size = tuple[int, int, int]


def _compared(
    name: str, kernel: Kernel, size: Size, isas: Sequence[str], repeat: int, peers: Sequence[Peer], beside: bool
) -> Iterator[Row]:
    given = kernel.inputs(np.random.default_rng([work.SEED, *size]), *size)
    ours = {isa: partial(_once, name, isa, kernel, size, given) for isa in isas}
    yield from alternate(ours, _rivals(name, kernel, size, peers) if beside else {}, repeat, ratios_of=1)


def _once(name: str, isa: str, kernel: Kernel, size: Size, given: tuple[Any, ...]) -> Row:
    _load.select(isa)
    seconds, peak, answer = timed(lambda: kernel.run(*given))
    n, d, limbs = size
    return _row(
        name,
        isa,
        f"Z_2^{64 * limbs}" if kernel.limbs != (1,) else "bytes",
        size,
        seconds=seconds,
        peak_rss=peak,
        error=float(kernel.wrong(given, answer)),
        throughput=kernel.amount(n, d, limbs) / seconds,
        unit=kernel.unit,
    )


def _row(name: str, engine: str, mode: str, size: Size, **fields: Any) -> Row:
    fixed = {"mode": mode, "parties": 1, "n": size[0], "d": size[1], "rounds": 0, "bytes_sent": 0}
    return table.row(name, engine, **fixed, joint_seconds=fields["seconds"], error_unit=table.MISMATCHES, **fields)


# -- rivals -----------------------------------------------------------------------------------------------------------------


def _rivals(name: str, kernel: Kernel, size: Size, peers: Sequence[Peer]) -> dict[str, Callable[[], Row | None]]:
    """What else computes this here, by name: each call is one timed run."""
    if name == "aes ctr":
        return {"openssl": lambda: _openssl(size)}
    if name not in ("matmul", "gram"):
        return {}

    def of(peer: Peer) -> Callable[[], Row | None]:
        def run() -> Row | None:
            found = peer.run(name, size[0], size[1])
            return None if isinstance(found, Skipped) else speed({**found, "mode": "Z_2^64", "rounds": 0, "bytes_sent": 0})

        return run

    def speed(found: Row) -> Row:
        return {**found, "throughput": kernel.amount(*size) / found["seconds"], "unit": kernel.unit}

    return {"numpy": lambda: speed(_numpy(name, size)), **{peer.name: of(peer) for peer in peers if peer.name == "torch"}}


def _numpy(name: str, size: Size) -> Row:
    left, right = work.words_to_multiply(name, size[0], size[1])
    seconds, peak, product = timed(lambda: left @ right)
    return _row(name, "numpy", "Z_2^64", size, seconds=seconds, peak_rss=peak, error=work.wrong_words(left, right, product))


def _openssl(size: Size) -> Row:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    zeros, stream_out = bytes(size[0]), bytearray(size[0] + 15)

    def run() -> np.ndarray:
        stream = Cipher(algorithms.AES(KEY), modes.CTR(bytes(16))).encryptor()
        stream.update_into(zeros, stream_out)
        return np.frombuffer(stream_out, np.uint8)

    seconds, peak, found = timed(run)
    wrong = float(np.count_nonzero(found[:16] != native.aes_ctr(KEY, 0, 16)))
    amount = {"throughput": size[0] / seconds / 1e9, "unit": GB}
    return _row("aes ctr", "openssl", "bytes", size, seconds=seconds, peak_rss=peak, error=wrong, **amount)


# -- kernels ----------------------------------------------------------------------------------------------------------------


def _words(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2**64, shape, dtype=np.uint64)


def _vectors(count: int) -> Callable[[np.random.Generator, int, int, int], tuple[np.ndarray, ...]]:
    return lambda rng, n, d, limbs: tuple(_words(rng, n, limbs) for _ in range(count))


def _differ(found: np.ndarray, expected: np.ndarray) -> int:
    """Elements of (..., limbs) that are not `expected` modulo 2^(64 limbs)."""
    modulus = 1 << 64 * found.shape[-1]
    return int(np.count_nonzero(native.to_ints(found, signed=False) != expected % modulus))


def _elementwise(formula: Callable[..., Any]) -> Callable[[tuple[Any, ...], np.ndarray], int]:
    return lambda given, found: _differ(found[:SAMPLE], formula(*(native.to_ints(a[:SAMPLE], signed=False) for a in given)))


def _first_row(given: tuple[Any, ...], found: np.ndarray) -> int:
    """Of a product (n, n) @ (n, n)."""
    a, b = (native.to_ints(x, signed=False) for x in (given[0][:1], given[1]))
    return _differ(found[0], (a @ b)[0])


def _first_of_gram(given: tuple[Any, ...], found: np.ndarray) -> int:
    x = native.to_ints(given[0], signed=False)
    return _differ(found[0], x[:, 0] @ x)


def _aes_blocks(given: tuple[Any, ...], found: np.ndarray) -> int:
    """Against the key stream that another form of the same cipher makes, block by block."""
    blocks = np.zeros((min(SAMPLE, len(found) // 16), 16), np.uint8)
    blocks[:, :8] = np.arange(len(blocks), dtype="<u8").view(np.uint8).reshape(-1, 8)
    return int(np.count_nonzero(found[: blocks.size] != _aes_by_openssl(blocks)))


def _aes_by_openssl(blocks: np.ndarray) -> np.ndarray:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    encryptor = Cipher(algorithms.AES(KEY), modes.ECB()).encryptor()
    return np.frombuffer(encryptor.update(blocks.tobytes()), np.uint8)


def _planes(given: tuple[Any, ...], found: np.ndarray) -> int:
    low = native.to_ints(given[0][:SAMPLE], signed=False)
    expected = np.array([[value >> j & 1 for value in low] for j in range(PLANES)], np.uint8)
    bits = np.unpackbits(np.ascontiguousarray(found[:, :1]).view(np.uint8), axis=1, bitorder="little")
    return int(np.count_nonzero(bits[:, : len(low)] != expected))


def _from_planes(rng: np.random.Generator, n: int, d: int, limbs: int) -> tuple[Any, ...]:
    return native.to_bitplanes(_words(rng, n, limbs), PLANES), n, limbs


def _round_trip(given: tuple[Any, ...], found: np.ndarray) -> int:
    return int(np.count_nonzero(native.to_bitplanes(found, PLANES) != given[0]))


def _gigabytes(words: int) -> Callable[[int, int, int], float]:
    return lambda n, d, limbs: n * limbs * 8 * words / 1e9


def _count(n: int, d: int, limbs: int) -> float:
    return float(n)


KERNELS: dict[str, Kernel] = {
    "add": Kernel(1_000_000, 1, _vectors(2), native.add, _elementwise(lambda a, b: a + b), _gigabytes(3), GB),
    "mul": Kernel(1_000_000, 1, _vectors(2), native.mul, _elementwise(lambda a, b: a * b), _count, ELEMENTS),
    "mul shares": Kernel(
        1_000_000,
        1,
        _vectors(4),
        native.mul_shares,
        _elementwise(lambda a, b, c, d: a * c + a * d + b * c),
        _count,
        ELEMENTS,
    ),
    "matmul": Kernel(
        300,
        300,
        lambda rng, n, d, limbs: (_words(rng, n, n, limbs), _words(rng, n, n, limbs)),
        native.matmul,
        _first_row,
        lambda n, d, limbs: float(n) ** 3,
        "products/s",
    ),
    "gram": Kernel(
        100_000,
        20,
        lambda rng, n, d, limbs: (_words(rng, n, d, limbs),),
        native.gram,
        _first_of_gram,
        lambda n, d, limbs: n * d * (d + 1) / 2,
        "products/s",
    ),
    "aes ctr": Kernel(
        64 << 20,
        1,
        lambda rng, n, d, limbs: (KEY, 0, n),
        native.aes_ctr,
        _aes_blocks,
        lambda n, d, limbs: n / 1e9,
        GB,
        limbs=(1,),
    ),
    "to bit planes": Kernel(
        1_000_000,
        PLANES,
        lambda rng, n, d, limbs: (_words(rng, n, limbs), PLANES),
        native.to_bitplanes,
        _planes,
        _count,
        ELEMENTS,
    ),
    "from bit planes": Kernel(1_000_000, PLANES, _from_planes, native.from_bitplanes, _round_trip, _count, ELEMENTS),
}
