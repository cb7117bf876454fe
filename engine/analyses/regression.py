"""What the regressions share: reading the question, columns of absent levels, variances in the formula's own coordinates.

A fit computes coefficients gamma of the scaled columns z = (x - c) / s. The formula's own are beta = offset + s_y T gamma
(formula/design.py), where T mixes only in the intercept's row. So the variance of every slope is a diagonal entry of cov(gamma)
times a public number, and that of the intercept is t' cov(gamma) t with the public row t of T; both are formed on shares, so that
no covariance opens unless the question asks for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.analyses import saturation
from engine.analyses.base import Cell, Output, Plan, RowSet, row_sets
from engine.analyses.question import Limits, Question, listwise, one_of, read_options, require_fields
from engine.data.rows import Batch
from engine.dictionary import Dictionary
from engine.errors import FormulaError, SpecError
from engine.formula import Design, Term
from engine.formula.expression import Factor
from protocols.engine import Engine, Secret

X_FRAC = 40  # fractional bits of an inverse where it is multiplied twice: 1e-12 of its smallest entries
INVERSE_LOG2 = 48  # entries of protocols/numeric/solve.inverse, for a trace bound of at least 1
GAMMA_LIMIT = 2.0**20  # coefficients of columns scaled to [-1, 1], response scaled too
MOST_ROBUST_COLUMNS = 30
MOST_ROWS_OF_A_PERSON = 1 << 10
VCOV = ("model", "HC0", "HC1", "cluster")
GLM_VCOV = ("model", "HC0", "cluster")  # packages disagree on what HC1 means there
INVERSE = "|X| <= 2^45.8 (1 + 2^-3) (2 + 2^-3) after the last step: protocols/numeric/solve.py, Range"


@dataclass(frozen=True)
class Model:
    """A regression question, read and checked."""

    design: Design
    limits: Limits
    columns: tuple[str, ...]
    vcov: str
    cov_params: bool
    by_person: bool  # the dictionary names a person column
    analysis_set: tuple[str, ...]  # the columns that hospitals read, whose missing values leave a row out; sorted
    wald: bool = False  # open the joint test of each term of several columns

    @classmethod
    def read(
        cls, question: Question, dictionary: Dictionary, limits: Limits, vcovs: tuple[str, ...] = VCOV, **more: bool
    ) -> Model:
        """`more`: options that only some regressions have."""
        require_fields(question, ("formula", "complete", "reference"))
        if not question.formula:
            raise SpecError(f"{question.analysis} needs a formula, for example 'y ~ x1 + x2'")
        design = Design.compile(question.formula, dictionary, question.reference)
        if design.response_name is None:
            raise FormulaError(
                f"{question.analysis} needs a response: write it to the left of ~, as in 'outcome ~ {question.formula}'"
            )
        options = read_options(question, {"vcov": "model", "cov_params": False, **more})
        vcov = one_of("vcov", options["vcov"], vcovs)
        if vcov == "cluster" and dictionary.person is None:
            raise SpecError('vcov="cluster" needs a person column, and the data dictionary names none; use "HC0" or "model"')
        if vcov != "model" and len(design.names) > MOST_ROBUST_COLUMNS:
            raise SpecError(f'vcov="{vcov}" takes at most {MOST_ROBUST_COLUMNS} columns; use vcov="model", or fewer columns')
        columns = listwise(design.columns, question, dictionary)
        analysis_set = tuple(sorted({dictionary.source(name) for name in columns}))
        by_person, wald = dictionary.person is not None, bool(options.get("wald", False))
        if wald and vcov != "model":
            raise SpecError('wald=True is for vcov="model"; with a robust covariance, ask with cov_params=True')
        return cls(design, limits, columns, vcov, options["cov_params"], by_person, analysis_set, wald)

    @property
    def size(self) -> int:
        return len(self.design.names)

    @property
    def rows_log2(self) -> int:
        return self.limits.rows_log2

    @cached_property
    def droppable(self) -> np.ndarray:
        """Columns that are zero everywhere when a declared level has no rows: those of terms with a factor."""
        flags = np.zeros(self.size, dtype=bool)
        for term in self.design.terms:
            flags[term.columns] = term.factor
        return np.flatnonzero(flags)

    @cached_property
    def tested(self) -> tuple[Term, ...]:
        """The terms of several columns, whose joint tests the question asks for."""
        return tuple(term for term in self.design.terms if term.columns.stop - term.columns.start > 1) if self.wald else ()

    @cached_property
    def constant_columns(self) -> np.ndarray:
        """Columns that add up to 1 in every row: the intercept, or all levels of a factor; none in a model without a constant."""
        if self.design.intercept is not None:
            return np.array([self.design.intercept])
        for term in self.design.terms:
            columns = self.design._layout[term.columns]
            factors = {text: self.design._meanings[text] for column in columns for text, _ in column.parts}
            levels = [len(meaning.levels) for meaning in factors.values() if isinstance(meaning, Factor)]
            if len(levels) == len(factors) and len(columns) == math.prod(levels):
                return np.arange(len(self.design.names))[term.columns]
        return np.empty(0, dtype=np.int64)

    def plan(
        self,
        outputs: tuple[Output, ...],
        opened: tuple[Output, ...] = (),
        max_stages: int = 1,
        controls: tuple[str, ...] = (),
        shares_rows: bool = False,
        encrypted: bool = False,
    ) -> Plan:
        return Plan(
            columns=self.columns,
            listwise=self.columns,
            cells=self._cells(),
            parameters=self.size,
            row_sets=row_sets([self.columns], [RowSet(self.columns, cell.label, cell.members) for cell in self._cells()]),
            outputs=outputs,
            rows_log2=self.rows_log2,
            opened=opened,
            bands=self.limits.bands,
            max_stages=max_stages,
            controls=controls,
            shares_rows=shares_rows,
            encrypted=encrypted,
        )

    def _cells(self) -> tuple[Cell, ...]:
        """The design's and the response's, and those of the tables that follow from what is returned."""
        cells = self.design.cells + self.design.response_cells + self.design.zero_cells
        return cells + saturation.table_cells(self.design, len(cells), self.cov_params)

    # -- LOCAL ----------------------------------------------------------------------------------------------------------

    def present(self, z: np.ndarray) -> np.ndarray:
        """How many rows have a value other than 0 in each droppable column."""
        return np.asarray(np.count_nonzero(z[:, self.droppable], axis=0), dtype=np.int64)

    def persons(self, batch: Batch) -> np.ndarray | None:
        """Who the rows belong to, for clustering; None: every row by itself."""
        return batch.persons if self.vcov == "cluster" else None

    # -- JOINT ----------------------------------------------------------------------------------------------------------

    def with_absent(self, mpc: Engine, M: Secret, absent: Secret | None) -> Secret:
        """M with 1 on the diagonal of columns that are zero everywhere: their coefficients become 0, the others' stay."""
        if absent is None:
            return M
        place = np.full((self.size, self.size), len(self.droppable))
        place[self.droppable, self.droppable] = np.arange(len(self.droppable))
        ones = mpc.rescale_up(_and_zero(mpc, absent)[place], M.frac)
        return mpc.bounded(M + ones, M.bound, "a column that is zero everywhere has 0 on the diagonal")

    def absent_columns_of_all(self, mpc: Engine, absent: Secret | None) -> Secret | None:
        """`absent`, of the droppable columns, as 0 or 1 for every column, (d,)."""
        if absent is None:
            return None
        place = np.full(self.size, len(self.droppable))
        place[self.droppable] = np.arange(len(self.droppable))
        return _and_zero(mpc, absent)[place]

    @cached_property
    def intercept_row(self) -> tuple[np.ndarray, float]:
        """(t / 2^e with Euclidean norm at most 1, 2^e) for the intercept's row t of T."""
        assert self.design.intercept is not None
        t = self.design.coefficient_map()[0][self.design.intercept]
        scale = 2.0 ** np.ceil(np.log2(np.linalg.norm(t)))
        return t / scale, float(scale)

    def reported_rows(self, mpc: Engine, X: Secret) -> Secret:
        """X with the intercept's row replaced by t' X, at X_FRAC bits. Two rounds, one without an intercept."""
        X = mpc.truncate(X, X.frac - X_FRAC)
        if self.design.intercept is None:
            return X
        row = mpc.bounded(mpc.matmul(X, self.intercept_row[0][:, None], frac=X_FRAC), X.bound, "|t| <= 1 in the Euclidean norm").T
        i = self.design.intercept
        return mpc.concat([part for part in (X[:i], row, X[i + 1 :]) if part.shape[0]])

    def reported_variances(self, mpc: Engine, X: Secret) -> Secret:
        """diag X, with t' X t for the intercept: at X's scale. Two rounds, none without an intercept."""
        i, index = self.design.intercept, np.arange(self.size)
        diagonal = X[index, index]
        if i is None:
            return diagonal
        t = self.intercept_row[0][:, None]
        tXt = mpc.matmul(mpc.matmul(X, t, frac=X.frac).T, t, frac=X.frac)[0]
        tXt = mpc.bounded(tXt, X.bound, "|t| <= 1 in the Euclidean norm")
        return mpc.concat([part for part in (diagonal[:i], tXt, diagonal[i + 1 :]) if part.shape[0]])

    # -- RESULT ---------------------------------------------------------------------------------------------------------

    def params(self, gamma: np.ndarray) -> np.ndarray:
        transform, offset = self.design.coefficient_map()
        return np.asarray(offset + self.design.response_scale * transform @ gamma)

    def covariance(self, values: Mapping[str, np.ndarray], unit: float) -> tuple[np.ndarray, np.ndarray | None]:
        """(variances, covariances or None) of beta from the opened "variance" or "covariance" of gamma, which count in `unit`."""
        transform, _ = self.design.coefficient_map()
        square = self.design.response_scale**2 * unit
        if self.cov_params:
            full = square * transform @ values["covariance"] @ transform.T
            return np.diag(full).copy(), full
        factors = np.diag(transform) ** 2
        if self.design.intercept is not None:
            factors[self.design.intercept] = self.intercept_row[1] ** 2
        return square * factors * values["variance"], None

    def reported_diagonal(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The opened variances as `reported_variances` has them, also where the whole covariance was opened."""
        if not self.cov_params:
            return np.asarray(values["variance"])
        diagonal, i = np.diag(values["covariance"]).copy(), self.design.intercept
        if i is not None:
            diagonal[i] = self.intercept_row[0] @ values["covariance"] @ self.intercept_row[0]
        return diagonal

    def spread_outputs(self) -> tuple[Output, ...]:
        """The (co)variances; beside robust ones also those of the model, which say how far to trust the arithmetic."""
        covariance = Output("covariance", (self.size, self.size), "covariance")
        variance = Output("variance", (self.size,), "variance")
        own = Output("model_variance", (self.size,), "variance")
        return (covariance if self.cov_params else variance, *(() if self.vcov == "model" else (own,)))

    def model_spread(self, mpc: Engine, X: Secret) -> dict[str, Secret]:
        """The outputs that X itself makes."""
        if self.vcov != "model":
            return {"model_variance": self.reported_variances(mpc, X)}
        return {"covariance": X} if self.cov_params else {"variance": self.reported_variances(mpc, X)}

    def absent_outputs(self) -> tuple[Output, ...]:
        return (Output("absent", (len(self.droppable),), "flag", frac=0),) if len(self.droppable) else ()

    def absent_columns(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Which columns are zero everywhere, bool (size,)."""
        absent = np.zeros(self.size, dtype=bool)
        if len(self.droppable):
            absent[self.droppable] = values["absent"].astype(bool)
        return absent


def _and_zero(mpc: Engine, absent: Secret) -> Secret:
    """With a 0 behind, for all that is not droppable."""
    return mpc.concat([absent, mpc.constant(np.zeros(1, dtype=np.int64), frac=0)])


def tight_inverse(mpc: Engine, X: Secret) -> Secret:
    return mpc.bounded(X, 1 << (INVERSE_LOG2 + X.frac), INVERSE)
