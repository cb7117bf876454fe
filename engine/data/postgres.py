"""A hospital's own table in PostgreSQL: read through server-side cursors, and looked at by DuckDB like a file.

PostgreSQL is asked for named columns of one table or view, and for nothing else: neither the hospital's expressions nor a
researcher's condition become part of a statement there. They run in a locked DuckDB over the stream, so a row is read by the same
rules as one of a file, in constant memory; what must be sorted spills to DuckDB's private folder.

Every connection is read-only, also where its role is not, and works in one snapshot of the database (REPEATABLE READ), so that
two passes see the same rows. No statement, which is one batch of a cursor, may take longer than `timeout`. What PostgreSQL says
about an error may quote the data, so it is never passed on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from psycopg import sql

from engine.data.config import DataSection, PostgresSection
from engine.data.position import Position
from engine.data.spill import Spill
from engine.data.sql import identifier
from engine.data.tables import MEMORY, MEMORY_OF_A_COLUMN, told_without_data
from engine.errors import ConfigError, DataError

FETCHED = 16_384  # rows of one FETCH
CONNECT_SECONDS = 10
STREAM = "pg"  # what DuckDB calls the stream

# How a type is fetched, and what DuckDB makes of it. Dates come as text: Python has none before the year 1, and no infinity.
_INTEGER = (sql.SQL("{}::int8"), pa.int64(), "{}")
_DOUBLE = (sql.SQL("{}::float8"), pa.float64(), "{}")
_TYPES: dict[str, tuple[sql.SQL, pa.DataType, str]] = {
    "int2": _INTEGER,
    "int4": _INTEGER,
    "int8": _INTEGER,
    "float4": _DOUBLE,
    "float8": _DOUBLE,
    "numeric": _DOUBLE,
    "bool": (sql.SQL("{}"), pa.bool_(), "{}"),
    "date": (sql.SQL("{}::text"), pa.string(), "TRY_CAST({} AS DATE)"),
    "timestamp": (sql.SQL("{}::text"), pa.string(), "TRY_CAST({} AS TIMESTAMP)"),
    "timestamptz": (sql.SQL("({} AT TIME ZONE 'UTC')::text"), pa.string(), "TRY_CAST({} AS TIMESTAMP)"),
}
_TEXT = (sql.SQL("{}::text"), pa.string(), "{}")


class PostgresTables:
    """One table or view of a PostgreSQL database, with the verbs of engine.data.tables.Tables."""

    def __init__(self, config: DataSection, folder: Path, spill: Path | None = None, wanted: Iterator[str] | None = None) -> None:
        assert config.postgres is not None
        assert config.table is not None
        self._server, self._folder = config.postgres, folder
        schema, _, name = config.table.rpartition(".")
        self._schema, self._name = schema or "public", name
        self.files: list[Path] = []
        self._types = self._find_columns()
        texts = [text.casefold().replace('""', '"') for text in wanted or ()]
        # An expression needs the columns that it mentions; one too many costs its transfer and no more.
        self._types = {own: kind for own, kind in self._types.items() if any(own.casefold() in text for text in texts)}
        kinds = {own: _TYPES.get(kind, _TEXT)[2] for own, kind in self._types.items()}
        shown = ", ".join(f"{kind.format(identifier(own))} AS {identifier(own)}" for own, kind in kinds.items())
        self.relation = f"(SELECT {shown or '1 AS nothing'} FROM {STREAM})"  # noqa: S608  quoted names
        with told_without_data():
            place = folder / config.temporary if config.temporary else spill
            self._spill = Spill(place) if place else tempfile.TemporaryDirectory(prefix="unseen-")
            memory = config.memory
            if "memory" not in config.model_fields_set:
                memory = f"{MEMORY + MEMORY_OF_A_COLUMN * len(self._types) * config.threads}MB"
            self._duckdb = duckdb.connect(
                ":memory:", config={"memory_limit": memory, "threads": str(config.threads), "temp_directory": self._spill.name}
            )
            self._duckdb.execute("SET enable_external_access = false")
            self._duckdb.execute("SET lock_configuration = true")
        try:
            self.columns = self.describe("*") if self._types else {}
        except DataError:
            self.close()
            raise

    # -- what DuckDBSource asks for --------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """One snapshot of the table, for as many passes as it takes."""
        with self._connected() as connection:
            yield Snapshot(self, connection)

    def describe(self, expression: str) -> dict[str, str]:
        """Names and types of `SELECT expression`, without asking PostgreSQL for rows."""
        with told_without_data():
            cursor = self._duckdb.cursor()
            try:
                cursor.register(STREAM, self.schema.empty_table())
                found = cursor.sql(f"SELECT {expression} FROM {self.relation}")  # noqa: S608  the hospital's own expression
                return dict(zip(found.columns, map(str, found.types), strict=True))
            finally:
                cursor.close()

    def fetch(self, query: str) -> list[tuple]:
        with self.reading() as snapshot:
            return snapshot.fetch(query)

    def rows(self) -> int:
        with self.reading() as snapshot:
            return snapshot.rows()

    def close(self) -> None:
        self._duckdb.close()
        self._spill.cleanup()

    # -- what only a database has -----------------------------------------------------------------------------------------

    def digest(self) -> bytes:
        """What changes with the rows that are read, whatever their order; worked out by the server in one pass."""
        row = sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, self._types)))
        sums = sql.SQL(", ").join(
            sql.SQL("sum(hashtextextended({}, {})::numeric)").format(row, sql.Literal(seed)) for seed in (1, 2, 3)
        )
        statement = sql.SQL("SELECT count(*), {} FROM {}").format(sums, self.identifier)
        with self._connected() as connection, told_without_rows():
            (found,) = connection.execute(statement).fetchall()
        return "/".join(map(str, found)).encode()

    def powers(self) -> list[str]:
        """What this role may do beyond reading the table, in words; none is as it should be."""
        with self._connected() as connection, told_without_rows():
            ((creates, creates_here, writes, owns, superuser, others),) = connection.execute(
                _POWERS, {"schema": self._schema, "name": self._name}
            ).fetchall()
        powers = {
            "is a superuser": superuser,
            "may write to the table": writes,
            "owns the table, so it may change or drop it": owns,
            "may create tables in its schema": creates_here,
            "may create schemas in the database": creates,
            f"may read {others} other tables": others,
        }
        return [text for text, so in powers.items() if so]

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self._schema, self._name)

    @property
    def schema(self) -> pa.Schema:
        fields = [(own, _TYPES.get(kind, _TEXT)[1]) for own, kind in self._types.items()]
        return pa.schema(fields or [("nothing", pa.int64())])

    @property
    def select(self) -> sql.Composed:
        columns = [_TYPES.get(kind, _TEXT)[0].format(sql.Identifier(own)) for own, kind in self._types.items()]
        return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(columns) if columns else sql.SQL("1"), self.identifier)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        return self._duckdb.cursor()

    def _find_columns(self) -> dict[str, str]:
        """Name and type of every column that the role may read. Raises DataError when there is no such table."""
        with self._connected() as connection, told_without_rows():
            found = connection.execute(_COLUMNS, {"schema": self._schema, "name": self._name}).fetchall()
        if not found:
            raise DataError(
                f"The database has no table or view '{self._schema}.{self._name}' that its user may read. "
                "Mend table = in [data], or GRANT SELECT on it (and USAGE on its schema) to that user."
            )
        return dict(found)

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection]:
        """A connection in one read-only transaction, which ends without a trace."""
        with told_without_rows():
            connection = psycopg.connect(**settings(self._server, self._folder))
        try:
            with told_without_rows():
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True
            yield connection
        finally:
            connection.close()


class Snapshot:
    """The table as it was when the first statement began."""

    def __init__(self, tables: PostgresTables, connection: psycopg.Connection) -> None:
        self._tables, self._connection = tables, connection
        self._left = False

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB cursor over a fresh pass. An error of the server on the way is told as what it is."""
        failed: list[DataError] = []
        self._left = False
        cursor = self._tables.cursor()
        try:
            cursor.register(STREAM, pa.RecordBatchReader.from_batches(self._tables.schema, self._batches(failed)))
            yield cursor
        except DataError:
            raise failed[0] if failed else DataError(_UNREADABLE) from None
        finally:
            self._left = True  # DuckDB would read an open stream to its end
            cursor.close()

    def fetch(self, query: str, position: Position | None = None) -> list[tuple]:
        with self.cursor() as cursor, told_without_data(), position.of(cursor) if position else nullcontext():
            return cursor.sql(query).fetchall()

    def rows(self) -> int:
        with told_without_rows():
            ((number,),) = self._connection.execute(sql.SQL("SELECT count(*) FROM {}").format(self._tables.identifier)).fetchall()
        return int(number)

    def _batches(self, failed: list[DataError]) -> Iterator[pa.RecordBatch]:
        """The rows, as they come. DuckDB turns what is raised here into an error of its own, so it is kept for `cursor`."""
        schema = self._tables.schema
        try:
            with told_without_rows(), self._connection.cursor(name="unseen", binary=True) as rows:
                rows.execute(self._tables.select)
                while not self._left and (found := rows.fetchmany(FETCHED)):
                    columns = zip(*found, strict=True)
                    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        except DataError as error:
            failed.append(error)
            raise


