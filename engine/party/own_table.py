"""Whether this hospital's table still fits what the charter declares for it.

The charter's `rows` sizes what is shared where a question shares rows (padded to it) and the ranges of every sum. A table that
has outgrown it makes refusals, which look like any other to everybody else. Counts of own rows are for this party's operator on
this machine: they are never sent to another party and never logged.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.charter import BAND
from engine.data.rows import DataSource
from engine.party.config import PartyConfig

NEARLY_FULL = 0.9  # of the rows that the charter declares


@dataclass(frozen=True)
class OwnTable:
    """Rows of the own table, and the most that the charter declares for it."""

    rows: int
    declared: int

    @property
    def outgrown(self) -> bool:
        return self.rows > self.declared

    @property
    def nearly_full(self) -> bool:
        return self.rows > NEARLY_FULL * self.declared

    @property
    def found(self) -> str:
        return f"{self.rows} rows; the charter declares at most {self.declared}"

    @property
    def advice(self) -> str:
        """What to do; nothing while there is room."""
        if not self.outgrown:
            return "declare more in a new charter, signed by all" if self.nearly_full else ""
        needed = -(-self.rows // BAND) * BAND
        return (
            "questions that share more rows than that are refused; agree on a new charter that declares at least "
            f"{needed} for this table, with room to grow"
        )

    def __str__(self) -> str:
        return f"{self.found}: {self.advice}" if self.outgrown else self.found


def count(source: DataSource | None, config: PartyConfig) -> OwnTable | None:
    """Counts the table, if there is one; not in an event loop, since a text file is read to its end. Raises DataError."""
    return None if source is None else OwnTable(source.size(), config.charter.member(config.name).rows)
