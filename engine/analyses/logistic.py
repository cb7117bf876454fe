"""Logistic regression: y ~ x1 + x2 + ... for a two-valued y.

`result` mode (glm_hidden.py) computes on shared rows and opens nothing on the way; `steps` mode (glm_steps.py) opens the
coefficients after each step to the parties.
"""

from __future__ import annotations

from typing import ClassVar

from engine.analyses.families import Binomial
from engine.analyses.glm_encrypted import ENCRYPTED_VCOV, EncryptedFit
from engine.analyses.glm_hidden import HIDDEN_VCOV, HiddenFit
from engine.analyses.glm_steps import StepsFit
from engine.analyses.question import Limits, Question
from engine.analyses.regression import GLM_VCOV, Model
from engine.dictionary import Dictionary
from engine.errors import SpecError


class Logit:
    """Options vcov ("model", "HC0", in `steps` mode also "cluster") and cov_params."""

    name: ClassVar[str] = "logit"
    modes: ClassVar[tuple[str, ...]] = ("result", "steps")

    @classmethod
    def build(cls, question: Question, dictionary: Dictionary, limits: Limits) -> StepsFit | HiddenFit | EncryptedFit:
        hidden, encrypted = question.disclosure == "result", question.engine == "ckks"
        vcovs = GLM_VCOV if not hidden else ENCRYPTED_VCOV if encrypted else HIDDEN_VCOV
        model = Model.read(question, dictionary, limits, vcovs)
        if not model.design.response_binary:
            raise SpecError('logit needs a response with two values, 0 and 1; declare it as type = "binary", or use ols')
        fit = StepsFit if not hidden else EncryptedFit if encrypted else HiddenFit
        return fit.of(cls.name, model, Binomial())
