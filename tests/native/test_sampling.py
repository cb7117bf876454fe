"""Samplers against another AES and Python's integers, and against the exact distributions, on every instruction set."""

import itertools
import math

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from native import KernelInputError, rns, sampling

pytestmark = pytest.mark.usefixtures("isa")

KEY = bytes(range(16))
keys = st.binary(min_size=16, max_size=16)
first_blocks = st.integers(0, 2**127) | st.sampled_from([0, 2**32 - 2, 2**64 - 3, 2**64])


def primes(degree: int, bits: int, count: int, step: int = -1) -> tuple[int, ...]:
    """The first primes that are 1 modulo 2 degree, from 2^bits down (step -1) or up."""
    found: list[int] = []
    p = (1 << bits) + 1
    while len(found) < count:
        p += step * 2 * degree
        if rns.is_prime(p):
            found.append(p)
    return tuple(found)


def words(key: bytes, first: int, blocks: int) -> list[int]:
    counters = b"".join((first + i).to_bytes(16, "little") for i in range(blocks))
    stream = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(counters)
    return [int.from_bytes(stream[i : i + 8], "little") for i in range(0, len(stream), 8)]


def uniform_reference(key: bytes, first: int, basis: rns.Basis) -> list[list[int]]:
    rows, own = [], 2 * basis.degree + 256
    for limb, p in enumerate(basis.primes):
        low = (w % (1 << p.bit_length()) for w in words(key, first + limb * own, own))
        rows.append([w for w in low if w < p][: basis.degree])
    return rows


# 2^20 and 2^46 from above: half of all words are rejected
BASES = [
    rns.Basis(8, (*primes(8, 21, 1), *primes(8, 50, 2), *primes(8, 46, 1, 1))),
    rns.Basis(1024, (*primes(1024, 47, 2), *primes(1024, 20, 1, 1))),
]


@given(key=keys, first=first_blocks, which=st.sampled_from(BASES))
def test_uniform_keeps_the_words_below_the_prime(key: bytes, first: int, which: rns.Basis) -> None:
    assert sampling.uniform(key, first, which).tolist() == uniform_reference(key, first, which)


@given(key=keys, first=first_blocks, n=st.integers(0, 40) | st.sampled_from([511, 512, 513, 1024, 1030]))
def test_small_coefficients_of_the_key_stream(key: bytes, first: int, n: int) -> None:
    stream = words(key, first, -(-n // 2))[:n]
    assert sampling.ternary(key, first, n).tolist() == [3 * u // 2**64 - 1 for u in stream]
    assert sampling.binomial42(key, first, n).tolist() == [(u % 2**42).bit_count() - 21 for u in stream]


# openssl enc -aes-128-ecb -nopad -K 000102030405060708090a0b0c0d0e0f of the blocks 5 and 6, little-endian words
OPENSSL_WORDS = [0x1CCE52CB6CC79D78, 0x0EF67A35CB0EB93D, 0xFE07114651E83EEB, 0x63E5D57AB29772C2]


def test_known_answers() -> None:
    assert words(KEY, 5, 2) == OPENSSL_WORDS
    assert sampling.ternary(KEY, 5, 4).tolist() == [-1, -1, 1, 0]
    assert sampling.binomial42(KEY, 5, 4).tolist() == [3, 2, 1, 1]


def test_uniform_distribution() -> None:
    """Chi-square over 64 equal cells, for a prime just below and one just above a power of two."""
    basis = rns.Basis(1 << 15, (*primes(1 << 15, 47, 1), *primes(1 << 15, 40, 1, 1)))
    for p, row in zip(basis.primes, sampling.uniform(KEY, 0, basis), strict=True):
        assert int(row.max()) < p
        cells = np.bincount((row.astype(object) * 64 // p).astype(np.int64), minlength=64)
        edges = [-(-p * i // 64) for i in range(65)]
        expected = np.array([(b - a) / p for a, b in itertools.pairwise(edges)]) * row.size
        assert stats.chisquare(cells, expected).pvalue > 1e-6


def test_ternary_distribution() -> None:
    counts = np.bincount(sampling.ternary(KEY, 0, 1 << 18) + 1, minlength=3)
    assert counts.size == 3
    assert stats.chisquare(counts).pvalue > 1e-6


def test_binomial_distribution() -> None:
    """Against C(42, 21 + k) / 2^42; cells that expect fewer than five are one cell on either side."""
    n = 1 << 18
    counts = np.bincount(sampling.binomial42(KEY, 0, n) + 21, minlength=43)
    expected = np.array([math.comb(42, k) for k in range(43)]) / 2**42 * n
    rare = int((np.cumsum(expected) < 5).sum())
    cut = slice(rare, 43 - rare)
    cells = [counts[:rare].sum(), *counts[cut], counts[43 - rare :].sum()]
    assert stats.chisquare(cells, [expected[:rare].sum(), *expected[cut], expected[43 - rare :].sum()]).pvalue > 1e-6


def test_a_call_reads_no_further_than_it_says() -> None:
    """Its last block is the last that exists: one further and it is refused."""
    basis = BASES[0]
    blocks = sampling.uniform_bytes(basis) // 16
    assert blocks == 4 * (2 * 8 + 256)
    assert sampling.uniform(KEY, 2**128 - blocks, basis).shape == (4, 8)
    assert sampling.small_bytes(7) == 64
    sampling.ternary(KEY, 2**128 - 4, 7)
    refused = [
        lambda: sampling.uniform(KEY, 2**128 - blocks + 1, basis),
        lambda: sampling.ternary(KEY, 2**128 - 3, 7),
        lambda: sampling.binomial42(KEY, 2**128 - 3, 7),
        lambda: sampling.binomial42(KEY, -1, 7),
        lambda: sampling.ternary(KEY[:15], 0, 7),
        lambda: sampling.ternary(KEY, 0, -1),
    ]
    for call in refused:
        with pytest.raises(KernelInputError):
            call()
