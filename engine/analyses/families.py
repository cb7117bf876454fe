"""Families of generalised linear models, as a hospital computes with them in the clear.

A row with linear predictor eta has a mean, a weight W = d mean / d eta (canonical links), and a part of the log-likelihood that
depends on eta, y eta - b(eta); what depends on y alone is added up once (`constants`). Every quantity that travels has a bound
that the dictionary gives, a power of two; sums are contributed in units of it, so that the protocol sees terms in [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from scipy.special import expit, gammaln, xlogy

from engine.analyses.base import Output
from engine.analyses.normalise import declare_sum
from engine.analyses.powers import first_hidden, multisets_log2
from engine.data.rows import Batch
from engine.dictionary import FEW_VALUES
from engine.errors import SpecError
from engine.formula import Design
from engine.formula.design import response_interval
from protocols.engine import Declared

PEARSON_LIMIT_LOG2 = 24  # of one row's squared residual over its variance; larger ones count as this
MEAN_ROOM_LOG2 = 3  # fitted means of counts are computed up to 8 times the largest response that the dictionary allows
MOST_COUNT_LOG2 = 12
SUMS_FRAC = 12  # of the sums of log y! and y log y, as opened: exact, the two would tell how often y takes each value


class Family(Protocol):
    """A family with its canonical link. `eta` and `y` are float64 (rows,)."""

    @property
    def name(self) -> str: ...

    @property
    def link(self) -> str: ...

    @property
    def weight_log2(self) -> int:
        """0 <= W <= 2^weight_log2."""
        ...

    @property
    def residual_log2(self) -> int:
        """|y|, |mean| and |y - mean| <= 2^residual_log2."""
        ...

    @property
    def fit_log2(self) -> int:
        """|y eta - b(eta)| <= 2^fit_log2; larger ones count as this."""
        ...

    @property
    def total(self) -> str:
        """The name of the output that is sum y."""
        ...

    def variance(self, mean: float) -> float:
        """Of a response with this mean."""
        ...

    def response(self, design: Design, batch: Batch) -> np.ndarray: ...

    def residual(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray: ...

    def weight(self, eta: np.ndarray) -> np.ndarray: ...

    def slope(self, eta: np.ndarray) -> np.ndarray:
        """d W / d eta; |slope| <= 2^weight_log2."""
        ...

    def fit(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        """y eta - b(eta)."""
        ...

    def pearson(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        """(y - mean)^2 / W, at most 2^PEARSON_LIMIT_LOG2."""
        ...

    def constants(self, y: np.ndarray) -> Mapping[str, np.ndarray]:
        """What is added up over y alone, by row."""
        ...

    def declared(self, rows_log2: int) -> tuple[Declared, ...]:
        """Those sums, as contributed."""
        ...

    def outputs(self, rows_log2: int) -> tuple[Output, ...]:
        """Those sums, as opened to the researcher."""
        ...


@dataclass(frozen=True)
class Binomial:
    """y is 0 or 1; logit link: b = log(1 + exp(eta)), W = p (1 - p)."""

    name: ClassVar[str] = "binomial"
    link: ClassVar[str] = "logit"
    total: ClassVar[str] = "events"
    weight_log2: int = -2
    residual_log2: int = 0
    fit_log2: int = 10

    def variance(self, mean: float) -> float:
        return mean * (1 - mean)

    def response(self, design: Design, batch: Batch) -> np.ndarray:
        return design.response(batch)

    def residual(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.where(y > 0, expit(-eta), -expit(eta))  # y - p without cancellation

    def weight(self, eta: np.ndarray) -> np.ndarray:
        return np.asarray(expit(eta) * expit(-eta))

    def slope(self, eta: np.ndarray) -> np.ndarray:
        return np.asarray(self.weight(eta) * (expit(-eta) - expit(eta)))

    def fit(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(-np.logaddexp(0.0, _against(eta, y)), -(2.0**self.fit_log2)))

    def pearson(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(np.minimum(_against(eta, y), PEARSON_LIMIT_LOG2 * math.log(2))))

    def constants(self, y: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"events": y}

    def declared(self, rows_log2: int) -> tuple[Declared, ...]:
        return (Declared("events", (), 2.0**rows_log2, frac=0),)

    def outputs(self, rows_log2: int) -> tuple[Output, ...]:
        return (Output("events", (), "count", frac=0),)


def _against(eta: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The log odds of the outcome that did not happen."""
    return np.where(y > 0, -eta, eta)


