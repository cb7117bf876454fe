"""Rotations of the slots, one after another or many of one ciphertext ("hoisted"), and sums of slots.

X -> X^g with g = 5^step moves slot j + step to slot j; g = -1 conjugates. It takes (c_0, c_1) under s to (c_0(X^g), c_1(X^g))
under s(X^g), and the Galois key switches back. Hoisted: the digits of c_1 are made once, and the key, turned by X -> X^(1/g),
switches s -> s(X^(1/g)) before the ciphertext is turned: two polynomials are permuted instead of all digits.
Source: Halevi and Shoup, CRYPTO 2018 (eprint 2018/244), section 4.1; turned keys: Bossuat, Mouchet, Troncoso-Pastoriza, Hubaux,
EUROCRYPT 2021 (eprint 2020/1203), section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterable

from native import rns, switching
from protocols.ckks import noise
from protocols.ckks.arithmetic import add
from protocols.ckks.ciphertext import Ciphertext, require_degree_1, require_same_context
from protocols.ckks.context import Words
from protocols.ckks.keys import GaloisKeys, SwitchingKey
from protocols.errors import KeyMismatch, MisuseError


def rotate(a: Ciphertext, step: int, keys: GaloisKeys) -> Ciphertext:
    """Slot j becomes slot j + step of a, cyclically; a negative step goes the other way."""
    element = a.context.galois_element(step)
    return a if element == 1 else turn(a, element, keys)


def conjugate(a: Ciphertext, keys: GaloisKeys) -> Ciphertext:
    return turn(a, a.context.conjugation, keys)


def rotate_many(a: Ciphertext, steps: Iterable[int], keys: GaloisKeys) -> list[Ciphertext]:
    """[rotate(a, step) for each step] with one decomposition."""
    _require_keys(a, keys)
    digits, results = None, []
    for step in steps:
        element = a.context.galois_element(step)
        if element == 1:
            results.append(a)
            continue
        if digits is None:
            digits = switching.decompose(a.polynomials[1], a.context.plan, a.level + 1)
        results.append(_turned_after(a, digits, element, keys))
    return results


def inner_sum(a: Ciphertext, count: int, keys: GaloisKeys, stride: int = 1) -> Ciphertext:
    """Slot j becomes the sum of a's slots j, j + stride ... j + (count - 1) stride; count is a power of two."""
    for step in inner_sum_steps(count, stride):
        a = add(a, rotate(a, step, keys))
    return a


def inner_sum_steps(count: int, stride: int = 1) -> list[int]:
    """The steps that inner_sum rotates by, for galois_keys. N/2 numbers with stride 1: every slot holds the sum of all."""
    if count < 1 or count & (count - 1):
        raise MisuseError("an inner sum adds up a power of two of slots: pad with zeros")
    return [stride << i for i in range(count.bit_length() - 1)]


def turn(a: Ciphertext, element: int, keys: GaloisKeys) -> Ciphertext:
    """a(X^element), for an odd element."""
    _require_keys(a, keys)
    key, context = keys.of(element), a.context
    plan, (c0, c1) = context.plan, a.polynomials
    permutation = context.permutation(element)
    out = switching.switch(c1, key.prepared, plan, a.level + 1, len(plan.special), (c0, None), permutation)
    return _result(a, out, key)


def _turned_after(a: Ciphertext, digits: Words, element: int, keys: GaloisKeys) -> Ciphertext:
    plan, limbs, key = a.context.plan, a.level + 1, keys.turned(element)
    out = switching.divide(switching.accumulate(digits, key, plan, limbs), plan, limbs, len(plan.special))
    rns.add(out[0], a.polynomials[0], a.context.levels[a.level], out=out[0])
    return _result(a, rns.automorphism(out, a.context.permutation(element)), keys.of(element))


def _result(a: Ciphertext, polynomials: Words, key: SwitchingKey) -> Ciphertext:
    context, estimate = a.context, a.estimate
    added = noise.switching(context.preset, a.level, a.scale, key.noise_variance)
    added += noise.rounding(context.degree, a.scale, estimate.holders)
    return Ciphertext(context, polynomials, a.scale, a.key_id, estimate.noisier(added))


def _require_keys(a: Ciphertext, keys: GaloisKeys) -> None:
    require_degree_1(a)
    require_same_context(a.context, keys.context)
    if a.key_id != keys.key_id:
        raise KeyMismatch("these Galois keys belong to another secret: use those made with the ciphertext's key")
