"""What a batch works out once for everybody who asks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.data.rows import Batch


def batch() -> Batch:
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0, np.nan], "y": [np.nan, np.nan, 1.0, 2.0], "z": [0.0, 1.0, 2.0, 3.0]})
    frame["sex"] = pd.Categorical.from_codes([0, 1, -1, -1], ["female", "male"])
    return Batch(frame, None, np.arange(4, dtype=np.uint64))


def test_rows_are_known_where_every_column_has_a_value() -> None:
    rows = batch()
    for columns in ((), ("x",), ("sex",), ("x", "y"), ("z", "sex"), ("x", "y", "z", "sex")):
        expected = rows.frame[list(columns)].notna().all(axis=1).to_numpy()
        assert rows.known(columns).tolist() == expected.tolist()
    rows.known(("x",))[:] = True  # an array of the caller's own
    assert rows.known(("x",)).tolist() == [True, False, True, False]


def test_the_same_question_is_answered_once_in_each_batch() -> None:
    asked = []

    def find() -> np.ndarray:
        asked.append(1)
        return np.array([True])

    first, second = batch(), batch()
    assert first.once("key", find) is first.once("key", find)
    assert len(asked) == 1
    second.once("key", find)
    first.once("other key", find)
    assert len(asked) == 3
