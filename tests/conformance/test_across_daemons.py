"""The same questions across real daemons: own processes and folders, mutual TLS, signed specs, approvals and receipts."""

from collections.abc import Iterator
from typing import Any

import pytest

import unseen
from engine.dictionary import Dictionary
from tests import datasets
from tests.conformance.cases import CASES, Case

ENCRYPTED = ("azpro", "birthwt")  # all sets are fitted on ciphertexts in memory; these across daemons, too
BY_DATASET = sorted(
    (case for case in CASES if case.engine == "replicated" or case.dataset in ENCRYPTED), key=lambda case: case.dataset
)


@pytest.fixture(scope="module")
def study(request: pytest.FixtureRequest) -> Iterator[Any]:
    data = datasets.load(request.param)
    with unseen.sandbox(data.files, Dictionary.parse(data.dictionary)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("study", "case"), [pytest.param(c.dataset, c, id=c.id) for c in BY_DATASET], indirect=["study"], scope="module"
)
def test_across_daemons(study: Any, case: Case) -> None:
    result = ask(study, case)
    case.check(result, datasets.load(case.dataset).pooled(), case.fields)
    receipt = result.receipt
    assert set(receipt.approvals) == set(receipt.parties)
    assert bool(receipt.opened_to_parties) == (case.disclosure == "steps")


def ask(study: Any, case: Case) -> Any:
    fields = dict(case.fields)
    options = fields.pop("options", {})
    if case.analysis in ("describe", "missing"):
        return getattr(study, case.analysis)(fields.pop("columns"), **fields)
    if case.analysis == "crosstab":
        return study.crosstab(fields.pop("formula"), **fields)
    if case.analysis == "ols":
        return study.ols(fields.pop("formula"), **options, **fields)
    fit = {"logit": study.logit, "poisson": study.poisson}[case.analysis]
    return fit(fields.pop("formula"), disclosure=case.disclosure, engine=case.engine, **options, **fields)
