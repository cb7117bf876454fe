"""From arrays to batches, the same for every source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.data.rows import Batch, RowCounts
from engine.dictionary import Dictionary

BATCH_ROWS = 65_536

USED, MISSING, OUT_OF_BOUNDS, COMPLEMENT = range(4)
"""What becomes of a row. A person with several rows is what the best of them is, in this order."""


@dataclass(frozen=True)
class Block:
    """Used rows as arrays: numbers, or positions of levels (-1 or NaN = missing). In order of identity when by person."""

    arrays: Mapping[str, np.ndarray]
    identities: np.ndarray
    row_identities: np.ndarray | None = None

    def part(self, start: int, stop: int | None) -> Block:
        rows = None if self.row_identities is None else self.row_identities[start:stop]
        return Block({name: array[start:stop] for name, array in self.arrays.items()}, self.identities[start:stop], rows)


def with_derived(dictionary: Dictionary, columns: Sequence[str], own: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of these columns, from those that were read."""
    arrays = {}
    for name in columns:
        made = dictionary[name].derivation
        arrays[name] = own[name] if made is None else made.positions(own[made.source])
    return arrays


class FrameBuilder:
    """Makes the frame of a Batch from the arrays of a Block."""

    def __init__(self, dictionary: Dictionary, columns: tuple[str, ...]) -> None:
        self._dtypes = {
            name: None if dictionary[name].numeric else pd.CategoricalDtype(list(dictionary[name].levels or ()), ordered=False)
            for name in dict.fromkeys(columns)
        }

    def batch(self, block: Block, persons: np.ndarray | None) -> Batch:
        frame = pd.DataFrame(
            {name: self._column(name, block.arrays[name]) for name in self._dtypes},
            index=pd.RangeIndex(len(block.identities)),
            copy=False,
        )
        return Batch(frame, persons, block.identities, block.row_identities)

    def _column(self, name: str, array: np.ndarray) -> np.ndarray | pd.Categorical:
        dtype = self._dtypes[name]
        if dtype is None:
            return np.asarray(array, dtype=np.float64)
        codes = np.where(np.isnan(array), -1, array) if array.dtype.kind == "f" else array
        return pd.Categorical.from_codes(codes.astype(np.int16), dtype=dtype)


def by_row(blocks: Iterator[Block], builder: FrameBuilder) -> Iterator[Batch]:
    for block in blocks:
        if len(block.identities):
            yield builder.batch(block, None)


def by_person(blocks: Iterator[Block], builder: FrameBuilder) -> Iterator[Batch]:
    """Blocks ordered by identity, cut so that no person is in two batches. People are numbered as they come."""
    held: list[Block] = []
    numbered = 0
    for block in blocks:
        if not len(block.identities):
            continue
        last = int(np.searchsorted(block.identities, block.identities[-1]))  # where the last person's rows begin
        if last == 0 and (not held or held[-1].identities[-1] == block.identities[0]):
            held.append(block)
            continue
        ended = _join([*held, block.part(0, last)])
        held = [block.part(last, None)]
        persons = _number(ended.identities, numbered)
        numbered = int(persons[-1]) + 1
        yield builder.batch(ended, persons)
    if held:
        ended = _join(held)
        yield builder.batch(ended, _number(ended.identities, numbered))


def _join(blocks: list[Block]) -> Block:
    blocks = [block for block in blocks if len(block.identities)]
    if len(blocks) == 1:
        return blocks[0]
    arrays = {name: np.concatenate([block.arrays[name] for block in blocks]) for name in blocks[0].arrays}
    rows = [block.row_identities for block in blocks if block.row_identities is not None]
    return Block(arrays, np.concatenate([block.identities for block in blocks]), np.concatenate(rows) if rows else None)


def _number(identities: np.ndarray, start: int) -> np.ndarray:
    return start + np.concatenate([[0], np.cumsum(identities[1:] != identities[:-1])]).astype(np.int64)


def tally(counts: RowCounts, of_status: Sequence[int] | np.ndarray) -> None:
    """Fill in the counts of a finished pass."""
    counts.used, counts.missing, counts.out_of_bounds, counts.complement = (int(count) for count in of_status)
    counts.table = sum(int(count) for count in of_status)
