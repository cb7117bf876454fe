"""From nothing to a charter that all members signed: `unseen study`, `unseen party init`, `unseen init`."""

from __future__ import annotations

import json
import tempfile
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from engine import charter as charters
from engine import charter_draft, errors, identity
from engine.charter_draft import card_of
from engine.cli import study as study_commands
from engine.cli.main import app
from engine.client import config as client_config
from engine.party import config as party_config
from engine.party.template import hospital_toml

PARTIES = ("um", "iu", "uk")
MEMBERS = (*PARTIES, "ana")
TERMS = 'title = "t"\ncompute = ["um", "iu", "uk"]\nanalyses = ["ols"]\ndictionary = "dictionary.toml"\n'
GOOD = {
    "title": "t",
    "members": [],
    "compute": list(PARTIES),
    "analyses": ["ols"],
    "dictionary": {"columns": {"age": {"type": "integer", "bounds": [0, 120]}}},
}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a command in an empty folder; the result must be the expected exit code."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dictionary.toml").write_text('[columns.age]\ntype = "integer"\nbounds = [0, 120]\n')
    (tmp_path / "study.toml").write_text(TERMS)
    runner = CliRunner()

    def run(*arguments, code=0):
        found = runner.invoke(app, [str(argument) for argument in arguments])
        assert found.exit_code == code, found.output
        return found

    return run


def cards(*names):
    return [f"{name}/{name}.member.toml" for name in names]


@pytest.fixture
def charter(run):
    """A charter with all members, signed by nobody."""
    for name in PARTIES:
        run("party", "init", name, "--address", f"{name}.example.org:7443", "--rows", 3000)
    run("init", "ana")
    run("study", "init", "study.toml")
    run("study", "add-party", "charter.json", *cards(*MEMBERS))
    return Path("charter.json")


def test_a_charter_grows_from_terms_to_signatures(run, charter):
    for name in PARTIES:
        run("study", "sign", charter, "--keys", f"{name}/keys")
    shown = run("study", "show", charter).stdout
    assert "missing: ana" in shown
    assert "rows       um 3072, iu 3072, uk 3072" in shown
    with pytest.raises(errors.SignatureInvalid):
        charters.load(charter)
    run("study", "sign", charter, "--keys", "ana/keys")
    agreed = charters.load(charter)
    assert (agreed.hospitals, agreed.compute, agreed.researchers) == (PARTIES, PARTIES, ("ana",))
    assert json.loads(run("study", "show", charter, "--json").stdout)["signed_by"] == list(MEMBERS)
    for name in MEMBERS:
        (Path(name) / "charter.json").write_bytes(charter.read_bytes())
    assert all(party_config.load(Path(name) / "hospital.toml").name == name for name in PARTIES)
    assert client_config.load(Path("ana/researcher.toml")).identity.name == "ana"


def test_show_says_what_is_still_to_come(run, charter):
    run("study", "init", "study.toml", "--out", "other.json")
    found = run("study", "add-party", "other.json", *cards("um", "ana"))
    assert "Still to come: iu, uk; 2 more hospitals" in found.stderr
    assert "study      not complete; to come: iu, uk; 2 more hospitals" in run("study", "show", "other.json").stdout
    assert "iu, uk" in run("study", "sign", "other.json", "--keys", "um/keys", code=2).stderr


def test_a_new_member_removes_the_signatures(run, charter):
    run("study", "sign", charter, "--keys", "um/keys")
    run("init", "ben")
    assert "removed" in run("study", "add-party", charter, *cards("ben")).stderr
    assert json.loads(charter.read_text())["signatures"] == {}
    assert "asked by   ana, ben" in run("study", "show", charter).stdout


def test_a_member_that_is_there_already_removes_no_signature(run, charter):
    run("study", "sign", charter, "--keys", "um/keys")
    before = charter.read_bytes()
    assert "unchanged" in run("study", "add-party", charter, *cards("um", "ana")).stderr
    assert charter.read_bytes() == before
    assert json.loads(before)["signatures"].keys() == {"um"}


