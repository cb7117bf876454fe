"""Members of a study whose lines the relay joins."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from engine.charter import Charter
from engine.identity import Identity
from tests.engine.party.party_study import make_charter, make_keys


@pytest.fixture(scope="module")
def keys() -> dict[str, Identity]:
    with tempfile.TemporaryDirectory() as name:
        return make_keys(Path(name))


@pytest.fixture(scope="module")
def charter(keys: dict[str, Identity]) -> Charter:
    return make_charter(keys)
