"""What makes a charter: the rows of every table, where rows are shared."""

from __future__ import annotations

from typing import Any

import pytest

from engine import charter as charters
from engine.analyses import ANALYSES
from engine.charter import BAND, ON_SHARED_ROWS
from engine.errors import CharterError
from engine.identity import Identity
from tests import datasets
from tests.conformance.cases import CASES
from tests.conformance.engines import prepared
from tests.engine.party.party_study import HOSPITALS, make_charter, make_keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    return make_keys(tmp_path_factory.mktemp("keys"))


def document(keys: dict[str, Identity], analyses: list[str], **rows: int | None) -> dict[str, Any]:
    """A charter's JSON in which only these hospitals state their rows."""
    found = make_charter(keys, analyses=["describe"]).model_dump(mode="json")
    for member in found["members"]:
        del member["rows"]
        if member["name"] in rows:
            member["rows"] = rows[member["name"]]
    return found | {"analyses": analyses}


@pytest.mark.parametrize("analysis", ON_SHARED_ROWS)
def test_a_study_that_shares_rows_states_them_for_every_hospital(keys: dict[str, Identity], analysis: str) -> None:
    with pytest.raises(CharterError, match="state `rows` of iu, uk"):
        charters.parse(document(keys, ["describe", analysis], um=BAND))
    stated = charters.parse(document(keys, ["describe", analysis], **dict.fromkeys(HOSPITALS, 2 * BAND)))
    assert stated.bands == (2 * BAND,) * 3


def test_a_study_of_sums_need_not_state_rows(keys: dict[str, Identity]) -> None:
    assert charters.parse(document(keys, ["describe", "ols"])).bands == (BAND,) * 3


def test_the_analyses_on_shared_rows_are_those_whose_plans_say_so() -> None:
    """Every analysis has cases in the conformance suite."""
    cases = {case.analysis: case for case in CASES if (case.disclosure, case.engine) == ("result", "replicated")}
    assert cases.keys() == ANALYSES.keys()
    plans = {name: prepared(case, datasets.load(case.dataset))[0].plan for name, case in cases.items()}
    assert sorted(name for name, plan in plans.items() if plan.shares_rows) == sorted(ON_SHARED_ROWS)
