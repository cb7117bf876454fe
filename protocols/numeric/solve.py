"""Inverse and solution of symmetric positive semidefinite systems by coupled Newton-Schulz iteration, in Z_2^256.

With 2^s >= trace_bound and N = M / 2^s (a relabelling, nothing is computed), so that 0 <= N <= I:
    X_0 = I,    Y_0 = N,    X_(k+1) = X_k (2I - Y_k),    Y_(k+1) = Y_k (2I - Y_k),
both products stacked in one matmul, one round each.
Source: Schulz 1933; coupled forms in Higham, "Functions of Matrices", SIAM 2008, section 7.3.

Range. In exact arithmetic, also where N is singular,
    X_k = sum_(j < 2^k) (I - N)^j,    ||X_k|| <= 2^k,    0 <= Y_k = I - (I - N)^(2^k) <= I.
A truncated entry errs by less than 2 units of 2^-f, so a product errs by some D with ||D||_F <= delta = d 2^(1-f). The computed
Y^_k = Y_k + F_k and the drift E_k = Y^_k - N X^_k obey
    F_(k+1) = F_k (I - Y_k) + (I - Y_k) F_k - F_k^2 + D,    ||F_(k+1)|| <= (2 + ||F_k||) ||F_k|| + delta,
    E_(k+1) = E_k (2I - Y^_k) + D - N D',                   ||E_(k+1)|| <= (2 + ||F_k||) ||E_k|| + 2 delta.
With ||F_0|| <= 17 delta (one truncation of N, and 16 delta for the roundings of the hospitals' sums: 32 units an entry), both
stay below 19 * 2^k delta as long as that is at most 2^-4, which `_require_small` checks (d <= 400 or so). Then
    ||X^_k|| <= 2^k exp(sum_j ||F_j|| / 2) + 2^k delta <= 2^k (1 + 2^-3),    ||Y^_k|| <= 1 + 2^-3,    ||I - N X^_k|| <= 1 + 2^-3.

Openings. No product exceeds d * 2^46 (1 + 2^-3) 2^f * (2 + 2^-3) 2^f: b = 183 bits for d = 100 and f = 64. The bounds double
with k, so all openings of an inverse leak less than 8 d^2 2^(b - 253) < 2^-53, far within 2^-40.

Convergence. Of an eigenvalue l of N, step k leaves (1 - l)^(2^k) <= exp(-2^k l) of the residual: k = 46 leaves e^-16 for
l = 2^-42. One last, self-correcting step with the original N, X (2I - N X), squares the residual, and with it the drift that
truncations left, about 2^-64 sqrt(d) / l. Where ||I - N X_46||_F > 2^-18, so that 2^-36 = 1.5e-11 could not be promised, the
matrix is declared singular; for a truly singular one the norm is at least 1.

Adversary: one semi-honest compute party; hospitals that are semi-honest too, since M must be positive semidefinite. Leaks
nothing but the openings' 2^-53; `singular` stays secret.
Rounds: 49 and a comparison (10), and 1 when N has more than 64 fractional bits; for any size and any number of matrices.
Bytes: at most 8 d^2 elements a round over the three parties.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from protocols.engine import LARGE, LARGE_FRAC, Engine, Secret
from protocols.errors import MisuseError, RangeError

ITERATIONS = 46
RESIDUAL_LOG2 = -18  # ||I - N X_46||_F beyond 2^-18: declared singular
SLACK = 2**-3  # what truncations add to the exact bounds, relative
RANGE = "||X_k|| <= 2^k, ||Y_k|| <= 1, ||2I - Y_k|| <= 2, ||I - N X_k|| <= 1 for 0 <= N <= I, and truncations (see Range above)"


@dataclass(frozen=True)
class Solution:
    """x = M^-1 B clamped to the stated limit; `singular` and `clamped` are secret 0/1 values (one a matrix, one an entry)."""

    x: Secret
    singular: Secret
    clamped: Secret


def inverse(mpc: Engine, M: Secret, trace_bound: float) -> tuple[Secret, Secret]:
    """(M^-1 at 64 fractional bits, 1 where M is too near to singular) of symmetric M >= 0 (..., d, d), trace M <= trace_bound.

    `trace_bound` is public. Where the second value is 1 the first is bounded and meaningless.
    """
    shift, N = _normalised(mpc, M, trace_bound)
    X = _newton_schulz(mpc, N)
    residual = _identity(mpc, N) - mpc.matmul(N, X, frac=LARGE_FRAC)
    residual = mpc.bounded(residual, _units(1 + SLACK), RANGE)
    # X (2I - N X), N^-1 = 2^s M^-1: computed at 64 - s bits and read at 64, it is M^-1
    last = mpc.matmul(X, _identity(mpc, N) + residual, frac=LARGE_FRAC - shift)
    return replace(last, frac=LARGE_FRAC), _exceeds(mpc, residual)


def solve(mpc: Engine, M: Secret, B: Secret, trace_bound: float, limit: float) -> Solution:
    """M^-1 B for B of shape (..., d, m), every entry clamped to [-limit, limit]."""
    X, singular = inverse(mpc, M, trace_bound)
    x, clamped = mpc.clamp(mpc.matmul(X, B, frac=LARGE_FRAC), limit)
    return Solution(x, singular, clamped)


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
    """X_46 at 64 fractional bits."""
    two = 2 * _identity(mpc, N)
    Y = mpc.truncate(N, N.frac - LARGE_FRAC)
    X, Y = two - Y, Y @ (two - Y)
    for k in range(2, ITERATIONS + 1):
        step = mpc.bounded(two - Y, _units(2 + SLACK), RANGE)
        X = mpc.bounded(X, _units(2 ** (k - 1) * (1 + SLACK)), RANGE)
        Y = mpc.bounded(Y, _units(1 + SLACK), RANGE)
        if k == ITERATIONS:  # the last Y would not be used
            return mpc.bounded(X @ step, _units(2**k * (1 + SLACK)), RANGE)
        both = mpc.concat([X, Y], axis=-2) @ step
        d = N.shape[-1]
        X, Y = both[..., :d, :], both[..., d:, :]
    raise AssertionError("unreachable")


def _exceeds(mpc: Engine, residual: Secret) -> Secret:
    """1 where ||R||_F^2 > 2^(2 * RESIDUAL_LOG2), of shape (...): the sum of squares is one product, exact, and one comparison."""
    *batch, d, _ = residual.shape
    row = mpc.reshape(residual, (*batch, 1, d * d))
    squares = mpc.matmul(row, row.T, frac=2 * LARGE_FRAC)
    return mpc.is_negative(2.0 ** (2 * RESIDUAL_LOG2) - squares)[..., 0, 0]


def _identity(mpc: Engine, N: Secret) -> Secret:
    return mpc.constant(np.broadcast_to(np.eye(N.shape[-1], dtype=np.int64), N.shape))


def _units(value: float) -> int:
    """A bound at 64 fractional bits, rounding included."""
    return math.ceil(value * (1 << LARGE_FRAC)) + 2


def _require_small(d: int) -> None:
    """19 * 2^k delta <= 2^-4, the premise of the range."""
    if 19 * 2**ITERATIONS * d * 2.0 ** (1 - LARGE_FRAC) > 2**-4:
        raise RangeError(f"an inverse of {d} columns cannot be kept in range at {LARGE_FRAC} fractional bits")
