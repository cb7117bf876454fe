"""Functions of a secret x in [-1, 1] as Chebyshev series, in few products: Paterson and Stockmeyer's blocks, Clenshaw's sum.

With k = `block` and y = T_k(x), blocks of k coefficients each give
    p(x) = sum_j T_j(y) A_j(x),    A_j(x) = sum_(i < k) a_ji T_i(x),    j < m,
since T_(jk+i) = 2 T_i T_jk - T_(jk-i): from the highest block down, a_ji = 2 c_(jk+i) while c_(jk-i) loses c_(jk+i). With
b_m = b_(m+1) = 0 the sum is
    b_j = A_j + 2 y b_(j+1) - b_(j+2),    p = A_0 + y b_1 - b_2.
The A_j are public combinations of T_0 ... T_(k-1), exact at twice the scale, and join the next product before its truncation: one
truncation for each of T_2 ... T_k and for each block.
Source: Paterson and Stockmeyer, SIAM J. Comput. 1973; Clenshaw 1955; the recurrence from T_(a+b) + T_(a-b) = 2 T_a T_b.

Coefficients. Every party must use the same integers, so they are computed in decimal arithmetic at 60 digits, never in floating
point: two parties whose libraries differ in the last bit would hold inconsistent shares. Truncations have no bias, but a rounded
coefficient errs alike in every row: `finer` bits more keep that small beside a sum over rows, at as many bits in an opening.
Range. |T_i| <= 1 and |b_j| <= sum_(l >= j) (l - j + 1) sum_i |a_li|, since b_j = sum U_(l-j)(y) A_l and |U_n| <= n + 1. SLACK
units more hold what x and truncations add, for k <= 8: an error of T_(a+b) is at most twice those of T_a and T_b, that of T_(a-b)
and 2 units more, so at most 132k^2 < 2^14 units in T_k when x errs by 128; and the higher blocks, which multiply y, are small.
Tests hold every bound under the worst truncations. x may leave [-1, 1] by 128 units.
Error: that of the series, and for truncations about 2 units times the sum of all (j + 1) |a_ji|.
Adversary: one semi-honest compute party. Leaks nothing but the masked openings, of values below 2^(2 frac + finer + 2) (1 +
max |b_j|).
Rounds: ceil(log2 k) + m, for any number of functions of the same x. Bytes: k - 1 truncations, and m for each function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

import numpy as np

from protocols.engine import Engine, Secret
from protocols.errors import MisuseError

SLACK = 1 << 14  # units, for truncations
LARGEST_BLOCK = 8
NODES = 128  # of the discrete orthogonality that gives the coefficients; a power of two
DIGITS = 60
RANGE = "|T_i| <= 1 and |b_j| <= sum (l - j + 1) |A_l| on [-1, 1], and truncations (see Range above)"


@dataclass(frozen=True)
class Series:
    """A function on [-1, 1] for x at `frac` fractional bits: block j holds a_j0 ... a_j(k-1) at frac + finer_j, as integers."""

    blocks: tuple[tuple[int, ...], ...]
    frac: int
    finer: tuple[int, ...]

    @property
    def block(self) -> int:
        return len(self.blocks[0])

    def block_peak(self, j: int) -> int:
        """|A_j| <= block_peak(j), at frac + finer_j."""
        return sum(map(abs, self.blocks[j]))

    def peak(self, j: int) -> int:
        """|b_j| <= peak(j), at `frac`."""
        return sum((i + 1) * ((self.block_peak(j + i) >> self.finer[j + i]) + 1) for i in range(len(self.blocks) - j))


def series(
    f: Callable[[Decimal], Decimal], low: Fraction, high: Fraction, blocks: int, block: int, frac: int, finer: int = 0
) -> Series:
    """f on [low, high], mapped to [-1, 1], interpolated to degree blocks * block - 1.

    Coefficients are `finer` bits finer than x, in small blocks more, as long as 2^finer |b_j| stays below what it is for j = 0.
    """
    if not 2 <= block <= LARGEST_BLOCK:
        raise MisuseError(f"a series is cut into blocks of 2 to {LARGEST_BLOCK} coefficients")
    with localcontext() as context:
        context.prec = DIGITS
        c = _coefficients(f, decimal(low), decimal(high), blocks * block)
        rows: list[list[Decimal]] = []
        for j in range(blocks - 1, -1, -1):
            tail = [c[j * block + i] for i in range(1, block)]
            for i, each in enumerate(tail, 1):
                if j:
                    c[j * block - i] -= each
            scaled = [c[j * block], *((2 if j else 1) * each for each in tail)]
            rows.insert(0, scaled)
        bits = _finer(rows, finer)
        integers = [
            tuple(int((each * (1 << (frac + e))).to_integral_value()) for each in row) for row, e in zip(rows, bits, strict=True)
        ]
        return Series(tuple(integers), frac, bits)


def _finer(rows: list[list[Decimal]], finer: int) -> tuple[int, ...]:
    """finer_j of blocks of coefficients: 2^finer_j |b_j| <= 2^finer, or finer_j = finer; all 0 where nothing is asked for."""
    peaks = [sum((i + 1) * sum(map(abs, row)) for i, row in enumerate(rows[j:])) for j in range(len(rows))]
    return tuple(finer + max(0, math.floor(-math.log2(peak))) if finer else 0 for peak in peaks)


def evaluate(mpc: Engine, x: Secret, functions: Sequence[Series]) -> Secret:
    """The functions of x, |x| <= 1, stacked on a new first axis; all of one block size and number, at x's scale."""
    k, m, finer = functions[0].block, len(functions[0].blocks), functions[0].finer
    if any((f.block, len(f.blocks), f.frac, f.finer) != (k, m, x.frac, finer) for f in functions):
        raise MisuseError("functions evaluated together share their blocks, the scale of x and that of their coefficients")
    T = _polynomials(mpc, x, k)
    combined = _combinations(mpc, T[: k - 1], functions)
    A = [replace(combined[j], frac=2 * x.frac + finer[j]) for j in range(m)]
    A = [mpc.bounded(A[j], max(f.block_peak(j) for f in functions) * _one(x), RANGE) for j in range(m)]
    peaks = [max(f.peak(j) for f in functions) + SLACK for j in range(m)]
    b, after = mpc.truncate(A[-1], x.frac + finer[-1]), None
    for j in range(m - 2, -1, -1):
        b = mpc.bounded(b, peaks[j + 1], RANGE)
        addend = A[j] if after is None else _less(mpc, A[j], after)
        y = mpc.rescale_up(T[k - 1], x.frac + finer[j])
        b, after = mpc.mul_add(mpc.shift_left(y, 1) if j else y, b, addend, frac=x.frac), b
    return mpc.bounded(b, peaks[0], RANGE)


