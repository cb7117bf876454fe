"""A hospital's own table as DuckDB sees it: files or a database, read-only, and nothing else within reach.

The connection may read the files of the configuration, spill to a private folder, and then its own doors are locked: no other
file, no network, no setting can be changed by any later statement. What DuckDB says about an error may quote the data, so it
is never passed on.
"""

# ruff: noqa: S608  queries are put together from quoted names and literals, the hospital's own text, and nothing else

from __future__ import annotations

import csv
import glob
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import duckdb
import pyarrow as pa

from engine.data.config import DataSection
from engine.data.position import SETTINGS, Position
from engine.data.spill import Spill
from engine.data.sql import identifier, text_literal
from engine.errors import DataChanged, DataError

DELIMITERS = ",;\t|"
CHANGED = "The data changed while they were being read. Ask again when nobody writes to them."
MEMORY = 300  # MB
MEMORY_OF_A_COLUMN = 10  # MB in each thread: DuckDB keeps a vector for every step of the expressions that read a column


class Tables:
    """An open, locked connection and the relation to select from."""

    def __init__(self, config: DataSection, folder: Path, spill: Path | None = None) -> None:
        self._config = config
        self.files = find_files(config, folder)
        self.relation = relation(config, self.files)
        with told_without_data():
            spill = folder / config.temporary if config.temporary else spill
            self._spill = Spill(spill) if spill else tempfile.TemporaryDirectory(prefix="unseen-")
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": config.memory,
            "threads": str(config.threads),
            "temp_directory": self._spill.name,
        }
        self._database = config.database is not None
        with told_without_data():
            self._connection = duckdb.connect(":memory:", config=settings)
            if self._database:
                self._connection.execute(f"ATTACH {text_literal(str(self.files[0]))} AS own (READ_ONLY)")
            else:
                self._connection.execute(f"SET allowed_paths = [{', '.join(text_literal(str(file)) for file in self.files)}]")
            # A local file needs no reading ahead, for which DuckDB would hold a whole row group in every thread.
            self._connection.execute("SET GLOBAL disable_parquet_prefetching = true")
            self._connection.execute("SET enable_external_access = false")
        try:
            self.columns = self.describe("*")
            self._make_room(config)
        except DataError:
            self.close()
            raise

    def _make_room(self, config: DataSection) -> None:
        """Wide tables need more memory, however few their rows. What the hospital sets itself stays. Then nothing can be set."""
        with told_without_data():
            if "memory" not in config.model_fields_set:
                needed = MEMORY + MEMORY_OF_A_COLUMN * len(self.columns) * config.threads
                self._connection.execute(f"SET memory_limit = '{needed}MB'")
            self._connection.execute(f"SET allowed_configs = [{', '.join(map(text_literal, SETTINGS))}]")
            self._connection.execute("SET lock_configuration = true")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """One query at a time and thread: each takes its own. A CSV file's columns go by their places, which must stay."""
        for file in self.files:
            if not file.is_file():
                raise DataError(f"The file '{file.name}' is gone. Put it back, or mend its path in the [data] section.")
        if relation(self._config, self.files) != self.relation:
            raise DataError("A CSV file has another first line than when it was opened. Start the daemon again.")
        cursor = self._connection.cursor()
        if self._database:
            cursor.execute("USE own")
        return cursor

    def describe(self, expression: str) -> dict[str, str]:
        """Names and types of `SELECT expression`, without reading rows."""
        with told_without_data():
            cursor = self.cursor()
            try:
                found = cursor.sql(f"SELECT {expression} FROM {self.relation}")
                return dict(zip(found.columns, map(str, found.types), strict=True))
            finally:
                cursor.close()

    def fetch(self, query: str, position: Position | None = None) -> list[tuple]:
        """All rows of a small result. Raises DataError, as everything here does when the data cannot be read."""
        cursor = self.cursor()
        try:
            with told_without_data(), position.of(cursor) if position else nullcontext():
                return cursor.sql(query).fetchall()
        finally:
            cursor.close()

    def rows(self) -> int:
        """How many rows there are; Parquet files and databases know without being read."""
        ((number,),) = self.fetch(f"SELECT count(*) FROM {self.relation}")
        return int(number)

    @contextmanager
    def reading(self) -> Iterator[Tables]:
        """For all passes of one query. Raises DataChanged at its end, however it ends, if the files changed meanwhile."""
        before = self.state()
        try:
            yield self
        except DataError:
            self._require(before)
            raise
        self._require(before)

    def _require(self, state: list[tuple[int, int, int]]) -> None:
        if self.state() != state:
            raise DataChanged(CHANGED)

    def state(self) -> list[tuple[int, int, int]]:
        """Inode, size and time of change of every file: the same before and after a pass over unchanged data."""
        try:
            return [(found.st_ino, found.st_size, found.st_mtime_ns) for found in (file.stat() for file in self.files)]
        except OSError:
            raise DataError("A file of the data is gone. Put it back, or mend source = in [data].") from None

    def close(self) -> None:
        self._connection.close()
        self._spill.cleanup()


