"""Every analysis on every real set it suits, on the plaintext engine and on replicated shares, against the pooled fit."""

import math
from typing import Any

import pytest

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
    assert all(outcome.meter.leakage_log2 <= -40 for outcome in outcomes)


@pytest.mark.parametrize("case", [c for c in CASES if c.disclosure == "result"], ids=lambda case: case.id)
def test_a_job_costs_what_its_plan_says(case: Case) -> None:
    """Rounds to the last one: the plan's, one for the ledger, one for the contributions, one for each control bit that opens."""
    data = datasets.load(case.dataset)
    analysis, _, _, policy = prepared(case, data)
    price = plan_ranges(analysis, policy)
    _, outcomes = on_shares(case, data)
    meters = [outcome.meter for outcome in outcomes[:3]]
    assert {meter.rounds for meter in meters} == {price.rounds + 2 + len(outcomes[0].opened)}
    assert all(meter.leakage_log2 == pytest.approx(price.leakage_log2) for meter in meters)
    contributed = 32 * sum(math.prod(each.shape) for each in declared(analysis))
    opening = 32 * 2 * len(outcomes[0].opened)
    extra = sum(meter.bytes_sent for meter in meters) - price.bytes_sent
    most = contributed * 2 * len(data.files) + 3 * opening * max(3, len(data.files)) + 3 * 64 * len(data.files)
    assert 0 <= extra <= most


def declared(analysis: Any) -> tuple[Declared, ...]:
    """Everything that a hospital contributes in a job of one stage."""
    return (*gate.declared(analysis.plan, comparisons=0), *analysis.stage(analysis.start()).contributed)