def _less(mpc: Engine, A: Secret, b: Secret) -> Secret:
    """A - b, A having the finer scale. Local, in one pass."""
    return mpc.combine([A, replace(b, frac=A.frac)], [[1, -1 << (A.frac - b.frac)]], [0])[0]


def _polynomials(mpc: Engine, x: Secret, k: int) -> Secret:
    """T_1 ... T_k stacked: T_(t+i) = 2 T_t T_i - T_(t-i) for all i <= t at once, t being how many are known."""
    T = mpc.bounded(x.reshape(1, *x.shape), _one(x), RANGE)
    while (t := T.shape[0]) < k:
        new = min(t, k - t)
        products = mpc.mul(T[:new], T[t - 1], frac=x.frac + 1)
        doubled = replace(products, frac=x.frac)
        known = [T, doubled[: t - 1] - T[t - 1 - np.arange(1, min(new, t - 1) + 1)]] if t > 1 else [T]
        if new == t:
            known.append(doubled[t - 1 :] - 1)  # T_0 = 1
        T = mpc.bounded(mpc.concat(known), _one(x), RANGE)
    return T


def _one(x: Secret) -> int:
    """|T_i| <= 1, at x's scale, truncations included."""
    return (1 << x.frac) + SLACK


def _combinations(mpc: Engine, T: Secret, functions: Sequence[Series]) -> Secret:
    """A_j of each function, (blocks, functions, *shape), from T_1 ... T_(k-1), in the product of their units: exact, local."""
    table = [row for rows in zip(*(f.blocks for f in functions), strict=True) for row in rows]
    polynomials = [T[i] for i in range(T.shape[0])]
    sums = mpc.combine(polynomials, [row[1:] for row in table], [row[0] << T.frac for row in table])
    return sums.reshape(-1, len(functions), *T.shape[1:])


def _coefficients(f: Callable[[Decimal], Decimal], low: Decimal, high: Decimal, count: int) -> list[Decimal]:
    """c_j = (2 / N) sum_n f(x_n) cos(j (2n + 1) pi / 2N), half of it for j = 0."""
    values = [f((high - low) / 2 * _cosine(2 * n + 1) + (high + low) / 2) for n in range(NODES)]
    sums = [sum((v * _cosine(j * (2 * n + 1)) for n, v in enumerate(values)), Decimal(0)) for j in range(count)]
    return [(1 if j == 0 else 2) * each / NODES for j, each in enumerate(sums)]


def _cosine(n: int) -> Decimal:
    """cos(n pi / 2 NODES)."""
    return _cosines()[n % (4 * NODES)]


@cache
def _cosines() -> list[Decimal]:
    """cos(n pi / 2N) for n < 4N: half angles down to the first, then cos(n + 1) = 2 cos(1) cos(n) - cos(n - 1)."""
    with localcontext() as context:
        context.prec = DIGITS
        first, angle = Decimal(0), 1  # cos(pi / 2)
        while angle < NODES:
            first, angle = ((1 + first) / 2).sqrt(), 2 * angle
        table = [Decimal(1), first]
        while len(table) < 4 * NODES:
            table.append(2 * first * table[-1] - table[-2])
        return table


def decimal(value: Fraction) -> Decimal:
    """At the precision of the context."""
    return Decimal(value.numerator) / Decimal(value.denominator)
