"""One session of a job, from the hospital's rows to re-randomised shares of the declared outputs.

Every party runs `run`, in a worker thread, on the same public things; what each does depends on its roles. A hospital streams its rows
(LOCAL) and contributes the sums the stage declares (SHARE). A compute party adds them up and computes (JOINT). All the gate's
openings pass `_open`, which opens declared names only, to all parties, in this order:

    refused   1 bit    after the first contribution, before anything else: did a disclosure rule fail
    stops     1 bit    each the stage declares: is the answer not determined; a job that stops opens no outputs
    opened    arrays   each the stage declares, in `steps` mode only

The outputs themselves are opened to nobody here: each compute party returns its re-randomised shares, which the daemon stores
and hands to the researcher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import native
from engine.analyses.base import Analysis, Output, Stage, State, Step
from engine.data.row_sets import RowSetDigest
from engine.data.rows import DataSource, Query, Rows
from engine.party import gate, ledger
from engine.party.gate import GatePolicy
from engine.party.ledger import Comparison, EarlierRowSet
from protocols import sums
from protocols.engine import Declared, Engine, Secret
from protocols.errors import MisuseError, PeerMisbehaved
from protocols.replicated.engine import Replicated
from protocols.session import COMPUTE, Expect, Meter, Session

REFUSED = Output("refused", (), "flag", frac=0)


@dataclass(frozen=True)
class Work:
    """What a party needs to take part in a session, besides the session itself."""

    analysis: Analysis
    policy: GatePolicy
    where: Any = None  # engine.cohort.Condition | None
    steps: bool = False  # the spec, the charter and this party's policy allow opening coefficients to the parties
    source: DataSource | None = None  # None at a party without data
    digest_key: bytes = b""  # the hospital's key for row-set digests
    earlier: Sequence[EarlierRowSet] = ()
    progress: Callable[[str], None] = lambda stage: None  # thread-safe; public facts of the plan only
    alive: Callable[[], AbstractContextManager[Any]] = nullcontext  # entered while LOCAL runs: sends heartbeats


@dataclass(frozen=True)
class ReleasedShare:
    """This compute party's re-randomised additive share of one output."""

    shares: np.ndarray
    frac: int


@dataclass
class Outcome:
    """How the session ended. `stop` is None for a release, "refused", or a key of STOPS."""

    stop: str | None
    shares: dict[str, ReleasedShare] = field(default_factory=dict)
    public: dict[str, np.ndarray] = field(default_factory=dict)
    row_sets: dict[tuple[str, ...], bytes] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    stages: int = 0
    meter: Meter = field(default_factory=Meter)


def run(session: Session, work: Work) -> Outcome:
    """Take part in one session. Raises ProtocolError when a peer is lost or misbehaves, DataError at the hospital concerned."""
    return _Run(session, work).run()


