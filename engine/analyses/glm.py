"""Which fit a question about a generalised linear model asks for: by its disclosure and its engine."""

from __future__ import annotations

from engine.analyses.glm_encrypted import ENCRYPTED_VCOV, EncryptedFit
from engine.analyses.glm_hidden import HIDDEN_VCOV, HiddenFit
from engine.analyses.glm_steps import StepsFit
from engine.analyses.question import Question
from engine.analyses.regression import GLM_VCOV

Fit = StepsFit | HiddenFit | EncryptedFit


def fit_of(question: Question) -> tuple[type[Fit], tuple[str, ...]]:
    """The class of the fit, and the covariances that it has."""
    if question.disclosure != "result":
        return StepsFit, GLM_VCOV
    return (EncryptedFit, ENCRYPTED_VCOV) if question.engine == "ckks" else (HiddenFit, HIDDEN_VCOV)
