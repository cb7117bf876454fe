"""Names of rows and the table of their encryptions, against Python's integers and another cipher, on every instruction set."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

import native
from tests.native.reference import seeds, words

pytestmark = pytest.mark.usefixtures("isa")

WORD = (1 << 64) - 1
SHAPE = (4, 256, 4)  # tables, cells, words: a count and a sum of 192 bits
START = 0x9E3779B97F4A7C15
NOT_A_NUMBER = struct.unpack("<d", struct.pack("<Q", 0xFFF8000000001234))[0]  # NaN of another sign and payload
SPECIAL = [0.0, -0.0, np.nan, NOT_A_NUMBER, np.inf, -np.inf, 5e-324, -1.5, 1e308]


def name(values: list[float], start: int) -> int:
    """Splitmix64's finalizer over the bits of each value."""
    state = start
    for value in values:
        bits = 0x7FF8000000000000 if value != value else struct.unpack("<Q", struct.pack("<d", value + 0.0))[0]
        state ^= bits
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & WORD
        state = (state ^ state >> 27) * 0x94D049BB133111EB & WORD
        state = ((state ^ state >> 31) + 0x9E3779B97F4A7C15) & WORD
    return state


@given(st.lists(st.tuples(*[st.sampled_from(SPECIAL) | st.floats()] * 3), max_size=21), st.sampled_from([0, START, WORD]))
def test_names_are_splitmix64_over_the_columns(rows: list[tuple[float, ...]], start: int) -> None:
    columns = [np.array([row[i] for row in rows], dtype=np.float64) for i in range(3)]
    assert native.row_names(columns, start).tolist() == [name(list(row), start) for row in rows]


def test_columns_may_be_strided_and_stay_as_they_are() -> None:
    table = np.random.default_rng(1).standard_normal((40, 3))
    table.flags.writeable = False
    strided = native.row_names(list(table.T), START)
    assert np.array_equal(strided, native.row_names([column.copy() for column in table.T], START))


def cells(key: bytes, blocks: list[tuple[int, int]]) -> list[list[list[int]]]:
    """(4, 256, [count, sum]) as Python's integers."""
    table = [[[0, 0] for _ in range(256)] for _ in range(4)]
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    for low, high in blocks:
        element = encryptor.update((low | high << 64).to_bytes(16, "little"))
        for t in range(4):
            table[t][element[t]][0] += 1
            table[t][element[t]][1] += int.from_bytes(element, "little")
    return table


def read(made: np.ndarray) -> list[list[list[int]]]:
    return [[[int(c[0]), int(c[1]) | int(c[2]) << 64 | int(c[3]) << 128] for c in table] for table in made]


@settings(max_examples=25)
@given(seeds, st.sampled_from([0, 1, 7, 255, 256, 257, 1000]), st.booleans(), st.binary(min_size=16, max_size=16))
def test_cells_hold_counts_and_sums_of_encrypted_blocks(seed: int, n: int, wide: bool, key: bytes) -> None:
    low = words(seed, (n,))
    high = words(seed + 1, (n,)) if wide else None
    made = np.zeros(SHAPE, np.uint64)
    native.row_set_add(made, key, low[: n // 3], None if high is None else high[: n // 3])
    native.row_set_add(made, key, low[n // 3 :], None if high is None else high[n // 3 :])
    seconds = high.tolist() if high is not None else [0] * n
    assert read(made) == cells(key, list(zip(low.tolist(), seconds, strict=True)))


def test_carries_run_through_the_sum_of_a_cell() -> None:
    made = np.full(SHAPE, WORD, np.uint64)
    made[..., 3] = 5
    before = read(made)
    native.row_set_add(made, bytes(16), np.array([3], np.uint64))
    (touched,) = np.argwhere((made != np.array([WORD, WORD, WORD, 5], np.uint64)).any(axis=-1))[:1]
    added = read(made)[touched[0]][touched[1]][1] - before[touched[0]][touched[1]][1]
    encryptor = Cipher(algorithms.AES(bytes(16)), modes.ECB()).encryptor()
    assert added == int.from_bytes(encryptor.update((3).to_bytes(16, "little")), "little")
