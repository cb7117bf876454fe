"""Questions on the real sets, each with a check of its answer against the same analysis on the pooled rows.

References are refitted to convergence: statsmodels for the regressions, scipy and pandas for the rest. The tolerances are what a
statistician would notice, and far below.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats as st
import statsmodels.api as sm
import statsmodels.formula.api as smf

from tests.datasets import COLUMNS

ENCRYPTED = 1e-2  # coefficients of fits on ciphertexts, in standard errors
COEFFICIENT = {"describe": 1e-6, "ols": 1e-6, "logit": 1e-4, "poisson": 1e-4}  # in standard errors
STANDARD_ERROR = 1e-5  # relative
STATISTIC = 1e-4  # times max(1, value)


@dataclass(frozen=True)
class Case:
    """One question on one set."""

    dataset: str
    analysis: str
    fields: dict[str, Any]
    check: Callable[[Any, pd.DataFrame, dict[str, Any]], None]
    disclosure: str = "result"
    engine: str = "replicated"

    @property
    def id(self) -> str:
        parts = [self.dataset, self.analysis, self.fields.get("formula") or "+".join(self.fields.get("columns", ()))]
        return (
            "-".join([*parts, *(str(v) for v in self.fields.get("options", {}).values()), self.fields.get("where", "")]).rstrip(
                "-"
            )
            + ("-steps" if self.disclosure == "steps" else "")
            + ("" if self.engine == "replicated" else f"-{self.engine}")
        )


def close(value: Any, reference: Any, tolerance: float, scale: Any = 1.0) -> None:
    value, reference, scale = (np.asarray(a, dtype=float) for a in (value, reference, scale))
    assert np.all(np.isfinite(value))
    assert np.max(np.abs(value - reference) / scale) <= tolerance


def close_p(value: Any, reference: Any) -> None:
    """1e-3 relative above 1e-6, 1e-2 down to 1e-12, nothing below."""
    value, reference = np.asarray(value, float), np.asarray(reference, float)
    allowed = np.where(reference > 1e-6, 1e-3, 1e-2)
    assert np.all((np.abs(value - reference) <= allowed * reference) | (reference < 1e-12))


def selected(frame: pd.DataFrame, fields: dict[str, Any]) -> pd.DataFrame:
    where = fields.get("where")
    frame = frame.query(where, engine="python") if where else frame
    return frame.dropna(subset=fields.get("complete", []))


def possible_values(column: dict[str, Any]) -> float:
    """How many values the dictionary lets a column take; infinitely many without a resolution."""
    if column["type"] == "binary":
        return 2
    step = 1 if column["type"] == "integer" else column.get("resolution")
    return (column["bounds"][1] - column["bounds"][0]) / step + 1 if step else math.inf


def shape_is_given(people: int, values: float) -> bool:
    """Skewness and kurtosis: where n of these values outnumber what n and four sums of powers say by 2^20, from 100 people on."""
    if values <= 5 or math.isinf(values):
        return values <= 5 or people >= 100
    multisets = (math.lgamma(people + values) - math.lgamma(values) - math.lgamma(people + 1)) / math.log(2)
    return people >= 100 and multisets - sum(math.log2(people * values**k) for k in (1, 2, 3, 4)) >= 20


def check_describe(result: Any, pooled: pd.DataFrame, fields: dict[str, Any], columns: dict[str, Any]) -> None:
    frame = selected(pooled, fields)
    table = result.to_frame()
    for column in fields["columns"]:
        values = frame[column].dropna().to_numpy(float)
        row = table.loc[column]
        assert row["n"] == len(values)
        close(row["mean"], values.mean(), COEFFICIENT["describe"], st.sem(values))
        close(row["sd"], values.std(ddof=1), 1e-8, values.std(ddof=1))
        known = frame.loc[frame[column].notna()]
        people = known["person"].nunique() if "person" in known else len(known)
        if shape_is_given(people, possible_values(columns[column])):
            close(row["skewness"], st.skew(values), 1e-6)
            close(row["kurtosis"], st.kurtosis(values), 1e-6)
        else:
            assert row[["skewness", "kurtosis"]].isna().all()


def check_quantiles(result: Any, pooled: pd.DataFrame, fields: dict[str, Any], columns: dict[str, Any]) -> None:
    check_describe(result, pooled, fields, columns)
    table = result.to_frame()
    for column in fields["columns"]:
        values = selected(pooled, fields)[column].dropna().to_numpy(float)
        found = table.loc[column, ["q1", "median", "q3"]].to_numpy(float)
        assert np.array_equal(found, np.quantile(values, [0.25, 0.5, 0.75]))


def check_crosstab(result: Any, pooled: pd.DataFrame, fields: dict[str, Any]) -> None:
    left, right = (name.strip() for name in fields["formula"].split("~"))
    frame = selected(pooled, fields)
    reference = pd.crosstab(frame[left], frame[right])
    found = result.observed
    order = (found.index.map(str), found.columns.map(str))
    reference.index, reference.columns = reference.index.map(str), reference.columns.map(str)
    assert np.array_equal(found.to_numpy(), reference.loc[order].to_numpy())
    statistic, p, dof, expected = st.chi2_contingency(found.to_numpy(), correction=False)
    close(result.statistic, statistic, STATISTIC, max(1.0, statistic))
    close_p(result.pvalue, p)
    assert result.dof == dof
    close(np.asarray(result.expected), expected, 1e-9)


def check_ols(result: Any, pooled: pd.DataFrame, fields: dict[str, Any]) -> None:
    model = smf.ols(reference_formula(fields["formula"]), selected(pooled, fields))
    vcov = fields.get("options", {}).get("vcov", "model")
    reference = model.fit(**covariance(vcov, model))
    check_coefficients(result, reference, COEFFICIENT["ols"])
    for name in ("rsquared", "rsquared_adj", "scale"):
        close(getattr(result, name), getattr(reference, name), 1e-8, abs(getattr(reference, name)) + 1e-12)
    for name in ("llf", "aic", "bic"):
        close(getattr(result, name), getattr(reference, name), STATISTIC)
    if vcov == "model":
        close(result.fvalue, reference.fvalue, STATISTIC, max(1.0, reference.fvalue))
        close_p(result.f_pvalue, reference.f_pvalue)
    for term, square in result.squares.items():
        test = reference.wald_test_terms(scalar=True).table.loc[term]
        statistic = float(test["statistic"])
        close(square / test["df_constraint"], statistic, STATISTIC, max(1.0, statistic))
        close_p(result.wald_test(term).pvalue, test["pvalue"])
    assert bool(result.squares) == fields.get("options", {}).get("wald", False)
    assert (result.nobs, result.df_model, result.df_resid) == (reference.nobs, reference.df_model, reference.df_resid)


def check_glm(result: Any, pooled: pd.DataFrame, fields: dict[str, Any], analysis: str, tolerance: float) -> None:
    fit = {"logit": smf.logit, "poisson": smf.poisson}[analysis]
    model = fit(reference_formula(fields["formula"]), selected(pooled, fields))
    vcov = fields.get("options", {}).get("vcov", "model")
    reference = model.fit(disp=0, method="newton", tol=1e-14, maxiter=100, **covariance(vcov, model))
    check_coefficients(result, reference, tolerance)
    for name in ("llf", "llnull", "llr"):
        value = getattr(reference, name)
        close(getattr(result, name), value, STATISTIC, max(1.0, abs(value)))
    family = {"logit": sm.families.Binomial, "poisson": sm.families.Poisson}[analysis]()
    other = sm.GLM(model.endog, model.exog, family=family).fit(tol=1e-14)
    for name in ("deviance", "null_deviance", "pearson_chi2"):
        value = getattr(other, name)
        close(getattr(result, name), value, STATISTIC, max(1.0, value))
    assert result.nobs == reference.nobs
    assert result.converged


def check_coefficients(result: Any, reference: Any, tolerance: float) -> None:
    names = [name.replace("Q('", "").replace("')", "") for name in reference.params.index]
    params, bse = result.params[names].to_numpy(), result.bse[names].to_numpy()
    assert len(result.params) == len(names)
    close(params, reference.params, tolerance, reference.bse)
    close(bse, reference.bse, STANDARD_ERROR, reference.bse)
    loosely = max(STATISTIC, tolerance)  # these are coefficients in standard errors, too
    close(result.tvalues[names], reference.tvalues, loosely, np.maximum(1.0, np.abs(reference.tvalues)))
    close_p(result.pvalues[names], reference.pvalues)
    interval = reference.conf_int().to_numpy()
    close(result.conf_int().loc[names].to_numpy(), interval, loosely, reference.bse.to_numpy()[:, None])


def reference_formula(formula: str) -> str:
    """patsy wants Q() around names with dots and np. before functions."""
    for name in ("ph.ecog", "ph.karno", "pat.karno", "wt.loss"):
        formula = formula.replace(name, f"Q('{name}')")
    return formula.replace("log1p(", "np.log1p(").replace("log(", "np.log(")


def covariance(vcov: str, model: Any) -> dict[str, Any]:
    if vcov == "model":
        return {}
    if vcov != "cluster":
        return {"cov_type": vcov}
    groups = model.data.frame.loc[model.data.row_labels, "person"]
    return {"cov_type": "cluster", "cov_kwds": {"groups": pd.factorize(groups)[0]}}


def check_missing(result: Any, pooled: pd.DataFrame, fields: dict[str, Any]) -> None:
    absent = selected(pooled, fields)[fields["columns"]].isna()

    def told(number: int) -> int | str:
        return "<10" if 1 <= number < 10 else number

    assert result.table["missing"].tolist() == [told(int(number)) for number in absent.sum()]
    incomplete = absent.any(axis=1).sum()
    several = absent.sum().sum() - incomplete
    shows_few = incomplete >= 10 and any(1 <= few < 10 for few in (*(incomplete - absent.sum()), several))
    assert result.incomplete == (None if shows_few else told(int(incomplete)))
    assert result.nobs == len(absent)


def missing(dataset: str, *columns: str, **fields: Any) -> Case:
    return Case(dataset, "missing", {"columns": list(columns), **fields}, check_missing)


def describe(dataset: str, *columns: str, check: Any = check_describe, **fields: Any) -> Case:
    return Case(dataset, "describe", {"columns": list(columns), **fields}, partial(check, columns=COLUMNS[dataset]))


def crosstab(dataset: str, formula: str, **fields: Any) -> Case:
    return Case(dataset, "crosstab", {"formula": formula, **fields}, check_crosstab)


def ols(dataset: str, formula: str, vcov: str = "model", **fields: Any) -> Case:
    return Case(dataset, "ols", {"formula": formula, "options": {"vcov": vcov}, **fields}, check_ols)


def tested(dataset: str, formula: str, **fields: Any) -> Case:
    return Case(dataset, "ols", {"formula": formula, "options": {"vcov": "model", "wald": True}, **fields}, check_ols)


def glm(
    analysis: str,
    dataset: str,
    formula: str,
    vcov: str = "model",
    disclosure: str = "result",
    engine: str = "replicated",
    **fields: Any,
) -> Case:
    check = partial(check_glm, analysis=analysis, tolerance=ENCRYPTED if engine == "ckks" else COEFFICIENT[analysis])
    return Case(dataset, analysis, {"formula": formula, "options": {"vcov": vcov}, **fields}, check, disclosure, engine)


logit = partial(glm, "logit")
poisson = partial(glm, "poisson")


def both(of: Callable[..., Case], *about: str, **fields: Any) -> list[Case]:
    """The same fit with hidden iterates, on shared rows and on ciphertexts, and in steps."""
    modes = [("result", "replicated"), ("result", "ckks"), ("steps", "replicated")]
    return [of(*about, disclosure=disclosure, engine=engine, **fields) for disclosure, engine in modes]


RANDHIE = "coins + female + black + xage + linc + disea + physlm"
LUNG = ["ph.karno", "wt.loss"]
BIRTHWT = "age + lwt + black + other + smoke + ht + ui"

CASES = [
    describe("indo_rct", "age", "risk", check=check_quantiles),
    describe("indo_rct", "age", where="female == 1"),
    crosstab("indo_rct", "indo ~ pep_out"),
    ols("indo_rct", "age ~ indo + female + risk"),
    ols("indo_rct", "age ~ indo + female + risk", where="age >= 30"),
    ols("indo_rct", "log(age) ~ indo * female + I(risk ** 2)", "HC1"),
    *both(logit, "indo_rct", "pep_out ~ indo + age + female + risk + sod1"),
    logit("indo_rct", "pep_out ~ indo + age + female + risk", "HC0"),
    # one analysis set for all questions on lung, and on colon: who has missing values would tell the few people they differ by
    describe("lung", "age", "time", "wt.loss", check=check_quantiles, complete=LUNG),
    missing("lung", "age", "sex", "ph.ecog", "ph.karno", "wt.loss"),
    crosstab("lung", "sex ~ event", complete=LUNG),
    ols("lung", "time ~ age + sex + ph.karno", complete=LUNG),
    *both(logit, "lung", "event ~ age + sex + ph.karno", complete=LUNG),
    describe("randhie", "mdvis", "meddol", "disea"),
    crosstab("randhie", "site ~ hlthg"),
    ols("randhie", f"log1p(meddol) ~ {RANDHIE}"),
    ols("randhie", f"log1p(meddol) ~ {RANDHIE}", "HC1"),
    *both(logit, "randhie", f"hlthg ~ {RANDHIE} + C(site)"),
    *both(poisson, "randhie", f"mdvis ~ {RANDHIE}"),
    describe("azpro", "los", check=check_quantiles),
    crosstab("azpro", "procedure ~ admit"),
    ols("azpro", "los ~ procedure + sex + admit + age75", "HC0"),
    *both(logit, "azpro", "procedure ~ sex + admit + age75"),
    *both(poisson, "azpro", "los ~ procedure + sex + admit + age75"),
    poisson("azpro", "los ~ procedure + sex + admit", "HC0"),
    describe("colon", "age", "nodes", check=check_quantiles, complete=["nodes"]),
    missing("colon", "nodes", "differ", "age"),
    crosstab("colon", "rx ~ status", complete=["nodes"]),
    ols("colon", "time ~ C(rx) + age + nodes", complete=["nodes"]),
    tested("colon", "time ~ C(rx) * sex + nodes", complete=["nodes"]),
    *both(logit, "colon", "status ~ C(rx) + age + sex + nodes + obstruct", complete=["nodes"]),
    describe("birthwt", "bwt", "lwt", check=check_quantiles),
    missing("birthwt", "age", "lwt", where="smoke == 1"),
    crosstab("birthwt", "smoke ~ low"),
    ols("birthwt", f"bwt ~ {BIRTHWT}"),
    *both(logit, "birthwt", f"low ~ {BIRTHWT}"),
    describe("respiratory", "age"),
    crosstab("respiratory", "active ~ outcome"),
    ols("respiratory", "age ~ active + C(center)", "cluster"),
    *both(logit, "respiratory", "outcome ~ active + male + age + baseline + C(center)"),
    logit("respiratory", "outcome ~ active + male + age + baseline + C(center)", "cluster", "steps"),
]
