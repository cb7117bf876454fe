"""A job's life, as a table.

    received   the signed bytes are stored
    verified   the question is sound: signature, charter, dictionary, formula
    approved   this party agrees, and has told the others
    keyed      all parties agree; the attempt number is spent
    computing  the session is open: rows are read, shares travel
    checked    the gate has passed the answer
    charged    release and row-set digests are stored; the answer counts, whatever happens next
    released   every party has charged; the stored bytes may be fetched, the same at each call
    refused    somebody, or a rule, said no; nothing was released
    aborted    something failed; nothing was released

A plan (engine/plan.py) has a job, too, under its own id: its session asks the gate about every question, opens nothing else, and
is released when all parties hold that every question is allowed. Until then its questions' jobs are verified and no more; then
each party that has agreed to the plan agrees to all of them. Where the plan ends otherwise, they end with it.

A step is made durable before the act that it allows (book.py), and a step that the table does not hold raises. There is one
attempt for each job: a job that was under way when its party died is aborted, and asking again takes a new nonce, so that keys
and masks never meet a second session.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.analyses.base import STOPS
from engine.errors import REFUSAL
from engine.party.errors import IllegalTransition

ATTEMPT = 1  # the only one


class State(StrEnum):
    """Where a job stands at one party."""

    RECEIVED = "received"
    VERIFIED = "verified"
    APPROVED = "approved"
    KEYED = "keyed"
    COMPUTING = "computing"
    CHECKED = "checked"
    CHARGED = "charged"
    RELEASED = "released"
    REFUSED = "refused"
    ABORTED = "aborted"


_S = State
TRANSITIONS: dict[State, frozenset[State]] = {
    _S.RECEIVED: frozenset({_S.VERIFIED, _S.REFUSED, _S.ABORTED}),
    _S.VERIFIED: frozenset({_S.APPROVED, _S.REFUSED, _S.ABORTED}),
    _S.APPROVED: frozenset({_S.KEYED, _S.REFUSED, _S.ABORTED}),
    _S.KEYED: frozenset({_S.COMPUTING, _S.REFUSED, _S.ABORTED}),
    _S.COMPUTING: frozenset({_S.CHECKED, _S.REFUSED, _S.ABORTED}),
    _S.CHECKED: frozenset({_S.CHARGED, _S.ABORTED}),
    _S.CHARGED: frozenset({_S.RELEASED, _S.ABORTED}),
    _S.RELEASED: frozenset(),
    _S.REFUSED: frozenset(),
    _S.ABORTED: frozenset(),
}

ENDS = frozenset({_S.RELEASED, _S.REFUSED, _S.ABORTED})
WAITING = frozenset({_S.RECEIVED, _S.VERIFIED, _S.APPROVED})  # no session yet: the expiry applies
AGREED = frozenset({_S.APPROVED, _S.KEYED, _S.COMPUTING, _S.CHECKED})  # agreed to, not answered yet: may be taken back
IN_SESSION = frozenset({_S.KEYED, _S.COMPUTING, _S.CHECKED})  # lost when the process dies


def check(before: State, after: State) -> None:
    """Raises IllegalTransition unless the table holds this step."""
    if after not in TRANSITIONS[before]:
        raise IllegalTransition(f"a job that is {before} cannot become {after}")


@dataclass(frozen=True)
class Reason:
    """Why a job ended without a release: which end, what the researcher reads, and whether the member may be named.

    A reason that can depend on one hospital's rows names nobody.
    """

    end: State
    text: str
    names_member: bool = False


REASONS: dict[str, Reason] = {
    "policy": Reason(
        _S.REFUSED, "A party's operator or policy rejected the question. Ask its operator what it would allow.", True
    ),
    "plan": Reason(
        _S.REFUSED,
        "The plan that this question is part of was refused, withdrawn or expired, or failed; ask the plan why. "
        "Nothing of it was asked.",
    ),
    "expired": Reason(_S.REFUSED, "The question expired before all parties had agreed. Submit it again with a later expiry."),
    "rules": Reason(_S.REFUSED, REFUSAL),
    **{name: Reason(_S.REFUSED, text) for name, text in STOPS.items()},
    "peer-lost": Reason(_S.ABORTED, "A party could not be reached or fell silent. Ask again when all parties are up.", True),
    "peer-misbehaved": Reason(
        _S.ABORTED, "A party sent what the plan does not hold. Ask the parties to compare their versions.", True
    ),
    "internal": Reason(_S.ABORTED, "A party failed. Its operator finds the cause in its log.", True),
    "storage": Reason(_S.ABORTED, "A party could not write to its disk. Ask again when its operator has made room.", True),
    "stopped": Reason(_S.ABORTED, "A party was shut down while the job ran. Ask again.", True),
    "restarted": Reason(_S.ABORTED, "A party was restarted while the job ran. Ask again.", True),
}


def reason(code: str) -> Reason:
    """The reason behind a code; a code that this version does not know counts as a failure."""
    return REASONS.get(code, REASONS["internal"])
