"""One session of a job, from the hospital's rows to re-randomised shares of the declared outputs.

Every party runs `run`, in a worker thread, on the same public things; what each does depends on its roles. A hospital streams its
rows (LOCAL) and contributes the sums the stage declares (SHARE), and rows, where it declares any, padded to its band. A compute
party adds the sums up, puts the rows of all hospitals together and computes (JOINT). What opens to the parties passes `_open`,
declared names only, in this order:

    refused   1 bit    after every contribution, before anything else: did a disclosure rule fail, is a total out of range
    stops     1 bit    each the stage declares: is the answer not determined; a job that stops opens no outputs
    controls  1 bit    each the stage declares: how the job goes on
    opened    arrays   each the stage declares, in `steps` mode only

The outputs themselves are opened to nobody here: each compute party returns its re-randomised shares, which the daemon stores
and hands to the researcher.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import native
from engine.analyses.base import Analysis, Output, Stage, State, Step
from engine.data.row_sets import RowSetDigest
from engine.data.rows import Batch, DataSource, Query, Rows
from engine.errors import ConfigError, DataChanged, DataError, NotEstimable
from engine.party import gate, ledger
from engine.party.ciphers import Ciphers
from engine.party.gate import GatePolicy
from engine.party.ledger import Comparison, EarlierRowSet
from native.errors import UnseenError
from protocols import sums
from protocols.engine import Declared, Engine, Secret
from protocols.errors import MisuseError, PeerMisbehaved, ValueRangeError
from protocols.replicated import rows
from protocols.replicated.engine import Replicated
from protocols.session import COMPUTE, Expect, Meter, Session

OUTGROWN = "this hospital's table has more rows than the charter declares for it; agree on a new charter"
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
    never_charged: Collection[str] = ()  # jobs whose answers, as this hospital knows, nobody has
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
    data_error: UnseenError | None = None  # why this hospital's own data made the gate refuse; for its operator only
    out_of_bounds: bool = False  # more than 5 % of this hospital's rows are, and it refuses; for its operator only
    lost_digest: bool = False  # this hospital lacks the digest of an earlier answer and refuses; for its operator only
    converted: int = 0  # sums that came out of ciphertexts
    local_seconds: float = 0.0
    joint_seconds: float = 0.0  # from the hospitals' contributions to the end of the stage, waiting for peers included
    meter: Meter = field(default_factory=Meter)


def run(session: Session, work: Work) -> Outcome:
    """Take part in one session. Raises ProtocolError when a peer is lost or misbehaves, DataError at the hospital concerned."""
    return _Run(session, work).run()


class _Run:
    def __init__(self, session: Session, work: Work) -> None:
        self.session, self.work = session, work
        self.analysis, self.plan = work.analysis, work.analysis.plan
        self.mpc: Replicated | None = Replicated(session) if session.computes else None
        self.digests = [RowSetDigest(work.digest_key) for _ in self.plan.row_sets] if session.holds_data else []
        self.outcome = Outcome(stop=None, meter=session.meter)
        self.counts: dict[str, Secret] = {}  # the gate's own outputs
        self.ciphers = Ciphers(session, self.plan.rows_log2, work.alive)
        self.kept: list[Batch] = []  # rows of the first pass, where hospitals compute on them again and again

    def run(self) -> Outcome:
        if self.plan.opened and not self.work.steps:
            raise MisuseError("this question opens coefficients to the parties, which was not agreed to")
        where = None if self.work.where is None else self.work.where.canonical()
        mine = ledger.concerning(self.plan.row_sets, self.work.earlier, where) if self.session.holds_data else {}
        comparisons = ledger.agree(self.session, mine)
        self.outcome.lost_digest = ledger.lost(comparisons, mine, self.work.never_charged)
        guard = gate.declared(self.plan, comparisons=len(comparisons))
        state = self.analysis.start()
        while self.outcome.stages < self.plan.max_stages:
            stage = self.analysis.stage(state)
            if not set(stage.controls) <= set(self.plan.controls) or (stage.rows and not self.plan.shares_rows):
                raise MisuseError("a stage shares rows or opens control bits that the plan does not declare")
            first = self.outcome.stages == 0
            self.work.progress(f"{stage.name} {state.iteration}" if state.iteration else stage.name)
            declared = (*guard, *stage.contributed) if first else stage.contributed
            values = self._local(stage, state, first, declared, [mine.get(name) for name in comparisons])
            totals = self._share(declared, values) if declared else {}
            self.outcome.stages += 1
            began = time.perf_counter()
            opened, hidden = self._joint(stage, state, totals, values, len(comparisons))
            self.outcome.joint_seconds += time.perf_counter() - began
            if self.outcome.stop or stage.outputs:
                return self.outcome
            try:
                state = self.analysis.advance(state, opened, hidden)
            except NotEstimable:  # public: the opened steps do not converge, which all parties see alike
                self._stopped("separated")
                return self.outcome
        raise MisuseError("the analysis did not end within the stages it declared")

    def _joint(
        self, stage: Stage, state: State, totals: dict[str, Secret], values: dict[str, Any] | None, comparisons: int
    ) -> tuple[dict[str, np.ndarray], Any]:
        """From totals to what the stage opens: first whether a rule is broken, then the stops, then what was declared.

        Rows are shared when no rule is broken, and not before.
        """
        contributes = self.outcome.stages == 1 or stage.contributed
        if contributes and self._bit(REFUSED, self._refusal(totals, comparisons)):
            return self._stopped("refused")
        shared = self._share_rows(stage, values) | self._encrypted(stage, state)
        step = self.analysis.joint(self.mpc, totals | shared, state) if self.mpc else None
        if step is not None:
            gate.check_declared(stage, step)
        for name in stage.stops:
            if self._bit(_flag(name), step.stops[name] if step else None):
                return self._stopped(name)
        controls = {name: np.array(self._bit(_flag(name), step.controls[name] if step else None)) for name in stage.controls}
        opened = {output.name: self._open(output, step.opened[output.name] if step else None) for output in stage.opened}
        self.outcome.public.update(opened)
        opened |= controls
        if stage.outputs and step is not None and self.mpc is not None:
            self._release(stage, step)
        return opened, step.hidden if step else None

    def _refusal(self, totals: dict[str, Secret], comparisons: int) -> Secret | None:
        """All rules after the first contribution; after later ones, whether their totals keep within their bounds."""
        if self.mpc is None:
            return None
        if self.outcome.stages > 1:
            return gate.out_of_range(self.mpc, totals)
        refuse, self.counts = gate.check(self.mpc, totals, self.plan, self.work.policy, comparisons)
        return refuse

    # -- LOCAL and SHARE ------------------------------------------------------------------------------------------------

    def _local(
        self, stage: Stage, state: State, first: bool, declared: Sequence[Declared], comparisons: Sequence[Comparison | None]
    ) -> dict[str, Any] | None:
        """One pass over this hospital's rows: the stage's statistics and, in the first pass, the gate's counts.

        Data that cannot be read make a contribution that the gate refuses: nobody can tell it from any other refusal.
        """
        if not self.session.holds_data or not (declared or stage.rows):
            return None
        began = time.perf_counter()
        mine = self._rows_declared(stage).get(self.session.me, ())
        try:
            with self.work.alive():
                values = self._first_pass(state, comparisons) if first else dict(self.analysis.local(self._again(), state))
                values |= {each.name: padded(values[each.name], each) for each in mine}
            for each in (*declared, *mine):
                sums.require_within(each, values[each.name])
            return values
        except (DataError, ConfigError, ValueRangeError) as error:
            if not first:
                raise DataChanged("this hospital's data changed while they were read") from error
            self.outcome.data_error = error
            return gate.refusing(declared) | {each.name: np.zeros(each.shape, dtype=np.int64) for each in mine}
        finally:
            self.outcome.local_seconds += time.perf_counter() - began

    def _first_pass(self, state: State, comparisons: Sequence[Comparison | None]) -> dict[str, Any]:
        stream, counter = self._rows(), gate.Counter(self.plan)
        observed = self._keeping(self._observed(counter.watch(stream), self.digests))
        values = dict(self.analysis.local(Rows(observed, stream.counts), state))
        self.outcome.row_sets = {row_set.name: d.to_bytes() for row_set, d in zip(self.plan.row_sets, self.digests, strict=True)}
        counted = counter.values(stream.counts, self._differences(comparisons))
        self.outcome.out_of_bounds = gate.too_many_out_of_bounds(stream.counts)
        counted["gate.counts"][gate.COUNTS.index("refusals")] += self.outcome.lost_digest
        return values | counted

    def _rows(self) -> Rows:
        assert self.work.source is not None
        return self.work.source.rows(Query(self.plan.columns, self.plan.listwise, self.work.where))

    def _keeping(self, stream: Iterator[Batch]) -> Iterator[Batch]:
        """The same stream; where it will be computed on again, its batches stay. Raises DataError for more rows than declared."""
        rows = 0
        for batch in stream:
            if self.plan.encrypted:
                self.kept.append(Batch(batch.frame, batch.persons, batch.identities, batch.row_identities))
                rows += len(batch)
                if rows > self._band():
                    raise DataError(OUTGROWN)
            yield batch

    def _again(self) -> Rows:
        """The rows of the first pass once more. Raises DataError, at the end of the stream, when they are others."""
        stream = self._rows()

        def compared() -> Iterator[Batch]:
            digests = [RowSetDigest(self.work.digest_key) for _ in self.plan.row_sets]
            yield from self._observed(stream, digests)
            if [digest.to_bytes() for digest in digests] != [digest.to_bytes() for digest in self.digests]:
                raise DataChanged("this hospital's data changed while they were read")

        return Rows(compared(), stream.counts)

    def _observed(self, stream: Rows, digests: Sequence[RowSetDigest]) -> Iterator[Batch]:
        """The same stream, entered into digests of the row sets on its way."""
        for batch in stream:
            ledger.enter(batch, self.plan.row_sets, digests)
            yield batch

    def _differences(self, comparisons: Sequence[Comparison | None]) -> list[int]:
        """People (at most ten) for each agreed comparison; 0 where this hospital has no digest (see `lost`)."""
        earlier: dict[EarlierRowSet, RowSetDigest] = {}
        found = []
        for comparison in comparisons:
            if comparison is None:
                found.append(0)
                continue
            entry = comparison.earlier
            if entry not in earlier:
                earlier[entry] = RowSetDigest.from_bytes(self.work.digest_key, entry.digest)
            found.append(self.digests[comparison.row_set].difference(earlier[entry], limit=ledger.LIMIT))
        return found

    def _share(self, declared: Sequence[Declared], values: dict[str, Any] | None) -> dict[str, Secret]:
        mine = None if values is None else {each.name: values[each.name] for each in declared}
        if self.mpc is None:
            sums.contribute(self.session, declared, mine or {})
            return {}
        if mine is not None:
            self.mpc.contribute(mine)
        return self.mpc.totals(declared)

    def _rows_declared(self, stage: Stage) -> dict[int, tuple[Declared, ...]]:
        """What each hospital shares row by row in this stage: as many rows as its band."""
        if not stage.rows:
            return {}
        bands = zip(self.session.hospitals, self.plan.bands, strict=True)
        return {hospital: banded(stage.rows, band) for hospital, band in bands}

    def _share_rows(self, stage: Stage, values: dict[str, Any] | None) -> dict[str, Secret]:
        """The rows of all hospitals, one after another, by name."""
        plan = self._rows_declared(stage)
        if not plan:
            return {}
        mine = None if values is None else {each.name: values[each.name] for each in plan[self.session.me]}
        if self.mpc is None:
            rows.contribute(self.session, plan, mine)
            return {}
        if mine is not None:
            self.mpc.contribute(mine)
        return joined(self.mpc, self.mpc.rows(plan))

    def _encrypted(self, stage: Stage, state: State) -> dict[str, Secret]:
        """What hospitals add up on ciphertexts, by name, at the compute parties."""
        if stage.encrypted is None:
            return {}
        rows, declared = (lambda: Rows(iter(self.kept)), self._band()) if self.session.holds_data else (None, 0)
        self.outcome.converted += sum(stage.encrypted.counts.values())
        return self.ciphers.totals(self.analysis, stage.encrypted, state, self.mpc, rows, declared)

    def _band(self) -> int:
        """The rows that the charter declares for this hospital's table."""
        return self.plan.bands[self.session.hospitals.index(self.session.me)] if self.plan.bands else 0

    # -- openings -----------------------------------------------------------------------------------------------------------

    def _bit(self, output: Output, secret: Secret | None) -> bool:
        value = self._open(output, secret)
        if value not in (0, 1):
            raise PeerMisbehaved("a control bit opened to something that is no bit")
        return bool(value)

    def _open(self, output: Output, secret: Secret | None) -> np.ndarray:
        """Open one declared value to all parties: each compute party sends everybody its re-randomised share. One round."""
        me, everyone = self.session.me, range(len(self.session.members))
        mine = None
        if secret is not None and self.mpc is not None:
            mine = gate.release(self.mpc, [output], {output.name: secret})[output.name]
        expect = Expect(np.dtype("<u8"), (*output.shape, output.limbs))
        received = self.session.exchange(
            f"open:{output.name}",
            {peer: mine for peer in everyone if peer != me} if mine is not None else {},
            {peer: expect for peer in COMPUTE if peer != me},
        )
        self.outcome.opened.append(output.name)
        shares = list(received.values()) + ([mine] if mine is not None else [])
        return reconstruct(shares, output.frac)

    def _stopped(self, name: str) -> tuple[dict[str, np.ndarray], Any]:
        self.outcome.stop = name
        self.outcome.row_sets = {}
        return {}, None

    def _release(self, stage: Stage, step: Step) -> None:
        """My shares of the declared outputs and the gate's own counts. They go to the researcher, and to nobody else."""
        assert self.mpc is not None
        outputs = (*gate.OUTPUTS, *stage.outputs)
        shares = gate.release(self.mpc, outputs, {**self.counts, **step.outputs})
        self.outcome.shares = {output.name: ReleasedShare(shares[output.name], output.frac) for output in outputs}


