"""The [data] section of hospital.toml: where a hospital's rows are, and how its own columns map to the dictionary's.

    [data]
    source = "um.csv"              # a CSV or Parquet file, or several: "visits/*.parquet"; relative to hospital.toml
    missing = ["-9", "unknown"]    # own values that mean "missing", besides empty, NA, null, none, nan and a dot

    [data.columns]                 # dictionary column = own column, or a SQL expression over own columns
    age = "AGE_YEARS"              # (a column that is not listed here has the same name in both)
    bmi = "WEIGHT_KG / (HEIGHT_M * HEIGHT_M)"

    [data.codes.sex]               # own value = dictionary level
    "1" = "male"
    "2" = "female"

or, instead of `source`, a DuckDB database file:

    database = "clinic.duckdb"
    table = "main.visits"          # a table or view, or: query = "SELECT ... FROM ..."

or a table or view in PostgreSQL, as a user that may SELECT from it and nothing else:

    table = "study.visits"

    [data.postgres]
    host = "db.um.example"         # left out: this machine's own socket
    dbname = "clinic"
    user = "unseen_reader"
    password_file = "pg.password"  # readable by its owner alone; left out: PGPASSWORD, or libpq's ~/.pgpass
    sslrootcert = "db-ca.pem"      # who signed the server's certificate; left out: this machine's authorities
    timeout = 60                   # seconds for one statement, which is one batch of rows
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.dictionary import Column, Dictionary, Level
from engine.errors import ConfigError, SpecError

if TYPE_CHECKING:
    from engine.data.duckdb_source import DuckDBSource

LOOPBACK = ("localhost", "127.0.0.1", "::1")


class PostgresSection(BaseModel):
    """[data.postgres], parsed. A password has no place here: a configuration is copied, printed and backed up."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    host: str | None = Field(default=None, min_length=1)  # a name, or the folder of a socket
    port: int = Field(default=5432, ge=1, le=65535)
    dbname: str = Field(pattern=r"^[^=\s]+$")  # libpq would take more for a connection string
    user: str = Field(min_length=1)
    password_file: str | None = None
    sslmode: Literal["verify-full", "verify-ca", "disable"] = "verify-full"
    sslrootcert: str | None = None
    timeout: int = Field(default=60, ge=1, le=86_400)

    @model_validator(mode="before")
    @classmethod
    def _no_password(cls, section: Any) -> Any:
        if isinstance(section, dict) and "password" in section:
            raise ValueError("write the password into a file of its own, chmod 600, and its path here as password_file =")
        return section

    @model_validator(mode="after")
    def _verified(self) -> PostgresSection:
        local = self.host is None or self.host.startswith("/") or self.host in LOOPBACK
        if self.sslmode == "disable" and not local:
            raise ValueError('sslmode = "disable" is for a database on this machine; leave it out')
        if self.sslmode == "verify-ca" and self.sslrootcert is None:
            raise ValueError('sslmode = "verify-ca" needs sslrootcert =, or anybody with a certificate could be the server')
        return self


class DataSection(BaseModel):
    """[data], parsed. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str | None = None
    format: Literal["csv", "parquet"] | None = None  # from the file's name when left out
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1
    )  # of a CSV file; found in its first line when left out
    encoding: Literal["utf-8", "latin-1", "utf-16"] = "utf-8"
    database: str | None = None
    table: str | None = None
    query: str | None = None
    postgres: PostgresSection | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    codes: dict[str, dict[str, str | int | float]] = Field(default_factory=dict)
    missing: list[str] = Field(default_factory=list)
    memory: str = Field(default="300MB", pattern=r"^\d+ ?[KMG]i?B$")  # what a query may use; beyond it, it spills to `temporary`
    temporary: str | None = None  # a folder for that; the daemon's state folder when left out
    threads: int = Field(default=2, ge=1, le=256)

    @model_validator(mode="after")
    def _one_place(self) -> DataSection:
        if sum(place is not None for place in (self.source, self.database, self.postgres)) != 1:
            raise ValueError("give either source = (a CSV or Parquet file) or database = (a DuckDB file) or [data.postgres]")
        if self.postgres is not None and (self.table is None or self.query is not None or self.table.count(".") > 1):
            raise ValueError('beside [data.postgres] give table = "schema.name", a table or a view; a query is a view there')
        if self.database is not None and (self.table is None) == (self.query is None):
            raise ValueError("beside database = give either table = or query =")
        if self.source is not None and (self.table or self.query):
            raise ValueError("table = and query = belong to database =, not to source =")
        return self


def parse(section: Any, dictionary: Dictionary) -> DataSection:
    """Checked against the dictionary as well. Raises ConfigError."""
    try:
        config = DataSection.model_validate(section)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, problem['loc'])) or 'data'}: {problem['msg']}" for problem in error.errors())
        raise ConfigError(f"The [data] section is wrong: {problems}") from None
    for name in config.columns:
        if name not in dictionary and name != dictionary.person:
            raise ConfigError(
                f"[data.columns] maps '{name}', which the study's dictionary does not have. Remove it or mend its name."
            )
    for name in {**config.columns, **config.codes}:
        if name in dictionary and dictionary[name].derivation is not None:
            made = f"'{name}' is made from '{dictionary.source(name)}' by the study's dictionary"
            raise ConfigError(f"{made}, the same at every hospital. Take it out of [data].")
    for name, codes in config.codes.items():
        if name not in dictionary:
            raise ConfigError(f"[data.codes.{name}] belongs to no column of the study's dictionary. Remove it or mend its name.")
        for own, level in codes.items():
            check_code(dictionary[name], own, level)
    return config


def check_code(column: Column, own: str, level: Level) -> None:
    """A code must stand for a value that the dictionary allows."""
    where = f'[data.codes.{column.name}] "{own}"'
    if column.values is not None:
        try:
            column.level_index(level)
        except SpecError as error:
            raise ConfigError(f"{where}: {error}") from None
    elif (
        isinstance(level, str)
        or not column.limits[0] <= level <= column.limits[1]
        or (column.type == "integer" and level != int(level))
    ):
        raise ConfigError(f"{where}: '{column.name}' is a number, so the code must stand for a number within its bounds.")


def open_source(section: Any, dictionary: Dictionary, key: bytes, folder: Path, spill: Path | None = None) -> DuckDBSource:
    """The hospital's data source. `section` is [data] as read, `key` the hospital's own secret for snapshots, `folder` where
    relative paths start, `spill` where a query may put what does not fit in memory. Raises ConfigError for the section itself,
    DataError for data that are not there or do not fit it."""
    from engine.data.duckdb_source import DuckDBSource  # here: a party without data needs no DuckDB

    config = parse(section, dictionary)
    if config.postgres is None:
        return DuckDBSource(config, dictionary, key, folder, spill)
    try:
        from engine.data.postgres_source import PostgresSource
    except ImportError:
        raise ConfigError("[data.postgres] needs psycopg 3: `pip install 'unseen[postgres]'`") from None
    return PostgresSource(config, dictionary, key, folder, spill)
