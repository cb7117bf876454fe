"""A plan as a document: one meaning, one byte string, one signature, and limits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import canonical, plan, spec
from engine.errors import Expired, SignatureInvalid, SpecError
from engine.plan import AnalysisPlan, SignedPlan

KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
STUDY = "0" * 64


def question(researcher: str = "ana", **fields: Any) -> spec.Spec:
    return spec.new(study=STUDY, researcher=researcher, **{"analysis": "ols", "formula": "y ~ x", **fields})


def drafted(*questions: spec.Spec, **fields: Any) -> AnalysisPlan:
    envelope = {"study": STUDY, "researcher": "ana", "title": "Primary analysis", "purpose": "Does it help?", **fields}
    return plan.new(questions=list(questions) or [question(), question(analysis="describe", columns=["x"])], **envelope)


PLAN = drafted()
SIGNED = plan.sign(PLAN, KEY)


def signed(document: Any) -> SignedPlan:
    data = document if isinstance(document, bytes) else canonical.to_bytes(document)
    return SignedPlan(data, canonical.sign(KEY, plan.DOMAIN, data))


def test_a_plan_comes_back_as_it_was_written() -> None:
    assert SIGNED.open(PUBLIC) == PLAN
    assert SIGNED.job_id == PLAN.id
    assert PLAN.job_ids == tuple(spec.sign(each, KEY).job_id for each in PLAN.questions)  # as each has alone


def test_a_plan_in_another_order_is_another_plan_of_the_same_jobs() -> None:
    turned = drafted(*reversed(PLAN.questions))
    assert turned.id != PLAN.id
    assert turned.job_ids == PLAN.job_ids[::-1]


@settings(deadline=None)
@given(st.integers(0, 8 * len(SIGNED.data) - 1))
def test_every_flipped_bit_is_refused(bit: int) -> None:
    data = bytearray(SIGNED.data)
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureInvalid):
        SignedPlan(bytes(data), SIGNED.signature).open(PUBLIC)


@pytest.mark.parametrize(
    "signature",
    [b"", bytes(64), canonical.sign(OTHER, plan.DOMAIN, SIGNED.data), canonical.sign(KEY, spec.DOMAIN, SIGNED.data)],
    ids=["none", "zeros", "another key", "another domain"],
)
def test_another_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        SignedPlan(SIGNED.data, signature).open(PUBLIC)


def test_a_questions_signature_does_not_serve_for_a_plan_nor_a_plans_for_a_question() -> None:
    with pytest.raises(SignatureInvalid):
        spec.SignedSpec(SIGNED.data, SIGNED.signature).open(PUBLIC)


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(PLAN.model_dump(mode="json"), sort_keys=True).encode(),
        json.dumps(PLAN.model_dump(mode="json"), separators=(",", ":")).encode(),
        SIGNED.data + b"\n",
    ],
    ids=["spaces", "order of keys", "a line end"],
)
def test_another_spelling_is_refused_even_when_signed(data: bytes) -> None:
    assert plan.parse(data) == PLAN
    with pytest.raises(SpecError, match="canonical"):
        signed(data).open(PUBLIC)


DOCUMENT = PLAN.model_dump(mode="json")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"questions": []}, "questions"),
        ({"questions": DOCUMENT["questions"][:1] * 2}, "the same one"),
        ({"questions": [question("ben").model_dump(mode="json")]}, "researcher's name"),
        ({"study": "1" * 64}, "the plan's study"),
        ({"title": ""}, "title"),
        ({"title": "two\nlines"}, "plain text"),
        ({"purpose": "clear \x1b[2J the screen"}, "plain text"),
        ({"purpose": ""}, "purpose"),
        ({"version": 2}, "version"),
        ({"more": 1}, "more"),
        ({"questions": [{**DOCUMENT["questions"][0], "options": {"a": 1, "b": None}}]}, "questions.0.options"),
    ],
)
def test_what_is_no_plan_is_refused_with_the_reason(change: dict[str, Any], what: str) -> None:
    with pytest.raises(SpecError, match=what):
        signed({**DOCUMENT, **change}).open(PUBLIC)


def test_a_plan_has_so_many_questions_and_no_more() -> None:
    questions = [question() for _ in range(plan.MAX_QUESTIONS + 1)]
    assert len(drafted(*questions[1:]).questions) == plan.MAX_QUESTIONS
    with pytest.raises(SpecError, match="questions"):
        drafted(*questions)


def test_a_plan_has_so_many_bytes_and_no_more() -> None:
    long = [question(where="x > 1" + " or x > 1" * 1100) for _ in range(30)]
    with pytest.raises(SpecError, match="split"):
        drafted(*long)
    with pytest.raises(SpecError, match="split"):
        signed(bytes(plan.MAX_PLAN_BYTES + 1)).open(PUBLIC)


def test_a_plan_expires_with_the_first_of_its_questions() -> None:
    soon, late = (question(lifetime=timedelta(days=days)) for days in (2, 5))
    both = drafted(late, soon)
    assert both.expires == soon.expires
    both.check_not_expired(datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(Expired, match="question 2 of the plan"):
        both.check_not_expired(datetime.now(UTC) + timedelta(days=3))


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=12)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4))
IN_QUESTION = st.tuples(st.sampled_from(sorted(DOCUMENT["questions"][0])), TREES).map(
    lambda change: {**DOCUMENT, "questions": [{**DOCUMENT["questions"][0], change[0]: change[1]}]}
)
IN_PLAN = st.tuples(st.sampled_from(sorted(DOCUMENT)), TREES).map(lambda change: {**DOCUMENT, change[0]: change[1]})
BYTES = (
    st.binary(max_size=300) | (IN_PLAN | IN_QUESTION | TREES).map(lambda tree: json.dumps(tree).encode()) | st.just(b"[" * 3000)
)


@settings(deadline=None)
@given(BYTES)
def test_a_signed_plan_is_read_as_it_stands_or_a_spec_error(data: bytes) -> None:
    try:
        assert signed(data).open(PUBLIC).to_bytes() == data
    except SpecError:
        return


@pytest.mark.parametrize("options", [{"a": float("nan")}, {"a": "\ud800"}], ids=["no number", "half a character"])
def test_what_has_no_canonical_form_is_a_spec_error(options: dict[str, Any]) -> None:
    document = {**DOCUMENT["questions"][0], "options": options}
    for data, kind, domain in (
        (json.dumps(document).encode(), spec.SignedSpec, spec.DOMAIN),
        (json.dumps({**DOCUMENT, "questions": [document]}).encode(), SignedPlan, plan.DOMAIN),
    ):
        with pytest.raises(SpecError):
            kind(data, canonical.sign(KEY, domain, data)).open(PUBLIC)
