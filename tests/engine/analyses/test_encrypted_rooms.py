"""Whatever a study may ask of encrypted coefficients, stated errors leave its sums the room that they need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.analyses import Ask, Limits, build
from engine.analyses.encrypted_sums import PRESET, plan_of
from engine.analyses.glm_encrypted import MOST_ROWS_LOG2, EncryptedFit
from engine.data.frame_source import FrameSource
from engine.data.rows import Query
from engine.dictionary import Dictionary
from engine.dry_run import plan_ranges
from engine.errors import SpecError
from engine.party.ciphers import TYPICAL
from protocols.ckks import context_of, public_key, relinearisation_key, secret_key
from protocols.ckks.ciphertext import Ciphertext
from protocols.ckks.encryption import zero_polynomials
from protocols.ckks.multiparty.conversion import elements
from protocols.ckks.multiparty.keys import JointKeys, relinearisation_variance
from protocols.ckks.multiparty.rows import NUMBERS_FRAC, EncryptedRows, SumsPlan
from protocols.ckks.noise import Estimate, fresh_public, rounding, switching
from protocols.errors import LevelExhausted
from protocols.prf import PrfStream

RESPONSES = {"logit": "y", "poisson": "k"}


def analysis(kind: str, predictors: int, most: int, rows_log2: int) -> tuple[Any, Dictionary]:
    names = [f"x{i}" for i in range(predictors)]
    columns: dict[str, Any] = {name: {"type": "number", "bounds": [-1, 1]} for name in names}
    columns |= {"y": {"type": "binary"}, "k": {"type": "integer", "bounds": [0, most]}}
    dictionary, band = Dictionary.parse({"columns": columns}), (1 << rows_log2) // 3 // 1024 * 1024
    ask = Ask(kind, formula=f"{RESPONSES[kind]} ~ {' + '.join(names)}", engine="ckks")
    return build(ask, dictionary, Limits(rows_log2, (band,) * 3)), dictionary


def numbers(plan: SumsPlan, keys: JointKeys, count: int, randomness: PrfStream) -> list[Ciphertext]:
    """Encryptions of zero that state the error of coefficients after the compute parties' encryption and log2(count) turns."""
    degree, scale = keys.context.degree, 2.0**NUMBERS_FRAC
    steps, deviation = len(elements(count)), 3 * fresh_public(degree, scale, plan.hospitals)
    variance = relinearisation_variance(degree, plan.hospitals)
    for _ in range(steps):
        deviation = 2 * deviation + switching(PRESET, plan.level, scale, variance) + rounding(degree, scale, plan.hospitals)
    zero = zero_polynomials(keys.public, plan.level, randomness)
    estimate = Estimate(TYPICAL, deviation / 2**steps, plan.hospitals)
    return [Ciphertext(keys.context, zero, scale * 2**steps, keys.public.key_id, estimate)] * count


@pytest.fixture(scope="module")
def keys() -> JointKeys:
    """A single key, whose noise is stated as that of ten hospitals."""
    context, randomness, hospitals = context_of(PRESET), PrfStream(bytes(16)), 10
    secret = secret_key(context, randomness)
    relinearisation = replace(
        relinearisation_key(secret, randomness), noise_variance=relinearisation_variance(context.degree, hospitals)
    )
    return JointKeys(context, replace(public_key(secret, randomness), holders=hospitals), relinearisation, None, None)


@pytest.mark.parametrize(
    ("kind", "most"), [("logit", 1), ("poisson", 1), ("poisson", 40), ("poisson", 300), ("poisson", 1000), ("poisson", 1024)]
)
@pytest.mark.parametrize("predictors", [2, 94])
def test_no_allowed_question_runs_out_of_levels(kind: str, most: int, predictors: int, keys: JointKeys) -> None:
    for rows_log2 in (12, MOST_ROWS_LOG2):
        fit, dictionary = analysis(kind, predictors, most, rows_log2)
        state = replace(fit.start(), stage="sums")
        sums = fit.stage(state).encrypted
        plan = plan_of(sums, rows_log2, 10)
        verbs = EncryptedRows(plan, keys, numbers(plan, keys, sums.numbers, PrfStream(bytes(16))))
        frame = pd.DataFrame({name: np.zeros(20) for name in dictionary.own})
        rows = FrameSource(frame, dictionary).rows(Query(fit.plan.columns, fit.plan.listwise))
        for name, weighted in fit.row_wise(rows, state, verbs).items():
            try:
                verbs.sums(weighted, slice(0, 1), sums.rooms.get(name, 0))
            except LevelExhausted as error:
                pytest.fail(f"{name} at 2^{rows_log2} rows: {error}")


@pytest.mark.parametrize("rows_log2", [12, 20, 21, 22, 23, 25, MOST_ROWS_LOG2])
@pytest.mark.parametrize(("kind", "most"), [("logit", 1), ("poisson", 40)])
def test_studies_of_every_size_have_a_range_plan(kind: str, most: int, rows_log2: int) -> None:
    assert plan_ranges(analysis(kind, 2, most, rows_log2)[0]).leakage_log2 <= -40


def test_what_has_no_room_is_refused_beforehand() -> None:
    with pytest.raises(SpecError, match="rows"):
        analysis("logit", 2, 1, MOST_ROWS_LOG2 + 1)
    with pytest.raises(SpecError, match="leave columns out"):
        analysis("logit", 120, 1, 20)
    dictionary = Dictionary.parse({"columns": {"y": {"type": "binary"}, "x": {"type": "number", "bounds": [-1, 1]}}})
    with pytest.raises(SpecError, match="rows of each hospital's table"):
        build(Ask("logit", formula="y ~ x", engine="ckks"), dictionary, Limits(20, ()))
    assert isinstance(build(Ask("logit", formula="y ~ x", engine="ckks"), dictionary, Limits(20, (1024,))), EncryptedFit)
