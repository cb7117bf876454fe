from collections.abc import Iterator

import pytest
from hypothesis import settings

import native
from native import _load

settings.register_profile("kernels", deadline=None)  # time is measured in benchmarks/, not here
settings.load_profile("kernels")


@pytest.fixture(scope="module", params=native.isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs every test of a module once on each instruction set of this machine."""
    before = native.isa()
    _load.select(request.param)
    yield request.param
    _load.select(before)


@pytest.fixture(params=[2, 4], ids=["Z_2^128", "Z_2^256"])
def limbs(request: pytest.FixtureRequest) -> int:
    return int(request.param)
