"""`unseen bench`: tables on the terminal, or one JSON object a line."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

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
    table = Table(title="unseen bench analyses")
    for name in rows[0]:
        table.add_column(name, justify="right" if isinstance(rows[0][name], int | float) else "left")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
