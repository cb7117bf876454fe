"""Every analysis on every real set it suits, on the plaintext engine and on replicated shares, against the pooled fit."""

import pytest

from tests import datasets
from tests.conformance.cases import CASES, Case
from tests.conformance.engines import in_the_clear, on_shares


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
