"""Sums over a cohort of unknown size, brought to the size of means, on shares.

Hospitals contribute sums S of quantities in [-1, 1] as S / N with N = 2^rows_log2, the public bound on all rows. A cohort of n
rows may be far smaller than N, and the digits of S / N would be lost to the fixed point. So the sums travel with rows_log2 extra
bits, and the compute parties multiply by the power of two P for which N / 2 < n P <= N:

    P = 1 + sum_{k=1..r} 2^(k-1) [n <= 2^(r-k)]

S P / N then lies in [-1, 1], as if n were nearly N, at 64 fractional bits. At the researcher, who is told n, P is public.
Rounds: one comparison and one product.
"""

from __future__ import annotations

import numpy as np

from engine.analyses.bits import power_of_bits
from protocols.engine import LARGE_FRAC, Declared, Engine, Secret


def declare_sum(name: str, shape: tuple[int, ...], rows_log2: int, largest: float = 1.0, frac: int = LARGE_FRAC) -> Declared:
    """A sum over rows of quantities in [-largest, largest], to be brought to `frac` bits by `scaled`."""
    return Declared(name, shape, largest * 2.0**rows_log2 + 1.0, frac=frac + rows_log2, scale_bits=rows_log2)


def declare_count(name: str, shape: tuple[int, ...], rows_log2: int) -> Declared:
    return Declared(name, shape, 2.0**rows_log2, frac=0)


def factor(n: int, rows_log2: int) -> int:
    """P in the clear."""
    power = 1
    while 2 * power * n <= 1 << rows_log2 and power < 1 << rows_log2:
        power *= 2
    return power


def secret_factor_and_empty(mpc: Engine, n: Secret, counts: Secret | None, rows_log2: int) -> tuple[Secret, Secret | None]:
    """(P, [count == 0] for every one of `counts`), in one comparison."""
    repeated = mpc.reshape(n, (1,))[np.zeros(rows_log2, dtype=np.int64)]
    asked, thresholds = [repeated], [2 ** np.arange(rows_log2, dtype=np.int64)[::-1] + 1]
    if counts is not None:
        asked.append(counts)
        thresholds.append(np.ones(counts.shape[0], dtype=np.int64))
    bits = mpc.less_than(mpc.concat(asked), np.concatenate(thresholds))
    power = power_of_bits(mpc, bits[:rows_log2])
    return power, None if counts is None else bits[rows_log2:]


def scaled(mpc: Engine, total: Secret, power: Secret, rows_log2: int, largest: float = 1.0) -> Secret:
    """S P / N, declared by `declare_sum`, at its `frac` fractional bits."""
    frac = total.frac - rows_log2
    product = mpc.mul(total, power, frac=frac)
    peak = int(largest * 2**frac) + (1 << 17)
    return mpc.bounded(product, peak, "each of n terms is at most `largest` and n P <= N; 2^17 for 2^16 hospitals' roundings")
