"""TOML files that cannot be read end in one kind of error."""

import pytest

from engine.errors import ConfigError
from engine.toml_file import parse_toml, read_toml


def test_a_document_is_read(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('name = "Männer"\n[party]\nport = 1\n', encoding="utf-8")
    assert read_toml(path) == {"name": "Männer", "party": {"port": 1}}


def test_a_file_that_is_not_there_is_told_with_advice(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read; look elsewhere$"):
        read_toml(tmp_path / "none.toml", "look elsewhere")
    with pytest.raises(ConfigError, match=r"cannot be read$"):
        read_toml(tmp_path)


@pytest.mark.parametrize("text", [b"name = ", b"name = '\xff'", b"a = " + b"[" * 100_000])
def test_what_is_no_toml(tmp_path, text):
    path = tmp_path / "a.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=r"^a\.toml is not valid TOML: "):
        read_toml(path)


def test_a_text_is_called_by_its_name():
    with pytest.raises(ConfigError, match=r"^The table is not valid TOML: "):
        parse_toml("=", "The table")
