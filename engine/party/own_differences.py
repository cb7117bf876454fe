"""By how many of this hospital's own people the questions of a plan differ, from each other and from earlier answers.

For the eyes of its operator alone, before a plan is approved. What the rules will say depends on all hospitals together and is
asked on shares (plan_check.py): where the others add nothing, a difference of one to nine people here refuses the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.data.row_sets import RowSetDigest
from engine.data.rows import DataSource, Query
from engine.party import ledger
from engine.party.ledger import EarlierRowSet
from engine.party.policy import Question


def smallest(
    source: DataSource, key: bytes, questions: Mapping[str, Question], earlier: Sequence[EarlierRowSet]
) -> list[dict[str, int]]:
    """For each question, in the plan's order: job -> the smallest difference from it, of those that the rule is about (1 to 9).

    `questions`: job -> question. Reads the table once for each. Raises DataError, ConfigError for a digest of another key.
    """
    before, found = list(earlier), []
    known: dict[tuple[bytes, bytes], int] = {}  # a plan's questions are about few sets of people, again and again
    for job, question in questions.items():
        plan, where = question.analysis.plan, None if question.where is None else question.where.canonical()
        own = [digest.to_bytes() for digest in digests(source, key, question)]
        differences: dict[str, int] = {}
        for each in ledger.concerning(plan.row_sets, before, where).values():
            pair = own[each.row_set], each.earlier.digest
            if pair not in known:
                known[pair] = _people(key, *pair)
            if 0 < known[pair] < ledger.LIMIT:
                differences[each.earlier.job] = min(known[pair], differences.get(each.earlier.job, ledger.LIMIT))
        found.append(differences)
        before += [EarlierRowSet(job, row_set.name, digest, where) for row_set, digest in zip(plan.row_sets, own, strict=True)]
    return found


def _people(key: bytes, mine: bytes, theirs: bytes) -> int:
    """By how many people two digests differ."""
    return RowSetDigest.from_bytes(key, mine).difference(RowSetDigest.from_bytes(key, theirs), limit=ledger.LIMIT)


def digests(source: DataSource, key: bytes, question: Question) -> list[RowSetDigest]:
    """The digest of each row set behind a question, as a session would make it. Raises DataError."""
    plan = question.analysis.plan
    made = [RowSetDigest(key) for _ in plan.row_sets]
    for batch in source.rows(Query(plan.columns, plan.listwise, question.where)):
        ledger.enter(batch, plan.row_sets, made)
    return made
