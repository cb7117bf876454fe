"""The signed record of one answered question: who asked what, who agreed, what was checked, what was opened, at what cost.

Every party that took part writes one receipt for a session, in canonical JSON, and signs those bytes with its Ed25519 key in the
domain "unseen receipt v1". The researcher verifies the three compute parties' receipts and that they tell the same story
(`agree`). A receipt holds no number that depends on a patient's row, except digests keyed by the hospital that made them.

A party writes it with `build(...)` and `sign(receipt, key)`; the researcher reads it with `verify(...)`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine import canonical
from engine.analyses.base import Output
from engine.errors import ReceiptInvalid, SignatureInvalid

DOMAIN = "unseen receipt v1"
PLAN = "plan"  # the analysis of a plan's own receipt
MAX_RECEIPT_BYTES = 1 << 20
_HEX32 = r"^[0-9a-f]{64}$"
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"

OWN = frozenset({"member", "rounds", "bytes_sent", "joint_seconds", "leakage_log2", "started", "finished"})
"""The fields in which the receipts of one session may differ from party to party."""

DisclosureClass = Literal["count", "aggregate", "estimate", "variance", "covariance", "flag"]


class OpenedArray(BaseModel):
    """One array that was opened: its name and shape as declared beforehand, and what kind of thing it discloses."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    shape: tuple[int, ...] = ()
    disclosure: DisclosureClass


class Check(BaseModel):
    """One disclosure rule that was applied on shares before anything was opened, with the number it held the answer to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str  # e.g. "cohort", "cell", "complement", "residual_df", "hospitals", "leverage", "differencing"
    limit: float | None = None  # a floor or a largest share, as the rule says; None for a rule without a number


class Receipt(BaseModel):
    """One party's record of one session. Two receipts of a session may differ in the fields of `OWN` only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    member: str  # who writes
    job: str = Field(pattern=_HEX32)
    plan: str | None = Field(default=None, pattern=_HEX32)  # the plan that the question was part of
    session: str = Field(pattern=_HEX32)
    study: str = Field(pattern=_HEX32)
    researcher: str
    analysis: str
    engine: str
    disclosure: Literal["result", "steps"]
    parties: tuple[str, ...]  # all daemons of the study, in the charter's order
    approvals: tuple[str, ...]  # members whose signed approval this party holds, sorted
    outputs: tuple[OpenedArray, ...]  # to the researcher
    opened_to_parties: tuple[OpenedArray, ...] = ()  # empty unless disclosure is "steps"
    stops: tuple[str, ...] = ()  # control bits that were opened, by name: the conditions that would have ended the job
    controls: dict[str, int] = {}  # control bits that say how a fit goes on, by name: how many times each was opened
    checks: tuple[Check, ...]
    snapshots: dict[str, str]  # hospital -> digest of its data and mapping, keyed by the hospital, hex
    iterations: int = Field(ge=0)  # stages that ran
    rounds: int = Field(ge=0)  # exchanges that this party took part in
    bytes_sent: int = Field(ge=0)  # by this party
    joint_seconds: float = 0.0  # from the hospitals' contributions to the outputs, over all stages
    converted: int = Field(default=0, ge=0)  # sums that came out of ciphertexts as shares, none of them decrypted
    leakage_log2: float | None = None  # log2 of what all masked openings together may show; None where nothing was masked
    started: str = Field(pattern=_TIME)
    finished: str = Field(pattern=_TIME)
    warnings: tuple[str, ...] = ()  # e.g. two hospitals: each can subtract its own data

    def to_bytes(self) -> bytes:
        """The canonical bytes that are signed and sent."""
        return canonical.to_bytes(self.model_dump(mode="json"))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        document: dict[str, Any] = self.model_dump(mode="json")
        return document

    def summary(self) -> str:
        """A few lines in plain words."""
        opened = ", ".join(output.name for output in self.outputs) or "nothing"
        steps = ", ".join(output.name for output in self.opened_to_parties)
        lines = [
            f"job {self.job[:12]}  session {self.session[:12]}  {self.started} to {self.finished}",
            f"{self.researcher} asked for {self.analysis} ({self.engine}, {self.disclosure})"
            + (f", as part of plan {self.plan[:12]}" if self.plan else ""),
            f"approved by {', '.join(self.approvals)}",
            f"opened to the researcher: {opened}" + (f"; to the parties after each step: {steps}" if steps else ""),
            "checked on shares: " + ", ".join(c.rule + (f" {c.limit:g}" if c.limit is not None else "") for c in self.checks),
            f"{self.member}: {self.rounds} rounds, {self.bytes_sent} bytes sent",
        ]
        if self.controls:
            told = ", ".join(f"{name} ({count} times)" for name, count in self.controls.items())
            lines.insert(4, f"told to the parties after each step, yes or no: {told}")
        if self.engine == "ckks":
            lines.insert(4, _ckks(self.converted))
        if self.leakage_log2 is not None:
            lines.append(f"what all its masked openings together may show: 2^{self.leakage_log2:.1f} at most")
        return "\n".join(lines + [f"warning: {warning}" for warning in self.warnings])


