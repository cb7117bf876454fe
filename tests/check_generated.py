"""The generated code in engine/wire is what the .proto files give: regenerate and compare."""

import os
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where the plugins of protoc are
    protos = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        include = str(files("grpc_tools") / "_proto")
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
        if protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{include}", *outputs, *protos]) != 0:
            return 1
        made = {p.relative_to(folder): p.read_bytes() for p in Path(folder).rglob("*_pb2*.py*")}
    differing = [str(name) for name, data in made.items() if (ROOT / name).read_bytes() != data]
    if differing:
        print("regenerate with `make proto`:", *differing, sep="\n  ")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
