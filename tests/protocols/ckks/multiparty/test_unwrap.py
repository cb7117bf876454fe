"""Residues that add up modulo q, and integers whose sum takes another modulus: exact for every input, hostile ones too."""

from __future__ import annotations

import numpy as np
import pytest

import native
from protocols.ckks.multiparty.unwrap import centred
from protocols.engine import LARGE, Declared, Engine, Secret
from protocols.errors import MisuseError
from protocols.replicated.engine import Replicated
from protocols.replicated.integers import integer_share
from protocols.session import Session
from protocols.simulation import Simulation
from tests.protocols.three_parties import in_the_clear, on_shares

PRIMES = (140737486716929, 1099511480321, 1048583)  # odd numbers of 47, 40 and 21 bits; nothing here needs them prime
HOSPITALS = 5


def masked(q: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """(values, published, {hospital: masks}): values at the ends of the range, and masks at the ends of theirs."""
    rng = np.random.default_rng(seed)
    half = q // 2
    values = np.array([0, 1, -1, half, -half, half - 1, *rng.integers(-half, half + 1, 40)], dtype=np.int64)
    masks = {h: rng.integers(0, q, len(values)) for h in range(HOSPITALS)}
    for h in masks:
        masks[h][:3] = (0, q - 1, 0)
        masks[h][3:6] = (q - 1, 0, q - 1)
    published = np.array([(int(v) - sum(int(m[i]) for m in masks.values())) % q for i, v in enumerate(values)], np.uint64)
    return values, published, masks


@pytest.mark.parametrize("q", PRIMES)
@pytest.mark.parametrize("where", ["clear", "shares"])
def test_every_value_comes_back_whatever_masked_it(q: int, where: str) -> None:
    values, published, masks = masked(q)
    declared = (Declared("masks", values.shape, float(HOSPITALS * (q - 1)), frac=0),)
    contributions = {h: {"masks": m} for h, m in masks.items()}

    def program(mpc: Engine) -> dict[str, Secret]:
        return {"v": centred(mpc, published, mpc.totals(declared)["masks"], q, HOSPITALS)}

    opened = (
        in_the_clear(program, contributions)[0]
        if where == "clear"
        else on_shares(program, contributions, declared, members=HOSPITALS)[0]
    )
    assert [int(v) for v in opened["v"].ints] == values.tolist()
    assert opened["v"].bound == q // 2 + 1


@pytest.mark.parametrize("q", PRIMES)
def test_integer_shares_add_up_under_any_modulus(q: int) -> None:
    """Shares modulo 2^256 do not: they wrap (the mutation)."""
    values = np.array([0, 1, -1, 2**79, -(2**79), *np.random.default_rng(2).integers(-(2**62), 2**62, 30)], dtype=object)

    def program(session: Session) -> tuple[np.ndarray, np.ndarray]:
        mpc = Replicated(session)
        x = mpc.constant(values, frac=0)
        spread = mpc.mul(x, mpc.constant(np.ones(len(values), np.int64), frac=0))  # a product shares it freshly
        return integer_share(session, spread.data, spread.bound), native.to_ints(spread.data.own, signed=False)

    outcome = Simulation().run(program)
    shares, wrapped = zip(*outcome.results, strict=True)
    assert [int(v) for v in sum(shares) % q] == [int(v) % q for v in values]
    assert [int(v) for v in sum(wrapped) % q] != [int(v) % q for v in values]
    assert all(meter.masked_openings == len(values) and meter.leakage_log2 < -160 for meter in outcome.meters)


def test_integer_shares_are_for_few_numbers() -> None:
    def program(session: Session) -> None:
        mpc = Replicated(session)
        integer_share(session, mpc.constant(np.zeros(1 << 14, np.int64), limbs=LARGE, frac=0).data, 1)

    with pytest.raises(MisuseError, match="few"):
        Simulation().run(program)
