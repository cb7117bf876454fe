"""R-style formulas, compiled against the data dictionary and never evaluated as code."""

from engine.formula.design import Design, Term

__all__ = ["Design", "Term"]
