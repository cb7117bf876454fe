"""What one member does in a measurement of joint keys and conversions: the engine `ckks` without a question.

Tables of a context are made before the clock starts, as they are in a daemon after its first job. What was made is used, and the
shares opened, after it has stopped; party 0 alone returns the error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import native
from benchmarks import memory
from benchmarks.programs import barrier
from engine.analyses.base import EncryptedSums
from engine.analyses.encrypted_families import encrypted
from engine.analyses.encrypted_sums import BOUND, chunks, plan_of
from engine.analyses.families import Binomial
from engine.analyses.glm_encrypted import gradient_sums, hessian_sums
from protocols.ckks import Ciphertext, context_of, encode, encrypt, multiply
from protocols.ckks.arithmetic import add, drop_to
from protocols.ckks.multiparty.conversion import ShareBook, elements, to_ciphertext, to_shares
from protocols.ckks.multiparty.keys import JointKeys, joint_keys
from protocols.ckks.multiparty.rows import NUMBERS_FRAC
from protocols.ckks.parameters import N32768
from protocols.ckks.rotations import turn
from protocols.engine import Engine, Secret
from protocols.prf import PrfStream
from protocols.replicated.engine import Replicated
from protocols.replicated.sharing import reconstruct
from protocols.session import Expect, Session

SCALE = 2.0**38
ROWS_LOG2 = 24  # of a study, which decides scales and nothing of what is measured
SEED = 20260301
GRADIENT, HESSIAN = "gradient step", "Hessian step"


def sums_of(step: str, numbers: int) -> EncryptedSums:
    """What a logistic regression of so many coefficients converts in this step."""
    return gradient_sums(numbers) if step == GRADIENT else hessian_sums(numbers, encrypted(Binomial()))


def keys(session: Session, *, numbers: int) -> dict[str, Any]:
    """Public and relinearisation key, and what spreads `numbers` where there is more than one. Used once, as a check."""
    context, turns = context_of(N32768), elements(numbers)
    measured, joint = _timed(session, lambda: joint_keys(session, context, turns))
    mine = None
    if session.holds_data:
        randomness = PrfStream(session.entropy(16))
        x, y = (encrypt(encode(context, v, scale=SCALE), joint.public, randomness) for v in _vectors(session.me, 2))
        product = multiply(x, y, joint.relinearisation)
        for element in turns:  # the constant coefficient stays where it is
            product = add(product, turn(product, element, joint.galois))
        mine = [drop_to(product, 0)]
        mine = [replace(each, polynomials=np.ascontiguousarray(each.polynomials)) for each in mine]
    scale = SCALE * SCALE / N32768.primes[-1]
    mpc = Replicated(session) if session.computes else None
    found = _opened(session, mpc, to_shares(session, joint, _book(joint), mpc, mine, 1, scale))
    if found is not None:
        expected = sum(float(np.prod(_vectors(h, 2), axis=0).mean()) for h in session.hospitals) * 2 ** len(turns)
        measured["error"] = abs(float(found[0]) / scale - expected)
    return measured


def conversion(session: Session, *, ciphertexts: int) -> dict[str, Any]:
    """Two sums in each of some ciphertexts. `hospital_seconds`: CPU of a hospital that does not compute, for each coefficient."""
    context = context_of(N32768)
    joint = joint_keys(session, context)
    mine = _sums(session, joint, ciphertexts)
    mpc, numbers = Replicated(session) if session.computes else None, 2 * ciphertexts
    book = _book(joint)
    measured, shares = _timed(session, lambda: to_shares(session, joint, book, mpc, mine, ciphertexts, SCALE, "complex"))
    cpu = measured.pop("cpu_seconds")
    measured["seconds"] /= numbers
    measured["hospital_seconds"] = None if session.computes else cpu / numbers
    return {**measured, **_error(session, _opened(session, mpc, shares))}


def step(session: Session, *, step: str, numbers: int) -> dict[str, Any]:
    """What travels in one step: coefficients to the hospitals, sums back. What hospitals compute in between is left out."""
    context, sums = context_of(N32768), sums_of(step, numbers)
    joint = joint_keys(session, context)
    plan, parts = plan_of(sums, ROWS_LOG2, len(session.hospitals)), chunks(sums.counts)
    sizes = [(which.stop - which.start + 1) // 2 for _, which in parts]
    mine = _sums(session, joint, max(sizes))
    mpc, book = Replicated(session) if session.computes else None, _book(joint)
    coefficients = None if mpc is None else _coefficients(mpc, numbers)

    def run() -> list[Secret | None]:
        to_ciphertext(session, joint, coefficients, numbers, NUMBERS_FRAC, BOUND, plan.level)
        return [
            to_shares(session, joint, book, mpc, None if mine is None else mine[:size], size, SCALE, "complex") for size in sizes
        ]

    measured, shares = _timed(session, run)
    measured |= {"level": plan.level, "ciphertexts": sum(sizes), "converted": sum(sums.counts.values())}
    return {**measured, **_error(session, _opened(session, mpc, shares[0]))}


def _timed(session: Session, work: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    barrier(session)
    memory.reset_peak()
    meter = session.meter
    rounds, sent, began, cpu = meter.rounds, meter.bytes_sent, time.perf_counter(), time.thread_time()
    found = work()
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.thread_time() - cpu,
        "rounds": meter.rounds - rounds,
        "bytes_sent": meter.bytes_sent - sent,
        "peak_rss": memory.peak_mib(),
    }, found


def _vectors(member: int, count: int) -> np.ndarray:
    return np.random.default_rng([SEED, member]).uniform(-1, 1, (count, N32768.slots))


def _sums(session: Session, joint: JointKeys, count: int) -> list[Ciphertext] | None:
    """Encryptions at level 0, as if they were the hospital's sums: all of the same two vectors."""
    if not session.holds_data:
        return None
    x, y = _vectors(session.me, 2)
    plain, randomness = encode(joint.context, x + 1j * y, 2.0, level=0, scale=SCALE), PrfStream(session.entropy(16))
    return [encrypt(plain, joint.public, randomness) for _ in range(count)]


def _coefficients(mpc: Engine, numbers: int) -> Secret:
    integers = np.array([i << NUMBERS_FRAC - 8 for i in range(numbers)], dtype=object)
    fresh = mpc.mul(mpc.constant(integers, frac=0), mpc.constant(np.ones(numbers, np.int64), frac=0))
    return mpc.bounded(replace(fresh, frac=NUMBERS_FRAC), int(BOUND) << NUMBERS_FRAC, "they were made so")


def _book(joint: JointKeys) -> ShareBook | None:
    return None if joint.share is None else ShareBook(joint.share)


def _opened(session: Session, mpc: Engine | None, shares: Secret | None) -> np.ndarray | None:
    """The integers at party 0, None elsewhere."""
    share = None if mpc is None or shares is None else mpc.release_share(shares)
    if session.me != 0 or share is None:
        session.exchange("bench share", {} if share is None else {0: share}, {})
        return None
    expect = Expect(share.dtype, share.shape)
    received = session.exchange("bench share", {}, {1: expect, 2: expect})
    return native.to_ints(reconstruct((share, received[1], received[2])))


def _error(session: Session, found: np.ndarray | None) -> dict[str, float]:
    if found is None:
        return {}
    expected = np.sum([_vectors(h, 2).mean(axis=1) for h in session.hospitals], axis=0)
    return {"error": float(np.abs(found.astype(float).reshape(-1, 2) / SCALE - expected).max())}
