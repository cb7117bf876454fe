"""What one corrupt compute party receives says nothing about what it does not hold.

The corrupt party's components and randomness are fixed; the component that it misses, hence the value, differs between two
runs, and so does the randomness that the honest parties alone share. If every received word is masked by that randomness,
the difference of the two runs' words is uniform. All elements of an input are equal, so that without a mask the difference
is one constant, repeated, and the chi-square test fails: the mutations at the end show that it does, for every mask.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from types import CodeType, FrameType, ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

import native
from protocols import numeric, replicated, sums
from protocols.engine import LARGE, SMALL, Declared, Engine, Secret
from protocols.numeric.exponential import exp, exponential, inverse_half, log
from protocols.numeric.logistic import fold, logistic, mean_and_slope, pearson_roots, sigmoid, softplus
from protocols.numeric.maximum import maximum
from protocols.numeric.reciprocal import reciprocal
from protocols.numeric.roots import roots
from protocols.numeric.solve import FAST, POLISH, improve, inverse, inverse_of, precondition, solve
from protocols.prf import PrfStream
from protocols.replicated import compare, convert, inputs, multiply, opening, rows, split, zero
from protocols.replicated.engine import Replicated
from protocols.replicated.integers import integer_share
from protocols.replicated.sharing import Shares
from protocols.session import Session
from protocols.simulation import Frame, Outcome, Simulation

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
SEES = (0, 2)  # few elements open to the holders of component 0
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


@pytest.mark.parametrize("corrupt", range(3))
@pytest.mark.parametrize("verb", VERBS)
def test_received_words_are_independent_of_what_is_missing(verb: str, corrupt: int) -> None:
    for limbs in (SMALL,) if verb in ROWS_ONLY else (LARGE,) if verb in LARGE_ONLY else (SMALL, LARGE):
        assert view_is_independent(VERBS[verb], corrupt, limbs=limbs)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.endswith(", wide")])
def test_wide_values_are_truncated_from_two_addends(verb: str) -> None:
    rounds = [split.PARTS] * 2 if verb.startswith(("truncate", "lift")) else [split.ADDENDS, split.PARTS, split.PARTS]
    for limbs in (SMALL,) if verb in ROWS_ONLY else (SMALL, LARGE):
        views = [view(VERBS[verb], corrupt, VALUES[0], "one", limbs=limbs, n=6400) for corrupt in range(3)]
        assert [[frame.kind for frame in each] for each in views] == [[], rounds, rounds]


def protocols_of(package: ModuleType) -> dict[CodeType, str]:
    """The public functions of a package's modules that run on an engine or a session: {code: name}."""
    found = {}
    for each in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        module = importlib.import_module(each.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            first = next(iter(inspect.signature(function).parameters), "")
            if function.__module__ == module.__name__ and not name.startswith("_") and first in ("mpc", "session"):
                found[function.__code__] = f"{each.name}.{name}"
    return found


def verbs_of_the_engine() -> dict[CodeType, str]:
    public = [name for name in vars(Engine) if not name.startswith("_") and inspect.isfunction(vars(Engine)[name])]
    return {getattr(Replicated, name).__code__: f"Replicated.{name}" for name in public}


def test_no_protocol_is_without_a_view_test() -> None:
    """Whatever the view tests of this file run is recorded as they run it; what they never call is named."""
    expected = protocols_of(numeric) | protocols_of(replicated) | verbs_of_the_engine()
    assert len(expected) > 60
    called: set[CodeType] = set()

    def watch(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    threading.setprofile(watch)
    try:
        for name, verb in VERBS.items():
            view(verb, 1, VALUES[0], "one", limbs=LARGE if name in LARGE_ONLY else SMALL)
        contributions_view(1, 3, "one", (0, 3))
        rows_view(1, 0.25, "one", (0, 3))
        difference_of_released_shares(SMALL)
    finally:
        threading.setprofile(None)  # type: ignore[arg-type]
    assert sorted(name for code, name in expected.items() if code not in called) == []


@pytest.mark.parametrize("verb", OPENED)
@pytest.mark.parametrize("corrupt", range(3))
def test_openings_in_three_parts_are_independent_of_what_is_missing(verb: str, corrupt: int) -> None:
    assert view_is_independent(VERBS[verb], corrupt, n=MANY)


@pytest.mark.parametrize("corrupt", range(3))
@pytest.mark.parametrize("limbs", [SMALL, LARGE])
def test_bits_in_three_parts_are_independent_of_what_is_missing(limbs: int, corrupt: int) -> None:
    assert view_is_independent(VERBS["is_negative"], corrupt, limbs=limbs, n=MANY_BITS)


@pytest.mark.parametrize("verb", OPENED)
@pytest.mark.parametrize(("n", "corrupt"), [(WORDS, 0), (WORDS, 2), (MANY, 0), (MANY, 1), (MANY, 2)])
def test_whole_openings_are_distributed_alike(verb: str, n: int, corrupt: int) -> None:
    """The top bytes of an opening are not uniform (a sum of masks), but the same for both inputs."""
    tops = []
    for value, seed in zip(VALUES, ("one", "two"), strict=True):
        opened = [f.payload for f in view(VERBS[verb], corrupt, value, seed, n=n) if f.kind == opening.KIND]
        tops.append(np.bincount(native.add(*opened)[..., -1] >> np.uint64(58), minlength=64))
    table = np.stack(tops)
    expected = table.sum(0) / 2
    kept = expected > 5
    assert chisquare(table[0][kept], expected[kept] * table[0][kept].sum() / expected[kept].sum()).pvalue > 1e-6


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


@pytest.mark.parametrize("corrupt", range(3))
@pytest.mark.parametrize("hospitals", [(3,), (0,), (1,), (2,), (0, 1, 2), (1, 3, 4)])
def test_contributions_are_independent_of_the_values(hospitals: tuple[int, ...], corrupt: int) -> None:
    first, second = (contributions_view(corrupt, v, s, hospitals) for v, s in ((3, "one"), (7, "two")))
    assert independent(first, second)


def rows_view(corrupt: int, value: float, honest_seed: str, hospitals: tuple[int, ...]) -> list[Frame]:
    plan = {h: [Declared("a", (WORDS,), 1.0, frac=28)] for h in hospitals}

    def program(session: Session) -> None:
        mine = {"a": np.full(WORDS, value if session.me != corrupt else 0.5)} if session.holds_data else None
        if session.computes:
            holder(session, mine).rows(plan)
        else:
            rows.contribute(session, plan, mine)

    return corrupted(corrupt, honest_seed, max(3, max(hospitals) + 1), hospitals).run(program).views[corrupt]


@pytest.mark.parametrize("corrupt", range(3))
@pytest.mark.parametrize("hospitals", [(3,), (0,), (1,), (2,), (0, 1, 4)])
def test_shared_rows_are_independent_of_the_values(hospitals: tuple[int, ...], corrupt: int) -> None:
    first, second = (rows_view(corrupt, v, s, hospitals) for v, s in ((0.25, "one"), (-0.75, "two")))
    assert independent(first, second)


@pytest.mark.parametrize("limbs", [SMALL, LARGE])
def test_released_shares_say_their_sum_only(limbs: int) -> None:
    assert looks_uniform(difference_of_released_shares(limbs))


def difference_of_released_shares(limbs: int) -> np.ndarray:
    """The same value under the same components, released in two sessions: the three shares, party by party."""
    held = components(0, VALUES[0], limbs, 0)

    def program(session: Session) -> np.ndarray:
        mpc = Replicated(session)
        mine = Shares(*(np.tile(held[(session.me + i) % 3], (WORDS, 1)) for i in range(2)))
        return mpc.release_share(mpc._secret(mine, 28, 1 << 24))

    first, second = (np.stack(Simulation(seed=seed).run(program).results) for seed in ("one", "two"))
    return (first - second).reshape(-1)


@pytest.mark.slow
@pytest.mark.parametrize("corrupt", range(3))
def test_ten_thousand_runs(corrupt: int) -> None:
    """A product and truncations of both forms, in sessions that share only the corrupt party's randomness; 10 200 in all."""

    def verb(mpc: Replicated, x: Secret, y: Secret) -> None:
        mpc.truncate(mpc.mul(x, y, frac=56), 28)
        mpc.truncate(wide(x) * y, 28)

    first, second = (
        np.stack([words(view(verb, corrupt, value, f"{value} {run}", n=1)) for run in range(1_700)]) for value in VALUES
    )
    assert looks_uniform((first - second).reshape(-1))


# -- mutations: each mask removed must turn the test above red ----------------------------------------------------------------


class NoMask(PrfStream):
    """A stream of zeros."""

    def bytes(self, n: int) -> np.ndarray:
        return np.zeros(n, dtype=np.uint8)

    def take(self, n: int) -> tuple[bytes, int]:
        """Always the same blocks: the difference of two such streams is zero."""
        return bytes(16), 0


def remove_stream(monkeypatch: pytest.MonkeyPatch, purpose: str) -> None:
    real = Session.stream

    def without(session: Session, peer: int, asked: str) -> PrfStream:
        return NoMask(bytes(16)) if asked == purpose else real(session, peer, asked)

    monkeypatch.setattr(Session, "stream", without)


@pytest.mark.parametrize(
    ("purpose", "verb", "corrupt"),
    [
        *[(zero.ARITHMETIC, "mul", corrupt) for corrupt in range(3)],
        *[(zero.ARITHMETIC, verb, corrupt) for verb in OPENED for corrupt in SEES],
        *[(zero.XOR, verb, corrupt) for verb in ("is_negative", "in_range") for corrupt in range(3)],
        *[(opening.MASK, verb, corrupt) for verb in OPENED for corrupt in SEES],
        *[
            (purpose, verb, corrupt)
            for purpose in (zero.ARITHMETIC, opening.MASK)
            for verb in ("mul_add", "gram", "logistic")
            for corrupt in SEES
        ],
        *[(convert.CROSS, "is_negative", corrupt) for corrupt in (1, 2)],
        *[(compare.CROSS, "is_negative", corrupt) for corrupt in (1, 2)],
    ],
)
def test_without_a_mask_the_view_test_is_red(purpose: str, verb: str, corrupt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_stream(monkeypatch, purpose)
    assert not view_is_independent(VERBS[verb], corrupt)


WIDE = ("truncate, wide", "mul and truncate, wide", "lift, wide", "row_products, wide")


@pytest.mark.parametrize(
    ("purpose", "verb", "corrupt"),
    [
        *[(split.CROSS, verb, corrupt) for verb in WIDE for corrupt in (1, 2)],
        *[(split.SHARE, verb, 1) for verb in WIDE],
        *[(split.ADDEND_MASK, verb, corrupt) for verb in (WIDE[1], WIDE[3]) for corrupt in (1, 2)],
    ],
)
def test_without_a_mask_of_two_addends_the_view_test_is_red(
    purpose: str, verb: str, corrupt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_stream(monkeypatch, purpose)
    assert not view_is_independent(VERBS[verb], corrupt)


@pytest.mark.parametrize("purpose", [zero.ARITHMETIC, opening.MASK])
@pytest.mark.parametrize("verb", OPENED)
@pytest.mark.parametrize("corrupt", range(3))
def test_without_a_mask_of_three_parts_the_view_test_is_red(
    purpose: str, verb: str, corrupt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove_stream(monkeypatch, purpose)
    assert not view_is_independent(VERBS[verb], corrupt, n=MANY)


@pytest.mark.parametrize("corrupt", range(3))
def test_without_a_mask_bits_in_three_parts_are_seen_by_every_party(corrupt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_stream(monkeypatch, convert.CROSS)
    assert not view_is_independent(VERBS["is_negative"], corrupt, n=MANY_BITS)


class HalfMasked(PrfStream):
    """A stream of pairs, of which one half is zeros."""

    def __init__(self, real: PrfStream, removed: int) -> None:
        self._real, self._removed = real, removed

    def ring(self, shape: tuple[int, ...], limbs: int) -> np.ndarray:
        drawn = self._real.ring(shape, limbs).copy()
        drawn[self._removed] = 0
        return drawn


@pytest.mark.parametrize("corrupt", [1, 2])
@pytest.mark.parametrize("verb", WIDE)
@pytest.mark.parametrize("removed", [0, 1], ids=["c", "t"])
def test_without_half_of_a_cross_product_the_view_test_is_red(
    removed: int, verb: str, corrupt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Session.stream

    def without(session: Session, peer: int, asked: str) -> PrfStream:
        stream = real(session, peer, asked)
        return HalfMasked(stream, removed) if asked == split.CROSS else stream

    monkeypatch.setattr(Session, "stream", without)
    assert not view_is_independent(VERBS[verb], corrupt)


@pytest.mark.parametrize(("owner", "corrupt"), [(0, 1), (1, 2), (2, 0)])
def test_without_the_input_mask_a_contribution_is_seen(owner: int, corrupt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    remove_stream(monkeypatch, inputs.STREAM)
    first, second = (contributions_view(corrupt, v, s, (owner,)) for v, s in ((3, "one"), (7, "two")))
    assert not independent(first, second)


@pytest.mark.parametrize("corrupt", range(3))
def test_deleting_the_zero_share_of_a_product_is_red(corrupt: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiply, "add_zero_share", lambda _session, x: x)
    assert not view_is_independent(VERBS["mul"], corrupt)


def test_deleting_the_zero_share_of_a_release_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "add_zero_share", lambda _session, x: x)
    assert not looks_uniform(difference_of_released_shares(SMALL))


def test_the_corrupt_party_is_what_is_fixed() -> None:
    """The same honest randomness twice gives the same view: the tests above compare what they claim to."""
    outcome: list[list[Frame]] = [view(VERBS["clamp"], 1, VALUES[0], "one") for _ in range(2)]
    np.testing.assert_array_equal(words(outcome[0]), words(outcome[1]))
    assert isinstance(Simulation().run(lambda session: session.me), Outcome)
