"""Finds the C extension and chooses its instruction set.

Importing `native` without the extension works, so that error classes stay reachable; the first use of a kernel raises
KernelsNotBuilt. The environment variable UNSEEN_FORCE_ISA, read once at import, picks a form by name.
"""

from __future__ import annotations

import importlib
import os
from typing import Any, NoReturn

from native.errors import KernelInputError, KernelsNotBuilt


class _Missing:
    """Stands in for the extension: touching any kernel says what to do."""

    def __getattr__(self, name: str) -> NoReturn:
        raise KernelsNotBuilt(
            "the C kernels are not built: run `make kernels` in a checkout (it needs gcc or clang), or reinstall the wheel"
        )


try:
    _kernels: Any = importlib.import_module("native._kernels")
except ImportError:
    ffi: Any = _Missing()
    lib: Any = _Missing()
else:
    ffi, lib = _kernels.ffi, _kernels.lib


def isa() -> str:
    """The instruction set in use: "portable", "avx2" or "avx512ifma"."""
    return str(ffi.string(lib.kernels_isa()).decode())


def isas() -> list[str]:
    """The instruction sets that this build knows and this machine runs, fastest first."""
    names: list[Any] = []
    while (name := lib.kernels_name(len(names))) != ffi.NULL:
        names.append(name)
    return [ffi.string(name).decode() for name in names if lib.kernels_supports(name)]


def select(name: str) -> None:
    """Uses the named form from now on, for tests and measurements. Raises KernelInputError when there is no such form here."""
    if name not in isas() or not lib.kernels_select(name.encode()):
        raise KernelInputError(f"no instruction set {name!r} here; available: {', '.join(isas())}")


if not isinstance(lib, _Missing) and (_forced := os.environ.get("UNSEEN_FORCE_ISA")):
    select(_forced)
