"""The diagnosis of a mapping, for the hospital itself."""

from __future__ import annotations

from pathlib import Path

from engine.data.check import check
from engine.data.config import open_source
from engine.dictionary import Dictionary

DICTIONARY = Dictionary.parse(
    {
        "columns": {
            "height": {"type": "number", "bounds": [50, 250]},
            "age": {"type": "integer", "bounds": [0, 120]},
            "sex": {"type": "category", "levels": ["male", "female"]},
            "gone": {"type": "binary"},
        }
    }
)


def findings(folder: Path, text: str) -> dict[str, tuple[str, str]]:
    (folder / "a.csv").write_text(text)
    with open_source({"source": "a.csv"}, DICTIONARY, bytes(32), folder) as source:
        return {finding.column: (finding.severity, finding.text) for finding in check(source.examine())}


def test_a_wrong_unit_a_typing_error_and_an_empty_column_are_told_apart(tmp_path: Path) -> None:
    lines = [f"1.{row:02d},{row},male," for row in range(40)]
    lines[3] = "1.03,999,male,"
    found = findings(tmp_path, "height,age,sex,gone\n" + "\n".join(lines))
    assert found["height"][0] == "error"
    assert found["height"][1].startswith("40 of 40 values do not fit")
    assert found["age"] == ("note", "1 of 40 values do not fit the dictionary. They are left out of analyses.")
    assert found["gone"][1].startswith("Every value is missing")
    assert "sex" not in found


def test_nothing_to_find_and_nothing_at_all(tmp_path: Path) -> None:
    assert findings(tmp_path, "height,age,sex,gone\n180,40,female,1\n") == {}
    assert "no rows" in next(iter(findings(tmp_path, "height,age,sex,gone\n").values()))[1]
