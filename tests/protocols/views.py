"""Every verb and protocol as one corrupt party sees it, and whether two such views differ by noise alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import chisquare

import native
from protocols import sums
from protocols.engine import SMALL, Declared, Secret
from protocols.numeric.exponential import exp, exponential, inverse_half, log
from protocols.numeric.logistic import fold, logistic, mean_and_slope, pearson_roots, sigmoid, softplus
from protocols.numeric.maximum import maximum
from protocols.numeric.reciprocal import reciprocal
from protocols.numeric.roots import roots
from protocols.numeric.solve import FAST, POLISH, improve, inverse, inverse_of, precondition, solve
from protocols.replicated import opening, rows, split
from protocols.replicated.engine import Replicated
from protocols.replicated.integers import integer_share
from protocols.replicated.sharing import Shares
from protocols.session import Session
from protocols.simulation import Frame, Simulation

WORDS = 10_048  # 157 whole words of bits, and few enough for openings in one part
MANY = opening.BALANCED_FROM + 1  # openings in three parts
MANY_BITS = opening.BALANCED_FROM + 128  # bits in three parts of whole words, one of them larger
VALUES = (3 << 20, -(7 << 20))  # the two honest inputs
Verb = Callable[[Replicated, Secret, Secret], object]

VERBS: dict[str, Verb] = {
    "mul": lambda mpc, x, y: mpc.mul(x, y, frac=x.frac + y.frac),
    "mul and truncate": lambda mpc, x, y: x * y,
    "matmul": lambda mpc, x, y: mpc.matmul(x.reshape(-1, 1), y[:1].reshape(1, 1)),
    "truncate": lambda mpc, x, y: mpc.truncate(x, 10),
    "lift": lambda mpc, x, y: mpc.lift(x),
    "narrow": lambda mpc, x, y: mpc.narrow(x) * mpc.narrow(y),
    "is_negative": lambda mpc, x, y: mpc.is_negative(x),
    "is_negative, blurred": lambda mpc, x, y: mpc.is_negative(x, blur=8),
    "in_range": lambda mpc, x, y: mpc.in_range(x[:640], 100),
    "select": lambda mpc, x, y: mpc.select(mpc.is_negative(x), x, y),
    "clamp": lambda mpc, x, y: mpc.clamp(x, 0.01),
    "mul_add": lambda mpc, x, y: mpc.mul_add(x, y, mpc.rescale_up(y, 2 * y.frac), frac=y.frac),
    "row_products": lambda mpc, x, y: mpc.row_products(x[:6400].reshape(100, 64), y[:6400].reshape(100, 64)),
    "gram": lambda mpc, x, y: gram(mpc, x[:6400].reshape(100, 64)),
    "mul and truncate, wide": lambda mpc, x, y: wide(x) * y,
    "matmul, wide": lambda mpc, x, y: mpc.matmul(wide(x).reshape(-1, 1), y[:1].reshape(1, 1)),
    "mul_add, wide": lambda mpc, x, y: mpc.mul_add(wide(x, 40), y, mpc.rescale_up(y, 2 * y.frac), frac=y.frac),
    "truncate, wide": lambda mpc, x, y: mpc.truncate(wide(x), 10),
    "truncate by two words, wide": lambda mpc, x, y: mpc.truncate(replace(wide(x), frac=90), 84),
    "lift, wide": lambda mpc, x, y: mpc.lift(wide(x)),
    "row_products, wide": lambda mpc, x, y: mpc.row_products(wide(x[:6400], 40).reshape(100, 64), y[:6400].reshape(100, 64)),
    "gram, wide": lambda mpc, x, y: gram(mpc, wide(x[:6400], 74).reshape(100, 64)),
    "sigmoid": lambda mpc, x, y: sigmoid(mpc, x[:640]),
    "logistic": lambda mpc, x, y: logistic(mpc, x[:640], with_softplus=True),
    "mean_and_slope": lambda mpc, x, y: mean_and_slope(mpc, fold(mpc, x[:640])),
    "softplus": lambda mpc, x, y: softplus(mpc, fold(mpc, x[:640])),
    "pearson_roots": lambda mpc, x, y: pearson_roots(mpc, fold(mpc, x[:640]), bits_of(mpc, y[:640])),
    "exponential": lambda mpc, x, y: exponential(mpc, x[:640], Fraction(1)),
    "inverse_half": lambda mpc, x, y: inverse_half(mpc, exponential(mpc, x[:640], Fraction(1))),
    "maximum": lambda mpc, x, y: maximum(mpc, mpc.stack([x[:640], y[:640], 2 * x[:640]]), 0),
    "reciprocal": lambda mpc, x, y: reciprocal(mpc, fine(x[:320]), 2.0**-48),
    "roots": lambda mpc, x, y: roots(mpc, fine(x[:320]), 2.0**-48),
    "exp": lambda mpc, x, y: exp(mpc, fine(x[:320])),
    "log": lambda mpc, x, y: log(mpc, fine(x[:320]), 2.0**-48),
    "solve": lambda mpc, x, y: solve(mpc, near_identity(x), fine(y[:40].reshape(20, 2)), 32.0, 8.0),
    "preconditioned inverse": lambda mpc, x, y: preconditioned_inverse(mpc, near_identity(x), near_identity(y)),
    "integer shares": lambda mpc, x, y: integer_share(mpc.session, x.data, x.bound),
    "public_random_bytes": lambda mpc, x, y: mpc.public_random_bytes(WORDS),
}
OPENED = ("mul and truncate", "truncate", "lift")
ROWS_ONLY = {
    "lift",
    "row_products",
    "gram",
    "lift, wide",
    "row_products, wide",
    "gram, wide",
    "sigmoid",
    "logistic",
    "mean_and_slope",
    "softplus",
    "pearson_roots",
    "exponential",
    "inverse_half",
}
LARGE_ONLY = {"narrow", "reciprocal", "roots", "exp", "log", "solve", "preconditioned inverse"}


def gram(mpc: Replicated, x: Secret) -> Secret:
    return mpc.row_products(x, x, symmetric=True)


def wide(x: Secret, below: int = 28) -> Secret:
    """x with a bound `below` bits under the ring's width: masks would not hide enough, so it is truncated from two addends."""
    return replace(x, bound=1 << (64 * x.limbs - below))


