"""Local misuse, the missing extension, the choice of the instruction set, and the list of public names."""

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

import native
from native import _load
from native.errors import KernelInputError

A = np.zeros((3, 2), np.uint64)
B = np.zeros((3, 4), np.uint64)
M = np.zeros((3, 3, 2), np.uint64)
KEY = bytes(16)

MISUSE: dict[str, Callable[[], object]] = {
    "a list": lambda: native.add([[1, 2]], A),
    "signed dtype": lambda: native.add(A.astype(np.int64), A),
    "other byte order": lambda: native.add(A.astype(">u8"), A),
    "three limbs": lambda: native.neg(np.zeros((2, 3), np.uint64)),
    "no limbs": lambda: native.neg(np.uint64(3).reshape(())),
    "two rings": lambda: native.mul(A, B),
    "shapes that do not broadcast": lambda: native.add(A, np.zeros((2, 2), np.uint64)),
    "inner sizes": lambda: native.matmul(M, np.zeros((2, 3, 2), np.uint64)),
    "a vector as matrix": lambda: native.matmul(A, M),
    "batches that do not broadcast": lambda: native.matmul(np.stack([M, M]), np.stack([M, M, M])),
    "a combination of two shapes": lambda: native.combine([A, A[:2]], np.zeros((1, 2, 2), np.uint64), A[:1]),
    "a combination of two rings": lambda: native.combine([A], np.zeros((1, 1, 4), np.uint64), B[:1]),
    "a table of another size": lambda: native.combine([A, A], np.zeros((2, 2, 2), np.uint64), A),
    "components of two shapes": lambda: native.matmul_shares(M, M[:2], M, M),
    "gram of a batch": lambda: native.gram(np.stack([M, M])),
    "gram of components of two shapes": lambda: native.gram_shares(M, M[:2]),
    "shift by the whole width": lambda: native.shift_left(A, 128),
    "negative shift": lambda: native.shift_right(A, -1),
    "shift by a float": lambda: native.shift_right_signed(A, 1.0),
    "four masks": lambda: native.truncation_message(A, [A, A, A, A]),
    "offset too large": lambda: native.truncation_message(A, [A], 128),
    "frac above offset": lambda: native.truncation_finish(A, 126, 125),
    "drop nothing": lambda: native.split_help(A, np.zeros((2, 3, 0), np.uint64), 0, 2),
    "drop more than an opening holds": lambda: native.split_help(A, np.zeros((2, 3, 2), np.uint64), 126, 2),
    "drop into another ring": lambda: native.split_help(A, np.zeros((2, 3, 2), np.uint64), 127, 4),
    "too few words for the bits dropped": lambda: native.split_help(A, np.zeros((2, 3, 1), np.uint64), 65, 2),
    "one mask where two are due": lambda: native.split_private(A, A, A[None, :, :1], A[None, :, :1], 5),
    "a mask of another shape": lambda: native.split_common(A, A[:2, :1], A[:, :1], A[:, :1], 5, 2),
    "a share of another shape": lambda: native.split_private(A, A[:2], np.stack([A, A])[..., :1], np.stack([A, A])[..., :1], 5),
    "widen what is wide": lambda: native.widen(B),
    "widen to nothing known": lambda: native.widen(A, 8),
    "narrow what is narrow": lambda: native.narrow(A, 4),
    "narrow to three": lambda: native.narrow(B, 3),
    "encode float32": lambda: native.encode(np.zeros(3, np.float32), 28, 2),
    "encode integers": lambda: native.encode(np.zeros(3, np.int64), 28, 2),
    "encode with too many bits": lambda: native.encode(np.zeros(3), 128, 2),
    "encode into three limbs": lambda: native.encode(np.zeros(3), 28, 3),
    "decode with too many bits": lambda: native.decode(A, 128),
    "integers that are floats": lambda: native.from_ints([1.0], 2),
    "integers that are a float array": lambda: native.from_ints(np.zeros(3), 2),
    "too many planes": lambda: native.to_bitplanes(A, 129),
    "planes of a matrix": lambda: native.to_bitplanes(M, 5),
    "planes of another length": lambda: native.from_bitplanes(np.zeros((5, 2), np.uint64), 64, 2),
    "more planes than bits": lambda: native.from_bitplanes(np.zeros((129, 1), np.uint64), 64, 2),
    "negative count": lambda: native.from_bitplanes(np.zeros((5, 0), np.uint64), -1, 2),
    "bits of another length": lambda: native.bits_to_ring(np.zeros(2, np.uint64), 64, 2),
    "and of other words": lambda: native.and_shares(A, A, A.astype(np.uint32), A),
    "and of shapes that do not broadcast": lambda: native.and_shares(A, A, B, B),
    "names of no column": lambda: native.row_names([], 0),
    "names of columns of two lengths": lambda: native.row_names([np.zeros(3), np.zeros(4)], 0),
    "names of integers": lambda: native.row_names([np.zeros(3, np.int64)], 0),
    "names that begin beyond a word": lambda: native.row_names([np.zeros(3)], 1 << 64),
    "cells of another shape": lambda: native.row_set_add(np.zeros((4, 256, 2), np.uint64), KEY, A[:, 0]),
    "cells that cannot change": lambda: native.row_set_add(np.broadcast_to(np.uint64(0), (4, 256, 4)), KEY, A[:, 0]),
    "halves of two lengths": lambda: native.row_set_add(np.zeros((4, 256, 4), np.uint64), KEY, A[:, 0], A[:2, 0]),
    "a row set under a short key": lambda: native.row_set_add(np.zeros((4, 256, 4), np.uint64), KEY[:15], A[:, 0]),
    "short key": lambda: native.aes_ctr(KEY[:15], 0, 16),
    "key of another type": lambda: native.aes_ctr(np.zeros(16, np.uint8), 0, 16),
    "negative length": lambda: native.aes_ctr(KEY, 0, -1),
    "blocks of another size": lambda: native.aes_ecb(KEY, np.zeros((2, 15), np.uint8)),
    "blocks of another type": lambda: native.aes_ecb(KEY, np.zeros((2, 16), np.int8)),
}


