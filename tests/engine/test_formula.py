"""Formulas: the same names and numbers as formulaic on plain data, ranges that hold, cells that count, and no code ever run."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.frame_source import FrameSource
from engine.data.rows import Batch, Query
from engine.dictionary import Dictionary
from engine.errors import FormulaError, SpecError, UnknownColumn, UnknownLevel
from engine.formula import Design
from engine.formula.expression import Factor
from engine.formula.syntax import Reader
from tests import datasets

DICTIONARY = Dictionary.parse(
    {
        "columns": {
            "y": {"type": "number", "bounds": [-10, 50]},
            "dead": {"type": "binary"},
            "age": {"type": "integer", "bounds": [18, 90]},
            "weight": {"type": "number", "bounds": [30, 200]},
            "shift": {"type": "number", "bounds": [-2, 3]},
            "female": {"type": "binary"},
            "old": {"type": "binary"},
            "race": {"type": "category", "levels": ["white", "black", "other"]},
            "arm": {"type": "category", "levels": ["control", "treated"]},
            "centre": {"type": "category", "levels": [1, 2, 3]},
            "ph_ecog": {"type": "integer", "bounds": [0, 3], "levels": [0, 1, 2, 3]},
            "ph.ecog": {"type": "integer", "bounds": [0, 3], "levels": [0, 1, 2, 3]},
        }
    }
)


def plain_frame(rows: int = 200) -> pd.DataFrame:
    """Every level occurs, in declared order of categories, so that formulaic on its own sees the same levels."""
    generator = np.random.default_rng(7)
    frame = pd.DataFrame({"y": generator.uniform(-10, 50, rows), "weight": generator.uniform(30, 200, rows)})
    frame["shift"] = generator.uniform(-2, 3, rows)
    for name, low, high in (("dead", 0, 2), ("age", 18, 91), ("female", 0, 2), ("old", 0, 2), ("ph_ecog", 0, 4)):
        frame[name] = generator.integers(low, high, rows)
    frame["ph.ecog"] = frame["ph_ecog"]
    for name in ("race", "arm", "centre"):
        levels = list(DICTIONARY[name].levels or ())
        frame[name] = pd.Categorical.from_codes(generator.integers(0, len(levels), rows), categories=levels)
    return frame


def one_batch(frame: pd.DataFrame, dictionary: Dictionary = DICTIONARY, columns: tuple[str, ...] | None = None) -> Batch:
    columns = columns or tuple(dictionary.columns)
    (batch,) = FrameSource(frame, dictionary).rows(Query(columns, columns))
    return batch


FRAME = plain_frame()
BATCH = one_batch(FRAME)

FORMULAS = [
    "y ~ 1",
    "y ~ age",
    "y ~ age + weight - 1",
    "y ~ 0 + race",
    "y ~ race + arm",
    "y ~ C(race) * arm",
    "y ~ race:arm",
    "y ~ 0 + race:arm + age",
    "y ~ race:age",
    "y ~ age + race:age - 1",
    "y ~ age*race*female",
    "y ~ (age + race + female)**2",
    "y ~ (age + female)^2 - age",
    "y ~ arm/race",
    "y ~ race %in% arm",
    "y ~ C(race, Treatment('other'))",
    "y ~ C(race, Treatment(reference='black')) * age",
    "y ~ C(race, contr.treatment('black')):female",
    "y ~ centre + C(centre, Treatment(2))",
    "y ~ C(female) + C(ph_ecog)",
    "y ~ log(weight) + log1p(age) + exp(shift / 2)",
    "y ~ log2(weight) + sqrt(age) + log(shift + 3)",
    "y ~ I(log10(weight) - 1) + I(1 / age) + exp(female)",
    "y ~ I(age**2) + I(shift**3) + I(age**0.5) + I(shift**2) + I(weight**-1) + I(weight**2)",
    "y ~ I(-shift) + I((age - 50) / 10) + I(3 - 2 * weight) + I((shift - 1)**3)",
    "y ~ age:weight:shift + I(age**2):female:weight + log(weight):shift",
    "y ~ {age + 1} + log(age + 1)",
    "y ~ age:female + female:old + weight:age",
    "log1p(age) ~ weight",
    "log(y + 11) ~ age",
    "I((y - 5) / 10) ~ age",
    "I(1000 * sqrt(age) + 3) ~ weight",
    "I(1 - dead) ~ age",
    "I(2 * dead) ~ age",
    "dead ~ age + C(race)",
    "~ age + race",
]


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


@pytest.mark.parametrize(
    ("formula", "binary", "ones"),
    [
        ("dead ~ age", True, FRAME["dead"] == 1),
        ("arm ~ age", True, FRAME["arm"] == "treated"),
        ("I(1 * dead) ~ age", True, FRAME["dead"] == 1),
        ("{dead} ~ age", True, FRAME["dead"] == 1),
        ("y ~ age", False, None),
    ],
)
def test_a_response_of_two_levels_is_zero_and_one(formula: str, binary: bool, ones: pd.Series | None) -> None:
    design = Design.compile(formula, DICTIONARY)
    assert design.response_binary is binary
    assert len(design.response_cells) == (2 if binary else 0)
    if ones is not None:
        np.testing.assert_array_equal(design.response(BATCH), ones.astype(float))
        assert [int(cell.members(BATCH).sum()) for cell in design.response_cells] == [int((~ones).sum()), int(ones.sum())]
        assert all(cell.absent_if == () for cell in design.response_cells)


@pytest.mark.parametrize("response", ["I(2 * dead - 1)", "log1p(dead)", "log(dead + 1)", "sqrt(dead)", "I(1 - dead)"])
def test_a_function_of_a_two_valued_column_has_its_cells(response: str) -> None:
    design = Design.compile(f"{response} ~ age", DICTIONARY)
    assert [cell.label for cell in design.response_cells] == ["dead = 0", "dead = 1"]
    assert [int(cell.members(BATCH).sum()) for cell in design.response_cells] == [(FRAME["dead"] == v).sum() for v in (0, 1)]
    assert design.response_binary is (response in ("sqrt(dead)", "I(1 - dead)"))


COUNTS = Dictionary.parse(
    {
        "columns": {
            "few": {"type": "integer", "bounds": [0, 4]},
            "listed": {"type": "integer", "bounds": [1, 7], "levels": [1, 3, 7]},
            "many": {"type": "integer", "bounds": [0, 5]},
            "from_one": {"type": "integer", "bounds": [1, 90]},
            "measured": {"type": "number", "bounds": [0, 5]},
            "female": {"type": "binary"},
        }
    }
)


@pytest.mark.parametrize(
    ("response", "values", "zero"),
    [
        ("few", [f"few = {value}" for value in range(5)], []),
        ("log1p(few)", [f"few = {value}" for value in range(5)], []),
        ("listed", [f"listed = {value}" for value in (1, 3, 7)], []),
        ("many", [], ["many = 0", "many > 0"]),
        ("sqrt(many)", [], ["many = 0", "many > 0"]),
        ("from_one", [], []),
        ("measured", [], []),
    ],
)
def test_a_response_of_few_values_has_a_cell_for_each_and_any_other_count_two(
    response: str, values: list[str], zero: list[str]
) -> None:
    design = Design.compile(f"{response} ~ female", COUNTS)
    assert [cell.label for cell in design.response_cells] == values
    assert [cell.label for cell in design.zero_cells] == zero
    for place, cell in enumerate((*design.response_cells, *design.zero_cells), len(design.cells)):
        assert cell.absent_if == (place,)  # excused where nobody has it
    batch = Batch(pd.DataFrame({"many": [0.0, 3.0]}), None, np.arange(2, dtype=np.uint64))
    for cell in design.zero_cells:
        assert cell.members(batch).tolist() == [cell.label == "many = 0", cell.label == "many > 0"]


def test_cells_are_levels_zeros_and_ones_and_their_combinations() -> None:
    design = Design.compile("dead ~ age + race*female + old:age + centre", DICTIONARY)
    labels = {cell.label: cell for cell in design.cells}
    assert {
        "race is white",
        "race is black",
        "race is other",
        "centre is 3",
        "female = 0",
        "female = 1",
        "old = 1",
    } <= labels.keys()
    combination = labels["race is black, female = 1"]
    expected = (FRAME["race"] == "black") & (FRAME["female"] == 1)
    assert combination.members(BATCH).sum() == expected.sum()
    level = labels["race is black"]
    assert level.absent_if == (design.cells.index(level),)
    assert combination.absent_if == level.absent_if
    assert labels["female = 1"].absent_if == ()
    assert len(design.cells) == 3 + 2 + 2 + 3 + 6


def test_an_interaction_of_two_factors_is_excused_by_either_empty_level() -> None:
    design = Design.compile("y ~ race:arm", DICTIONARY)
    index = {cell.label: position for position, cell in enumerate(design.cells)}
    assert design.cells[index["race is other, arm is control"]].absent_if == (index["race is other"], index["arm is control"])


def test_a_power_of_a_zero_one_column_counts_as_that_column() -> None:
    assert [cell.label for cell in Design.compile("y ~ I(female**2) + exp(female)", DICTIONARY).cells] == [
        "female = 0",
        "female = 1",
    ]


def test_a_column_of_two_whole_numbers_counts_as_two_groups() -> None:
    dictionary = Dictionary.parse(
        {"columns": {"t": {"type": "number", "bounds": [0, 9]}, "sex": {"type": "integer", "bounds": [1, 2]}}}
    )
    assert [cell.label for cell in Design.compile("t ~ sex", dictionary).cells] == ["sex = 1", "sex = 2"]


@pytest.mark.parametrize(
    ("formula", "error", "says"),
    [
        ("", FormulaError, "empty"),
        ("y ~", FormulaError, "exactly one ~"),
        ("y ~ age ~ weight", FormulaError, "exactly one ~"),
        ("y ~ 0", FormulaError, "at least one term"),
        ("y ~ agee", UnknownColumn, "Did you mean 'age'"),
        ("y ~ C(agee)", UnknownColumn, "Did you mean 'age'"),
        ("z ~ age", UnknownColumn, "no column 'z'"),
        ("y ~ C(race, Treatment('blak'))", UnknownLevel, "Did you mean 'black'"),
        ("y ~ C(age)", FormulaError, "declare levels"),
        ("y ~ C(race, Sum)", FormulaError, "only contrast"),
        ("y ~ C(race, Treatment('black'), 3)", FormulaError, "takes a column"),
        ("y ~ C(log(age))", FormulaError, "takes a column"),
        ("y ~ log(C(race))", FormulaError, "term of its own"),
        ("y ~ log(race)", FormulaError, "is a category"),
        ("y ~ log(shift)", FormulaError, "log1p"),
        ("y ~ log1p(shift)", FormulaError, "tighter bounds"),
        ("y ~ sqrt(shift)", FormulaError, "tighter bounds"),
        ("y ~ I(1 / shift)", FormulaError, "divisor can be 0"),
        ("y ~ I(shift**-1)", FormulaError, "power is undefined"),
        ("y ~ I(shift**0.5)", FormulaError, "power is undefined"),
        ("y ~ I(age**weight)", FormulaError, "exponent"),
        ("y ~ I(age**99)", FormulaError, "exponent"),
        ("y ~ exp(100 * weight)", FormulaError, "Rescale"),
        ("y ~ I(3)", FormulaError, "one value only"),
        ("y ~ I(0 * age)", FormulaError, "one value only"),
        ("y ~ I(3):age", FormulaError, "one value only"),
        ("y ~ np.log(weight)", FormulaError, "not np.log"),
        ("y ~ poly(age, 2)", FormulaError, r"poly\(\)"),
        ("y ~ age > 3", FormulaError, "does not parse"),
        ("y ~ I(age > 3)", FormulaError, "not allowed"),
        ("y ~ I('a')", FormulaError, "not allowed"),
        ("y ~ I(True)", FormulaError, "not allowed"),
        ("y ~ log(age, 2)", FormulaError, "one argument"),
        ("y ~ log(x=age)", FormulaError, "one argument"),
        ("y ~ .", FormulaError, "does not parse"),
        ("y ~ age | race", FormulaError, "does not parse"),
        ("y ~ [age ~ race]", FormulaError, "exactly one ~"),
        ("y ~ 2:age", FormulaError, "I\\(2"),
        ("y ~ 'age'", FormulaError, "does not parse"),
        ("y ~ age[0]", FormulaError, "not allowed"),
        ("y ~ hospital", FormulaError, "strata"),
        ("y + age ~ race", FormulaError, "one response"),
        ("race ~ age", FormulaError, "3 levels"),
        ("y ~ log(y + 11)", FormulaError, "response's column"),
        ("I(3) ~ age", FormulaError, "must be a column"),
        ("y ~ " + "(" * 60 + "age" + ")" * 60, FormulaError, "parentheses"),
        ("y ~ I(" + "-" * 3000 + "age)", FormulaError, "parse|deeply"),
        ("y ~ I(" + "age+" * 2000 + "age)", FormulaError, "parse|deeply"),
        ("y ~ (age + race)**1000000000", FormulaError, "whole number from 1 to 20"),
        ("y ~ (age + race + weight + shift + female + old)**20", FormulaError, "terms"),
        ("y ~ " + "*".join(["(age + race + weight)"] * 60), FormulaError, "terms"),
        (
            "y ~ " + ":".join(f"C(ph_ecog, Treatment({i}))" for i in (0, 1, 2, 3)) + ":centre:race:arm:C(ph.ecog)",
            FormulaError,
            "levels",
        ),
        ("y ~ age" + " " * 10_000, FormulaError, "longer"),
        ("y ~ age\\", FormulaError, "backslash"),
    ],
)
def test_a_wrong_formula_is_refused_and_told_what_to_do(formula: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Design.compile(formula, DICTIONARY)


ATTACKS = [
    "y ~ __import__('os').system('true')",
    "{__import__('os').system('touch ran')(1)} ~ age",
    "(__import__('os').system('touch ran'))(age) ~ age",
    "y ~ {(lambda: __import__('os').system('touch ran'))()}",
    "y ~ age.__class__.__mro__[1].__subclasses__()",
    "y ~ I((age for age in [1]))",
    "y ~ C(race, __import__('os').system('touch ran'))",
    "y ~ Q('age')",
    "Q(__import__('os').system('touch ran')) ~ age",
    "y ~ `__import__('os').system('touch ran')`",
    "y ~ f'{age}'",
]


@pytest.mark.parametrize("formula", ATTACKS)
def test_code_in_a_formula_is_refused(formula: str) -> None:
    with pytest.raises(SpecError):
        Design.compile(formula, DICTIONARY)


def test_nothing_is_evaluated_as_code() -> None:
    """An audit hook that ends the process at the first exec event (eval and exec of code objects raise it)."""
    program = """
        import sys
        from tests.engine.test_formula import ATTACKS, BATCH, DICTIONARY, FORMULAS
        from engine.errors import SpecError
        from engine.formula import Design
        import engine.analyses.base
        armed = True
        def hook(event, arguments):
            if armed and event in ("exec", "os.system", "subprocess.Popen"):
                print("RAN", event, arguments[0], flush=True)
                import os
                os._exit(3)
        sys.addaudithook(hook)
        for formula in FORMULAS:
            design = Design.compile(formula, DICTIONARY)
            design.matrix(BATCH)
            [cell.members(BATCH) for cell in design.cells]
        for formula in ATTACKS:
            try:
                Design.compile(formula, DICTIONARY)
            except SpecError:
                pass
        armed = False
        print("quiet")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, cwd=datasets.ROOT, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "quiet"), done.stdout + done.stderr


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.text("y~ age+*:()-/^{}`'\"I C,log.1race[]%", max_size=40).map(lambda text: "y ~ " + text))
def test_any_text_is_a_design_or_a_spec_error(text: str) -> None:
    with contextlib.suppress(SpecError):
        Design.compile(text, DICTIONARY)