def find_files(config: DataSection, folder: Path) -> list[Path]:
    """The files behind `source` or `database`, in the order of their names. Raises DataError when there is none."""
    pattern = config.source or config.database or ""
    place = folder / pattern
    found = sorted(Path(name) for name in glob.glob(str(place))) if config.source and not place.is_file() else [place]
    files = [path.resolve() for path in found if path.is_file()]
    if not files:
        raise DataError(
            f"There is no file '{pattern}'. Mend its path in the [data] section; relative paths start at hospital.toml."
        )
    if all(file.stat().st_size == 0 for file in files):
        raise DataError(f"The file '{pattern}' is empty. Export the data again, with a first line of column names.")
    return files


def relation(config: DataSection, files: list[Path]) -> str:
    """What to put behind FROM."""
    if config.query is not None:
        return f"({config.query}\n)"
    if config.table is not None:
        return ".".join(["own", *(identifier(part) for part in config.table.split("."))])
    if (config.format or ("parquet" if files[0].suffix.lower() in (".parquet", ".pq") else "csv")) == "parquet":
        return f"read_parquet([{', '.join(text_literal(str(file)) for file in files)}])"
    return csv_relation(files, config.delimiter, config.encoding)


def csv_relation(files: list[Path], delimiter: str | None = None, encoding: str = "utf-8") -> str:
    """Text columns under the names of the header; the dictionary has the types. All files need the same header."""
    headers = [read_header(file, delimiter, encoding) for file in files]
    if any(header != headers[0] for header in headers):
        raise DataError("The CSV files do not all have the same first line. Give all of them the same columns in the same order.")
    names, delimiter = headers[0]
    columns = ", ".join(f"{text_literal(name)}: 'VARCHAR'" for name in names)
    return (
        f"read_csv([{', '.join(text_literal(str(file)) for file in files)}], auto_detect = false, header = true, "
        f"delim = {text_literal(delimiter)}, quote = '\"', escape = '\"', encoding = {text_literal(encoding)}, "
        f"columns = {{{columns}}})"
    )


def read_header(file: Path, delimiter: str | None, encoding: str) -> tuple[tuple[str, ...], str]:
    """(column names, delimiter) from the first line. An unnamed column (R's row names) gets a name that cannot be meant."""
    try:
        with file.open(encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as lines:
            line = lines.readline()
        fields = {sign: next(csv.reader([line], delimiter=sign), []) for sign in delimiter or DELIMITERS}
    except (UnicodeError, csv.Error):
        raise DataError(
            f"The file '{file.name}' is not {encoding} text. Export it as UTF-8, or set encoding = in [data]."
        ) from None
    except OSError:
        raise DataError(f"The file '{file.name}' cannot be read. Check that it exists and who may read it.") from None
    delimiter = max(fields, key=lambda sign: len(fields[sign]))
    names = tuple(name.strip() or f"_unnamed_{index}" for index, name in enumerate(fields[delimiter]))
    if len({name.casefold() for name in names}) != len(names):
        raise DataError(f"The file '{file.name}' has two columns of the same name. Rename one of them.")
    if not names:
        raise DataError(f"The file '{file.name}' is empty. Export the data again, with a first line of column names.")
    return names, delimiter


@contextmanager
def told_without_data() -> Iterator[None]:
    """DuckDB's and Arrow's errors as DataErrors that quote nothing of the data."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, UnicodeError) as error:
        raise DataError(explain(str(error))) from None


def explain(message: str) -> str:
    """What to do about an error, chosen by what DuckDB says; of its text only a line number is kept."""
    found = re.search(r"CSV Error on Line: (\d+)", message)
    place = f" (line {found[1]})" if found else ""
    lowered = message.lower()
    for sign, advice in _ADVICE:
        if sign in lowered:
            return advice.replace("{place}", place)
    return f"The data cannot be read{place}. Try the files or the table, and the expressions in [data.columns], in DuckDB itself."


_ADVICE = (
    ("not utf-8", "The file is not UTF-8 text{place}. Export it as UTF-8, or set encoding = in [data]."),
    ("invalid unicode", "The file is not UTF-8 text{place}. Export it as UTF-8, or set encoding = in [data]."),
    (
        "expected number of columns",
        "A line of the CSV file has another number of fields than the first line{place}. Mend it or export the file again.",
    ),
    ("csv error", "The CSV file cannot be read{place}: look for a quote that is not closed or a field too many."),
    ("no files found", "A file of the data is gone. Put it back, or mend source = in [data]."),
    ("cannot open file", "A file of the data cannot be opened. Check that it exists and who may read it."),
    ("could not set lock", "Another program has the database open for writing. Close it, or give unseen a copy."),
    ("parquet", "The file is not a readable Parquet file, or has changed meanwhile. Export it again."),
    (
        "not a valid duckdb database",
        "The file is no DuckDB database. Mend database = in [data], or use source = for CSV and Parquet files.",
    ),
    ("with name", "The table or column is not there. Mend table = or query = in [data]."),
    (
        "out of memory",
        "The query needs more memory than allowed. Raise memory = in [data], or give temporary = a folder with space.",
    ),
    ("permission error", "The data refer to another file, which is not allowed. Name all files in source =."),
)
