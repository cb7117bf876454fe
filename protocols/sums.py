"""Sums over hospitals: what each contributes is masked against the others before it is shared.

Hospital h adds to its vector v_h, for each other hospital h', the PRF stream of the pair, with + at the lower number and -
at the higher: the masks cancel in sum_h v_h and nowhere else (Bonawitz et al., "Practical Secure Aggregation", CCS 2017,
section 4, without dropouts). Then it is shared (replicated/inputs.py) and the compute parties add up. Exact: no rounding
beyond the encoding's.
Adversary: up to three semi-honest compute parties together see the totals only; with all hospitals but one, the last one's
contribution follows by subtraction from the totals. Leaks nothing else. One round; a hospital that does not compute sends
2n ring elements and 64 bytes, n being the number of all values contributed, one that does sends n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import native
from protocols import fixed_point, ring
from protocols.engine import LARGE, Declared, Value
from protocols.errors import MisuseError, ValueRangeError
from protocols.replicated.inputs import share_vectors
from protocols.replicated.sharing import Shares
from protocols.session import Session

KIND, MASK = "contribution", "sum mask"


def contribute(session: Session, declared: Sequence[Declared], values: Mapping[str, Value]) -> None:
    """A hospital that does not compute sends its numbers. Raises ValueRangeError, before sending, if one is out of range."""
    if session.computes:
        raise MisuseError("a compute party that holds data contributes through its engine, in the same round")
    _exchange(session, declared, values)


def collect(session: Session, declared: Sequence[Declared], values: Mapping[str, Value] | None) -> dict[str, Shares]:
    """A compute party receives all contributions, sends its own if it holds data, and adds up: shares in Z_2^256 by name."""
    contributions = list(_exchange(session, declared, values).values())
    total = contributions[0]
    for each in contributions[1:]:
        total = Shares(native.add(total.own, each.own), native.add(total.next, each.next))
    own, following = (_split(declared, component) for component in total)
    return {each.name: Shares(own[each.name], following[each.name]) for each in declared}


def encode(each: Declared, value: Value) -> np.ndarray:
    """value / 2^scale_bits at frac fractional bits, rounded to the nearest unit (a pair: each half), uint64 (*shape, 4)."""
    pair = value if isinstance(value, tuple) else (value,)
    arrays = [np.asarray(half) for half in pair]
    if any(a.shape != each.shape for a in arrays):
        raise MisuseError(f"{each.name} was declared with shape {each.shape}")
    require_within(each, value)
    return arrays_to_ring(each, arrays)


def arrays_to_ring(each: Declared, arrays: list[np.ndarray]) -> np.ndarray:
    """The sum of the encodings of the halves of a value."""
    if fixed_point.is_integer(arrays[0]):
        exact = native.shift_left(fixed_point.encode_integers(arrays[0], LARGE), each.frac)
        return _divide_rounded(exact, each.scale_bits)
    halves = [native.encode(np.ldexp(a.astype(np.float64), -each.scale_bits), each.frac, LARGE) for a in arrays]
    return halves[0] if len(halves) == 1 else native.add(halves[0], halves[1])


def _divide_rounded(exact: np.ndarray, bits: int) -> np.ndarray:
    """Integers divided by 2^bits, to the nearest."""
    if bits == 0:
        return exact
    return native.shift_right_signed(native.add(exact, ring.power_of_two(bits - 1, LARGE)), bits)


def require_within(each: Declared, value: Value) -> None:
    """Raises ValueRangeError unless every value is a number within the declared limit."""
    total = np.add(*value) if isinstance(value, tuple) else np.asarray(value)
    if not np.all(np.abs(total) <= each.limit):  # also refuses NaN
        raise ValueRangeError(f"a value of {each.name} is not a number within its declared limit; check the dictionary's bounds")


def _exchange(session: Session, declared: Sequence[Declared], values: Mapping[str, Value] | None) -> dict[int, Shares]:
    length = sum(ring.count(each.shape) for each in declared)
    mine = None
    if session.holds_data:
        if values is None or set(values) != {each.name for each in declared}:
            raise MisuseError("a hospital contributes exactly the declared values")
        vector = [encode(each, values[each.name]).reshape(-1, LARGE) for each in declared]
        mine = _masked(session, np.concatenate(vector))
    return share_vectors(session, KIND, session.hospitals, length, LARGE, mine)


def _masked(session: Session, vector: np.ndarray) -> np.ndarray:
    """vector + sum_(h' > me) PRF(me, h') - sum_(h' < me) PRF(h', me): the masks of all hospitals cancel."""
    for other in session.hospitals:
        if other != session.me:
            mask = session.stream(other, MASK).ring((len(vector),), LARGE)
            vector = native.add(vector, mask) if session.me < other else native.sub(vector, mask)
    return vector


def _split(declared: Sequence[Declared], flat: np.ndarray) -> dict[str, np.ndarray]:
    """The flat vector cut into the declared arrays again."""
    ends = np.cumsum([ring.count(each.shape) for each in declared])
    pieces = np.split(flat, ends[:-1])
    return {each.name: piece.reshape(*each.shape, LARGE) for each, piece in zip(declared, pieces, strict=True)}
