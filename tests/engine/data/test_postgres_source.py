"""PostgreSQL sources against a real server: the rows and counts of the plain statement in pandas, and nothing but reading."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from engine.cohort import Condition
from engine.data.config import open_source
from engine.data.frame_source import FrameSource
from engine.data.rows import Query, RowCounts
from engine.dictionary import Dictionary
from engine.errors import ConfigError, DataError
from engine.party.doctor import _database
from tests.engine.data import test_duckdb_source as files

psycopg = pytest.importorskip("psycopg", reason="psycopg 3 is not installed (pip install 'unseen[postgres]')")

from engine.data.postgres import Snapshot  # noqa: E402
from tests.engine.data import postgres  # noqa: E402
from tests.engine.data.postgres import PASSWORD, READER, Server  # noqa: E402

real = pytest.mark.skipif(bool(postgres.MISSING), reason=postgres.MISSING)
KEY, ONE = files.KEY, files.ONE


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder, postgres.server(Path(folder)) as running:
        yield running


@real
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files.ROWS, files.WHERES, files.SUBSETS, files.SUBSETS, files.st.sampled_from([files.BY_ROW, files.BY_PERSON]))
def test_a_table_means_the_same_as_in_pandas(
    server: Server, tmp_path: Path, rows: list, where: str | None, columns: tuple, listwise: tuple, dictionary: Dictionary
) -> None:
    table = pd.DataFrame(rows)
    server.load(table)
    query = Query(columns, listwise, Condition.parse(where, dictionary) if where else None)
    expected_counts, expected = files.taken(FrameSource(table, dictionary, codes=files.CODES, missing=files.MISSING), query)
    with open_source({**server.section(tmp_path), **files.OPTIONS}, dictionary, KEY, tmp_path) as source:
        counts, found = files.taken(source, query)
        assert source.size() == len(table)
    assert counts == expected_counts
    pd.testing.assert_frame_equal(found, expected)


@real
def test_typed_columns_are_read_like_texts(server: Server, tmp_path: Path) -> None:
    table = files.TYPED.astype({"weight": "float64"})
    server.load(table)
    server.run("ALTER TABLE study.visits ALTER weight TYPE float4, ALTER stage TYPE numeric(6,2), ALTER sex TYPE char(9)")
    query = Query(tuple(files.COLUMNS), ("age", "stage"))
    expected_counts, expected = files.taken(
        FrameSource(files.TYPED, files.BY_ROW, codes=files.CODES, missing=files.MISSING), query
    )
    with open_source({**server.section(tmp_path), **files.OPTIONS}, files.BY_ROW, KEY, tmp_path) as source:
        counts, found = files.taken(source, query)
        assert source.examine()["age"] == (5, 2, 1)
    assert counts == expected_counts == RowCounts(table=5, missing=2, out_of_bounds=1, used=2)
    pd.testing.assert_frame_equal(found, expected)


@real
def test_views_names_dates_and_expressions_of_the_hospital(server: Server, tmp_path: Path) -> None:
    server.run(
        'DROP VIEW IF EXISTS study."V"; DROP TABLE IF EXISTS study.t',
        "CREATE TABLE study.t AS SELECT date '1950-01-01' AS born, timestamptz '2020-01-01 00:30+01' AS seen, 'geheim' AS name "
        "UNION ALL SELECT 'infinity', 'infinity', 'x'",
        'CREATE VIEW study."V" AS SELECT born AS "Geb ""D""; DROP", seen, name FROM study.t',
        f'GRANT SELECT ("Geb ""D""; DROP", seen) ON study."V" TO {READER}',
    )
    columns = {"x": 'date_diff(\'year\', "Geb ""D""; DROP", seen) / 10 -- decades'}
    with open_source({**server.section(tmp_path, "study.V"), "columns": columns}, ONE, KEY, tmp_path) as source:
        (batch,) = source.rows(Query(("x",), ("x",)))
        assert batch.frame["x"].tolist() == [6.9]  # in UTC the year was still 2019
        assert len(source.snapshot()) == 32


@real
def test_a_pass_holds_a_batch_and_not_the_table(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows come as they are fetched: the first are here while the server still holds most, and a stream may be left."""
    server.run(
        "DROP TABLE IF EXISTS study.big",
        "CREATE TABLE study.big AS SELECT i % 9 AS x, i AS id FROM generate_series(1, 600000) i",
        f"GRANT SELECT ON study.big TO {READER}",
    )
    fetched: list[int] = []
    batches_of = Snapshot._batches

    def counted(self: Snapshot, failed: list[DataError]) -> Iterator[Any]:
        for batch in batches_of(self, failed):
            fetched.append(len(batch))
            yield batch

    monkeypatch.setattr(Snapshot, "_batches", counted)
    with open_source(server.section(tmp_path, "study.big"), ONE, KEY, tmp_path) as source:
        batches = iter(source.rows(Query(("x",), ("x",))))
        assert len(next(batches)) <= 65_536
        assert sum(fetched) < 600_000 / 2
        del batches
        assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]
        assert sum(fetched) < 600_000
        fetched.clear()
        found = np.concatenate([batch.frame["x"].to_numpy() for batch in source.rows(Query(("x",), ("x",)))])
    assert sum(fetched) == 600_000
    assert np.array_equal(np.bincount(found.astype(int)), np.bincount(np.arange(1, 600_001) % 9))