def bits_of(mpc: Replicated, y: Secret) -> Secret:
    """0/1 values."""
    return mpc.is_negative(y)


def fine(x: Secret) -> Secret:
    """The same units at the scale of Z_2^256."""
    return replace(x, frac=64)


def near_identity(x: Secret) -> Secret:
    """A symmetric matrix."""
    return fine(x[:400].reshape(20, 20)) + np.eye(20, dtype=np.int64)


def preconditioned_inverse(mpc: Replicated, M: Secret, H: Secret) -> object:
    X0, _ = inverse(mpc, M, 32.0, norm_log2=6)
    return inverse_of(mpc, improve(mpc, precondition(mpc, X0, H), FAST + POLISH), H)


def components(corrupt: int, value: int, limbs: int, label: int) -> list[np.ndarray]:
    """The three components of a value, those of the corrupt party depending on `label` alone."""
    rng = np.random.default_rng(label)
    held = rng.integers(0, 2**64, size=(2, limbs), dtype=np.uint64)
    missing = native.sub(native.sub(native.from_ints(value, limbs), held[0]), held[1])
    return [{corrupt: held[0], (corrupt + 1) % 3: held[1]}.get(c, missing) for c in range(3)]


def view(verb: Verb, corrupt: int, value: int, honest_seed: str, limbs: int = SMALL, n: int = WORDS) -> list[Frame]:
    shared = [components(corrupt, v, limbs, label) for label, v in enumerate((value, value // 2))]

    def program(session: Session) -> None:
        mpc = Replicated(session)
        mine = [[np.tile(c[(session.me + i) % 3], (n, 1)) for i in range(2)] for c in shared]
        verb(mpc, *(mpc._secret(Shares(*parts), 28, 1 << 24) for parts in mine))

    return corrupted(corrupt, honest_seed).run(program).views[corrupt]


def corrupted(corrupt: int, honest_seed: str, members: int = 3, hospitals: tuple[int, ...] = ()) -> Simulation:
    """A cast in which everything that the corrupt party draws is fixed, and nothing that the others share."""
    honest = [i for i in range(members) if i != corrupt]
    return Simulation(
        members,
        hospitals,
        seed="corrupt",
        secret_seeds=dict.fromkeys(combinations(honest, 2), honest_seed),
        entropy_seeds=dict.fromkeys(honest, honest_seed),
    )


def words(frames: list[Frame]) -> np.ndarray:
    return np.concatenate([frame.payload.reshape(-1) for frame in frames] or [np.empty(0, dtype=np.uint64)])


def openings(frames: list[Frame]) -> np.ndarray:
    """The sums of what a party receives in each masked opening: what it learns beside the single shares. Lowest limbs."""
    opened = [frame for frame in frames if frame.kind == opening.KIND]
    pairs = [native.add(a.payload, b.payload) for a, b in zip(opened[::2], opened[1::2], strict=True)]
    return np.concatenate([pair[..., 0].reshape(-1) for pair in pairs] or [np.empty(0, dtype=np.uint64)])


def products_of_top_bits(frames: list[Frame]) -> np.ndarray:
    """e - h of each truncation from two addends: what parties 1 and 2 learn of A B, where B = 1, beside the single words."""
    parts = [frame for frame in frames if frame.kind == split.PARTS]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    found = [e.payload[e.payload.size - h.payload.size :] - h.payload.reshape(-1) for e, h in pairs]
    return np.concatenate(found or [np.empty(0, dtype=np.uint64)])


def parts_and_addends(frames: list[Frame], drop: int = 28) -> np.ndarray:
    """2^f y_1 + (z_2 + r_2) of each truncation or lift of additive shares: what party 1 learns of z, were y_1 not masked anew.

    All verbs here that multiply drop 28 bits.
    """
    found = [np.empty(0, dtype=np.uint64)]
    for at, addend in enumerate(frames):
        if addend.kind != split.ADDENDS or frames[at + 1].payload.size == frames[at + 2].payload.size:
            continue  # party 2 receives no y
        limbs = addend.payload.shape[-1]
        z_2 = addend.payload.reshape(-1, limbs)
        y_1 = frames[at + 1].payload[: -frames[at + 2].payload.size].reshape(len(z_2), -1)
        shifted = native.shift_left(y_1, drop) if y_1.shape[-1] == limbs else native.narrow(y_1)
        found.append(native.add(shifted, z_2).reshape(-1))
    return np.concatenate(found)


def looks_uniform(difference: np.ndarray) -> bool:
    if difference.size == 0:
        return True
    counts = np.bincount(difference.view(np.uint8), minlength=256)
    return bool(chisquare(counts).pvalue > 1e-6)


def independent(first: list[Frame], second: list[Frame]) -> bool:
    """Whether two views differ by uniform noise: in the words received, and in all that puts several of them together."""
    assert [(f.kind, f.sender, f.payload.shape) for f in first] == [(f.kind, f.sender, f.payload.shape) for f in second]
    together = (words, openings, products_of_top_bits, parts_and_addends)
    return all(looks_uniform(learnt(first) - learnt(second)) for learnt in together)


def view_is_independent(verb: Verb, corrupt: int, **shape: Any) -> bool:
    return independent(view(verb, corrupt, VALUES[0], "one", **shape), view(verb, corrupt, VALUES[1], "two", **shape))


def holder(session: Session, mine: dict[str, np.ndarray] | None) -> Replicated:
    """The engine of a compute party, its own numbers ready where it holds data."""
    mpc = Replicated(session)
    if mine is not None:
        mpc.contribute(mine)
    return mpc


def contributions_view(corrupt: int, count: int, honest_seed: str, hospitals: tuple[int, ...]) -> list[Frame]:
    declared = [Declared("a", (WORDS,), 100.0, frac=0)]

    def program(session: Session) -> None:
        mine = {"a": np.full(WORDS, count if session.me != corrupt else 1)} if session.holds_data else None
        if session.computes:
            holder(session, mine).totals(declared)
        else:
            assert mine is not None
            sums.contribute(session, declared, mine)

    members = max(3, max(hospitals) + 1)
    return corrupted(corrupt, honest_seed, members, hospitals).run(program).views[corrupt]


def rows_view(corrupt: int, value: float, honest_seed: str, hospitals: tuple[int, ...]) -> list[Frame]:
    plan = {h: [Declared("a", (WORDS,), 1.0, frac=28)] for h in hospitals}

    def program(session: Session) -> None:
        mine = {"a": np.full(WORDS, value if session.me != corrupt else 0.5)} if session.holds_data else None
        if session.computes:
            holder(session, mine).rows(plan)
        else:
            rows.contribute(session, plan, mine)

    return corrupted(corrupt, honest_seed, max(3, max(hospitals) + 1), hospitals).run(program).views[corrupt]


def difference_of_released_shares(limbs: int) -> np.ndarray:
    """The same value under the same components, released in two sessions: the three shares, party by party."""
    held = components(0, VALUES[0], limbs, 0)

    def program(session: Session) -> np.ndarray:
        mpc = Replicated(session)
        mine = Shares(*(np.tile(held[(session.me + i) % 3], (WORDS, 1)) for i in range(2)))
        return mpc.release_share(mpc._secret(mine, 28, 1 << 24))

    first, second = (np.stack(Simulation(seed=seed).run(program).results) for seed in ("one", "two"))
    return (first - second).reshape(-1)
