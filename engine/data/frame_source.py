"""A pandas frame as a data source: for tests and simulations, and the plain statement of what every source must do."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from engine.data.batches import (
    BATCH_ROWS,
    COMPLEMENT,
    MISSING,
    OUT_OF_BOUNDS,
    USED,
    Block,
    FrameBuilder,
    by_person,
    by_row,
    tally,
    with_derived,
)
from engine.data.rows import Query, RowCounts, Rows
from engine.data.values import name_people, person_identity, read_column, row_identities, to_text
from engine.dictionary import Dictionary, Level
from engine.errors import DataError


class FrameSource:
    """One hospital's rows in memory. `names` maps dictionary columns to the frame's (default: the same name)."""

    def __init__(
        self,
        frame: pd.DataFrame,
        dictionary: Dictionary,
        *,
        names: Mapping[str, str] | None = None,
        codes: Mapping[str, Mapping[str, Level]] | None = None,
        missing: Sequence[str] = (),
        key: bytes = bytes(32),
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.dictionary = dictionary
        self._key, self._batch_rows, self._rows = key, batch_rows, len(frame)
        names = names or {}
        for name in [*dictionary.own, *([dictionary.person] if dictionary.person else [])]:
            if names.get(name, name) not in frame.columns:
                raise DataError(f"The table has no column for '{name}'. Map it to one of the table's columns.")
        self._readings = {
            name: read_column(frame[names.get(name, name)], column, (codes or {}).get(name), missing)
            for name, column in dictionary.own.items()
        }
        self._values = {name: reading.values for name, reading in self._readings.items()}
        self._persons: np.ndarray | None = None
        if dictionary.person is not None:
            self._persons = to_text(frame[names.get(dictionary.person, dictionary.person)])

    def rows(self, query: Query) -> Rows:
        for name in query.columns + query.listwise:
            self.dictionary[name]
        counts = RowCounts()
        return Rows(self._stream(query, counts), counts)

    def size(self) -> int:
        return self._rows

    def snapshot(self) -> bytes:
        mac = hmac.new(self._key, digestmod=hashlib.sha256)
        for name, values in self._values.items():
            mac.update(name.encode() + b"\0" + values.tobytes() + self._readings[name].missing.tobytes())
        if self._persons is not None:
            mac.update("\0".join("" if person is None else person for person in self._persons).encode())
        return mac.digest()

    def _stream(self, query: Query, counts: RowCounts) -> Iterator:
        status = self._status(query)
        used = np.flatnonzero(status == USED)
        builder = FrameBuilder(self.dictionary, query.columns)
        rows = row_identities(self._values)
        if self._persons is None:
            yield from by_row(self._blocks(query, used, rows), builder)
            tally(counts, np.bincount(status, minlength=4))
            return
        identities = self._person_identities()
        used = used[np.argsort(identities[used], kind="stable")]
        yield from by_person(self._blocks(query, used, name_people(identities), rows), builder)
        best = pd.Series(status).groupby(identities).min().to_numpy()
        tally(counts, np.bincount(best, minlength=4))

    def _blocks(self, query: Query, used: np.ndarray, identities: np.ndarray, rows: np.ndarray | None = None) -> Iterator[Block]:
        for start in range(0, len(used), self._batch_rows):
            chosen = used[start : start + self._batch_rows]
            values = with_derived(self.dictionary, query.columns, {name: own[chosen] for name, own in self._values.items()})
            yield Block(values, identities[chosen], None if rows is None else rows[chosen])

    def _status(self, query: Query) -> np.ndarray:
        status = np.full(self._rows, USED)
        readings = [self._readings[self.dictionary.source(name)] for name in query.listwise]
        for reading in readings:
            status[reading.out_of_bounds] = OUT_OF_BOUNDS
        for reading in readings:
            status[reading.missing] = MISSING
        if self._persons is not None:
            status[[not person for person in self._persons]] = MISSING
        if query.where is not None:
            builder = FrameBuilder(self.dictionary, query.where.columns)
            values = with_derived(self.dictionary, query.where.columns, self._values)
            frame = builder.batch(Block(values, np.zeros(self._rows, dtype=np.uint64)), None).frame
            status[~query.where.select(frame)] = COMPLEMENT
        return status

    def _person_identities(self) -> np.ndarray:
        """A row without a person id is a person of its own, never used."""
        named = [
            person_identity(person) if person else row
            for row, person in enumerate(self._persons if self._persons is not None else [])
        ]
        return np.array(named, dtype=np.uint64)  # not yet odd: the made-up ones would meet
