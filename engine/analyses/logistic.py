"""Logistic regression by Newton's method (iteratively reweighted least squares).

In `steps` mode the coefficients after each step are opened to the parties, and hospitals compute the next gradient in the clear:

    newton   LOCAL  Z'WZ, Z'(y - p) at the public gamma;  JOINT  gamma + (Z'WZ)^-1 Z'(y - p), opened to the parties
    final    LOCAL  the same, log-likelihood, Pearson's chi-square, middle of the sandwich;  JOINT  a last step, and the outputs

The first newton stage also fixes, on shares, the power of two that brings sums to the size of means and the columns of absent
levels; both stay shared. Converged when a step changes no coefficient by more than 1e-8 (relative, or of the scaled column's
unit): Newton's error after it is of the order of its square. W = p (1 - p) <= 1/4, so 4 Z'WZ P / N has a trace of at most d.
Leaks: the coefficients after each step, to the parties; the outputs. Rounds (replicated): about 75 a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from scipy.special import expit

from engine.analyses import least_squares, logistic_result, sandwich
from engine.analyses.base import STOPS, Opened, Output, Plan, Stage, State, Statistics, Step
from engine.analyses.bits import any_of
from engine.analyses.moments import ProductSums, Symmetric, WeightedSum, with_constant
from engine.analyses.normalise import declare_count, declare_sum, scaled, secret_factor_and_empty
from engine.analyses.question import Limits, Question
from engine.analyses.regression import MOST_ROWS_OF_A_PERSON, Model
from engine.data.rows import Rows
from engine.dictionary import Dictionary
from engine.errors import DataError, NotEstimable, SpecError
from engine.results import LogitResult
from protocols.engine import Engine, Secret
from protocols.numeric.solve import inverse

MOST_STEPS = 30
TOLERANCE = 1e-8
GAMMA_LIMIT = 2.0**16  # of the scaled columns; beyond it the outcome is separated
LOG_LIKELIHOOD_LIMIT = 2.0**10  # of one row
PEARSON_LIMIT = 2.0**24  # of one row's squared residual; larger ones count as this
VCOV = ("model", "HC0", "cluster")  # packages disagree on what HC1 means here


class Hidden(NamedTuple):
    """What stays at the compute parties between the stages."""

    power: Secret
    absent: Secret | None


@dataclass(frozen=True)
class Logit:
    """y ~ x1 + x2 + ... for a two-valued y; options vcov ("model", "HC0", "cluster") and cov_params."""

    name: ClassVar[str] = "logit"
    modes: ClassVar[tuple[str, ...]] = ("steps",)
    model: Model
    plan: Plan

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> Logit:
        model = Model.read(question, dictionary, limits, VCOV)
        if not model.design.response_binary:
            raise SpecError('logit needs a response with two values, 0 and 1; declare it as type = "binary", or use ols')
        return cls(model, model.plan(_outputs(model), (_opened(model),), MOST_STEPS + 1))

    @property
    def _information(self) -> Symmetric:
        return Symmetric(self.model.size)

    def start(self) -> State:
        return State("newton", 0, {"gamma": np.zeros(self.model.size), "step": np.array(np.inf)})

    def stage(self, state: State) -> Stage:
        r, d = self.model.rows_log2, self.model.size
        contributed = [
            declare_sum("information", (self._information.entries,), r - 2, 1.0),  # W <= 1/4: in units of N / 4
            declare_sum("score", (d,), r),
        ]
        if state.iteration == 0:
            contributed.append(declare_count("n", (), r))
            if len(self.model.droppable):
                contributed.append(declare_count("present", (len(self.model.droppable),), r))
        if state.stage == "newton":
            return Stage("newton", tuple(contributed), stops=(self._stop(state),), opened=self.plan.opened)
        contributed += [
            declare_count("rows", (), r),
            declare_count("events", (), r),
            declare_sum("llf", (), r, LOG_LIKELIHOOD_LIMIT),
            declare_sum("pearson", (), r, PEARSON_LIMIT),
        ]
        if self.model.vcov != "model":
            contributed.append(declare_sum("middle", (self._information.entries,), r, sandwich.largest_pair(self.model.vcov)))
        return Stage("final", tuple(contributed), stops=(self._stop(state),), outputs=self.plan.outputs)

    @staticmethod
    def _stop(state: State) -> str:
        """At gamma = 0 the information is Z'Z / 4, singular only if columns are collinear; later it fades as fits separate."""
        return "singular" if state.iteration == 0 else "separated"

    # -- LOCAL ----------------------------------------------------------------------------------------------------------

    def local(self, rows: Rows, state: State) -> Statistics:
        sums = _Sums(self.model, state.public["gamma"])
        for batch in rows:
            if len(batch):
                sums.add(self.model.design.matrix(batch), self.model.design.response(batch), self.model.persons(batch))
        names = {each.name for each in self.stage(state).contributed}
        return {name: value for name, value in sums.statistics().items() if name in names}

    # -- JOINT ----------------------------------------------------------------------------------------------------------

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        model, d, r = self.model, self.model.size, self.model.rows_log2
        hidden = state.hidden
        if state.iteration == 0:
            hidden = Hidden(*secret_factor_and_empty(mpc, totals["n"], totals.get("present"), r))
        information = scaled(mpc, totals["information"], hidden.power, r - 2)
        score = scaled(mpc, totals["score"], hidden.power, r)
        M = model.with_absent(mpc, self._information.full(mpc, information), hidden.absent)
        X, singular = inverse(mpc, M, trace_bound=d)
        change = mpc.reshape(mpc.shift_left(least_squares.damped(mpc, X, mpc.reshape(score, (d, 1))), 2), (d,))
        gamma, outside = mpc.clamp(change + state.public["gamma"], GAMMA_LIMIT)
        stops = [singular, outside]
        if state.stage == "newton":
            return Step({self._stop(state): any_of(mpc, stops)}, opened={"gamma": gamma}, hidden=hidden)
        spread = model.model_spread(mpc, X)
        if model.vcov != "model":
            middle = scaled(mpc, totals["middle"], hidden.power, r, sandwich.largest_pair(model.vcov))
            B, outside = sandwich.clamped_middle(mpc, self._information.full(mpc, middle))
            stops.append(outside)
            spread |= sandwich.spread(mpc, model, X, B)
        outputs = {"gamma": gamma, "n": totals["rows"], **{name: totals[name] for name in ("events", "llf", "pearson")}, **spread}
        if hidden.absent is not None:
            outputs["absent"] = hidden.absent
        return Step({self._stop(state): any_of(mpc, stops)}, outputs=outputs, hidden=hidden)

    # -- between the stages, and RESULT -----------------------------------------------------------------------------------

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: object) -> State:
        """Raises NotEstimable, everywhere alike, when the steps do not converge."""
        gamma, before = np.asarray(opened["gamma"], dtype=np.float64), state.public["gamma"]
        step = np.max(np.abs(gamma - before) / np.maximum(1.0, np.abs(gamma)))
        iteration = state.iteration + 1
        converged = step <= TOLERANCE
        if not converged and iteration >= MOST_STEPS:
            raise NotEstimable(STOPS["separated"])
        return State("final" if converged else "newton", iteration, {"gamma": gamma, "step": np.array(step)}, hidden)

    def result(self, opened: Opened) -> LogitResult:
        return logistic_result.make(self.model, opened)


