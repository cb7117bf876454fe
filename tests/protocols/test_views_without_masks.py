"""Every mask is seen by the tests of views: where one is removed, what a corrupt party receives says something."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.engine import SMALL
from protocols.prf import PrfStream
from protocols.replicated import compare, convert, inputs, multiply, opening, split, zero
from protocols.session import Session
from tests.protocols.views import (
    MANY,
    MANY_BITS,
    OPENED,
    VERBS,
    contributions_view,
    difference_of_released_shares,
    independent,
    looks_uniform,
    view_is_independent,
)

SEES = (0, 2)  # few elements open to the holders of component 0


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
