"""Packed residues against Python's integers on every instruction set, and a fuzzed decoder under AddressSanitizer."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from native import KernelInputError, packing, rns
from tests.native.test_checkers import COMPILER, SOURCES
from tests.native.test_sampling import primes

pytestmark = pytest.mark.usefixtures("isa")

BASES = [rns.Basis(degree, primes(degree, bits, 1)) for degree in (8, 16, 64) for bits in range(21, 51)]
BASES += [rns.Basis(8, (*primes(8, 47, 2), *primes(8, 21, 1), *primes(8, 40, 1, 1))), rns.Basis(4096, primes(4096, 47, 3))]

bases = st.sampled_from(BASES)
seeds = st.integers(0, 2**32 - 1)


def residues(seed: int, basis: rns.Basis, count: int = 1) -> np.ndarray:
    """Random residues, a third of them 0 or p - 1."""
    rng = np.random.default_rng(seed)
    out = rng.integers(0, basis.values[:, np.newaxis], (count, len(basis), basis.degree), dtype=np.uint64)
    edges = np.broadcast_to(np.where(rng.integers(0, 2, out.shape), basis.values[:, np.newaxis] - 1, 0), out.shape)
    return np.where(rng.integers(0, 3, out.shape) == 0, edges, out).astype(np.uint64)


def reference_pack(x: np.ndarray, basis: rns.Basis) -> bytes:
    """Each limb as one large integer."""
    out = b""
    for row, p in zip(x.reshape(-1, basis.degree), list(basis.primes) * x.shape[0], strict=True):
        bits = p.bit_length()
        out += sum(int(v) << bits * i for i, v in enumerate(row)).to_bytes(basis.degree * bits // 8, "little")
    return out


def reference_unpack(data: bytes, basis: rns.Basis) -> list[list[int]] | None:
    """The residues, or None when one is not below its prime."""
    rows = []
    for p in basis.primes:
        bits, size = p.bit_length(), basis.degree * p.bit_length() // 8
        number, data = int.from_bytes(data[:size], "little"), data[size:]
        rows.append([number >> bits * i & (1 << bits) - 1 for i in range(basis.degree)])
        if max(rows[-1]) >= p:
            return None
    return rows


@given(basis=bases, seed=seeds, count=st.integers(1, 2))
def test_pack_equals_the_reference_and_unpack_inverts_it(basis: rns.Basis, seed: int, count: int) -> None:
    x = residues(seed, basis, count)
    packed = packing.pack(x, basis)
    assert packed == reference_pack(x, basis)
    assert len(packed) == packing.packed_size(x.shape, basis)
    np.testing.assert_array_equal(packing.unpack(packed, x.shape, basis), x)


@given(basis=bases, seed=seeds, data=st.data())
def test_decoder_equals_the_reference_on_altered_bytes(basis: rns.Basis, seed: int, data: st.DataObject) -> None:
    altered = bytearray(packing.pack(residues(seed, basis), basis))
    for _ in range(data.draw(st.integers(0, 4))):
        altered[data.draw(st.integers(0, len(altered) - 1))] = data.draw(st.integers(0, 255))
    assert decoded(bytes(altered), basis) == reference_unpack(bytes(altered), basis)


@given(basis=st.sampled_from(BASES[:-1]), data=st.data())
def test_decoder_equals_the_reference_on_random_bytes(basis: rns.Basis, data: st.DataObject) -> None:
    size = packing.packed_size((len(basis), basis.degree), basis)
    raw = data.draw(st.binary(min_size=size, max_size=size))
    assert decoded(raw, basis) == reference_unpack(raw, basis)


def decoded(raw: bytes, basis: rns.Basis) -> list[list[int]] | None:
    try:
        return list(packing.unpack(raw, (len(basis), basis.degree), basis).tolist())
    except KernelInputError:
        return None


@pytest.mark.parametrize("basis", [BASES[26], BASES[-2]])
def test_a_residue_that_is_its_prime_is_refused_wherever_it_stands(basis: rns.Basis) -> None:
    x = residues(1, basis)[0]
    for limb in range(len(basis)):
        for i in range(basis.degree):
            y = x.copy()
            y[limb, i] = basis.primes[limb]
            with pytest.raises(KernelInputError):
                packing.unpack(reference_pack(y[np.newaxis], basis), y.shape, basis)


def test_wrong_sizes_are_refused_before_anything_is_made() -> None:
    basis = BASES[0]
    packed = packing.pack(residues(1, basis), basis)
    huge = (1 << 60, 1, 8)
    for raw, shape in [(packed[:-1], (1, 8)), (packed + b"\0", (1, 8)), (packed, huge), (b"", (1, 8)), (packed, (8,))]:
        with pytest.raises(KernelInputError):
            packing.unpack(raw, shape, basis)
    for bad in (None, 5, "text", np.zeros(21, np.uint8)):
        with pytest.raises(KernelInputError):
            packing.unpack(bad, (1, 8), basis)  # type: ignore[arg-type]
    with pytest.raises(KernelInputError):
        packing.unpack(packed, (1, 16), basis)
    with pytest.raises(KernelInputError):
        packing.pack(np.zeros((1, 8), np.int64), basis)
    with pytest.raises(KernelInputError):
        packing.pack(np.zeros((2, 8), np.uint64), basis)
    assert packing.unpack(b"", (0, 1, 8), basis).shape == (0, 1, 8)
    np.testing.assert_array_equal(packing.unpack(memoryview(packed), (1, 8), basis), packing.unpack(packed, (1, 8), basis))


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """fuzz_packing.c with AddressSanitizer: clang's libFuzzer can drive the same file."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    program = tmp_path_factory.mktemp("fuzz") / "fuzz_packing"
    flags = ["-std=c11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{SOURCES}"]
    files = [str(Path(__file__).parent / "fuzz_packing.c"), *map(str, sorted(SOURCES.glob("packing_*.c")))]
    done = subprocess.run([COMPILER, *flags, *files, "-o", str(program)], capture_output=True, text=True, check=False)
    if "asan" in done.stderr or "ubsan" in done.stderr:
        pytest.skip("no sanitizer libraries")
    assert done.returncode == 0, done.stderr
    return program


def test_fuzzed_decoder_agrees_with_its_reference_and_stays_in_bounds(fuzzer: Path, isa: str) -> None:
    rng = np.random.default_rng(5)
    inputs = []
    for _ in range(3000):
        body = rng.bytes(int(rng.integers(0, 900)))
        inputs.append(rng.bytes(10) + (b"\xff" * len(body) if rng.integers(0, 10) == 0 else body))
    stream = b"".join(len(data).to_bytes(4, "little") + data for data in inputs)
    done = subprocess.run([str(fuzzer), isa], input=stream, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    counts = [int(word) for word in done.stdout.split()]
    assert sum(counts) == len(inputs)
    assert min(counts) > 50  # accepted, refused for a residue, too short for a row


def test_fuzzer_would_complain(fuzzer: Path) -> None:
    """A reference that accepts nothing disagrees."""
    data = bytes(10) + bytes(200)
    done = subprocess.run(
        [str(fuzzer), "portable", "wrong"], input=len(data).to_bytes(4, "little") + data, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert b"differs" in done.stderr
