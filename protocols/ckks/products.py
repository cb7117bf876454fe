"""Products of ciphertexts.

    tensor         (a_0 + a_1 s)(b_0 + b_1 s) = a_0 b_0 + (a_0 b_1 + a_1 b_0) s + a_1 b_1 s^2
    relinearise    the digits of c_2 times the key, plus P (c_0, c_1), divided by P q_l: the key switch's division by P and the
                   rescale are one, with one rounding

Source: Cheon, Han, Kim, Kim, Song, eprint 2018/931; Han and Ki, eprint 2019/688, section 3.
"""

from __future__ import annotations

import numpy as np

from native import rns, switching
from protocols.ckks import noise
from protocols.ckks.ciphertext import Ciphertext, require_degree_1, require_level, require_same_context, require_same_key
from protocols.ckks.context import Words
from protocols.ckks.keys import RelinearisationKey, SwitchingKey
from protocols.ckks.noise import Estimate
from protocols.errors import KeyMismatch, MisuseError


def multiply(a: Ciphertext, b: Ciphertext, key: RelinearisationKey) -> Ciphertext:
    """a * b slot by slot, relinearised and rescaled: one level below the lower of theirs."""
    _require_factors(a, b)
    _require_key(a, key)
    require_level(a)
    require_level(b)
    level = min(a.level, b.level)
    first, second = (np.ascontiguousarray(x.polynomials[:, : level + 1]) for x in (a, b))
    plan = a.context.plan
    out = switching.multiply(first, second, key.prepared, plan, level + 1, len(plan.special) + 1)
    return _relinearised(a, out, level, a.scale * b.scale, a.estimate * b.estimate, key)


def tensor(a: Ciphertext, b: Ciphertext) -> Ciphertext:
    """a * b of degree 2, neither relinearised nor rescaled: such products of one scale can be added first."""
    _require_factors(a, b)
    level = min(a.level, b.level)
    out = tensor_polynomials(a, b, level)
    return Ciphertext(a.context, out, a.scale * b.scale, a.key_id, a.estimate * b.estimate)


def tensor_polynomials(a: Ciphertext, b: Ciphertext, level: int) -> Words:
    """The product of a and b on the limbs of a level, (3, level + 1, N)."""
    first, second = (np.ascontiguousarray(x.polynomials[:, : level + 1]) for x in (a, b))
    return switching.product(first, second, a.context.plan, level + 1)


def add_tensor(out: Words, a: Ciphertext, b: Ciphertext) -> None:
    """out += the product of a and b, in place, (3, limbs, N) with at most their limbs."""
    limbs = out.shape[1]
    basis, x, y = a.context.levels[limbs - 1], a.polynomials[:, :limbs], b.polynomials[:, :limbs]
    for part, i, j in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        rns.mul_add(out[part], x[i], y[j], basis)


def relinearise(product: Ciphertext, key: RelinearisationKey) -> Ciphertext:
    """A ciphertext of degree 2 as one of degree 1, rescaled."""
    _require_key(product, key)
    require_level(product)
    if product.degree != 2:
        raise MisuseError("only a product of degree 2 is relinearised")
    plan, (c0, c1, c2) = product.context.plan, product.polynomials
    out = switching.switch(c2, key.prepared, plan, product.level + 1, len(plan.special) + 1, (c0, c1))
    return _relinearised(product, out, product.level, product.scale, product.estimate, key)


def _relinearised(like: Ciphertext, out: Words, level: int, scale: float, estimate: Estimate, key: SwitchingKey) -> Ciphertext:
    context = like.context
    after = scale / context.preset.primes[level]
    added = noise.switching(context.preset, level, scale, key.noise_variance) + noise.rounding(
        context.degree, after, estimate.holders
    )
    return Ciphertext(context, out, after, like.key_id, estimate.noisier(added))


def _require_factors(a: Ciphertext, b: Ciphertext) -> None:
    require_same_key(a, b)
    require_degree_1(a)
    require_degree_1(b)


def _require_key(a: Ciphertext, key: SwitchingKey) -> None:
    require_same_context(a.context, key.context)
    if a.key_id != key.key_id:
        raise KeyMismatch("this relinearisation key belongs to another secret: use the one made with the ciphertext's key")
