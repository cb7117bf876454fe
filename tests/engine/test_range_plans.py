"""A question whose numbers cannot be proven to fit is refused where it is compiled: by the SDK, and by every party."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine import spec
from engine.charter import MAX_ROWS, Charter
from engine.errors import SpecError
from engine.party.policy import compile_question
from protocols.errors import RangeError
from tests.engine.party.party_study import HOSPITALS, make_charter, make_keys

ANALYSES = ("describe", "ols", "logit", "poisson")
DICTIONARY: dict[str, Any] = {
    "columns": {
        "age": {"type": "number", "bounds": [0, 120]},
        "visits": {"type": "integer", "bounds": [0, 20]},
        "indo": {"type": "binary"},
    }
}


@pytest.fixture(scope="module")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> Charter:
    folder: Path = tmp_path_factory.mktemp("keys")
    return make_charter(make_keys(folder), analyses=list(ANALYSES), dictionary=DICTIONARY)


def of_rows(charter: Charter, rows: int) -> Charter:
    """The charter with so many rows declared for every table."""
    members = (m.model_copy(update={"rows": rows}) if m.name in HOSPITALS else m for m in charter.members)
    return charter.model_copy(update={"members": tuple(members)})


def ask(charter: Charter, analysis: str, formula: str) -> None:
    compile_question(spec.new(study=charter.id, researcher="ana", analysis=analysis, formula=formula), charter)


def test_a_fit_over_more_rows_than_its_ring_holds_is_refused(agreed: Charter) -> None:
    """Twice as many rows are one bit more in every sum over rows."""
    ask(of_rows(agreed, 1 << 30), "poisson", "visits ~ age")
    with pytest.raises(SpecError, match=r"poisson over these columns .* tighten") as refused:
        ask(of_rows(agreed, 1 << 31), "poisson", "visits ~ age")
    assert isinstance(refused.value.__cause__, RangeError)


@pytest.mark.parametrize(("analysis", "formula"), [("ols", "age ~ visits"), ("logit", "indo ~ age")])
def test_others_fit_at_the_most_rows_that_a_charter_can_declare(agreed: Charter, analysis: str, formula: str) -> None:
    ask(of_rows(agreed, MAX_ROWS), analysis, formula)
