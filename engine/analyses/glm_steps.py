"""A generalised linear model by Newton's method in `steps` mode: the coefficients open to the parties after each step.

So hospitals compute their next sums in the clear.

    start    LOCAL  the hospital's own fit (one_shot.py)
             JOINT  gamma_0, opened to the parties
    newton   LOCAL  Z'WZ, Z'(y - mean) at the public gamma
             JOINT  gamma + (Z'WZ)^-1 Z'(y - mean), opened to the parties
    final    LOCAL  the same, log-likelihood, Pearson's chi-square, middle of the sandwich
             JOINT  a last step, and the outputs

The first stage also fixes, on shares, the power of two that brings sums to the size of means and the columns of absent levels;
both stay shared. Converged when a step changes no coefficient by more than 1e-5 (relative, or of the scaled column's unit):
Newton's error after it is of the order of its square, and the final step squares it again. A hospital fits at most SAMPLE_ROWS of
its rows, evenly spaced, so that LOCAL runs in constant memory. W / 2^weight_log2 <= 1, so that Z'WZ P / N has a trace of at
most d in these units.
Leaks: the coefficients after each step, to the parties; the outputs. Rounds (replicated), 20 columns: 76 for the start, 43 a
step and those of the totals' range check, 45 at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from engine.analyses import glm_result, leverage, one_shot, people, response_sums, sandwich
from engine.analyses.base import STOPS, Opened, Output, Plan, Stage, State, Statistic, Statistics, Step
from engine.analyses.bits import any_of
from engine.analyses.families import PEARSON_LIMIT_LOG2, Family
from engine.analyses.leverage import Influential
from engine.analyses.moments import ProductSums, Symmetric, WeightedSum, with_constant
from engine.analyses.normalise import declare_count, declare_sum, scaled
from engine.analyses.one_shot import GAMMA_LIMIT, own_polynomial
from engine.analyses.regression import MOST_ROWS_OF_A_PERSON, Model
from engine.analyses.sums import DoubleDouble, add, exact_gram, on_grid, times, zeros
from engine.data.rows import Rows
from engine.errors import DataError, NotEstimable
from engine.results import GLMResult
from protocols.engine import Declared, Engine, Secret
from protocols.numeric.solve import inverse

MOST_STEPS = 30
TOLERANCE = 1e-5
SAMPLE_ROWS = 1 << 16


class Hidden(NamedTuple):
    """What stays at the compute parties between the stages."""

    power: Secret
    absent: Secret | None
    people: Secret


@dataclass(frozen=True)
class StepsFit:
    """y ~ x1 + x2 + ... for one family; options vcov ("model", "HC0", "cluster") and cov_params."""

    modes: ClassVar[tuple[str, ...]] = ("steps",)
    name: str
    model: Model
    family: Family
    plan: Plan

    @classmethod
    def of(cls, name: str, model: Model, family: Family) -> StepsFit:
        outputs = glm_result.outputs(model, family)
        return cls(name, model, family, model.plan(outputs, (_opened(model),), MOST_STEPS + 2))

    @property
    def _information(self) -> Symmetric:
        return Symmetric(self.model.size)

    def start(self) -> State:
        return State("start")

    def stage(self, state: State) -> Stage:
        if state.stage == "start":
            contributions = (*one_shot.declared(self.model), leverage.declared(self.model.size, self.model.rows_log2))
            return Stage("start", contributions, stops=("refused", "singular"), opened=self.plan.opened)
        r, family = self.model.rows_log2, self.family
        contributed: list[Declared] = [
            declare_sum("information", (self._information.entries,), r),
            declare_sum("score", (self.model.size,), r),
        ]
        if state.stage == "newton":
            return Stage("newton", tuple(contributed), stops=("separated",), opened=self.plan.opened)
        contributed += [
            declare_count("rows", (), r),
            *family.declared(r),
            declare_sum("fit", (), r, 2.0**family.fit_log2),
            declare_sum("pearson", (), r, 2.0**PEARSON_LIMIT_LOG2),
        ]
        if self.model.vcov != "model":
            contributed.append(declare_sum("middle", (self._information.entries,), r, sandwich.largest_pair(self.model.vcov)))
        return Stage("final", tuple(contributed), stops=("separated",), outputs=self.plan.outputs)

    # -- LOCAL ----------------------------------------------------------------------------------------------------------

    def local(self, rows: Rows, state: State) -> Statistics:
        sums = _Start(self) if state.stage == "start" else _Sums(self, state.public["gamma"], state.stage == "final")
        for batch in rows:
            if len(batch):
                z, y = self.model.design.matrix(batch), self.family.response(self.model.design, batch)
                sums.add(z, y, batch.persons if state.stage == "start" else self.model.persons(batch))
        names = {each.name for each in self.stage(state).contributed}
        return {name: value for name, value in sums.statistics().items() if name in names}

    # -- JOINT ----------------------------------------------------------------------------------------------------------

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        model, family, d, r = self.model, self.family, self.model.size, self.model.rows_log2
        if state.stage == "start":
            start = one_shot.begin(mpc, model, family, totals)
            hidden = Hidden(start.power, start.absent, people.used(totals))
            refused = leverage.refusal(mpc, start.gram_inverse, totals["influential"], start.power, r, start.singular)
            ends = {"refused": refused, "singular": start.singular}
            return Step(ends, opened={"gamma": mpc.reshape(start.gamma, (d,))}, hidden=hidden)
        hidden = state.hidden
        cut = self._information.entries
        sums = scaled(mpc, mpc.concat([totals["information"], totals["score"]]), hidden.power, r)
        M = model.with_absent(mpc, self._information.full(mpc, sums[:cut]), hidden.absent)
        X, singular = inverse(mpc, M, trace_bound=d)
        step = mpc.shift_left(mpc.matmul(X, mpc.reshape(sums[cut:], (d, 1))), family.residual_log2 - family.weight_log2)
        gamma, outside = mpc.clamp(mpc.reshape(step, (d,)) + state.public["gamma"], GAMMA_LIMIT)
        stops = [singular, outside]
        if state.stage == "newton":
            return Step({"separated": any_of(mpc, stops)}, opened={"gamma": gamma}, hidden=hidden)
        spread = model.model_spread(mpc, X)
        if model.vcov != "model":
            middle = scaled(mpc, totals["middle"], hidden.power, r, sandwich.largest_pair(model.vcov))
            B, outside = sandwich.clamped_middle(mpc, self._information.full(mpc, middle))
            stops.append(outside)
            spread |= sandwich.spread(mpc, model, X, B)
        told = response_sums.told(mpc, family, totals, hidden.people, r)
        outputs = {"gamma": gamma, "n": totals["rows"], "fit": totals["fit"], "pearson": totals["pearson"], **told, **spread}
        if hidden.absent is not None:
            outputs["absent"] = hidden.absent
        return Step({"separated": any_of(mpc, stops)}, outputs=outputs, hidden=hidden)

    # -- between the stages, and RESULT -----------------------------------------------------------------------------------

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: object) -> State:
        """Raises NotEstimable, everywhere alike, when the steps do not converge."""
        gamma = np.asarray(opened["gamma"], dtype=np.float64)
        if state.stage == "start":
            return State("newton", 1, {"gamma": gamma}, hidden)
        step = np.max(np.abs(gamma - state.public["gamma"]) / np.maximum(1.0, np.abs(gamma)))
        if step <= TOLERANCE:
            return State("final", state.iteration, {"gamma": gamma}, hidden)
        if state.iteration >= MOST_STEPS:
            raise NotEstimable(STOPS["separated"])
        return State("newton", state.iteration + 1, {"gamma": gamma}, hidden)

    def result(self, opened: Opened) -> GLMResult:
        return glm_result.make(self.model, self.family, opened)


class _Start:
    """One hospital's own fit, on a sample of its rows, and the exact Gram matrix of them all."""

    def __init__(self, fit: StepsFit) -> None:
        self._model, self._family = fit.model, fit.family
        self._gram, self._influential = zeros((fit.model.size,) * 2), Influential()
        self._sample: list[tuple[np.ndarray, np.ndarray]] = []
        self._stride, self._seen, self._kept = 1, 0, 0
        self._rows, self._present = 0, np.zeros(len(fit.model.droppable), np.int64)

    def add(self, z: np.ndarray, y: np.ndarray, persons: np.ndarray | None) -> None:
        self._gram = add(self._gram, exact_gram(on_grid(z)))
        self._influential.add(z, persons, self._gram.high)
        self._rows += len(z)
        self._present += self._model.present(z)
        chosen = slice(-self._seen % self._stride, None, self._stride)
        self._sample.append((z[chosen], y[chosen]))
        self._seen += len(z)
        self._kept += len(self._sample[-1][1])
        while self._kept > SAMPLE_ROWS:
            z, y = (np.concatenate(parts)[::2] for parts in zip(*self._sample, strict=True))
            self._sample, self._kept, self._stride = [(z, y)], len(y), 2 * self._stride

    def statistics(self) -> Statistics:
        d = self._model.size
        z, y = (np.concatenate(parts) for parts in zip((np.empty((0, d)), np.empty(0)), *self._sample, strict=True))
        share = self._rows / max(1, len(y))  # of the rows that each of the sample stands for
        own = own_polynomial(self._model, self._family, z, y)
        return {
            "gram": Symmetric(d).vector(self._gram),
            "influential": leverage.contributed(self._influential.total(d)),
            **{name: _times(values, share) for name, values in own.items()},
            "n": np.asarray(self._rows),
            "present": self._present,
        }


