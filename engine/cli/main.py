"""The `unseen` command. One function a command: researcher.py, party.py, study.py, sandbox.py; how they speak: output.py."""

from __future__ import annotations

import typer

from engine.cli import party, researcher, sandbox, study
from engine.cli.output import Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Hospitals answer a question together without showing each other, or anyone, a patient's row.",
)
operator = typer.Typer(cls=Commands, no_args_is_help=True, help="Run a party's daemon, and answer for it.")
coordinator = typer.Typer(cls=Commands, no_args_is_help=True, help="Set up a study: keys, charter, signatures.")

for command in (
    sandbox.demo,
    sandbox.sandbox,
    researcher.submit,
    researcher.jobs,
    researcher.show,
    researcher.events,
    researcher.result,
):
    app.command()(command)
for command in (party.serve, party.jobs, party.show, party.approve, party.reject, party.status):
    operator.command()(command)
for command in (study.keys, study.draft, study.sign, study.check):
    coordinator.command()(command)
app.add_typer(operator, name="party")
app.add_typer(coordinator, name="study")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