def settings(server: PostgresSection, folder: Path) -> dict[str, Any]:
    """What psycopg.connect takes. The password comes from a private file, or from PGPASSWORD or ~/.pgpass by libpq itself.

    Empty values keep PGHOST and PGHOSTADDR from leading to another server than the one whose name was checked.
    """
    given: dict[str, Any] = {
        "host": server.host or "",
        "hostaddr": "",
        "port": server.port,
        "dbname": server.dbname,
        "user": server.user,
        "sslmode": server.sslmode,
        "connect_timeout": CONNECT_SECONDS,
        "application_name": "unseen",
        "client_encoding": "UTF8",
        "options": f"-c default_transaction_read_only=on -c statement_timeout={server.timeout * 1000} -c datestyle=ISO,YMD "
        f"-c lock_timeout={server.timeout * 1000} -c TimeZone=UTC",
    }
    if server.sslmode != "disable":
        given["sslrootcert"] = "system" if server.sslrootcert is None else str(folder / server.sslrootcert)
    if server.password_file is not None:
        given["password"] = _password(folder / server.password_file)
    return given


def _password(path: Path) -> str:
    """The first line. Raises ConfigError when others may read it, or it is not there."""
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path.name} is open to other users: chmod 600 it, and think of a new password")
        return path.read_text(encoding="utf-8").split("\n", 1)[0]
    except (OSError, UnicodeError):
        raise ConfigError(f"{path.name} cannot be read; mend password_file = in [data.postgres]") from None


