"""A PostgreSQL server of the tests' own, from Debian's package, on a Unix socket and a loopback port with a password."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
from psycopg import sql

READER, PASSWORD = "unseen_reader", "canary-pg-4711"
_FOUND = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
BIN = Path(_FOUND[-1]).parent if _FOUND else None
MISSING = "" if BIN else "PostgreSQL's server is not installed (Debian: apt install postgresql)"


class Server:
    """A running server."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def admin(self) -> psycopg.Connection:
        return psycopg.connect(host=str(self.folder), port=self.port, dbname="postgres", user="admin", autocommit=True)

    def run(self, *statements: str) -> None:
        with self.admin() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def load(self, table: pd.DataFrame, name: str = "visits") -> None:
        """A table of texts, or of its own types."""
        kinds = {"i": "int8", "f": "float8", "b": "bool", "I": "int8"}
        types = {column: kinds.get(values.dtype.kind, "text") for column, values in table.items()}
        target = sql.Identifier("study", name)
        with self.admin() as connection:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(target))
            columns = [sql.SQL("{} {}").format(sql.Identifier(str(c)), sql.SQL(kind)) for c, kind in types.items()]
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(target, sql.SQL(", ").join(columns)))
            with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(target)) as copy:
                for row in table.astype(object).where(table.notna(), None).itertuples(index=False, name=None):
                    copy.write_row(row)
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(target, sql.Identifier(READER)))

    def section(self, folder: Path, table: str = "study.visits", **more: Any) -> dict[str, Any]:
        """[data] for the reader, with its password in a private file."""
        password = folder / "pg.password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o600)
        place = {"host": "127.0.0.1", "port": self.port, "dbname": "postgres", "user": READER, "sslmode": "disable"}
        return {"table": table, "postgres": {**place, "password_file": password.name, **more}}


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """Started below `folder`, ended at the end. It refuses to be root, so then it is Debian's `postgres`."""
    assert BIN is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    who: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if who:
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"

    def run(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)

    run(str(BIN / "initdb"), "-D", str(data), "-U", "admin", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
    (data / "pg_hba.conf").write_text("local all admin trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c password_encryption=scram-sha-256"
    control = (str(BIN / "pg_ctl"), "-D", str(data), "-w")
    run(*control, "-l", str(folder / "log"), "-o", options, "start")
    try:
        found = Server(folder, port)
        found.run(
            f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'", "CREATE SCHEMA study", f"GRANT USAGE ON SCHEMA study TO {READER}"
        )
        yield found
    finally:
        run(*control, "-m", "immediate", "stop")
