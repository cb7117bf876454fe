"""CSV files, Parquet files or a DuckDB database as a data source: filtered in SQL, streamed as Arrow, never held in memory."""

from __future__ import annotations

import difflib
import hashlib
import hmac
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine import canonical
from engine.data import sql
from engine.data.ahead import ahead
from engine.data.batches import BATCH_ROWS, COMPLEMENT, USED, Block, FrameBuilder, by_person, by_row, tally, with_derived
from engine.data.config import DataSection
from engine.data.position import Position
from engine.data.rows import Batch, Query, RowCounts, Rows
from engine.data.tables import CHANGED, Tables, told_without_data
from engine.data.values import name_people, row_identities
from engine.dictionary import Dictionary
from engine.errors import DataChanged, DataError


class DuckDBSource:
    """A DataSource over the tables of one hospital. Close it, or use it in a `with`."""

    def __init__(self, config: DataSection, dictionary: Dictionary, key: bytes, folder: Path, spill: Path | None = None) -> None:
        self.dictionary = dictionary
        self._config, self._key = config, key
        self._digests: dict[Path, tuple[tuple[int, int, int], bytes]] = {}
        self._tables = self._open(config, dictionary, folder, spill)
        try:
            self._columns = {name: self._column(name, position) for position, name in enumerate(dictionary.own)}
            self._person = self._own(dictionary.person)[0] if dictionary.person is not None else None
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _open(config: DataSection, dictionary: Dictionary, folder: Path, spill: Path | None) -> Any:
        return Tables(config, folder, spill)

    def rows(self, query: Query) -> Rows:
        for name in query.columns + query.listwise:
            self.dictionary[name]
        counts, position = RowCounts(), Position(1 if self._person is None else 2)
        return Rows(self._stream(query, counts, position), counts, position)

    def size(self) -> int:
        return int(self._tables.rows())

    def snapshot(self) -> bytes:
        """HMAC-SHA256 under the hospital's key over the mapping and every byte of the files."""
        mac = hmac.new(self._key, canonical.to_bytes(self._mapping()), hashlib.sha256)
        for file in self._tables.files:
            for part in (file, file.with_name(file.name + ".wal")):
                if part == file or (self._config.database is not None and part.is_file()):
                    mac.update(self._digest(part))
        return mac.digest()

    def _mapping(self) -> dict[str, Any]:
        return {"dictionary": self.dictionary.to_dict(), "data": self._config.model_dump(include=set(_MEANING))}

    def examine(self) -> dict[str, tuple[int, int, int]]:
        """For the hospital's own eyes: (rows, missing, out of bounds) of every column of the dictionary that is read."""
        names = list(self._columns)
        counts = sql.examine(*self._reading())
        (found,) = self._tables.fetch(counts)
        return {name: (found[0], found[2 * index + 1], found[2 * index + 2]) for index, name in enumerate(names)}

    def powers(self) -> list[str] | None:
        """What the user of a database server may do beyond reading this table; None for files, which have none."""
        return None

    def close(self) -> None:
        self._tables.close()

    def __enter__(self) -> DuckDBSource:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _column(self, name: str, position: int) -> sql.ColumnSql:
        own, own_type = self._own(name)
        return sql.ColumnSql(
            self.dictionary[name], own, own_type, self._config.codes.get(name, {}), self._config.missing, position
        )

    def _own(self, name: str) -> tuple[str, str]:
        """(SQL expression, its type) of what the hospital maps to this name: one of its columns, or its own expression."""
        given = self._config.columns.get(name, name)
        known = {column.casefold(): column for column in self._tables.columns}
        if given.casefold() in known:
            column = known[given.casefold()]
            return sql.identifier(column), self._tables.columns[column]
        if name not in self._config.columns:
            close = difflib.get_close_matches(name.casefold(), list(known), n=1)
            hint = f" (is it '{known[close[0]]}'?)" if close else ""
            raise DataError(f"The table has no column '{name}'{hint}. Say in [data.columns] which of its columns that is.")
        try:
            found = self._tables.describe(f"({given}\n) AS own")
        except DataError:
            found = {}
        if len(found) != 1:
            raise DataError(
                f"[data.columns] {name}: the table has no such column, and it is not a SQL expression over its columns. Mend it."
            )
        return given, next(iter(found.values()))

    def _stream(self, query: Query, counts: RowCounts, position: Position) -> Iterator[Batch]:
        builder = FrameBuilder(self.dictionary, query.columns)
        of_status = np.zeros(4, dtype=np.int64)
        made = self._blocks_of_rows if self._person is None else self._blocks_of_people
        with self._tables.reading() as tables, closing(ahead(made(tables, query, of_status, position))) as blocks:
            yield from (by_row if self._person is None else by_person)(blocks, builder)
        if of_status.min() < 0:
            raise DataChanged(CHANGED)
        tally(counts, of_status)

    def _blocks_of_rows(self, tables: Any, query: Query, of_status: np.ndarray, position: Position) -> Generator[Block]:
        """One pass, which also counts: what a condition leaves out is what is missing from all rows of the table."""
        status = sql.status(self.dictionary, self._columns, query.listwise, query.where, by_person=False)
        if query.where is not None:
            of_status[COMPLEMENT] = tables.rows()
        statement = sql.stream_rows(*self._reading(), status, selected=query.where is not None)
        for record in self._records(tables, statement, position):
            found = record.column("status").to_numpy()
            counted = np.bincount(found, minlength=4)
            of_status += counted
            if query.where is not None:
                of_status[COMPLEMENT] -= len(found)
            if counted[USED]:
                used = slice(None) if counted[USED] == len(found) else found == USED
                arrays = {name: values[used] for name, values in self._values(record).items()}
                yield Block(with_derived(self.dictionary, query.columns, arrays), row_identities(arrays))

    def _blocks_of_people(self, tables: Any, query: Query, of_status: np.ndarray, position: Position) -> Generator[Block]:
        """Two passes: a person counts as the best of the rows, which may be far apart."""
        status = sql.status(self.dictionary, self._columns, query.listwise, query.where, by_person=True)
        delivered, reading = self._reading()
        for code, number in tables.fetch(sql.count_people(reading, status), position):
            of_status[int(code)] += int(number)
        for record in self._records(tables, sql.stream_people(delivered, reading, status), position):
            arrays = self._values(record)
            people = name_people(record.column("identity").to_numpy())
            yield Block(with_derived(self.dictionary, query.columns, arrays), people, row_identities(arrays))

    def _reading(self) -> tuple[list[sql.ColumnSql], str]:
        """The columns to read, and what to select them from. A row's name is made of all columns of the dictionary that are read,
        so that it is the same row to a query about other columns."""
        columns = list(self._columns.values())
        return columns, sql.read(columns, self._tables.relation, self._person)

    def _values(self, record: pa.RecordBatch) -> dict[str, np.ndarray]:
        """float64 (rows,) of each column, NaN for NULL: Arrow's own memory where there is none."""
        return {name: record.column(column.value).to_numpy(zero_copy_only=False) for name, column in self._columns.items()}

    def _records(self, tables: Any, statement: str, position: Position) -> Iterator[pa.RecordBatch]:
        with tables.cursor() as cursor, position.of(cursor):
            with told_without_data():
                reader = cursor.sql(statement).to_arrow_reader(BATCH_ROWS)
            while True:
                with told_without_data():
                    try:
                        record = reader.read_next_batch()
                    except StopIteration:
                        return
                if record.num_rows:
                    yield record

    def _digest(self, file: Path) -> bytes:
        """SHA-256 of a file, remembered while its inode, size and time of change stay the same."""
        try:
            stat = file.stat()
            state = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if self._digests.get(file, (None, b""))[0] != state:
                with file.open("rb") as content:
                    self._digests[file] = (state, hashlib.file_digest(content, "sha256").digest())
        except OSError:
            raise DataError(f"The file '{file.name}' cannot be read. Check that it exists and who may read it.") from None
        return self._digests[file][1]


_MEANING = ("format", "delimiter", "encoding", "table", "query", "columns", "codes", "missing")
