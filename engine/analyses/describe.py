"""Describing columns, all together or by group: n, missing, mean, SD, skewness, kurtosis, quartiles; frequencies of categories.

LOCAL    counts, sums of powers (powers.py), cumulative counts on a column's grid (quantiles.py), counts by level
JOINT    missing counts above 0 and below the floor for cells masked, quartiles found by comparisons, third and fourth sums of
         powers withheld from few people
RESULT   the moments

Leaks: the outputs. A column with at most five possible values is determined by its moments, so it obeys the rule for table cells.
Quartiles are of rows, while the floors are of people: where the dictionary names a person column there are none, because somebody
with most of the rows would be the quartiles. Rounds (replicated): 10 at most, and the gate's 13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from engine.analyses import describe_result, levels, powers, quantiles
from engine.analyses.base import Cell, Opened, Output, Plan, RowSet, Stage, State, Statistics, Step, row_sets
from engine.analyses.bits import flat, negation
from engine.analyses.inference import CELL
from engine.analyses.levels import Levels
from engine.analyses.normalise import declare_count, declare_sum
from engine.analyses.people import count
from engine.analyses.powers import FRAC, ORDER, PowerSums
from engine.analyses.quantiles import FEWEST_PEOPLE, Grid
from engine.analyses.question import Limits, Question, listwise, read_options, require_fields
from engine.data.rows import Batch, Rows
from engine.dictionary import FEW_VALUES, Column, Dictionary
from engine.errors import SpecError
from engine.results import DescribeResult
from protocols.engine import Engine, Secret

MOST_GRID_POINTS = 1 << 15  # over all columns and groups


@dataclass(frozen=True)
class Describe:
    """columns=[...], by=a column with declared levels; option quantiles (True)."""

    name: ClassVar[str] = "describe"
    modes: ClassVar[tuple[str, ...]] = ("result",)
    columns: tuple[Column, ...]
    by: Levels | None
    leveled: Mapping[str, Levels]  # categories
    grids: Mapping[str, Grid]
    by_person: bool  # the dictionary names a person column
    plan: Plan
    cell: int = CELL  # missing counts below this are masked

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> Describe:
        require_fields(question, ("columns", "by", "complete"))
        names = tuple(dict.fromkeys(question.columns))
        if not names:
            raise SpecError("describe needs columns=[...]")
        if question.by in names:
            raise SpecError("the column of by= cannot be described by itself; leave it out of columns=")
        by = Levels.of(dictionary, question.by) if question.by else None
        columns = tuple(dictionary[name] for name in names)
        by_person = dictionary.person is not None
        wanted = read_options(question, {"quantiles": True})["quantiles"] and not by_person
        grids = {c.name: grid for c in columns if wanted and (grid := Grid.of(c)) is not None}
        groups = len(by) if by else 1
        if groups * sum(grid.points for grid in grids.values()) > MOST_GRID_POINTS:
            raise SpecError("too many quantiles at once; ask for fewer columns, or for none with options={'quantiles': False}")
        leveled = {column.name: Levels.of(dictionary, column.name) for column in columns if not column.numeric}
        fixed = listwise((by.name,) if by else (), question, dictionary)
        plan = Plan(
            columns=tuple(dict.fromkeys([*names, *fixed])),
            listwise=fixed,
            cells=_cells(columns, by, leveled),
            parameters=0,
            row_sets=_row_sets(columns, by, leveled, fixed),
            outputs=_outputs(columns, groups, leveled, grids, limits.rows_log2),
            rows_log2=limits.rows_log2,
        )
        return cls(columns, by, leveled, grids, by_person, plan)

    @property
    def groups(self) -> int:
        return len(self.by) if self.by else 1

    @cached_property
    def numeric(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.numeric)

    def start(self) -> State:
        return State("sums")

    def stage(self, state: State) -> Stage:
        r, groups = self.plan.rows_log2, self.groups
        by_column = (len(self.columns), groups)
        contributed = [declare_count(name, by_column, r) for name in ("n", "people", "missing")]
        if self.numeric:
            contributed.append(declare_sum("powers", (len(self.numeric), groups, ORDER), r, frac=FRAC))
        contributed += [declare_count(f"cumulative {name}", (groups, grid.points - 1), r) for name, grid in self.grids.items()]
        contributed += [declare_count(f"levels {name}", (groups, len(of)), r) for name, of in self.leveled.items()]
        return Stage("sums", tuple(contributed), outputs=self.plan.outputs)

    # -- LOCAL ----------------------------------------------------------------------------------------------------------

    def local(self, rows: Rows, state: State) -> Statistics:
        counts = {name: np.zeros((len(self.columns), self.groups), np.int64) for name in ("n", "people", "missing")}
        tables = {each.name: np.zeros(each.shape, np.int64) for each in self.stage(state).contributed if " " in each.name}
        moments = [PowerSums(self.groups) for _ in self.numeric]
        for batch in rows:
            group = self.by.of_batch(batch) if self.by else np.zeros(len(batch), np.int64)
            for i, column in enumerate(self.columns):
                present = batch.known((column.name,))
                for g in range(self.groups):
                    mine = group == g
                    counts["n"][i, g] += np.count_nonzero(present & mine)
                    counts["missing"][i, g] += count(~present & mine, batch.persons)
                    counts["people"][i, g] += count(present & mine, batch.persons)
                self._add_tables(tables, column.name, batch, group, present)
            for column, sums in zip(self.numeric, moments, strict=True):
                values = batch.frame[column.name].to_numpy(dtype=np.float64)
                present = ~np.isnan(values)
                center, scale = center_scale(column)
                sums.add(np.clip((values[present] - center) / scale, -1.0, 1.0), group[present])
        totals = [sums.total() for sums in moments]
        stacked = {"powers": tuple(np.stack(parts) for parts in zip(*totals, strict=True))} if totals else {}
        return {**counts, **tables, **stacked}  # type: ignore[dict-item]

    def _add_tables(self, tables: dict[str, np.ndarray], name: str, batch: Batch, group: np.ndarray, present: np.ndarray) -> None:
        if name in self.leveled:
            codes = self.leveled[name].of_batch(batch)
            for g in range(self.groups):
                tables[f"levels {name}"][g] += np.bincount(codes[present & (group == g)], minlength=len(self.leveled[name]))
        elif name in self.grids:
            values = batch.frame[name].to_numpy(dtype=np.float64)
            for g in range(self.groups):
                tables[f"cumulative {name}"][g] += self.grids[name].cumulative(values[present & (group == g)])

    # -- JOINT ----------------------------------------------------------------------------------------------------------

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        rank_of = {column.name: i for i, column in enumerate(self.columns)}
        missing, people = totals["missing"], totals["people"]
        asked = [missing - self.cell, missing - 1, *([self._too_few(mpc, people)] if self.numeric else [])]
        fixed = len(asked)
        asked += [people[rank_of[name]] - FEWEST_PEOPLE for name in self.grids]
        asked += [quantiles.differences(mpc, totals[f"cumulative {name}"], totals["n"][rank_of[name]]) for name in self.grids]
        answers = _signs(mpc, asked)
        below, none = answers[:2]
        few, beyond = answers[fixed : fixed + len(self.grids)], answers[fixed + len(self.grids) :]
        values = [flat(mpc, missing)]
        factors = [flat(mpc, negation(mpc, below))]
        for too_few, signs in zip(few, beyond, strict=True):
            values.append(flat(mpc, quantiles.indices(mpc, signs)))
            factors.append(negation(mpc, too_few)[np.repeat(np.arange(self.groups), 3)])
        masked = _split(mpc, mpc.mul(mpc.concat(values), mpc.concat(factors)), values)
        outputs = {
            "column_n": totals["n"],
            "column_missing": mpc.reshape(masked[0], missing.shape),
            "column_missing_small": mpc.bounded(below - none, 1, "[m < 1] implies [m < cell]"),
        }
        for name, quartiles, too_few in zip(self.grids, masked[1:], few, strict=True):
            outputs[f"quartiles {name}"] = mpc.reshape(quartiles, (self.groups, 3))
            outputs[f"few {name}"] = too_few
        outputs |= {f"levels {name}": totals[f"levels {name}"] for name in self.leveled}
        return Step(outputs=outputs | (_shape_withheld(mpc, totals["powers"], answers[2]) if self.numeric else {}))

    def _too_few(self, mpc: Engine, people: Secret) -> Secret:
        """(numeric columns, groups): negative where the third and fourth sums of powers would tell too much."""
        fewest = [shape_from(column) for column in self.numeric]
        never = (1 << self.plan.rows_log2) + 1  # more people than there can be
        thresholds = np.array([never if number is None else min(number, never) for number in fewest], dtype=np.int64)
        mine = people[np.array([i for i, column in enumerate(self.columns) if column.numeric])]
        return mine - np.repeat(thresholds[:, None], self.groups, axis=1)

    # -- RESULT ---------------------------------------------------------------------------------------------------------

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: object) -> State:
        raise AssertionError("describe has one stage")

    def result(self, opened: Opened) -> DescribeResult:
        return describe_result.make(self, opened)


def center_scale(column: Column) -> tuple[float, float]:
    low, high = column.limits
    return (low + high) / 2, (high - low) / 2


def shape_from(column: Column) -> int | None:
    """From how many people on the third and fourth sums of powers are opened; None for never."""
    if _few_values(column) is not None:
        return 0  # each value obeys the rule for table cells
    if column.values is not None:
        return powers.fewest(len(column.values))
    if column.resolution is None:
        return powers.fewest(None)
    low, high = column.limits
    return powers.fewest(round((high - low) / column.resolution) + 1)


def _shape_withheld(mpc: Engine, sums: Secret, too_few: Secret) -> dict[str, Secret]:
    """The outputs of the sums of powers: the third and fourth times 0 where there are too few people. One round."""
    columns, groups, _ = sums.shape
    of = (np.repeat(np.arange(columns), 2 * groups), np.tile(np.repeat(np.arange(groups), 2), columns))
    shape = flat(mpc, sums[:, :, 2:])
    kept = mpc.mul(replace(shape, frac=0), negation(mpc, too_few)[of])
    kept = mpc.reshape(replace(kept, frac=sums.frac), (columns, groups, 2))
    return {"powers": mpc.concat([sums[:, :, :2], kept], axis=2), "shape_withheld": too_few}


def _row_sets(
    columns: tuple[Column, ...], by: Levels | None, leveled: Mapping[str, Levels], fixed: tuple[str, ...]
) -> tuple[RowSet, ...]:
    """The rows of each column; of each group; of each value and of each value in each group, where those are told."""
    names = {column.name: tuple(sorted({*fixed, column.name})) for column in columns}
    margins = {name: list(by.margins(0)) if by else [] for name in names}
    for column in columns:
        values = leveled.get(column.name) or _few_values(column)
        if values is not None:
            margins[column.name] += [*values.margins(0), *(levels.table_cells(by, values, 0, 0) if by else ())]
    return row_sets(names.values(), [RowSet(names[name], cell.label, cell.members) for name in names for cell in margins[name]])


def _cells(columns: tuple[Column, ...], by: Levels | None, leveled: Mapping[str, Levels]) -> tuple[Cell, ...]:
    """The groups; in each of them the people with a value; of columns with few values, each value."""
    cells: list[Cell] = list(by.margins(0)) if by else []
    for column in columns:
        values = leveled.get(column.name) or _few_values(column)
        if values is None:
            cells += _known(column.name, by)
            continue
        first = len(cells)
        cells += values.margins(first)
        if by:
            cells += levels.table_cells(by, values, 0, first)
    return tuple(cells)


def _few_values(column: Column) -> Levels | None:
    """The values of a numeric column whose moments would tell their frequencies."""
    grid = Grid.of(column)
    values: tuple[Any, ...] | None = column.values or column.pair
    if values is None and grid is not None and grid.points <= FEW_VALUES:
        values = tuple(grid.low + grid.step * b for b in range(grid.points))
    return Levels(column, values) if values is not None and len(values) <= FEW_VALUES else None


def _known(name: str, by: Levels | None) -> list[Cell]:
    def members(level: int | None) -> Any:
        def find(batch: Batch) -> np.ndarray:
            present = batch.known((name,))
            return present if by is None or level is None else present & (by.of_batch(batch) == level)

        def known(batch: Batch) -> np.ndarray:
            return batch.once(known, lambda: find(batch))

        return known

    if by is None:
        return [Cell(f"{name} is known", members(None))]
    return [Cell(f"{name} is known, {by.name} is {value}", members(i), (i,)) for i, value in enumerate(by.values)]


def _outputs(
    columns: tuple[Column, ...], groups: int, leveled: Mapping[str, Levels], grids: Mapping[str, Grid], rows_log2: int
) -> tuple[Output, ...]:
    shape = (len(columns), groups)
    numeric = sum(column.numeric for column in columns)
    outputs = [Output("column_n", shape, "count", frac=0), Output("column_missing", shape, "count", frac=0)]
    outputs.append(Output("column_missing_small", shape, "flag", frac=0))
    for name in grids:
        outputs += [
            Output(f"quartiles {name}", (groups, 3), "aggregate", frac=0),
            Output(f"few {name}", (groups,), "flag", frac=0),
        ]
    outputs += [Output(f"levels {name}", (groups, len(of)), "count", frac=0) for name, of in leveled.items()]
    if numeric:
        outputs.append(Output("powers", (numeric, groups, ORDER), "aggregate", frac=FRAC + rows_log2))
        outputs.append(Output("shape_withheld", (numeric, groups), "flag", frac=0))
    return tuple(outputs)


def _signs(mpc: Engine, xs: list[Secret]) -> list[Secret]:
    """[x < 0] of several arrays, in one comparison."""
    signs = mpc.is_negative(mpc.concat([flat(mpc, x) for x in xs]))
    return [mpc.reshape(part, x.shape) for part, x in zip(_split(mpc, signs, xs), xs, strict=True)]


def _split(mpc: Engine, joined: Secret, like: list[Secret]) -> list[Secret]:
    ends = np.cumsum([int(np.prod(x.shape, dtype=np.int64)) for x in like])
    return [joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