def banded(declared: Sequence[Declared], band: int) -> tuple[Declared, ...]:
    """The arrays of one hospital, from what is declared of one row."""
    return tuple(replace(each, shape=(band, *each.shape)) for each in declared)


def padded(values: Any, each: Declared) -> np.ndarray:
    """The hospital's rows with rows of zeros behind them. Raises DataError when its table has outgrown its band."""
    if len(values) > each.shape[0]:
        raise DataError(OUTGROWN)
    out = np.zeros(each.shape, dtype=values.dtype)
    out[: len(values)] = values
    return out


def joined(mpc: Engine, shared: Mapping[int, Mapping[str, Secret]]) -> dict[str, Secret]:
    """{hospital: {name: its rows}} as {name: all rows}."""
    names = next(iter(shared.values()))
    return {name: mpc.concat([of_one[name] for of_one in shared.values()]) for name in names}


def _flag(name: str) -> Output:
    return Output(name, (), "flag", frac=0)


def reconstruct(shares: Sequence[np.ndarray], frac: int) -> np.ndarray:
    """The value behind all three additive shares: int64 for frac = 0, float64 otherwise."""
    total = shares[0]
    for share in shares[1:]:
        total = native.add(total, share)
    if frac:
        return native.decode(total, frac)
    return native.to_ints(total).astype(np.int64)
