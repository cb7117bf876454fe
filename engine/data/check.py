"""What a hospital should know about its mapping before anybody asks a question. For its own eyes: the findings count its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

OUT_OF_BOUNDS_SHARE = 0.05  # more than this is a wrong unit or a wrong code rather than a typing error


@dataclass(frozen=True)
class Finding:
    """`error`: this hospital's daemon refuses questions about the column until it is mended."""

    column: str
    severity: Literal["note", "warning", "error"]
    text: str


def check(examined: Mapping[str, tuple[int, int, int]]) -> list[Finding]:
    """Of a source's `examine()`: (rows, missing, out of bounds) of each column. Nothing: every value fits the dictionary."""
    findings = []
    for name, (rows, missing, out_of_bounds) in examined.items():
        if not rows:
            return [Finding(name, "warning", "The table has no rows. Check source = or table = in [data].")]
        if missing == rows:
            findings.append(Finding(name, "warning", "Every value is missing. Check [data.columns] and missing = in [data]."))
        if out_of_bounds:
            serious = out_of_bounds > OUT_OF_BOUNDS_SHARE * rows
            advice = "Check the unit, or map the own codes in [data.codes]." if serious else "They are left out of analyses."
            text = f"{out_of_bounds} of {rows} values do not fit the dictionary. {advice}"
            findings.append(Finding(name, "error" if serious else "note", text))
    return findings
