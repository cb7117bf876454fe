"""What one corrupt compute party receives says nothing about what it does not hold.

The corrupt party's components and randomness are fixed; the component that it misses, hence the value, differs between two
runs, and so does the randomness that the honest parties alone share. If every received word is masked by that randomness,
the difference of the two runs' words is uniform. All elements of an input are equal, so that without a mask the difference
is one constant, repeated, and the chi-square test fails: test_views_without_masks.py shows that it does, for every mask.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import threading
from types import CodeType, FrameType, ModuleType

import numpy as np
import pytest
from scipy.stats import chisquare

import native
from protocols import numeric, replicated
from protocols.engine import LARGE, SMALL, Engine, Secret
from protocols.replicated import opening, split
from protocols.replicated.engine import Replicated
from protocols.simulation import Frame, Outcome, Simulation
from tests.protocols.views import (
    LARGE_ONLY,
    MANY,
    MANY_BITS,
    OPENED,
    ROWS_ONLY,
    VALUES,
    VERBS,
    WORDS,
    contributions_view,
    difference_of_released_shares,
    independent,
    looks_uniform,
    rows_view,
    view,
    view_is_independent,
    wide,
    words,
)


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
    """Whatever the view tests run is recorded as they run it; what they never call is named."""
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


@pytest.mark.parametrize("corrupt", range(3))
@pytest.mark.parametrize("hospitals", [(3,), (0,), (1,), (2,), (0, 1, 2), (1, 3, 4)])
def test_contributions_are_independent_of_the_values(hospitals: tuple[int, ...], corrupt: int) -> None:
    first, second = (contributions_view(corrupt, v, s, hospitals) for v, s in ((3, "one"), (7, "two")))
    assert independent(first, second)


@pytest.mark.parametrize("corrupt", range(3))
@pytest.mark.parametrize("hospitals", [(3,), (0,), (1,), (2,), (0, 1, 4)])
def test_shared_rows_are_independent_of_the_values(hospitals: tuple[int, ...], corrupt: int) -> None:
    first, second = (rows_view(corrupt, v, s, hospitals) for v, s in ((0.25, "one"), (-0.75, "two")))
    assert independent(first, second)


@pytest.mark.parametrize("limbs", [SMALL, LARGE])
def test_released_shares_say_their_sum_only(limbs: int) -> None:
    assert looks_uniform(difference_of_released_shares(limbs))


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


def test_the_corrupt_party_is_what_is_fixed() -> None:
    """The same honest randomness twice gives the same view: the tests above compare what they claim to."""
    outcome: list[list[Frame]] = [view(VERBS["clamp"], 1, VALUES[0], "one") for _ in range(2)]
    np.testing.assert_array_equal(words(outcome[0]), words(outcome[1]))
    assert isinstance(Simulation().run(lambda session: session.me), Outcome)
