"""Which earlier releases a new one must be compared with: the differencing rule's bookkeeping, agreed by all parties.

Every release leaves, at each hospital, a keyed digest of the effective row set behind each of its column sets. Before a new job's
first contribution the hospitals announce which of their digests concern it: those of the same study that share a column with one
of the job's own row sets. An announcement names public things only (job ids and column sets of questions that every party has
seen), as 32-byte hashes; the union, sorted, is the list of comparisons that all parties expect. For each comparison a hospital
contributes the number of people (at most ten) by which its two row sets differ, and the gate looks at the sum, on shares.
A hospital that has no digest for a comparison contributes nothing to it: the sum gets smaller, a refusal likelier.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from protocols.errors import PeerMisbehaved
from protocols.session import Expect, Session

LIMIT = 10  # differences of this many people and more are all alike
MAX_COMPARISONS = 100_000


@dataclass(frozen=True)
class EarlierRowSet:
    """One hospital's digest of the rows behind an earlier release."""

    job: str
    columns: tuple[str, ...]
    digest: bytes


@dataclass(frozen=True)
class Comparison:
    """One of the new job's row sets against an earlier one of this hospital."""

    row_set: int  # index into the plan's row_sets
    earlier: EarlierRowSet

    def name(self, columns: tuple[str, ...]) -> bytes:
        """32 bytes that every hospital computes alike."""
        text = "\0".join([*columns, "\1", self.earlier.job, *self.earlier.columns])
        return hashlib.sha256(b"unseen comparison v1\0" + text.encode()).digest()


def concerning(row_sets: Sequence[tuple[str, ...]], earlier: Sequence[EarlierRowSet]) -> dict[bytes, Comparison]:
    """My digests that share a column with one of the job's row sets, by name."""
    found: dict[bytes, Comparison] = {}
    for index, columns in enumerate(row_sets):
        for entry in earlier:
            if set(columns) & set(entry.columns):
                comparison = Comparison(index, entry)
                found[comparison.name(columns)] = comparison
    return found


def agree(session: Session, mine: Mapping[bytes, Comparison]) -> list[bytes]:
    """The sorted union of all hospitals' comparisons. One round, and a second one when anybody has any."""
    others = [peer for peer in range(len(session.members)) if peer != session.me]
    one = Expect(np.dtype("<u8"), (1,))
    counts = session.exchange("comparison-count", dict.fromkeys(others, np.array([len(mine)], "<u8")), dict.fromkeys(others, one))
    sizes = {peer: int(count[0]) for peer, count in counts.items() if count[0]}
    if any(size > MAX_COMPARISONS for size in sizes.values()):
        raise PeerMisbehaved("a peer announced more earlier releases than a study can have")
    names = sorted(mine)
    if not names and not sizes:
        return []
    flat = np.frombuffer(b"".join(names), np.uint8)
    expect = {peer: Expect(np.dtype(np.uint8), (32 * size,)) for peer, size in sizes.items()}
    union = set(names)
    for block in session.exchange("comparisons", dict.fromkeys(others if names else (), flat), expect).values():
        union.update(block[start : start + 32].tobytes() for start in range(0, len(block), 32))
    return sorted(union)
