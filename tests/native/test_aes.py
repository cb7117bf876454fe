"""AES-128 against the published vectors and another implementation, on every instruction set."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

import native

pytestmark = pytest.mark.usefixtures("isa")

keys = st.binary(min_size=16, max_size=16)

# FIPS 197, appendices B and C.1; SP 800-38A, F.1.1
SP800_KEY = "2b7e151628aed2a6abf7158809cf4f3c"
SP800_PLAIN = [
    "6bc1bee22e409f96e93d7e117393172a",
    "ae2d8a571e03ac9c9eb76fac45af8e51",
    "30c81c46a35ce411e5fbc1191a0a52ef",
    "f69f2445df4f9b17ad2b417be66c3710",
]
ECB_VECTORS = [
    (SP800_KEY, "3243f6a8885a308d313198a2e0370734", "3925841d02dc09fbdc118597196a0b32"),
    ("000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "69c4e0d86a7b0430d8cdb78070b4c55a"),
    (SP800_KEY, SP800_PLAIN[0], "3ad77bb40d7a3660a89ecaf32466ef97"),
    (SP800_KEY, SP800_PLAIN[1], "f5d3d58503b9699de785895a96fdbaaf"),
    (SP800_KEY, SP800_PLAIN[2], "43b1cd7f598ece23881b00e3ed030688"),
    (SP800_KEY, SP800_PLAIN[3], "7b0c785e27e8ad3f8223207104725dd4"),
]
# SP 800-38A, F.5.1: counter block, plaintext, ciphertext
CTR_VECTORS = [
    ("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", SP800_PLAIN[0], "874d6191b620e3261bef6864990db6ce"),
    ("f0f1f2f3f4f5f6f7f8f9fafbfcfdff00", SP800_PLAIN[1], "9806f66b7970fdff8617187bb9fffdff"),
    ("f0f1f2f3f4f5f6f7f8f9fafbfcfdff01", SP800_PLAIN[2], "5ae4df3edbd5d35e5b4f09020db03eab"),
    ("f0f1f2f3f4f5f6f7f8f9fafbfcfdff02", SP800_PLAIN[3], "1e031dda2fbe03d1792170a0f3009cee"),
]


def block(text: str) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(1, 16)


def other_ecb(key: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(data)


@pytest.mark.parametrize(("key", "plain", "cipher"), ECB_VECTORS)
def test_ecb_vectors(key: str, plain: str, cipher: str) -> None:
    assert native.aes_ecb(bytes.fromhex(key), block(plain)).tobytes().hex() == cipher


@pytest.mark.parametrize(("counter", "plain", "cipher"), CTR_VECTORS)
def test_ctr_vectors(counter: str, plain: str, cipher: str) -> None:
    first = int.from_bytes(bytes.fromhex(counter), "little")
    stream = native.aes_ctr(bytes.fromhex(SP800_KEY), first, 16)
    assert (stream ^ block(plain)[0]).tobytes().hex() == cipher


@given(key=keys, data=st.binary(max_size=700))
def test_ecb_equals_another_implementation(key: bytes, data: bytes) -> None:
    whole = data[: len(data) // 16 * 16]
    blocks = np.frombuffer(whole, np.uint8).reshape(-1, 16)
    assert native.aes_ecb(key, blocks).tobytes() == other_ecb(key, whole)
    assert native.aes_ecb(key, blocks[::-1]).tobytes() == other_ecb(key, blocks[::-1].tobytes())


def test_every_byte_through_the_s_box() -> None:
    every = np.repeat(np.arange(256, dtype=np.uint8), 16).reshape(256, 16)
    key = bytes(16)
    assert native.aes_ecb(key, every).tobytes() == other_ecb(key, every.tobytes())


FIRST_BLOCKS = st.integers(0, 2**128 - 1000) | st.sampled_from([0, 2**32 - 2, 2**64 - 3, 2**64, 2**127])


@given(key=keys, first=FIRST_BLOCKS, n=st.integers(0, 400) | st.sampled_from([4095, 4096, 4097, 9001]))
def test_ctr_encrypts_little_endian_block_numbers(key: bytes, first: int, n: int) -> None:
    counters = b"".join((first + i).to_bytes(16, "little") for i in range((n + 15) // 16))
    assert native.aes_ctr(key, first, n).tobytes() == other_ecb(key, counters)[:n]


def test_ctr_reaches_the_last_block_and_never_wraps() -> None:
    key, last = bytes(range(16)), 2**128 - 1
    assert native.aes_ctr(key, last, 16).tobytes() == other_ecb(key, b"\xff" * 16)
    assert native.aes_ctr(key, last, 3).tobytes() == other_ecb(key, b"\xff" * 16)[:3]
    for first, n in [(last, 17), (last + 1, 1), (last - 1, 33), (-1, 16)]:
        with pytest.raises(native.KernelInputError):
            native.aes_ctr(key, first, n)


def test_streams_of_two_calls_continue_one_another() -> None:
    key = bytes(range(16))
    parts = [native.aes_ctr(key, first, 16 * count) for first, count in [(5, 3), (8, 300), (308, 1)]]
    assert np.array_equal(np.concatenate(parts), native.aes_ctr(key, 5, 16 * 304))


@pytest.mark.parametrize("limbs", [2, 4])
@pytest.mark.parametrize("n", [0, 1, 3, 127, 128, 129, 255, 256, 257, 1000])
def test_streams_are_added_as_they_are(limbs: int, n: int) -> None:
    rng = np.random.default_rng(n)
    a = rng.integers(0, 2**64, size=(n, limbs), dtype=np.uint64)
    streams = [(bytes(range(16)), 5), (bytes(range(16, 32)), (1 << 64) - 2)]
    plus, minus = (native.aes_ctr(key, first, 8 * a.size).view("<u8").reshape(a.shape) for key, first in streams)
    np.testing.assert_array_equal(native.add_streams(a, *streams), native.sub(native.add(a, plus), minus))
    every_second = np.repeat(a, 2, axis=0)[::2]
    np.testing.assert_array_equal(native.add_streams(every_second, streams[0], streams[0]), a)


def test_streams_that_would_repeat_are_refused() -> None:
    a = np.zeros((3, 2), np.uint64)
    for streams in (((bytes(16), 0), (bytes(16), (1 << 128) - 2)), ((bytes(15), 0), (bytes(16), 0))):
        with pytest.raises(native.KernelInputError):
            native.add_streams(a, *streams)
