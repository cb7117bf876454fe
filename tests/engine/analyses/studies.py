"""Questions asked of frames or of the real sets, on the plaintext engine with the gate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from engine.analyses import Ask, Limits, build, under
from engine.analyses.base import Analysis
from engine.cohort import Condition
from engine.data.frame_source import FrameSource
from engine.dictionary import Dictionary
from engine.dry_run import run_in_clear
from engine.party.gate import GatePolicy
from engine.receipt import Check
from tests import datasets

LOOSE = GatePolicy(cohort=5, cell=5, hospitals=2, residual_df=1, parameters_share=0.5)
TWO_HOSPITALS = GatePolicy(hospitals=2)
BAND = 1024


def analysis_of(
    dictionary: Dictionary, analysis: str, rows_log2: int = 16, bands: tuple[int, ...] = (BAND,) * 3, **fields: Any
) -> Analysis:
    return build(Ask(analysis, **fields), dictionary, Limits(rows_log2, bands))


def bands_of(frames: Sequence[pd.DataFrame]) -> tuple[int, ...]:
    """The rows that a charter would declare for these tables."""
    return tuple(max(1, math.ceil(len(frame) / BAND)) * BAND for frame in frames)


def ask(
    frames: list[pd.DataFrame],
    dictionary: dict[str, Any] | Dictionary,
    analysis: str,
    policy: GatePolicy = TWO_HOSPITALS,
    rows_log2: int = 16,
    where: Condition | None = None,
    **fields: Any,
) -> Any:
    """The result object."""
    parsed = dictionary if isinstance(dictionary, Dictionary) else Dictionary.parse(dictionary)
    question = analysis_of(parsed, analysis, rows_log2, bands_of(frames), **fields)
    context = {"engine": "plaintext", "where": where.canonical() if where else None}
    opened = run_in_clear(question, [FrameSource(frame, parsed) for frame in frames], policy, where, context)
    return question.result(opened)


def ask_under(cell: int, frames: list[pd.DataFrame], dictionary: dict[str, Any], analysis: str, **fields: Any) -> Any:
    """The result object where parties agreed on this floor for table cells, and the receipt says so."""
    parsed = Dictionary.parse(dictionary)
    question = under(analysis_of(parsed, analysis, **fields), cell)
    context = {"receipt": SimpleNamespace(checks=[Check(rule="cell", limit=cell), Check(rule="ranges")])}
    sources = [FrameSource(frame, parsed) for frame in frames]
    return question.result(run_in_clear(question, sources, replace(TWO_HOSPITALS, cell=cell), None, context))


def ask_set(name: str, analysis: str, **fields: Any) -> tuple[Any, pd.DataFrame]:
    """(result, pooled rows) of one of the real sets."""
    data = datasets.load(name)
    return ask(list(data.frames().values()), data.dictionary, analysis, **fields), data.pooled()


def split(frame: pd.DataFrame, hospitals: int = 3) -> list[pd.DataFrame]:
    return [frame.iloc[i::hospitals].reset_index(drop=True) for i in range(hospitals)]


def largest(difference: Any) -> float:
    return float(np.max(np.abs(np.asarray(difference, dtype=float))))
