"""How a job ended, in the researcher's words: a reason's code (engine/party/jobs.py) as one of our exceptions."""

from __future__ import annotations

from engine.analyses.base import STOPS
from engine.errors import Expired, JobAborted, NotEstimable, Refused, RefusedByDisclosureRules, RefusedByPolicy
from engine.party.jobs import reason
from native.errors import UnseenError


def explain(code: str, by: str) -> UnseenError:
    """The exception for a job that was refused or aborted. `by` is empty where naming a member could say something about it."""
    if code == "rules":
        return RefusedByDisclosureRules()
    if code in STOPS:
        return NotEstimable(STOPS[code])
    known = reason(code)
    named = f"{by}: " if by and known.names_member else ""
    kind: type[UnseenError] = {"policy": RefusedByPolicy, "expired": Expired, "plan": Refused}.get(code, JobAborted)
    return kind(f"{named}{known.text}")