class _Sums:
    """One hospital's sums at a public gamma; what only the outputs need, in the final stage. No exponential overflows."""

    def __init__(self, fit: StepsFit, gamma: np.ndarray, final: bool) -> None:
        width, self._final = fit.model.size + 1, final
        self._model, self._family, self._gamma = fit.model, fit.family, gamma
        self._information, self._score, self._middle = ProductSums(width), WeightedSum(width), ProductSums(width)
        self._fit, self._pearson = WeightedSum(1), WeightedSum(1)
        self._constants: dict[str, WeightedSum] = {}
        self._rows = 0

    def add(self, z: np.ndarray, y: np.ndarray, persons: np.ndarray | None) -> None:
        family, v, ones = self._family, with_constant(z), np.ones((len(z), 1))
        eta = z @ self._gamma
        residual = np.ldexp(family.residual(eta, y), -family.residual_log2)
        self._information.add(v, np.ldexp(family.weight(eta), -family.weight_log2))
        self._score.add(v, residual)
        self._rows += len(z)
        if not self._final:
            return
        self._fit.add(ones, family.fit(eta, y))
        self._pearson.add(ones, family.pearson(eta, y))
        for name, values in family.constants(y).items():
            self._constants.setdefault(name, WeightedSum(1)).add(ones, values)
        if self._model.vcov != "model":
            self._middle.add_people(v, residual, persons)
            self._check_people(persons)

    def _check_people(self, persons: np.ndarray | None) -> None:
        if persons is not None and np.unique(persons, return_counts=True)[1].max() > MOST_ROWS_OF_A_PERSON:
            raise DataError(f'a person has more than {MOST_ROWS_OF_A_PERSON} rows here, more than vcov="cluster" can take')

    def statistics(self) -> Statistics:
        triangle, rest = Symmetric(self._model.size), slice(1, None)
        constants = {each.name: np.zeros(()) for each in self._family.declared(0)}
        found = {name: values.total().at(0) for name, values in self._constants.items()}
        whole = {each.name for each in self._family.declared(0) if each.frac == 0}
        return {
            "information": triangle.vector(self._information.total().at((rest, rest))),
            "score": self._score.total().at(rest),
            "rows": np.asarray(self._rows),
            "fit": self._fit.total().at(0),
            "pearson": self._pearson.total().at(0),
            "middle": triangle.vector(self._middle.total().at((rest, rest))),
            **constants,
            **{name: np.asarray(round(float(value.high))) if name in whole else value for name, value in found.items()},
        }


def _times(values: Statistic, factor: float) -> Statistic:
    """Exact where the values are."""
    return times(DoubleDouble(*values), np.array(factor)) if isinstance(values, tuple) else factor * values


def _opened(model: Model) -> Output:
    return Output("gamma", (model.size,), "estimate")
