"""Describes the extension native._kernels to cffi; setup.py runs it. kernels.h is the one list of what Python can call."""

from pathlib import Path

from cffi import FFI

HERE = Path("native/src")  # relative, as setuptools wants it: builds run from the folder of setup.py
SOURCES = sorted(str(path) for path in HERE.glob("*.c"))
HEADERS = sorted(str(path) for path in HERE.glob("*.h"))
# what Python can call, in this order
HEADER_CONTRACTS = ("kernels.h", "rns.h", "switching.h", "sampling.h", "packing.h", "embedding.h", "encryption.h")
COMPILE_ARGS = ["-O3", "-std=c11", "-fvisibility=hidden", "-Wall", "-Wextra"]


def declarations() -> str:
    """What cffi reads: the part of each contract between its two markers."""
    texts = [(HERE / name).read_text(encoding="utf-8") for name in HEADER_CONTRACTS]
    return "".join(text.split("/* cffi: begin */")[1].split("/* cffi: end */")[0] for text in texts)


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "native._kernels",
    "".join(f'#include "{name}"\n' for name in HEADER_CONTRACTS),
    sources=SOURCES,
    depends=HEADERS,
    include_dirs=[str(HERE)],
    extra_compile_args=COMPILE_ARGS,
    define_macros=[("Py_LIMITED_API", "0x030b0000")],
    py_limited_api=True,
)
