"""Rows on shares: each hospital shares its own arrays in Z_2^128, neither masked nor summed.

Source and adversary: those of replicated/inputs.py. One semi-honest compute party learns the shapes, which are declared (a
hospital pads to the band of its whole table), and nothing else; two of them together hold the rows. Unlike sums, nothing hides
a hospital's array from colluding compute parties: an analysis uses this only where the statistic cannot be had from LOCAL sums.
Nothing is range-checked here, so no mask relies on what follows from the bounds (Secret.proven).
Rounds: one for all hospitals together. Bytes: a hospital that does not compute sends 2n elements of 16 bytes and 64 bytes, n
being the number of its values, one that does sends n elements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from protocols import ring, sums
from protocols.engine import SMALL, Declared, Value
from protocols.errors import MisuseError
from protocols.replicated.inputs import share_vectors_of
from protocols.replicated.sharing import Shares
from protocols.session import Session

KIND = "rows"
Plan = Mapping[int, Sequence[Declared]]  # {hospital: what it shares}


def contribute(session: Session, plan: Plan, values: Mapping[str, Value] | None) -> None:
    """A hospital that does not compute sends its rows (None where the plan holds none of it).

    Raises ValueRangeError, before sending, if a value is out of range.
    """
    if session.computes:
        raise MisuseError("a compute party that holds data contributes through its engine, in the same round")
    _exchange(session, plan, values)


def collect(session: Session, plan: Plan, values: Mapping[str, Value] | None) -> dict[int, dict[str, Shares]]:
    """A compute party receives all hospitals' arrays and sends its own: {hospital: {name: shares}}."""
    received = _exchange(session, plan, values)
    return {hospital: _named(plan[hospital], shares) for hospital, shares in received.items()}


def _exchange(session: Session, plan: Plan, values: Mapping[str, Value] | None) -> dict[int, Shares]:
    mine = None
    if values is not None and session.me not in plan:
        raise MisuseError("the plan holds no rows of this member")
    if session.me in plan:
        declared = plan[session.me]
        if values is None or set(values) != {each.name for each in declared}:
            raise MisuseError("a hospital contributes exactly the declared values")
        vector = [sums.encode(each, values[each.name])[..., :SMALL].reshape(-1, SMALL) for each in declared]
        mine = np.concatenate(vector)
    lengths = {hospital: sum(ring.count(each.shape) for each in declared) for hospital, declared in plan.items()}
    return share_vectors_of(session, KIND, lengths, SMALL, mine)


def _named(declared: Sequence[Declared], flat: Shares) -> dict[str, Shares]:
    """The flat vector cut into the declared arrays again."""
    named, start = {}, 0
    for each in declared:
        end = start + ring.count(each.shape)
        named[each.name] = Shares(*(a[start:end].reshape(*each.shape, SMALL) for a in flat))
        start = end
    return named
