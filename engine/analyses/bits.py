"""Logic on shared 0/1 values, and their shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protocols.engine import Engine, Secret


def negation(mpc: Engine, bit: Secret) -> Secret:
    return mpc.bounded(1 - bit, 1, "1 - bit")


def any_of(mpc: Engine, bits: Sequence[Secret]) -> Secret:
    """1 if any entry of any of these 0/1 arrays is 1. One comparison."""
    return negation(mpc, mpc.less_than(mpc.sum(mpc.concat([flat(mpc, bit) for bit in bits])), 1))


def flat(mpc: Engine, x: Secret) -> Secret:
    return mpc.reshape(x, (int(np.prod(x.shape, dtype=np.int64)),))


def power_of_bits(mpc: Engine, bits: Secret) -> Secret:
    """2^k for bits that are 1 at their first k places: 1 + 2^0 + ... + 2^(k-1). Local."""
    count = bits.shape[0]
    total = mpc.sum(mpc.mul(bits, 2 ** np.arange(count, dtype=np.int64))) + 1
    return mpc.bounded(total, 1 << count, "a geometric sum")