BUMP = "exp(0-100*((age-83)**2+(weight-71.3)**2))"


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (f"I(y*{BUMP})", "more than one column.*log, log1p, log2, log10 or sqrt"),
        ("I(y * age)", "more than one column"),
        ("I(y + age)", "more than one column"),
        ("I(y**2)", "The response may be one column"),
        ("exp(y / 100)", "The response may be one column"),
        ("I(1 / age)", "The response may be one column"),
        ("I(y * y)", "names 'y' twice"),
        ("sqrt(log(weight))", "function or power of a function"),
        ("log(weight - 29.999999)", "too near 0"),
        ("I(y + 4503599627370496 - 4503599627370496)", "out of proportion"),
    ],
)
def test_a_response_is_one_column_or_its_logarithm_or_root(left: str, says: str) -> None:
    with pytest.raises(FormulaError, match=says):
        Design.compile(f"{left} ~ 1", DICTIONARY)


@pytest.mark.parametrize(
    ("right", "says"),
    [
        (f"I({BUMP})", "more than one column"),
        ("I(exp(0-100*(age-83)**2))", "function or power of a function"),
        ("I((age/110)**20)", "third power"),
        ("I(age**4)", "third power"),
        ("I((age - 18)**0.001)", "third power"),
        ("I((age**2)**2)", "function or power of a function"),
        ("I(log(weight)**3)", "function or power of a function"),
        ("I(age*age*age*age)", "names 'age' twice"),
        ("I(age - age)", "names 'age' twice"),
        ("I(age * female)", "a:b"),
        ("I(weight / age)", "declare it as a column"),
        ("exp(shift)", "54-fold"),
        ("exp(-0.9 * shift)", "54-fold"),
        ("I(1 / (age - 17.9))", "54-fold"),
        ("I((age - 17.9)**-1)", "54-fold"),
        ("I(weight**-2) + I((age - 10)**-2)", "54-fold"),
        ("log(age - 17.999)", "too near 0"),
        ("log1p(age - 18.999)", "too near 0"),
        ("log(1e9 * age - 18e9 + 1)", "too near 0"),
        ("log(age) + log(age + 1)", "two expressions"),
        ("sqrt(age) + I(1 / age)", "two expressions"),
        ("age + abs(age - 89)", r"abs\(\)"),
        ("I(age**2):I(weight**2)", "degree above 3"),
        ("age:weight:shift:ph_ecog", "degree above 3"),
        ("exp(shift / 2):age", "degree above 3"),
        ("age:log(age)", "multiplies 'age' by itself"),
        ("(age + I(age**2))**2", "multiplies 'age' by itself"),
        ("I(age / 40 + 6755399441055744 - 6755399441055744)", "out of proportion"),
        ("I(age * 1e-323)", "out of proportion"),
        ("exp(1e-17 * age)", "one value only|out of proportion"),
        ("log(1 + 1e-9 * age)", "out of proportion"),
        ("I(1e-25 * female):I(1e-25 * old):" + ":".join(f"I(1e-29 * ({i} + dead))" for i in range(1, 7)), "vanishes"),
    ],
)
def test_what_could_single_out_one_person_is_refused(right: str, says: str) -> None:
    with pytest.raises(FormulaError, match=says):
        Design.compile(f"y ~ {right}", DICTIONARY)


