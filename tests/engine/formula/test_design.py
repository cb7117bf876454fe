"""Formulas: the same names and numbers as formulaic on plain data, and ranges that hold."""

from __future__ import annotations

import numpy as np
import pytest
from formulaic import model_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.frame_source import FrameSource
from engine.data.rows import Query
from engine.dictionary import Dictionary
from engine.errors import FormulaError
from engine.formula import Design
from engine.formula.expression import Factor
from engine.formula.syntax import Reader
from tests import datasets
from tests.engine.formula.formulas import BATCH, DICTIONARY, FORMULAS, FRAME, one_batch


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("formula", FORMULAS)
def test_names_and_matrix_are_formulaics(formula: str) -> None:
    design = Design.compile(formula, DICTIONARY)
    context = {"sqrt": np.sqrt, "log1p": np.log1p}
    matrices = model_matrix(formula.replace("^", "**"), FRAME, context=context)
    expected = matrices.rhs if "~ " in formula and not formula.startswith("~") else matrices
    assert list(design.names) == list(expected.columns)
    z = design.matrix(BATCH)
    assert z.flags.f_contiguous
    assert z.dtype == np.float64
    assert np.all(np.abs(z) <= 1)
    np.testing.assert_allclose(z * design.scale + design.center, expected.to_numpy(dtype=float), rtol=1e-12, atol=1e-12)
    if design.response_name is not None:
        y = matrices.lhs.to_numpy(dtype=float)[:, 0]
        assert design.response_name == matrices.lhs.columns[0]
        np.testing.assert_allclose(design.response_values(BATCH), y)
        np.testing.assert_allclose(design.response(BATCH) * design.response_scale + design.response_center, y, atol=1e-12)


@pytest.mark.parametrize("formula", FORMULAS)
def test_the_canonical_formula_compiles_to_the_same_design(formula: str) -> None:
    design = Design.compile(formula, DICTIONARY)
    again = Design.compile(design.formula, DICTIONARY)
    assert again.formula == design.formula
    assert again.names == design.names
    assert again.terms == design.terms
    np.testing.assert_array_equal(again.scale, design.scale)


def test_dotted_and_backticked_names_are_columns() -> None:
    design = Design.compile("y ~ ph.ecog + `ph.ecog`:female + I(ph.ecog**2) + I(`ph.ecog` + 1) + C(ph.ecog)", DICTIONARY)
    assert design.names[:4] == ("Intercept", "ph.ecog", "I(ph.ecog ** 2)", "I(`ph.ecog` + 1)")
    assert design.names[4:] == ("C(ph.ecog)[T.1]", "C(ph.ecog)[T.2]", "C(ph.ecog)[T.3]", "ph.ecog:female")
    x = design.matrix(BATCH) * design.scale + design.center
    np.testing.assert_allclose(x[:, 2], FRAME["ph.ecog"] ** 2)
    assert Design.compile(design.formula, DICTIONARY).names == design.names


def test_levels_come_from_the_dictionary_and_stay_columns_without_rows() -> None:
    few = FRAME[FRAME["race"] == "white"].reset_index(drop=True)
    design = Design.compile("y ~ race", DICTIONARY)
    z = design.matrix(one_batch(few))
    assert design.names == ("Intercept", "race[T.black]", "race[T.other]")
    assert z[:, 1:].sum() == 0


def test_terms_slice_the_columns() -> None:
    design = Design.compile("y ~ age + race + age:race", DICTIONARY)
    assert [(term.name, design.names[term.columns], term.factor) for term in design.terms] == [
        ("Intercept", ("Intercept",), False),
        ("age", ("age",), False),
        ("race", ("race[T.black]", "race[T.other]"), True),
        ("age:race", ("age:race[T.black]", "age:race[T.other]"), True),
    ]
    assert design.intercept == 0
    assert design.columns == ("y", "age", "race")
    assert Design.compile("y ~ age - 1", DICTIONARY).intercept is None


def test_columns_are_centred_only_with_an_intercept_and_dummies_never() -> None:
    design = Design.compile("y ~ age + race + female + age:race + sqrt(weight)", DICTIONARY)
    by_name = dict(zip(design.names, zip(design.center, design.scale, strict=True), strict=True))
    assert by_name["Intercept"] == (0, 1)
    assert by_name["age"] == (54, 36)
    assert by_name["race[T.black]"] == by_name["female"] == (0, 1)
    assert by_name["age:race[T.black]"] == (0, 90)
    assert (design.response_center, design.response_scale) == (20, 30)
    bare = Design.compile("y ~ age + weight - 1", DICTIONARY)
    assert bare.center.tolist() == [0, 0]
    assert bare.scale.tolist() == [90, 200]
    assert (bare.response_center, bare.response_scale) == (0, 50)


