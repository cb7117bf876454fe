"""A generalised linear model by Newton's method in `result` mode: nothing opens on the way but whether it has converged.

    start    LOCAL  the hospital's own fit (one_shot.py), sums of y, and its scaled design rows, rounded to 28 bits, for sharing
             JOINT  the inverse Gram matrix B^-1, gamma_0; whether the rows agree with the sums
    score    JOINT  g = Z'(y - mean) alone, and a step by the Hessian that the hospitals' own fits promise (one_shot.nearer)
    newton   JOINT  eta = Z gamma, means and weights (shared_families.py), g = Z'(y - mean), H = Z'WZ, a step H^-1 g
    final    JOINT  H^-1 to full precision, a last step, log-likelihood, Pearson's chi-square, the sandwich: the outputs

Only `start` reads rows. Units: M P / N for sums over rows (normalise.py), W / 2^weight_log2 in [0, 1] for weights, so that
0 <= H <= B: that makes the range of every step provable, whatever the weights are (protocols/numeric/solve.py, `precondition`).
Rows are shared in Z_2^128 and padded with zeros, which add nothing to Z'WZ, Z'mean and Z'y; where zero rows would count
(log-likelihood, chi-square) the cohort's 0/1 weight multiplies them out.

Convergence. With the step s the job goes on until s'Bs <= 2^-44: until it changes the linear predictors by less than 2.4e-7 in
the mean square (more for counts, whose means are noisier), which is what standard errors, taken from before the step, then lack
relatively; the coefficients, taken from
after it, lack the square of that. A fit that runs away never gets there. At the end, with the full inverse, sum (z's)^2 > 2^-5
means that it ran away slowly: separated.

Ranges. gamma is clamped to GAMMA_LIMIT at every step, eta by the family's functions; a clamp of eta that acts at the last step is
told as `extreme` where it only saturates a probability, and ends the job where means beyond it matter (Poisson).

Source: McCullagh and Nelder, "Generalized Linear Models", 1989; the preconditioned iteration in solve.py.
Adversary: one semi-honest compute party, which sees nothing of the rows; two together hold them. Leaks: `converged` after each
step; the outputs; the leverage rule's bit, once rows are shared. Rounds (replicated), 20 columns: 88 for the start, 38 for the
score, 40 a Newton step and 1 for its bit, 62 at the end (HC0 20 more). No mask relies on the range of y and w, which nothing
checks on shares, nor on that of z before its squares were compared with the sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from engine.analyses import glm_result, leverage, newton, one_shot, people, response_sums, sandwich
from engine.analyses.base import STOPS, Opened, Output, Plan, Stage, State, Statistics, Step
from engine.analyses.bits import any_of, negation
from engine.analyses.clamping import clamped
from engine.analyses.families import Binomial, Family
from engine.analyses.leverage import Influential
from engine.analyses.moments import Symmetric
from engine.analyses.newton import CONTROLS, MOST_STEPS, PEAK
from engine.analyses.normalise import declare_sum, scaled
from engine.analyses.one_shot import GAMMA_LIMIT, Start
from engine.analyses.regression import Model
from engine.analyses.shared_families import SharedFamily, shared
from engine.data.rows import Rows
from engine.errors import NotEstimable, SpecError
from engine.results import GLMResult
from protocols.engine import LARGE_FRAC, SMALL_FRAC, Declared, Engine, Secret
from protocols.numeric.solve import POLISH, Coupled, improve, inverse_of, precondition

HIDDEN_VCOV = ("model", "HC0")
SQUARE_FRAC = 40  # of squared residuals, in units of the square of the largest possible one
AGREE_LOG2 = -6  # the squares of the shared rows and the contributed trace may differ by so much: float64's roundings
ONE = 1 << LARGE_FRAC
CHECKED = "a hospital's own check of the rows that it shares"
COMPARED = "that, and their squares held against sums that were range-checked; `inconsistent` opens before z is used further"


@dataclass(frozen=True)
class Held:
    """What the compute parties hold from the start on."""

    start: Start
    z: Secret  # (rows, d) in Z_2^128
    y: Secret  # (rows,) whole numbers
    w: Secret  # (rows,) 1 for the rows of the cohort
    zy: Secret  # Z'y / 2^residual_log2 / N, raw
    score: Secret  # the same times P
    told: Mapping[str, Secret]  # outputs that are sums of y


@dataclass(frozen=True)
class Evaluation:
    """Everything at one gamma."""

    gamma: Secret  # (d,) at 28 bits of Z_2^256
    folded: Any
    mean: Secret
    z_mean: Secret  # Z'mean / 2^residual_log2 / N, raw, (d, 1)
    hessian: Secret
    gradient: Secret  # (d, 1)
    coupled: Coupled


@dataclass(frozen=True)
class HiddenFit:
    """y ~ x1 + x2 + ... for one family; options vcov ("model", "HC0") and cov_params."""

    modes: ClassVar[tuple[str, ...]] = ("result",)
    name: str
    model: Model
    family: Family
    plan: Plan

    @classmethod
    def of(cls, name: str, model: Model, family: Family) -> HiddenFit:
        """Raises SpecError when the charter does not say how many rows each hospital pads to."""
        if not model.limits.bands:
            raise SpecError(f"{name} in `result` mode needs the rows of each hospital's table in the charter")
        extreme = (Output("extreme", (), "flag", frac=0),) if isinstance(family, Binomial) else ()
        outputs = glm_result.outputs(model, family, *extreme)
        return cls(name, model, family, model.plan(outputs, (), MOST_STEPS + 3, CONTROLS, shares_rows=True))

    @property
    def _on_shares(self) -> SharedFamily:
        return shared(self.family)

    def start(self) -> State:
        return State("start")

    def stage(self, state: State) -> Stage:
        if state.stage == "score":
            return Stage("score")
        if state.stage == "newton":
            return Stage("newton", controls=("converged",))
        if state.stage == "final":
            beyond = () if isinstance(self.family, Binomial) else ("beyond",)
            return Stage("final", stops=("separated", *beyond), outputs=self.plan.outputs)
        r, d = self.model.rows_log2, self.model.size
        contributed = (
            *one_shot.declared(self.model),
            leverage.declared(d, r),
            declare_sum("zy", (d,), r),
            *self.family.declared(r),
        )
        rows = (
            Declared("z", (d,), 1.0, frac=SMALL_FRAC),
            Declared("y", (), 2.0**self.family.residual_log2, frac=0),
            Declared("w", (), 1.0, frac=0),
        )
        return Stage("start", contributed, rows, stops=("refused", "singular", "inconsistent"))

    # -- LOCAL ----------------------------------------------------------------------------------------------------------

    def local(self, rows: Rows, state: State) -> Statistics:
        """The one pass: the hospital's rows stay in memory, since all of them will be shared."""
        influential = Influential()
        z, y = newton.read(self.model, self.family, rows, influential)
        shared_rows = {"z": z, "y": y.round().astype(np.int64), "w": np.ones(len(y), np.int64)}
        found = {"influential": leverage.contributed(influential.total(self.model.size))}
        return {**newton.local_sums(self.model, self.family, z, y), **found, **shared_rows}

    # -- JOINT ----------------------------------------------------------------------------------------------------------

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        if state.stage == "start":
            return self._begin(mpc, totals)
        held: Held = state.hidden[0]
        if state.stage == "score":
            return self._score(mpc, held, state.hidden[1])
        if state.stage == "newton":
            return self._newton(mpc, held, state.hidden[1])
        return self._final(mpc, held, state.hidden[2])

    def _begin(self, mpc: Engine, totals: Mapping[str, Secret]) -> Step:
        r, d = self.model.rows_log2, self.model.size
        start = one_shot.begin(mpc, self.model, self.family, totals)
        score = mpc.reshape(scaled(mpc, totals["zy"], start.power, r), (d, 1))
        told = {"n": totals["n"], **response_sums.told(mpc, self.family, totals, people.used(totals), r)}
        held = Held(
            start=start,
            z=mpc.bounded(totals["z"], 1 << SMALL_FRAC, COMPARED, checked=True),
            y=mpc.bounded(totals["y"], 1 << self.family.residual_log2, CHECKED),
            w=mpc.bounded(totals["w"], 1, CHECKED),
            zy=mpc.reshape(totals["zy"], (d, 1)),
            score=score,
            told=told,
        )
        gamma = mpc.truncate(mpc.reshape(start.gamma, (d,)), LARGE_FRAC - SMALL_FRAC)
        refused = leverage.refusal(mpc, start.gram_inverse, totals["influential"], start.power, r, start.singular)
        stops = {"refused": refused, "singular": start.singular, "inconsistent": self._disagree(mpc, totals)}
        return Step(stops, hidden=(held, gamma, None))

    def _disagree(self, mpc: Engine, totals: Mapping[str, Secret]) -> Secret:
        """1 where the squares of all shared rows do not add up to the trace of the contributed Gram matrix.

        A row out of its bounds, by a fault, does not pass: its square is added up modulo 2^128 without a sign. Nothing is known
        of the sum before that, so it is lifted without a mask.
        """
        r, numbers = self.model.rows_log2, mpc.reshape(totals["z"], (-1,))
        size = numbers.shape[0]
        squares = mpc.matmul(mpc.reshape(numbers, (1, size)), mpc.reshape(numbers, (size, 1)), frac=2 * SMALL_FRAC)
        lifted = replace(mpc.reshape(mpc.lift(squares), (1,)), frac=2 * SMALL_FRAC + r)
        trace = mpc.reshape(mpc.sum(totals["gram"][np.diag(Symmetric(self.model.size).position)]), (1,))
        inside = mpc.in_range(mpc.rescale_up(lifted, trace.frac) - trace, 1 << (LARGE_FRAC + AGREE_LOG2))
        return negation(mpc, mpc.reshape(inside, ()))

    def _newton(self, mpc: Engine, held: Held, gamma: Secret) -> Step:
        at = self._evaluate(mpc, held, gamma)
        assert at.coupled.v is not None
        step = newton.in_units_of_gamma(mpc, self.family, at.coupled.v)
        short = 2.0**self._on_shares.converged_log2 - newton.size(mpc, held.start.gram, step)
        moved = mpc.rescale_up(gamma, LARGE_FRAC) + mpc.reshape(step, gamma.shape)
        nearer, _, far = clamped(mpc, moved, GAMMA_LIMIT, short, frac=SMALL_FRAC)
        return Step(controls={"converged": negation(mpc, mpc.reshape(far, ()))}, hidden=(held, nearer, at))

    def _score(self, mpc: Engine, held: Held, gamma: Secret) -> Step:
        """A first step without a Hessian of all rows: by the gradient, and the Hessian that the hospitals' own fits promise."""
        r, (n, d) = self.model.rows_log2, held.z.shape
        mean = self._on_shares.mean(mpc, self._folded(mpc, held, gamma))
        products = mpc.row_products(held.z, mpc.reshape(mean, (n, 1)))
        z_mean = mpc.mul(replace(products, frac=products.frac + r), held.start.power, frac=LARGE_FRAC)
        gradient = held.score - mpc.bounded(z_mean, ONE + ONE // 1024, PEAK)
        column = mpc.rescale_up(mpc.reshape(gamma, (d, 1)), LARGE_FRAC)
        nearer = mpc.truncate(one_shot.nearer(mpc, self.family, held.start, column, gradient), LARGE_FRAC - SMALL_FRAC)
        return Step(hidden=(held, mpc.reshape(nearer, (d,)), None))

    def _folded(self, mpc: Engine, held: Held, gamma: Secret) -> Any:
        n, d = held.z.shape
        eta = mpc.matmul(held.z, mpc.reshape(mpc.narrow(gamma), (d, 1)), frac=SMALL_FRAC)
        return self._on_shares.fold(mpc, mpc.reshape(eta, (n,)))

    def _evaluate(self, mpc: Engine, held: Held, gamma: Secret) -> Evaluation:
        """Means and weights of all rows, the gradient and the Hessian at gamma, and the inverse as far as a step needs it."""
        family, z, r = self._on_shares, held.z, self.model.rows_log2
        (n, d), start = z.shape, held.start
        folded = self._folded(mpc, held, gamma)
        mean, weight = family.mean_and_weight(mpc, folded)
        weighted = mpc.mul(mpc.reshape(weight, (n, 1)), z, frac=weight.frac + z.frac)
        mean_column = mpc.rescale_up(mpc.reshape(mean, (n, 1)), weighted.frac)
        products = mpc.row_products(z, weighted, symmetric=True, also=mean_column)
        products = replace(products, frac=products.frac + r)  # divided by N
        sums = mpc.bounded(mpc.mul(products, start.power, frac=LARGE_FRAC), ONE + ONE // 1024, PEAK)
        hessian, gradient = sums[:, :d], held.score - sums[:, d:]
        absent = self.model.absent_columns_of_all(mpc, start.absent)
        start_from = precondition(mpc, start.gram_inverse, hessian, absent, gradient, family.negative_log2)
        coupled = improve(mpc, start_from, family.steps)
        return Evaluation(gamma, folded, mean, products[:, d:], hessian, gradient, coupled)

    def _final(self, mpc: Engine, held: Held, at: Evaluation) -> Step:
        model, d = self.model, self.model.size
        absent = self.model.absent_columns_of_all(mpc, held.start.absent)
        X, singular = inverse_of(mpc, improve(mpc, at.coupled, POLISH), at.hessian, absent)
        step = newton.in_units_of_gamma(mpc, self.family, mpc.matmul(X, at.gradient, frac=LARGE_FRAC))
        budget = newton.budget(mpc, held.start.power, model.rows_log2, newton.RUNS_AWAY_LOG2)
        short = budget - newton.size(mpc, held.start.gram, step)
        moved = mpc.rescale_up(at.gamma, LARGE_FRAC) + mpc.reshape(step, (d,))
        gamma, outside, far = clamped(mpc, moved, GAMMA_LIMIT, short, frac=LARGE_FRAC)
        stops, spread = [singular, outside, far], model.model_spread(mpc, X)
        if model.vcov != "model":
            B, outside = sandwich.clamped_middle(mpc, self._middle(mpc, held, at))
            stops.append(outside)
            spread |= sandwich.spread(mpc, model, X, B)
        outputs = {
            "gamma": gamma,
            "fit": self._fit(mpc, held, at, gamma - mpc.rescale_up(at.gamma, LARGE_FRAC)),  # the step, with a narrower bound
            "pearson": self._pearson(mpc, held, at),
            **held.told,
            **spread,
        }
        if held.start.absent is not None:
            outputs["absent"] = held.start.absent
        ends = {"separated": any_of(mpc, stops)}
        beyond = mpc.lift(any_of(mpc, [self._on_shares.beyond(at.folded)]))  # not padded rows, whose eta is 0
        if isinstance(self.family, Binomial):
            outputs["extreme"] = beyond
        else:
            ends["beyond"] = beyond
        return Step(ends, outputs=outputs)

    def _fit(self, mpc: Engine, held: Held, at: Evaluation, step: Secret) -> Secret:
        """sum (y eta - b(eta)) / N at gamma + step, to second order: at gamma, and s'g / 2 more."""
        r = self.model.rows_log2
        w = mpc.reshape(held.w, (-1, 1))
        cumulant = mpc.reshape(self._on_shares.cumulant(mpc, at.folded), (-1, 1))
        b = mpc.row_products(w, cumulant)[0, 0]
        b = mpc.rescale_up(replace(b, frac=b.frac + r - self._on_shares.cumulant_log2), LARGE_FRAC + r)
        return newton.linear_part(mpc, self.model, self.family, held.zy, at.z_mean, at.gamma, step) - b

    def _pearson(self, mpc: Engine, held: Held, at: Evaluation) -> Secret:
        """sum (y - mean)^2 / W / N."""
        r = self.model.rows_log2
        root = self._on_shares.pearson_root(mpc, at.folded, held.y)
        counted = mpc.mul(held.w, root, frac=root.frac)
        total = mpc.row_products(mpc.reshape(root, (-1, 1)), mpc.reshape(counted, (-1, 1)))[0, 0]
        total = replace(total, frac=total.frac + r - self._on_shares.pearson_log2)
        return mpc.rescale_up(total, LARGE_FRAC + r)

    def _middle(self, mpc: Engine, held: Held, at: Evaluation) -> Secret:
        """sum (y - mean)^2 z z' P / N, (d, d), the residuals in units of 2^residual_log2."""
        r, (n, _) = self.model.rows_log2, held.z.shape
        y = replace(held.y, frac=self.family.residual_log2)
        residual = mpc.rescale_up(y, at.mean.frac) - at.mean
        square = mpc.mul(residual, residual, frac=SQUARE_FRAC)
        weighted = mpc.mul(mpc.reshape(square, (n, 1)), held.z, frac=square.frac + SMALL_FRAC)
        products = mpc.row_products(held.z, weighted, symmetric=True)
        return mpc.mul(replace(products, frac=products.frac + r), held.start.power, frac=LARGE_FRAC)

    # -- between the stages, and RESULT -----------------------------------------------------------------------------------

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: Any) -> State:
        """Raises NotEstimable, everywhere alike, when the steps do not converge."""
        if state.stage == "start" and self.model.size <= one_shot.MOST_CUBED:
            return State("score", hidden=hidden)
        if state.stage in ("start", "score"):
            return State("newton", 1, hidden=hidden)
        if bool(opened["converged"]):
            return State("final", state.iteration, hidden=hidden)
        if state.iteration >= MOST_STEPS:
            raise NotEstimable(STOPS["separated"])
        return State("newton", state.iteration + 1, hidden=hidden)

    def result(self, opened: Opened) -> GLMResult:
        n = opened.n
        variance = self.family.variance(float(opened.values[self.family.total]) / n)
        error = self._on_shares.mean_error * np.sqrt(n / variance)
        extreme = "extreme" in opened.values and bool(opened.values["extreme"])
        opened = replace(opened, values=self._shifted(opened.values))
        found = glm_result.make(self.model, self.family, opened, float(error), (EXTREME,) if extreme else ())
        return replace(found, pearson_chi2=float("nan")) if extreme else found

    def _shifted(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """With what is known to belong to the intercept, and by it to the log-likelihood."""
        shift, intercept = self._on_shares.shift, self.model.design.intercept
        if not shift or intercept is None:
            return dict(values)
        gamma = values["gamma"].copy()
        gamma[intercept] += shift
        total = float(values["total"]) / 2.0**self.model.rows_log2
        return {**values, "gamma": gamma, "fit": values["fit"] + shift * total}


EXTREME = "Some fitted probabilities are within 1e-8 of 0 or 1 and were taken for 1e-8; pearson_chi2 is not computed then."
