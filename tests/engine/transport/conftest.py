"""Fixtures: keys made once, studies that are stopped at the end of a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from engine import identity
from engine.identity import Identity
from tests.engine.transport.studies import NAMES, Loop, Study


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.stop()


@pytest.fixture(scope="session")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: identity.create(name, folder / name) for name in (*NAMES, "rosa")}


@pytest.fixture
def study(loop: Loop, identities: dict[str, Identity]) -> Iterator[Callable[..., Study]]:
    """Makes a study of `parties` daemons (not started) and stops them all at the end."""
    made: list[Study] = []

    def make(parties: int = 3, deadline: float = 2.0) -> Study:
        chosen = {name: identities[name] for name in (*NAMES[:parties], "rosa")}
        made.append(Study(loop, chosen, deadline))
        return made[-1]

    yield make
    for each in made:
        each.stop_all()


@pytest.fixture
def stranger(tmp_path: Path) -> Callable[..., Identity]:
    """A self-made identity that no charter holds."""

    def make(name: str, valid_for: timedelta = timedelta(days=1)) -> Identity:
        return identity.create(name, tmp_path / "strangers" / name, valid_for=valid_for)

    return make
