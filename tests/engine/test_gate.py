"""The gate's rules on pooled counts, on the plaintext engine and on replicated shares."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import native
from engine.analyses.base import Cell, Output, Plan, Stage, Step
from engine.data.rows import Batch, RowCounts, Rows
from engine.errors import ConfigError
from engine.party import gate
from engine.party.gate import GatePolicy
from protocols.engine import Declared, Engine
from protocols.errors import ProtocolError
from protocols.plaintext import Plaintext
from protocols.replicated.engine import Replicated
from protocols.session import Session
from protocols.simulation import simulate

DEFAULT = GatePolicy()
CELLS = (
    Cell("a", lambda batch: batch.frame["g"].to_numpy() == "a", (0,)),
    Cell("b", lambda batch: batch.frame["g"].to_numpy() == "b", (1,)),
    Cell("a and ill", lambda batch: (batch.frame["g"].to_numpy() == "a") & batch.frame["ill"].to_numpy(), (0, 3)),
    Cell("ill", lambda batch: batch.frame["ill"].to_numpy(), (3,)),
)
PASSING: dict[str, Any] = {
    "people": [40, 40, 40],
    "rows": [40, 40, 40],
    "complement": [0, 0, 0],
    "missing": [0, 0, 0],
    "out_of_bounds": [0, 0, 0],
    "contributes": [1, 1, 1],
    "refusals": [0, 0, 0],
    "cells": [[10, 10, 5, 10], [10, 10, 5, 10], [10, 10, 5, 10]],
    "differences": [[0, 10], [0, 10], [0, 10]],
}


def plan(parameters: int = 0, cells: tuple[Cell, ...] = CELLS) -> Plan:
    return Plan(("g",), ("g",), cells, parameters, (("g",),), (), rows_log2=12)


def contributions(**changes: Any) -> list[dict[str, np.ndarray]]:
    numbers = {**PASSING, **changes}
    return [
        {
            "gate.counts": np.array([numbers[name][h] for name in gate.COUNTS]),
            "gate.cells": np.array(numbers["cells"][h]),
            "gate.differences": np.array(numbers["differences"][h]),
        }
        for h in range(3)
    ]


Ask = Callable[..., tuple[bool, dict[str, int]]]


def judge(
    mpc: Engine, contributed: Callable[[tuple[Declared, ...]], dict], parameters: int, policy: GatePolicy
) -> dict[str, np.ndarray]:
    declared = gate.declared(plan(parameters), comparisons=2)
    refuse, outputs = gate.check(mpc, contributed(declared), plan(parameters), policy, 2)
    return {"refuse": mpc.release_share(refuse), **gate.release(mpc, gate.OUTPUTS, outputs)}


def in_the_clear(parameters: int = 0, policy: GatePolicy = DEFAULT, **changes: Any) -> tuple[bool, dict[str, int]]:
    mpc = Plaintext()
    for values in contributions(**changes):
        mpc.contribute(values)
    return verdict([judge(mpc, mpc.totals, parameters, policy)])


def on_shares(parameters: int = 0, policy: GatePolicy = DEFAULT, **changes: Any) -> tuple[bool, dict[str, int]]:
    def party(session: Session) -> dict[str, np.ndarray]:
        mpc = Replicated(session)
        mpc.contribute(contributions(**changes)[session.me])
        return judge(mpc, mpc.totals, parameters, policy)

    return verdict(simulate(3, (0, 1, 2), party))


def verdict(shares: list[dict[str, np.ndarray]]) -> tuple[bool, dict[str, int]]:
    opened = {}
    for name in shares[0]:
        total = shares[0][name]
        for other in shares[1:]:
            total = native.add(total, other[name])
        opened[name] = int(native.to_ints(total)[()])
    assert opened["refuse"] in (0, 1)
    return bool(opened.pop("refuse")), opened


@pytest.fixture(params=[in_the_clear, on_shares], ids=["plaintext", "replicated"])
def ask(request: pytest.FixtureRequest) -> Ask:
    return request.param  # type: ignore[no-any-return]


def test_everything_above_the_floors_passes(ask: Ask) -> None:
    assert ask() == (
        False,
        {"people": 120, "rows": 120, "missing": 0, "missing_small": 0, "out_of_bounds": 0, "out_of_bounds_small": 0},
    )


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"people": [4, 3, 3]}, False),
        ({"people": [3, 3, 3]}, True),
        ({"people": [0, 0, 0]}, True),
        ({"complement": [1, 0, 0]}, True),
        ({"complement": [3, 3, 3]}, True),
        ({"complement": [4, 3, 3]}, False),
        ({"missing": [1, 0, 0]}, False),
        ({"contributes": [1, 1, 0]}, True),
        ({"refusals": [0, 1, 0]}, True),
        ({"differences": [[1, 0], [0, 0], [0, 0]]}, True),
        ({"differences": [[3, 0], [3, 0], [3, 0]]}, True),
        ({"differences": [[4, 0], [3, 0], [3, 0]]}, False),
        ({"cells": [[10, 3, 5, 10], [10, 3, 5, 10], [10, 3, 5, 10]]}, True),
        ({"cells": [[10, 4, 5, 10], [10, 3, 5, 10], [10, 3, 5, 10]]}, False),
        ({"cells": [[10, 0, 5, 10], [10, 0, 5, 10], [10, 0, 5, 10]]}, False),  # b is absent everywhere
        ({"cells": [[0, 9, 0, 9], [0, 9, 0, 9], [0, 9, 0, 9]]}, False),  # a is absent, and with it "a and ill"
        ({"cells": [[9, 9, 0, 9], [9, 9, 0, 9], [9, 9, 0, 9]]}, True),  # "a and ill" is empty, its margins are not
        ({"cells": [[9, 9, 0, 0], [9, 9, 0, 0], [9, 9, 0, 0]]}, False),  # nobody is ill
        ({"rows": [1 << 12, 3, 0]}, True),  # a total beyond its declared bound
    ],
)
def test_each_rule_at_its_edge(ask: Ask, changes: dict[str, Any], refused: bool) -> None:
    assert ask(**changes)[0] is refused


@pytest.mark.parametrize(
    ("parameters", "people", "refused"),
    [(1, 11, False), (1, 10, True), (2, 19, True), (2, 20, False), (9, 89, True), (9, 90, False)],
)
def test_residual_degrees_of_freedom(parameters: int, people: int, refused: bool) -> None:
    assert in_the_clear(parameters=parameters, people=[people, 0, 0])[0] is refused


def test_a_policy_can_ask_for_more(ask: Ask) -> None:
    assert ask(policy=GatePolicy(cohort=121))[0]
    assert ask(policy=GatePolicy(cell=16))[0]
    assert ask(policy=GatePolicy(hospitals=4))[0]


def test_two_hospitals_where_the_policy_says_two(ask: Ask) -> None:
    assert not ask(policy=GatePolicy(hospitals=2), contributes=[1, 1, 0])[0]
    assert ask(policy=GatePolicy(hospitals=2), contributes=[1, 0, 0])[0]


@pytest.mark.parametrize(("total", "told", "small"), [(0, 0, 0), (1, 0, 1), (9, 0, 1), (10, 10, 0), (33, 33, 0)])
def test_counts_of_one_to_nine_are_not_told_apart(ask: Ask, total: int, told: int, small: int) -> None:
    _, outputs = ask(missing=[total, 0, 0], out_of_bounds=[0, total, 0])
    assert (outputs["missing"], outputs["missing_small"]) == (told, small)
    assert (outputs["out_of_bounds"], outputs["out_of_bounds_small"]) == (told, small)


@pytest.mark.parametrize("floors", [{"cohort": 4}, {"cell": 4}, {"hospitals": 1}, {"residual_df": 0}, {"parameters_share": 0.6}])
def test_no_policy_goes_below_the_least_floors(floors: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        GatePolicy(**floors)


def test_any_ring_element_out_of_range_is_seen() -> None:
    """A contribution that wraps around the ring, or lies just beyond the bound, on either side."""
    from dataclasses import replace

    mpc = Plaintext()
    for value, outside in [(5, 0), (-5, 0), (6, 1), (-6, 1), (1 << 254, 1), (-(1 << 255), 1), ((1 << 255) - 1, 1)]:
        secret = replace(
            mpc.constant(0, frac=0), data=type(mpc.constant(0).data)(native.from_ints(np.array(value, dtype=object), 4))
        )
        total = replace(secret, bound=5)
        bit = gate.out_of_range(mpc, {"x": total})
        assert int(native.to_ints(mpc.release_share(bit))) == outside, value


# -- what opens ---------------------------------------------------------------------------------------------------------------


def test_only_what_was_declared_opens() -> None:
    mpc = Plaintext()
    one = mpc.constant(1, frac=0)
    stage = Stage("s", stops=("singular",), outputs=(Output("n", (), "count", frac=0),))
    gate.check_declared(stage, Step({"singular": one}, outputs={"n": one}))
    wrong = [
        Step({"singular": one}, outputs={"n": one, "m": one}),
        Step({"singular": one}),
        Step({}, outputs={"n": one}),
        Step({"singular": one}, opened={"gamma": one}, outputs={"n": one}),
        Step({"singular": one}, controls={"converged": one}, outputs={"n": one}),
        Step({"singular": one}, outputs={"n": mpc.constant(1.0)}),
        Step({"singular": one}, outputs={"n": mpc.constant(np.ones(2, np.int64), frac=0)}),
        Step({"singular": one}, outputs={"n": mpc.constant(1, limbs=2, frac=0)}),
    ]
    for step in wrong:
        with pytest.raises(ProtocolError):
            gate.check_declared(stage, step)
    with pytest.raises(ProtocolError):
        gate.release(mpc, stage.outputs, {"n": one, "m": one})


# -- one hospital's counts ------------------------------------------------------------------------------------------------------


def batches(people: bool) -> list[Batch]:
    frame = pd.DataFrame({"g": ["a", "a", "b", "b", "b"], "ill": [True, False, False, True, True]})
    persons = np.array([1, 1, 2, 2, 3]) if people else None
    return [Batch(frame, persons, np.arange(5, dtype=np.uint64))] * 2


@pytest.mark.parametrize(("people", "cells"), [(False, [4, 6, 2, 6]), (True, [2, 4, 2, 6])])
def test_cells_count_people_not_rows(people: bool, cells: list[int]) -> None:
    counter, counts = gate.Counter(plan()), RowCounts(used=6 if people else 10, missing=3)
    assert len(list(counter.watch(Rows(iter(batches(people)), counts)))) == 2
    values = counter.values(counts, [7])
    assert values["gate.cells"].tolist() == cells
    assert values["gate.differences"].tolist() == [7]
    told = dict(zip(gate.COUNTS, values["gate.counts"].tolist(), strict=True))
    assert told == {
        "people": counts.used,
        "rows": 10,
        "complement": 0,
        "missing": 3,
        "out_of_bounds": 0,
        "contributes": 1,
        "refusals": 0,
    }


@pytest.mark.parametrize(("out_of_bounds", "refuses"), [(5, 0), (6, 1)])
def test_a_hospital_refuses_above_five_percent_out_of_bounds(out_of_bounds: int, refuses: int) -> None:
    counts = RowCounts(used=100 - out_of_bounds, out_of_bounds=out_of_bounds)
    values = gate.Counter(plan(cells=())).values(counts, [])
    assert values["gate.counts"][gate.COUNTS.index("refusals")] == refuses
    assert set(values) == {"gate.counts"}


def test_a_hospital_without_rows_does_not_contribute() -> None:
    values = gate.Counter(plan()).values(RowCounts(missing=4), [])
    assert values["gate.counts"][gate.COUNTS.index("contributes")] == 0


def test_the_gate_is_cheap() -> None:
    mpc = Plaintext()
    for values in contributions():
        mpc.contribute(values)
    judge(mpc, mpc.totals, 3, GatePolicy())
    assert mpc.cost.rounds <= 20
