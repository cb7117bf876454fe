"""Tables against scipy and statsmodels."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
import statsmodels.api as sm

from engine.errors import NotEstimable, RefusedByDisclosureRules, SpecError
from tests.engine.analyses.studies import analysis_of, ask, ask_set, split

TABLES = [
    ("indo_rct", "indo ~ pep_out"),
    ("randhie", "site ~ hlthg"),
    ("colon", "rx ~ status"),
    ("lung", "sex ~ event"),
    ("birthwt", "race ~ low"),
]


@pytest.mark.parametrize(("dataset", "formula"), TABLES)
def test_counts_and_chi_square(dataset: str, formula: str) -> None:
    found, pooled = ask_set(dataset, "crosstab", formula=formula)
    left, right = formula.split(" ~ ")
    truth = pd.crosstab(pooled[left], pooled[right])
    assert np.array_equal(found.observed.sort_index().to_numpy(), truth.loc[sorted(found.observed.index)].to_numpy())
    statistic, p, dof, expected = st.chi2_contingency(found.observed, correction=False)
    assert (found.statistic, found.pvalue, found.dof) == (statistic, p, dof)
    assert np.array_equal(found.expected, expected)
    assert found.cramers_v == pytest.approx(st.contingency.association(found.observed.to_numpy(), "cramer"))


def test_the_reference_of_the_demo() -> None:
    found, _ = ask_set("indo_rct", "crosstab", formula="indo ~ pep_out")
    assert found.observed.to_numpy().tolist() == [[255, 52], [268, 27]]
    assert found.statistic == pytest.approx(7.998503681)
    assert found.pvalue == pytest.approx(0.004681602159)
    assert found.two_by_two.odds_ratio == pytest.approx(0.4940442021)
    assert found.two_by_two.fisher_pvalue == pytest.approx(0.005339051289)


@pytest.mark.parametrize(
    ("dataset", "formula"),
    [("indo_rct", "indo ~ pep_out"), ("lung", "sex ~ event"), ("birthwt", "smoke ~ low"), ("respiratory", "active ~ outcome")],
)
def test_effects_of_a_two_by_two_table_against_statsmodels(dataset: str, formula: str) -> None:
    found, _ = ask_set(dataset, "crosstab", formula=formula)
    # statsmodels puts the event first and the comparison first against second
    table = sm.stats.Table2x2(found.observed.to_numpy()[::-1, ::-1])
    effects = found.effects(0.9)
    assert effects.loc["odds ratio"].tolist() == pytest.approx([table.oddsratio, *table.oddsratio_confint(0.1)])
    assert effects.loc["risk ratio"].tolist() == pytest.approx([table.riskratio, *table.riskratio_confint(0.1)])
    (a, b), (c, d) = found.observed.to_numpy()
    wald = sm.stats.confint_proportions_2indep(d, c + d, b, a + b, method="wald", alpha=0.1)
    assert effects.loc["risk difference"].tolist() == pytest.approx([d / (c + d) - b / (a + b), *wald])


def test_correction_on_request() -> None:
    found, _ = ask_set("indo_rct", "crosstab", formula="indo ~ pep_out", options={"correction": True})
    assert found.statistic == st.chi2_contingency(found.observed, correction=True)[0]


def test_percentages() -> None:
    found, _ = ask_set("indo_rct", "crosstab", formula="indo ~ pep_out")
    assert found.percentages("row").sum(axis=1).tolist() == pytest.approx([100, 100])
    assert found.percentages("column").sum(axis=0).tolist() == pytest.approx([100, 100])
    assert found.percentages("total").to_numpy().sum() == pytest.approx(100)


COLUMNS: dict[str, Any] = {
    "arm": {"type": "category", "levels": ["control", "drug", "other"]},
    "dead": {"type": "binary"},
    "x": {"type": "number", "bounds": [0, 1]},
}


def counts(table: list[list[int]]) -> pd.DataFrame:
    arms = ["control", "drug", "other"]
    rows = [(arms[i], j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return pd.DataFrame(rows, columns=["arm", "dead"]).assign(x=0.5)


def crosstab(table: list[list[int]]) -> Any:
    return ask(split(counts(table)), {"columns": COLUMNS}, "crosstab", formula="arm ~ dead")


def test_ten_in_every_cell_pass_and_nine_in_one_refuse() -> None:
    assert crosstab([[10, 20], [30, 10]]).observed.to_numpy().tolist() == [[10, 20], [30, 10]]
    with pytest.raises(RefusedByDisclosureRules):
        crosstab([[9, 20], [30, 10]])


def test_zero_passes_only_where_the_level_is_absent() -> None:
    found = crosstab([[40, 20], [30, 10]])
    assert found.observed.index.tolist() == ["control", "drug"]
    assert found.warnings == ("no rows have these declared levels, which were dropped: arm other",)
    with pytest.raises(RefusedByDisclosureRules):
        crosstab([[40, 0], [30, 10]])


def test_margins_and_cells_leave_their_own_row_sets() -> None:
    from engine.dictionary import Dictionary

    plan = analysis_of(Dictionary.parse({"columns": COLUMNS}), "crosstab", formula="arm ~ dead").plan
    assert [row_set.group for row_set in plan.row_sets] == ["", *(cell.label for cell in plan.cells)]
    assert len(plan.row_sets) == 1 + 3 + 2 + 6


def test_one_row_alone_is_no_table() -> None:
    with pytest.raises(NotEstimable):
        crosstab([[40, 20]])


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (None, "two columns"),
        ("arm", "two columns"),
        ("arm ~ arm", "different"),
        ("arm ~ x", "no declared levels"),
        ("arm ~ nobody", "no column"),
    ],
)
def test_questions_that_are_wrong_in_themselves(formula: str | None, message: str) -> None:
    from engine.dictionary import Dictionary

    with pytest.raises(SpecError, match=message):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "crosstab", formula=formula)


def test_a_reference_level_comes_first_and_turns_the_effects_round() -> None:
    plain, _ = ask_set("indo_rct", "crosstab", formula="indo ~ pep_out")
    turned, _ = ask_set("indo_rct", "crosstab", formula="indo ~ pep_out", reference={"indo": 1})
    assert turned.observed.index.tolist() == [1, 0]
    assert np.array_equal(turned.observed.loc[[0, 1]], plain.observed)
    assert turned.statistic == plain.statistic
    assert turned.effects().loc["odds ratio", "estimate"] == pytest.approx(1 / plain.effects().loc["odds ratio", "estimate"])
    assert turned.two_by_two.risk_difference == -plain.two_by_two.risk_difference


def test_a_reference_of_another_column_is_refused() -> None:
    from engine.dictionary import Dictionary

    with pytest.raises(SpecError, match="no side of this table"):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "crosstab", formula="arm ~ dead", reference={"x": 1})
    with pytest.raises(SpecError, match="no level 'placebo'"):
        analysis_of(Dictionary.parse({"columns": COLUMNS}), "crosstab", formula="arm ~ dead", reference={"arm": "placebo"})
