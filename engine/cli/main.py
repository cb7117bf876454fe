"""The `unseen` command. One function a command: researcher.py, plan.py, party.py, setup.py, study.py, relay.py, sandbox.py; how
they speak: output.py."""

from __future__ import annotations

from collections.abc import Callable

import typer

from benchmarks import cli as bench
from engine.cli import party, plan, relay, researcher, sandbox, setup, study
from engine.cli.output import Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Hospitals answer a question together without showing each other, or anyone, a patient's row.",
)
operator = typer.Typer(cls=Commands, no_args_is_help=True, help="Set up a party, run its daemon, and answer for it.")
coordinator = typer.Typer(cls=Commands, no_args_is_help=True, help="Agree on a study: terms, members, signatures.")

forwarder = typer.Typer(cls=Commands, no_args_is_help=True, help="Lead to each other parties that may not accept connections.")

planner = typer.Typer(cls=Commands, no_args_is_help=True, help="Ask many questions under one signature and one approval.")

planner.command("list")(plan.list_)
operator.command("init")(setup.party_init)
operator.command("doctor")(setup.doctor)

GROUPS: tuple[tuple[typer.Typer, tuple[Callable[..., None], ...]], ...] = (
    (
        app,
        (
            sandbox.demo,
            sandbox.sandbox,
            setup.init,
            researcher.submit,
            researcher.jobs,
            researcher.show,
            researcher.events,
            researcher.result,
        ),
    ),
    (
        operator,
        (
            party.serve,
            party.status,
            party.jobs,
            party.show,
            party.approve,
            party.reject,
            party.revoke,
            party.pause,
            party.resume,
        ),
    ),
    (forwarder, (relay.serve,)),
    (planner, (plan.check, plan.submit, plan.show, plan.results)),
    (coordinator, (study.init, study.add_party, study.show, study.sign)),
)
for group, commands in GROUPS:
    for command in commands:
        group.command()(command)
app.add_typer(operator, name="party")
app.add_typer(planner, name="plan")
app.add_typer(coordinator, name="study")
app.add_typer(forwarder, name="relay")
app.add_typer(bench.app, name="bench")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
