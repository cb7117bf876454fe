"""The encrypted part of a stage: coefficients to the hospitals as ciphertexts, their sums back as shares.

Keys are made when the first such stage begins, after the gate has spoken; they last for the session and are nowhere but in
memory. What a hospital has published under them is in its share book. Sizes of messages follow from the plan; how long a
hospital computes shows how many blocks of rows it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np

from engine.analyses.base import EncryptedSums, State
from engine.analyses.one_shot import GAMMA_LIMIT
from engine.data.rows import Rows
from protocols.ckks.context import context_of
from protocols.ckks.multiparty import conversion, keys
from protocols.ckks.multiparty.rows import NUMBERS_FRAC, EncryptedRows, SumsPlan
from protocols.ckks.multiparty.unwrap import centred
from protocols.ckks.parameters import N32768
from protocols.engine import Declared, Engine, Secret
from protocols.rowwise import ClearRows, Weighted
from protocols.session import Session

BOUND = 8 * GAMMA_LIMIT  # of a coefficient of the scaled columns
TYPICAL = 64.0  # of a coefficient: what error estimates assume; a larger one is as much noisier
AT_ONCE = 128  # sums that are converted together: 64 ciphertexts of half a MiB, and several times that to convert them
PRESET = N32768
MASKS = "sums in the clear, modulo q"


def plan_of(sums: EncryptedSums, rows_log2: int, hospitals: int) -> SumsPlan:
    return SumsPlan(PRESET, sums.numbers, rows_log2, hospitals, sums.products)


class Ciphers:
    """One session's keys, and the conversions under them."""

    def __init__(self, session: Session, rows_log2: int, alive: Callable[[], AbstractContextManager[Any]]) -> None:
        self._session, self._rows_log2, self._alive = session, rows_log2, alive
        self._keys: keys.JointKeys | None = None
        self._book: conversion.ShareBook | None = None

    def totals(
        self,
        analysis: Any,
        sums: EncryptedSums,
        state: State,
        mpc: Engine | None,
        rows: Callable[[], Rows] | None,
        least_rows: int,
    ) -> dict[str, Secret]:
        """By name, each S / N of shape (count,), at the compute parties.

        `rows`: the hospital's own, read afresh; it computes as many blocks as `least_rows` ask for, the rows of its whole table.
        """
        session, plan = self._session, plan_of(sums, self._rows_log2, len(self._session.hospitals))
        joint = self._joint_keys(sums.numbers)
        numbers = None if mpc is None else mpc.rescale_up(within(mpc, analysis.encrypts(state)), NUMBERS_FRAC)
        packed = conversion.to_ciphertext(session, joint, numbers, sums.numbers, NUMBERS_FRAC, BOUND, plan.level)
        verbs, weighted, digest = None, {}, b""
        if packed is not None and rows is not None:
            digest = hashlib.sha256(packed.polynomials.data.cast("B")).digest()
            with self._alive():
                verbs = EncryptedRows(plan, joint, conversion.spread(packed, sums.numbers, TYPICAL, joint))
                weighted = analysis.row_wise(rows(), state, verbs, least_rows)
                verbs = EncryptedRows(plan, joint, ())  # sums need the numbers no more, and these are large
        parts: dict[str, list[Secret]] = {name: [] for name in sums.counts}
        for name, which in chunks(sums.counts):
            mine, room = None, sums.rooms.get(name, 0)
            if verbs is not None:
                with self._alive():
                    mine = verbs.sums(weighted[name], which, room)
            count = which.stop - which.start
            scale = 2.0 ** plan.scale_bits(room)
            found = conversion.to_shares(session, joint, self._book, mpc, mine, _pairs(count), scale, "complex", digest)
            if found is not None:
                parts[name].append(found[:count])
        return {} if mpc is None else _named(mpc, parts, plan, sums.rooms)

    def _joint_keys(self, numbers: int) -> keys.JointKeys:
        if self._keys is None:
            with self._alive():
                context = context_of(PRESET)
            self._keys = keys.joint_keys(self._session, context, conversion.elements(numbers))
            self._book = None if self._keys.share is None else conversion.ShareBook(self._keys.share)
        return self._keys


def within(mpc: Engine, numbers: Secret) -> Secret:
    """The numbers where all are within BOUND, compared over the whole ring, else zeros: what follows opens them masked."""
    limit = int(BOUND) << numbers.frac
    inside = mpc.in_range(replace(numbers, frac=0), limit)
    all_inside = 1 - mpc.less_than(mpc.sum(inside), inside.shape[0])
    kept = mpc.mul(numbers, all_inside, frac=numbers.frac)
    return mpc.bounded(kept, limit, "compared, or zero", checked=True)


def chunks(counts: Mapping[str, int]) -> list[tuple[str, slice]]:
    """(name, which of its sums), in the order in which they are converted."""
    found = []
    for name in sorted(counts):
        for start in range(0, counts[name], AT_ONCE):
            found.append((name, slice(start, min(start + AT_ONCE, counts[name]))))
    return found


def _pairs(count: int) -> int:
    """How many ciphertexts hold so many sums."""
    return (count + 1) // 2


def totals_in_clear(mpc: Engine, sums: EncryptedSums, plan: SumsPlan, hospitals: list[dict[str, Weighted]]) -> dict[str, Secret]:
    """The same from float64 sums of every hospital, as conversions would bring them."""
    q = plan.preset.primes[0]
    parts: dict[str, list[Secret]] = {name: [] for name in sums.counts}
    for name, which in chunks(sums.counts):
        count, room = which.stop - which.start, sums.rooms.get(name, 0)
        verbs = ClearRows(np.empty(0), plan.preset.slots)
        for weighted in hospitals:
            found = verbs.sums(weighted[name], which)
            whole = np.zeros(2 * _pairs(count))
            whole[:count] = np.rint(np.ldexp(found, -plan.unit_log2(room)))
            mpc.contribute({MASKS: np.mod(whole, q).astype(np.int64) % q})
        declared = (Declared(MASKS, (2 * _pairs(count),), float(plan.hospitals * (q - 1)), frac=0),)
        masks = mpc.totals(declared)[MASKS]
        converted = centred(mpc, np.zeros(2 * _pairs(count), np.uint64), masks, q, plan.hospitals)
        parts[name].append(converted[:count])
    return _named(mpc, parts, plan, sums.rooms)


def _named(mpc: Engine, parts: Mapping[str, list[Secret]], plan: SumsPlan, rooms: Mapping[str, int]) -> dict[str, Secret]:
    return {name: replace(mpc.concat(each), frac=plan.frac(rooms.get(name, 0))) for name, each in parts.items()}
