"""What each verb of the replicated engine costs: rounds, and bytes sent by each compute party, as functions of shape alone.

`shape` is that of the ring elements, (*shape, limbs). Tests compare every function with what the session's meter counted.
What drops bits or lifts has two forms; the shape and the bound of what goes in, which are public, say which one runs:
`masks_suffice` is that rule, on shares and in a dry run.
Verbs that are not here are local: add, neg, index, reshape, transpose, stack, concat, sum, shift_left, rescale_up, bounded,
constant, products with public integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocols import ring
from protocols.engine import LARGE, SMALL
from protocols.replicated import opening, split
from protocols.session import COMPUTE


@dataclass(frozen=True)
class Cost:
    """Rounds, and bytes sent by party 0, 1, 2."""

    rounds: int
    sent: tuple[int, int, int]

    def __add__(self, other: Cost) -> Cost:
        a, b = self.sent, other.sent
        return Cost(self.rounds + other.rounds, (a[0] + b[0], a[1] + b[1], a[2] + b[2]))


NOTHING = Cost(0, (0, 0, 0))
MASKED_AT_MOST_LOG2 = -49.0  # what one masked opening may leak: 2^9 of them stay within a job's 2^-40

MOST_BLOCK_BITS = 12
SMALL_MESSAGE = 1 << 18  # bytes that a round saved is worth


def reshare(shape: tuple[int, ...]) -> Cost:
    """A product without truncation (also select): one element from each party."""
    size = 8 * math.prod(shape)
    return Cost(1, (size, size, size))


def masks_suffice(shape: tuple[int, ...], bound: int) -> bool:
    """Whether ring elements |z| <= bound are opened under masks, or truncated from two addends, which leaks nothing.

    From additive shares the masked opening saves a round. Raises RangeError where the ring has no room for either.
    """
    *values, limbs = shape
    ring.require_maskable(bound, limbs)
    each = ring.log2(bound) - ring.opening_bits(limbs)
    return bool(ring.count(tuple(values)) * 2.0**each <= 2.0**MASKED_AT_MOST_LOG2)


def truncation(shape: tuple[int, ...], drop: int, bound: int, *, replicated: bool) -> Cost:
    """truncate (`replicated`), a product with truncation (also mul_add): of |z| <= bound before `drop` bits are dropped."""
    if masks_suffice(shape, bound):
        return masked_opening(shape)
    return split_truncation(shape, drop) if replicated else split_truncation_of_additive(shape, drop)


def lift(shape: tuple[int, ...], bound: int, *, replicated: bool) -> Cost:
    """lift (`replicated`), row_products (of the entries lifted): of |z| <= bound."""
    if masks_suffice(shape, bound):
        return masked_opening(shape)
    return split_lift(shape) if replicated else split_lift_of_additive(shape)


def masked_opening(shape: tuple[int, ...]) -> Cost:
    """A truncation or a lift under masks: four elements; everybody sends to a party what opens to it."""
    *values, limbs = shape
    to = [8 * limbs * opening.count_seen(party, ring.count(tuple(values))) for party in COMPUTE]
    return Cost(1, (to[1] + to[2], to[0] + to[2], to[0] + to[1]))


def split_truncation(shape: tuple[int, ...], drop: int) -> Cost:
    """A truncation from two addends: an element of the result and the cross product of two bits modulo 2^drop."""
    size, words = 8 * math.prod(shape), 8 * math.prod(shape[:-1]) * split.words_of_product(drop)
    return Cost(1, (size + 2 * words, words, words))


def split_truncation_of_additive(shape: tuple[int, ...], drop: int) -> Cost:
    """First parties 1 and 2 exchange their additive shares."""
    return _addends(shape) + split_truncation(shape, drop)


def split_lift(shape: tuple[int, ...]) -> Cost:
    """A truncation in Z_2^256."""
    return split_truncation((*shape[:-1], LARGE), split.LIFTED)


def split_lift_of_additive(shape: tuple[int, ...]) -> Cost:
    return _addends(shape) + split_lift(shape)


def negative(shape: tuple[int, ...], bits: int) -> Cost:
    """is_negative, less_than at this width, less a blur: carry tree on packed bits, then one bit to the ring."""
    n = math.prod(shape[:-1])
    return _sign(_words(n), bits) + _bits_to_ring(shape) if n else NOTHING


def none_negative(shape: tuple[int, ...]) -> Cost:
    """in_range: two signs at the ring's width at once, and one AND."""
    n = math.prod(shape[:-1])
    return _sign(2 * _words(n), ring.bits(shape[-1])) + _and(_words(n)) + _bits_to_ring(shape) if n else NOTHING


