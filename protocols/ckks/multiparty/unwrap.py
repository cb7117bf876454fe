"""The last step of a conversion to shares: from residues that add up modulo q to a signed number shared in Z_2^256.

A coefficient v of a decryption, |v| < q/2, is V + M modulo q: V, in [0, q), is what the hospitals published, M, in
[0, H (q - 1)], the sum of their uniform masks, shared exactly as an integer. Over the integers v = V + M - k q, and the wrap
count k is how many of the public thresholds t q - floor(q / 2), t = 1 ... H + 1, the sum V + M reaches. So k is H + 1
comparisons on shares, all at once, and nothing about v rests on a bound that a faulty or crafted ciphertext could break:
whatever M hides, it hides perfectly, and |v| <= q/2 holds for every input.
Adversary and leak: those of the comparisons: one semi-honest compute party, nothing. Rounds and bytes: one batch of
n (H + 1) comparisons of as many bits as (H + 1) q has, and one.
"""

from __future__ import annotations

import numpy as np

from protocols.engine import Engine, Secret


def centred(mpc: Engine, published: np.ndarray, masks: Secret, q: int, hospitals: int) -> Secret:
    """The numbers v, |v| <= q/2 and an integer scale (frac 0), of shape (n,).

    `published`: uint64 (n,), each below q; `masks`: the shared sums (n,), frac 0, each in [0, hospitals (q - 1)].
    """
    n, steps = len(published), hospitals + 1
    values = published.astype(object)
    thresholds = np.array([t * q - q // 2 for t in range(1, steps + 1)], dtype=object)
    spread = mpc.reshape(mpc.concat([masks] * steps), (steps, n))
    below = mpc.less_than(spread, thresholds[:, None] - values[None, :])
    wraps = steps - mpc.sum(below, 0)
    return mpc.bounded(masks + values - wraps * q, q // 2 + 1, "the wrap count centres it, whatever was masked")
