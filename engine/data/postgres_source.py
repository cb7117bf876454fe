"""A PostgreSQL table or view as a data source: DuckDBSource's rules over a stream of rows. Needs psycopg 3 (`[postgres]`)."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from engine import canonical
from engine.data.config import DataSection
from engine.data.duckdb_source import DuckDBSource
from engine.data.postgres import PostgresTables
from engine.dictionary import Dictionary


class PostgresSource(DuckDBSource):
    """A DataSource over one table of a PostgreSQL database. Close it, or use it in a `with`."""

    _tables: PostgresTables

    @staticmethod
    def _open(config: DataSection, dictionary: Dictionary, folder: Path, spill: Path | None) -> PostgresTables:
        """Only columns that the dictionary is mapped to are asked for."""
        names = [*dictionary.own, *([dictionary.person] if dictionary.person is not None else [])]
        return PostgresTables(config, folder, spill, iter([config.columns.get(name, name) for name in names]))

    def snapshot(self) -> bytes:
        """HMAC-SHA256 under the hospital's key over the mapping and the server's digest of the rows."""
        return hmac.new(self._key, canonical.to_bytes(self._mapping()) + self._tables.digest(), hashlib.sha256).digest()

    def powers(self) -> list[str]:
        """What the database's user may do beyond reading this table. Raises DataError."""
        return self._tables.powers()