def _ckks(converted: int) -> str:
    """What the engine did with the hospitals' data."""
    if not converted:
        return "sums of each hospital, masked against the others before they were shared: exact, no ciphertext needed"
    return f"coefficients travelled encrypted; {converted} sums came out of ciphertexts as shares, and nothing was decrypted"


def arrays(outputs: Sequence[Output]) -> tuple[OpenedArray, ...]:
    """A plan's outputs as a receipt lists them."""
    return tuple(OpenedArray(name=o.name, shape=o.shape, disclosure=o.disclosure) for o in outputs)


def build(
    *, outputs: Sequence[Output], opened_to_parties: Sequence[Output] = (), checks: dict[str, float | None], **fields: Any
) -> Receipt:
    """A Receipt from a plan's outputs, a table rule -> limit, and the remaining fields of Receipt by name.

    Raises pydantic.ValidationError: a receipt that its own writer gets wrong is a bug.
    """
    listed = tuple(Check(rule=rule, limit=limit) for rule, limit in sorted(checks.items()))
    return Receipt(outputs=arrays(outputs), opened_to_parties=arrays(opened_to_parties), checks=listed, **fields)


def sign(receipt: Receipt, key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    """The receipt's canonical bytes and the signature over them: store both, send both, never make them again."""
    data = receipt.to_bytes()
    return data, canonical.sign(key, DOMAIN, data)


def verify(data: bytes, signature: bytes, public_key: bytes, member: str) -> Receipt:
    """Verify, then parse. Raises ReceiptInvalid naming the member."""
    if len(data) > MAX_RECEIPT_BYTES:
        raise ReceiptInvalid(f"the receipt of {member} is larger than any receipt can be")
    try:
        canonical.verify(public_key, DOMAIN, data, signature)
        receipt = Receipt.model_validate(json.loads(data))
    except SignatureInvalid:
        raise ReceiptInvalid(f"the receipt of {member} is not signed by {member}; the result is withheld") from None
    except (ValidationError, ValueError, RecursionError):
        raise ReceiptInvalid(f"the receipt of {member} is not a receipt that this version can read") from None
    if receipt.to_bytes() != data or receipt.member != member:
        raise ReceiptInvalid(f"the receipt of {member} is not in canonical form, or another member's")
    return receipt


def agree(receipts: Sequence[Receipt]) -> None:
    """Raises ReceiptInvalid unless all receipts tell the same story of the same session, naming the field they differ in."""
    first, *others = receipts
    for field in Receipt.model_fields:
        if field in OWN:
            continue
        for other in others:
            if getattr(other, field) != getattr(first, field):
                raise ReceiptInvalid(
                    f"the receipts of {first.member} and {other.member} differ in {field!r}; the result is withheld"
                )
