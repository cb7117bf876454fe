"""unseen sandbox | demo: a whole study on one machine, to try."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

import engine
from engine.cli.output import print_text, say
from engine.errors import ConfigError

if TYPE_CHECKING:
    from engine.sandbox import Sandbox

EXAMPLES = Path(engine.__file__).resolve().parent.parent / "examples"
MANY = 8  # columns, to suggest questions with


def sandbox(
    files: Annotated[
        list[Path], typer.Argument(help="One CSV or Parquet file for each hospital; its name becomes the hospital's.")
    ],
    dictionary: Annotated[Path | None, typer.Option(help="The data dictionary (TOML); without one it is inferred.")] = None,
    dir: Annotated[Path | None, typer.Option(help="A new folder to keep everything in; else a temporary one.")] = None,
    approve: Annotated[str, typer.Option(help="automatic, or by-hand: every question waits for its hospitals.")] = "automatic",
    steps: Annotated[bool, typer.Option(help="Allow questions that open coefficients to the parties after each step.")] = True,
) -> None:
    """Start a daemon for each hospital on this machine, and say how to use them. Runs until Ctrl-C."""
    from engine.sandbox import sandbox as make_sandbox  # here: other commands start without the statistics

    signal.signal(signal.SIGTERM, _interrupt)
    logging.getLogger("unseen.sandbox").setLevel(logging.ERROR)  # what was assumed is said below
    box = make_sandbox(files, dictionary, dir, steps=steps, approve=approve)
    say("starting the daemons ...")
    try:
        with box:
            print_text(_welcome(box, approve))
            box.run()
    except KeyboardInterrupt:
        say("stopped; " + (f"everything is still in {dir}" if dir else "the temporary folder is removed"))


def demo() -> None:
    """Three hospitals answer a joint question about a real trial, on this machine, in under a minute."""
    from engine.sandbox_daemons import environment

    script = EXAMPLES / "demo.py"
    if not script.exists():
        raise ConfigError("the demo lives in a checkout of unseen (examples/demo.py), which this installation is not")
    code = subprocess.call([sys.executable, str(script)], stdin=subprocess.DEVNULL, env=environment())  # noqa: S603  our own script
    raise typer.Exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a sandbox as Ctrl-C does."""
    raise KeyboardInterrupt


def _welcome(box: Sandbox, approve: str) -> str:
    """What was started and what to try, as commands that can be copied."""
    layout, first = box.layout, next(iter(box.layout.hospitals))
    columns = list(box.study.dictionary.columns)
    lines = [
        f"Study of {', '.join(layout.hospitals)}; columns: {', '.join(columns[:MANY])}{', ...' if len(columns) > MANY else ''}"
    ]
    lines += [f"assumed: {assumption}" for assumption in box.assumptions]
    lines += ["", f"researcher   {layout.researcher}"] + [f"{party:<12} {layout.config(party)}" for party in layout.parties]
    lines += [
        "",
        "In another terminal, as the researcher:",
        f"  export UNSEEN_STUDY={layout.researcher}",
        f"  unseen submit {_write_question(box)}",
        "  unseen jobs",
        "or in Python:",
        f'  import unseen; study = unseen.connect("{layout.researcher}")',
        f'  print(study.describe(["{_numeric(box)}"]).summary())',
        "",
        f"As the operator of {first}"
        + ("" if approve == "automatic" else ", and likewise of the others, to let a question run")
        + ":",
        f"  unseen party jobs --config {layout.config(first)}",
        f"  unseen party show JOB --config {layout.config(first)}",
    ]
    if approve == "by-hand":
        lines += [f"  unseen party approve JOB --config {layout.config(party)}" for party in layout.parties]
    return "\n".join([*lines, "", "Ctrl-C stops everything."])


def _numeric(box: Sandbox) -> str:
    columns = box.study.dictionary.columns
    return next((name for name, column in columns.items() if column.type in ("number", "integer")), next(iter(columns)))


def _write_question(box: Sandbox) -> Path:
    path = box.layout.researcher.parent / "question.toml"
    path.write_text(f'analysis = "describe"\ncolumns = ["{_numeric(box)}"]\n', encoding="utf-8")
    return path
