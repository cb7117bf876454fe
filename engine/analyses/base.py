"""What a statistic is: three steps, and a plan that says beforehand what they will need and open.

    LOCAL    `local(rows, state)`         at each hospital, in the clear: stream the rows, end in a few numbers
    JOINT    `joint(mpc, totals, state)`  at the compute parties, on shares: the next state, or the outputs for the gate
    RESULT   `result(opened)`             at the researcher: standard errors, p-values, tables

Between steps everybody calls `advance` with what was opened to the parties (control bits alone in `result` mode, the new
coefficients in `steps` mode), so that all agree on the next stage. A non-iterative statistic has one stage. A stage may
contribute nothing: it goes on with what the compute parties hold.

An analysis object is made from public things alone (the spec, the charter's dictionary), the same at every party and at the
researcher; it holds no data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from engine.data.rows import Batch, Rows
from protocols.engine import Declared, Engine, Secret

Statistic = np.ndarray | tuple[np.ndarray, np.ndarray]
Statistics = Mapping[str, Statistic]
"""What a hospital contributes, by the names declared in the stage: float64, int64, or a compensated sum (high, low).

Arrays declared as `rows` have one entry for each row used, at most as many as the hospital's band; whoever sends them pads."""


@dataclass(frozen=True)
class Cell:
    """A group of people behind the answer. The gate counts it on shares, over all hospitals, and demands the floor.

    A cell below the floor is excused if one of the cells `absent_if` (indices into the plan's cells) is empty everywhere:
    a declared level that nobody has is dropped, not refused.
    """

    label: str  # for the hospital's own eyes; never in an error or a result
    members: Callable[[Batch], np.ndarray]  # bool (rows,)
    absent_if: tuple[int, ...] = ()


MOST_GROUPS = 64  # of one question, whose row sets are kept: 32 KiB each at every hospital
GROUP = "\2"


@dataclass(frozen=True)
class RowSet:
    """Rows behind a published number, for the differencing rule: those with a value in all `columns`; of one group, if named."""

    columns: tuple[str, ...]
    group: str = ""  # a cell's label; public
    members: Callable[[Batch], np.ndarray] | None = None  # bool (rows,)
    sources: tuple[str, ...] = ()  # what derived ones among `columns` are made from, and what else its numbers are about

    @property
    def about(self) -> tuple[str, ...]:
        """Every column that its rows are chosen by, or its numbers say something of."""
        return tuple(dict.fromkeys(self.columns + self.sources))

    @property
    def name(self) -> tuple[str, ...]:
        """What the ledger knows it by: the columns, and the group with a mark before it."""
        return (*self.about, GROUP + self.group) if self.group else self.about


def row_sets(whole: Iterable[tuple[str, ...]], groups: Sequence[RowSet]) -> tuple[RowSet, ...]:
    """Whole row sets, and groups whose numbers are published as well: the first MOST_GROUPS of them.

    A group beyond is compared with later questions only as a part of the whole.
    """
    own = {row_set.name: row_set for row_set in groups}
    return (*(RowSet(columns) for columns in dict.fromkeys(whole)), *list(own.values())[:MOST_GROUPS])


@dataclass(frozen=True)
class Output:
    """One array that the job may open: to the researcher at the end, or to the parties after a step."""

    name: str
    shape: tuple[int, ...]
    disclosure: Literal["count", "aggregate", "estimate", "variance", "covariance", "flag"]
    frac: int = 64
    limbs: int = 4


