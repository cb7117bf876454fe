"""Every verb: shares == clear == Python integers, on random inputs and at the edges of the declared bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from protocols.engine import LARGE, SMALL, Engine, Secret
from protocols.errors import MisuseError, RangeError
from protocols.plaintext import Plaintext
from protocols.replicated.engine import Replicated
from protocols.session import Session
from protocols.simulation import simulate
from tests.protocols.three_parties import in_the_clear, largest_difference, on_shares

RINGS = [(SMALL, 28), (LARGE, 64)]


def integers(shape: tuple[int, ...], bits: int, seed: int) -> np.ndarray:
    """Integers |v| <= 2^bits: edges first, then uniform."""
    rng = np.random.default_rng(seed)
    edges = [0, 1, -1, 2**bits, -(2**bits), 2**bits - 1, 1 - 2**bits, 2 ** (bits // 2)]
    size = int(np.prod(shape))
    words = rng.integers(0, 2**32, size=(size, bits // 32 + 2))
    values = [sum(int(w) << 32 * i for i, w in enumerate(row)) % (2 ** (bits + 1) + 1) - 2**bits for row in words]
    values[: len(edges)] = edges[:size]
    return np.array(values, dtype=object).reshape(shape)


def ring_values(mpc: Engine, ints: np.ndarray, limbs: int, frac: int) -> Secret:
    """Integers as a Secret at this scale, neither rounded nor shifted."""
    return replace(mpc.constant(ints, limbs=limbs, frac=0), frac=frac)


def check(program: Callable[[Engine], Mapping[str, Secret]], expected: Mapping[str, np.ndarray], units: float = 0) -> None:
    """Both engines within `units` of exact values (object arrays of ints or Fractions), with the same labels."""
    clear, _ = in_the_clear(program)
    shared, _ = on_shares(program)
    for name, exact in expected.items():
        exact = np.asarray(exact, dtype=object)
        assert clear[name].ints.shape == shared[name].ints.shape == exact.shape, name
        assert clear[name].labels == shared[name].labels, name
        assert largest_difference(clear[name].ints, exact) <= min(units, 0.5), name
        assert largest_difference(shared[name].ints, exact) <= units, name


@pytest.mark.parametrize(("limbs", "frac"), RINGS)
def test_linear_verbs_are_exact(limbs: int, frac: int) -> None:
    a, b = integers((4, 5), 90, 1), integers((4, 5), 90, 2)

    def program(mpc: Engine) -> dict[str, Secret]:
        x, y = (ring_values(mpc, v, limbs, frac) for v in (a, b))
        return {
            "add": x + y,
            "add row": x + y[0],
            "sub": x - y,
            "neg": -x,
            "add int": x + 3,
            "add float": 0.375 + x,
            "rsub": 1 - x,
            "index": x[1:, ::2],
            "index last": x[..., 0],
            "index array": x[np.array([2, 0]), np.array([1, 1])],
            "newaxis": x[:, None],
            "reshape": x.reshape(10, 2),
            "flat": x.reshape(-1),
            "T": x.T,
            "stack": mpc.stack([x, y], axis=1),
            "stack last": mpc.stack([x, y], axis=-1),
            "concat": mpc.concat([x, y], axis=1),
            "concat last": mpc.concat([x, y], axis=-1),
            "combine": mpc.combine([x, y], [[3, -5], [0, 2**20], [1, 1]], [7, -(2**40), 0]),
            "sum": x.sum(),
            "sum 0": x.sum(0),
            "sum last": x.sum(-1),
            "shift": mpc.shift_left(x, 5),
            "rescale": mpc.rescale_up(x, frac + 7),
            "times int": x * -7,
            "times ints": x * np.arange(5),
            "matmul ints": x @ np.arange(10).reshape(5, 2),
            "ints matmul": np.arange(8).reshape(2, 4) @ x,
        }

    one = 2**frac
    check(
        program,
        {
            "add": a + b,
            "add row": a + b[0],
            "sub": a - b,
            "neg": -a,
            "add int": a + 3 * one,
            "add float": a + 3 * one // 8,
            "rsub": one - a,
            "index": a[1:, ::2],
            "index last": a[..., 0],
            "index array": a[np.array([2, 0]), np.array([1, 1])],
            "newaxis": a[:, None],
            "reshape": a.reshape(10, 2),
            "flat": a.reshape(-1),
            "T": a.T,
            "stack": np.stack([a, b], axis=1),
            "stack last": np.stack([a, b], axis=-1),
            "concat": np.concatenate([a, b], axis=1),
            "concat last": np.concatenate([a, b], axis=-1),
            "combine": np.stack([7 + 3 * a - 5 * b, b * 2**20 - 2**40, a + b]),
            "sum": np.asarray(a.sum()),
            "sum 0": a.sum(0),
            "sum last": a.sum(-1),
            "shift": a * 32,
            "rescale": a * 128,
            "times int": a * -7,
            "times ints": a * np.arange(5).astype(object),
            "matmul ints": a @ np.arange(10).reshape(5, 2).astype(object),
            "ints matmul": np.arange(8).reshape(2, 4).astype(object) @ a,
        },
    )


@pytest.mark.parametrize(("limbs", "frac", "bits"), [(SMALL, 28, 61), (LARGE, 64, 124)])
@pytest.mark.parametrize("seed", range(3))
def test_products_truncate_within_two_units(limbs: int, frac: int, bits: int, seed: int) -> None:
    """At bounds that use the whole room of a masked opening but for what the sum over k = 2 terms takes."""
    a, b = integers((6, 2), bits - 1, seed), integers((6, 2), bits - 1, seed + 10)

    def program(mpc: Engine) -> dict[str, Secret]:
        x, y = (ring_values(mpc, v, limbs, frac) for v in (a, b))
        return {"mul": x * y, "broadcast": x * y[3], "matmul": x @ y.T, "coarse": mpc.mul(x, y, frac=8), "float": x * 0.3}

    scaled = np.vectorize(lambda v: Fraction(v, 2**frac), otypes=[object])
    third = Fraction(round(Fraction(0.3) * 2**frac), 1)
    check(
        program,
        {
            "mul": scaled(a * b),
            "broadcast": scaled(a * b[3]),
            "matmul": scaled(a @ b.T),
            "coarse": scaled(a * b) * Fraction(1, 2 ** (frac - 8)),
            "float": scaled(a) * third,
        },
        units=2,
    )


@pytest.mark.parametrize(("limbs", "frac"), RINGS)
def test_products_without_truncation_are_exact(limbs: int, frac: int) -> None:
    bits = 32 * limbs - 4
    a, b = integers((3, 4), bits, 3), integers((4, 3), bits, 4)
    counts = integers((3, 4), 10, 5)

    def program(mpc: Engine) -> dict[str, Secret]:
        x, y, n = ring_values(mpc, a, limbs, frac), ring_values(mpc, b, limbs, frac), ring_values(mpc, counts, limbs, 0)
        return {"mul": mpc.mul(x, y.T, frac=2 * frac), "matmul": mpc.matmul(x, y, frac=2 * frac), "count": x * n}

    check(program, {"mul": a * b.T, "matmul": a @ b, "count": a * counts})


def test_product_can_be_brought_to_more_fractional_bits() -> None:
    check(
        lambda mpc: {"x": mpc.mul(mpc.constant(0.5, frac=4), mpc.constant(0.25, frac=4), frac=12)},
        {"x": np.asarray(2**9)},
    )


def test_batched_matmul_broadcasts() -> None:
    a, b = integers((2, 3, 4), 40, 6), integers((4, 5), 40, 7)

    def program(mpc: Engine) -> dict[str, Secret]:
        return {"x": mpc.matmul(ring_values(mpc, a, LARGE, 64), ring_values(mpc, b, LARGE, 64), frac=128)}

    check(program, {"x": np.stack([a[0] @ b, a[1] @ b])})


@pytest.mark.parametrize(("limbs", "frac"), RINGS)
def test_truncate(limbs: int, frac: int) -> None:
    a = integers((20,), 64 * limbs - 4, 8)

    def program(mpc: Engine) -> dict[str, Secret]:
        x = ring_values(mpc, a, limbs, frac)
        return {str(bits): mpc.truncate(x, bits) for bits in (1, 20, frac)} | {"none": mpc.truncate(x, 0)}

    expected = {str(bits): np.array([Fraction(v, 2**bits) for v in a], dtype=object) for bits in (1, 20, frac)}
    check(program, {**expected, "none": a}, units=2)


def test_select_and_clamp() -> None:
    a, b = integers((12,), 70, 9), integers((12,), 70, 10)
    limit = int(2.5 * 2**64)
    edges = [limit, limit + 1, limit - 1, -limit, -limit - 1, 1 - limit]
    near = np.array([*edges, 0, 2**100, -(2**100), 5, -5, 2 * limit], dtype=object)

    def program(mpc: Engine) -> dict[str, Secret]:
        x, y, z = (ring_values(mpc, v, LARGE, 64) for v in (a, b, near))
        clamped, acted = mpc.clamp(z, 2.5)
        bit = mpc.less_than(x, y)
        return {"select": mpc.select(bit, x, y), "public": mpc.select(bit, x, 1.0), "clamped": clamped, "acted": acted}

    check(
        program,
        {
            "select": np.minimum(a, b),
            "public": np.where(a < b, a, 2**64),
            "clamped": np.clip(near, -limit, limit),
            "acted": np.array([int(abs(v) > limit) for v in near], dtype=object),
        },
    )


def test_clamp_gives_the_bound_of_its_limit() -> None:
    mpc = Plaintext()
    clamped, acted = mpc.clamp(mpc.constant(np.array([5.0, -7.0])), 2.5)
    assert clamped.bound == int(2.5 * 2**64)
    assert (acted.bound, acted.frac) == (1, 0)


def test_lift_keeps_the_integer() -> None:
    a = integers((40,), 124, 11)

    def program(mpc: Engine) -> dict[str, Secret]:
        return {"x": mpc.lift(ring_values(mpc, a, SMALL, 28))}

    check(program, {"x": a})


def test_public_random_bytes_agree_and_differ_between_sessions() -> None:
    def program(session: Session) -> tuple[bytes, bytes]:
        mpc = Replicated(session)
        return mpc.public_random_bytes(24), mpc.public_random_bytes(24)

    first, second = (simulate(3, (), program, seed=seed) for seed in "ab")
    assert first[0] == first[1] == first[2]
    assert len({*first[0], *second[0]}) == 4
    assert all(len(each) == 24 for each in first[0])


@pytest.mark.parametrize(
    "misuse",
    [
        lambda mpc: mpc.constant(np.array([np.nan])),
        lambda mpc: mpc.constant(1.0, frac=64) + mpc.constant(1.0, frac=32),
        lambda mpc: mpc.constant(1.0, limbs=SMALL) * mpc.constant(1.0),
        lambda mpc: mpc.constant(1.0) + Plaintext().constant(1.0),
        lambda mpc: mpc.constant(np.ones(3)) @ mpc.constant(np.ones((3, 1))),
        lambda mpc: mpc.select(mpc.constant(1.0), mpc.constant(1.0), 2.0),
        lambda mpc: mpc.lift(mpc.constant(1.0)),
        lambda mpc: mpc.rescale_up(mpc.constant(1.0), 3),
        lambda mpc: mpc.truncate(mpc.constant(1.0), 65),
        lambda mpc: mpc.mul(mpc.constant(1.0), 2, frac=-1),
        lambda mpc: mpc.stack([]),
        lambda mpc: mpc.combine([], [], []),
        lambda mpc: mpc.combine([mpc.constant(1.0), mpc.constant(np.ones(2))], [[1, 1]], [0]),
        lambda mpc: mpc.combine([mpc.constant(1.0)], [[1, 1]], [0]),
        lambda mpc: mpc.combine([mpc.constant(1.0)], [[1]], [0, 0]),
        lambda mpc: mpc.bounded(mpc.constant(1.0), 1, ""),
    ],
)
def test_misuse_is_refused(misuse: Callable[[Plaintext], object]) -> None:
    with pytest.raises(MisuseError):
        misuse(Plaintext())


def test_both_engines_have_all_verbs() -> None:
    assert isinstance(Plaintext(), Engine)
    assert all(simulate(3, (), lambda session: isinstance(Replicated(session), Engine)))


@pytest.mark.parametrize("axis", [2, -3])
def test_an_axis_never_is_the_limbs(axis: int) -> None:
    x = Plaintext().constant(np.ones((3, 3)))
    for verb in (x.engine.concat, x.engine.sum):
        with pytest.raises(IndexError):
            verb([x, x] if verb == x.engine.concat else x, axis)  # type: ignore[arg-type]
    with pytest.raises(IndexError):
        x.engine.stack([x, x], axis + (1 if axis > 0 else -1))


@pytest.mark.parametrize("index", [(0, 0, 0), (..., 0, 0, 0), 3])
def test_an_index_never_reaches_the_limbs(index: object) -> None:
    with pytest.raises(IndexError):
        Plaintext().constant(np.ones((3, 3)))[index]


def of_bits(mpc: Plaintext, bits: int) -> Secret:
    return replace(mpc.constant(np.array(2**bits, dtype=object), frac=0), frac=1)


ONE_BIT: dict[str, Callable[[Plaintext, int], Secret]] = {
    "truncate": lambda mpc, more: mpc.truncate(of_bits(mpc, 252 + more), 1),
    "shift_left": lambda mpc, more: mpc.shift_left(of_bits(mpc, 253 + more), 1),
    "add": lambda mpc, more: of_bits(mpc, 253 + more) + of_bits(mpc, 253 + more),
    "mul": lambda mpc, more: mpc.mul(of_bits(mpc, 127 + more), of_bits(mpc, 127), frac=2),
    "mul and truncate": lambda mpc, more: of_bits(mpc, 126 + more) * of_bits(mpc, 126),
    "mul of int": lambda mpc, more: of_bits(mpc, 253 + more) * 2,
    "sum": lambda mpc, more: mpc.stack([of_bits(mpc, 253 + more)] * 2).sum(),
    "is_negative": lambda mpc, more: mpc.is_negative(of_bits(mpc, 62 + more), bits=64),
    "in_range": lambda mpc, more: mpc.in_range(of_bits(mpc, 3), 2 ** (253 + more)),
    "lift": lambda mpc, more: mpc.lift(mpc.constant(np.array(2 ** (124 + more), dtype=object), limbs=SMALL, frac=0)),
}


@pytest.mark.parametrize("verb", ONE_BIT)
def test_a_plan_one_bit_over_is_refused(verb: str) -> None:
    """|z| <= 2^b needs b + 1 bits: an opening takes |z| < 2^(K-3), the ring |z| < 2^(K-1)."""
    mpc = Plaintext()
    ONE_BIT[verb](mpc, 0)
    with pytest.raises(RangeError):
        ONE_BIT[verb](mpc, 1)
