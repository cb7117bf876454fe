"""What parties tell each other is bound to job, verdict and member."""

from pathlib import Path

import pytest

from engine.errors import NotAuthorised, SignatureInvalid
from engine.party import notices
from engine.party.notices import VERDICTS
from engine.wire.v1.party_link_pb2 import JobNotice
from tests.engine.party.party_study import Study, make_keys, make_study

JOB = "ab" * 32


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder: Path = tmp_path_factory.mktemp("study")
    return make_study(folder, make_keys(folder / "keys"))


@pytest.mark.parametrize("verdict", sorted(VERDICTS))
def test_a_signed_notice_verifies(study: Study, verdict: str) -> None:
    assert notices.verify(study.charter, "um", notices.sign(study.keys["um"], JOB, verdict)) == (JOB, verdict)
    assert len(verdict) <= 16  # the transport's limit


def test_a_notice_of_another_member_job_or_verdict_is_refused(study: Study) -> None:
    notice = notices.sign(study.keys["um"], JOB, "approved")
    with pytest.raises(SignatureInvalid):
        notices.verify(study.charter, "iu", notice)
    for changes in ({"job": b"\xcd" * 32}, {"verdict": "start"}, {"signature": b"\0" * 64}):
        fields = {"job": notice.job, "verdict": notice.verdict, "signature": notice.signature, **changes}
        with pytest.raises(SignatureInvalid):
            notices.verify(study.charter, "um", JobNotice(**fields))


def test_a_verdict_that_nobody_knows_is_refused_though_signed(study: Study) -> None:
    with pytest.raises(SignatureInvalid, match="version"):
        notices.verify(study.charter, "um", notices.sign(study.keys["um"], JOB, "perhaps"))


def test_a_stranger_says_nothing(study: Study) -> None:
    with pytest.raises(NotAuthorised):
        notices.verify(study.charter, "mallory", notices.sign(study.keys["um"], JOB, "approved"))
