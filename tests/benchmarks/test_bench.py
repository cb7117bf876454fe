"""`unseen bench`: every row has the fields that were promised, and the error of its own run is small. No clock is looked at."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import native
from benchmarks import ckks, ckks_inputs, growth, table, work
from benchmarks.kernels import KERNELS
from benchmarks.questions import QUESTIONS
from engine.cli.main import app
from protocols.engine import SMALL, SMALL_FRAC
from protocols.replicated import cost

# largest error, absolute: the protocols' own bounds (protocols/numeric), float64 for what has more digits
ERRORS = {
    "ring products": 0,
    "comparisons": 0,
    "products": 2**-26,
    "sigmoids": 2e-7,
    "reciprocals": 1e-15,
    "exp": 1e-14,
    "log": 1e-14,
    "gram": 1e-8,
    "inverse": 1e-9,
    "lift": 2**-28,
}
CKKS_ERRORS = {"ckks encode": 1e-9, "ckks decode": 1e-9}  # what float64 and rounding leave; encryption adds noise elsewhere
OF_REAL_ROWS = ("seconds", "joint_seconds", "rounds", "bytes_sent", "peak_rss", "error")


@pytest.fixture
def bench():
    def run(*arguments):
        result = CliRunner().invoke(app, ["bench", *(str(argument) for argument in arguments)])
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


def rows_of(text):
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        assert set(table.FIELDS) <= set(row)
        assert all(row[name] is not None for name in OF_REAL_ROWS), row
        assert row["seconds"] > 0
        assert row["peak_rss"] > 1
    return rows


def test_kernels_are_right_in_every_instruction_set(bench):
    names = [argument for name in KERNELS for argument in ("--kernel", name)]
    rows = rows_of(bench("kernels", *names, "--rows", 70, "--columns", 5, "--repeat", 1, "--json"))
    assert {row["bench"] for row in rows} == set(KERNELS)
    assert {row["engine"] for row in rows} == set(native.isas())
    assert {row["error"] for row in rows} == {0}


def test_rivals_of_kernels_run_beside_them(bench):
    rows = rows_of(bench("kernels", "--kernel", "gram", "--kernel", "aes ctr", "--rows", 64, "--repeat", 1, "--peers", "--json"))
    assert {"numpy", "openssl"} <= {row["engine"] for row in rows}
    assert {row["error"] for row in rows} == {0}
    assert sum("ratio_to_numpy" in row for row in rows) == 2
    assert sum("ratio_to_openssl" in row for row in rows) == 1


def test_the_instruction_set_in_use_is_left_as_it_was(bench):
    before = native.isa()
    bench("kernels", "--kernel", "add", "--engine", "portable", "--rows", 8, "--json")
    assert native.isa() == before


def test_rows_of_ckks_are_right_in_every_instruction_set(bench):
    names = [argument for name in ckks.NAMES for argument in ("--kernel", name)]
    rows = rows_of(bench("kernels", *names, "--degree", 8192, "--repeat", 1, "--json"))
    shallow = set(ckks.NAMES) - set(ckks.DEEP)
    assert {(row["bench"], row["engine"]) for row in rows} == {(name, isa) for name in shallow for isa in native.isas()}
    assert {(row["n"], row["d"]) for row in rows} == {(8192, 1), (8192, 3)}
    for row in rows:
        if row["bench"] in ckks.KERNELS:
            assert (row["error"], row["error_unit"]) == (0, "mismatches")
        else:
            assert 0 < row["error"] < CKKS_ERRORS.get(row["bench"], 1e-6), row
    sizes = {row["bytes_sent"] for row in rows if row["bench"] == "ckks wire"}
    assert max(sizes) < 0.36 * 393216


@pytest.mark.slow
def test_a_deep_polynomial_runs_where_there_are_levels(bench):
    rows = rows_of(bench("kernels", "--kernel", "ckks chebyshev", "--engine", native.isa(), "--repeat", 1, "--json"))
    assert [(row["bench"], row["n"]) for row in rows] == [("ckks chebyshev", 32768)]
    assert rows[0]["error"] < 1e-5


def test_the_polynomial_of_the_bench_is_the_curve():
    x = np.linspace(-1, 1, 1001)
    difference = np.polynomial.chebyshev.chebval(x, ckks_inputs.coefficients()) - ckks_inputs.curve(x)
    assert np.abs(difference).max() < 1e-10


@pytest.mark.parametrize("how", [("--in-memory",), ("--engine", "plaintext")])
def test_every_work_errs_as_little_as_its_protocol_says(bench, how):
    rows = rows_of(bench("protocols", "--rows", 150, "--columns", 3, "--repeat", 1, "--json", *how))
    assert [row["bench"] for row in rows] == list(work.OURS)
    for row in rows:
        assert row["error"] <= ERRORS[row["bench"]], row
        assert (row["rounds"] > 0) == (row["engine"] == "replicated")


def test_three_processes_behind_a_network(bench):
    text = bench("protocols", "--work", "products", "--work", "comparisons", "--rows", 100, "--rtt", 2, "--repeat", 1, "--json")
    rows = rows_of(text)
    costs = [cost.split_truncation_of_additive((100, SMALL), SMALL_FRAC), cost.negative((100, SMALL), 40)]
    assert [row["mode"] for row in rows] == ["grpc", "grpc"]
    assert [(row["rounds"], row["bytes_sent"]) for row in rows] == [(each.rounds, max(each.sent)) for each in costs]
    assert all(row["error"] <= ERRORS[row["bench"]] for row in rows)


def test_joint_keys_encrypt_multiply_and_convert(bench):
    rows = rows_of(bench("joint", "--parties", 3, "--columns", 2, "--mode", "in-memory", "--repeat", 1, "--json"))
    names = ["joint keys", "joint keys, with Galois", "gradient step", "Hessian step", "conversion"]
    assert [(row["bench"], row["parties"]) for row in rows] == [(name, 3 + (name == "conversion")) for name in names]
    assert all(row["error"] < 1e-7 for row in rows)
    plain, spreading, gradient, hessian, conversion = rows
    assert plain["bytes_sent"] < spreading["bytes_sent"]
    assert (gradient["converted"], gradient["ciphertexts"]) == (3 + 1, 2 + 1)
    assert (hessian["converted"], hessian["ciphertexts"]) == (3 + 6 + 6, 2 + 3 + 6)
    assert conversion["hospital_seconds"] > 0


def test_transport_delivers_what_was_sent(bench):
    rows = rows_of(bench("transport", "--rounds", 3, "--json"))
    assert [row["error"] for row in rows] == [0, 0, 0, 0]
    assert [row["rounds"] for row in rows] == [1, 1, 2, 2]
    assert all(row["p90"] >= row["seconds"] for row in rows)


@pytest.mark.slow
def test_analyses_agree_with_the_pooled_fit_and_bytes_with_the_kernel(bench):
    rows = rows_of(bench("analyses", "--rows", 3000, "--columns", 3, "--prevalence", 0.2, "--repeat", 1, "--json"))
    assert [(row["bench"], row["mode"]) for row in rows] == [
        (name, mode) for name in QUESTIONS for mode in (("result", "steps") if QUESTIONS[name].iterative else ("result",))
    ]
    assert all(row["error_se"] < 1e-3 for row in rows)
    assert all(row["bytes_os"] >= row["bytes_sent"] for row in rows)
    large = [row for row in rows if row["bytes_sent"] > 1 << 20]
    assert {row["bench"] for row in large} >= {"logit", "poisson"}
    assert all(row["os_ratio"] < 1.1 for row in large)


def test_two_jobs_are_compared_with_the_same_in_turn(bench):
    arguments = ("--two-jobs", "--rows", 2000, "--columns", 2, "--question", "crosstab", "--repeat", 1, "--json")
    rows = rows_of(bench("analyses", *arguments))
    assert [row["question"] for row in rows] == ["crosstab, at once", "crosstab, in turn"]
    assert rows[0]["ratio_to_in_turn"] > 0
    assert {row["error_se"] for row in rows} == {0}


def test_a_question_that_is_refused_is_a_row_that_says_so(bench):
    text = bench("analyses", "--rows", 30, "--columns", 2, "--question", "crosstab", "--json")
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["seconds"] for row in rows] == [None]
    assert "disclosure rules" in rows[0]["note"]


@pytest.mark.slow
def test_growth_says_what_bounds_each_point():
    small = {"n": 2000, "d": 2}
    rows = list(growth.measure(("rtt", "parties"), ("ols",), middle=small, values={"rtt": (0, 4), "parties": (2,)}))
    assert [(row["axis"], row["rtt_ms"], row["parties"]) for row in rows] == [("rtt", 0, 3), ("rtt", 4, 3), ("parties", 0, 2)]
    assert all(row["error_se"] < 1e-6 for row in rows)
    assert {row["bound_by"] for row in rows} <= {"rounds", "local", "bytes", "compute"}


def test_growth_lists_what_it_had_no_time_for(bench):
    lines = bench("growth", "--axis", "d", "--question", "ols", "--budget", 0).splitlines()
    assert len(lines) == 2 + len(growth.AXES["d"])
    assert all("the time given was over" in line for line in lines[2:])


def test_growth_of_encrypted_fits_has_its_own_sizes(bench):
    given = ("--axis", "d", "--question", "logit", "--mode", "result", "--budget", 0, "--engine", "ckks")
    lines = bench("growth", *given).splitlines()
    assert len(lines) == 2 + len(growth.ENCRYPTED["d"])
    assert all("the time given was over" in line for line in lines[2:])


@pytest.mark.parametrize(
    "arguments", [("protocols", "--work", "nonsense"), ("kernels", "--engine", "mmx"), ("analyses", "--mode", "x")]
)
def test_an_unknown_choice_is_refused_with_the_known_ones(arguments):
    found = CliRunner().invoke(app, ["bench", *arguments])
    assert found.exit_code == 2
    assert "is not one of" in found.output


def test_in_memory_has_no_network_to_delay():
    assert CliRunner().invoke(app, ["bench", "protocols", "--in-memory", "--rtt", "5"]).exit_code == 2


def test_the_command_line_imports_no_arrays():
    question = "import sys, benchmarks.cli; print(sorted({'numpy', 'pandas', 'grpc', 'statsmodels'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.skipif(importlib.util.find_spec("crypten") is None, reason="make setup-peers installs it")
def test_crypten_runs_the_same_work_in_the_same_run(bench):
    text = bench("protocols", "--work", "products", "--rows", 500, "--repeat", 1, "--peers", "--json")
    ours, theirs = [json.loads(line) for line in text.splitlines()][:2]
    assert ours["ratio_to_crypten"] > 0
    assert theirs["engine"] == "crypten"
    assert theirs["error"] < 1e-2


@pytest.mark.skipif(importlib.util.find_spec("tenseal") is None, reason="make setup-peers installs it")
def test_seal_computes_modulo_our_primes_in_the_same_run(bench):
    names = [argument for name in ckks.NAMES for argument in ("--kernel", name)]
    text = bench("kernels", *names, "--degree", 8192, "--engine", native.isa(), "--repeat", 1, "--peers", "--json")
    rows = [json.loads(line) for line in text.splitlines()]
    theirs = {row["bench"]: row for row in rows if row["engine"] == "tenseal"}
    assert set(theirs) == set(ckks.NAMES) - set(ckks.DEEP) - {"limb product"}
    for row in rows:
        if row["engine"] != "tenseal" and row["bench"] in theirs:
            assert row["ratio_to_tenseal"] > 0
    assert all(row["seconds"] > 0 and row["error"] < 1e-5 for row in theirs.values())
    assert theirs["ckks wire"]["bytes_sent"] == 2 * 3 * 8192 * 8


# -- tables ----------------------------------------------------------------------------------------------------------------


def test_a_table_leaves_out_what_no_row_has(capsys):
    rows = [table.row("a", "us", seconds=1.0, error=0.5, error_unit=table.SE), table.skipped("b", "them", "it has none", n=3)]
    table.show(rows, as_json=False)
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["bench", "engine", "n", "seconds", "error", "error_unit", "note"]
    assert first.split() == ["a", "us", "-", "1", "0.5", "se", "-"]
    assert second.endswith("it has none")
    assert rows[0]["error_se"] == 0.5


def test_the_median_run_brings_its_own_error():
    runs = [table.row("a", "us", seconds=s, error=e) for s, e in ((3.0, 0.3), (1.0, 0.1), (2.0, 0.2))]
    assert table.middle(runs)["error"] == 0.2
    assert table.ratio(runs, [table.row("a", "them", seconds=4.0)]) == 0.5
    assert table.ratio(runs, []) is None
