"""Who may ask what: signatures over exact bytes, the charter's limits, a party's own policy."""

import json
from dataclasses import replace

import pytest

from engine import canonical, spec
from engine.errors import CohortError, FormulaError, NotAuthorised, SignatureInvalid, SpecError, UnknownColumn
from engine.identity import Identity
from engine.party import policy
from engine.party.config import PolicySection
from engine.party.describe import describe_openings, describe_question
from engine.party.policy import Decision
from engine.spec import SignedSpec
from tests.engine.party.party_study import EVERYTHING, HOSPITALS, Study, make_keys, make_study

pytestmark = pytest.mark.usefixtures("fake_analysis")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def study(keys: dict[str, Identity], tmp_path_factory: pytest.TempPathFactory) -> Study:
    return make_study(tmp_path_factory.mktemp("study"), keys)


def authenticate(study: Study, signed: SignedSpec, caller: str = "ana") -> spec.Spec:
    return policy.authenticate(signed, study.charter.member(caller), study.charter)


def test_the_signer_is_let_in(study: Study) -> None:
    assert authenticate(study, study.ask()).researcher == "ana"


def test_every_flipped_bit_of_a_question_or_its_signature_is_refused(study: Study) -> None:
    signed = study.ask()
    for at in range(8 * len(signed.data)):
        data = bytearray(signed.data)
        data[at // 8] ^= 1 << at % 8
        with pytest.raises(SignatureInvalid):
            authenticate(study, SignedSpec(bytes(data), signed.signature))
    for at in range(8 * 64):
        signature = bytearray(signed.signature)
        signature[at // 8] ^= 1 << at % 8
        with pytest.raises(SignatureInvalid):
            authenticate(study, SignedSpec(signed.data, bytes(signature)))


def test_a_question_whose_keys_were_reordered_is_refused_even_when_signed(study: Study) -> None:
    document = json.loads(study.ask().data)
    data = json.dumps(dict(reversed(document.items())), separators=(",", ":")).encode()
    signed = SignedSpec(data, canonical.sign(study.keys["ana"].signing_key, spec.DOMAIN, data))
    with pytest.raises(SpecError):
        authenticate(study, signed)


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"x" * 63])
def test_an_unsigned_question_is_refused(study: Study, signature: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        authenticate(study, SignedSpec(study.ask().data, signature))


def test_a_signature_of_another_domain_is_refused(study: Study) -> None:
    data = study.ask().data
    with pytest.raises(SignatureInvalid):
        authenticate(study, SignedSpec(data, canonical.sign(study.keys["ana"].signing_key, "unseen notice v1", data)))


def test_a_question_replayed_by_another_researcher_is_refused_as_that(study: Study) -> None:
    with pytest.raises(NotAuthorised):
        authenticate(study, study.ask("ana"), caller="ben")


def test_a_question_in_somebody_elses_name_is_refused(study: Study) -> None:
    question = spec.new(study=study.charter.id, researcher="ana", analysis="describe", columns=["age"])
    with pytest.raises(NotAuthorised):
        authenticate(study, spec.sign(question, study.keys["ben"].signing_key), caller="ben")


@pytest.mark.parametrize("caller", HOSPITALS)
def test_a_party_cannot_ask(study: Study, caller: str) -> None:
    question = spec.new(study=study.charter.id, researcher=caller, analysis="describe", columns=["age"])
    with pytest.raises(NotAuthorised):
        authenticate(study, spec.sign(question, study.keys[caller].signing_key), caller)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"study": "0" * 64}, SpecError),
        ({"analysis": "logit"}, SpecError),
        ({"engine": "plaintext"}, SpecError),
        ({"columns": ["agee"]}, UnknownColumn),
        ({"formula": "wrong ~"}, FormulaError),
        ({"where": "age >"}, CohortError),
        ({"where": "height > 3"}, SpecError),
    ],
)
def test_what_the_charter_does_not_hold_is_refused(study: Study, fields: dict[str, object], error: type[Exception]) -> None:
    question = spec.new(**{"study": study.charter.id, "researcher": "ana", "analysis": "describe", "columns": ["age"], **fields})
    with pytest.raises(error):
        policy.compile_question(question, study.charter)


@pytest.mark.parametrize(("bits", "fits"), [(0, True), (187, True), (188, False), (189, False), (400, False)])
def test_a_question_whose_plan_is_one_bit_over_is_refused(study: Study, bits: int, fits: bool) -> None:
    """Its number takes 66 bits and so many more, and 253 can be truncated."""
    question = spec.parse(study.ask(options={"bits": bits}).data)
    if fits:
        policy.compile_question(question, study.charter)
        return
    with pytest.raises(SpecError, match="tighten"):
        policy.compile_question(question, study.charter)