class _Sums:
    """One hospital's sums at a public gamma. No exponential overflows, whatever gamma is."""

    def __init__(self, model: Model, gamma: np.ndarray) -> None:
        width = model.size + 1
        self._model, self._gamma = model, gamma
        self._information, self._score, self._middle = ProductSums(width), WeightedSum(width), ProductSums(width)
        self._llf, self._pearson = WeightedSum(1), WeightedSum(1)
        self._rows = self._events = 0
        self._present = np.zeros(len(model.droppable), np.int64)

    def add(self, z: np.ndarray, y: np.ndarray, persons: np.ndarray | None) -> None:
        v, ones = with_constant(z), np.ones((len(z), 1))
        eta = z @ self._gamma
        residual = np.where(y > 0, expit(-eta), -expit(eta))  # y - p without cancellation
        against = np.where(y > 0, -eta, eta)  # log odds of the outcome that did not happen
        self._information.add(v, expit(eta) * expit(-eta))
        self._score.add(v, residual)
        self._llf.add(ones, np.maximum(-np.logaddexp(0.0, against), -LOG_LIKELIHOOD_LIMIT))
        self._pearson.add(ones, np.exp(np.minimum(against, np.log(PEARSON_LIMIT))))
        if self._model.vcov != "model":
            self._middle.add_people(v, residual, persons)
            self._check_people(persons)
        self._rows += len(z)
        self._events += int(y.sum())
        self._present += self._model.present(z)

    def _check_people(self, persons: np.ndarray | None) -> None:
        if persons is not None and np.unique(persons, return_counts=True)[1].max() > MOST_ROWS_OF_A_PERSON:
            raise DataError(f'a person has more than {MOST_ROWS_OF_A_PERSON} rows here, more than vcov="cluster" can take')

    def statistics(self) -> Statistics:
        triangle, rest = Symmetric(self._model.size), slice(1, None)
        return {
            "information": triangle.vector(self._information.total().at((rest, rest))),
            "score": self._score.total().at(rest),
            "n": np.asarray(self._rows),
            "rows": np.asarray(self._rows),
            "present": self._present,
            "events": np.asarray(self._events),
            "llf": self._llf.total().at(0),
            "pearson": self._pearson.total().at(0),
            "middle": triangle.vector(self._middle.total().at((rest, rest))),
        }


def _opened(model: Model) -> Output:
    return Output("gamma", (model.size,), "estimate")


def _outputs(model: Model) -> tuple[Output, ...]:
    frac = 64 + model.rows_log2
    return (
        _opened(model),
        Output("n", (), "count", frac=0),
        Output("events", (), "count", frac=0),
        Output("llf", (), "aggregate", frac=frac),
        Output("pearson", (), "aggregate", frac=frac),
        *model.spread_outputs(),
        *model.absent_outputs(),
    )
