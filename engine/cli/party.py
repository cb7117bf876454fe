"""unseen party serve | jobs | show | approve | reject | revoke | pause | resume | status: what a party's operator does.

All but `serve` talk to the running daemon over the Unix socket in its state folder, which only the daemon's own user can open.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import grpc
import typer

from engine.cli.output import print_json, print_table, print_text, when
from engine.errors import NotAuthorised, SpecError, Unreachable
from engine.party import allocator
from engine.party import config as party_config
from engine.party.links import LINK_ADVICE
from engine.wire.v1 import admin_pb2 as wire
from engine.wire.v1.admin_pb2_grpc import AdminStub
from native.errors import UnseenError

DEFAULT_CONFIG = Path("hospital.toml")
CALL_SECONDS = 60.0
SHOW_SECONDS = 600.0  # it counts the hospital's own rows, of a plan once for each question
Config = Annotated[Path, typer.Option("--config", envvar="UNSEEN_PARTY", help="This party's hospital.toml; or set UNSEEN_PARTY.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JobId = Annotated[str, typer.Argument(help="The job's or the plan's id, or a unique beginning of it.")]
Reply = TypeVar("Reply")


def serve(
    config: Config = DEFAULT_CONFIG,
    until_eof: Annotated[
        bool, typer.Option("--until-eof", hidden=True, help="For a sandbox: stop at the end of stdin, too.")
    ] = False,
) -> None:
    """Run this party's daemon. SIGTERM stops it when running jobs have ended; Ctrl-C, or a second SIGTERM, at once."""
    allocator.keep_freed_memory()  # before NumPy's threads start
    from engine.party import server

    if until_eof:
        threading.Thread(target=_stop_at_eof, daemon=True).start()
    server.serve(config, observable=until_eof)
    _leave()


def _stop_at_eof() -> None:
    """A sandbox holds the other end of the pipe: when it is gone, however it went, so is this daemon."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGINT)


def _leave() -> None:
    """End at once. The daemon has closed everything; what the interpreter and gRPC do on their way out takes seconds more."""
    atexit._run_exitfuncs()  # removes the temporary folder of the data source
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def jobs(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """List the questions that this party has received."""
    found = _ask(config, lambda admin: admin.ListJobs(wire.AdminListRequest(), timeout=CALL_SECONDS)).jobs
    if json:
        print_json([_as_dict(job) for job in found])
    else:
        rows = [
            [job.job[:12], _state(job), job.researcher, job.analysis, job.plan[:12], when(job.submitted), when(job.expires)]
            for job in found
        ]
        print_table(["JOB", "STATE", "RESEARCHER", "ANALYSIS", "PLAN", "SUBMITTED", "EXPIRES"], rows)


def show(job: JobId, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Show a question, or all of a plan, in plain language: what it asks, what it would open, this hospital's own rows."""
    _print_job(_ask(config, lambda admin: admin.ShowJob(wire.AdminJobReference(job=job), timeout=SHOW_SECONDS)), json)