def test_steps_need_the_charters_leave(study: Study, keys: dict[str, Identity], tmp_path_factory: pytest.TempPathFactory) -> None:
    strict = make_study(tmp_path_factory.mktemp("strict"), keys, steps=False)
    with pytest.raises(SpecError, match="steps"):
        policy.compile_question(spec.parse(strict.ask(disclosure="steps").data), strict.charter)
    policy.compile_question(spec.parse(study.ask(disclosure="steps").data), study.charter)


def decide(study: Study, rules: PolicySection, **fields: object) -> Decision:
    question = policy.compile_question(spec.parse(study.ask(**fields).data), study.charter)
    return policy.decide(question, rules)


def automatic(**changes: object) -> PolicySection:
    rule = {"researcher": "ana", "analyses": ["describe"], "columns": ["age", "sex"], **changes}
    return PolicySection.model_validate({"approve": "automatic", "automatic": [rule]})


def test_without_rules_the_operator_decides(study: Study) -> None:
    assert decide(study, PolicySection()) is Decision.ASK


@pytest.mark.parametrize(
    ("rules", "fields", "decision"),
    [
        (automatic(), {}, Decision.APPROVE),
        (automatic(), {"where": "sex == 'male'"}, Decision.APPROVE),
        (automatic(), {"where": "indo == 1"}, Decision.ASK),
        (automatic(), {"complete": ["indo"]}, Decision.ASK),
        (automatic(), {"columns": ["age", "indo"]}, Decision.ASK),
        (automatic(columns=["*"]), {"columns": ["age", "indo"], "where": "sex == 'male'"}, Decision.APPROVE),
        (automatic(), {"analysis": "ols"}, Decision.ASK),
        (automatic(analyses=["*"]), {"analysis": "ols"}, Decision.APPROVE),
        (automatic(researcher="ben"), {}, Decision.ASK),
        (automatic(), {"disclosure": "steps"}, Decision.REFUSE),
        (EVERYTHING, {"disclosure": "steps"}, Decision.APPROVE),
        (PolicySection(steps=True), {"disclosure": "steps"}, Decision.ASK),
        (PolicySection(), {"formula": "on rows ~"}, Decision.ASK),
        (PolicySection(share_rows=False), {"formula": "on rows ~"}, Decision.REFUSE),
        (PolicySection(share_rows=False), {}, Decision.ASK),
    ],
)
def test_an_automatic_rule_covers_researcher_analysis_and_every_column(
    study: Study, rules: PolicySection, fields: dict[str, object], decision: Decision
) -> None:
    assert decide(study, rules, **fields) is decision


def test_two_rules_do_not_add_up(study: Study) -> None:
    rules = PolicySection.model_validate(
        {
            "approve": "automatic",
            "automatic": [{"researcher": "ana", "analyses": ["describe"], "columns": [name]} for name in ("age", "sex")],
        }
    )
    assert decide(study, rules, columns=["age", "sex"]) is Decision.ASK


def test_a_question_reads_as_plain_language(study: Study) -> None:
    question = spec.parse(study.ask(columns=["age", "indo"], where="age >= 18", disclosure="steps").data)
    plan = policy.compile_question(question, study.charter).analysis.plan
    text = describe_question(question, plan)
    for part in ("ana asks", "age, indo", "for whom age >= 18", "intermediate coefficients"):
        assert part in text
    assert "two of which together could read them" not in text
    assert "two of which together could read them" in describe_question(question, replace(plan, shares_rows=True))
    openings = describe_openings(plan)
    assert any("to the researcher: mean" in line for line in openings)
    assert any("to the researcher: people" in line for line in openings)
    assert "(yes or no, not which or where)" in openings[0]
    assert "only if it is the leverage rule" in describe_openings(replace(plan, parameters=3))[0]


def test_a_reference_level_reads_as_plain_language(study: Study) -> None:
    question = spec.parse(study.ask(reference={"race": "black"}).data)
    plan = policy.compile_question(question, study.charter).analysis.plan
    assert "Compared with the level race = black." in describe_question(question, plan)


@pytest.mark.parametrize("reference", [{"race": True}, {"race": None}, {"race": ["black"]}, ["race"]])
def test_a_reference_level_is_a_text_or_a_number(study: Study, reference: object) -> None:
    with pytest.raises(SpecError, match="reference"):
        study.ask(reference=reference)
