"""The leverage rule: nobody decides a coefficient alone.

Somebody's leverage is how much of the own response a fit gives back: h = z' (Z'Z)^-1 z for a row z; for a person with several,
the largest eigenvalue of (Z'Z)^-1 P with P = sum z z'. Above one half the fit says more about that person than about all others.

LOCAL    Whoever is above 1/2 among all hospitals' rows is so among the own hospital's, because the pooled Z'Z is larger. The
         hospital finds these people in one pass (in the Gram matrix so far, leverages never grow and add up to d at most, so that
         no more than 2 d / 0.9 people are ever kept) and contributes S, the sum of their P. Fewer than ten are joined by people
         of little leverage, so that S is never about a few.
JOINT    tr((X S)^4) with X = (Z'Z)^-1 is the sum of the fourth powers of the eigenvalues of K = X^(1/2) S X^(1/2), the largest of
         which is at least the leverage of anybody in S. Above 1/16 the answer is refused.

So nobody above 1/2 passes. Where hospitals have few rows for each parameter, many people are in S, and some answers are refused
that need not be: the price of never comparing one person's row on shares.

Ranges: S <= Z'Z, so K <= 1, also for the damped inverse, and |X S|_ij = |(X^(1/2) K X^(-1/2))_ij| <= sqrt(X_ii) <= 2^23.4; the
same for its square. Fixed-point errors are at most d 2^-14 in X S and d^2 2^12 in its square. Columns so collinear that these
matter get no answer anyway (inference.Trust).
Leaks: the bit. It opens after the solve, so that a refusal for leverage comes later than others. Two compute parties that
collude see the pooled S, as they see every other total.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import linalg

from engine.analyses import people
from engine.analyses.bits import flat, negation
from engine.analyses.moments import Symmetric
from engine.analyses.normalise import declare_sum, scaled
from engine.analyses.sums import DoubleDouble
from protocols.engine import LARGE_FRAC, Declared, Engine, Secret

MOST = 0.5
FEWEST_PEOPLE = 10  # in S, unless the hospital has fewer
SUSPECT = 0.9 * MOST  # leverages in float64 err by far less than a tenth
RIDGE = 1e-15  # of the trace: a narrower direction is no direction of the pooled fit either
ROUNDINGS = 2.0**-8  # how far below 0 they may take the trace
LARGEST_LOG2 = 24  # entries of X S
SQUARE_LOG2 = 34  # and of its square
BOUND = "S <= Z'Z: engine/analyses/leverage.py, Ranges"


class Influential:
    """One hospital's people of high leverage, found in one pass over its batches."""

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []  # rows of one person each
        self._cover: list[np.ndarray] = []

    def add(self, z: np.ndarray, persons: np.ndarray | None, gram: np.ndarray) -> None:
        """Design rows z (rows, d), none of whose `persons` is in another batch; z'z (d, d) of all rows so far, these included."""
        if not len(z):
            return
        self._kept = [rows for rows in self._kept if _leverages(rows, gram).sum() > SUSPECT]
        lacking = FEWEST_PEOPLE - len(self._cover)
        if lacking <= 0 and _nobody_above(z, persons, gram):
            return
        found = people.sum_by_person(_leverages(z, gram), persons)
        starts = np.arange(len(z) + 1) if persons is None else np.append(people.starts(persons), len(z))

        def rows_of(chosen: np.ndarray) -> list[np.ndarray]:
            return [z[starts[person] : starts[person + 1]].copy() for person in chosen]

        self._kept += rows_of(np.flatnonzero(found > SUSPECT))
        if lacking > 0:
            order = np.argsort(found, kind="stable")
            self._cover += rows_of(order[found[order] <= SUSPECT][:lacking])

    def total(self, columns: int) -> np.ndarray:
        """S (d, d): zeros where nobody is above."""
        cover = self._cover[: max(0, FEWEST_PEOPLE - len(self._kept))] if self._kept else []
        return sum((rows.T @ rows for rows in (*self._kept, *cover)), np.zeros((columns, columns)))


def declared(columns: int, rows_log2: int) -> Declared:
    return declare_sum("influential", (Symmetric(columns).entries,), rows_log2)


def contributed(S: np.ndarray) -> DoubleDouble:
    return Symmetric(len(S)).vector(DoubleDouble(S, np.zeros_like(S)))


def _leverages(z: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """(rows,)."""
    eigenvalues, directions = linalg.eigh(gram)
    whitened = z @ (directions / np.sqrt(np.maximum(eigenvalues, RIDGE * (1.0 + np.trace(gram)))))
    return np.asarray(np.einsum("ij,ij->i", whitened, whitened))


def _nobody_above(z: np.ndarray, persons: np.ndarray | None, gram: np.ndarray) -> bool:
    """Found quickly: a leverage is at most z'z over the least eigenvalue, and z'z at most d."""
    enough = SUSPECT * linalg.eigvalsh(gram, subset_by_index=(0, 0))[0]
    if persons is None and z.shape[1] <= enough:
        return True
    lengths = people.sum_by_person(np.einsum("ji,ji->i", z.T, z.T), persons)
    return bool(lengths.max() <= enough)


def excess(mpc: Engine, XS: Secret) -> Secret:
    """(2,), one of which is negative where somebody's leverage may be above MOST: 1/16 less t = tr((X S)^4), and t itself but for
    roundings, in case errors have made it anything at all. 2 products."""
    d = XS.shape[0]
    XS = mpc.bounded(XS, 1 << (LARGEST_LOG2 + LARGE_FRAC), BOUND)
    square = mpc.bounded(XS @ XS, 1 << (SQUARE_LOG2 + LARGE_FRAC), BOUND)
    fourth = mpc.matmul(mpc.reshape(square, (1, d * d)), mpc.reshape(square.T, (d * d, 1)), frac=LARGE_FRAC)
    trace = replace(flat(mpc, fourth), frac=0)
    return mpc.concat([trace + int(ROUNDINGS * 2**LARGE_FRAC), int(MOST**4 * 2**LARGE_FRAC) - trace])


def refusal(mpc: Engine, X: Secret, total: Secret, power: Secret, rows_log2: int, singular: Secret) -> Secret:
    """1 where the answer is refused, (), for X of a fit that is not `singular`: what is not determined has no leverages to speak
    of. `total` of what `declared` says. A comparison and five products."""
    S = Symmetric(X.shape[0]).full(mpc, scaled(mpc, total, power, rows_log2))
    return refused(mpc, mpc.is_negative(excess(mpc, X @ S)), singular)


def refused(mpc: Engine, signs: Secret, singular: Secret) -> Secret:
    """1 where one of the signs of `excess` is, (), unless the fit is singular."""
    found = mpc.bounded(mpc.sum(signs), 1, "no number lies below 0 and above 1/16")
    return mpc.bounded(mpc.mul(found, negation(mpc, singular)), 1, "a product of bits")
