"""A whole job in the clear, in one process: the oracle of the conformance suite, and the plan of a job before it runs.

The analysis, the gate and the range plan are those of a real job; only the engine is the plaintext one, which no charter, spec or
daemon accepts. Run on shapes instead of data, the same code proves that every value of the job fits its ring: bounds follow from
the declared limits alone, never from the data, so `plan_ranges` raises RangeError for a plan that is one bit over, in memory
and time that do not grow with rows. Every party runs it before a question becomes a job (engine/party/policy.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import native
from engine.analyses.base import STOPS, Analysis, Opened, Output, Stage, State, Step
from engine.analyses.encrypted_sums import plan_of, totals_in_clear
from engine.analyses.opening import open_outputs, reals
from engine.data.rows import DataSource, Query
from engine.errors import NotEstimable, RefusedByDisclosureRules
from engine.party import gate
from engine.party.gate import GatePolicy
from engine.party.runner import banded, joined, padded
from protocols.engine import Secret
from protocols.outline import Outline
from protocols.plaintext import Plaintext
from protocols.rowwise import ClearRows

LEAST_HOSPITALS = 3


@dataclass(frozen=True)
class Price:
    """What the same calls cost on the replicated engine, openings of the outputs not counted."""

    rounds: int
    bytes_sent: int
    leakage_log2: float


def run_in_clear(
    analysis: Analysis,
    sources: Sequence[DataSource],
    policy: GatePolicy,
    where: Any = None,
    context: Mapping[str, Any] | None = None,
) -> Opened:
    """Run a job over these hospitals. Raises RefusedByDisclosureRules or NotEstimable as a real job would end."""
    mpc = Plaintext()
    state, hidden = analysis.start(), None
    masked: dict[str, Secret] = {}
    public: dict[str, np.ndarray] = {}
    for number in range(analysis.plan.max_stages):
        stage = analysis.stage(state)
        totals, rows = _contributed(mpc, analysis, stage, state, sources, where, first=number == 0)
        state = State(state.stage, state.iteration, state.public, hidden)
        rows |= _encrypted(mpc, analysis, stage, state, sources, where)
        if number == 0:
            refuse, masked = gate.check(mpc, totals, analysis.plan, policy, 0)
        elif stage.contributed:
            refuse = gate.out_of_range(mpc, totals)
        if (number == 0 or stage.contributed) and _opened(mpc, Output("refused", (), "flag", frac=0), refuse):
            raise RefusedByDisclosureRules
        step = analysis.joint(mpc, totals | rows, state)
        opened = _open_declared(mpc, stage, step)
        public.update({output.name: opened[output.name] for output in stage.opened})
        if stage.outputs:
            return _released(mpc, stage, {**masked, **step.outputs}, public, number + 1, context)
        hidden = step.hidden
        state = analysis.advance(state, opened, hidden)
    raise AssertionError("the analysis did not end within the stages it declared")


def plan_ranges(analysis: Analysis, policy: GatePolicy | None = None, steps: int = 1) -> Price:
    """Prove that one pass through every stage stays in range, and price it. Raises RangeError, SecurityBudgetExceeded.

    `steps`: how many times a stage that opens control bits is taken; every further one has the ranges of the first.
    """
    mpc, taken = Outline(), 0
    state, hidden = analysis.start(), None
    seen: set[str] = set()
    while True:
        stage = analysis.stage(state)
        guard = gate.declared(analysis.plan, comparisons=0) if not seen else ()
        declared = (*guard, *stage.contributed)
        totals = mpc.totals(declared)
        if not seen:
            gate.check(mpc, totals, analysis.plan, policy or GatePolicy(), 0)
        elif stage.contributed:
            gate.out_of_range(mpc, totals)
        shapes = {hospital: banded(stage.rows, band) for hospital, band in enumerate(analysis.plan.bands)} if stage.rows else {}
        rows = joined(mpc, mpc.rows(shapes)) if shapes else {}
        if stage.encrypted is not None:
            hospitals = len(analysis.plan.bands) or LEAST_HOSPITALS
            rows |= totals_in_clear(mpc, stage.encrypted, plan_of(stage.encrypted, analysis.plan.rows_log2, hospitals), [])
        step = analysis.joint(mpc, totals | rows, State(state.stage, state.iteration, state.public, hidden))
        gate.check_declared(stage, step)
        if stage.outputs:
            return Price(mpc.cost.rounds, sum(mpc.cost.sent), mpc.meter.leakage_log2)
        seen.add(stage.name)
        hidden = step.hidden
        taken += bool(stage.controls)
        went_on = dict.fromkeys(stage.controls, np.array(taken >= steps))
        state = analysis.advance(state, {o.name: np.zeros(o.shape) for o in stage.opened} | went_on, hidden)


def _encrypted(
    mpc: Plaintext, analysis: Any, stage: Stage, state: State, sources: Sequence[DataSource], where: Any
) -> dict[str, Secret]:
    """What hospitals would add up on ciphertexts."""
    if stage.encrypted is None:
        return {}
    plan, found = plan_of(stage.encrypted, analysis.plan.rows_log2, len(sources)), []
    numbers = analysis.encrypts(state)
    verbs = ClearRows(reals(native.to_ints(numbers.data.value), numbers.frac), plan.preset.slots)
    with np.errstate(over="ignore", invalid="ignore"):  # predictors far beyond the interval: the job ends, and says so
        for source in sources:
            stream = source.rows(Query(analysis.plan.columns, analysis.plan.listwise, where))
            found.append(analysis.row_wise(stream, state, verbs))
        return totals_in_clear(mpc, stage.encrypted, plan, found)


def _contributed(
    mpc: Plaintext, analysis: Analysis, stage: Stage, state: State, sources: Sequence[DataSource], where: Any, *, first: bool
) -> tuple[dict[str, Secret], dict[str, Secret]]:
    """(totals, rows) of a stage."""
    plan = analysis.plan
    declared = (*gate.declared(plan, comparisons=0), *stage.contributed) if first else stage.contributed
    if not declared and not stage.rows:
        return {}, {}
    by_hospital = []
    for source in sources:
        counter = gate.Counter(plan)
        stream = counter.watch(source.rows(Query(plan.columns, plan.listwise, where)))
        values = dict(analysis.local(stream, state))
        by_hospital.append({**values, **counter.values(stream.counts, [])} if first else values)
    for values in by_hospital:
        mpc.contribute({each.name: values[each.name] for each in declared})
    totals = mpc.totals(declared)
    shapes = {hospital: banded(stage.rows, band) for hospital, band in enumerate(plan.bands)} if stage.rows else {}
    for hospital, arrays in shapes.items():
        mpc.contribute({each.name: padded(by_hospital[hospital][each.name], each) for each in arrays})
    return totals, joined(mpc, mpc.rows(shapes)) if shapes else {}


def _open_declared(mpc: Plaintext, stage: Stage, step: Step) -> dict[str, np.ndarray]:
    gate.check_declared(stage, step)
    for name in stage.stops:
        if _opened(mpc, Output(name, (), "flag", frac=0), step.stops[name]):
            raise RefusedByDisclosureRules if name == "refused" else NotEstimable(STOPS[name])
    controls = {name: _opened(mpc, Output(name, (), "flag", frac=0), step.controls[name]) for name in stage.controls}
    return controls | {output.name: _opened(mpc, output, step.opened[output.name]) for output in stage.opened}


def _released(
    mpc: Plaintext,
    stage: Stage,
    values: Mapping[str, Secret],
    public: Mapping[str, np.ndarray],
    stages: int,
    context: Mapping[str, Any] | None,
) -> Opened:
    outputs = (*gate.OUTPUTS, *stage.outputs)
    shares = gate.release(mpc, outputs, values)
    exact = {output.name: native.to_ints(shares[output.name]) for output in outputs}
    return open_outputs(outputs, exact, public, stages, context or {"engine": "plaintext"})


def _opened(mpc: Plaintext, output: Output, secret: Secret) -> np.ndarray:
    return reals(native.to_ints(mpc.release_share(secret)), output.frac)