def approve(job: JobId, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Agree to a question, or to a plan and all its questions. It runs when every party has agreed."""
    _print_decision(_ask(config, lambda admin: admin.Approve(wire.AdminJobReference(job=job), timeout=CALL_SECONDS)), json)


def reject(job: JobId, config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Refuse a question, for all parties. The researcher learns which party refused, and no reason."""
    _print_decision(_ask(config, lambda admin: admin.Reject(wire.AdminJobReference(job=job), timeout=CALL_SECONDS)), json)


def revoke(
    job: Annotated[str | None, typer.Argument(help="The job's id, or a unique beginning of it.")] = None,
    researcher: Annotated[str | None, typer.Option(help="Serve this researcher no more: questions, results, everything.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="With --researcher: serve them again.")] = False,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    """Take back an approval, also while the job runs; or, with --researcher, everything a researcher may do here."""
    if (job is None) == (researcher is None) or (undo and researcher is None):
        raise SpecError("give either a JOB to withdraw from, or --researcher NAME, with --undo to serve them again")
    if job is not None:
        _print_decision(_ask(config, lambda admin: admin.Revoke(wire.AdminJobReference(job=job), timeout=CALL_SECONDS)), json)
        return
    request = wire.AdminRevocation(researcher=researcher or "", revoked=not undo)
    _print_status(_ask(config, lambda admin: admin.RevokeResearcher(request, timeout=CALL_SECONDS)), json)


def pause(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Take no new questions, until `resume`. What is here already goes on; a restart changes nothing."""
    _print_status(_ask(config, lambda admin: admin.Pause(wire.AdminPause(paused=True), timeout=CALL_SECONDS)), json)


def resume(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Take new questions again, after `pause`."""
    _print_status(_ask(config, lambda admin: admin.Pause(wire.AdminPause(paused=False), timeout=CALL_SECONDS)), json)


def status(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    """Show whether the daemon runs, takes questions, and is connected to the other parties."""
    _print_status(_ask(config, lambda admin: admin.PartyStatus(wire.PartyStatusRequest(), timeout=CALL_SECONDS)), json)


def _ask(config: Path, call: Callable[[AdminStub], Reply]) -> Reply:
    with _admin(config) as (name, admin):
        try:
            return call(admin)
        except grpc.RpcError as error:
            raise _translate(error, name) from None


@contextmanager
def _admin(config: Path) -> Iterator[tuple[str, AdminStub]]:
    """The daemon's admin service. Raises ConfigError."""
    loaded = party_config.load(config)
    with grpc.insecure_channel(f"unix:{loaded.socket}") as channel:
        yield loaded.name, AdminStub(channel)


def _translate(error: Any, name: str) -> UnseenError:
    code = error.code() if isinstance(error, grpc.Call) else None
    details = str(error.details()) if isinstance(error, grpc.Call) else ""
    if code == grpc.StatusCode.UNAVAILABLE:
        return Unreachable(f"the daemon of {name} does not run, or runs under another user; start it with `unseen party serve`")
    if code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
        return SpecError(details)
    return (
        NotAuthorised(details)
        if code == grpc.StatusCode.PERMISSION_DENIED
        else UnseenError(details or "the daemon failed; see its log")
    )


def _state(job: wire.AdminJob) -> str:
    more = job.code or job.doing
    return f"{job.state} ({more})" if more else job.state


def _print_job(job: wire.AdminJob, as_json: bool) -> None:
    if as_json:
        print_json(_as_dict(job))
        return
    lines = [
        f"{'plan' if job.questions else 'job':<11}{job.job}",
        f"state      {_state(job)}",
        f"asked by   {job.researcher}, {when(job.submitted)}, expires {when(job.expires)} UTC",
        *([f"plan       {job.plan}"] if job.plan else []),
    ]
    lines += _asked(job)
    for number, question in enumerate(job.questions, 1):
        lines += ["", f"{number:<11}job {question.job[:12]}, {_state(question)}", *_asked(question)]
    print_text("\n".join([*lines, *([""] if job.questions else []), f"agreed     {', '.join(job.approvals) or 'nobody yet'}"]))


def _asked(job: wire.AdminJob) -> list[str]:
    """What it asks, what would open, and the own rows behind it."""
    lines = [f"question   {job.question}"]
    lines += [f"{'opens' if i == 0 else '':<11}{text}" for i, text in enumerate(job.opens)]
    return lines if job.questions else [*lines, f"own rows   {job.own_rows or 'none'}"]


def _print_decision(job: wire.AdminJob, as_json: bool) -> None:
    if as_json:
        print_json(_as_dict(job))
    else:
        print_text(f"job {job.job[:12]} is {_state(job)} here; agreed: {', '.join(job.approvals) or 'nobody'}")


def _print_status(reply: wire.PartyStatusReply, as_json: bool) -> None:
    if as_json:
        print_json(_as_dict(reply))
        return
    lines = [f"{reply.member} runs {reply.software_version}, study {reply.charter[:12]}"]
    lines += ["paused: takes no new questions; `unseen party resume` ends that"] if reply.paused else []
    lines += [f"serves no more: {', '.join(reply.revoked)}"] if reply.revoked else []
    lines += [f"connected: {', '.join(reply.connected) or 'nobody'}"]
    lines += [f"own table: {reply.table}"] if reply.table else []
    lines += [f"missing: {name}: {LINK_ADVICE.get(reply.why[name], reply.why[name])}" for name in reply.missing]
    print_text("\n".join(lines))


def _as_dict(message: Any) -> dict[str, Any]:
    """A message as JSON, every field present; a question's bytes as the text that they are."""
    from google.protobuf.json_format import MessageToDict

    document: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    _readable(document, message)
    return document


def _readable(document: dict[str, Any], message: Any) -> None:
    if "spec" in document:
        document["spec"] = message.spec.decode("utf-8", errors="replace")
        for inner, question in zip(document["questions"], message.questions, strict=True):
            _readable(inner, question)
