"""The largest of secret numbers along an axis, by a tournament, in any ring and at any scale.

Neighbours are compared and the larger of each pair goes on; one that is left over waits for the next level:
    max(x, y) = y + [y < x] (x - y).
Domain: any values within their stated bound, twice which must fit the ring. Exact.
Adversary: one semi-honest compute party. Leaks nothing: comparisons and exact products open no value.
Rounds: ceil(log2 n) times a comparison and 1, for n values along the axis, whatever the other axes hold.
Bytes: n - 1 comparisons and exact products for each maximum.
"""

from __future__ import annotations

import numpy as np

from protocols.engine import Engine, Secret
from protocols.errors import MisuseError


def maximum(mpc: Engine, x: Secret, axis: int = -1) -> Secret:
    """max(x) over one axis, which disappears. Raises MisuseError where there is no axis, or nothing along it."""
    if not x.shape or x.shape[axis] == 0:
        raise MisuseError("a maximum needs at least one value along its axis")
    front = _moved_to_front(mpc, x, axis)
    while front.shape[0] > 1:
        pairs = front.shape[0] // 2
        first, second, left = front[:pairs], front[pairs : 2 * pairs], front[2 * pairs :]
        winners = mpc.select(mpc.less_than(second, first), first, second)
        front = mpc.concat([winners, left]) if left.shape[0] else winners
    return front[0]


def _moved_to_front(mpc: Engine, x: Secret, axis: int) -> Secret:
    """The same values with this axis first. Local."""
    place = np.moveaxis(np.arange(int(np.prod(x.shape))).reshape(x.shape), axis, 0)
    return mpc.index(mpc.reshape(x, (-1,)), place)
