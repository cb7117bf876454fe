"""What a guard looks like and which test misses it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutation:
    """Take `guard` out of `file`; `test` must turn red."""

    name: str
    file: str
    guard: str
    without: str
    test: str