class _Run:
    def __init__(self, session: Session, work: Work) -> None:
        self.session, self.work = session, work
        self.analysis, self.plan = work.analysis, work.analysis.plan
        self.mpc: Engine | None = Replicated(session) if session.computes else None
        self.digests = [RowSetDigest(work.digest_key) for _ in self.plan.row_sets] if session.holds_data else []
        self.outcome = Outcome(stop=None, meter=session.meter)

    def run(self) -> Outcome:
        if self.plan.opened and not self.work.steps:
            raise MisuseError("this question opens coefficients to the parties, which was not agreed to")
        mine = ledger.concerning(self.plan.row_sets, self.work.earlier) if self.session.holds_data else {}
        comparisons = ledger.agree(self.session, mine)
        guard = gate.declared(self.plan, comparisons=len(comparisons))
        state, hidden = self.analysis.start(), None
        while True:
            stage = self.analysis.stage(state)
            first = self.outcome.stages == 0
            self.work.progress(f"{stage.name}" if not state.iteration else f"{stage.name} {state.iteration}")
            values = self._local(state, stage, first, [mine.get(name) for name in comparisons])
            totals = self._share((*guard, *stage.contributed) if first else stage.contributed, values)
            self.outcome.stages += 1
            masked: Mapping[str, Secret] = {}
            if first:
                refuse, masked = gate.check(self.mpc, totals, self.plan, self.work.policy, len(comparisons)) if self.mpc else (None, {})
                if self._bit(REFUSED, refuse):
                    return self._stopped("refused")
                self.masked = masked
            step = self.analysis.joint(self.mpc, totals, _with(state, hidden)) if self.mpc else None
            opened = self._open_declared(stage, step)
            if self.outcome.stop:
                return self.outcome
            if stage.outputs:
                return self._release(stage, step)
            hidden = step.hidden if step else None
            state = self.analysis.advance(state, opened, hidden)
            if self.outcome.stages >= self.plan.max_stages:
                raise MisuseError("the analysis did not end within the stages it declared")

    # -- LOCAL and SHARE ------------------------------------------------------------------------------------------------

    def _local(self, state: State, stage: Stage, first: bool, comparisons: Sequence[Comparison | None]) -> dict[str, Any] | None:
        """One pass over this hospital's rows: the stage's statistics and, in the first pass, the gate's counts."""
        if not self.session.holds_data:
            return None
        assert self.work.source is not None
        with self.work.alive():
            rows = self.work.source.rows(Query(self.plan.columns, self.plan.listwise, self.work.where))
            if not first:
                return dict(self.analysis.local(rows, state))
            counter = gate.Counter(self.plan)
            values = dict(self.analysis.local(Rows(self._observed(rows, counter), rows.counts), state))
            self.outcome.row_sets = {columns: d.to_bytes() for columns, d in zip(self.plan.row_sets, self.digests, strict=True)}
            differences = [self._difference(comparison) for comparison in comparisons]
            return values | counter.values(rows.counts, differences)

    def _observed(self, rows: Rows, counter: gate.Counter) -> Any:
        for batch in rows:
            counter.add(batch)
            for columns, row_set in zip(self.plan.row_sets, self.digests, strict=True):
                present = batch.frame[list(columns)].notna().all(axis=1).to_numpy()
                row_set.update(batch.identities[present])
            yield batch

    def _difference(self, comparison: Comparison | None) -> int:
        if comparison is None:
            return 0
        earlier = RowSetDigest.from_bytes(self.work.digest_key, comparison.earlier.digest)
        return self.digests[comparison.row_set].difference(earlier, limit=ledger.LIMIT)

    def _share(self, declared: Sequence[Declared], values: dict[str, Any] | None) -> dict[str, Secret]:
        if self.mpc is not None:
            return self.mpc.totals(declared, values)
        sums.contribute(self.session, declared, values)
        return {}

    # -- openings -----------------------------------------------------------------------------------------------------------

    def _open_declared(self, stage: Stage, step: Step | None) -> dict[str, np.ndarray]:
        """Stop bits, then what `steps` mode shows the parties. Stops at the first stop bit that is set."""
        if step is not None:
            gate.check_declared(stage, step)
        for name in stage.stops:
            if self._bit(Output(name, (), "flag", frac=0), step.stops[name] if step else None):
                self._stopped(name)
                return {}
        opened = {output.name: self._open(output, step.opened[output.name] if step else None) for output in stage.opened}
        self.outcome.public.update(opened)
        return opened

    def _bit(self, output: Output, secret: Secret | None) -> bool:
        value = self._open(output, secret)
        if value not in (0, 1):
            raise PeerMisbehaved("a control bit opened to something that is no bit")
        return bool(value)

    def _open(self, output: Output, secret: Secret | None) -> np.ndarray:
        """Open one declared value to all parties: each compute party sends everybody its re-randomised share. One round."""
        me, everyone = self.session.me, range(len(self.session.members))
        mine = None if secret is None or self.mpc is None else self.mpc.release_share(secret)
        expect = Expect(np.dtype("<u8"), (*output.shape, output.limbs))
        received = self.session.exchange(
            f"open:{output.name}",
            {peer: mine for peer in everyone if peer != me} if mine is not None else {},
            {peer: expect for peer in COMPUTE if peer != me},
        )
        self.outcome.opened.append(output.name)
        shares = list(received.values()) + ([mine] if mine is not None else [])
        return reconstruct(shares, output.frac)

    def _stopped(self, name: str) -> Outcome:
        self.outcome.stop = name
        self.outcome.row_sets = {}
        return self.outcome

    def _release(self, stage: Stage, step: Step | None) -> Outcome:
        if step is not None and self.mpc is not None:
            values = {**self.masked, **step.outputs}
            self.outcome.shares = {name: ReleasedShare(self.mpc.release_share(value), value.frac) for name, value in values.items()}
        return self.outcome


def reconstruct(shares: Sequence[np.ndarray], frac: int) -> np.ndarray:
    """The value behind all three additive shares: int64 for frac = 0, float64 otherwise."""
    total = shares[0]
    for share in shares[1:]:
        total = native.add(total, share)
    if frac:
        return native.decode(total, frac)
    return native.to_ints(total).astype(np.int64)


def _with(state: State, hidden: Any) -> State:
    return State(state.stage, state.iteration, state.public, hidden)
