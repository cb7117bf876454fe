"""Describes the extension native._kernels to cffi; setup.py runs it. kernels.h is the one list of what Python can call."""

from pathlib import Path

from cffi import FFI

HERE = Path("native/src")  # relative, as setuptools wants it: builds run from the folder of setup.py
SOURCES = sorted(str(path) for path in HERE.glob("*.c"))
HEADERS = sorted(str(path) for path in HERE.glob("*.h"))
COMPILE_ARGS = ["-O3", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra"]


def declarations() -> str:
    """The part of kernels.h that cffi reads."""
    text = (HERE / "kernels.h").read_text(encoding="utf-8")
    return text.split("/* cffi: begin */")[1].split("/* cffi: end */")[0]


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "native._kernels",
    '#include "kernels.h"',
    sources=SOURCES,
    depends=HEADERS,
    include_dirs=[str(HERE)],
    extra_compile_args=COMPILE_ARGS,
    define_macros=[("Py_LIMITED_API", "0x030b0000")],
    py_limited_api=True,
)
