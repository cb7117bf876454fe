"""Logistic regression: y ~ x1 + x2 + ... for a two-valued y.

`result` mode (glm_hidden.py) computes on shared rows and opens nothing on the way; `steps` mode (glm_steps.py) opens the
coefficients after each step to the parties.
"""

from __future__ import annotations

from typing import ClassVar

from engine.analyses.families import Binomial
from engine.analyses.glm import Fit, fit_of
from engine.analyses.question import Limits, Question
from engine.analyses.regression import Model
from engine.dictionary import Dictionary
from engine.errors import SpecError


class Logit:
    """Options vcov ("model", "HC0", in `steps` mode also "cluster") and cov_params."""

    name: ClassVar[str] = "logit"
    modes: ClassVar[tuple[str, ...]] = ("result", "steps")

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> Fit:
        fit, vcovs = fit_of(question)
        model = Model.read(question, dictionary, limits, vcovs)
        if not model.design.response_binary:
            raise SpecError('logit needs a response with two values, 0 and 1; declare it as type = "binary", or use ols')
        return fit.of(cls.name, model, Binomial())
