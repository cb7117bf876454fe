"""Columns of every kind with plain data, and formulas over them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.data.frame_source import FrameSource
from engine.data.rows import Batch, Query
from engine.dictionary import Dictionary

DICTIONARY = Dictionary.parse(
    {
        "columns": {
            "y": {"type": "number", "bounds": [-10, 50]},
            "dead": {"type": "binary"},
            "age": {"type": "integer", "bounds": [18, 90]},
            "weight": {"type": "number", "bounds": [30, 200]},
            "shift": {"type": "number", "bounds": [-2, 3]},
            "female": {"type": "binary"},
            "old": {"type": "binary"},
            "race": {"type": "category", "levels": ["white", "black", "other"]},
            "arm": {"type": "category", "levels": ["control", "treated"]},
            "centre": {"type": "category", "levels": [1, 2, 3]},
            "ph_ecog": {"type": "integer", "bounds": [0, 3], "levels": [0, 1, 2, 3]},
            "ph.ecog": {"type": "integer", "bounds": [0, 3], "levels": [0, 1, 2, 3]},
        }
    }
)


def plain_frame(rows: int = 200) -> pd.DataFrame:
    """Every level occurs, in declared order of categories, so that formulaic on its own sees the same levels."""
    generator = np.random.default_rng(7)
    frame = pd.DataFrame({"y": generator.uniform(-10, 50, rows), "weight": generator.uniform(30, 200, rows)})
    frame["shift"] = generator.uniform(-2, 3, rows)
    for name, low, high in (("dead", 0, 2), ("age", 18, 91), ("female", 0, 2), ("old", 0, 2), ("ph_ecog", 0, 4)):
        frame[name] = generator.integers(low, high, rows)
    frame["ph.ecog"] = frame["ph_ecog"]
    for name in ("race", "arm", "centre"):
        levels = list(DICTIONARY[name].levels or ())
        frame[name] = pd.Categorical.from_codes(generator.integers(0, len(levels), rows), categories=levels)
    return frame


def one_batch(frame: pd.DataFrame, dictionary: Dictionary = DICTIONARY, columns: tuple[str, ...] | None = None) -> Batch:
    columns = columns or tuple(dictionary.columns)
    (batch,) = FrameSource(frame, dictionary).rows(Query(columns, columns))
    return batch


FRAME = plain_frame()
BATCH = one_batch(FRAME)

FORMULAS = [
    "y ~ 1",
    "y ~ age",
    "y ~ age + weight - 1",
    "y ~ 0 + race",
    "y ~ race + arm",
    "y ~ C(race) * arm",
    "y ~ race:arm",
    "y ~ 0 + race:arm + age",
    "y ~ race:age",
    "y ~ age + race:age - 1",
    "y ~ age*race*female",
    "y ~ (age + race + female)**2",
    "y ~ (age + female)^2 - age",
    "y ~ arm/race",
    "y ~ race %in% arm",
    "y ~ C(race, Treatment('other'))",
    "y ~ C(race, Treatment(reference='black')) * age",
    "y ~ C(race, contr.treatment('black')):female",
    "y ~ centre + C(centre, Treatment(2))",
    "y ~ C(female) + C(ph_ecog)",
    "y ~ log(weight) + log1p(age) + exp(shift / 2)",
    "y ~ log2(weight) + sqrt(age) + log(shift + 3)",
    "y ~ I(log10(weight) - 1) + I(1 / age) + exp(female)",
    "y ~ I(age**2) + I(shift**3) + I(age**0.5) + I(shift**2) + I(weight**-1) + I(weight**2)",
    "y ~ I(-shift) + I((age - 50) / 10) + I(3 - 2 * weight) + I((shift - 1)**3)",
    "y ~ age:weight:shift + I(age**2):female:weight + log(weight):shift",
    "y ~ {age + 1} + log(age + 1)",
    "y ~ age:female + female:old + weight:age",
    "log1p(age) ~ weight",
    "log(y + 11) ~ age",
    "I((y - 5) / 10) ~ age",
    "I(1000 * sqrt(age) + 3) ~ weight",
    "I(1 - dead) ~ age",
    "I(2 * dead) ~ age",
    "dead ~ age + C(race)",
    "~ age + race",
]


ATTACKS = [
    "y ~ __import__('os').system('true')",
    "{__import__('os').system('touch ran')(1)} ~ age",
    "(__import__('os').system('touch ran'))(age) ~ age",
    "y ~ {(lambda: __import__('os').system('touch ran'))()}",
    "y ~ age.__class__.__mro__[1].__subclasses__()",
    "y ~ I((age for age in [1]))",
    "y ~ C(race, __import__('os').system('touch ran'))",
    "y ~ Q('age')",
    "Q(__import__('os').system('touch ran')) ~ age",
    "y ~ `__import__('os').system('touch ran')`",
    "y ~ f'{age}'",
]
