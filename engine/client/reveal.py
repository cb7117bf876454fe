"""From three parties' shares to an answer. Runs at the researcher; nothing is believed that can be checked.

receipts   each is signed by the member that sent it, is about this question, and all tell the same story
sessions   all shares belong to one session
shapes     names, shapes, scales and rings are those of the plan, which the researcher derives from the question alone
value      (share_0 + share_1 + share_2) mod 2^K, a signed integer; divided by 2^frac in engine/analyses/opening.py
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import native
from engine import receipt as receipts
from engine.analyses.base import Output
from engine.charter import Charter
from engine.errors import ReceiptInvalid
from engine.receipt import Receipt
from engine.spec import Spec
from engine.wire.v1.jobs_pb2 import PublicArray, Release, SharedArray


@dataclass(frozen=True)
class Answer:
    """The arrays that the three releases hold, and the receipts that vouch for them."""

    exact: dict[str, np.ndarray]  # ring integers, as Python ints: value = integer / 2^frac
    public: dict[str, np.ndarray]
    receipts: tuple[Receipt, ...]  # in the charter's order of compute parties


def reveal(
    charter: Charter,
    spec: Spec,
    expected: Sequence[Output],
    opened: Sequence[Output],
    releases: Mapping[str, Release],
    plan: str | None = None,
) -> Answer:
    """`expected` go to the researcher, `opened` went to the parties. Raises ReceiptInvalid when any check fails."""
    asked = {"analysis": spec.analysis, "engine": spec.engine, "disclosure": spec.disclosure}
    verified = vouched(charter, spec.job_id, spec.researcher, asked | ({"plan": plan} if plan else {}), releases)
    _same_outputs(verified[0], expected, opened)
    shares = [_named(member, releases[member].shares) for member in charter.compute]
    public = [_named(member, releases[member].public) for member in charter.compute]
    for by_name in shares:
        _nothing_else(by_name, expected)
    exact = {output.name: _sum([_share(by_name[output.name], output) for by_name in shares], output) for output in expected}
    return Answer(exact, _agreed(public, opened), verified)


def vouched(
    charter: Charter, job: str, researcher: str, asked: Mapping[str, str], releases: Mapping[str, Release]
) -> tuple[Receipt, ...]:
    """The compute parties' receipts, verified: they are about this job, as it was asked, and agree. Raises ReceiptInvalid."""
    about = {"job": job, "study": charter.id, "researcher": researcher, "parties": charter.parties, **asked}
    verified = tuple(_receipt(charter, about, member, releases[member]) for member in charter.compute)
    receipts.agree(verified)
    return verified


def _receipt(charter: Charter, about: Mapping[str, Any], member: str, release: Release) -> Receipt:
    """This member's receipt, verified, about this job and this session."""
    receipt = receipts.verify(release.receipt, release.receipt_signature, charter.member(member).key_bytes, member)
    for field, value in {**about, "session": release.session.hex()}.items():
        if getattr(receipt, field) != value:
            raise ReceiptInvalid(f"the receipt of {member} is about another {field}; the result is withheld")
    if set(receipt.approvals) != set(charter.parties):
        raise ReceiptInvalid(f"the receipt of {member} does not list the approval of every party; the result is withheld")
    if release.job != about["job"]:
        raise ReceiptInvalid(f"{member} sent the shares of another job; the result is withheld")
    return receipt


def _same_outputs(receipt: Receipt, expected: Sequence[Output], opened: Sequence[Output]) -> None:
    """What the receipts say was opened is what the plan declares, no more and no less."""
    if set(receipt.outputs) != set(receipts.arrays(expected)) or set(receipt.opened_to_parties) != set(receipts.arrays(opened)):
        raise ReceiptInvalid("the receipts list other outputs than the question's plan declares; the result is withheld")


def _named(member: str, arrays: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for array in arrays:
        if array.name in found:
            raise ReceiptInvalid(f"{member} sent {array.name!r} twice; the result is withheld")
        found[array.name] = array
    return found


def _nothing_else(found: Mapping[str, Any], declared: Sequence[Output]) -> None:
    if set(found) != {output.name for output in declared}:
        raise ReceiptInvalid("a party sent arrays that the question's plan does not declare; the result is withheld")


def _share(array: SharedArray, output: Output) -> np.ndarray:
    """One party's share as ring elements, shape (*shape, limbs)."""
    size = 8 * output.limbs * math.prod(output.shape)
    if (tuple(array.shape), array.limbs, array.frac, len(array.share)) != (output.shape, output.limbs, output.frac, size):
        raise ReceiptInvalid(
            f"the shares of {output.name!r} have another shape than the question's plan declares; the result is withheld"
        )
    return np.frombuffer(array.share, "<u8").reshape(*output.shape, output.limbs)


def _sum(shares: Sequence[np.ndarray], output: Output) -> np.ndarray:
    """The integers behind three additive shares. A count that is none shows that the shares do not belong together."""
    integers = native.to_ints(native.add(native.add(shares[0], shares[1]), shares[2]))
    if output.frac == 0 and any(abs(int(integer)) >= 2**63 for integer in np.ravel(integers)):
        raise ReceiptInvalid(f"the shares of {output.name!r} do not add up to a count; ask again, and tell the study's operators")
    return np.asarray(integers, dtype=object)


def _agreed(public: Sequence[Mapping[str, PublicArray]], opened: Sequence[Output]) -> dict[str, np.ndarray]:
    """What was opened to the parties, which must be the same from all of them."""
    values: dict[str, np.ndarray] = {}
    for found in public:
        _nothing_else(found, opened)
    for output in opened:
        copies = {(tuple(found[output.name].shape), found[output.name].values) for found in public}
        shape, raw = next(iter(copies))
        if len(copies) != 1 or shape != output.shape or len(raw) != 8 * math.prod(shape):
            raise ReceiptInvalid(f"the parties disagree about {output.name!r}, which was opened to them; the result is withheld")
        values[output.name] = np.frombuffer(raw, "<f8").reshape(shape)
    return values
