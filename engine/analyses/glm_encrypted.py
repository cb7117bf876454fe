"""A generalised linear model whose coefficients travel encrypted: Newton's method in `result` mode, and no row leaves a hospital.

    start    LOCAL  the hospital's own fit (one_shot.py) and sums of y, as in glm_hidden.py
             JOINT  the inverse Gram matrix B^-1, gamma_0
    gradient ROWS   Z'mean at gamma, on ciphertexts (protocols/rowwise.py), as shares
    score    JOINT  a step by the gradient, and the Hessian that the hospitals' own fits promise; both twice
    sums     ROWS   Z'mean, Z'WZ, sums of b(eta) and for Pearson's chi-square; whether all predictors were in range
    newton   JOINT  H^-1 from B^-1, a step
    final    JOINT  H^-1 to full precision, a last step, log-likelihood: the outputs

Means and weights are Chebyshev series of the linear predictor on [-limit, limit] (encrypted_families.py). What they are worth
beyond it nobody knows, so a further sum is taken over rows, of T_62(eta / limit): at most n, and at least -n, if all
predictors are in range; cosh(62 arccosh x) for one outside, 10^5 at x = 1.02. With the ranges of all other sums it decides, on
shares and before anything is computed with them, whether the job ends with `interval`. Not caught: a predictor that is a few
percent beyond the limit; one so far out, beyond twice the limit, that its ciphertext overflows to a number that happens to lie
in [-n, n], a chance of about 2 n in q / scale slots: 1 % for full blocks and less for few rows.

Noise. A weight is off by up to 10^-5 of its bound, so H is not quite at least 0; epsilon B is added for the inverse, whose range
is provable then (solve.py), and its effect is taken out again to first order: X + X (epsilon B) X.

Source: as glm_hidden.py; the encrypted part: Mouchet et al., eprint 2020/304.
Adversary: one semi-honest compute party, or all hospitals but one that do not compute: nothing. Compute parties that collude
see the coefficients and the totals of every step, never a row and never one hospital's part. Leaks: `converged` after each
step; the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from engine.analyses import glm_result, one_shot, people, response_sums
from engine.analyses.base import STOPS, EncryptedSums, Opened, Plan, Stage, State, Statistics, Step
from engine.analyses.bits import any_of, negation
from engine.analyses.clamping import clamped
from engine.analyses.encrypted_families import EncryptedFamily, encrypted
from engine.analyses.families import Binomial, Family
from engine.analyses.glm_hidden import CONTROLS, MOST_STEPS, PEAK, HiddenFit, local_sums
from engine.analyses.moments import Symmetric
from engine.analyses.normalise import declare_sum, scaled
from engine.analyses.one_shot import GAMMA_LIMIT, Start
from engine.analyses.regression import Model
from engine.data.rows import Rows
from engine.errors import NotEstimable
from engine.results import GLMResult
from protocols.engine import LARGE_FRAC, SMALL_FRAC, Engine, Secret
from protocols.numeric.solve import POLISH, Coupled, improve, inverse_of, precondition
from protocols.rowwise import RowWise, Weighted

ENCRYPTED_VCOV = ("model",)
SCORES = 2  # steps by the gradient alone, each of which brings the start a hundred times nearer
NOISE_LOG2 = 12  # of a sum S / N, where few of N rows are there: 2^-12
ONE = 1 << LARGE_FRAC


@dataclass(frozen=True)
class Held:
    """What the compute parties hold from the start on."""

    start: Start
    zy: Secret  # Z'y / 2^residual_log2 / N, raw, (d, 1)
    score: Secret  # the same times P
    n: Secret
    told: Mapping[str, Secret]


@dataclass(frozen=True)
class Evaluation:
    """Everything at one gamma."""

    gamma: Secret
    z_mean: Secret
    kept: Mapping[str, Secret]
    hessian: Secret
    gradient: Secret
    coupled: Coupled


@dataclass(frozen=True)
class EncryptedFit(HiddenFit):
    """y ~ x1 + x2 + ... for one family; option cov_params."""

    modes: ClassVar[tuple[str, ...]] = ("result",)

    @classmethod
    def of(cls, name: str, model: Model, family: Family) -> EncryptedFit:
        plan: Plan = model.plan(glm_result.outputs(model, family), (), 2 * (MOST_STEPS + SCORES) + 2, CONTROLS)
        return cls(name, model, family, plan)

    @property
    def _series(self) -> EncryptedFamily:
        return encrypted(self.family)

    def stage(self, state: State) -> Stage:
        d = self.model.size
        if state.stage == "gradient":
            return Stage("gradient", encrypted=EncryptedSums(d, {"mean": d}), stops=("interval",))
        if state.stage == "sums":
            squares = dict.fromkeys(self._series.squares, 1)
            counts = {"mean": d, "weight": Symmetric(d).entries, "cumulant": 1, "guard": 1, **squares}
            rooms = dict.fromkeys(squares, self._series.room_log2)
            return Stage("sums", encrypted=EncryptedSums(d, counts, rooms, products=True), stops=("interval",))
        if state.stage == "score":
            return Stage("score")
        if state.stage == "newton":
            return Stage("newton", controls=("converged",))
        if state.stage == "final":
            return Stage("final", stops=("separated",), outputs=self.plan.outputs)
        r = self.model.rows_log2
        contributed = (*one_shot.declared(self.model), declare_sum("zy", (d,), r), *self.family.declared(r))
        return Stage("start", contributed, stops=("singular",))

    # -- LOCAL and ROWS -----------------------------------------------------------------------------------------------------

    def local(self, rows: Rows, state: State) -> Statistics:
        """The sums of the start."""
        return local_sums(self.model, self.family, *self._read(rows))

    def row_wise(self, rows: Rows, state: State, verbs: RowWise) -> dict[str, Weighted]:
        """What a hospital adds up at the encrypted coefficients; at least one block, however few rows there are."""
        z, y = self._read(rows)
        d, block = self.model.size, verbs.block
        parts = [z[i : i + block].T for i in range(0, max(len(z), 1), block)]
        upper = Symmetric(d).rows_columns
        ones = [np.ones((1, part.shape[1])) for part in parts]
        responses = [y[None, i : i + block] for i in range(0, max(len(z), 1), block)]
        wanted, sums = self._series, self.stage(state).encrypted
        assert sums is not None
        factors: dict[str, list[Any]] = {name: [] for name in sums.counts}
        for part in parts:
            x = verbs.combine(part, wanted.limit)
            named = [name for name in factors if name in wanted.series]
            found = dict(zip(named, verbs.series(x, [wanted.series[name] for name in named]), strict=True))
            if "weight" in factors:
                found["weight"] = verbs.variance(found["mean"]) if wanted.variance else found["mean"]
                found |= {name: verbs.square(found[name]) for name in wanted.squares}
                found.setdefault("cumulant", found["mean"])
            for name, factor in found.items():
                factors[name].append(verbs.kept(factor))

        def products(b: int, which: slice) -> np.ndarray:
            return np.asarray(parts[b][upper[0][which]] * parts[b][upper[1][which]])

        columns = {
            "mean": lambda b, which: parts[b][which],
            "weight": products,
            "rise": lambda b, which: 1 - responses[b],
            "fall": lambda b, which: np.ldexp(responses[b] ** 2, -wanted.square_log2),
        }
        return {
            name: Weighted(each, columns.get(name, lambda b, which: ones[b]), sums.counts[name]) for name, each in factors.items()
        }

    # -- JOINT ----------------------------------------------------------------------------------------------------------

    def encrypts(self, state: State) -> Secret:
        """gamma (d,), 28 fractional bits, within 4 GAMMA_LIMIT."""
        gamma: Secret = state.hidden[1]
        return gamma

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        if state.stage == "start":
            return self._begin(mpc, totals)
        held, gamma, at = state.hidden
        if state.stage in ("gradient", "sums"):
            kept, outside = self._checked(mpc, held, totals)
            return Step({"interval": outside}, hidden=(held, gamma, kept))
        if state.stage == "score":
            return self._scored(mpc, held, gamma, at)
        if state.stage == "newton":
            return self._stepped(mpc, held, gamma, at)
        return self._ended(mpc, held, at)

    def _begin(self, mpc: Engine, totals: Mapping[str, Secret]) -> Step:
        r, d = self.model.rows_log2, self.model.size
        start = one_shot.begin(mpc, self.model, self.family, totals)
        score = mpc.reshape(scaled(mpc, totals["zy"], start.power, r), (d, 1))
        told = {"n": totals["n"], **response_sums.told(mpc, self.family, totals, people.used(totals), r)}
        held = Held(start, mpc.reshape(totals["zy"], (d, 1)), score, totals["n"], told)
        gamma = mpc.truncate(mpc.reshape(start.gamma, (d,)), LARGE_FRAC - SMALL_FRAC)
        return Step({"singular": start.singular}, hidden=(held, gamma, None))

    def _checked(self, mpc: Engine, held: Held, totals: Mapping[str, Secret]) -> tuple[dict[str, Secret], Secret]:
        """The sums, bounded by what they can be where all predictors are in range, and 1 where they are not.

        Every row has a term of at most 1, up to 2^-6 for noise and series; the guard's sum is counted against n itself.
        """
        small = [name for name in sorted(totals) if name not in self._series.squares]
        frac = totals["mean"].frac
        most = (1 << frac) + (1 << frac - 6)
        inside = mpc.in_range(replace(mpc.concat([totals[name] for name in small]), frac=0), most)
        questions = [mpc.reshape(mpc.sum(inside) - inside.shape[0], (1,))]  # negative when one is outside
        if "guard" in totals:
            n = mpc.rescale_up(replace(mpc.reshape(held.n, (1,)), frac=self.model.rows_log2), frac)
            room = replace(n, frac=0) + (1 << frac - NOISE_LOG2)
            guard = replace(totals["guard"], frac=0)
            questions += [room - guard, room + guard]
        outside = any_of(mpc, [mpc.is_negative(mpc.concat(questions))])
        kept = {name: mpc.bounded(totals[name], most, "`interval` opens before it is used") for name in small}
        return {**totals, **kept}, mpc.reshape(outside, ())

    def _means(self, mpc: Engine, held: Held, kept: Mapping[str, Secret]) -> tuple[Secret, Secret]:
        """Z'mean / 2^residual_log2: S / N, raw, and S P / N, (d, 1)."""
        d = self.model.size
        raw = mpc.reshape(kept["mean"], (d, 1))
        raw = mpc.rescale_up(raw, max(raw.frac, LARGE_FRAC))
        return raw, mpc.bounded(mpc.mul(raw, held.start.power, frac=LARGE_FRAC), ONE + ONE // 1024, PEAK)

    def _scored(self, mpc: Engine, held: Held, gamma: Secret, kept: Mapping[str, Secret]) -> Step:
        d = self.model.size
        gradient = held.score - self._means(mpc, held, kept)[1]
        column = mpc.rescale_up(mpc.reshape(gamma, (d, 1)), LARGE_FRAC)
        nearer = mpc.truncate(one_shot.nearer(mpc, self.family, held.start, column, gradient), LARGE_FRAC - SMALL_FRAC)
        return Step(hidden=(held, mpc.reshape(nearer, (d,)), None))

    def _stepped(self, mpc: Engine, held: Held, gamma: Secret, kept: Mapping[str, Secret]) -> Step:
        at = self._at(mpc, held, gamma, kept)
        assert at.coupled.v is not None
        step = self._in_units_of_gamma(mpc, at.coupled.v)
        short = 2.0**self._series.converged_log2 - self._size(mpc, held, step)  # type: ignore[arg-type]
        moved = mpc.rescale_up(gamma, LARGE_FRAC) + mpc.reshape(step, gamma.shape)
        nearer, _, far = clamped(mpc, moved, GAMMA_LIMIT, short, frac=SMALL_FRAC)
        return Step(controls={"converged": negation(mpc, mpc.reshape(far, ()))}, hidden=(held, nearer, at))

    def _at(self, mpc: Engine, held: Held, gamma: Secret, kept: Mapping[str, Secret]) -> Evaluation:
        start, triangle = held.start, Symmetric(self.model.size)
        raw, z_mean = self._means(mpc, held, kept)
        weight = triangle.full(mpc, kept["weight"])
        weight = replace(weight, frac=weight.frac + self._series.weight_unit_log2)
        weight = mpc.rescale_up(weight, max(weight.frac, LARGE_FRAC))
        hessian = mpc.bounded(mpc.mul(weight, start.power, frac=LARGE_FRAC), ONE + ONE // 1024, PEAK)
        hessian = mpc.bounded(hessian + self._epsilon(mpc, start), ONE + ONE // 512, PEAK)
        gradient = held.score - z_mean
        absent = self.model.absent_columns_of_all(mpc, start.absent)
        begun = precondition(mpc, start.gram_inverse, hessian, absent, gradient, self._series.negative_log2)
        coupled = improve(mpc, begun, self._series.steps)
        return Evaluation(gamma, raw, kept, hessian, gradient, coupled)

    def _epsilon(self, mpc: Engine, start: Start) -> Secret:
        """A little of B, at 64 bits."""
        bits = -self._series.epsilon_log2
        return mpc.truncate(replace(start.gram, frac=LARGE_FRAC + bits), bits)

    def _ended(self, mpc: Engine, held: Held, at: Evaluation) -> Step:
        model, d = self.model, self.model.size
        absent = model.absent_columns_of_all(mpc, held.start.absent)
        X, singular = inverse_of(mpc, improve(mpc, at.coupled, POLISH), at.hessian, absent)
        step = self._in_units_of_gamma(mpc, mpc.matmul(X, at.gradient, frac=LARGE_FRAC))
        short = self._budget(mpc, held, self._series.runs_away_log2) - self._size(mpc, held, step)  # type: ignore[arg-type]
        moved = mpc.rescale_up(at.gamma, LARGE_FRAC) + mpc.reshape(step, (d,))
        gamma, outside, far = clamped(mpc, moved, GAMMA_LIMIT, short, frac=LARGE_FRAC)
        outputs = {
            "gamma": gamma,
            "fit": self._likelihood(mpc, held, at, gamma - mpc.rescale_up(at.gamma, LARGE_FRAC)),
            "pearson": self._chi_square(mpc, held, at),
            **held.told,
            **model.model_spread(mpc, self._without_epsilon(mpc, held, X)),
        }
        if held.start.absent is not None:
            outputs["absent"] = held.start.absent
        return Step({"separated": any_of(mpc, [singular, outside, far])}, outputs=outputs)

    def _without_epsilon(self, mpc: Engine, held: Held, X: Secret) -> Secret:
        """(H + epsilon B)^-1 corrected to first order."""
        moved = mpc.matmul(self._epsilon(mpc, held.start), X, frac=LARGE_FRAC)
        return mpc.bounded(X + mpc.matmul(X, moved, frac=LARGE_FRAC), X.bound, "the inverse of a slightly smaller matrix")

    def _likelihood(self, mpc: Engine, held: Held, at: Evaluation, step: Secret) -> Secret:
        """sum (y eta - b(eta)) / N at gamma + step, to second order."""
        r, res, d = self.model.rows_log2, self.family.residual_log2, self.model.size
        b = self._total(mpc, at.kept["cumulant"], self._series.cumulant_log2)
        frac = max(held.zy.frac, at.z_mean.frac)
        zy, z_mean = mpc.rescale_up(held.zy, frac), mpc.rescale_up(at.z_mean, frac)
        half_gradient = replace(zy - z_mean, frac=frac + 1)
        left = mpc.concat([mpc.rescale_up(at.gamma, LARGE_FRAC), mpc.reshape(step, at.gamma.shape)])
        right = mpc.concat([mpc.rescale_up(zy, frac + 1), half_gradient])
        linear = mpc.matmul(mpc.reshape(left, (1, 2 * d)), right, frac=LARGE_FRAC + r)[0, 0]
        return mpc.shift_left(linear, res) - b

    def _total(self, mpc: Engine, total: Secret, unit_log2: int) -> Secret:
        """One sum S / N, (), counted in 2^unit_log2, as outputs have it: 64 + rows_log2 fractional bits."""
        one = mpc.reshape(total, ())
        one = replace(one, frac=one.frac - unit_log2)
        return mpc.rescale_up(one, LARGE_FRAC + self.model.rows_log2)

    def _chi_square(self, mpc: Engine, held: Held, at: Evaluation) -> Secret:
        """sum (y - mean)^2 / W / N, at gamma itself."""
        squares = [self._total(mpc, at.kept[name], self._series.square_log2) for name in self._series.squares]
        if len(squares) == 2:
            return squares[0] + squares[1]
        frac = LARGE_FRAC + self.model.rows_log2
        responses = mpc.rescale_up(replace(held.told["total"], frac=self.model.rows_log2), frac)  # a count, as S / N
        return squares[0] - mpc.shift_left(responses, 1) + self._total(mpc, at.kept["cumulant"], self._series.cumulant_log2)

    # -- between the stages, and RESULT -----------------------------------------------------------------------------------

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: Any) -> State:
        """Raises NotEstimable, everywhere alike, when the steps do not converge."""
        if state.stage == "start":
            return State("gradient" if self.model.size <= one_shot.MOST_CUBED else "sums", 1, hidden=hidden)
        if state.stage == "gradient":
            return State("score", state.iteration, hidden=hidden)
        if state.stage == "score":
            return (
                State("gradient", state.iteration + 1, hidden=hidden)
                if state.iteration < SCORES
                else State("sums", 1, hidden=hidden)
            )
        if state.stage == "sums":
            return State("newton", state.iteration, hidden=hidden)
        if bool(opened["converged"]):
            return State("final", state.iteration, hidden=hidden)
        if state.iteration >= MOST_STEPS:
            raise NotEstimable(STOPS["separated"])
        return State("sums", state.iteration + 1, hidden=hidden)

    def result(self, opened: Opened) -> GLMResult:
        mean = float(opened.values["events" if isinstance(self.family, Binomial) else "total"]) / opened.n
        deviation = np.sqrt(mean * (1 - mean) if isinstance(self.family, Binomial) else mean)
        error = (self._series.error * np.sqrt(opened.n) + self._series.noise) / deviation
        found = glm_result.make(self.model, self.family, opened, float(error))
        return replace(found, iterations=(opened.stages - 2 - 2 * SCORES) // 2)