@pytest.mark.parametrize("right", ["log(shift + 2.01)", "log(age - 17)", "log(I(age / 10))", "log(2 * weight)", "I(age**-2)"])
def test_gentle_functions_pass(right: str) -> None:
    assert len(Design.compile(f"y ~ {right}", DICTIONARY).names) == 2


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


FEW = Dictionary.parse(
    {
        "columns": {
            "y": {"type": "number", "bounds": [0, 100]},
            "grade": {"type": "integer", "bounds": [0, 2]},
            "tenth": {"type": "number", "bounds": [0, 1], "resolution": 0.5},
            "age": {"type": "integer", "bounds": [18, 100]},
        }
    }
)


@pytest.mark.parametrize(
    ("formula", "cells"),
    [
        ("y ~ grade", 0),
        ("y ~ grade + age + I(age**2)", 0),
        ("y ~ I((grade - 0.5)**2)", 3),
        ("y ~ grade + I(grade**2)", 3),
        ("y ~ I((tenth - 0.25)**2)", 3),
        ("y ~ age + log(grade + 1)", 3),
    ],
)
def test_a_bent_column_of_few_values_counts_as_groups(formula, cells):
    """On 0, 1, 2 the square of x - 1/2 is 0.25, 0.25, 2.25: an indicator of 2."""
    design = Design.compile(formula, FEW)
    assert len(design.cells) == cells
    frame = pd.DataFrame({"y": 1.0, "grade": [0.0, 1, 1, 2], "tenth": [0.0, 0.5, 0.4999, 1], "age": 40.0})
    batch = Batch(frame, None, np.arange(4, dtype=np.uint64))
    assert [int(cell.members(batch).sum()) for cell in design.cells] == [1, 2, 1][:cells]
    assert all(cell.absent_if == (i,) for i, cell in enumerate(design.cells))


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


@pytest.mark.parametrize(
    ("formula", "reference", "error", "message"),
    [
        ("y ~ age", {"race": "black"}, FormulaError, "no factor of the formula"),
        ("y ~ female", {"female": 1}, FormulaError, "C\\(female\\)"),
        ("y ~ race", {"rase": "black"}, UnknownColumn, "Did you mean 'race'"),
        ("y ~ race", {"race": "blak"}, UnknownLevel, "Did you mean 'black'"),
        ("y ~ centre", {"centre": "1"}, UnknownLevel, "no level"),
        ("y ~ C(race, Treatment('black'))", {"race": "other"}, FormulaError, "different reference levels"),
        ("y ~ race", {"hospital": "um"}, FormulaError, "not a dictionary column"),
    ],
)
def test_a_reference_that_does_not_fit_is_refused(formula: str, reference: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Design.compile(formula, DICTIONARY, reference)
