"""Every kernel under AddressSanitizer and UBSan, and under Valgrind with uninitialised memory in the place of secrets."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import native

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "native" / "src"
DRIVERS = sorted(Path(__file__).parent.glob("driver*.c"))
COMPILER = shutil.which("gcc") or shutil.which("clang")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")


def build(folder: Path, *flags: str) -> Path:
    """The driver with all kernels, or a skip when these flags do not link here."""
    program = folder / "driver"
    files = [*map(str, DRIVERS), *map(str, sorted(SOURCES.glob("*.c")))]
    command = [str(COMPILER), "-std=c11", "-g", *flags, f"-I{SOURCES}", *files, "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1]
        if "asan" in done.stderr or "ubsan" in done.stderr:
            pytest.skip(f"no sanitizer libraries: {reason}")
        pytest.fail(reason)
    return program


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_driver_calls_every_kernel() -> None:
    names = re.findall(r"^[a-z]\S*(?: char)? \*?(\w+)\(", contracts(), re.MULTILINE)
    assert len(names) > 25
    calls = "".join(driver.read_text(encoding="utf-8") for driver in DRIVERS)
    assert [name for name in names if f"{name}(" not in calls] == []


def contracts() -> str:
    """The declarations of every header that has some for Python."""
    headers = [path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("*.h"))]
    return "".join(text.split("/* cffi: begin */")[1] for text in headers if "/* cffi: begin */" in text)


@pytest.fixture(scope="module")
def sanitized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    flags = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
    return build(tmp_path_factory.mktemp("sanitized"), *flags)


@pytest.mark.parametrize("name", native.isas())
def test_no_access_out_of_bounds_and_no_undefined_behaviour(sanitized: Path, name: str) -> None:
    done = run(str(sanitized), name)
    assert done.returncode == 0, done.stderr[-3000:]


def test_sanitizer_would_complain(sanitized: Path) -> None:
    assert "heap-buffer-overflow" in run(str(sanitized), "portable", "overflow").stderr


@pytest.fixture(scope="module")
def as_shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("valgrind") is None:
        pytest.skip("no valgrind")
    flags = [flag for flag in shipped_flags() if not flag.startswith("-std")]
    return build(tmp_path_factory.mktemp("shipped"), *flags)


def shipped_flags() -> list[str]:
    """COMPILE_ARGS of the extension, so that the very code that runs is the code that is checked."""
    text = (SOURCES / "build_kernels.py").read_text(encoding="utf-8")
    match = re.search(r"^COMPILE_ARGS = (\[.*\])$", text, re.MULTILINE)
    assert match
    return re.findall(r'"([^"]+)"', match[1])


# Valgrind does not know AVX-512.
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in native.isas() if name != "avx512ifma"])
def test_no_branch_and_no_address_depends_on_a_secret(as_shipped: Path, name: str) -> None:
    done = run("valgrind", "--quiet", "--error-exitcode=9", str(as_shipped), name)
    if done.returncode == 2:
        pytest.skip(f"valgrind does not offer {name}")
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_valgrind_would_complain(as_shipped: Path) -> None:
    done = run("valgrind", "--quiet", "--error-exitcode=9", str(as_shipped), "portable", "branch")
    assert done.returncode == 9
    assert "uninitialised" in done.stderr
