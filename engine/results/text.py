"""Plain-text and HTML tables in the manner of statsmodels."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import pandas as pd

Pairs = Sequence[tuple[str, object]]


def number(value: object, digits: int = 4) -> str:
    """A count as it is, a real to `digits` decimals, or in scientific notation where these would show nothing of it."""
    if value is None:
        return "-"
    if not isinstance(value, float | np.floating):
        return str(value)
    real = float(value)
    if np.isnan(real):
        return "-"
    small = real != 0 and abs(real) < 10.0**-digits
    return f"{real:.3e}" if small or abs(real) >= 1e7 else f"{real:.{digits}f}"


def p_value(value: float) -> str:
    return "-" if np.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def header(title: str, subtitle: str, left: Pairs, right: Pairs, width: int) -> list[str]:
    """Two columns of 'name: value' under a centred title."""
    lines = [title.center(width).rstrip(), subtitle.center(width).rstrip(), "=" * width]
    half = width // 2 - 1
    for i in range(max(len(left), len(right))):
        cells = [_pair(side[i], half) if i < len(side) else " " * half for side in (left, right)]
        lines.append("  ".join(cells).rstrip())
    return lines


def grid(rows: Sequence[Sequence[str]], *, first_left: bool = True) -> list[str]:
    """Rows of text, the first being the heads, as aligned columns between rules."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(w) if i == 0 and first_left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    rule = "-" * max(len(line) for line in lines)
    return [lines[0], rule, *lines[1:]]


def frame_grid(frame: pd.DataFrame, digits: int = 4) -> list[str]:
    heads = [" ".join(map(str, frame.index.names)) if any(frame.index.names) else "", *map(str, frame.columns)]
    rows = [
        [_label(index), *(number(value, digits) for value in row)]
        for index, row in zip(frame.index, frame.to_numpy(object), strict=True)
    ]
    return grid([heads, *rows])


def page(text: str) -> str:
    return f"<pre style='line-height: 1.2'>{html.escape(text)}</pre>"


def _pair(pair: tuple[str, object], width: int) -> str:
    name, value = f"{pair[0]}:", number(pair[1])
    return f"{name} {value.rjust(width - len(name) - 1)}"


def _label(index: object) -> str:
    return " / ".join(map(str, index)) if isinstance(index, tuple) else str(index)
