"""`unseen bench`: tables on the terminal, or one JSON object a line."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

app = typer.Typer(help="Measure. Every row carries the error of the run it times.", no_args_is_help=True)


@app.callback()
def _bench() -> None:
    """Measurements of whole questions; kernels and protocols have their own."""


@app.command()
def analyses(
    rows: Annotated[list[int] | None, typer.Option(help="Rows over all hospitals; may be given several times.")] = None,
    columns: Annotated[int, typer.Option(help="Predictors.")] = 20,
    parties: Annotated[int, typer.Option(help="Hospitals; the first three compute.")] = 3,
    question: Annotated[list[str] | None, typer.Option(help="describe, crosstab, ols, logit; all by default.")] = None,
    repeat: Annotated[int, typer.Option(help="Runs of each question; the median is shown.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """Describe, crosstab, OLS and logistic regression across real daemons."""
    from benchmarks import analyses as bench

    found = []
    for n in rows or [10_000, 1_000_000]:
        for row in bench.measure(n, columns, parties, tuple(question or bench.QUESTIONS), repeat):
            found.append(row.to_dict())
            if as_json:
                typer.echo(json.dumps(found[-1]))
    if not as_json:
        _print(found)


def _print(rows: list[dict[str, Any]]) -> None:
    """An aligned table, as wide as it needs to be: for a terminal, a file or a pipe."""
    cells = [list(rows[0]), *([f"{v:.3g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        typer.echo("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
