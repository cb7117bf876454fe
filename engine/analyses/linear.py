"""Ordinary least squares. One stage: every hospital contributes sums of products, JOINT solves the normal equations.

LOCAL    Z'Z, Z'y, y'y of the scaled columns; for robust covariances also the fourth-order sums of moments.PairSums
JOINT    gamma = (Z'Z)^-1 Z'y, residual and total sums of squares, (Z'Z)^-1 or the sandwich, a condition number
RESULT   everything else, with statsmodels' definitions

Everything is computed divided by n (times the public power of two N / P, see normalise.py). Leaks: the outputs.
Rounds (replicated): about 92 with vcov="model", of which the inverse takes 60; the gate adds about 20; robust covariances about
25.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engine.analyses import least_squares, linear_result, sandwich
from engine.analyses.base import Opened, Output, Plan, Stage, State, Statistic, Statistics, Step
from engine.analyses.bits import any_of
from engine.analyses.moments import PairSums, ProductSums, Symmetric, with_constant
from engine.analyses.normalise import declare_count, declare_sum, scaled, secret_factor_and_empty
from engine.analyses.question import Limits, Question
from engine.analyses.regression import MOST_ROWS_OF_A_PERSON, X_FRAC, Model
from engine.data.rows import Rows
from engine.dictionary import Dictionary
from engine.errors import DataError
from engine.results import OLSResult
from protocols.engine import Declared, Engine, Secret
from protocols.numeric.solve import inverse


@dataclass(frozen=True)
class OLS:
    """y ~ x1 + x2 + ...; options vcov ("model", "HC0", "HC1", "cluster") and cov_params (open the whole covariance)."""

    name: ClassVar[str] = "ols"
    modes: ClassVar[tuple[str, ...]] = ("result",)
    model: Model
    plan: Plan

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> OLS:
        model = Model.read(question, dictionary, limits)
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
        contributed = [declare_count("n", (), r), declare_sum("moments", (self._moments.entries,), r)]
        if len(self.model.droppable):
            contributed.append(declare_count("present", (len(self.model.droppable),), r))
        if self._robust:
            contributed.append(self._declare_pairs())
        return Stage("sums", tuple(contributed), stops=("singular",), outputs=self.plan.outputs)

    def _declare_pairs(self) -> Declared:
        vcov = self.model.vcov
        entries = Symmetric(self._moments.entries).entries
        return declare_sum("pairs", (entries,), self.model.rows_log2, sandwich.largest_pair(vcov), sandwich.PAIR_FRAC[vcov])

    # -- LOCAL ----------------------------------------------------------------------------------------------------------

    def local(self, rows: Rows, state: State) -> Statistics:
        model, width = self.model, self.model.size + 2
        n, present = 0, np.zeros(len(model.droppable), np.int64)
        moments, pairs = ProductSums(width), PairSums(width)
        for batch in rows:
            if not len(batch):
                continue
            z = model.design.matrix(batch)
            v = with_constant(z, model.design.response(batch))
            n += len(batch)
            present += model.present(z)
            moments.add(v)
            if self._robust:
                pairs.add(v, model.persons(batch))
        rest = slice(1, None)
        statistics: dict[str, Statistic] = {"n": np.asarray(n), "moments": self._moments.vector(moments.total().at((rest, rest)))}
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
        products = self._moments.full(mpc, scaled(mpc, totals["moments"], power, model.rows_log2))
        M, b, yy = model.with_absent(mpc, products[:d, :d], absent), products[:d, d:], products[d, d]
        X, singular = inverse(mpc, M, trace_bound=d)
        gamma, outside = least_squares.refined(mpc, M, X, b)
        rss, tss = self._sums_of_squares(mpc, products, M, b, yy, gamma)
        stops, spread = [singular, outside], model.model_spread(mpc, X)
        if self._robust:
            pairs = scaled(mpc, totals["pairs"], power, model.rows_log2, sandwich.largest_pair(model.vcov))
            unit = sandwich.unit_of_residuals(mpc, rss)
            B, outside = sandwich.clamped_middle(mpc, sandwich.middle(mpc, pairs, gamma), unit)
            stops.append(outside)
            spread |= sandwich.spread(mpc, model, X, B)
        outputs = {
            "n": totals["n"],
            "gamma": mpc.reshape(gamma, (d,)),
            "rss": rss,
            "tss": tss,
            "condition": least_squares.squared_condition(mpc, M, X),
            **spread,
            **({"absent": absent} if absent is not None else {}),
        }
        return Step(stops={"singular": any_of(mpc, stops)}, outputs=outputs)

    def _sums_of_squares(
        self, mpc: Engine, products: Secret, M: Secret, b: Secret, yy: Secret, gamma: Secret
    ) -> tuple[Secret, Secret]:
        """Residual and total: y'y - gamma'(2b - M gamma), and y'y, or n y'y - (sum y)^2 with a constant. Two rounds.

        The first errs by the square of gamma's error only.
        """
        d = self.model.size
        constant = self.model.constant_columns
        left, right = [gamma], [b + b - M @ gamma]
        if len(constant):
            n = mpc.sum(products[constant, constant])
            y = mpc.sum(b[constant, 0])
            left += [mpc.reshape(mpc.stack([n, y]), (2, 1))]
            right += [mpc.reshape(mpc.stack([yy, y]), (2, 1))]
        terms = mpc.reshape(mpc.mul(mpc.concat(left), mpc.concat(right)), (d + 2 * bool(len(constant)),))
        rss = yy - mpc.sum(terms[:d])
        return rss, terms[d] - terms[d + 1] if len(constant) else yy

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
    )
