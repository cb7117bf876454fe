"""What the parties of a session tell each other in public before it begins: the floors each asks for, the data each will read.

The strictest floor of any party holds for all of them, so that all run the same gate. A hospital's snapshot digest, keyed by
itself, goes into every party's receipt: the same question over changed data shows there. Two rounds; sizes depend on the
charter alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.charter import Floors
from engine.party.config import strictest
from protocols.errors import PeerMisbehaved
from protocols.session import Expect, Session

SNAPSHOT_BYTES = 32
_NAMES = ("cohort", "cell", "hospitals", "residual_df", "parameters_share")
_LARGEST = 2.0**40


@dataclass(frozen=True)
class Terms:
    """What holds for one session. The same at every party."""

    floors: Floors
    snapshots: Mapping[str, str]  # hospital -> digest, hex


def agree(session: Session, floors: Floors, snapshot: bytes | None) -> Terms:
    """Exchange terms with all members; `snapshot` is None at a party without data. Raises PeerMisbehaved, PeerLost."""
    others = [peer for peer in range(len(session.members)) if peer != session.me]
    mine = np.array([getattr(floors, name) for name in _NAMES], "<f8")
    theirs = session.exchange("terms-floors", dict.fromkeys(others, mine), {p: Expect(mine.dtype, mine.shape) for p in others})
    digest = None if snapshot is None else np.frombuffer(snapshot, np.uint8)
    expect = Expect(np.dtype(np.uint8), (SNAPSHOT_BYTES,))
    read = session.exchange(
        "terms-snapshot",
        dict.fromkeys(others, digest) if digest is not None else {},
        {p: expect for p in others if p in session.hospitals},
    )
    if digest is not None:
        read[session.me] = digest
    snapshots = {session.members[peer]: bytes(read[peer]).hex() for peer in session.hospitals}
    return Terms(strictest(floors, *map(_floors, theirs.values())), snapshots)


def _floors(values: np.ndarray) -> Floors:
    if not (np.all(np.isfinite(values)) and np.all(values >= 0) and np.all(values <= _LARGEST)):
        raise PeerMisbehaved("a peer's disclosure floors are no floors")
    counts: dict[str, Any] = dict(zip(_NAMES, (int(value) for value in values), strict=True))
    try:
        return Floors(**{**counts, "parameters_share": float(values[-1])})
    except ValueError:
        raise PeerMisbehaved("a peer's disclosure floors are below what any charter allows") from None
