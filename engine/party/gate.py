"""The release gate's rules, computed on shares: pooled counts in, one bit out, and nobody sees a count that fails.

Every hospital adds counts of people to its first contribution; the compute parties turn each rule into comparisons, all rules in
one batch, and add up the violations. What opens is whether there was any (SECURITY.md, "Disclosure floors"):

    ranges        every total lies within its declared bound, over the whole ring
    cohort        people used >= cohort, and enough of them for the number of parameters
    complement    people left out by `where`: none or >= cohort (rows left out as missing are no complement)
    hospitals     that contribute anybody >= hospitals
    cells         each >= cell; below it only where a cell named in `absent_if` is empty everywhere
    differences   from each earlier answer that concerns this one (ledger.py): 0 or >= 10 people
    refusals      no hospital finds more than 5 % of its rows out of bounds

Counts that are told along with the answer (missing, out of bounds) leave as c [c >= floor] with the bit [1 <= c < floor].
Adversary: the engine's. Leaks: the bit. Rounds (replicated): 7 to 9 for all comparisons at once (ranges need the whole ring's
width, so the others take it too), 1 for each depth of `absent_if`, 2 or 3 to join the violations, 1 for the masked counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.analyses import people
from engine.analyses.base import Output, Plan, Stage, Step
from engine.analyses.bits import any_of, flat, negation
from engine.analyses.opening import TOLD
from engine.data.rows import Batch, RowCounts, Rows
from engine.errors import ConfigError
from protocols.engine import Declared, Engine, Secret
from protocols.errors import ProtocolError

PEOPLE_FLOOR = 5
DIFFERENCE = 10  # hospitals cap the differences they contribute at this
OUT_OF_BOUNDS_SHARE = 0.05

COUNTS = ("people", "rows", "complement", "missing", "out_of_bounds", "contributes", "refusals")
OUTPUTS = (
    Output("people", (), "count", frac=0),
    Output("rows", (), "count", frac=0),
    *(Output(name, (), "count", frac=0) for name in TOLD),
    *(Output(f"{name}_small", (), "flag", frac=0) for name in TOLD),
)
"""What the gate itself adds to the outputs of every analysis."""


@dataclass(frozen=True)
class GatePolicy:
    """The floors. A hospital's policy may raise them; below five people nobody may set them."""

    cohort: int = 10
    cell: int = 10
    hospitals: int = 3
    residual_df: int = 10
    parameters_share: float = 0.1

    def __post_init__(self) -> None:
        if min(self.cohort, self.cell) < PEOPLE_FLOOR:
            raise ConfigError(f"the floors of a cohort and of a cell cannot be below {PEOPLE_FLOOR} people")
        if self.hospitals < 2 or self.residual_df < 1 or not 0 < self.parameters_share <= 0.5:
            raise ConfigError("the gate needs hospitals >= 2, residual_df >= 1 and 0 < parameters_share <= 0.5")

    def people_needed(self, parameters: int) -> int:
        """The smallest cohort that may carry a model of so many parameters."""
        if parameters == 0:
            return self.cohort
        return max(self.cohort, parameters + self.residual_df, math.ceil(parameters / self.parameters_share - 1e-9))


def declared(plan: Plan, *, comparisons: int) -> tuple[Declared, ...]:
    """What every hospital adds to its first contribution: counts of people, exact."""
    limit = float(1 << plan.rows_log2)
    shapes = {"gate.counts": len(COUNTS), "gate.cells": len(plan.cells), "gate.differences": comparisons}
    return tuple(Declared(name, (size,), limit, frac=0) for name, size in shapes.items() if size)