@pytest.mark.parametrize("case", MISUSE)
def test_misuse_is_refused(case: str) -> None:
    with pytest.raises(KernelInputError):
        MISUSE[case]()


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k != "UNSEEN_FORCE_ISA"}
    return subprocess.run([sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", native.isas())
def test_environment_picks_the_instruction_set(name: str) -> None:
    done = run("import native; print(native.isa())", UNSEEN_FORCE_ISA=name)
    assert done.stdout.strip() == name


def test_fastest_is_the_default() -> None:
    assert run("import native; print(native.isa())").stdout.strip() == native.isas()[0]
    assert native.isas()[-1] == "portable"


def test_unknown_instruction_set_says_what_there_is() -> None:
    done = run("import native", UNSEEN_FORCE_ISA="sse1")
    assert done.returncode != 0
    assert "KernelInputError" in done.stderr
    assert all(name in done.stderr for name in native.isas())


def test_select_refuses_and_changes_nothing() -> None:
    before = native.isa()
    with pytest.raises(KernelInputError):
        _load.select("nothing")
    assert native.isa() == before


def test_missing_extension_says_so_at_the_first_kernel() -> None:
    done = run(
        "import sys; sys.modules['native._kernels'] = None\n"
        "import native, numpy as np\n"
        "from native.errors import KernelsNotBuilt\n"
        "calls = [native.isa, lambda: native.add(np.zeros((1, 2), np.uint64), np.zeros((1, 2), np.uint64)),\n"
        "         lambda: native.aes_ctr(bytes(16), 0, 1)]\n"
        "for call in calls:\n"
        "    try:\n"
        "        call()\n"
        "    except KernelsNotBuilt as error:\n"
        "        print(error)\n"
    )
    assert done.stdout.count("make kernels") == 3, done.stderr


def test_public_names() -> None:
    assert native.__all__ == sorted(native.__all__)
    assert set(native.__all__) == {
        *("KernelInputError", "KernelsNotBuilt", "isa", "isas"),
        *("add", "add_streams", "sub", "neg", "mul", "mul_shares", "matmul", "matmul_shares", "gram", "gram_shares"),
        *("shift_left", "shift_right", "shift_right_signed", "truncation_mask", "truncation_message", "truncation_finish"),
        *("encode", "decode", "from_ints", "to_ints", "widen", "narrow"),
        *("to_bitplanes", "from_bitplanes", "bits_to_ring", "and_shares", "aes_ctr", "aes_ecb"),
        *("row_names", "row_set_add", "combine"),
        *("split_private", "split_help", "split_common"),
    }