def clamp(shape: tuple[int, ...], bits: int) -> Cost:
    """Two comparisons at once, then both selections at once."""
    return negative((2, *shape), bits) + reshare((2, *shape))


def totals(length: int, limbs: int, hospitals: Sequence[int]) -> Cost:
    """What the compute parties send each other for one contribution of `length` elements: each its own, if it holds data."""
    size = 8 * length * limbs
    sent = [size if party in hospitals else 0 for party in COMPUTE]
    return Cost(1, (sent[0], sent[1], sent[2]))


def rows(lengths: Mapping[int, int]) -> Cost:
    """What the compute parties send each other when hospitals share rows, {hospital: elements}: each its own."""
    sent = [8 * SMALL * lengths.get(party, 0) for party in COMPUTE]
    return Cost(1, (sent[0], sent[1], sent[2]))


def outsider(length: int, limbs: int) -> int:
    """Bytes that a hospital which does not compute sends: three seeds' copies and the third component twice."""
    return 4 * 16 + 2 * 8 * length * limbs


def public_random_bytes(n: int) -> Cost:
    """A commitment and its opening, each to both others."""
    size = 2 * 32 + 2 * (32 + n)
    return Cost(2, (size, size, size))


def _addends(shape: tuple[int, ...]) -> Cost:
    size = 8 * math.prod(shape)
    return Cost(1, (0, size, size))


def _words(n: int) -> int:
    return -(-n // 64)


def _and(words: int) -> Cost:
    return Cost(1, (8 * words, 8 * words, 8 * words))


def block_bits(words: int, bits: int) -> int:
    """How many bits of the addends are one block in the first round of a comparison at this width (compare.py).

    As many as save a round, as long as what party 0 then sends at once is small; 2 for many numbers.
    """
    most = max(1, min(MOST_BLOCK_BITS, bits - 1))
    allowed = [size for size in range(1, most + 1) if size <= 2 or _cross_product(words, bits, size).sent[0] <= SMALL_MESSAGE]
    return min(allowed, key=lambda size: ((-(-(bits - 1) // size) - 1).bit_length(), _sign(words, bits, size).sent[0]))


def _sign(words: int, bits: int, size: int | None = None) -> Cost:
    """The cross product of the addends' bits in blocks, then one exchange for each level of the tree."""
    size = block_bits(words, bits) if size is None else size
    total = _cross_product(words, bits, size)
    blocks = -(-(bits - 1) // size)
    while blocks > 1:
        pairs = blocks // 2
        total += _and((2 * pairs - 1) * words)
        blocks -= pairs
    return total


def _cross_product(words: int, bits: int, size: int) -> Cost:
    blocks = -(-(bits - 1) // size)
    help_with_it = 8 * words * (2 * blocks - 1)
    return Cost(1, (8 * words * (2 * ((1 << size) - 1) * blocks + 1), help_with_it, help_with_it))


def _bits_to_ring(shape: tuple[int, ...]) -> Cost:
    """One element from each party, and another from the party that leads (convert.py)."""
    *values, limbs = shape
    n = ring.count(tuple(values))
    led = [8 * limbs * (n + part.stop - part.start) for part in opening.thirds(n, 64)]
    return Cost(1, (led[0], led[1], led[2]))
