"""A generalised linear model whose coefficients travel encrypted: Newton's method in `result` mode, and no row leaves a hospital.

    start    LOCAL  the hospital's own fit (one_shot.py) and sums of y, as in glm_hidden.py
             JOINT  the inverse Gram matrix B^-1, gamma_0
    gradient ROWS   Z'mean at gamma, on ciphertexts (protocols/rowwise.py), as shares
    score    JOINT  a step by the gradient, and the Hessian that the hospitals' own fits promise; both twice
    sums     ROWS   Z'mean, Z'WZ, sums of b(eta) and for Pearson's chi-square; whether all predictors were in range
    newton   JOINT  H^-1 from B^-1, a step
    final    JOINT  H^-1 to full precision, a last step, log-likelihood: the outputs

Means and weights are Chebyshev series of the linear predictor on [-limit, limit] (encrypted_families.py). What they are worth
beyond it nobody knows, so a further sum is taken over rows, of T_62(eta / limit)^2: from 0 to n if all predictors are in range;
cosh(62 arccosh x)^2 for one outside, more than 10^6 from x = 1.0076 on. With the ranges of all other sums, which are at most n,
it decides on shares whether the job ends with `interval`, before any of them is used. Not caught: a predictor so far out that
this sum overflows to a residue that happens to lie between 0 and n, a chance of 2^-20 at most, given 2^GUARD_ROOM of room.

Noise. A weight is off by up to 10^-5 of its bound, so H is not quite at least 0; epsilon B is added for the inverse, whose range
is provable then (solve.py), and its effect is taken out again by Newton-Schulz steps with H itself. What conversions add is in
the stated errors, and an answer that would be noise is none (inference.Noise). Since the premise rests on ciphertexts all the
same, no mask relies on the bound of anything that follows from a converted sum (`proven` in protocols/engine.py): such numbers
are truncated and lifted in the form that leaks nothing, whatever they are.

Rounds: the conversions' (protocols/ckks/multiparty/conversion.py) and those of the inverses; `plan_ranges` counts them all.
Source: as glm_hidden.py; the encrypted part: Mouchet et al., eprint 2020/304.
Adversary: one semi-honest compute party, or all hospitals but one that do not compute: nothing. Compute parties that collude
see the coefficients and the totals of every step, never a row and never one hospital's part. Leaks: `refused` (leverage),
`singular`, `interval` and `separated` (one person's row can decide `refused` and `interval`), `converged` after each step; the
outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from engine.analyses import glm_result, inference, leverage, newton, one_shot, people, response_sums
from engine.analyses.base import STOPS, EncryptedSums, Opened, Output, Plan, Stage, State, Statistics, Step
from engine.analyses.bits import any_of, negation
from engine.analyses.clamping import clamped
from engine.analyses.encrypted_families import EncryptedFamily, encrypted
from engine.analyses.encrypted_sums import converted, plan_of
from engine.analyses.families import Family
from engine.analyses.leverage import Influential
from engine.analyses.moments import Symmetric
from engine.analyses.newton import CONTROLS, MOST_STEPS, PEAK
from engine.analyses.normalise import declare_sum, scaled
from engine.analyses.one_shot import GAMMA_LIMIT, Start
from engine.analyses.regression import Model
from engine.data.rows import Rows
from engine.errors import NotEstimable, SpecError
from engine.results import GLMResult
from protocols.ckks.multiparty.conversion import MOST_CONVERSIONS
from protocols.engine import LARGE_FRAC, SMALL_FRAC, Engine, Secret
from protocols.numeric.solve import POLISH, Coupled, improve, inverse_of, precondition
from protocols.rowwise import RowWise, Weighted

ENCRYPTED_VCOV = ("model",)
SCORES = 2  # steps by the gradient alone: on the logistic benchmark's data each brought the start about a hundred times nearer
MOST_ROWS_LOG2 = 27  # beyond, the guard's sum has no room to be counted in rows
GUARD_ROOM = 16  # the mean of the guard's squares arrives right below 2^16
WIDE = " wide"
APART = 1 << 45  # more than noise, and less than q
WITHHELD = Output("pearson_withheld", (), "flag", frac=0)
DEVIATIONS = 6.0  # of noise, which stated errors cover
SURE_LOG2 = -20  # of a step's s'Bs: the last one then ends at what noise allows
SUM_ERROR, MOST_LLR_ERROR = 1e-4, 1e-2  # of log-likelihoods and chi-squares, relatively; of a likelihood ratio's statistic
LIKELIHOODS = ("llf", "aic", "bic", "llr", "llr_pvalue", "prsquared", "cox_snell", "deviance")
TOO_NOISY = "the cohort is so small a part of the hospitals' tables that their noise would show; ask with engine='replicated'"
CORRECTIONS = 3  # outcomes as rare as 1 in 10 000 leave a thousandth of their variance's digits to the last
NO_CHI_SQUARE = "no pearson_chi2: it is almost all about a few rows whose outcome the fit had nearly excluded"
NOISE_LOG2 = 12  # of a sum S / N, where few of N rows are there: 2^-12
ONE = 1 << LARGE_FRAC


def gradient_sums(d: int) -> EncryptedSums:
    """What a step by the gradient converts."""
    return EncryptedSums(d, {"mean": d, "guard": 1}, {"guard": GUARD_ROOM})


def hessian_sums(d: int, family: EncryptedFamily) -> EncryptedSums:
    """What a step with the Hessian converts. Squares arrive wrong beyond their room: they are converted twice, and compared."""
    rooms = {"guard": GUARD_ROOM, **dict.fromkeys(family.squares, family.room_log2)}
    rooms |= {name + WIDE: family.wide_log2 for name in family.squares}
    counts = {"mean": d, "weight": Symmetric(d).entries, "cumulant": 1, **dict.fromkeys(rooms, 1)}
    return EncryptedSums(d, counts, rooms)


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
class EncryptedFit:
    """y ~ x1 + x2 + ... for one family; option cov_params."""

    modes: ClassVar[tuple[str, ...]] = ("result",)
    name: str
    model: Model
    family: Family
    plan: Plan

    @classmethod
    def of(cls, name: str, model: Model, family: Family) -> EncryptedFit:
        """Raises SpecError for more rows or columns than the scheme has room for, or where the charter declares no rows."""
        if not model.limits.bands:
            raise SpecError(f"{name} with engine='ckks' needs the rows of each hospital's table in the charter")
        if model.rows_log2 > MOST_ROWS_LOG2:
            raise SpecError(f"{name} with engine='ckks' takes at most 2^{MOST_ROWS_LOG2} rows; ask with engine='replicated'")
        outputs = glm_result.outputs(model, family, WITHHELD)
        plan = model.plan(outputs, (), 2 * (MOST_STEPS + SCORES) + 2, CONTROLS, encrypted=True)
        fit = cls(name, model, family, plan)
        most, one = MOST_CONVERSIONS // MOST_STEPS, converted(fit._sums().counts)
        if one > most:
            raise SpecError(
                f"{name} with engine='ckks' would convert {one} sums a step for {model.size} columns, and at most {most} are "
                "safe under one key; leave columns out, or ask with engine='replicated'"
            )
        return fit

    @property
    def _series(self) -> EncryptedFamily:
        return encrypted(self.family)

    def start(self) -> State:
        return State("start")

    def stage(self, state: State) -> Stage:
        d = self.model.size
        if state.stage == "gradient":
            return Stage("gradient", encrypted=gradient_sums(d), stops=("interval",))
        if state.stage == "sums":
            return Stage("sums", encrypted=self._sums(), stops=("interval",))
        if state.stage == "score":
            return Stage("score")
        if state.stage == "newton":
            return Stage("newton", controls=CONTROLS)
        if state.stage == "final":
            return Stage("final", stops=("separated",), outputs=self.plan.outputs)
        r = self.model.rows_log2
        contributed = (
            *one_shot.declared(self.model),
            leverage.declared(d, r),
            declare_sum("zy", (d,), r),
            *self.family.declared(r),
        )
        return Stage("start", contributed, stops=("refused", "singular"))

    def _sums(self) -> EncryptedSums:
        return hessian_sums(self.model.size, self._series)

    # -- LOCAL and ROWS -----------------------------------------------------------------------------------------------------

    def local(self, rows: Rows, state: State) -> Statistics:
        """The sums of the start."""
        influential = Influential()
        z, y = newton.read(self.model, self.family, rows, influential)
        found = {"influential": leverage.contributed(influential.total(self.model.size))}
        return {**newton.local_sums(self.model, self.family, z, y), **found}

    def row_wise(self, rows: Rows, state: State, verbs: RowWise, least_rows: int = 1) -> dict[str, Weighted]:
        """What a hospital adds up at the encrypted coefficients, over whole blocks, as many as `least_rows` ask for."""
        z, y = newton.read(self.model, self.family, rows)
        blocks = range(0, max(len(z), least_rows, 1), verbs.block)
        sums, squares = self.stage(state).encrypted, self._series.squares
        assert sums is not None
        padded = np.zeros((len(blocks), self.model.size + 2, verbs.block))  # columns, y, and 1 for a row that is there
        for part, start in zip(padded, blocks, strict=True):
            rows_here = slice(start, start + verbs.block)
            count = len(y[rows_here])
            part[:-2, :count], part[-2, :count], part[-1, :count] = z[rows_here].T, y[rows_here], 1.0
        factors = [self._factors(verbs, part[:-2], sums.counts) for part in padded]
        columns = self._columns(padded)
        bare = {name: name.removesuffix(WIDE) for name in sums.counts}
        return {
            name: Weighted([each[bare[name]] for each in factors], columns[bare[name]], count, bare[name] in squares)
            for name, count in sums.counts.items()
        }

    def _factors(self, verbs: RowWise, part: np.ndarray, names: Collection[str]) -> dict[str, Any]:
        """What a block's sums are sums of, for each row, by name."""
        wanted = self._series
        series = [name for name in names if name in wanted.series]
        found = dict(
            zip(series, verbs.series(verbs.combine(part, wanted.limit), [wanted.series[n] for n in series]), strict=True)
        )
        found["guard"] = verbs.square(found["guard"])
        if "weight" in names:
            found["weight"] = verbs.variance(found["mean"]) if wanted.variance else found["mean"]
            found |= {name: verbs.square(found[name]) for name in wanted.squares}
            found.setdefault("cumulant", found["mean"])
        return {name: verbs.kept(factor) for name, factor in found.items()}

    def _columns(self, parts: np.ndarray) -> dict[str, Callable[[int, slice], np.ndarray]]:
        """What such a factor is multiplied by; 0 in places without a row."""
        left, right = Symmetric(self.model.size).rows_columns
        unit_log2 = self._series.square_log2

        return {
            "mean": lambda b, which: parts[b][which],
            "weight": lambda b, which: np.asarray(parts[b][left[which]] * parts[b][right[which]]),
            "cumulant": lambda b, which: parts[b][-1:],
            "guard": lambda b, which: parts[b][-1:],
            "rise": lambda b, which: parts[b][-1:] - parts[b][-2:-1],
            "fall": lambda b, which: np.ldexp(parts[b][-2:-1] ** 2, -unit_log2),
        }

    # -- JOINT ----------------------------------------------------------------------------------------------------------

    def encrypts(self, state: State) -> Secret:
        """gamma (d,), 28 fractional bits, within BOUND of encrypted_sums.py."""
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
            return self._stepped(mpc, held, gamma, at, state.iteration)
        return self._ended(mpc, held, at)

    def _begin(self, mpc: Engine, totals: Mapping[str, Secret]) -> Step:
        r, d = self.model.rows_log2, self.model.size
        start = one_shot.begin(mpc, self.model, self.family, totals)
        score = mpc.reshape(scaled(mpc, totals["zy"], start.power, r), (d, 1))
        told = {"n": totals["n"], **response_sums.told(mpc, self.family, totals, people.used(totals), r)}
        held = Held(start, mpc.reshape(totals["zy"], (d, 1)), score, totals["n"], told)
        gamma = mpc.truncate(mpc.reshape(start.gamma, (d,)), LARGE_FRAC - SMALL_FRAC)
        refused = leverage.refusal(mpc, start.gram_inverse, totals["influential"], start.power, r, start.singular)
        return Step({"refused": refused, "singular": start.singular}, hidden=(held, gamma, None))

    def _checked(self, mpc: Engine, held: Held, totals: Mapping[str, Secret]) -> tuple[dict[str, Secret], Secret]:
        """The sums, and 1 where they are not what they can be with all predictors in range.

        Every row has a term of at most 1 in size, and one from 0 to 1 in the guard's sum: at most n, and a 64th and 2^-12 N more
        for noise and series. `withheld`: 1 where a part of Pearson's chi-square is beyond its room.
        """
        small = [name for name in sorted(totals) if name in ("mean", "weight", "cumulant")]
        flat, guard = mpc.concat([totals[name] for name in small]), totals["guard"]
        guard = mpc.rescale_up(guard, max(guard.frac, self.model.rows_log2 + 6))  # where n (1 + 2^-6) / N is a whole number
        most, noise = self._most(mpc, held.n, flat.frac), 1 << guard.frac - NOISE_LOG2
        asked = [most - replace(flat, frac=0), most + replace(flat, frac=0)]
        asked += [self._most(mpc, held.n, guard.frac) - replace(guard, frac=0), replace(guard, frac=0) + noise]
        outside = mpc.reshape(any_of(mpc, [mpc.is_negative(mpc.concat(asked))]), ())
        limit = (1 << flat.frac) + (1 << flat.frac - 5)
        kept = {name: mpc.bounded(totals[name], limit, "`interval` opens before it is used") for name in small}
        kept = {name: replace(each, proven=False) for name, each in {**totals, **kept}.items()}
        if "weight" in totals:
            kept["withheld"] = self._withheld(mpc, totals)
        return kept, outside

    def _most(self, mpc: Engine, n: Secret, frac: int) -> Secret:
        """n (1 + 2^-6) / N + 2^-12 as an integer at this scale, (1,)."""
        counted = mpc.shift_left(mpc.reshape(n, (1,)) * 65, frac - self.model.rows_log2 - 6)
        return counted + (1 << frac - NOISE_LOG2)

    def _withheld(self, mpc: Engine, totals: Mapping[str, Secret]) -> Secret:
        """1 where a sum of squares differs from itself as converted with more room: by multiples of q where it overflowed."""
        bits = self._series.wide_log2 - self._series.room_log2
        apart = [
            replace(totals[name], frac=0) - mpc.shift_left(replace(totals[name + WIDE], frac=0), bits)
            for name in self._series.squares
        ]
        signs = [sign for each in apart for sign in (APART - each, APART + each)]
        return mpc.reshape(any_of(mpc, [mpc.is_negative(mpc.concat(signs))]), ())

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

    def _stepped(self, mpc: Engine, held: Held, gamma: Secret, kept: Mapping[str, Secret], iteration: int) -> Step:
        at = self._at(mpc, held, gamma, kept)
        assert at.coupled.v is not None
        step = newton.in_units_of_gamma(mpc, self.family, at.coupled.v)
        short = 2.0 ** self._converged_log2(iteration) - newton.size(mpc, held.start.gram, step)
        moved = mpc.rescale_up(gamma, LARGE_FRAC) + mpc.reshape(step, gamma.shape)
        nearer, _, far = clamped(mpc, moved, GAMMA_LIMIT, short, frac=SMALL_FRAC)
        return Step(controls={"converged": negation(mpc, mpc.reshape(far, ()))}, hidden=(held, nearer, at))

    def _converged_log2(self, iteration: int) -> int:
        """Noise counts in 1 / N, and steps of a few people among N become no smaller than it: later ones may be longer."""
        return min(self._series.converged_log2 + 6 * max(0, iteration - 2), SURE_LOG2)

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
        X = self._without_epsilon(mpc, held, X, at.hessian)
        step = newton.in_units_of_gamma(mpc, self.family, mpc.matmul(X, at.gradient, frac=LARGE_FRAC))
        budget = newton.budget(mpc, held.start.power, model.rows_log2, newton.RUNS_AWAY_LOG2)
        short = budget - newton.size(mpc, held.start.gram, step)
        moved = mpc.rescale_up(at.gamma, LARGE_FRAC) + mpc.reshape(step, (d,))
        gamma, outside, far = clamped(mpc, moved, GAMMA_LIMIT, short, frac=LARGE_FRAC)
        outputs = {
            "gamma": gamma,
            "fit": self._likelihood(mpc, held, at, gamma - mpc.rescale_up(at.gamma, LARGE_FRAC)),
            **self._chi_square(mpc, held, at),
            **held.told,
            **model.model_spread(mpc, X),
        }
        if held.start.absent is not None:
            outputs["absent"] = held.start.absent
        return Step({"separated": any_of(mpc, [singular, outside, far])}, outputs=outputs)

    def _without_epsilon(self, mpc: Engine, held: Held, X: Secret, with_epsilon: Secret) -> Secret:
        """H^-1 from X = (H + epsilon B)^-1 by Newton-Schulz, X <- X (2 - H X): what epsilon changed is squared each time."""
        H, bound = with_epsilon - self._epsilon(mpc, held.start), X.bound
        for _ in range(CORRECTIONS):
            product = mpc.matmul(H, X, frac=LARGE_FRAC)
            X = mpc.bounded(mpc.shift_left(X, 1) - mpc.matmul(X, product, frac=LARGE_FRAC), bound, "of a slightly smaller matrix")
        return X

    def _likelihood(self, mpc: Engine, held: Held, at: Evaluation, step: Secret) -> Secret:
        """sum (y eta - b(eta)) / N at gamma + step, to second order."""
        linear = newton.linear_part(mpc, self.model, self.family, held.zy, at.z_mean, at.gamma, step)
        return linear - self._total(mpc, at.kept["cumulant"], self._series.cumulant_log2)

    def _total(self, mpc: Engine, total: Secret, unit_log2: int) -> Secret:
        """One sum S / N, (), counted in 2^unit_log2, as outputs have it: 64 + rows_log2 fractional bits."""
        one = mpc.reshape(total, ())
        one = replace(one, frac=one.frac - unit_log2)
        return mpc.rescale_up(one, LARGE_FRAC + self.model.rows_log2)

    def _chi_square(self, mpc: Engine, held: Held, at: Evaluation) -> dict[str, Secret]:
        """sum (y - mean)^2 / W / N, at gamma itself; 0 where it is withheld."""
        squares = [self._total(mpc, at.kept[name], self._series.square_log2) for name in self._series.squares]
        total = squares[0]
        for square in squares[1:]:
            total = total + square
        if self._series.counts:
            r = self.model.rows_log2
            responses = mpc.rescale_up(replace(held.told[self.family.total], frac=r), LARGE_FRAC + r)  # a count, as S / N
            mean = self._total(mpc, at.kept["cumulant"], self._series.cumulant_log2)
            total = total - mpc.shift_left(responses, 1) + mean
        shown = mpc.mul(total, negation(mpc, at.kept["withheld"]), frac=total.frac)
        return {"pearson": mpc.bounded(shown, total.bound, "it or 0"), WITHHELD.name: at.kept["withheld"]}

    # -- between the stages, and RESULT -----------------------------------------------------------------------------------

    def _scores(self) -> int:
        """How many steps by the gradient alone come first: where the hospitals' own fits say nothing beyond a quadratic, none."""
        return SCORES if self.model.size <= one_shot.MOST_CUBED else 0

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: Any) -> State:
        """Raises NotEstimable, everywhere alike, when the steps do not converge."""
        if state.stage == "start":
            return State("gradient" if self._scores() else "sums", 1, hidden=hidden)
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
        """Raises NotEstimable where noise would show in the digits of a report."""
        withheld = bool(opened.values.get(WITHHELD.name, False))
        approximation, warned = self._approximation(opened), (NO_CHI_SQUARE,) if withheld else ()

        def noise(unit: float) -> inference.Noise:
            return self._noise(opened, unit, approximation)

        found = glm_result.make(self.model, self.family, opened, approximation[0], warned, noise)
        before = 2 + 2 * self._scores()  # the start and the end, and what has no Hessian
        found = replace(found, iterations=(opened.stages - before) // 2)
        return self._quiet(replace(found, pearson_chi2=float("nan")) if withheld else found)

    def _approximation(self, opened: Opened) -> tuple[float, float]:
        """Of coefficients in standard errors, and of these relatively, at worst: series, and the noise of each row's mean."""
        variance = self.family.variance(float(opened.values[self.family.total]) / opened.n)
        means = (self._series.error * np.sqrt(opened.n) + self._series.noise) / np.sqrt(variance)
        return float(means), self._series.error / variance / 2

    def _noise(self, opened: Opened, unit: float, approximation: tuple[float, float]) -> inference.Noise:
        """Of the converted sums that a step is solved with."""
        weight_log2 = self.family.weight_log2 - self._series.weight_unit_log2
        sums, entries = (DEVIATIONS * np.ldexp(self._unit(), log2) for log2 in (self.family.residual_log2, weight_log2))
        return inference.noise(self.model, opened, unit, float(sums), float(entries), approximation)

    def _unit(self, room_log2: int = 0) -> float:
        """The deviation of a converted sum over rows."""
        plan = plan_of(self._sums(), self.model.rows_log2, len(self.model.limits.bands))
        return float(np.ldexp(plan.noise, plan.unit_log2(room_log2)))

    def _quiet(self, found: GLMResult) -> GLMResult:
        """Without the sums whose noise shows in their first four digits."""
        series, noisy = self._series, list[str]()
        squares = np.sqrt(len(series.squares)) * np.ldexp(self._unit(series.room_log2), series.square_log2)
        cumulant = DEVIATIONS * np.ldexp(self._unit(), series.cumulant_log2)
        chi_square = DEVIATIONS * squares + series.counts * cumulant
        if chi_square > SUM_ERROR * abs(found.pearson_chi2):
            noisy.append("pearson_chi2")
        if cumulant > SUM_ERROR * abs(found.llf) or 2 * cumulant > max(SUM_ERROR * abs(found.llr), MOST_LLR_ERROR):
            noisy += LIKELIHOODS
        if not noisy:
            return found
        without: dict[str, Any] = dict.fromkeys(noisy, float("nan"))
        return replace(found, **without, warnings=(*found.warnings, f"no {', '.join(noisy)}: {TOO_NOISY}"))