@real
def test_both_passes_over_people_see_the_same_rows(server: Server, tmp_path: Path) -> None:
    dictionary = Dictionary.parse({"columns": {"x": ONE["x"].to_dict()}, "person": {"column": "id"}})
    server.load(pd.DataFrame({"id": range(200_000), "x": [3.0] * 200_000}))
    with open_source(server.section(tmp_path), dictionary, KEY, tmp_path) as source:
        rows = source.rows(Query(("x",), ("x",)))
        batches = iter(rows)
        used = len(next(batches))
        server.run("INSERT INTO study.visits VALUES (-1, 4)", "UPDATE study.visits SET x = 5")
        rest = [batch.frame["x"].to_numpy() for batch in batches]
    assert np.all(np.concatenate(rest) == 3.0)
    assert rows.counts == RowCounts(table=200_000, used=200_000)
    assert used + sum(map(len, rest)) == 200_000


@real
def test_the_role_and_the_connection_write_nothing(server: Server, tmp_path: Path) -> None:
    """Requirement: INSERT, DDL and other tables are denied; to a role that could write, the connection denies it as well."""
    server.load(pd.DataFrame({"x": [1.0]}))
    server.run(
        "CREATE TABLE IF NOT EXISTS study.secret (y int)",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA study FROM {READER}",
        f"GRANT SELECT ON study.visits TO {READER}",
    )
    denied = ("INSERT INTO study.visits VALUES (2)", "CREATE TABLE study.new (x int)", "SELECT * FROM study.secret")
    with open_source(server.section(tmp_path), ONE, KEY, tmp_path) as source:
        for statement in denied:
            with source._tables._connected() as connection, pytest.raises(psycopg.Error):
                connection.execute(statement)
        server.run(f"GRANT ALL ON SCHEMA study TO {READER}", f"GRANT ALL ON study.visits TO {READER}")
        try:
            for statement in denied[:2]:
                with source._tables._connected() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                    connection.execute(statement)
            assert {"may write to the table", "may create tables in its schema"} <= set(source.powers())
        finally:
            server.run(f"REVOKE ALL ON study.visits FROM {READER}", f"REVOKE CREATE ON SCHEMA study FROM {READER}")
            server.run(f"GRANT SELECT ON study.visits TO {READER}")
        server.run(f"GRANT SELECT ON study.secret TO {READER}")
        others = [(line.status, line.text) for line in _database(source)]
        assert others == [("warn", "the database's user may read 1 other tables")]
        server.run(f"REVOKE ALL ON ALL TABLES IN SCHEMA study FROM {READER}", f"GRANT SELECT ON study.visits TO {READER}")
        assert [line.status for line in _database(source)] == ["ok"]


@real
def test_a_slow_statement_ends_and_says_so(server: Server, tmp_path: Path) -> None:
    server.run(
        "CREATE OR REPLACE VIEW study.slow AS SELECT 1 AS x, pg_sleep(60)::text AS s",
        f"GRANT SELECT ON study.slow TO {READER}",
    )
    section = {**server.section(tmp_path, "study.slow", timeout=1), "columns": {"x": "x + length(s)"}}
    with open_source(section, ONE, KEY, tmp_path) as source, pytest.raises(DataError, match=r"longer than allowed.*timeout"):
        list(source.rows(Query(("x",), ("x",))))


