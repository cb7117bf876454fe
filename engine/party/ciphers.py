"""The encrypted part of a stage: coefficients to the hospitals as ciphertexts, their sums back as shares.

Keys are made when the first such stage begins, after the gate has spoken; they last for the session and are nowhere but in
memory. What a hospital has published under them is in its share book. Sizes of messages follow from the plan; how long a
hospital computes shows how many blocks of rows the charter declares for its table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from engine.analyses.base import EncryptedSums, State
from engine.analyses.encrypted_sums import BOUND, PRESET, chunks, named, pairs, plan_of, within
from engine.data.rows import Rows
from protocols.ckks.context import context_of
from protocols.ckks.multiparty import conversion, keys
from protocols.ckks.multiparty.rows import NUMBERS_FRAC, EncryptedRows
from protocols.engine import Engine, Secret
from protocols.session import Session

TYPICAL = 64.0  # of a coefficient: what error estimates assume; a larger one is as much noisier


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

        `rows`: the hospital's own; it computes as many blocks as `least_rows` ask for, the rows of its whole table.
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
            found = conversion.to_shares(session, joint, self._book, mpc, mine, pairs(count), scale, "complex", digest)
            if found is not None:
                parts[name].append(found[:count])
        return {} if mpc is None else named(mpc, parts, plan, sums.rooms)

    def _joint_keys(self, numbers: int) -> keys.JointKeys:
        if self._keys is None:
            with self._alive():
                context = context_of(PRESET)
            self._keys = keys.joint_keys(self._session, context, conversion.elements(numbers))
            self._book = None if self._keys.share is None else conversion.ShareBook(self._keys.share)
        return self._keys
