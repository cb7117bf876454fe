"""Every analysis on every real set it suits, on the plaintext engine and on replicated shares, against the pooled fit."""

import math
from typing import Any

import pytest

from engine.analyses.base import STOPS
from engine.dry_run import plan_ranges
from engine.party import gate
from protocols.engine import Declared
from tests import datasets
from tests.conformance.cases import CASES, Case
from tests.conformance.engines import in_the_clear, on_shares, prepared


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_in_the_clear(case: Case) -> None:
    data = datasets.load(case.dataset)
    case.check(in_the_clear(case, data), data.pooled(), case.fields)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_on_shares(case: Case) -> None:
    data = datasets.load(case.dataset)
    result, outcomes = on_shares(case, data)
    case.check(result, data.pooled(), case.fields)
    assert len({tuple(outcome.opened) for outcome in outcomes}) == 1
    plan = prepared(case, data)[0].plan
    assert set(outcomes[0].opened) <= {"refused", *STOPS, *plan.controls, *(output.name for output in plan.opened)}
    assert not plan.opened or case.disclosure == "steps"
    assert all(outcome.meter.leakage_log2 <= -40 for outcome in outcomes)


@pytest.mark.parametrize(
    "case", [c for c in CASES if (c.disclosure, c.engine) == ("result", "replicated")], ids=lambda case: case.id
)
def test_a_job_costs_what_its_plan_says(case: Case) -> None:
    """Rounds to the last one: the plan's, one for the ledger, one for the contributions and one for the rows of a fit, one for
    each control bit that opens."""
    data = datasets.load(case.dataset)
    analysis, _, _, policy = prepared(case, data)
    _, outcomes = on_shares(case, data)
    steps = outcomes[0].opened.count("converged")
    price = plan_ranges(analysis, policy, max(1, steps))
    meters = [outcome.meter for outcome in outcomes[:3]]
    rows = analysis.stage(analysis.start()).rows
    assert {meter.rounds for meter in meters} == {price.rounds + 2 + bool(rows) + len(outcomes[0].opened)}
    assert all(meter.leakage_log2 == pytest.approx(price.leakage_log2) for meter in meters)
    contributed = 32 * sum(math.prod(each.shape) for each in declared(analysis))
    shared = 16 * sum(analysis.plan.bands) * sum(math.prod(each.shape) for each in rows)
    opening = 32 * 2 * len(outcomes[0].opened)
    extra = sum(meter.bytes_sent for meter in meters) - price.bytes_sent
    most = contributed * 2 * len(data.files) + shared + 3 * opening * max(3, len(data.files)) + 3 * 64 * len(data.files)
    assert 0 <= extra <= most


def declared(analysis: Any) -> tuple[Declared, ...]:
    """Everything that a hospital adds to totals in a job's first stage, which for these is the only one that reads rows."""
    return (*gate.declared(analysis.plan, comparisons=0), *analysis.stage(analysis.start()).contributed)