@real
def test_an_error_in_the_middle_quotes_no_data(server: Server, tmp_path: Path) -> None:
    server.run(
        "CREATE OR REPLACE VIEW study.broken AS SELECT CASE WHEN i < 30000 THEN '1' ELSE 'canary-9' END::int AS x "
        "FROM generate_series(1, 40000) i",
        f"GRANT SELECT ON study.broken TO {READER}",
    )
    with (
        open_source(server.section(tmp_path, "study.broken"), ONE, KEY, tmp_path) as source,
        pytest.raises(DataError, match="cannot be read from PostgreSQL") as caught,
    ):
        list(source.rows(Query(("x",), ("x",))))
    assert "canary" not in str(caught.value)


@real
def test_a_snapshot_changes_with_the_rows_and_not_with_their_order(server: Server, tmp_path: Path) -> None:
    def snapshot(values: list[float], key: bytes = KEY) -> bytes:
        server.load(pd.DataFrame({"x": values}))
        with open_source(server.section(tmp_path), ONE, key, tmp_path) as source:
            return source.snapshot()

    first = snapshot([1.0, 2.0])
    assert snapshot([2.0, 1.0]) == first
    assert len({first, snapshot([1.0, 3.0]), snapshot([1.0, 2.0, 2.0]), snapshot([1.0, 2.0], bytes(32))}) == 4


@real
@pytest.mark.parametrize(
    ("table", "more", "says"),
    [
        ("study.nothing", {}, "no table or view 'study.nothing'"),
        ("study.secret", {}, "no table or view 'study.secret'.*GRANT SELECT"),
        ("study.visits", {"dbname": "elsewhere"}, "no such database"),
        ("study.visits", {"user": "nobody"}, "refuses this user"),
        ("study.visits", {"sslmode": "verify-full"}, "TLS"),
        ("study.visits", {"port": 1}, "cannot be reached"),
    ],
)
def test_what_is_wrong_with_the_connection_is_said_without_the_password(
    server: Server, tmp_path: Path, table: str, more: dict, says: str
) -> None:
    server.run("CREATE TABLE IF NOT EXISTS study.secret (x int)")
    with pytest.raises(DataError, match=says) as caught:
        open_source(server.section(tmp_path, table, **more), ONE, KEY, tmp_path)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


@real
def test_the_password_comes_from_a_private_file_or_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.load(pd.DataFrame({"x": [1.0]}))
    section = server.section(tmp_path)
    (tmp_path / "pg.password").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        open_source(section, ONE, KEY, tmp_path)
    del section["postgres"]["password_file"]
    with pytest.raises(DataError, match="refuses this user"):
        open_source(section, ONE, KEY, tmp_path)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with open_source(section, ONE, KEY, tmp_path) as source:
        assert source.size() == 1


@real
def test_the_environment_leads_to_no_other_server(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.load(pd.DataFrame({"x": [1.0]}))
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.254")  # nobody listens there
    monkeypatch.setenv("PGHOST", "127.0.0.254")
    with open_source(server.section(tmp_path), ONE, KEY, tmp_path) as source:
        assert source.size() == 1


PLACE: dict[str, Any] = {"dbname": "clinic", "user": "reader"}


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"table": "t", "postgres": {**PLACE, "password": PASSWORD}}, "password_file"),
        ({"table": "t", "postgres": {**PLACE, "host": "db.example", "sslmode": "disable"}}, "on this machine"),
        ({"table": "t", "postgres": {**PLACE, "host": "db.example", "sslmode": "prefer"}}, "sslmode"),
        ({"table": "t", "postgres": {**PLACE, "host": "db.example", "sslmode": "verify-ca"}}, "sslrootcert"),
        ({"table": "t", "postgres": {"user": "x", "dbname": "host=elsewhere sslmode=disable"}}, "dbname"),
        ({"postgres": PLACE}, "table ="),
        ({"query": "SELECT 1", "postgres": PLACE}, "a view there"),
        ({"source": "a.csv", "table": "t", "postgres": PLACE}, "either source"),
    ],
)
def test_a_wrong_section_is_a_config_error_that_repeats_no_password(tmp_path: Path, section: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        open_source(section, ONE, KEY, tmp_path)
    assert PASSWORD not in str(caught.value)