def test_a_member_with_new_keys_takes_its_old_place(run, charter):
    run("party", "init", "iu", "--address", "iu.example.org:9", "--rows", 1, "--folder", "again")
    run("study", "add-party", charter, "again/iu.member.toml")
    members = json.loads(charter.read_text())["charter"]["members"]
    assert [member["name"] for member in members] == list(MEMBERS)
    assert members[1]["address"] == "iu.example.org:9"
    assert "another key for iu" in run("study", "sign", charter, "--keys", "iu/keys", code=1).stderr


def test_a_changed_charter_holds_no_signature(run, charter):
    run("study", "sign", charter, "--keys", "um/keys")
    envelope = json.loads(charter.read_text())
    envelope["charter"]["title"] = "another"
    charter.write_text(json.dumps(envelope))
    assert "signatures of nobody" in run("study", "show", charter).stdout


def test_a_party_that_only_computes_states_no_rows(run, tmp_path):
    run("party", "init", "um", "--address", "um:7443")
    assert set(tomllib.loads(Path("um/um.member.toml").read_text())) == {"name", "public_key", "certificate", "address"}
    assert "[data]" not in Path("um/hospital.toml").read_text()
    run("study", "init", "study.toml")
    run("study", "add-party", "charter.json", *cards("um"))
    assert json.loads(Path("charter.json").read_text())["charter"]["members"][0]["roles"] == ["compute"]


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ('titel = "x"\n', "titel"),
        ('[[members]]\nname = "um"\n', "add-party"),
        ('engines = ["plaintext"]\n', "tests only"),
        ("round_deadline = 0\n", "round_deadline"),
    ],
)
def test_terms_that_are_wrong_never_become_a_charter(run, terms, said):
    Path("study.toml").write_text(TERMS + terms)
    assert said in run("study", "init", "study.toml", code=2).stderr
    assert not Path("charter.json").exists()


@pytest.mark.parametrize(("old", "new"), [('["ols"]', '["olz"]'), ('"uk"]', '"um"]'), ("dictionary.toml", "nowhere.toml")])
def test_terms_with_a_wrong_value_name_it(run, old, new):
    Path("study.toml").write_text(TERMS.replace(old, new))
    run("study", "init", "study.toml", code=2)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"certificate": "nonsense"}, "cannot be read"),
        ({"public_key": "c2hvcnQ="}, "32 bytes"),
        ({"name": "iu"}, "another name"),
        ({"extra": 1}, "extra"),
        ({"rows": 1000}, "multiple of 1024"),
        ({"address": None}, "address"),
    ],
)
def test_a_members_file_that_is_wrong_is_refused(run, charter, change, said):
    fields = {**tomllib.loads(Path("um/um.member.toml").read_text()), **change}
    Path("um.member.toml").write_text(tomli_w.dumps({key: value for key, value in fields.items() if value is not None}))
    before = charter.read_bytes()
    assert said in run("study", "add-party", charter, "um.member.toml", code=2).stderr
    assert charter.read_bytes() == before


def test_an_expired_certificate_does_not_come_into_a_charter(run, charter):
    expired = identity.create("um", Path("old"), valid_for=timedelta(days=-1))
    Path("um.member.toml").write_text(tomli_w.dumps(card_of(expired, address="um:1", rows=1024).model_dump()))
    assert "expired" in run("study", "add-party", charter, "um.member.toml", code=2).stderr


def test_a_daemon_without_a_task_is_refused(run, charter):
    run("party", "init", "zz", "--address", "zz:7443")
    assert "nothing to do" in run("study", "add-party", charter, *cards("zz"), code=2).stderr


# -- files that are anything ---------------------------------------------------------------------------------------------------


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda kids: st.lists(kids) | st.dictionaries(st.text(), kids),
)


