"""Rows shared by single hospitals, and sums of their products: exact against Python integers, with weights, at every shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from protocols.engine import LARGE, SMALL, SMALL_FRAC, Declared, Engine, Secret
from protocols.errors import MisuseError, RangeError, ValueRangeError
from protocols.plaintext import Plaintext
from protocols.replicated import cost, rows
from protocols.replicated.engine import Replicated
from protocols.replicated.sharing import reconstruct
from protocols.session import Session
from protocols.simulation import Simulation
from tests.protocols.three_parties import _opened, in_the_clear, on_shares

SIZES = {0: 3, 2: 5, 3: 4}  # rows of each hospital: parties 0 and 2 compute, 3 does not


def plan() -> dict[int, list[Declared]]:
    return {h: [Declared("x", (n, 2), 1.0, SMALL_FRAC), Declared("w", (n,), 1.0, frac=0)] for h, n in SIZES.items()}


def values(hospital: int) -> dict[str, Any]:
    rng = np.random.default_rng(hospital)
    n = SIZES[hospital]
    return {"x": rng.uniform(-1, 1, size=(n, 2)), "w": rng.integers(0, 2, size=n)}


def joined(mpc: Engine) -> dict[str, Secret]:
    received = mpc.rows(plan())
    assert list(received) == list(SIZES)
    return {name: mpc.concat([each[name] for each in received.values()]) for name in ("x", "w")}


def test_rows_of_every_kind_of_hospital() -> None:
    def member(session: Session) -> dict[str, tuple[Secret, np.ndarray]] | None:
        mine = values(session.me) if session.me in SIZES else None
        if not session.computes:
            rows.contribute(session, plan(), mine)
            return None
        mpc = Replicated(session)
        if mine is not None:
            mpc.contribute(mine)
        return {name: (x, mpc.release_share(x)) for name, x in joined(mpc).items()}

    outcome = Simulation(4, tuple(SIZES)).run(member)
    clear = Plaintext()
    for hospital in SIZES:
        clear.contribute(values(hospital))
    oracle = joined(clear)
    for name in ("x", "w"):
        secret = outcome.results[0][name][0]
        opened = _opened(secret, reconstruct(tuple(outcome.results[i][name][1] for i in range(3))))
        expected = np.concatenate([values(h)[name] for h in SIZES])
        np.testing.assert_array_equal(opened.ints, np.rint(expected * 2**secret.frac).astype(np.int64))
        np.testing.assert_array_equal(opened.ints, _opened(oracle[name], oracle[name].data.value).ints)
        assert (secret.limbs, secret.frac, secret.bound) == (SMALL, oracle[name].frac, oracle[name].bound)
        assert not secret.proven
        assert not oracle[name].proven
    declared = cost.rows({h: 3 * n for h, n in SIZES.items()})
    assert [m.rounds for m in outcome.meters[:3]] == [declared.rounds] * 3
    assert tuple(m.bytes_sent for m in outcome.meters[:3]) == declared.sent
    assert outcome.meters[3].bytes_sent == cost.outsider(3 * SIZES[3], SMALL)


def test_misuse_of_rows() -> None:
    mpc = Plaintext()
    with pytest.raises(MisuseError):
        mpc.rows(plan())
    mpc.contribute({"x": np.full((1, 1), 1.5)})
    with pytest.raises(ValueRangeError):
        mpc.rows({0: [Declared("x", (1, 1), 1.0, SMALL_FRAC)]})
    mpc.contribute({"x": np.zeros(1)})
    with pytest.raises(MisuseError):
        mpc.rows({0: [Declared("y", (1,), 1.0, SMALL_FRAC)]})

    def silent(session: Session) -> None:
        Replicated(session).rows({0: [Declared("x", (1,), 1.0, SMALL_FRAC)]})

    with pytest.raises(MisuseError):
        Simulation(3, (0,), deadline=5).run(silent)
    with pytest.raises(MisuseError):
        Simulation(3, (0,), deadline=5).run(lambda session: rows.contribute(session, {}, None))
    with pytest.raises(MisuseError):
        Simulation(3, (0,), deadline=5).run(lambda session: rows.collect(session, {}, {"x": np.zeros(1)}))


X = np.random.default_rng(1).integers(-(2**28), 2**28, size=(60, 19)).astype(object)
Y = np.random.default_rng(2).integers(-(2**28), 2**28, size=(60, 3)).astype(object)
W = np.random.default_rng(3).integers(0, 2, size=(60, 1)).astype(object)


def products(mpc: Engine) -> dict[str, Secret]:
    one = mpc.constant(1, limbs=SMALL, frac=0)
    x, y, w = (mpc.mul(mpc.constant(v, limbs=SMALL, frac=0), one) for v in (X, Y, W))  # fresh components
    return {
        "gram": mpc.row_products(x, x, symmetric=True),
        "whole": mpc.row_products(x, x),
        "weighted": mpc.row_products(x, x * w, symmetric=True),
        "cross": mpc.row_products(x, y),
        "gradient": mpc.row_products(x, y[:, :1]),
        "beside": mpc.row_products(x, x * w, symmetric=True, also=y),
        "two": mpc.row_products(x, y, also=x * w),
    }


def test_sums_of_products_over_rows_are_exact_in_the_large_ring() -> None:
    gram = X.T @ X
    weighted, cross = X.T @ (X * W), X.T @ Y
    expected = {"gram": gram, "whole": gram, "weighted": weighted, "cross": cross, "gradient": cross[:, :1]}
    expected |= {"beside": np.hstack([weighted, cross]), "two": np.hstack([cross, weighted])}
    for released, _ in (in_the_clear(products), on_shares(products)):
        for name, exact in expected.items():
            np.testing.assert_array_equal(released[name].ints, exact)
            assert released[name].limbs == LARGE
            assert released[name].bound <= 60 * 2**56


def test_row_products_refuse_what_they_cannot_sum() -> None:
    mpc = Plaintext()
    x = mpc.constant(np.ones((3, 2)), limbs=SMALL, frac=28)
    for y in (x[:2], x[0], mpc.constant(np.ones((3, 2)))):
        with pytest.raises(MisuseError):
            mpc.row_products(x, y)
    with pytest.raises(MisuseError):
        mpc.row_products(x, x[:, :1], symmetric=True)
    for also in (x[:2], mpc.constant(np.ones((3, 2))), mpc.rescale_up(x, 30)):
        with pytest.raises(MisuseError):
            mpc.row_products(x, x, also=also)
    wide = mpc.constant(np.full((3, 2), 2**62, dtype=object), limbs=SMALL, frac=0)
    with pytest.raises(RangeError):
        mpc.row_products(wide, wide)


@pytest.mark.parametrize(("limbs", "frac"), [(SMALL, 28), (LARGE, 64)])
def test_mul_add_truncates_the_sum_once(limbs: int, frac: int) -> None:
    a, b, c = (np.random.default_rng(seed).uniform(-1, 1, size=(50, 2)) for seed in range(3))

    def program(mpc: Engine) -> dict[str, Secret]:
        x, y = (mpc.constant(v, limbs=limbs, frac=frac) for v in (a, b))
        z = mpc.constant(c, limbs=limbs, frac=2 * frac)
        return {"x": mpc.mul_add(x, y, z, frac=frac), "row": mpc.mul_add(x, y[0], z, frac=frac + 1)}

    for released, _ in (in_the_clear(program), on_shares(program)):
        for name, exact in (("x", a * b + c), ("row", a * b[0] + c)):
            got = (released[name].ints / 2 ** released[name].frac).astype(float)
            assert np.abs(got - exact).max() <= max(4 * 2.0**-frac, 1e-15)


def test_mul_add_refuses_other_scales() -> None:
    mpc = Plaintext()
    x = mpc.constant(0.5, limbs=SMALL, frac=28)
    for z, frac in ((x, 28), (mpc.constant(0.5, limbs=SMALL, frac=56), 56), (mpc.constant(0.5, frac=56), 28)):
        with pytest.raises(MisuseError):
            mpc.mul_add(x, x, z, frac=frac)