@contextmanager
def told_without_rows() -> Iterator[None]:
    """PostgreSQL's errors as DataErrors that quote nothing of the data."""
    try:
        yield
    except psycopg.Error as error:
        raise DataError(explain(error.sqlstate, str(error))) from None


def explain(state: str | None, message: str) -> str:
    """What to do about an error, by its SQLSTATE, or by what libpq says of a connection that never was."""
    lowered = message.lower()
    for states, sign, advice in _ADVICE:
        if (state is not None and state.startswith(states)) or (state is None and sign and sign in lowered):
            return advice
    return _UNREADABLE


_UNREADABLE = "The table cannot be read from PostgreSQL. Try it with psql, as the same user; the server's log says more."
_TOO_SLOW = "PostgreSQL took longer than allowed. Raise timeout = in [data.postgres], or give a table or materialised view."
_REFUSED = "PostgreSQL refuses this user. Check user = and password_file = in [data.postgres], and the server's pg_hba.conf."
_ADVICE: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("57014", "55P03"), "statement timeout", _TOO_SLOW),
    (("28",), "password", _REFUSED),
    (("28",), "authentication failed", _REFUSED),
    (("28",), "pg_hba", _REFUSED),
    (("42501",), "permission denied", "The database's user may not read the table. GRANT SELECT on it to that user."),
    (("42P01", "42703"), "", "The table or a column of it is gone. Mend table = in [data], or start the daemon again."),
    (("3D000",), "does not exist", "PostgreSQL has no such database or user. Mend dbname = and user = in [data.postgres]."),
    (
        (),
        "certificate",
        "The server's certificate cannot be verified. Give sslrootcert = in [data.postgres], and its name as host =.",
    ),
    ((), "ssl", "The server does not speak TLS as sslmode = in [data.postgres] asks. Turn TLS on there (ssl = on)."),
    (("08", "57P"), "connect", "PostgreSQL cannot be reached. Check host = and port = in [data.postgres], and that it runs."),
)

_COLUMNS = """
SELECT a.attname, t.typname
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
  AND a.attnum > 0 AND NOT a.attisdropped
  AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
ORDER BY a.attnum
"""

_POWERS = """
SELECT has_database_privilege(current_database(), 'CREATE'),
       has_schema_privilege(n.oid, 'CREATE'),
       has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') OR has_any_column_privilege(c.oid, 'INSERT, UPDATE'),
       pg_has_role(c.relowner, 'USAGE'),
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
       (SELECT count(*) FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace s ON s.oid = o.relnamespace
        WHERE o.relkind IN ('r', 'v', 'm', 'p', 'f') AND o.oid <> c.oid
          AND s.nspname !~ '^pg_' AND s.nspname <> 'information_schema'
          AND has_schema_privilege(s.oid, 'USAGE') AND has_any_column_privilege(o.oid, 'SELECT'))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(name)s
"""
