"""Inverse and solution of symmetric positive semidefinite systems by scaled Newton-Schulz iteration, in Z_2^256.

With 2^s >= trace_bound and N = M / 2^s (a relabelling, nothing is computed), so that 0 <= N <= I, and public numbers 1 <= a < 2:
    X_0 = I,    Y_0 = N,    S_k = 2a I - a^2 Y_k,    X_(k+1) = X_k S_k,    Y_(k+1) = Y_k S_k,
both products stacked in one matmul, one round each; a has few bits, so that S_k is exact and costs nothing.
Source: Schulz 1933; coupled forms in Higham, "Functions of Matrices", SIAM 2008, section 7.3, scaling in section 5.5; Chen and
Chow, "A stable scaling of Newton-Schulz for improving the sign function computation of a Hermitian matrix", 2014.

Convergence. An eigenvalue y of Y goes to f(y) = 1 - (1 - a y)^2, and f maps [0, 1] into itself. With a near 2 small eigenvalues
grow nearly fourfold a step, while large ones fall, but not below f(1): f is concave, so the smallest of [l, 1] goes to the
smaller of f(l) and f(1). SCALES takes all of [2^-42, 1] to within 2e-9 of 1 in 25 steps (plain ones, a = 1, need 46). One last,
self-correcting step with the original N, X (2I - N X), squares the residual, and with it the drift that truncations left, about
2^-64 sqrt(d) / l. Where ||I - N X_25||_F > 2^-18, so that 2^-36 = 1.5e-11 could not be promised, the matrix is declared singular;
for a truly singular one the norm is at least 1.

Range. Let G_k be the product of the first k numbers 2a, G = 2^45.8 that of all. In exact arithmetic, also where N is singular,
    X_k = p_k(N),    0 <= X_k <= G_k I,    0 <= Y_k = N X_k <= I,    0 <= S_k <= 2a I,
because 0 <= 2a - a^2 y <= 2a for y in [0, 1]. A truncated entry errs by less than 2 units of 2^-f, so a product errs by some D
with ||D||_F <= delta = d 2^(1-f). The computed Y^_k = Y_k + F_k and the drift E_k = Y^_k - N X^_k obey
    F_(k+1) = a F_k (I - a Y_k) + a (I - a Y_k) F_k - a^2 F_k^2 + D,    ||F_(k+1)|| <= 2a (1 + a ||F_k|| / 2) ||F_k|| + delta,
    E_(k+1) = E_k (2a I - a^2 Y^_k) + D - N D',                         ||E_(k+1)|| <= 2a (1 + a ||F_k|| / 2) ||E_k|| + 2 delta,
since ||I - a Y_k|| <= 1. With ||F_0|| <= 16 delta for the roundings of the hospitals' sums (32 units an entry) and one delta more
where N is truncated at the start, both stay below 19 G_k delta as long as 19 G delta is at most 2^-4, which `_require_small`
checks (d <= 400 or so). Then
    ||X^_k|| <= G_k exp(sum_j a ||F_j|| / 2) + G_k delta <= G_k (1 + 2^-3),    ||Y^_k||, ||I - N X^_k|| <= 1 + 2^-3,
    ||S_k|| <= 2a (1 + 2^-3).
The premise N >= 0 is for whoever adds M up: float64 sums of many rows of few values can miss it by far more than 32 units in an
entry (engine/analyses/sums.exact_gram), and what is below 0 grows as fast as what is above.
With `norm_log2`: where R = I - N X_25 passes, the inverse is N^-1 (I - R^2), so that its norm and its trace are those of N^-1
within 2^-34; where it does not pass, or the trace is too large, it is multiplied by 0.

Openings. No product exceeds d G_k (1 + 2^-3) 2^f * 2a (1 + 2^-3) 2^(f + 2e), a having e bits: SCALES has fewer of them as G_k
grows. All openings of an inverse leak less than 2^-50 for d = 100 (with trace_bound >= d), and 2^-57 for d = 20.

Preconditioned (`precondition`, `improve`, `inverse_of`): for many symmetric H below one B, whose inverse is known,
    -2^-22 B <= H <= (1 + 2^-10) B,    trace B <= d,    X_0 symmetric,    (1 - 2^-10) B^-1 <= X_0 <= (1 + 2^-10) B^-1.
Such are Z'WZ with weights in [0, 1] beside B = Z'Z, whatever the weights are. `inverse` with `norm_log2` gives such an X_0: its
B^(1/2) X_0 B^(1/2) is within ||X_0||^(1/2) d^(1/2) 2^-36 of I. Y_0 = X_0 H is not symmetric, but similar to the symmetric
X_0^(1/2) H X_0^(1/2), whose eigenvalues lie in [-2^-21, 1 + 2^-8]. So with the same iteration from the left,
    X_(k+1) = S_k X_k,    Y_(k+1) = S_k Y_k,    X_k = p_k(X_0 H) X_0,    Y_k = X_k H,
all of the above holds in the norm ||A||_0 = ||X_0^(-1/2) A X_0^(1/2)||, for X_k in ||X_0^(-1/2) X_k X_0^(-1/2)||, where 0 <= Y_k
<= I up to 2^-21 G_k below and, before the first step, 2^-8 above: a <= 63/32 brings that below 1. Let c^2 = ||X_0|| d, which
bounds the condition of X_0. Then ||A|| <= c ||A||_0 and ||X_k|| <= ||X_0|| G_k, and truncations at f bits are c d 2^(1-f) in that
norm. For g with g'X_0 g <= 1, v_k = X_k g = p_k(X_0 H) X_0 g costs one column more, and |v_k| <= ||X_0||^(1/2) G_k. `improve`
keeps 2^-21 G <= 2^-3 and 19 G c d 2^(1-f) <= 2^-5, so that truncations and negative weights add less than SLACK_0 = 2^-2. X is
kept at 48 bits, Y and v at 60: for ||X_0|| <= 2^30 and d = 50 all openings of `precondition` and FAST leak less than 2^-50.
The last step makes X symmetric, so that R = I - X H has the eigenvalues of I - H^(1/2) X H^(1/2), and tr R^2 is the squared
Frobenius norm of that: the residual in the scale of standard errors. Beyond 2^-18, H is declared singular.

Adversary: one semi-honest compute party; hospitals that are semi-honest too, since M must be positive semidefinite. Leaks
nothing but the openings'; `singular` stays secret.
Rounds: `inverse` 27 and a comparison (5 for one matrix), 1 more where N has more than 74 fractional bits, 2 more with
`norm_log2`; `precondition` 1, `improve` 1 a step, `inverse_of` 2 or 3 and a comparison. They do not depend on size as long as
masks hide the products well enough (d <= 100 or so); beyond, and for a large X_0, truncations without a leak take a round more.
Bytes: at most 8 d^2 elements a round over the three parties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from protocols.engine import LARGE, LARGE_FRAC, Engine, Secret
from protocols.errors import MisuseError, RangeError

SCALES = (63 / 32,) * 19 + (61 / 32, 27 / 16, 21 / 16, 17 / 16, 1.0, 1.0)
"""a of each step of `inverse`: as large as lets the smallest eigenvalue grow most, from 2^-42."""
GROWTH_LOG2 = 45.8  # of X over SCALES: the product of all 2a
RESIDUAL_LOG2 = -18  # ||I - N X||_F beyond 2^-18: declared singular
SLACK = 2**-3  # what truncations add to the exact bounds, relative
FIRST_FRAC = 74  # N enters the first product as it is up to so many fractional bits
SQUARES_FRAC = 56  # of ||I - N X||_F^2: its error is far below the threshold, and it fits a narrow comparison
RANGE = "||X_k|| <= G_k, ||Y_k|| <= 1, ||S_k|| <= 2a, ||I - N X|| <= 1 for 0 <= N <= I, and truncations (see Range above)"

FAST = (63 / 32, 63 / 32, 63 / 32, 31 / 16, 57 / 32, 47 / 32, 9 / 8, 1.0)
"""Eigenvalues of X_0 H from 2^-11 on end within 3e-4 of 1, 2^-12 within 0.05; smaller ones stay below 1: a shorter step."""
POLISH = (1.0, 1.0, 1.0, 1.0)
"""After FAST: 2^-13 within 1e-10, 2^-12 within 1e-15; `inverse_of` squares that."""
X_FRAC, Y_FRAC = 48, 60  # of the preconditioned iteration
FAR = (63 / 32, 63 / 32, *FAST)
"""The same from 2^-15 on, where H is negative by 2^-26 of X_0^-1 at most."""
FAR_NEGATIVE_LOG2 = -26
NEGATIVE_LOG2 = -21  # H may be negative by 2^-21 of X_0^-1: weights are rounded
SLACK_0 = 2**-2
SCALE_BITS = 5  # of any a
PRECONDITIONED = "the same in the norm of X_0 (see Preconditioned above)"


@dataclass(frozen=True)
class Solution:
    """x = M^-1 B clamped to the stated limit; `singular` and `clamped` are secret 0/1 values (one a matrix, one an entry)."""

    x: Secret
    singular: Secret
    clamped: Secret


@dataclass(frozen=True)
class Coupled:
    """X on its way to H^-1, Y = X H, and v = X g where there is a g.

    Public: bounds of ||X_0|| and of its condition's square root, and the growth so far.
    """

    X: Secret
    Y: Secret
    norm: float
    condition: float  # c
    growth: float = 1.0  # product of all 2a
    negative_log2: int = NEGATIVE_LOG2
    v: Secret | None = None


def inverse(mpc: Engine, M: Secret, trace_bound: float, norm_log2: int | None = None) -> tuple[Secret, Secret]:
    """(M^-1 at 64 fractional bits, 1 where M is too near to singular) of symmetric M >= 0 (..., d, d), trace M <= trace_bound.

    `trace_bound` is public. Where the second value is 1 the first is bounded and meaningless. With `norm_log2`, matrices with
    trace M^-1 > 2^norm_log2 are singular too, and the first value is exactly symmetric, bounded accordingly, and 0 (within 2
    units) if singular.
    """
    X, margin = inverse_and_margin(mpc, M, trace_bound)
    if norm_log2 is None:
        return X, mpc.is_negative(margin)
    return _within_norm(mpc, X, margin, norm_log2)


def inverse_and_margin(mpc: Engine, M: Secret, trace_bound: float) -> tuple[Secret, Secret]:
    """As `inverse`, with a number (...) that is negative where M is singular, for comparing it together with others."""
    shift, N = _normalised(mpc, M, trace_bound)
    X = _newton_schulz(mpc, N)
    minus_NX = -mpc.matmul(N, X, frac=LARGE_FRAC)
    minus_NX = mpc.bounded(minus_NX, _units(1 + SLACK), RANGE)
    two_less = mpc.bounded(2 * _identity(mpc, N) + minus_NX, _units(2 + SLACK), RANGE)
    # [X; (R - I)'] (I + R) with R = I - N X: the first, X (2I - N X) = N^-1 = 2^s M^-1, is computed at 64 - s bits and read at
    # 64; the second has the trace of R'R - I
    drop = LARGE_FRAC + max(shift, LARGE_FRAC - SQUARES_FRAC)
    left = [mpc.shift_left(X, drop - LARGE_FRAC - shift), mpc.shift_left(minus_NX.T, drop - 2 * LARGE_FRAC + SQUARES_FRAC)]
    both = mpc.matmul(replace(mpc.concat(left, axis=-2), frac=drop), replace(two_less, frac=0), frac=0)
    d = _size(N)
    last = replace(both[..., :d, :], frac=LARGE_FRAC)
    last = mpc.bounded(last, _units(2.0 ** (GROWTH_LOG2 - shift) * (1 + SLACK) * (2 + SLACK)), RANGE)
    return last, _margin(mpc, both[..., d:, :], d * (1 + SLACK) ** 2, "||R||_F^2 <= d ||R||^2 (see Range above)")


def solve(mpc: Engine, M: Secret, B: Secret, trace_bound: float, limit: float) -> Solution:
    """M^-1 B for B of shape (..., d, m), every entry clamped to [-limit, limit]."""
    X, singular = inverse(mpc, M, trace_bound)
    x, clamped = mpc.clamp(mpc.matmul(X, B, frac=LARGE_FRAC), limit)
    return Solution(x, singular, clamped)


def precondition(
    mpc: Engine,
    X0: Secret,
    H: Secret,
    absent: Secret | None = None,
    g: Secret | None = None,
    negative_log2: int = NEGATIVE_LOG2,
) -> Coupled:
    """(X_0, X_0 H, X_0 g) for symmetric H, -2^-22 B <= H <= (1 + 2^-10) B, and X_0 = B^-1 (d, d) from `inverse` with `norm_log2`.

    trace B <= d, g' X_0 g <= 1 + 2^-10 for g (d, 1) at 64 bits (public theorems of the caller, as is the range of H). `absent`:
    secret 0/1 (d,), columns where H is 0 and X_0 that of the identity; 1 is put on their diagonal. Where the lower bound of H is
    nearer to 0, 2^negative_log2 says how near in the norm of X_0, and `improve` may take more steps. One round.
    """
    d = _size(H)
    if X0.shape != H.shape or X0.frac != LARGE_FRAC or X0.limbs != LARGE:
        raise MisuseError("a preconditioner has the shape of its matrix, in Z_2^256 at 64 fractional bits")
    X0, right = _mirrored(mpc, X0), _with_absent(mpc, H, absent)
    if g is not None:
        right = mpc.concat([right, g], axis=-1)
    columns = [X0, mpc.matmul(X0, right, frac=Y_FRAC)]
    norm = X0.bound / 2**LARGE_FRAC
    coupled = Coupled(X0, columns[1][:, :d], norm, math.sqrt(norm * d), negative_log2=negative_log2)
    return _within(mpc, coupled, mpc.concat([replace(each, frac=0) for each in columns], axis=-1), LARGE_FRAC)


def improve(mpc: Engine, coupled: Coupled, steps: Sequence[float]) -> Coupled:
    """Steps with these scales a, 1 <= a <= 63/32, of at most 5 fractional bits: FAST, then POLISH. One round each."""
    d = _size(coupled.Y)
    _require_room(coupled, coupled.growth * math.prod(2 * a for a in steps), d)
    for a in steps:
        S = _scaled(mpc, coupled.Y, a)
        S = mpc.bounded(S, _units(2 * a * coupled.condition * (1 + SLACK_0), S.frac), PRECONDITIONED)
        # X comes with `extra` bits more than it is kept with, at first; the others are given as many, so that all lose them
        extra = coupled.X.frac - X_FRAC
        others = [coupled.Y] if coupled.v is None else [coupled.Y, coupled.v]
        columns = [coupled.X, *(mpc.shift_left(each, extra) for each in others)]
        joined = mpc.concat([replace(each, frac=0) for each in columns], axis=-1)
        units = mpc.matmul(replace(S, frac=S.frac + extra), joined, frac=0)
        coupled = _within(mpc, replace(coupled, growth=coupled.growth * 2 * a), units, X_FRAC)
    return coupled


def inverse_of(mpc: Engine, coupled: Coupled, H: Secret, absent: Secret | None = None) -> tuple[Secret, Secret]:
    """(H^-1 at 64 fractional bits, symmetric; 1 where H is too near to singular), from `improve` with FAST and POLISH.

    Where the second value is 1 the first is bounded and meaningless.
    """
    d, condition = _size(H), coupled.condition
    norm = coupled.norm * coupled.growth * (1 + SLACK_0)
    X = replace(coupled.X + coupled.X.T, frac=coupled.X.frac + 1)
    X = mpc.bounded(X, _units(norm, X.frac), PRECONDITIONED)
    minus_XH = -mpc.matmul(X, _with_absent(mpc, H, absent), frac=LARGE_FRAC)
    minus_XH = mpc.bounded(minus_XH, _units(condition * (1 + SLACK_0)), PRECONDITIONED)
    R = mpc.bounded(_identity(mpc, H) + minus_XH, _units(condition * (1 + SLACK_0)), PRECONDITIONED)
    # (I + R) [X, R - I]: the second has the trace of R^2 - I
    drop = 2 * LARGE_FRAC - SQUARES_FRAC
    right = mpc.concat([mpc.shift_left(replace(X, frac=0), drop - X.frac), replace(minus_XH, frac=0)], axis=-1)
    both = mpc.matmul(replace(_identity(mpc, H) + R, frac=drop), right, frac=0)
    last = _mirrored(mpc, replace(both[..., :d], frac=LARGE_FRAC))
    last = mpc.bounded(last, _units(norm * (2 + SLACK_0)), PRECONDITIONED)
    margin = _margin(mpc, both[..., d:], d * (1 + SLACK_0) ** 2, "tr R^2 <= d ||R||_0^2, R being similar to a symmetric matrix")
    return last, mpc.is_negative(margin)


def _within(mpc: Engine, coupled: Coupled, units: Secret, x_frac: int) -> Coupled:
    """`coupled` with X, Y and v from columns (d, 2d or 2d + 1) in their own units, and their bounds."""
    d, growth = units.shape[0], coupled.growth * (1 + SLACK_0)

    def part(columns: slice, frac: int, bound: float) -> Secret:
        return mpc.bounded(replace(units[:, columns], frac=frac), _units(bound, frac), PRECONDITIONED)

    X = part(slice(d), x_frac, coupled.norm * growth)
    Y = part(slice(d, 2 * d), Y_FRAC, coupled.condition * (1 + SLACK_0))
    v = part(slice(2 * d, None), Y_FRAC, math.sqrt(coupled.norm) * growth) if units.shape[1] > 2 * d else None
    return replace(coupled, X=X, Y=Y, v=v)


def _margin(mpc: Engine, product: Secret, largest: float, because: str) -> Secret:
    """2^(2 RESIDUAL_LOG2) - tr (product + I), in units of 2^-SQUARES_FRAC, less what truncations may have hidden."""
    d = _size(product)
    index = np.arange(d)
    squares = mpc.sum(product[..., index, index], -1) + (d << SQUARES_FRAC)
    squares = mpc.bounded(squares, _units(largest, SQUARES_FRAC) + 2 * d, because)
    return (1 << (SQUARES_FRAC + 2 * RESIDUAL_LOG2)) - 2 * d - squares


def _within_norm(mpc: Engine, X: Secret, margin: Secret, norm_log2: int) -> tuple[Secret, Secret]:
    """(X made symmetric, or 0 where singular; 1 where the margin is negative or trace X > 2^norm_log2)."""
    d = _size(X)
    index = np.arange(d)
    room = (1 << (norm_log2 + LARGE_FRAC)) - replace(mpc.sum(X[..., index, index], -1), frac=0)
    fails = mpc.is_negative(mpc.stack([margin, room]))
    passes = mpc.bounded(1 - fails, 1, "one less a bit")
    regular = mpc.bounded(passes[0] * passes[1], 1, "a product of bits")
    rows, columns = np.triu_indices(d)
    doubled = replace(X + X.T, frac=X.frac + 1)[..., rows, columns]
    kept = mpc.mul(doubled, mpc.reshape(regular, (*regular.shape, 1)), frac=LARGE_FRAC)
    kept = mpc.bounded(kept, _units(2.0**norm_log2 * (1 + 2**-10)), "|x_ij| <= ||X|| <= trace M^-1 (1 + 2^-34), or 0")
    return _from_triangle(mpc, kept, d), mpc.bounded(1 - regular, 1, "one less a bit")


def _normalised(mpc: Engine, M: Secret, trace_bound: float) -> tuple[int, Secret]:
    """(s, N = M / 2^s), trace N <= 1."""
    if M.limbs != LARGE or len(M.shape) < 2 or M.shape[-1] != M.shape[-2]:
        raise MisuseError("an inverse needs square matrices in Z_2^256")
    if not 0 < trace_bound < math.inf:
        raise MisuseError("trace_bound must be positive and finite")
    _require_small(M.shape[-1])
    mantissa, exponent = math.frexp(trace_bound)
    shift = exponent - 1 if mantissa == 0.5 else exponent
    shift = max(shift, LARGE_FRAC - M.frac)  # a finer scale than M's own holds nothing
    if shift >= LARGE_FRAC:
        raise RangeError("trace_bound is out of scale; divide the matrix by a public power of two")
    N = replace(M, frac=M.frac + shift)
    peak = (1 << N.frac) + (1 << 17)  # with room for the roundings of hospitals
    return shift, mpc.bounded(N, peak, "an entry of a semidefinite matrix is at most its trace")


def _newton_schulz(mpc: Engine, N: Secret) -> Secret:
    """X_25 at 64 fractional bits."""
    d = _size(N)
    Y = mpc.truncate(N, N.frac - LARGE_FRAC) if N.frac > FIRST_FRAC else N
    X, growth = _identity(mpc, N), 1.0
    for k, a in enumerate(SCALES):
        Y = mpc.bounded(Y, _units(1 + SLACK, Y.frac), RANGE)
        S = _scaled(mpc, Y, a)
        S = mpc.bounded(S, _units(2 * a * (1 + SLACK), S.frac), RANGE)
        growth *= 2 * a
        bound = growth * (1 + SLACK)
        if k == 0:  # X_1 = S_0, and Y_1 is brought to its scale
            X, Y = S, mpc.matmul(Y, S, frac=S.frac)
        elif k == len(SCALES) - 1:  # the last Y would not be used
            return mpc.bounded(mpc.matmul(X, S, frac=LARGE_FRAC), _units(bound), RANGE)
        else:
            both = mpc.matmul(mpc.concat([X, Y], axis=-2), S, frac=LARGE_FRAC)
            X, Y = both[..., :d, :], both[..., d:, :]
        X = mpc.bounded(X, _units(bound, X.frac), RANGE)
    raise AssertionError("unreachable")


def _scaled(mpc: Engine, Y: Secret, a: float) -> Secret:
    """2a I - a^2 Y, exactly. Local."""
    numerator, denominator = a.as_integer_ratio()
    bits = denominator.bit_length() - 1
    if not 1 <= a < 2 or bits > SCALE_BITS:
        raise MisuseError(f"a step is scaled by a number in [1, 2) of at most {SCALE_BITS} fractional bits")
    frac = Y.frac + 2 * bits
    identity = mpc.constant(_eye(Y) * (numerator << (bits + 1 + Y.frac)), frac=0)
    return replace(identity - replace(Y, frac=0) * numerator**2, frac=frac)


def _with_absent(mpc: Engine, H: Secret, absent: Secret | None) -> Secret:
    """H, exactly symmetric, with 1 on the diagonal of absent columns. Local."""
    H = _mirrored(mpc, H)
    if absent is None:
        return H
    d = _size(H)
    place = np.full((d, d), d)
    np.fill_diagonal(place, np.arange(d))
    zero = mpc.constant(np.zeros(1, dtype=np.int64), frac=0)
    return H + mpc.rescale_up(mpc.concat([absent, zero])[place], H.frac)


def _mirrored(mpc: Engine, A: Secret) -> Secret:
    """A with its upper triangle below the diagonal too. Local."""
    rows, columns = np.triu_indices(_size(A))
    return _from_triangle(mpc, A[..., rows, columns], _size(A))


def _from_triangle(mpc: Engine, triangle: Secret, d: int) -> Secret:
    rows, columns = np.triu_indices(d)
    place = np.empty((d, d), dtype=np.intp)
    place[rows, columns] = place[columns, rows] = np.arange(len(rows))
    return triangle[..., place]


def _identity(mpc: Engine, N: Secret) -> Secret:
    return mpc.constant(_eye(N).astype(np.int64))


def _eye(N: Secret) -> np.ndarray:
    return np.broadcast_to(np.eye(_size(N), dtype=np.int64).astype(object), N.shape)


def _size(N: Secret) -> int:
    return N.shape[-1]


def _units(value: float, frac: int = LARGE_FRAC) -> int:
    """A bound at `frac` fractional bits, rounding included."""
    return math.ceil(Fraction(value) * (1 << frac)) + 2


def _require_small(d: int) -> None:
    """19 G delta <= 2^-4, the premise of the range."""
    if 19 * 2**GROWTH_LOG2 * d * 2.0 ** (1 - LARGE_FRAC) > 2**-4:
        raise RangeError(f"an inverse of {d} columns cannot be kept in range at {LARGE_FRAC} fractional bits")


def _require_room(coupled: Coupled, growth: float, d: int) -> None:
    """The premises of the preconditioned range."""
    truncations = 19 * growth * coupled.condition * d * 2.0 ** (1 - Y_FRAC)
    if growth * 2.0**coupled.negative_log2 > 2**-3 or truncations > 2**-5:
        raise RangeError("so many steps cannot be kept in range; take fewer, or a better preconditioner")
