"""Reciprocal, roots, exp and log against decimal arithmetic at 60 digits, over the whole domain, at its edges and below it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

import native
from protocols.engine import LARGE, LARGE_FRAC, SMALL, Engine, Secret
from protocols.errors import MisuseError, RangeError
from protocols.numeric import chebyshev
from protocols.numeric.exponential import exp, log
from protocols.numeric.reciprocal import reciprocal
from protocols.numeric.roots import roots
from protocols.plaintext import Plaintext
from protocols.replicated import cost
from tests.protocols.three_parties import in_the_clear, on_shares
from tests.protocols.worst import Worst

ONE = 1 << LARGE_FRAC
SMALLEST = 2.0**-40
POSITIVE = np.array(
    [v for j in range(-40, 24) for v in (int(ONE * 2.0**j), int(ONE * 2.0**j) + 1, int(ONE * 2.0**j * 1.37))]
    + [int(ONE * 2.0**j) - 1 for j in range(-39, 24)],
    dtype=object,
)
BELOW = np.array([0, 1, -1, (ONE >> 40) - 1, -(ONE << 10)], dtype=object)
NUMBERS = np.array([int(v * ONE) for v in np.linspace(-16, 16, 257)] + [1, -1, 17 * ONE, -17 * ONE, ONE << 30], dtype=object)


def positive(mpc: Engine) -> dict[str, Secret]:
    x = _shared(mpc, np.concatenate([POSITIVE, BELOW]))
    inverse, below = reciprocal(mpc, x, SMALLEST)
    both = roots(mpc, x, SMALLEST)
    logarithm, _ = log(mpc, x, SMALLEST)
    return {"1/x": inverse, "sqrt": both.root, "1/sqrt": both.inverse, "log": logarithm, "below": below, "also": both.below}


def exponential(mpc: Engine) -> dict[str, Secret]:
    power, clamped = exp(mpc, _shared(mpc, NUMBERS))
    return {"exp": power, "clamped": clamped}


FUNCTIONS: dict[str, Callable[[Decimal], Decimal]] = {
    "1/x": lambda x: 1 / x,
    "sqrt": lambda x: x.sqrt(),
    "1/sqrt": lambda x: 1 / x.sqrt(),
    "log": lambda x: x.ln(),
    "exp": lambda x: x.exp(),
}


def error(name: str, got: np.ndarray, arguments: np.ndarray, units: float) -> float:
    """The largest error beyond these units: absolute for a logarithm, relative for all others."""
    with localcontext() as context:
        context.prec = 60
        exact = [FUNCTIONS[name](Decimal(int(x)) / ONE) for x in arguments]
        beyond = [abs(Decimal(int(g)) / ONE - e) - Decimal(units) / ONE for g, e in zip(got, exact, strict=True)]
        return float(max(b if name == "log" else b / e for b, e in zip(beyond, exact, strict=True)))


def _shared(mpc: Engine, units: np.ndarray) -> Secret:
    """With fresh components, as results of products come."""
    return replace(mpc.mul(mpc.constant(units, frac=0), mpc.constant(1, frac=0)), frac=LARGE_FRAC)


def _released(program: Callable[[Engine], dict[str, Secret]]) -> list[dict[str, np.ndarray]]:
    """In the clear, on shares, and under the worst truncations."""
    worst = {name: native.to_ints(x.data.value) for name, x in program(Worst(2)).items()}
    return [{name: x.ints for name, x in run(program)[0].items()} for run in (in_the_clear, on_shares)] + [worst]


def test_functions_of_positive_numbers() -> None:
    arguments = np.concatenate([POSITIVE, np.full(len(BELOW), ONE >> 40)])  # what stands for those below
    is_below = np.arange(len(arguments)) >= len(POSITIVE)
    for released in _released(positive):
        for name in ("1/x", "sqrt", "1/sqrt", "log"):
            assert error(name, released[name], arguments, units=3) < 2.0**-58, name
        for flag in ("below", "also"):
            np.testing.assert_array_equal(released[flag].astype(bool), is_below)


def test_exp_over_its_domain_and_beyond() -> None:
    arguments = np.clip(NUMBERS, -16 * ONE, 16 * ONE)
    for released in _released(exponential):
        assert error("exp", released["exp"], arguments, units=3) < 2.0**-58
        np.testing.assert_array_equal(released["clamped"].astype(bool), arguments != NUMBERS)


@pytest.mark.parametrize(
    ("run", "compared", "bits", "further"),
    [
        (lambda m, x: reciprocal(m, x, SMALLEST), 50, 76, 7),
        (lambda m, x: roots(m, x, SMALLEST), 50, 76, 11),
        (lambda m, x: log(m, x, SMALLEST), 50, 76, 8),
        (lambda m, x: exp(m, x), 2, 75, 12),
    ],
    ids=["reciprocal", "roots", "log", "exp"],
)
def test_rounds_bytes_and_leak_are_the_plan(
    run: Callable[[Engine, Secret], object], compared: int, bits: int, further: int
) -> None:
    """One batch of comparisons at the width of the stated bound, less a threshold, and what the docstring says beside it."""
    rounds = cost.negative((compared, 3, LARGE), bits).rounds + further

    def program(mpc: Engine) -> dict[str, Secret]:
        run(mpc, mpc.constant(np.array([0.5, 3.0, 900.0])))
        return {}

    _, plan = in_the_clear(program)
    _, outcome = on_shares(program)
    assert plan.cost.rounds == rounds
    assert plan.meter.leakage_log2 < -60
    for party, meter in enumerate(outcome.meters):
        assert (meter.rounds, meter.bytes_sent, meter.leakage) == (rounds, plan.cost.sent[party], plan.meter.leakage)


def test_a_bound_below_one() -> None:
    """Variances of columns on [-1, 1] may be stated to be small."""
    mpc = Plaintext()
    x = mpc.bounded(mpc.constant(2.0**-9), ONE >> 8, "test")
    assert native.decode(reciprocal(mpc, x, 2.0**-20)[0].data.value, 64) == 512
    assert native.decode(roots(mpc, x, 2.0**-20).inverse.data.value, 64) == pytest.approx(2**4.5, rel=1e-15)
    assert native.decode(log(mpc, x, 2.0**-20)[0].data.value, 64) == pytest.approx(-9 * np.log(2), rel=1e-15)


def test_shapes_are_kept() -> None:
    mpc = Plaintext()
    x = mpc.constant(np.arange(1.0, 7.0).reshape(2, 3))
    assert roots(mpc, x, 0.5).root.shape == exp(mpc, x)[0].shape == log(mpc, x, 0.5)[0].shape == (2, 3)
    assert reciprocal(mpc, x[0, 0], 0.5)[0].shape == ()


def test_misuse() -> None:
    mpc = Plaintext()
    x = mpc.constant(3.0)
    for smallest in (0.3, 0.0, -1.0, np.inf, np.nan):
        with pytest.raises(MisuseError):
            reciprocal(mpc, x, smallest)
    for out_of_scale in (2.0**-61, 4.0):
        with pytest.raises(RangeError):
            log(mpc, x, out_of_scale)
    for f in (lambda v: roots(mpc, v, 0.5), lambda v: exp(mpc, v)):
        with pytest.raises(MisuseError):
            f(mpc.constant(0.5, limbs=SMALL, frac=28))


# -- Chebyshev series --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "block"), [(2, 2), (3, 5), (5, 3), (4, 8), (1, 6)])
def test_blocks_are_the_chebyshev_series(blocks: int, block: int) -> None:
    """sum_j T_j(T_k(x)) A_j(x) against NumPy's interpolation of the same degree."""
    f = chebyshev.series(lambda t: (t / 3).exp(), Fraction(-2), Fraction(1), blocks, block, frac=57, finer=3)
    x = np.linspace(-1, 1, 101)
    degree = blocks * block - 1
    angle = np.arccos(x)
    units = [2.0 ** (57 + finer) for finer in f.finer]
    A = [sum(a / unit * np.cos(i * angle) for i, a in enumerate(row)) for row, unit in zip(f.blocks, units, strict=True)]
    p = sum(np.cos(j * block * angle) * A[j] for j in range(blocks))
    exact = np.polynomial.Chebyshev.interpolate(lambda t: np.exp((1.5 * t - 0.5) / 3), 60)
    np.testing.assert_allclose(p, exact.truncate(degree + 1)(x), atol=1e-14)


def test_functions_evaluated_together_share_their_rounds() -> None:
    f = chebyshev.series(lambda t: t.exp(), Fraction(-1), Fraction(1), 4, 4, frac=64)
    g = chebyshev.series(lambda t: (-t).exp(), Fraction(-1), Fraction(1), 4, 4, frac=64)
    x = np.linspace(-1, 1, 9)

    def program(mpc: Engine) -> dict[str, Secret]:
        both = chebyshev.evaluate(mpc, mpc.constant(x), [f, g])
        return {"f": both[0], "g": both[1]}

    for released, _ in (in_the_clear(program), on_shares(program)):
        np.testing.assert_allclose((released["f"].ints / 2**64).astype(float), np.exp(x), rtol=1e-14)
        np.testing.assert_allclose((released["g"].ints / 2**64).astype(float), np.exp(-x), rtol=1e-14)
    assert on_shares(program)[1].meters[0].rounds == 2 + 4
    other_scale = Plaintext().constant(x, frac=60)
    with pytest.raises(MisuseError):
        chebyshev.evaluate(other_scale.engine, other_scale, [f])
    with pytest.raises(MisuseError):
        chebyshev.series(Decimal.exp, Fraction(0), Fraction(1), blocks=2, block=9, frac=64)
