"""Ordinary least squares. One stage: every hospital contributes sums of products, JOINT solves the normal equations.

LOCAL    Z'Z, Z'y, y'y of the scaled columns; what people of high leverage make of Z'Z (leverage.py); for robust covariances
         also the fourth-order sums of moments.PairSums
JOINT    gamma = (Z'Z)^-1 Z'y, residual and total sums of squares, (Z'Z)^-1 or the sandwich, a condition number
RESULT   everything else, with statsmodels' definitions

Everything is computed divided by n (times the public power of two N / P, see normalise.py). Leaks: the outputs.
Rounds (replicated): 48 at 20 columns with vcov="model", of which the inverse takes 27; the gate adds 11; robust covariances
17; the option wald an inverse and 4 for each term that it tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.analyses import least_squares, leverage, linear_result, sandwich
from engine.analyses.base import Opened, Output, Plan, Stage, State, Statistic, Statistics, Step
from engine.analyses.bits import any_of, power_of_bits
from engine.analyses.leverage import Influential
from engine.analyses.moments import PairSums, ProductSums, Symmetric, with_constant
from engine.analyses.normalise import declare_count, declare_sum, scaled, secret_factor_and_empty
from engine.analyses.question import Limits, Question
from engine.analyses.regression import MOST_ROWS_OF_A_PERSON, X_FRAC, Model
from engine.data.rows import Rows
from engine.dictionary import Dictionary
from engine.errors import DataError
from engine.results import OLSResult
from protocols.engine import LARGE_FRAC, Declared, Engine, Secret

PEAK = (1 << LARGE_FRAC) + (1 << 17)  # of means of numbers in [-1, 1], with room for the roundings of hospitals


@dataclass(frozen=True)
class OLS:
    """y ~ x1 + x2 + ...; options vcov ("model", "HC0", "HC1", "cluster"), cov_params (open the whole covariance) and wald
    (open what is left unexplained without each term of several columns: its joint test)."""

    name: ClassVar[str] = "ols"
    modes: ClassVar[tuple[str, ...]] = ("result",)
    model: Model
    plan: Plan

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> OLS:
        model = Model.read(question, dictionary, limits, wald=False)
        return cls(model, model.plan(_outputs(model)))

    @property
    def _robust(self) -> bool:
        return self.model.vcov != "model"

    @property
    def _moments(self) -> Symmetric:
        return Symmetric(self.model.size + 1)

    def start(self) -> State:
        return State("sums")

    def stage(self, state: State) -> Stage:
        r = self.model.rows_log2
        moments = declare_sum("moments", (self._moments.entries,), r)
        contributed = [declare_count("n", (), r), moments, leverage.declared(self.model.size, r)]
        if len(self.model.droppable):
            contributed.append(declare_count("present", (len(self.model.droppable),), r))
        if self._robust:
            contributed.append(self._declare_pairs())
        return Stage("sums", tuple(contributed), stops=("refused", "singular"), outputs=self.plan.outputs)

    def _declare_pairs(self) -> Declared:
        vcov = self.model.vcov
        entries = Symmetric(self._moments.entries).entries
        return declare_sum("pairs", (entries,), self.model.rows_log2, sandwich.largest_pair(vcov), sandwich.PAIR_FRAC[vcov])

    # -- LOCAL ----------------------------------------------------------------------------------------------------------

    def local(self, rows: Rows, state: State) -> Statistics:
        model, width = self.model, self.model.size + 2
        n, present = 0, np.zeros(len(model.droppable), np.int64)
        moments, pairs, influential = ProductSums(width), PairSums(width), Influential()
        design = slice(1, model.size + 1), slice(1, model.size + 1)
        for batch in rows:
            if not len(batch):
                continue
            z = model.design.matrix(batch)
            v = with_constant(z, model.design.response(batch))
            n += len(batch)
            present += model.present(z)
            moments.add(v)
            influential.add(z, batch.persons, moments.total().high[design])
            if self._robust:
                pairs.add(v, model.persons(batch))
        rest = slice(1, None)
        statistics: dict[str, Statistic] = {"n": np.asarray(n), "moments": self._moments.vector(moments.total().at((rest, rest)))}
        statistics["influential"] = leverage.contributed(influential.total(model.size))
        if len(model.droppable):
            statistics["present"] = present
        if self._robust:
            if pairs.most_rows > MOST_ROWS_OF_A_PERSON:
                raise DataError(f'a person has more than {MOST_ROWS_OF_A_PERSON} rows here, more than vcov="cluster" can take')
            statistics["pairs"] = pairs.total(rest)
        return statistics

    # -- JOINT ----------------------------------------------------------------------------------------------------------

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        model, d = self.model, self.model.size
        power, absent = secret_factor_and_empty(mpc, totals["n"], totals.get("present"), model.rows_log2)
        sums = scaled(mpc, mpc.concat([totals["moments"], totals["influential"]]), power, model.rows_log2)
        products = self._moments.full(mpc, sums[: self._moments.entries])
        S = Symmetric(d).full(mpc, sums[self._moments.entries :])
        M, b, yy = model.with_absent(mpc, products[:d, :d], absent), products[:d, d:], products[d, d]
        fit = least_squares.fit(mpc, M, b, yy, self._beside(mpc, products, b, yy, S))
        gamma = fit.gamma
        stops, spread = [fit.failures], self._model_spread(mpc, fit)
        if self._robust:
            pairs = scaled(mpc, totals["pairs"], power, model.rows_log2, sandwich.largest_pair(model.vcov))
            unit = power_of_bits(mpc, fit.below)
            B, outside = sandwich.clamped_middle(mpc, sandwich.middle(mpc, pairs, gamma), unit)
            stops.append(outside)
            spread |= sandwich.spread(mpc, model, fit.X, B, self._rows(mpc, fit))
        outputs = {
            "n": totals["n"],
            "gamma": mpc.reshape(gamma, (d,)),
            "rss": fit.rss,
            "tss": yy if fit.products.shape == (0,) else fit.products[0] - fit.products[1],
            "condition": fit.condition,
            **spread,
            **({"absent": absent} if absent is not None else {}),
            **self._without_terms(mpc, M, b, yy),
        }
        singular = any_of(mpc, stops)
        refused = leverage.refused(mpc, fit.influential, singular)
        return Step(stops={"refused": refused, "singular": singular}, outputs=outputs)

    def _without_terms(self, mpc: Engine, M: Secret, b: Secret, yy: Secret) -> dict[str, Secret]:
        """What is left unexplained by all columns but those of each tested term."""
        found = []
        for term in self.model.tested:
            kept = np.delete(np.arange(self.model.size), term.columns)
            left = yy - least_squares.explained(mpc, M[np.ix_(kept, kept)], b[kept]) if len(kept) else yy
            found.append(mpc.reshape(left, (1,)))
        return {"rss_without": mpc.concat(found)} if found else {}

    def _beside(self, mpc: Engine, products: Secret, b: Secret, yy: Secret, S: Secret) -> least_squares.Beside:
        """The formula's intercept row, the factors of n y'y and (sum y)^2 in a model with a constant, the unit of robust sums."""
        intercept, constant = self.model.design.intercept, self.model.constant_columns
        t = np.zeros(self.model.size) if intercept is None else self.model.intercept_row[0]
        n, y = mpc.sum(products[constant, constant]), mpc.sum(b[constant, 0])
        n, y = (mpc.bounded(each, PEAK, "n P <= N and |y| <= 1") for each in (n, y))
        used = slice(None if len(constant) else 0)
        thresholds = sandwich.THRESHOLDS if self._robust else np.empty(0)
        return least_squares.Beside(t, (mpc.stack([n, y])[used], mpc.stack([yy, y])[used]), thresholds, S)

    def _rows(self, mpc: Engine, fit: least_squares.Fit) -> Secret:
        """regression.Model.reported_rows from what the fit has brought."""
        i = self.model.design.intercept
        if i is None:
            return fit.narrow
        return mpc.concat([part for part in (fit.narrow[:i], fit.row, fit.narrow[i + 1 :]) if part.shape[0]])

    def _model_spread(self, mpc: Engine, fit: least_squares.Fit) -> dict[str, Secret]:
        """regression.Model.model_spread from the t'X t that the fit has brought."""
        model, i = self.model, self.model.design.intercept
        if self.model.cov_params and not self._robust:
            return {"covariance": fit.X}
        index = np.arange(model.size)
        variance = fit.X[index, index]
        if i is not None:
            variance = mpc.concat([part for part in (variance[:i], fit.quadratic, variance[i + 1 :]) if part.shape[0]])
        return {"model_variance" if self._robust else "variance": variance}

    # -- RESULT ---------------------------------------------------------------------------------------------------------

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: object) -> State:
        raise AssertionError("OLS has one stage")

    def result(self, opened: Opened) -> OLSResult:
        return linear_result.make(self.model, opened)


def _outputs(model: Model) -> tuple[Output, ...]:
    return (
        Output("n", (), "count", frac=0),
        Output("gamma", (model.size,), "estimate"),
        Output("rss", (), "aggregate"),
        Output("tss", (), "aggregate"),
        Output("condition", (), "aggregate", frac=X_FRAC),
        *model.spread_outputs(),
        *model.absent_outputs(),
        *((Output("rss_without", (len(model.tested),), "aggregate"),) if model.tested else ()),
    )
