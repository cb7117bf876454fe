"""Poisson regression with log link: y ~ x1 + x2 + ... for a count y. Modes as for logistic regression."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from engine.analyses.families import Poisson
from engine.analyses.glm import Fit, fit_of
from engine.analyses.question import Limits, Question
from engine.analyses.regression import Model
from engine.dictionary import Dictionary
from engine.errors import SpecError

MOST_HIDDEN = 1 << 10  # coefficients then are within 3e-5 standard errors


class PoissonRegression:
    """Options vcov ("model", "HC0", in `steps` mode also "cluster") and cov_params."""

    name: ClassVar[str] = "poisson"
    modes: ClassVar[tuple[str, ...]] = ("result", "steps")

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> Fit:
        fit, vcovs = fit_of(question)
        model = Model.read(question, dictionary, limits, vcovs)
        family = Poisson.of(model.design)
        if question.disclosure == "result" and family.most > MOST_HIDDEN:
            raise SpecError(
                f"poisson with hidden iterates takes counts of up to {MOST_HIDDEN}, beyond which its means lack digits; ask for "
                'tighter bounds in the dictionary, or use disclosure="steps"'
            )
        model = replace(model, design=replace(model.design, response_center=0.0, response_scale=1.0))
        return fit.of(cls.name, model, family)
