"""Polynomials of ciphertexts in the Chebyshev basis, in as few levels as their degree allows: degree d < 2^D takes D.

    T_n = 2 T_a T_b - T_(a - b),  a = ceil(n / 2), b = floor(n / 2)           the powers, T_n at depth ceil(log2 n)
    p = q T_k + r,  T_(k + i) = 2 T_k T_i - T_(k - i)                         the splits, k a power of two

Depth: p is to arrive at depth D. With deg p <= B, the number of baby steps, and its T_i at depth D - 1 or less, it is a sum of
c_i T_i, which takes one more: a leaf. Otherwise q, of degree below k, is to arrive at D - 1, where T_k, k <= 2^(D - 1), is; r
joins the sum at the same place. All products of one p are added up before their one relinearisation and rescale. Only on the
chain of leading quotients is D tight, and there the splits go on down to degree 1. Coefficients that are zero cost nothing: an
odd p needs no even leaf.

Scales: p wanted at scale S, level l is summed at level l + 1 and scale S q_(l + 1), exactly: a constant c of T_i becomes the
integer round(c S q_(l + 1) / scale(T_i)), a quotient is wanted at scale S q_(l + 1) / scale(T_k). So every sum has terms of one
scale, whatever scales the powers have.

Sources: Paterson and Stockmeyer, SIAM J. Comput. 1973; Chebyshev form: Chen, Chillotti, Song, eprint 2018/1043; exact scales
and least depth: Bossuat, Mouchet, Troncoso-Pastoriza, Hubaux, EUROCRYPT 2021 (eprint 2020/1203), section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.polynomial.chebyshev import chebval

from protocols.ckks.arithmetic import add, add_constant, add_weighted, rescaled
from protocols.ckks.ciphertext import Ciphertext
from protocols.ckks.keys import RelinearisationKey
from protocols.ckks.noise import Estimate
from protocols.ckks.products import add_tensor, multiply, relinearise, tensor_polynomials
from protocols.errors import LevelExhausted, MisuseError, PlaintextOutOfRange

NEGLIGIBLE = 2.0**-50  # of the largest coefficient: what an odd or even function leaves behind in double precision


@dataclass(frozen=True)
class Node:
    """constant + sum of weights[i] T_i + sum of quotients[k] T_k, at most `bound` on [-1, 1]."""

    constant: float
    weights: tuple[tuple[int, float], ...]
    quotients: tuple[tuple[int, Node], ...]
    bound: float

    def powers(self) -> Iterator[int]:
        yield from (i for i, _ in self.weights)
        for k, quotient in self.quotients:
            yield k
            yield from quotient.powers()

    @property
    def tensors(self) -> int:
        return len(self.quotients) + sum(q.tensors for _, q in self.quotients)

    @property
    def terms(self) -> int:
        return len(self.weights) + sum(q.terms for _, q in self.quotients)

    @property
    def switches(self) -> int:
        """Key switches: one for all products of a sum."""
        return bool(self.quotients) + sum(q.switches for _, q in self.quotients)


@dataclass(frozen=True)
class Plan:
    """How a polynomial will be evaluated: the powers to make, rising, and the tree of splits."""

    depth: int
    powers: tuple[int, ...]
    root: Node

    @property
    def switches(self) -> int:
        return len(self.powers) + self.root.switches

    @property
    def tensors(self) -> int:
        return len(self.powers) + self.root.tensors


def interpolate(function: Callable[[np.ndarray], np.ndarray], degree: int, low: float, high: float) -> tuple[float, ...]:
    """Chebyshev coefficients of the interpolant in the Chebyshev points of [low, high], for `evaluate` on x mapped to [-1, 1]."""
    angles = (np.arange(degree + 1) + 0.5) * (np.pi / (degree + 1))
    values = function(low + (high - low) * (np.cos(angles) + 1) / 2)
    coefficients = 2 / (degree + 1) * np.cos(np.outer(np.arange(degree + 1), angles)) @ values
    coefficients[0] /= 2
    return tuple(float(c) for c in coefficients)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)). Degree 63 on [-16, 16] interpolates it within 2.4e-6."""
    return 0.5 * (1 + np.tanh(0.5 * x))


# ---- plan -----------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def plan(coefficients: tuple[float, ...]) -> Plan:
    """The cheapest plan of least depth, over the numbers of baby steps. Raises MisuseError for a constant."""
    largest = max(map(abs, coefficients), default=0.0)
    kept = [c if abs(c) > NEGLIGIBLE * largest else 0.0 for c in coefficients]
    degree = _degree(kept)
    if degree == 0 or not np.isfinite(largest):
        raise MisuseError("a polynomial to evaluate has finite coefficients, and one that is not the constant's")
    plans = [_plan(kept, degree.bit_length(), 1 << i) for i in range(degree.bit_length())]
    return min(plans, key=lambda each: (each.switches, each.tensors, each.root.terms))


