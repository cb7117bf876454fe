"""What Fetch sends: this party's shares of the answer, and its signed receipt. Made once, stored, sent again byte for byte."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

from engine import receipt as receipts
from engine.analyses.base import Analysis
from engine.analyses.leverage import MOST
from engine.charter import Charter
from engine.identity import Identity
from engine.party import gate
from engine.party.book import Job
from engine.party.gate import GatePolicy
from engine.party.policy import Question
from engine.party.runner import Outcome
from engine.party.terms import Terms
from engine.receipt import Receipt
from engine.wire.v1.jobs_pb2 import PublicArray, Release, SharedArray

TWO_HOSPITALS = "Two hospitals are enough for an answer here: each of the two could subtract its own data from it."


def build(
    job: Job,
    question: Question,
    charter: Charter,
    identity: Identity,
    outcome: Outcome,
    terms: Terms,
    session: bytes,
    times: tuple[datetime, datetime],
) -> bytes:
    """The bytes of a Release message."""
    receipt = _receipt(job, question, charter, identity.name, outcome, terms, session, times)
    data, signature = receipts.sign(receipt, identity.signing_key)
    return Release(
        job=job.id,
        session=session,
        shares=[
            SharedArray(
                name=name,
                shape=released.shares.shape[:-1],
                limbs=released.shares.shape[-1],
                frac=released.frac,
                share=np.ascontiguousarray(released.shares, "<u8").tobytes(),
            )
            for name, released in sorted(outcome.shares.items())
        ],
        public=[
            PublicArray(name=name, shape=values.shape, values=np.ascontiguousarray(values, "<f8").tobytes())
            for name, values in sorted(outcome.public.items())
        ],
        receipt=data,
        receipt_signature=signature,
    ).SerializeToString(deterministic=True)


def build_plan(
    job: Job,
    charter: Charter,
    identity: Identity,
    outcome: Outcome,
    terms: Terms,
    session: bytes,
    times: tuple[datetime, datetime],
) -> bytes:
    """The bytes of a Release message of a plan: no share, a receipt that the gate's rules allow every question of it."""
    receipt = receipts.build(
        outputs=(),
        checks=checks(gate_policy(terms)),
        researcher=job.researcher,
        analysis=receipts.PLAN,
        engine="replicated",
        disclosure="result",
        **_of_session(job, charter, identity.name, outcome, terms, session, times),
    )
    data, signature = receipts.sign(receipt, identity.signing_key)
    message = Release(job=job.id, session=session, receipt=data, receipt_signature=signature)
    return message.SerializeToString(deterministic=True)


def _receipt(
    job: Job,
    question: Question,
    charter: Charter,
    member: str,
    outcome: Outcome,
    terms: Terms,
    session: bytes,
    times: tuple[datetime, datetime],
) -> Receipt:
    spec, plan = question.spec, question.analysis.plan
    return receipts.build(
        outputs=(*gate.OUTPUTS, *plan.outputs),
        opened_to_parties=plan.opened if spec.disclosure == "steps" else (),
        checks=checks(gate_policy(terms)) | leverage_rule(question.analysis),
        plan=job.plan or None,
        researcher=spec.researcher,
        analysis=spec.analysis,
        engine=spec.engine,
        disclosure=spec.disclosure,
        stops=tuple(sorted(set(outcome.opened) - set(outcome.public) - set(plan.controls) - {"refused"})),
        controls={name: outcome.opened.count(name) for name in sorted(plan.controls)},
        **_of_session(job, charter, member, outcome, terms, session, times),
    )


def _of_session(
    job: Job, charter: Charter, member: str, outcome: Outcome, terms: Terms, session: bytes, times: tuple[datetime, datetime]
) -> dict[str, Any]:
    """What a receipt says of any session."""
    meter = outcome.meter
    started, finished = (time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in times)
    return {
        "member": member,
        "job": job.id,
        "session": session.hex(),
        "study": charter.id,
        "parties": charter.parties,
        "approvals": tuple(sorted(job.approvals)),
        "snapshots": dict(terms.snapshots),
        "iterations": outcome.stages,
        "rounds": meter.rounds,
        "bytes_sent": meter.bytes_sent,
        "joint_seconds": round(outcome.joint_seconds, 6),
        "converted": outcome.converted,
        "leakage_log2": meter.leakage_log2 if meter.leakage else None,
        "started": started,
        "finished": finished,
        "warnings": (TWO_HOSPITALS,) if terms.floors.hospitals < 3 else (),
    }


def leverage_rule(analysis: Analysis) -> dict[str, float | None]:
    """An analysis that finds out about leverages may refuse once more, after the gate."""
    return {"leverage": MOST} if "refused" in analysis.stage(analysis.start()).stops else {}


def gate_policy(terms: Terms) -> GatePolicy:
    """The floors that the parties agreed on, as the gate takes them."""
    return GatePolicy(**terms.floors.model_dump())


def checks(policy: GatePolicy) -> dict[str, float | None]:
    """The gate's rules with their floors, as a receipt lists them."""
    return {
        "cohort": policy.cohort,
        "complement": policy.cohort,
        "cell": policy.cell,
        "hospitals": policy.hospitals,
        "residual_df": policy.residual_df,
        "parameters_share": policy.parameters_share,
        "differencing": gate.DIFFERENCE,
        "out_of_bounds_share": gate.OUT_OF_BOUNDS_SHARE,
        "ranges": None,
    }