@pytest.mark.parametrize(
    "formula", ["y ~ age + race*female + log(weight)", "y ~ age + race - 1", "log1p(age) ~ weight + arm:shift"]
)
def test_the_coefficient_map_gives_the_direct_fit(formula: str) -> None:
    design = Design.compile(formula, DICTIONARY)
    z, x = design.matrix(BATCH), design.matrix(BATCH) * design.scale + design.center
    y = design.response_values(BATCH)
    gamma = np.linalg.lstsq(z, design.response(BATCH), rcond=None)[0]
    direct = np.linalg.lstsq(x, y, rcond=None)[0]
    transform, offset = design.coefficient_map()
    np.testing.assert_allclose(offset + design.response_scale * transform @ gamma, direct, rtol=1e-8, atol=1e-9)
    covariance = design.response_scale**2 * transform @ np.linalg.inv(z.T @ z) @ transform.T
    np.testing.assert_allclose(covariance / design.response_scale**2, np.linalg.inv(x.T @ x), rtol=1e-7, atol=1e-10)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    columns = st.sampled_from(["age", "weight", "shift", "female"])
    inner = st.recursive(
        columns | st.sampled_from(["2", "0.5", "-3"]),
        lambda part: st.one_of(
            st.tuples(part, st.sampled_from("+-*/"), part).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
            st.tuples(st.sampled_from(["log", "log1p", "sqrt", "exp"]), part).map(lambda p: f"{p[0]}({p[1]})"),
            st.tuples(part, st.sampled_from([2, 3, -1, -2, 0.5])).map(lambda p: f"({p[0]})**{p[1]}"),
        ),
        max_leaves=5,
    )
    return f"I({draw(inner)})"


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_interval_arithmetic_holds_every_value(text: str) -> None:
    try:
        meaning = Reader(DICTIONARY).read_factor(text)
        assert not isinstance(meaning, Factor)
        low, high = meaning.interval()
    except FormulaError:
        return
    values = meaning.evaluate(BATCH.frame)
    slack = 1e-9 * max(abs(low), abs(high))
    assert np.all(np.isfinite(values))
    assert np.all((values >= low - slack) & (values <= high + slack))


REFERENCES = {
    "indo_rct": ["pep_out ~ indo + age + female + risk + sod1"],
    "lung": ["~ age + sex + ph.ecog"],
    "randhie": [f"{y} ~ coins + female + black + xage + linc + disea + physlm" for y in ("mdvis", "log1p(meddol)")]
    + ["mdvis ~ C(site)"],
    "azpro": ["los ~ procedure + sex + admit + age75"],
    "birthwt": ["low ~ age + lwt + black + other + smoke + ht + ui", "bwt ~ C(race)"],
    "respiratory": ["outcome ~ active + male + age + baseline + C(center)"],
}


@pytest.mark.parametrize(("name", "formula"), [(name, formula) for name, formulas in REFERENCES.items() for formula in formulas])
def test_the_reference_formulas_compile_on_real_data(name: str, formula: str) -> None:
    study = datasets.load(name)
    dictionary = Dictionary.parse(study.dictionary)
    design = Design.compile(formula, dictionary)
    for frame in study.frames().values():
        for batch in FrameSource(frame, dictionary).rows(Query(design.columns, design.columns)):
            z = design.matrix(batch)
            assert np.all(np.abs(z) <= 1)
            assert len(z) > 0


@pytest.mark.parametrize(
    ("formula", "reference", "written"),
    [
        ("y ~ race + age", {"race": "black"}, "y ~ C(race, Treatment('black')) + age"),
        (
            "y ~ C(race):age + C(ph_ecog)",
            {"race": "other", "ph_ecog": 2},
            "y ~ C(race, Treatment('other')):age + C(ph_ecog, Treatment(2))",
        ),
        ("y ~ centre*arm", {"centre": 3.0}, "y ~ C(centre, Treatment(3))*arm"),
        ("y ~ C(race, Treatment('black'))", {"race": "black"}, "y ~ C(race, Treatment('black'))"),
        ("y ~ 0 + race + arm", {"arm": "treated"}, "y ~ 0 + race + C(arm, Treatment('treated'))"),
    ],
)
def test_a_reference_of_the_question_is_one_of_the_formula(formula: str, reference: dict[str, str | float], written: str) -> None:
    asked, other = Design.compile(formula, DICTIONARY, reference), Design.compile(written, DICTIONARY)
    assert np.array_equal(asked.matrix(BATCH), other.matrix(BATCH))
    assert [name.split("[")[-1] for name in asked.names] == [name.split("[")[-1] for name in other.names]
    assert [cell.label for cell in asked.cells] == [cell.label for cell in other.cells]


def test_the_reference_of_a_response_is_its_zero() -> None:
    first, second = (Design.compile("arm ~ age", DICTIONARY, reference) for reference in ({}, {"arm": "treated"}))
    assert np.array_equal(first.response(BATCH), 1 - second.response(BATCH))