def _plan(coefficients: Sequence[float], depth: int, baby_steps: int) -> Plan:
    root = _split(coefficients, depth, baby_steps)
    needed = set(root.powers())
    for n in range(max(needed), 1, -1):
        if n in needed:
            needed |= {(n + 1) // 2, n // 2, n % 2}
    return Plan(depth, tuple(sorted(needed - {0, 1})), root)


def _split(coefficients: Sequence[float], depth: int, baby_steps: int) -> Node:
    """coefficients of degree below 2^depth."""
    rest, weights, quotients = list(coefficients), {}, []
    while (degree := _degree(rest)) > baby_steps or _depth(degree) >= depth:
        k = 1 << degree.bit_length() - 1
        if degree == k:
            weights[k] = rest[k]
        else:
            for i in range(1, degree - k + 1):
                rest[k - i] -= rest[k + i]
            quotients.append((k, _split([rest[k], *(2 * c for c in rest[k + 1 :])], depth - 1, baby_steps)))
        rest = rest[:k]
    weights.update((i, c) for i, c in enumerate(rest) if i and c)
    return Node(rest[0], tuple(sorted(weights.items())), tuple(quotients), _largest(coefficients))


def _degree(coefficients: Sequence[float]) -> int:
    return max((i for i, c in enumerate(coefficients) if c), default=0)


def _largest(coefficients: Sequence[float]) -> float:
    """max |p| on [-1, 1], or up to 0.13 % more: the maximum over M Chebyshev points falls short by at most cos(pi degree / 2M)

    (Ehlich and Zeller, Math. Z. 1964).
    """
    points = 32 * max(1, _degree(coefficients))
    angles = (np.arange(points) + 0.5) * (np.pi / points)
    values = chebval(np.cos(angles), np.asarray(coefficients))
    return float(np.max(np.abs(values)) / np.cos(np.pi / 64)) * (1 + NEGLIGIBLE)


def _depth(n: int) -> int:
    """Of T_n."""
    return (n - 1).bit_length() if n else 0


# ---- evaluation -----------------------------------------------------------------------------------------------------------


def evaluate(x: Ciphertext, coefficients: Sequence[float], key: RelinearisationKey, scale: float | None = None) -> Ciphertext:
    """sum of coefficients[i] T_i(x), |x| <= 1, at exactly `scale` (the preset's unless given).

    ceil(log2(degree + 1)) levels below x. An x on [low, high] is brought to [-1, 1] by what made it, a factor in the
    plaintext it was multiplied by, or, encoded at a scale as much lower, by `stretched`. Raises PlaintextOutOfRange when x's
    bound is above 1, LevelExhausted when the levels do not suffice.
    """
    return evaluate_many(x, [coefficients], key, scale)[0]


def evaluate_many(
    x: Ciphertext, many: Sequence[Sequence[float]], key: RelinearisationKey, scale: float | None = None
) -> list[Ciphertext]:
    """`evaluate` of several polynomials of one x, which share its powers."""
    plans = [plan(tuple(coefficients)) for coefficients in many]
    depth = max(each.depth for each in plans)
    if x.estimate.bound > 1:
        raise PlaintextOutOfRange("a polynomial is evaluated on [-1, 1]: scale its argument, and declare the bound")
    if x.level < depth:
        raise LevelExhausted(f"this polynomial takes {depth} levels: start at a higher level, or lower its degree")
    powers = {1: x}
    for n in sorted({n for each in plans for n in each.powers}):
        powers[n] = _power(n, powers, key)
    to = x.context.preset.scale if scale is None else scale
    return [_evaluate(each.root, x.level - each.depth, to, powers, key) for each in plans]


def _power(n: int, powers: dict[int, Ciphertext], key: RelinearisationKey) -> Ciphertext:
    """T_n = 2 T_a T_b - T_(a - b)."""
    a, b = powers[(n + 1) // 2], powers[n // 2]
    double = add(a, a)
    found = _odd_power(double, b, powers[1], key) if n % 2 else add_constant(multiply(double, b, key), -1.0)
    return replace(found, estimate=Estimate(1.0, found.estimate.deviation, found.estimate.holders))


def _odd_power(double: Ciphertext, b: Ciphertext, x: Ciphertext, key: RelinearisationKey) -> Ciphertext:
    """double b - x, x multiplied up to the product's scale."""
    level, scale = min(double.level, b.level), double.scale * b.scale
    out = tensor_polynomials(double, b, level)
    rest = add_weighted(out, [x], [-1.0], 0.0, scale, x.context.levels[level])
    return relinearise(Ciphertext(x.context, out, scale, x.key_id, double.estimate * b.estimate + rest), key)


def _evaluate(node: Node, level: int, scale: float, powers: dict[int, Ciphertext], key: RelinearisationKey) -> Ciphertext:
    x = powers[1]
    context, basis = x.context, x.context.levels[level + 1]
    wanted = scale * context.preset.primes[level + 1]
    out, estimate = None, Estimate(0.0, 0.0)
    for k, quotient in node.quotients:
        q = _evaluate(quotient, level + 1, wanted / powers[k].scale, powers, key)
        if out is None:
            out = tensor_polynomials(q, powers[k], level + 1)
        else:
            add_tensor(out, q, powers[k])
        estimate += q.estimate * powers[k].estimate
    if out is None:
        out = np.zeros((2, level + 2, context.degree), np.uint64)
    terms, weights = [powers[i] for i, _ in node.weights], [c for _, c in node.weights]
    estimate += add_weighted(out, terms, weights, node.constant, wanted, basis)
    estimate = Estimate(node.bound, estimate.deviation, x.estimate.holders)
    if not node.quotients:
        return rescaled(out, x, wanted, estimate)
    return relinearise(Ciphertext(context, out, wanted, x.key_id, estimate), key)
