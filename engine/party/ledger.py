"""Which earlier releases a new one must be compared with: the differencing rule's bookkeeping, agreed by all parties.

Every release leaves, at each hospital, a keyed digest of each row set behind its numbers: of its columns, and of each published
group of them. Before a new job's first contribution the hospitals announce which of their digests concern it: those of the same
study that have another `where`, or share a column with one of the job's own row sets. (How many people an answer stands on is
told exactly. Under one `where`, two answers without a common column differ in that number by missing values only.)

An announcement names public things only (job ids, column sets and groups of questions that every party has seen), as 32-byte
hashes; the union, sorted, is the list of comparisons that all parties expect. For each comparison a hospital contributes the
number of people (at most ten) by which its two row sets differ, and the gate looks at the sum, on shares.

A column that the dictionary makes from another one brings that one along: two groupings of ages share the age.

Every hospital keeps digests of every release, of empty sets where it had no rows, and all parties charge before any releases. So
a hospital that lacks one of an agreed comparison has lost it, and refuses: its people could be the whole difference. Only where
its own books show that the job ended here without a charge, nobody can have the answer, and there is nothing to compare with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.analyses.base import RowSet
from engine.data.row_sets import RowSetDigest
from engine.data.rows import Batch
from engine.errors import SpecError
from protocols.errors import PeerMisbehaved
from protocols.session import Expect, Session

LIMIT = 10  # differences of this many people and more are all alike
MAX_COMPARISONS = 1 << 18
TAG = 16  # bytes of a name that say of which job


@dataclass(frozen=True)
class EarlierRowSet:
    """One hospital's digest of the rows behind an earlier release."""

    job: str
    columns: tuple[str, ...]  # RowSet.name: the columns, and the group's mark
    digest: bytes
    where: str | None = None  # canonical


@dataclass(frozen=True)
class Comparison:
    """One of the new job's row sets against an earlier one of this hospital."""

    row_set: int  # index into the plan's row_sets
    earlier: EarlierRowSet

    def name(self, columns: tuple[str, ...]) -> bytes:
        """32 bytes that every hospital computes alike; the first half says of which job."""
        text = "\0".join([*columns, "\1", self.earlier.job, *self.earlier.columns])
        return job_tag(self.earlier.job) + hashlib.sha256(b"unseen comparison v2\0" + text.encode()).digest()[:TAG]


def check_comparisons(row_sets: Sequence[Sequence[RowSet]]) -> None:
    """Whether each question of a plan can be compared with those before it. Raises SpecError naming the first that cannot."""
    before = 0
    for number, own in enumerate(row_sets, 1):
        if before * len(own) > MAX_COMPARISONS:
            raise SpecError(
                f"question {number} of the plan describes {len(own)} groups, those before it {before}: too many to compare with "
                "each other; split the plan"
            )
        before += len(own)


def unpinned(questions: Sequence[tuple[str | None, Sequence[RowSet]]]) -> list[int]:
    """Which questions, (where, row sets) each, will be compared with another one of the same `where` that leaves out rows for
    other missing columns, so that few people may be the difference. Numbers from 1."""
    wholes = [
        (number, where, frozenset(row_set.columns), frozenset(row_set.about))
        for number, (where, row_sets) in enumerate(questions, 1)
        for row_set in {each.about: each for each in row_sets if each.columns}.values()
    ]
    return sorted(
        {
            number
            for number, where, columns, about in wholes
            for other, its_where, its_columns, its_about in wholes
            if other != number and its_where == where and its_columns != columns and about & its_about
        }
    )


def enter(batch: Batch, row_sets: Sequence[RowSet], digests: Sequence[RowSetDigest]) -> None:
    """The batch's rows into the digest of each row set that they belong to."""
    known = {columns: batch.known(columns) for columns in {row_set.columns for row_set in row_sets}}
    for row_set, digest in zip(row_sets, digests, strict=True):
        chosen = known[row_set.columns]
        if row_set.members is not None:
            chosen = chosen & row_set.members(batch)
        digest.update(batch.identities[chosen], None if batch.row_identities is None else batch.row_identities[chosen])


def job_tag(job: str) -> bytes:
    return hashlib.sha256(b"unseen compared job v1\0" + job.encode()).digest()[:TAG]


def concerning(row_sets: Sequence[RowSet], earlier: Sequence[EarlierRowSet], where: str | None = None) -> dict[bytes, Comparison]:
    """My digests that have another `where` than the job, or share a column with one of its row sets, by name."""
    found: dict[bytes, Comparison] = {}
    for index, row_set in enumerate(row_sets):
        for entry in earlier:
            if where != entry.where or set(row_set.about) & set(entry.columns):
                comparison = Comparison(index, entry)
                found[comparison.name(row_set.name)] = comparison
    return found


def lost(agreed: Sequence[bytes], mine: Mapping[bytes, Comparison], never_charged: Collection[str]) -> bool:
    """Whether this hospital lacks a digest that it must have."""
    excused = {job_tag(job) for job in never_charged}
    return any(name not in mine and name[:TAG] not in excused for name in agreed)


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
