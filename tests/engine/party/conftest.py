"""The stand-in for all analyses, where a test of the daemon does not care which."""

import pytest

from engine import analyses
from tests.engine.party.stand_ins import FakeAnalysis


@pytest.fixture
def fake_analysis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyses, "build", FakeAnalysis, raising=False)
