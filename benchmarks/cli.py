"""`unseen bench`: tables on the terminal, or one JSON object a line. What a command measures is imported when it runs."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from benchmarks.peers import Peer

app = typer.Typer(
    help="Measure. Every row carries the error of the run it times, against the same computation in the clear.",
    no_args_is_help=True,
)

Rows = Annotated[list[int] | None, typer.Option("--rows", help="Rows over all hospitals; may be given several times.")]
OneRows = Annotated[int | None, typer.Option("--rows", help="Numbers or rows; each work has its own by default.")]
OneColumns = Annotated[int | None, typer.Option("--columns", help="Columns, where the work has some.")]
Json = Annotated[bool, typer.Option("--json", help="One object a line, as soon as it is measured.")]
Rtt = Annotated[
    float,
    typer.Option(
        "--rtt",
        min=0,
        metavar="MS",
        help="A round-trip time between the parties: relays on loopback really hold every byte for half of it in each direction, "
        "so that a round of messages takes MS / 2 longer.",
    ),
]
Repeat = Annotated[int, typer.Option(min=1, help="Timed runs of each; the median is shown.")]
Peers = Annotated[bool, typer.Option("--peers", help="Also what is installed to compare with, in turn with ours, in one run.")]
Pythons = Annotated[
    list[str] | None,
    typer.Option("--peer-python", help="An interpreter that has peers; may be given several times. This one by default."),
]
Limit = Annotated[
    float,
    typer.Option(
        "--peer-limit",
        help="About how many seconds one repetition of a peer's work may take: what clearly takes longer, by small runs, is "
        "skipped with a row that says so.",
    ),
]


@app.command()
def kernels(
    kernel: Annotated[
        list[str] | None,
        typer.Option(help="add, mul, matmul, aes ctr, ...; ntt forward, ckks multiply, ...; all by default."),
    ] = None,
    rows: OneRows = None,
    columns: OneColumns = None,
    degree: Annotated[list[int] | None, typer.Option(help="N of the CKKS rows: 8192, 16384, 32768; all by default.")] = None,
    engine: Annotated[list[str] | None, typer.Option(help="Instruction sets: portable, avx2, avx512ifma.")] = None,
    repeat: Repeat = 5,
    peers: Peers = False,
    peer_python: Pythons = None,
    peer_limit: Limit = 60.0,
    as_json: Json = False,
) -> None:
    """The C kernels on one thread, in every instruction set that this machine runs, then CKKS, which is made of them."""
    import native
    from benchmarks import ckks, table
    from benchmarks import kernels as ring
    from protocols.ckks import PRESETS

    _known(kernel, (*ring.KERNELS, *ckks.NAMES), "--kernel")
    _known(degree, PRESETS, "--degree")
    _known(engine, native.isas(), "--engine")

    def measured(found: list[Peer]) -> Iterator[table.Row]:
        if names := [name for name in kernel or ring.KERNELS if name in ring.KERNELS]:
            yield from ring.measure(names, rows, columns, engine or (), repeat, found, peers)
        if names := [name for name in kernel or ckks.NAMES if name in ckks.NAMES]:
            yield from ckks.measure(names, degree or (), engine or (), repeat, found)

    with _peers(peers, peer_python, peer_limit, ("torch", "tenseal")) as found:
        table.show(measured(found), as_json)


@app.command()
def protocols(
    work: Annotated[list[str] | None, typer.Option(help="products, comparisons, sigmoids, gram, ...; all by default.")] = None,
    rows: OneRows = None,
    columns: OneColumns = None,
    engine: Annotated[str, typer.Option(help="replicated, or plaintext: the same calls in the clear.")] = "replicated",
    mode: Annotated[str, typer.Option(help="grpc: three processes, mutual TLS; in-memory: three threads, queues.")] = "grpc",
    in_memory: Annotated[bool, typer.Option("--in-memory", help="The same as --mode in-memory.")] = False,
    rtt: Rtt = 0.0,
    repeat: Repeat = 3,
    peers: Peers = False,
    peer_python: Pythons = None,
    peer_limit: Limit = 60.0,
    as_json: Json = False,
) -> None:
    """Functions on shares of three parties: products, comparisons, sigmoids, Gram matrices, inverses.

    Each row has the bytes of the party that sends most, and the largest error against the clear.
    """
    from benchmarks import protocols as bench
    from benchmarks import table
    from benchmarks.work import OURS

    mode = bench.IN_MEMORY if in_memory else mode
    _known(work, OURS, "--work")
    _known([engine], bench.ENGINES, "--engine")
    _known([mode], bench.MODES, "--mode")
    if rtt and (mode == bench.IN_MEMORY or engine == bench.PLAINTEXT):
        raise typer.BadParameter("only --mode grpc has a network to delay", param_hint="--rtt")
    with _peers(peers, peer_python, peer_limit) as found:
        table.show(bench.measure(work or OURS, rows, columns, mode, engine, rtt, repeat, found), as_json)


@app.command()
def analyses(
    rows: Rows = None,
    columns: Annotated[int, typer.Option(min=1, help="Predictors.")] = 20,
    parties: Annotated[int, typer.Option(min=2, help="Hospitals; the first three compute.")] = 3,
    question: Annotated[list[str] | None, typer.Option(help="describe, crosstab, ols, logit, poisson; all by default.")] = None,
    engine: Annotated[str, typer.Option(help="How shares are made and computed on.")] = "replicated",
    mode: Annotated[list[str] | None, typer.Option(help="result, steps: of logit and poisson; both by default.")] = None,
    prevalence: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of rows with the event, e.g. 0.05.")] = 0.3,
    together: Annotated[bool, typer.Option("--two-jobs", help="Instead: two jobs at once, and one after the other.")] = False,
    rtt: Rtt = 0.0,
    repeat: Repeat = 3,
    peers: Peers = False,
    peer_python: Pythons = None,
    peer_limit: Limit = 60.0,
    as_json: Json = False,
) -> None:
    """Whole questions across real daemons with mutual TLS; peers run the logistic regression alone.

    bytes_sent counts what protocols send, from the receipts; bytes_os what TCP sent for that daemon to other parties meanwhile.
    They agree within 10 % from about half a megabyte on; below, agreeing on the job and framing weigh more.
    """
    from benchmarks import analyses as bench
    from benchmarks import table

    _known(question, bench.QUESTIONS, "--question")
    _known(mode, bench.MODES, "--mode")

    def measured(found: list[Peer]) -> Iterator[table.Row]:
        for n in rows or [10_000, 100_000]:
            setting = bench.Setting(n, columns, parties, prevalence, rtt, engine)
            if together:
                yield from bench.two_jobs(setting, (question or ["ols"])[0], (mode or [bench.MODES[0]])[0], repeat)
            else:
                yield from bench.measure(setting, question or tuple(bench.QUESTIONS), mode or bench.MODES, repeat, found)

    with _peers(peers, peer_python, peer_limit) as found:
        table.show(measured(found), as_json)


@app.command()
def joint(
    parties: Annotated[list[int] | None, typer.Option(min=3, help="Hospitals; may be given several times. 3 and 10.")] = None,
    columns: Annotated[int, typer.Option(min=1, help="Predictors.")] = 20,
    mode: Annotated[str, typer.Option(help="grpc: a process for each, mutual TLS; in-memory: threads, queues.")] = "grpc",
    rtt: Rtt = 0.0,
    repeat: Repeat = 3,
    as_json: Json = False,
) -> None:
    """Joint keys of the engine ckks, conversions to shares, and what travels in a step of a fit."""
    from benchmarks import joint as bench
    from benchmarks import table

    _known([mode], bench.MODES, "--mode")
    table.show(bench.measure(parties or [3, 10], columns, mode, rtt, repeat), as_json)


@app.command()
def transport(
    rounds: Annotated[int, typer.Option(min=3, help="Repetitions; a hundredth of them for the throughput.")] = 1000,
    rtt: Rtt = 0.0,
    as_json: Json = False,
) -> None:
    """Rounds, round trips and throughput between party processes: long-lived gRPC streams, mutual TLS."""
    from benchmarks import table
    from benchmarks import transport as bench

    table.show(bench.measure(rounds, rtt), as_json)


@app.command()
def local(
    rows: Rows = None,
    columns: Annotated[int, typer.Option(min=1, help="Predictors.")] = 10,
    repeat: Repeat = 3,
    as_json: Json = False,
) -> None:
    """One hospital's own part of an OLS question, from a Parquet file: streaming, checks, digest and sums, in a process."""
    from benchmarks import local as bench
    from benchmarks import table

    table.show((row for n in rows or [10_000, 10_000_000] for row in bench.measure(n, columns, repeat)), as_json)


