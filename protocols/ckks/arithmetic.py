"""Sums, and products with what is public. Levels are aligned by leaving limbs out, which is free; scales never are.

A product by a plaintext or a constant has the product of the scales, until `rescale` divides by the last prime of its level.
`scale_for` is the scale to encode at so that it then lands exactly on a wanted one. Constants are integers, round(v * step).
Source: Cheon, Han, Kim, Kim, Song, eprint 2018/931, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from native import rns, switching
from native.rns import Basis
from protocols.ckks import noise
from protocols.ckks.ciphertext import (
    Ciphertext,
    Plaintext,
    require_degree_1,
    require_level,
    require_same_context,
    require_same_key,
    require_same_scale,
)
from protocols.ckks.context import Operation, Words, each_part
from protocols.ckks.encoder import constant
from protocols.ckks.noise import Estimate
from protocols.errors import LevelExhausted, MisuseError, PlaintextOutOfRange

# ---- sums -----------------------------------------------------------------------------------------------------------------


def add(a: Ciphertext, b: Ciphertext) -> Ciphertext:
    """a + b, at the lower of their levels."""
    return _sum(a, b, rns.add)


def subtract(a: Ciphertext, b: Ciphertext) -> Ciphertext:
    """a - b, at the lower of their levels."""
    return _sum(a, b, rns.sub)


def _sum(a: Ciphertext, b: Ciphertext, operation: Operation) -> Ciphertext:
    require_same_key(a, b)
    require_same_scale(a.scale, b.scale)
    level, degree = min(a.level, b.level), max(a.degree, b.degree)
    first, second = _widened(a.polynomials, degree), _widened(b.polynomials, degree)
    polynomials = each_part(operation, first, second, a.context.levels[level])
    return Ciphertext(a.context, polynomials, a.scale, a.key_id, a.estimate + b.estimate)


def _widened(polynomials: Words, degree: int) -> Words:
    """With zeros for c_2 where it is missing."""
    if len(polynomials) > degree:
        return polynomials
    return np.concatenate([polynomials, np.zeros_like(polynomials[:1])])


def negate(a: Ciphertext) -> Ciphertext:
    return replace(a, polynomials=rns.neg(a.polynomials, a.context.levels[a.level]), seed=None)


def add_plain(a: Ciphertext, plain: Plaintext) -> Ciphertext:
    """a + plain, at a's level; the plaintext is at this level or higher, and at a's scale."""
    polynomial = _at_level(plain, a)
    require_same_scale(a.scale, plain.scale)
    out = a.polynomials.copy()
    rns.add(out[0], polynomial, a.context.levels[a.level], out=out[0])
    return replace(a, polynomials=out, estimate=(a.estimate + plain.estimate).of(a.estimate.holders))


def add_constant(a: Ciphertext, value: float) -> Ciphertext:
    """a + value in every slot."""
    basis = a.context.levels[a.level]
    out = a.polynomials.copy()
    rns.add(out[0], constant(checked_constant(value, a.scale), basis), basis, out=out[0])
    estimate = Estimate(a.estimate.bound + abs(value), a.estimate.deviation + 0.5 / a.scale, a.estimate.holders)
    return replace(a, polynomials=out, estimate=estimate)


def checked_constant(value: float, step: float) -> int:
    """round(value * step). Raises PlaintextOutOfRange for NaN and infinity."""
    if not np.isfinite(value):
        raise PlaintextOutOfRange("a constant is NaN or infinite")
    return round(value * step)


def drop_to(a: Ciphertext, level: int) -> Ciphertext:
    """The same value and scale with fewer limbs."""
    if not 0 <= level <= a.level:
        raise LevelExhausted("a ciphertext only goes down: its level cannot be raised")
    return replace(a, polynomials=a.polynomials[:, : level + 1])


def stretched(a: Ciphertext, factor: float) -> Ciphertext:
    """The values times a public factor > 0, by calling the scale another: no noise, no level, no work."""
    if not 0 < factor < math.inf:
        raise MisuseError("a stretch is by a positive number")
    return replace(a, scale=a.scale / factor, estimate=a.estimate.scaled(factor))


# ---- products with what is public -----------------------------------------------------------------------------------------


def multiply_plain(a: Ciphertext, plain: Plaintext) -> Ciphertext:
    """a * plain slot by slot, not rescaled."""
    polynomial, basis = _at_level(plain, a), a.context.levels[a.level]
    out = np.empty(a.polynomials.shape, np.uint64)
    for part, source in zip(out, a.polynomials, strict=True):
        rns.mul(source, polynomial, basis, out=part)
    estimate = (a.estimate * plain.estimate).of(a.estimate.holders)
    return Ciphertext(a.context, out, a.scale * plain.scale, a.key_id, estimate)


def scale_for(a: Ciphertext, target: float) -> float:
    """The scale to encode a plaintext at, so that its product with a, rescaled, has the target scale."""
    require_level(a)
    return target * a.context.preset.primes[a.level] / a.scale


def rescale(a: Ciphertext) -> Ciphertext:
    """a divided by the last prime of its level, which it leaves."""
    require_level(a)
    require_degree_1(a)
    return rescaled(a.polynomials, a, a.scale, a.estimate)


def rescaled(polynomials: Words, like: Ciphertext, scale: float, estimate: Estimate) -> Ciphertext:
    """Polynomials (2, limbs, N) of this scale divided by their last prime."""
    context, level = like.context, polynomials.shape[1] - 1
    after = scale / context.preset.primes[level]
    noisier = estimate.noisier(noise.rounding(context.degree, after, estimate.holders))
    return Ciphertext(context, switching.rescale(polynomials, context.plan, level + 1), after, like.key_id, noisier)


def inner_product(ciphertexts: Sequence[Ciphertext], plains: Sequence[Plaintext]) -> Ciphertext:
    """sum of ciphertexts[i] * plains[i], rescaled once. All products have one scale: encode each at `scale_for`."""
    first = _require_alike(ciphertexts, plains)
    level, context = min(each.level for each in ciphertexts), first.context
    basis, scale = context.levels[level], first.scale * plains[0].scale
    out = np.zeros((2, level + 1, context.degree), np.uint64)
    estimate = Estimate(0.0, 0.0)
    for each, plain in zip(ciphertexts, plains, strict=True):
        require_same_scale(scale, each.scale * plain.scale)
        polynomial = _at_level(plain, each)[: level + 1]
        for part, source in zip(out, each.polynomials, strict=True):
            rns.mul_add(part, source[: level + 1], polynomial, basis)
        estimate += (each.estimate * plain.estimate).of(each.estimate.holders)
    return rescaled(out, first, scale, estimate)


def weighted_sum(
    ciphertexts: Sequence[Ciphertext], weights: Sequence[float], shift: float = 0.0, scale: float | None = None
) -> Ciphertext:
    """sum of weights[i] * ciphertexts[i] + shift, rescaled once, at exactly `scale` (the preset's unless given).

    The ciphertexts may differ in scale and level.
    """
    first = _require_alike(ciphertexts, weights)
    level, context = min(each.level for each in ciphertexts), first.context
    target = (context.preset.scale if scale is None else scale) * context.preset.primes[level]
    out = np.zeros((2, level + 1, context.degree), np.uint64)
    estimate = add_weighted(out, ciphertexts, weights, shift, target, context.levels[level])
    return rescaled(out, first, target, estimate)


def add_weighted(
    out: Words, ciphertexts: Sequence[Ciphertext], weights: Sequence[float], shift: float, scale: float, basis: Basis
) -> Estimate:
    """out[:2] += scale * (the weighted sum + shift) in place, (2 or 3, limbs, N); returns the estimate of what was added."""
    limbs, estimate = len(basis), Estimate(abs(shift), 0.5 / scale)
    for each, weight in zip(ciphertexts, weights, strict=True):
        factor = checked_constant(weight, scale / each.scale)
        for part, source in zip(out, each.polynomials, strict=False):
            rns.add(part, rns.scale(source[:limbs], [factor] * limbs, basis), basis, out=part)
        rounding = 0.5 * each.scale / scale * each.estimate.bound
        estimate += each.estimate.scaled(weight).noisier(rounding)
    if shift:
        rns.add(out[0], constant(checked_constant(shift, scale), basis), basis, out=out[0])
    return estimate


def _require_alike(ciphertexts: Sequence[Ciphertext], factors: Sequence[object]) -> Ciphertext:
    """All under one key, of degree 1, with a level to spend, and as many factors; the first of them."""
    if not ciphertexts or len(ciphertexts) != len(factors):
        raise MisuseError("a sum takes at least one ciphertext, and as many factors")
    first = ciphertexts[0]
    for each in ciphertexts:
        require_same_key(first, each)
        require_degree_1(each)
        require_level(each)
    return first


def _at_level(plain: Plaintext, a: Ciphertext) -> Words:
    """The plaintext's polynomial on a's limbs."""
    require_same_context(plain.context, a.context)
    if plain.level < a.level:
        raise LevelExhausted(
            "the plaintext is at a lower level than the ciphertext: encode it at the ciphertext's, or drop that one"
        )
    return plain.polynomial[: a.level + 1]
