"""Products of shared values, and their truncation, in one round (two where masks would hide too little).

Source: Araki et al., CCS 2016, section 2.2. Each party's z_i = x_i y_i + x_i y_(i+1) + x_(i+1) y_i is an additive share of
x * y; a zero-share is added and the result goes to the party before, which gives replicated shares again (3 elements in
all, 1 each). When bits are to be dropped, the additive shares go straight into a truncation instead (truncate.py): a masked
opening, 4 elements and still one round; or, where that would leak too much, two addends (split.py) and a second round. A sum
over rows that goes on in the large ring is lifted from its additive shares in the same way (convert.py).
Adversary: one semi-honest party; the one element it receives is uniform, because of the zero-share. Leaks nothing but what a
masked opening does.
"""

from __future__ import annotations

import numpy as np

import native
from protocols.planned import mirrored, transposed, upper_triangle
from protocols.replicated.convert import lift_additive
from protocols.replicated.sharing import Shares, after, before
from protocols.replicated.truncate import truncate_additive
from protocols.replicated.zero import add_zero_share, zero_words
from protocols.session import Expect, Session

RESHARE, RESHARE_BITS = "re-share", "re-share bits"


def product(session: Session, x: Shares, y: Shares, drop: int, bound: int) -> Shares:
    """x * y elementwise, `drop` bits dropped. One round, or two with a truncation that masks would hide too little."""
    return _finish(session, native.mul_shares(*x, *y), drop, bound)


def matrix_product(session: Session, x: Shares, y: Shares, drop: int, bound: int) -> Shares:
    """x @ y, summed before the `drop` bits are dropped. Rounds as `product`."""
    return _finish(session, native.matmul_shares(*x, *y), drop, bound)


def product_plus(session: Session, x: Shares, y: Shares, z: Shares, drop: int, bound: int) -> Shares:
    """x * y + z elementwise, |x * y + z| <= bound, then `drop` > 0 bits dropped. Rounds as `product`."""
    return _finish(session, native.add(native.mul_shares(*x, *y), z.own), drop, bound)


def row_products(session: Session, x: Shares, y: Shares, also: Shares | None, symmetric: bool, bound: int) -> Shares:
    """x^T y of (n, d) and (n, m) in Z_2^128, and x^T also of (n, k) behind it, every entry |z| <= bound, in Z_2^256.

    One round, or two. `symmetric`: x^T y is; one triangle of it is computed and lifted.
    """
    d, limbs = x.own.shape[1:]
    first = _triangle(x, y) if symmetric else _across(x, y).reshape(-1, limbs)
    additive = first if also is None else np.concatenate([first, _across(x, also).reshape(-1, limbs)])
    lifted = lift_additive(session, additive, bound)

    def placed(component: np.ndarray) -> np.ndarray:
        left, right = component[: len(first)], component[len(first) :]
        square = mirrored(left, d) if symmetric else left.reshape(d, -1, left.shape[-1])
        return square if also is None else np.concatenate([square, right.reshape(d, -1, right.shape[-1])], axis=1)

    return Shares(*map(placed, lifted))


TRIANGLE_COLUMNS = 8  # that are computed at a time, with all rows down to the last of them


def _across(x: Shares, y: Shares) -> np.ndarray:
    return native.matmul_shares(transposed(x.own), transposed(x.next), *y)


def _triangle(x: Shares, y: Shares) -> np.ndarray:
    """My additive share of x^T y on and above the diagonal, (d (d + 1) / 2, limbs)."""
    if x is y:
        return upper_triangle(native.gram_shares(*x))
    d, limbs = x.own.shape[1:]
    square = np.zeros((d, d, limbs), dtype=np.uint64)
    for start in range(0, d, TRIANGLE_COLUMNS):
        end = min(start + TRIANGLE_COLUMNS, d)
        square[:end, start:end] = _across(Shares(*(c[:, :end] for c in x)), Shares(*(c[:, start:end] for c in y)))
    return upper_triangle(square)


def conjunction(session: Session, x: Shares, y: Shares) -> Shares:
    """x AND y on packed shared bits, uint64 of any shape. One round."""
    additive = native.and_shares(*x, *y)
    return _reshare(session, RESHARE_BITS, additive ^ zero_words(session, additive.shape))


def _finish(session: Session, additive: np.ndarray, drop: int, bound: int) -> Shares:
    """Additive shares of |z| <= bound become replicated shares of z >> drop."""
    if drop:
        return truncate_additive(session, additive, drop, bound)
    return _reshare(session, RESHARE, add_zero_share(session, additive))


def _reshare(session: Session, kind: str, masked: np.ndarray) -> Shares:
    """Party i's masked share is component i; it goes to the other holder, i - 1."""
    source = after(session.me)
    received = session.exchange(kind, {before(session.me): masked}, {source: Expect(np.dtype(np.uint64), masked.shape)})
    return Shares(masked, received[source])
