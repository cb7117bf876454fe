"""DuckDB sources: the same rows and counts as the plain statement in pandas, and nothing told or touched that should not be."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.cohort import Condition
from engine.data import batches
from engine.data.config import open_source
from engine.data.frame_source import FrameSource
from engine.data.rows import DataSource, Query, RowCounts
from engine.dictionary import Dictionary
from engine.errors import ConfigError, DataError, UnknownColumn

KEY = bytes(range(32))
COLUMNS: dict[str, Any] = {
    "age": {"type": "integer", "bounds": [0, 120]},
    "ph.ecog": {"type": "integer", "bounds": [0, 9], "levels": [0, 1, 2]},
    "weight": {"type": "number", "bounds": [30, 200.5]},
    "dead": {"type": "binary"},
    "sex": {"type": "category", "levels": ["male", "female", "none"]},
    "stage": {"type": "category", "levels": [1, 2, 3]},
}
BY_ROW = Dictionary.parse({"columns": COLUMNS})
BY_PERSON = Dictionary.parse({"columns": COLUMNS, "person": {"column": "id"}})
CODES: dict[str, Any] = {"sex": {"M": "male", "2": "female"}, "dead": {"yes": 1, "9": 0}}
MISSING = ["-9", "unknown"]
OPTIONS = {"codes": CODES, "missing": MISSING}

NUMBERS = st.sampled_from(
    ["1", "2.0", " 3", "40", "-9", "-9.0", "500", "1e1", "", "NA", "nan", "x", "unknown", "2.5", "1_0", "inf", "true", "yes", "9"]
)
TEXTS = st.sampled_from(
    ["male", "female", " female ", "M", "2", "2.0", "none", "None", "", "NA", "x", "unknown", "1", "1.0", "3", "4", "Male"]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {name: TEXTS if COLUMNS[name]["type"] == "category" else NUMBERS for name in COLUMNS}
        | {"id": st.sampled_from(["a", "b", "c ", "7", "", "d"])}
    ),
    min_size=1,
    max_size=12,
)
WHERES = st.sampled_from(
    [None, "age < 40", "not (age < 40)", "sex == 'female' or stage >= 2", "weight is missing", "dead == 1 and age > 0"]
)
SUBSETS = st.lists(st.sampled_from(list(COLUMNS)), max_size=4, unique=True).map(tuple)


def taken(source: DataSource, query: Query) -> tuple[RowCounts, pd.DataFrame]:
    """Counts, and all delivered rows in an order of their own, with identities and numbered people."""
    rows = source.rows(query)
    frames = []
    for batch in rows:
        frame = batch.frame.assign(identity=batch.identities)
        assert (batch.row_identities is None) == (batch.persons is None)
        frames.append(frame if batch.persons is None else frame.assign(person=batch.persons, row=batch.row_identities))
    columns = [*query.columns, "identity", *(["row"] if frames and "row" in frames[0] else [])]
    if not frames:
        return rows.counts, pd.DataFrame(columns=columns)
    together = pd.concat(frames, ignore_index=True)
    return rows.counts, together.sort_values([*columns], key=lambda column: column.astype(str)).reset_index(drop=True)


def write(folder: Path, table: pd.DataFrame, kind: str) -> dict[str, Any]:
    if kind == "csv":
        table.to_csv(folder / "table.csv", index=False)
        return {"source": "table.csv", **OPTIONS}
    if kind == "parquet":
        table.to_parquet(folder / "table.parquet")
        return {"source": "table.parquet", **OPTIONS}
    path = folder / "clinic.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.register("given", table)
        connection.execute("CREATE TABLE visits AS SELECT * FROM given")
    return {"database": "clinic.duckdb", "table": "visits", **OPTIONS}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, WHERES, SUBSETS, SUBSETS, st.sampled_from([BY_ROW, BY_PERSON]), st.sampled_from(["csv", "parquet", "database"]))
def test_a_table_means_the_same_to_both_sources(
    tmp_path: Path, rows: list[dict], where: str | None, columns: tuple, listwise: tuple, dictionary: Dictionary, kind: str
) -> None:
    table = pd.DataFrame(rows)
    query = Query(columns, listwise, Condition.parse(where, dictionary) if where else None)
    expected_counts, expected = taken(FrameSource(table, dictionary, codes=CODES, missing=MISSING), query)
    with open_source(write(tmp_path, table, kind), dictionary, KEY, tmp_path) as source:
        counts, found = taken(source, query)
    assert counts == expected_counts
    pd.testing.assert_frame_equal(found, expected)
    assert counts.table == counts.used + counts.missing + counts.out_of_bounds + counts.complement
    if dictionary is BY_ROW:
        assert counts.table == len(table)


TYPED = pd.DataFrame(
    {
        "age": pd.array([30, None, 50, 500, -9], dtype="Int64"),
        "ph.ecog": [0.0, 1.0, 2.0, 5.0, np.nan],
        "weight": np.array([70.25, 80.5, np.nan, 1e9, 60], dtype=np.float32),
        "dead": [True, False, True, False, True],
        "sex": pd.Categorical(["male", "M", "x", None, "female"]),
        "stage": [1.0, 2.0, 3.0, 4.0, np.nan],
    }
)


@pytest.mark.parametrize("kind", ["csv", "parquet", "database"])
def test_typed_columns_are_read_like_texts(tmp_path: Path, kind: str) -> None:
    query = Query(tuple(COLUMNS), ("age", "stage"))
    expected_counts, expected = taken(FrameSource(TYPED, BY_ROW, codes=CODES, missing=MISSING), query)
    with open_source(write(tmp_path, TYPED, kind), BY_ROW, KEY, tmp_path) as source:
        counts, found = taken(source, query)
    assert counts == expected_counts == RowCounts(table=5, missing=2, out_of_bounds=1, used=2)
    pd.testing.assert_frame_equal(found, expected)


def visits(rows: int = 5000, people: int = 700) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    table = pd.DataFrame({"id": generator.integers(0, people, rows), "age": generator.integers(0, 121, rows)})
    for name, values in (("ph.ecog", [0, 1, 2]), ("weight", [40.0, 90.0]), ("dead", [0, 1]), ("sex", ["male"]), ("stage", [1])):
        table[name] = generator.choice(values, rows)
    table.loc[:400, "id"] = 12345  # one person fills several batches
    return table


@pytest.mark.parametrize("by_duckdb", [True, False])
def test_no_person_is_split_over_two_batches(tmp_path: Path, by_duckdb: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    table = visits()
    monkeypatch.setattr("engine.data.duckdb_source.BATCH_ROWS", 64)
    source: DataSource = FrameSource(table, BY_PERSON, batch_rows=64)
    if by_duckdb:
        source = open_source(write(tmp_path, table, "parquet"), BY_PERSON, KEY, tmp_path)
    rows = source.rows(Query(("age",), ("age",), Condition.parse("age > 60", BY_PERSON)))
    seen: set[int] = set()
    last = -1
    for batch in rows:
        assert batch.persons is not None
        assert np.all(np.diff(batch.persons) >= 0)
        assert batch.persons[0] == last + 1
        last = int(batch.persons[-1])
        assert len(set(batch.identities.tolist())) == last - int(batch.persons[0]) + 1
        assert not seen & set(batch.identities.tolist())
        assert np.all(batch.identities & np.uint64(1) == 1)
        seen |= set(batch.identities.tolist())
    chosen = table[table["age"] > 60]["id"].nunique()
    assert rows.counts == RowCounts(table=table["id"].nunique(), complement=table["id"].nunique() - chosen, used=chosen)


def test_rows_keep_their_identity_in_queries_about_other_columns(tmp_path: Path) -> None:
    with open_source(write(tmp_path, visits(200), "csv"), BY_ROW, KEY, tmp_path) as source:
        (all_rows,) = source.rows(Query(("age",), ()))
        (old,) = source.rows(Query(("weight", "sex"), (), Condition.parse("age > 60", BY_ROW)))
    assert set(old.identities.tolist()) < set(all_rows.identities.tolist())
    assert np.all(all_rows.identities & np.uint64(1) == 0)


@pytest.mark.parametrize("by_duckdb", [True, False])
def test_the_rows_of_a_person_keep_their_identity_too(tmp_path: Path, by_duckdb: bool) -> None:
    table = visits(200, people=30)
    source: DataSource = FrameSource(table, BY_PERSON)
    if by_duckdb:
        source = open_source(write(tmp_path, table, "csv"), BY_PERSON, KEY, tmp_path)
    (everything,) = source.rows(Query(("age",), ()))
    (old,) = source.rows(Query(("weight",), (), Condition.parse("age > 60", BY_PERSON)))
    row_of = dict(zip(everything.row_identities.tolist(), everything.identities.tolist(), strict=True))
    assert len(row_of) > everything.persons[-1] + 1
    assert all(row in row_of for row in old.row_identities.tolist())


def test_expressions_names_and_quotes_of_the_hospital_are_its_own_affair(tmp_path: Path) -> None:
    table = pd.DataFrame({'a "b"; DROP': [10, 20], "Größe in m": [1.5, 2.0], "KG": [50.0, 80.0], "s'x": ["it's", "b"]})
    table.to_parquet(tmp_path / "o'hara.parquet")
    dictionary = Dictionary.parse(
        {
            "columns": {
                "age": {"type": "integer", "bounds": [0, 120]},
                "bmi": {"type": "number", "bounds": [0, 100]},
                "site": {"type": "category", "levels": ["it's", 'say "b"']},
            }
        }
    )
    columns = {"age": 'a "b"; DROP', "bmi": 'KG / ("Größe in m" * "Größe in m") -- kilograms', "site": "S'X"}
    section = {"source": "o'hara.parquet", "columns": columns, "codes": {"site": {"b": 'say "b"'}}}
    with open_source(section, dictionary, KEY, tmp_path) as source:
        (batch,) = source.rows(
            Query(("age", "bmi", "site"), ("age",), Condition.parse('site in ["it\'s", \'say "b"\']', dictionary))
        )
    assert batch.frame["age"].tolist() == [10, 20]
    np.testing.assert_allclose(batch.frame["bmi"], [50 / 2.25, 20])
    assert batch.frame["site"].tolist() == ["it's", 'say "b"']


ONE = Dictionary.parse({"columns": {"x": {"type": "number", "bounds": [0, 9]}}})


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        (b"x,y\n1,2\n3,4\n", [1, 3]),
        (b"\xef\xbb\xbfx;y\r\n1;2\r\n3;4", [1, 3]),
        (b"X\ty\n1\t2\n", [1]),
        (b'"","x"\n"1","5"\n', [5]),
        (b'y,x\n"a\nb",1\n"c ""d"", e",2\n', [1, 2]),
        (b"x\n1\n\n2\n", [1, 2]),
        (b"x,y\n", []),
    ],
)
def test_csv_dialects(tmp_path: Path, content: bytes, numbers: list[float]) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with open_source({"source": "a.csv"}, ONE, KEY, tmp_path) as source:
        assert [value for batch in source.rows(Query(("x",), ("x",))) for value in batch.frame["x"]] == numbers


def test_other_encodings_are_said_in_the_configuration(tmp_path: Path) -> None:
    dictionary = Dictionary.parse({"columns": {"ort": {"type": "category", "levels": ["Köln"]}}})
    (tmp_path / "a.csv").write_bytes("ort\nKöln\n".encode("latin-1"))
    with open_source({"source": "a.csv", "encoding": "latin-1"}, dictionary, KEY, tmp_path) as source:
        (batch,) = source.rows(Query(("ort",), ("ort",)))
    assert batch.frame["ort"].tolist() == ["Köln"]


def test_several_files_are_one_table(tmp_path: Path) -> None:
    for year in (2020, 2021):
        pd.DataFrame({"x": [year - 2019, 9]}).to_csv(tmp_path / f"{year}.csv", index=False)
    with open_source({"source": "20*.csv"}, ONE, KEY, tmp_path) as source:
        counts, frame = taken(source, Query(("x",), ("x",)))
    assert counts.used == 4
    assert sorted(frame["x"]) == [1, 2, 9, 9]


CANARY = "canary-4711"


@pytest.mark.parametrize(
    ("files", "section", "says"),
    [
        ({}, {"source": "a.csv"}, "no file 'a.csv'"),
        ({}, {"source": "*.csv"}, "no file"),
        ({"a.csv": b""}, {"source": "a.csv"}, "is empty"),
        ({"a.csv": b"\n\n"}, {"source": "a.csv"}, "is empty|no column 'x'"),
        ({"a.csv": f"y\n{CANARY}\n".encode()}, {"source": "a.csv"}, r"no column 'x'.*data\.columns"),
        ({"a.csv": f"x_\n{CANARY}\n".encode()}, {"source": "a.csv"}, "is it 'x_'"),
        ({"a.csv": b"x,X\n1,2\n"}, {"source": "a.csv"}, "two columns of the same name"),
        ({"a.csv": f"x,y\n1,2\n{CANARY}\n".encode()}, {"source": "a.csv"}, r"number of fields.*\(line 3\)"),
        ({"a.csv": f"x,y\n1,2\n1,2,{CANARY}\n".encode()}, {"source": "a.csv"}, "line 3"),
        ({"a.csv": b"x,y\n1,M\xfcller\n"}, {"source": "a.csv"}, "not (UTF|utf)-8"),
        ({"a.csv": b"x,y\xfc\n1,2\n"}, {"source": "a.csv"}, "not utf-8"),
        ({"a.csv": b'x\n"1\n'}, {"source": "a.csv"}, "cannot be read"),
        ({"a.parquet": CANARY.encode() * 10}, {"source": "a.parquet"}, "Parquet"),
        ({"a.duckdb": CANARY.encode() * 1000}, {"database": "a.duckdb", "table": "x"}, "no DuckDB database"),
        ({"a.csv": b"x\n1\n"}, {"source": "a.csv", "columns": {"x": "nope"}}, "data.columns. x: .*Mend it"),
        ({"a.csv": b"x\n1\n"}, {"source": "a.csv", "columns": {"x": "x) , (1"}}, "data.columns. x: .*Mend it"),
        ({"a.csv": b"x\n1\n"}, {"source": "a.csv", "columns": {"x": "1); DROP TABLE t; --"}}, "data.columns. x: .*Mend it"),
        ({"a.csv": b"x\n1\n", "b.csv": b"y\n1\n"}, {"source": "*.csv"}, "same first line"),
        ({"a.csv": b"x\n1\n"}, {"source": "a.csv", "columns": {"x": "(SELECT 1 FROM read_text('/etc/hostname'))"}}, "Mend it"),
    ],
)
def test_data_that_cannot_be_read_are_a_data_error_without_data(tmp_path: Path, files: dict, section: dict, says: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as caught, open_source(section, ONE, KEY, tmp_path) as source:
        list(source.rows(Query(("x",), ("x",))))
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "Müller" not in str(caught.value)


def test_a_file_that_vanishes_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    with open_source({"source": "a.csv"}, ONE, KEY, tmp_path) as source:
        (tmp_path / "a.csv").unlink()
        with pytest.raises(DataError, match="gone"):
            list(source.rows(Query(("x",), ("x",))))
        with pytest.raises(DataError, match="cannot be read"):
            source.snapshot()


def test_columns_that_change_places_under_a_running_daemon_are_a_data_error(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,x,other\n1,1,3\n2,2,4\n")
    with open_source({"source": "a.csv"}, ONE, KEY, tmp_path) as source:
        file.write_text("id,x,other\n1,5,3\n2,6,4\n")  # new rows under the old first line
        (batch,) = source.rows(Query(("x",), ("x",)))
        assert list(batch.frame.x) == [5.0, 6.0]
        file.write_text("id,other,x\n1,3,5\n2,4,6\n")
        with pytest.raises(DataError, match="another first line"):
            list(source.rows(Query(("x",), ("x",))))


@pytest.mark.parametrize(
    "dictionary", [ONE, Dictionary.parse({"columns": {"x": ONE["x"].to_dict()}, "person": {"column": "id"}})]
)
@pytest.mark.parametrize("change", ["a row more", "another value", "another file"])
def test_a_file_that_changes_while_it_is_read_is_a_data_error(tmp_path: Path, dictionary: Dictionary, change: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,x\n1,1\n2,2\n")
    with open_source({"source": "a.csv"}, dictionary, KEY, tmp_path) as source:
        rows = source.rows(Query(("x",), ("x",)))
        batches = iter(rows)
        next(batches)
        if change == "another file":
            file.with_name("b.csv").write_text(file.read_text())
            file.with_name("b.csv").replace(file)
        else:
            file.write_text("id,x\n1,1\n2,2\n3,3\n" if change == "a row more" else "id,x\n1,1\n2,7\n")
        with pytest.raises(DataError, match="changed while"):
            list(batches)
        assert rows.counts == RowCounts()  # nothing is counted of what nobody may use


@pytest.mark.parametrize("change", ["another value", "cut short", "another file"])
def test_a_parquet_file_that_changes_while_it_is_read_is_a_data_error(tmp_path: Path, change: str) -> None:
    file, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    visits(60_000).to_parquet(file, row_group_size=5_000)
    with open_source({"source": "a.parquet"}, BY_ROW, KEY, tmp_path) as source:
        rows = source.rows(Query(("age",), ()))
        batches = iter(rows)
        next(batches)
        data = bytearray(file.read_bytes())
        if change == "another value":
            data[len(data) // 2] ^= 1
        elif change == "cut short":
            data = data[: len(data) // 2]
        (other if change == "another file" else file).write_bytes(data)
        if change == "another file":
            other.replace(file)
        with pytest.raises(DataError, match=r"changed while|changed meanwhile|cannot be read"):
            list(batches)
        assert rows.counts == RowCounts()


def test_a_stream_that_is_left_lets_its_file_go(tmp_path: Path) -> None:
    visits(20_000).to_csv(tmp_path / "a.csv", index=False)
    with open_source({"source": "a.csv"}, BY_ROW, KEY, tmp_path) as source:
        batches = iter(source.rows(Query(("age",), ())))
        next(batches)
        del batches
        assert not [thread for thread in threading.enumerate() if thread.name == "read ahead"]
        assert sum(map(len, source.rows(Query(("age",), ())))) == 20_000


@pytest.mark.parametrize("where", [None, "x < 5"])
def test_rows_that_are_left_out_are_counted_in_the_same_pass(tmp_path: Path, where: str | None) -> None:
    generator = np.random.default_rng(5)
    values = np.where(generator.random(200_000) < 0.1, np.nan, generator.integers(0, 12, 200_000))  # 10, 11: out of bounds
    pd.DataFrame({"x": values}).to_parquet(tmp_path / "a.parquet", row_group_size=30_000)
    with open_source({"source": "a.parquet"}, ONE, KEY, tmp_path) as source:
        rows = source.rows(Query(("x",), ("x",), Condition.parse(where, ONE) if where else None))
        delivered = np.concatenate([batch.frame["x"].to_numpy() for batch in rows])
    selected = values < 5 if where else np.ones(len(values), dtype=bool)
    fits = values <= 9
    assert np.array_equal(delivered, values[selected & fits])
    assert rows.counts == RowCounts(
        table=len(values),
        complement=int(np.sum(~selected)),
        missing=int(np.sum(selected & np.isnan(values))),
        out_of_bounds=int(np.sum(selected & (values > 9))),
        used=int(np.sum(selected & fits)),
    )


def test_the_connection_reaches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "secret.csv").write_text("x\n2\n")
    with open_source({"source": "a.csv"}, ONE, KEY, tmp_path) as source:
        cursor = source._tables.cursor()
        for statement in (
            f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            f"ATTACH '{tmp_path / 'new.duckdb'}' AS new",
            "SET enable_external_access = true",
            f"SET allowed_paths = ['{tmp_path / 'secret.csv'}']",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                cursor.execute(statement).fetchall()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "secret.csv"]


def test_a_database_is_opened_read_only_and_may_have_views_and_queries(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "clinic.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 3 AS x; CREATE SCHEMA s; CREATE VIEW s.v AS SELECT x + 1 AS x FROM t")
    for place, number in (({"table": "t"}, 3), ({"table": "s.v"}, 4), ({"query": "SELECT x * 2 AS x FROM t -- all"}, 6)):
        with open_source({"database": "clinic.duckdb", **place}, ONE, KEY, tmp_path) as source:
            (batch,) = source.rows(Query(("x",), ("x",)))
            assert batch.frame["x"].tolist() == [number]
            with pytest.raises(duckdb.Error):
                source._tables.cursor().execute("INSERT INTO t VALUES (1)")


def test_the_spill_folder_is_private_and_goes_away(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    (tmp_path / "spill").mkdir()
    source = open_source({"source": "a.csv", "temporary": "spill"}, ONE, KEY, tmp_path)
    (folder,) = (tmp_path / "spill").iterdir()
    assert os.stat(folder).st_mode & 0o077 == 0
    assert source._tables.fetch("SELECT current_setting('temp_directory')")[0][0] == str(folder)
    source.close()
    assert not list((tmp_path / "spill").iterdir())


def test_a_snapshot_changes_with_data_mapping_dictionary_and_key(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("x,y\n1,2\n")

    def snapshot(section: dict | None = None, dictionary: Dictionary = ONE, key: bytes = KEY) -> bytes:
        with open_source({"source": "a.csv", **(section or {})}, dictionary, key, tmp_path) as source:
            assert source.snapshot() == source.snapshot()
            return source.snapshot()

    first = snapshot()
    assert len(first) == 32
    assert snapshot({"memory": "200MB"}) == first
    wider = Dictionary.parse({"columns": {"x": {"type": "number", "bounds": [0, 10]}}})
    others = {
        snapshot({"columns": {"x": "y"}}),
        snapshot({"missing": ["1"]}),
        snapshot(dictionary=wider),
        snapshot(key=bytes(32)),
    }
    with open_source({"source": "a.csv"}, ONE, KEY, tmp_path) as source:
        assert source.snapshot() == first
        file.write_text("x,y\n1,3\n")
        others.add(source.snapshot())
    assert len(others | {first}) == 6


def test_a_query_about_an_unknown_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    with open_source({"source": "a.csv"}, ONE, KEY, tmp_path) as source, pytest.raises(UnknownColumn):
        source.rows(Query(("z",), ()))


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({}, "either source = .* or database ="),
        ({"source": "a.csv", "database": "b"}, "either source = .* or database ="),
        ({"database": "b"}, "table = or query ="),
        ({"source": "a.csv", "table": "t"}, "belong to database"),
        ({"source": "a.csv", "missin": ["1"]}, "missin"),
        ({"source": 3}, "source"),
        ({"source": "a.csv", "columns": {"z": "x"}}, "maps 'z'"),
        ({"source": "a.csv", "codes": {"z": {"1": 1}}}, r"data\.codes\.z"),
        ({"source": "a.csv", "codes": {"x": {"1": "one"}}}, "stand for a number"),
        ({"source": "a.csv", "codes": {"x": {"1": 99}}}, "within its bounds"),
        ({"source": "a.csv", "memory": "lots"}, "memory"),
    ],
)
def test_a_wrong_section_is_a_config_error(tmp_path: Path, section: dict, says: str) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    with pytest.raises(ConfigError, match=says):
        open_source(section, ONE, KEY, tmp_path)


def test_a_code_must_stand_for_a_declared_level(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("age,ph.ecog,weight,dead,sex,stage\n")
    with pytest.raises(ConfigError, match="Did you mean 'female'"):
        open_source({"source": "a.csv", "codes": {"sex": {"1": "femal"}}}, BY_ROW, KEY, tmp_path)
    with pytest.raises(ConfigError, match="no level '2'"):
        open_source({"source": "a.csv", "codes": {"dead": {"1": 2}}}, BY_ROW, KEY, tmp_path)


def test_people_count_once_by_the_best_of_their_rows() -> None:
    table = pd.DataFrame(
        {"id": ["a", "a", "b", "b", "c", "d", None], "x": [1, None, None, 50, 99, 2, 3], "z": [1, 1, 1, 1, 1, 0, 1]}
    )
    dictionary = Dictionary.parse(
        {"columns": {name: {"type": "number", "bounds": [0, 9]} for name in ("x", "z")}, "person": {"column": "id"}}
    )
    counts, frame = taken(FrameSource(table, dictionary), Query(("x",), ("x",), Condition.parse("z == 1", dictionary)))
    assert counts == RowCounts(table=5, complement=1, missing=2, out_of_bounds=1, used=1)
    assert frame["x"].tolist() == [1]


def test_statuses_are_in_the_order_that_min_relies_on() -> None:
    assert batches.USED < batches.MISSING < batches.OUT_OF_BOUNDS < batches.COMPLEMENT


@pytest.mark.parametrize("dictionary", [BY_ROW, BY_PERSON], ids=["rows", "people"])
@pytest.mark.parametrize("where", [None, "age < 5"])
def test_the_position_goes_through_the_table_whatever_a_condition_selects(
    tmp_path: Path, dictionary: Dictionary, where: str | None
) -> None:
    """Looked at between two batches: it rises, and ends where nothing is read any more."""
    generator = np.random.default_rng(1)
    table = pd.DataFrame({name: generator.integers(0, 3, 300_000) for name in COLUMNS} | {"id": np.arange(300_000)})
    table["age"] = np.arange(300_000) % 100
    write(tmp_path, table, "parquet")
    query = Query(("age",), (), Condition.parse(where, dictionary) if where else None)
    with open_source(write(tmp_path, table, "csv"), dictionary, KEY, tmp_path) as source:
        rows = source.rows(query)
        assert rows.position() is None
        positions = [position for _ in rows if (position := rows.position()) is not None]
        assert rows.position() is None
    assert positions == sorted(positions)
    assert all(0 < position <= 1 for position in positions)
    if dictionary is BY_PERSON:
        assert all(position >= 0.5 for position in positions)  # people were counted in a pass before
    if where is None:
        assert positions