@given(st.binary() | JSON.map(lambda tree: json.dumps(tree).encode()))
def test_any_file_in_the_place_of_a_charter_is_a_config_error(data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        for read in (charters.load, charter_draft.read, charter_draft.read_card):
            with pytest.raises(errors.ConfigError):
                read(Path(file.name))


@given(st.sampled_from(["members", "compute", "dictionary", "floors", "analyses", "title"]), JSON)
def test_a_charter_with_anything_in_one_field_is_a_config_error_or_a_charter(field, value):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "charter.json"
        path.write_text(json.dumps({"charter": {**GOOD, field: value}, "signatures": {}}))
        try:
            draft = charter_draft.read(path)
        except errors.ConfigError:
            return
        assert draft.signed_by() == ()
        assert study_commands.describe(draft)


def test_a_charter_that_is_not_there_is_said_not_to_be(run, charter):
    charter.unlink()
    for command in (["study", "show"], ["study", "sign", "--keys", "um/keys"], ["study", "add-party"]):
        members = cards("um") if command[1] == "add-party" else []
        assert "there is no charter.json" in run(*command, charter, *members, code=2).stderr
    with pytest.raises(errors.CharterError, match=r"there is no charter.json yet"):
        charters.load(charter)


def test_nesting_without_end_is_a_config_error(tmp_path):
    path = tmp_path / "charter.json"
    path.write_text('{"charter": ' + "[" * 100_000)
    for read in (charters.load, charter_draft.read):
        with pytest.raises(errors.ConfigError):
            read(path)


# -- a member's own folder ---------------------------------------------------------------------------------------------------


def test_a_members_folder_is_private_and_its_file_for_the_others_is_public(run):
    run("party", "init", "um", "--address", "um.example.org:7443", "--rows", 100, "--data", "visits.csv")
    for folder in ("um", "um/keys", "um/state"):
        assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert all(Path("um/keys", name).stat().st_mode & 0o077 == 0 for name in (identity.SIGNING_KEY, identity.TLS_KEY))
    assert "PRIVATE" not in Path("um/um.member.toml").read_text()
    file = party_config.read(Path("um/hospital.toml"))
    assert (file.party.listen, file.data) == ("0.0.0.0:7443", {"source": str(Path("visits.csv").absolute()), "columns": {}})


def test_keys_are_never_overwritten(run):
    run("init", "ana")
    before = Path("ana/keys", identity.SIGNING_KEY).read_bytes()
    run("init", "ana", code=2)
    run("party", "init", "ana", "--address", "a:1", code=2)
    assert Path("ana/keys", identity.SIGNING_KEY).read_bytes() == before


def test_a_disk_that_takes_nothing_is_one_line(run, charter, monkeypatch):
    found = run("party", "init", "um", "--address", "um:1", "--folder", "study.toml/um", code=1)
    assert found.stderr == "unseen: study.toml/um: Not a directory; check the path, its owner and the disk\n"

    def full(*_, **__):
        raise OSError(28, "No space left on device", "charter.json")

    monkeypatch.setattr(Path, "write_text", full)
    before = charter.read_bytes()
    assert "No space left on device" in run("study", "sign", charter, "--keys", "um/keys", code=1).stderr
    assert charter.read_bytes() == before


@pytest.mark.parametrize(
    "options",
    [
        ["UM", "--address", "um:7443"],
        ["um", "--address", "um"],
        ["um", "--address", "um:0"],
        ["um", "--address", ":7443"],
        ["um", "--address", "um:7443", "--rows", "0"],
        ["um", "--address", "um:7443", "--data", "um.csv"],
    ],
)
def test_what_cannot_be_a_party_leaves_no_folder(run, options):
    run("party", "init", *options, code=2)
    assert not Path(options[0]).exists()


def test_the_example_is_what_party_init_writes():
    assert (ROOT / "examples" / "hospital.toml").read_text() == hospital_toml("um", 7443, "um.csv")