class Counter:
    """One hospital's counts, taken from the very batches that the analysis reads."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rows = 0
        self._cells = np.zeros(len(plan.cells), np.int64)

    def add(self, batch: Batch) -> None:
        self._rows += len(batch)
        for i, cell in enumerate(self._plan.cells):
            self._cells[i] += people.count(np.asarray(cell.members(batch), dtype=bool), batch.persons)

    def watch(self, rows: Rows) -> Rows:
        """The same stream, counted on its way."""
        return Rows(self._watched(rows), rows.counts)

    def _watched(self, rows: Rows) -> Iterator[Batch]:
        for batch in rows:
            self.add(batch)
            yield batch

    def values(self, counts: RowCounts, differences: Sequence[int]) -> dict[str, np.ndarray]:
        """The contribution, once the stream has ended. `differences`: people (at most 10) for each agreed comparison."""
        mine = {
            "people": counts.used,
            "rows": self._rows,
            "complement": counts.complement,
            "missing": counts.missing,
            "out_of_bounds": counts.out_of_bounds,
            "contributes": int(counts.used > 0),
            "refusals": int(too_many_out_of_bounds(counts)),
        }
        counted = {"gate.counts": [mine[name] for name in COUNTS], "gate.cells": self._cells, "gate.differences": differences}
        arrays = {name: np.asarray(values, dtype=np.int64) for name, values in counted.items()}
        return {name: array for name, array in arrays.items() if array.size}


def refusing(declared: Sequence[Declared]) -> dict[str, np.ndarray]:
    """The contribution of a hospital whose data cannot be read: nothing, and a refusal."""
    values = {each.name: np.zeros(each.shape, dtype=np.int64) for each in declared}
    values["gate.counts"][COUNTS.index("refusals")] = 1
    return values


def too_many_out_of_bounds(counts: RowCounts) -> bool:
    """Whether a wrong unit or a wrong mapping is likelier than odd patients. Told to this hospital by its own daemon."""
    return counts.out_of_bounds > OUT_OF_BOUNDS_SHARE * (counts.used + counts.missing + counts.out_of_bounds)


def check(
    mpc: Engine, totals: Mapping[str, Secret], plan: Plan, policy: GatePolicy, comparisons: int
) -> tuple[Secret, dict[str, Secret]]:
    """(1 if any rule is broken, the gate's own outputs). `totals` are all of the first stage's, the analysis' included."""
    counts = dict(zip(COUNTS, (totals["gate.counts"][i] for i in range(len(COUNTS))), strict=True))
    questions = _Comparisons(mpc)
    ranges = questions.within_bounds(totals.values())
    too_few = [
        questions.below(counts["people"], policy.people_needed(plan.parameters)),
        questions.below(counts["contributes"], policy.hospitals),
    ]
    complement = questions.between(counts["complement"], policy.cohort)
    differences = questions.between(totals["gate.differences"], DIFFERENCE) if comparisons else None
    cells = questions.between(totals["gate.cells"], policy.cell) if plan.cells else None
    no_refusal = questions.below(counts["refusals"], 1)
    told = {name: questions.between(counts[name], policy.cell) for name in TOLD}
    answer = questions.answers()

    broken = [answer[i] for i in (*ranges, *too_few)]
    broken += [_small(mpc, answer, complement), negation(mpc, answer[no_refusal])]
    broken += [_small(mpc, answer, differences)] if differences else []
    broken += [_cells_broken(mpc, plan, answer[cells[0]], answer[cells[1]])] if cells else []
    refuse = any_of(mpc, broken)

    outputs = {"people": counts["people"], "rows": counts["rows"], **_masked(mpc, counts, answer, told)}
    return refuse, outputs


def out_of_range(mpc: Engine, totals: Mapping[str, Secret]) -> Secret:
    """1 if any total broke the bound it was declared with: to be asked of every contribution after the first."""
    questions = _Comparisons(mpc)
    ranges = questions.within_bounds(totals.values())
    answer = questions.answers()
    return any_of(mpc, [answer[i] for i in ranges])


def check_declared(stage: Stage, step: Step) -> None:
    """Hold what JOINT returned against what the stage declared. Raises ProtocolError: nothing undeclared is ever opened."""
    stops, controls = (tuple(Output(name, (), "flag", frac=0) for name in names) for names in (stage.stops, stage.controls))
    _compare(stops, step.stops)
    _compare(controls, step.controls)
    _compare(stage.opened, step.opened)
    _compare(stage.outputs, step.outputs)


def release(mpc: Engine, outputs: Sequence[Output], values: Mapping[str, Secret]) -> dict[str, np.ndarray]:
    """This party's re-randomised shares of exactly the declared outputs. Raises ProtocolError for anything else."""
    _compare(outputs, values)
    return {output.name: mpc.release_share(values[output.name]) for output in outputs}


def _compare(outputs: Sequence[Output], values: Mapping[str, Secret]) -> None:
    if sorted(values) != sorted(output.name for output in outputs):
        raise ProtocolError("the analysis wants to open other values than it declared")
    for output in outputs:
        value = values[output.name]
        if (value.shape, value.frac, value.limbs) != (output.shape, output.frac, output.limbs):
            raise ProtocolError(f"{output.name} has another shape or scale than the analysis declared")


class _Comparisons:
    """Collects questions of the kind [x < threshold], to ask them all in one batch, over the whole ring."""

    def __init__(self, mpc: Engine) -> None:
        self._mpc = mpc
        self._differences: list[Secret] = []

    def below(self, x: Secret, threshold: int) -> int:
        """The number under which `answers` will hold [x < threshold]."""
        self._differences.append(flat(self._mpc, x) - threshold)
        return len(self._differences) - 1

    def between(self, x: Secret, threshold: int) -> tuple[int, int]:
        """The numbers of [x < threshold] and [x < 1]."""
        return self.below(x, threshold), self.below(x, 1)

    def within_bounds(self, totals: Iterable[Secret]) -> list[int]:
        """The numbers of [x + B < 0] and [B - x < 0] in x's own units, for ANY ring element x: whether it broke its bound B.

        B < 2^254, so no sum that could hide a violation overflows: where x + B wraps, x > B and B - x is negative; and so on.
        """
        numbers = []
        for total in totals:
            x = replace(total, frac=0)
            numbers += [self.below(x + total.bound, 0), self.below(total.bound - x, 0)]
        return numbers

    def answers(self) -> list[Secret]:
        sizes = [each.shape[0] for each in self._differences]
        joined = self._mpc.concat(self._differences)
        bits = self._mpc.is_negative(joined, bits=64 * joined.limbs)
        ends = np.cumsum(sizes)
        return [bits[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _small(mpc: Engine, answer: Sequence[Secret], pair: Sequence[int]) -> Secret:
    """[1 <= x < threshold] from [x < threshold] and [x < 1]."""
    return mpc.bounded(answer[pair[0]] - answer[pair[1]], 1, "[x < 1] implies [x < threshold]")


def _cells_broken(mpc: Engine, plan: Plan, below: Secret, empty: Secret) -> Secret:
    """[cell < floor] times, for each cell that would excuse it, [that cell is not empty]."""
    one = mpc.constant(np.ones(1, dtype=np.int64), frac=0)
    present = mpc.concat([negation(mpc, empty), one])
    always = len(plan.cells)
    broken = below
    for depth in range(max(len(cell.absent_if) for cell in plan.cells)):
        excuse = [cell.absent_if[depth] if depth < len(cell.absent_if) else always for cell in plan.cells]
        broken = mpc.bounded(mpc.mul(broken, present[np.array(excuse)]), 1, "a product of bits")
    return broken


def _masked(
    mpc: Engine, counts: Mapping[str, Secret], answer: Sequence[Secret], told: Mapping[str, tuple[int, int]]
) -> dict[str, Secret]:
    """c [c >= floor] and [1 <= c < floor] for the counts told with the answer."""
    values = mpc.concat([flat(mpc, counts[name]) for name in told])
    large = negation(mpc, mpc.concat([answer[below] for below, _ in told.values()]))
    masked = mpc.mul(values, large)
    outputs: dict[str, Secret] = {}
    for i, (name, pair) in enumerate(told.items()):
        outputs[name] = masked[i]
        outputs[f"{name}_small"] = _small(mpc, answer, pair).reshape()
    return outputs
