"""hospital.toml: every key has its effect, every unknown key is an error that helps."""

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from engine.charter import Floors
from engine.errors import CharterError, ConfigError, NotAuthorised, SignatureInvalid
from engine.identity import Identity
from engine.party import config as configs
from engine.party.config import PartyConfig, strictest
from tests.engine.party.party_study import Study, make_keys, make_study, sign_charter

DATA = {"source": "um.csv"}
RULE = {"researcher": "ana", "analyses": ["describe"], "columns": ["age"]}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    keys = make_keys(folder / "keys")
    found = make_study(folder, keys)
    sign_charter(found.charter, keys, folder / "charter.json")
    return found


def document(**changes: Any) -> dict[str, Any]:
    party = {"name": "um", "charter": "charter.json", "keys": "keys/um", "state": "state", "listen": "127.0.0.1:7443"}
    found: dict[str, Any] = {"party": party, "data": dict(DATA)}
    for path, value in changes.items():
        *sections, key = path.split("__")
        at = found
        for section in sections:
            at = at.setdefault(section, {})
        if value is None:
            at.pop(key)
        else:
            at[key] = value
    return found


def load(study: Study, **changes: Any) -> PartyConfig:
    path = study.folder / "hospital.toml"
    path.write_text(tomli_w.dumps(document(**changes)))
    return configs.load(path)


def test_a_config_is_read_with_its_charter_and_keys(study: Study) -> None:
    config = load(study)
    assert config.name == "um"
    assert config.charter.id == study.charter.id
    assert config.identity.public_key == study.keys["um"].public_key
    assert config.listen == "127.0.0.1:7443"
    assert config.data == DATA
    assert (config.metrics, config.log_level) == (None, "info")


def test_paths_are_relative_to_the_file(study: Study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load(study)
    monkeypatch.chdir(tmp_path)
    config = configs.load(study.folder / "hospital.toml")
    assert config.state == study.folder / "state"
    assert config.socket == study.folder / "state" / "admin.sock"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"party__nmae": "um"}, ["'party.nmae'", "'name'"]),
        ({"policy__aprove": "automatic"}, ["'policy.aprove'", "'approve'"]),
        ({"policy__floors__cohrt": 20}, ["'policy.floors.cohrt'", "'cohort'"]),
        ({"plicy__approve": "automatic"}, ["'plicy'", "'policy'"]),
        (
            {"policy__automatic": [{"researcher": "ana", "analyses": ["*"], "column": ["*"]}]},
            ["'policy.automatic.column'", "'columns'"],
        ),
    ],
)
def test_an_unknown_key_is_an_error_that_names_it_and_the_likely_one(
    study: Study, change: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as error:
        load(study, **change)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"party__name": None}, ConfigError),
        ({"party__name": "ana"}, NotAuthorised),
        ({"party__name": "iu"}, NotAuthorised),
        ({"party__keys": "keys/iu"}, NotAuthorised),
        ({"party__keys": "nowhere"}, ConfigError),
        ({"party__charter": "nowhere.json"}, CharterError),
        ({"party__listen": "no port"}, ConfigError),
        ({"party__metrics": "x"}, ConfigError),
        ({"party__log_level": "loud"}, ConfigError),
        ({"policy__approve": "always"}, ConfigError),
        ({"policy__steps": "yes"}, ConfigError),
        ({"policy__floors__cohort": 4}, ConfigError),
        (
            {"policy__automatic": [{"researcher": "ana", "analyses": [], "columns": ["*"]}], "policy__approve": "automatic"},
            ConfigError,
        ),
        ({"data": None}, ConfigError),
    ],
)
def test_a_wrong_value_is_refused(study: Study, change: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        load(study, **change)


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("researcher", "anna", "'ana'"),
        ("analyses", ["descibe"], "'describe'"),
        ("columns", ["agee"], "'age'"),
        ("researcher", "*", "ana"),
    ],
)
def test_a_rule_that_names_what_the_charter_does_not_hold_is_refused(study: Study, key: str, value: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        load(study, policy__approve="automatic", policy__automatic=[{**RULE, key: value}])


def test_rules_without_automatic_approval_are_refused(study: Study) -> None:
    with pytest.raises(ConfigError, match="by-hand"):
        load(study, policy__automatic=[RULE])


@pytest.mark.parametrize(
    ("key", "stricter", "laxer"),
    [("cohort", 20, 6), ("cell", 15, 5), ("hospitals", 4, 2), ("residual_df", 30, 1), ("parameters_share", 0.05, 0.4)],
)
def test_floors_can_only_be_tightened(study: Study, key: str, stricter: float, laxer: float) -> None:
    agreed = getattr(study.charter.floors, key)
    assert getattr(load(study).floors, key) == agreed
    assert getattr(load(study, **{f"policy__floors__{key}": stricter}).floors, key) == stricter
    assert getattr(load(study, **{f"policy__floors__{key}": laxer}).floors, key) == agreed


def test_the_strictest_floors_are_taken_one_by_one() -> None:
    found = strictest(Floors(cohort=20, parameters_share=0.1), Floors(cell=30, parameters_share=0.02))
    assert found == Floors(cohort=20, cell=30, parameters_share=0.02)


def test_a_charter_without_all_signatures_is_refused(study: Study) -> None:
    some: dict[str, Identity] = {name: key for name, key in study.keys.items() if name != "ben"}
    sign_charter(study.charter, some, study.folder / "partly.json")
    with pytest.raises(SignatureInvalid, match="ben"):
        load(study, party__charter="partly.json")


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hospital.toml").write_text("[party")
    with pytest.raises(ConfigError, match="TOML"):
        configs.read(tmp_path / "hospital.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        configs.read(tmp_path / "absent.toml")
