"""Digests of row sets: small differences are counted exactly, whatever the size of the sets."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data.row_sets import SIZE, RowSetDigest
from engine.errors import ConfigError

KEY = bytes(range(32))
EVEN = np.uint64(0xFFFFFFFFFFFFFFFE)


def rows(count: int, seed: int = 1) -> np.ndarray:
    """Identities of rows: even."""
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64) & EVEN


def people(count: int, seed: int = 1) -> np.ndarray:
    """Identities of people: odd."""
    return rows(count, seed) | np.uint64(1)


def digest(*parts: np.ndarray, key: bytes = KEY) -> RowSetDigest:
    made = RowSetDigest(key)
    for part in parts:
        made.update(part)
    return made


@pytest.mark.parametrize(("apart", "found"), [*((k, k) for k in range(10)), (10, 10), (11, 10), (50, 10), (1000, 10), (4000, 10)])
def test_differences_are_counted_up_to_the_limit(apart: int, found: int) -> None:
    everybody = rows(5000)
    left = digest(everybody)
    assert left.difference(digest(everybody[apart:])) == found
    assert digest(everybody[apart:]).difference(left) == found
    swapped = digest(everybody[apart // 2 :], rows(apart - apart // 2, seed=2))  # some left, others came
    assert left.difference(swapped) == found


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 9), st.integers(0, 9))
def test_random_sets_decode(seed: int, gone: int, come: int) -> None:
    common = rows(500, seed)
    left, right = digest(common, rows(gone, seed + 1)), digest(common, rows(come, seed + 2))
    assert left.difference(right, limit=20) == gone + come


def test_order_and_batches_do_not_matter() -> None:
    everybody = rows(1000)
    assert digest(everybody[::-1]).to_bytes() == digest(everybody[:300], everybody[300:], rows(0)).to_bytes()


def test_rows_of_equal_content_count_each() -> None:
    row = rows(1)
    assert digest(np.repeat(row, 5)).difference(digest(np.repeat(row, 2))) == 3
    assert digest(np.repeat(row, 500)).difference(digest(row)) == 10


def visits(of: np.ndarray, names: np.ndarray, chosen: np.ndarray | slice = slice(None)) -> RowSetDigest:
    """The digest of the chosen rows `names` of the people `of`."""
    made = RowSetDigest(KEY)
    made.update(of[chosen], names[chosen])
    return made


def test_a_person_with_several_rows_counts_once() -> None:
    everybody, names = np.sort(np.repeat(people(400), 3)), rows(1200, seed=3)
    whole = visits(everybody, names)
    assert whole.difference(visits(everybody, names, everybody != everybody[30])) == 1
    one_visit = np.ones(len(everybody), dtype=bool)
    one_visit[30] = False
    assert whole.difference(visits(everybody, names, one_visit)) == 1
    assert whole.difference(visits(everybody, names, slice(27, None))) == 9
    assert whole.difference(visits(everybody, names, slice(30, None))) == 10


@pytest.mark.parametrize(("persons", "found"), [(1, 1), (9, 9), (10, 10), (300, 10)])
def test_another_visit_of_the_same_person_is_a_difference(persons: int, found: int) -> None:
    """Without the first visits, then without the second ones: as many people, as many rows, other values."""
    everybody, names = np.sort(np.repeat(people(400), 3)), rows(1200, seed=3)
    first, second = np.ones(1200, dtype=bool), np.ones(1200, dtype=bool)
    first[: 3 * persons : 3] = second[1 : 3 * persons : 3] = False
    assert visits(everybody, names, first).difference(visits(everybody, names, second)) == found
    assert visits(everybody, names, second).difference(visits(everybody, names, first)) == found


def test_the_order_of_a_persons_rows_does_not_matter() -> None:
    everybody, names = np.repeat(people(1), 5), rows(5)
    assert visits(everybody, names).to_bytes() == visits(everybody, names[::-1]).to_bytes()


def test_a_million_rows() -> None:
    everybody = rows(1_000_000)
    whole = digest(everybody)
    assert whole.difference(digest(everybody[9:])) == 9
    assert whole.difference(digest(everybody[:500_000])) == 10


def test_bytes_are_constant_in_size_and_come_back() -> None:
    small, large = digest(rows(1)), digest(rows(70_000))
    assert len(small.to_bytes()) == len(large.to_bytes()) == SIZE == 32_792
    again = RowSetDigest.from_bytes(KEY, large.to_bytes())
    assert again.to_bytes() == large.to_bytes()
    assert again.difference(digest(rows(70_000)[7:])) == 7
    again.update(rows(3, seed=9))
    assert again.difference(large) == 3


def test_bytes_are_the_same_for_ever() -> None:
    """Digests on disk rely on them. The hashes were made by an implementation in NumPy, with 32-bit words."""
    numbers = np.arange(1, 1001, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C14)
    by_row = digest(numbers & EVEN)
    assert hashlib.sha256(by_row.to_bytes()).hexdigest() == "65f6fad09046424b6a586fc07cdf950b94ab1cdf4342311dc314b2d424543a6d"
    by_person = visits(np.repeat(numbers[:500] | np.uint64(1), 2), numbers)
    assert hashlib.sha256(by_person.to_bytes()).hexdigest() == "465a6e6609e70f163fe19cd7a6530a00f2ec36bfa23f3b6f8148bbeb2bdc7185"


@pytest.mark.parametrize("spoil", ["short", "long", "flip", "version", "key"])
def test_spoiled_bytes_are_refused(spoil: str) -> None:
    data = digest(rows(10)).to_bytes()
    key = KEY
    if spoil == "short":
        data = data[:-1]
    elif spoil == "long":
        data += b"\0"
    elif spoil == "flip":
        data = data[:100] + bytes([data[100] ^ 1]) + data[101:]
    elif spoil == "version":
        data = data.replace(b"unseen row set 2", b"unseen row set 1")
    else:
        key = bytes(32)
    with pytest.raises(ConfigError, match="Restore"):
        RowSetDigest.from_bytes(key, data)


def test_digests_under_different_keys_cannot_be_compared() -> None:
    with pytest.raises(ConfigError, match="different keys"):
        digest(rows(3)).difference(digest(rows(3), key=bytes(32)))


def test_identities_are_not_to_be_seen_without_the_key() -> None:
    (identity,) = rows(1)
    data = digest(rows(1)).to_bytes()
    assert int(identity).to_bytes(8, "little") not in data
    assert digest(rows(1), key=bytes(32)).to_bytes()[24:] != data[24:]