@dataclass(frozen=True)
class Poisson:
    """y is a count of at most `most`; log link: b = W = mean = exp(eta), computed up to 2^residual_log2."""

    name: ClassVar[str] = "poisson"
    link: ClassVar[str] = "log"
    total: ClassVar[str] = "total"
    most: int
    values: int  # how many the dictionary allows

    @classmethod
    def of(cls, design: Design) -> Poisson:
        """Raises SpecError unless the response is a whole number from 0 to 2^12 within the dictionary's bounds."""
        assert design._response is not None
        low, high = response_interval(design._response)
        columns = design._response.columns
        if len(columns) != 1 or columns[0].type != "integer" or columns[0].name != design.response_name or low < 0:
            raise SpecError("poisson needs a count as its response: a column that the dictionary declares as integer, from 0 on")
        if high > 1 << MOST_COUNT_LOG2:
            raise SpecError(f"poisson takes counts of up to {1 << MOST_COUNT_LOG2}; ask for tighter bounds in the dictionary")
        listed = columns[0].few or columns[0].values
        return cls(max(1, int(high)), len(listed) if listed else round((high - low) / (columns[0].resolution or 1)) + 1)

    @property
    def residual_log2(self) -> int:
        return (self.most - 1).bit_length() + MEAN_ROOM_LOG2

    @property
    def weight_log2(self) -> int:
        return self.residual_log2

    @property
    def fit_log2(self) -> int:
        return self.residual_log2 + 6

    def variance(self, mean: float) -> float:
        return mean

    def response(self, design: Design, batch: Batch) -> np.ndarray:
        return design.response_values(batch)

    def residual(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.asarray(y - self.weight(eta))

    def weight(self, eta: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(np.minimum(eta, self.residual_log2 * math.log(2))))

    def slope(self, eta: np.ndarray) -> np.ndarray:
        return self.weight(eta)

    def fit(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The mean is not capped here: beyond the cap y eta would grow for nothing, and a search uphill would run away."""
        eta = np.minimum(eta, 40.0)
        return np.asarray(np.maximum(y * eta - np.exp(eta), -(2.0**self.fit_log2)))

    def pearson(self, eta: np.ndarray, y: np.ndarray) -> np.ndarray:
        mean = np.maximum(self.weight(eta), np.finfo(float).tiny)
        return np.asarray(np.minimum((y - mean) ** 2 / mean, 2.0**PEARSON_LIMIT_LOG2))

    def constants(self, y: np.ndarray) -> Mapping[str, np.ndarray]:
        return {"total": y, "log_factorials": gammaln(y + 1), "ylogy": xlogy(y, y)}

    def declared(self, rows_log2: int) -> tuple[Declared, ...]:
        return (
            Declared("total", (), self.most * 2.0**rows_log2, frac=0),
            declare_sum("log_factorials", (), rows_log2, float(gammaln(self.most + 1)) + 1),
            declare_sum("ylogy", (), rows_log2, float(xlogy(self.most, self.most)) + 1),
        )

    def outputs(self, rows_log2: int) -> tuple[Output, ...]:
        return (
            Output("total", (), "count", frac=0),
            Output("log_factorials", (), "aggregate", frac=SUMS_FRAC),
            Output("ylogy", (), "aggregate", frac=SUMS_FRAC),
            Output("sums_withheld", (), "flag", frac=0),
        )

    @property
    def sums_from(self) -> int | None:
        """From how many people on the sums of log y! and y log y are opened; None for never. The rule is that of powers.py.

        With more values than sums, what is hidden grows from 100 on; each value of few obeys the rule for table cells.
        """
        return first_hidden(self._hidden_log2) if self.values > FEW_VALUES else 0

    def _hidden_log2(self, n: int) -> float:
        """log2 of how many multisets of n counts there are for each value of the sums that are told: the two as they are
        opened, the total, and that of squares, which Pearson's chi-square is about where all means are equal."""
        largest = float(gammaln(self.most + 1)), float(xlogy(self.most, self.most))
        told = [n * self.most + 1, n * self.most**2 + 1, *(n * each * 2.0**SUMS_FRAC + 1 for each in largest)]
        return multisets_log2(n, self.values) - sum(math.log2(each) for each in told)
