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


@dataclass(frozen=True)
class OwnTable:
    """Rows of the own table, and the most that the charter declares for it."""

    rows: int
    declared: int

    @property
    def outgrown(self) -> bool:
        return self.rows > self.declared

    def __str__(self) -> str:
        if not self.outgrown:
            return f"{self.rows} rows; the charter declares at most {self.declared}"
        needed = -(-self.rows // BAND) * BAND
        return (
            f"{self.rows} rows, more than the {self.declared} that the charter declares: questions that share more rows than "
            f"that are refused. Agree on a new charter that declares at least {needed} for this table, with room to grow"
        )


def count(source: DataSource | None, config: PartyConfig) -> OwnTable | None:
    """Counts the table, if there is one; not in an event loop, since a text file is read to its end. Raises DataError."""
    return None if source is None else OwnTable(source.size(), config.charter.member(config.name).rows)
