"""The stand-in for all analyses, where a test of the daemon does not care which."""

import pytest
from tests.engine.party.party_study import FakeAnalysis

from engine import analyses


@pytest.fixture
def fake_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyses, "build", FakeAnalysis, raising=False)
