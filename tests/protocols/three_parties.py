"""One program on both engines: three parties in threads, and in the clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import native
from protocols import sums
from protocols.engine import Declared, Engine, Secret
from protocols.plaintext import Plaintext
from protocols.replicated.engine import Replicated
from protocols.replicated.sharing import reconstruct
from protocols.session import Session
from protocols.simulation import Outcome, Simulation

Program = Callable[[Engine], Mapping[str, Secret]]
Contributions = Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True)
class Opened:
    """A released value as exact integers, with its public labels."""

    ints: np.ndarray
    limbs: int
    frac: int
    bound: int

    @property
    def labels(self) -> tuple[int, int, int]:
        return self.limbs, self.frac, self.bound


def in_the_clear(program: Program, contributions: Contributions | None = None) -> tuple[dict[str, Opened], Plaintext]:
    mpc = Plaintext()
    for values in (contributions or {}).values():
        mpc.contribute(values)
    released = {name: _opened(x, x.data.value) for name, x in program(mpc).items()}
    return released, mpc


def on_shares(
    program: Program,
    contributions: Contributions | None = None,
    declared: Sequence[Declared] = (),
    members: int = 3,
    **options: Any,
) -> tuple[dict[str, Opened], Outcome]:
    contributions = contributions or {}

    def member(session: Session) -> dict[str, tuple[Secret, np.ndarray]] | None:
        if not session.computes:
            sums.contribute(session, declared, contributions[session.me])
            return None
        mpc = Replicated(session)
        if session.holds_data:
            mpc.contribute(contributions[session.me])
        return {name: (x, mpc.release_share(x)) for name, x in program(mpc).items()}

    outcome = Simulation(members, tuple(contributions), **options).run(member)
    names = outcome.results[0]
    parties = [outcome.results[i] for i in range(3)]
    return {name: _opened(names[name][0], reconstruct(tuple(p[name][1] for p in parties))) for name in names}, outcome


def _opened(x: Secret, elements: np.ndarray) -> Opened:
    assert x.shape == elements.shape[:-1]
    assert x.limbs == elements.shape[-1]
    ints = native.to_ints(elements)
    assert max((abs(v) for v in np.ravel(ints)), default=0) <= x.bound, "the declared bound is broken"
    return Opened(ints, x.limbs, x.frac, x.bound)


def largest_difference(a: np.ndarray, b: Any) -> Any:
    return max((abs(d) for d in np.ravel(a - b)), default=0)
