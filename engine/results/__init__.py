"""What a researcher gets back: frozen result objects, one family a module."""

from engine.results.base import Result
from engine.results.crosstab import CrosstabResult
from engine.results.describe import DescribeResult
from engine.results.missing import MissingResult
from engine.results.regression import GLMResult, LogitResult, OLSResult, PoissonResult, RegressionResult

__all__ = [
    "CrosstabResult",
    "DescribeResult",
    "GLMResult",
    "LogitResult",
    "MissingResult",
    "OLSResult",
    "PoissonResult",
    "RegressionResult",
    "Result",
]
