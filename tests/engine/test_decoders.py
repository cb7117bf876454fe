"""Whatever bytes stand where a document should: it is read, or refused with an error of this project. Nothing else comes out.

Frames, link messages, ciphertexts, charters, formulas and conditions have such tests beside their own.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import canonical, charter_draft, identity, receipt, spec
from engine.client import config as researcher_config
from engine.data.row_sets import RowSetDigest
from engine.dictionary import Dictionary
from engine.errors import ConfigError, DictionaryError, ReceiptInvalid, SpecError
from engine.party import audit, journal
from engine.party import config as party_config
from engine.party.errors import AuditCorrupt, JournalCorrupt
from engine.spec import SignedSpec

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=12)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4))
DEEP = b"[" * 3000
JSON = st.binary(max_size=300) | TREES.map(lambda tree: json.dumps(tree).encode()) | st.just(DEEP)
TOML = st.binary(max_size=300) | st.text("ab.=[]{}\"'#\n01", max_size=80).map(str.encode) | st.just(b"a = " + DEEP)
SPEC = spec.new(study="0" * 64, researcher="ana", analysis="ols", formula="y ~ x", columns=["x"], options={"vcov": "HC1"})
COLUMN_KEYS = ("type", "bounds", "levels", "unit", "grade", "resolution", "from", "cuts", "what")


def changed(document: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The document with anything in one of its fields."""
    return st.tuples(st.sampled_from(sorted(document)), TREES).map(lambda change: {**document, change[0]: change[1]})


SPECS = changed(SPEC.model_dump(mode="json")).map(lambda document: json.dumps(document).encode())


@given(JSON | SPECS)
def test_a_signed_question_is_read_as_it_stands_or_a_spec_error(data: bytes) -> None:
    signed = SignedSpec(data, canonical.sign(KEY, spec.DOMAIN, data))
    try:
        assert signed.open(PUBLIC).to_bytes() == data
    except SpecError:
        return


@given(JSON | changed(dict.fromkeys(receipt.Receipt.model_fields)).map(lambda tree: json.dumps(tree).encode()))
def test_a_signed_receipt_of_any_bytes_is_invalid(data: bytes) -> None:
    with pytest.raises(ReceiptInvalid):
        receipt.verify(data, canonical.sign(KEY, receipt.DOMAIN, data), PUBLIC, "um")


COLUMNS = st.dictionaries(st.sampled_from(COLUMN_KEYS), TREES | st.sampled_from(["number", "integer", "category", "binary"]))


@given(TREES | st.builds(lambda a, b: {"columns": {"a": a, "b": b}}, COLUMNS, COLUMNS | TREES))
def test_any_tree_is_a_dictionary_or_a_dictionary_error(tree: Any) -> None:
    try:
        assert Dictionary.parse(tree).columns
    except DictionaryError:
        return


def framed() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        log = journal.Journal(Path(folder) / "journal")
        log.append({"kind": "state", "state": "received"}, {"kind": "state", "state": "verified"})
        log.close()
        return (Path(folder) / "journal").read_bytes()


FRAMED = framed()
ALTERED = st.tuples(st.integers(0, len(FRAMED)), st.integers(0, len(FRAMED)), st.binary(max_size=20))


@given(st.binary(max_size=300) | ALTERED.map(lambda cut: FRAMED[: cut[0]] + cut[2] + FRAMED[cut[1] :]))
def test_a_journal_of_any_bytes_holds_whole_records_or_is_corrupt(data: bytes) -> None:
    try:
        records, end = journal.recover(data)
    except JournalCorrupt:
        return
    assert [record["seq"] for record in records] == list(range(len(records)))
    assert journal.recover(data[:end]) == (records, end)


@given(st.binary(max_size=300) | JSON.map(lambda data: data + b"\n"))
def test_an_audit_log_of_any_bytes_is_empty_or_corrupt(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        path.write_bytes(data)
        if not data:
            assert audit.verify(path) == 0
            return
        with pytest.raises(AuditCorrupt):
            audit.verify(path)


@settings(max_examples=30)
@given(st.binary(max_size=300) | st.tuples(st.integers(0, 400), st.integers(1, 255)))
def test_a_stored_digest_of_any_bytes_is_refused(how: Any) -> None:
    data = how
    if isinstance(how, tuple):
        good = bytearray(RowSetDigest(bytes(16)).to_bytes())
        good[how[0]] ^= how[1]
        data = bytes(good)
    with pytest.raises(ConfigError):
        RowSetDigest.from_bytes(bytes(16), data)


@pytest.mark.parametrize("read", [party_config.read, researcher_config._read, charter_draft.read_card])
def test_a_file_of_any_bytes_in_the_place_of_a_configuration_is_a_config_error(read: Callable[[Path], Any]) -> None:
    @given(TOML)
    def check(data: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file.toml"
            path.write_bytes(data)
            with pytest.raises(ConfigError):
                read(path)

    check()


ENCRYPTED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a password"))


@pytest.mark.parametrize(
    "data", [b"", b"\xff" * 40, ENCRYPTED, ENCRYPTED[:60], b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_usable_key_is_a_config_error(tmp_path: Path, data: bytes) -> None:
    identity.create("um", tmp_path)
    (tmp_path / identity.SIGNING_KEY).write_bytes(data)
    with pytest.raises(ConfigError, match="no usable keys of um"):
        identity.load("um", tmp_path)