@app.command()
def growth(
    axis: Annotated[list[str] | None, typer.Option(help="n, d, parties, rtt; all by default.")] = None,
    question: Annotated[list[str] | None, typer.Option(help="ols and logit by default.")] = None,
    mode: Annotated[list[str] | None, typer.Option(help="result, steps: of logit and poisson; both by default.")] = None,
    rows: Annotated[int, typer.Option(help="Rows of the points that vary something else.")] = 10_000,
    columns: Annotated[int, typer.Option(help="Predictors of the points that vary something else.")] = 20,
    engine: Annotated[str, typer.Option(help="How shares are made and computed on.")] = "replicated",
    budget: Annotated[float, typer.Option(help="Seconds; points that would begin later are listed as skipped.")] = 900.0,
    as_json: Json = False,
) -> None:
    """How cost grows with rows, predictors, hospitals and round-trip time, and what bounds it: a markdown table."""
    from benchmarks import growth as bench
    from benchmarks import table
    from benchmarks.questions import MODES, QUESTIONS

    _known(axis, bench.AXES, "--axis")
    _known(question, QUESTIONS, "--question")
    _known(mode, MODES, "--mode")
    middle = {"n": rows, "d": columns}
    found = bench.measure(axis or tuple(bench.AXES), question or ("ols", "logit"), mode or MODES, budget, middle, engine=engine)
    shown = found if as_json else ({name: row.get(name) for name in bench.SHOWN} for row in found)
    table.show(shown, as_json, markdown=True)


def _known(given: Collection[object] | None, known: Collection[object], option: str) -> None:
    for value in given or ():
        if value not in known:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(str, known))}", param_hint=option)


@contextmanager
def _peers(wanted: bool, pythons: list[str] | None, limit: float, names: Collection[str] | None = None) -> Iterator[list[Peer]]:
    """The installed ones, if any are wanted."""
    if not wanted:
        yield []
        return
    from benchmarks import peers

    with peers.installed(pythons or [sys.executable], limit, tuple(names or peers.NAMES)) as found:
        missing = [name for name in names or peers.NAMES if name not in {peer.name for peer in found}]
        if missing:
            typer.echo(f"not installed, so not compared with: {', '.join(missing)}", err=True)
        yield found
