"""Sums over a hospital's rows: two in a ciphertext, and stated errors that leave room for many columns."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from protocols.ckks import context_of, encode, encrypt, public_key, secret_key
from protocols.ckks.encryption import inner_product
from protocols.ckks.multiparty.conversion import coefficients
from protocols.ckks.multiparty.rows import AT_ONCE, EncryptedRows, SumsPlan
from protocols.ckks.noise import TAIL, Estimate
from protocols.ckks.parameters import N16384
from protocols.prf import PrfStream
from protocols.rowwise import Weighted

CONTEXT = context_of(N16384)
PLAN = SumsPlan(N16384, 1, 20, 3)


def test_sums_come_in_pairs_and_their_error_is_that_of_a_mean() -> None:
    count, rng, randomness = 2 * AT_ONCE + 3, np.random.default_rng(0), PrfStream(bytes(16))
    secret = secret_key(CONTEXT, randomness)
    factor, columns = rng.uniform(-1, 1, CONTEXT.slots), rng.uniform(-1, 1, (count, CONTEXT.slots))
    encrypted = encrypt(encode(CONTEXT, factor, level=1), public_key(secret, randomness), randomness)
    q, scale = N16384.primes[0], 2.0 ** PLAN.scale_bits()
    deviation = q / scale / TAIL  # of a slot: with TAIL of these, nothing would fit
    noisy = replace(encrypted, estimate=Estimate(1.0, deviation))
    verbs = EncryptedRows(PLAN, cast(Any, SimpleNamespace(context=CONTEXT)), ())
    found = verbs.sums(Weighted([noisy], lambda block, which: columns[which], count), slice(0, count))
    assert len(found) == (count + 1) // 2
    opened = np.concatenate([inner_product(CONTEXT, each.polynomials, secret, 0) for each in found])
    values = coefficients(opened, "complex", CONTEXT.levels[0]).astype(np.int64)
    centred = np.where(values > q // 2, values - q, values)
    assert np.abs(centred[:count] / scale - columns @ factor / CONTEXT.slots).max() < 2.0**-20
    assert abs(centred[count]) / scale < 2.0**-20