@dataclass(frozen=True)
class EncryptedSums:
    """Sums over rows at coefficients that the hospitals have in encrypted form only; their totals reach JOINT as shares.

    A total S of terms in [-1, 1] arrives as S / N with N = 2^rows_log2, by its name, shape (count,). Terms may be larger where
    the mean stays below 2^rooms[name].
    """

    numbers: int  # how many coefficients are encrypted
    counts: Mapping[str, int]  # sums by name
    rooms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One round trip LOCAL -> SHARE -> JOINT, as everybody knows it beforehand."""

    name: str
    contributed: tuple[Declared, ...] = ()
    rows: tuple[Declared, ...] = ()  # shared row by row, neither masked nor summed; `shape` and bound are those of one row
    encrypted: EncryptedSums | None = None  # computed by the hospitals on ciphertexts; engine `ckks` alone
    stops: tuple[str, ...] = ()  # control bits: what ends the job without a result: keys of STOPS, or "refused"
    controls: tuple[str, ...] = ()  # control bits that say how the job goes on
    opened: tuple[Output, ...] = ()  # to the parties; only in `steps` mode
    outputs: tuple[Output, ...] = ()  # to the researcher; exactly in the last stage


@dataclass(frozen=True)
class Plan:
    """What the whole job reads, opens and costs at most. Shown to hospitals before they approve; checked while it runs."""

    columns: tuple[str, ...]  # dictionary columns read
    listwise: tuple[str, ...]  # columns whose missing values exclude a row
    cells: tuple[Cell, ...]
    parameters: int  # for the residual-degrees-of-freedom rule; 0 where there are none
    row_sets: tuple[RowSet, ...]  # for the differencing rule: the rows that the outputs depend on
    outputs: tuple[Output, ...]
    rows_log2: int  # public: all hospitals' tables together hold at most 2^rows_log2 rows
    bands: tuple[int, ...] = ()  # public: the rows to which each hospital pads what it shares row by row
    controls: tuple[str, ...] = ()  # control bits that any stage may open, beside the stops
    shares_rows: bool = False  # hospitals share rows: two compute parties together could read them
    encrypted: bool = False  # hospitals compute on encrypted coefficients, on the rows of the first pass, again and again
    opened: tuple[Output, ...] = ()
    max_stages: int = 1


@dataclass(frozen=True)
class Step:
    """What JOINT made of one stage. Names and shapes are those the stage declared, or the gate refuses to open them."""

    stops: Mapping[str, Secret] = field(default_factory=dict)  # shared 0/1
    controls: Mapping[str, Secret] = field(default_factory=dict)  # shared 0/1
    opened: Mapping[str, Secret] = field(default_factory=dict)
    outputs: Mapping[str, Secret] = field(default_factory=dict)
    hidden: Any = None  # shares that the next stage needs; they stay at the compute parties


@dataclass(frozen=True)
class State:
    """Where an iterative analysis stands. `public` is the same everywhere; `hidden` exists at compute parties only."""

    stage: str
    iteration: int = 0
    public: Mapping[str, np.ndarray] = field(default_factory=dict)
    hidden: Any = None


@dataclass(frozen=True)
class Opened:
    """What reached the researcher."""

    values: Mapping[str, np.ndarray]  # float64 (frac > 0) or int64 (frac = 0)
    exact: Mapping[
        str, np.ndarray
    ]  # the same as ring integers (Python ints): value = integer / 2^frac, for what float64 would round
    public: Mapping[str, np.ndarray]  # what was opened to the parties, last value
    n: int  # rows used
    people: int  # as many as rows where the dictionary names no person column
    missing: int | None  # None = from 1 to below the floor of `cell`
    out_of_bounds: int | None
    stages: int
    context: Mapping[str, Any]  # job id, parties, engine, disclosure, warnings, receipt: passed on to the result object


STOPS = {
    "singular": "The pooled columns are collinear (or one is constant, or its reference level has no rows), so the coefficients "
    "are not determined. Leave a column out, or choose another reference level. A column whose bounds in the data dictionary are "
    "tens of thousands of times wider than its values can count as constant: tighten them.",
    "separated": "The fit does not converge: the outcome is perfectly (or almost) predicted by the columns. Leave a column out "
    "or merge levels. Counts that are on average a thousandth of the bound that the data dictionary gives them, or less, are too "
    "small for fits in `result` mode: tighten the bound, or ask with disclosure=\"steps\". With engine='ckks', cohorts that are "
    "a thousandth of the hospitals' tables or less, and columns a hundred times narrower than their bounds, can end like this as "
    "well: ask with engine='replicated'.",
    "beyond": "The fitted means of some rows lie far beyond the largest response that the data dictionary allows, where they are "
    "not computed. Widen the response's bounds in the dictionary, or leave a column out.",
    "interval": "Some linear predictors lie beyond the interval on which this engine computes means. Leave out a column that "
    "nearly predicts the outcome, tighten bounds far wider than a column's values, or ask with engine='replicated', which has no "
    "such limit.",
    "inconsistent": "A hospital's rows do not agree with its sums: its data changed while they were read, or its software is at "
    "fault. Ask again.",
}


class Analysis(Protocol):
    """One family of statistics. Registered in engine/analyses/__init__.py, which enrols it in the conformance suite."""

    name: ClassVar[str]
    modes: ClassVar[tuple[str, ...]]  # disclosure modes it can run in
    plan: Plan

    def start(self) -> State: ...

    def stage(self, state: State) -> Stage:
        """What this state's stage contributes and opens. Public."""
        ...

    def local(self, rows: Rows, state: State) -> Statistics:
        """Run by each hospital on its own rows; exhausts `rows` in constant memory."""
        ...

    def joint(self, mpc: Engine, totals: Mapping[str, Secret], state: State) -> Step:
        """Run by each compute party; opens nothing."""
        ...

    def advance(self, state: State, opened: Mapping[str, np.ndarray], hidden: Any) -> State:
        """Run by everybody after a stage that was not the last. `opened` holds the control bits, too."""
        ...

    def result(self, opened: Opened) -> Any:
        """Run by the researcher."""
        ...
