"""A clamp and a question in one comparison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from protocols.engine import LARGE, LARGE_FRAC, Engine, Secret
from protocols.errors import MisuseError


def clamped(mpc: Engine, x: Secret, limit: float, asked: Secret, *, frac: int) -> tuple[Secret, Secret, Secret]:
    """(x clamped to [-limit, limit] at `frac` bits, where the clamp acted, 1 where `asked` < 0), in one comparison and a product.

    x (d,) at 64 bits of Z_2^256, asked (k,) of the same ring at any scale.
    """
    if x.limbs != LARGE or asked.limbs != LARGE or x.frac != LARGE_FRAC:
        raise MisuseError("a clamp with questions takes numbers of Z_2^256 at 64 fractional bits")
    d, edge = x.shape[0], int(limit) << x.frac
    over, under = (replace(edge - replace(each, frac=0), frac=x.frac) for each in (x, -x))
    bits = mpc.is_negative(mpc.concat([over, under, replace(asked, frac=x.frac)]))
    towards = mpc.concat([over, -under])
    zero = mpc.constant(np.zeros(d), limbs=x.limbs, frac=x.frac)
    addend = mpc.concat([x, zero])
    if frac < x.frac:
        moved = mpc.mul_add(bits[: 2 * d], towards, addend, frac=frac)
    else:
        moved = mpc.mul(bits[: 2 * d], towards, frac=frac) + addend
    inside = mpc.sum(mpc.reshape(moved, (2, d)), 0)
    inside = mpc.bounded(inside, (int(limit) << frac) + 4, "it is x inside the limit, else the limit, and truncations")
    acted = mpc.bounded(mpc.sum(mpc.reshape(bits[: 2 * d], (2, d)), 0), 1, "a number is not above and below at once")
    return inside, acted, bits[2 * d :]
