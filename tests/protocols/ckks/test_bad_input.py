"""Wrong parameters, keys, levels, scales and numbers: each has its error, and nothing is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import engine.errors
from native.errors import UnseenError
from protocols import ckks, errors
from tests.protocols.ckks.setting import Setting, setting


@pytest.fixture
def s() -> Setting:
    return setting(ckks.N8192)


@pytest.fixture
def other() -> Setting:
    """Another secret of the same parameters."""
    return setting(ckks.N8192, seed=1)


@pytest.fixture
def elsewhere() -> Setting:
    """Other parameters of the same sizes."""
    return setting(replace(ckks.N8192, scale_bits=39))


def one(s: Setting) -> ckks.Ciphertext:
    return s.encrypt(s.vector(1))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, complex(0, np.nan), complex(np.inf, 0), 1.0001, -1.5, 0.9 + 0.9j])
@pytest.mark.parametrize("place", [0, 4095])
def test_numbers_that_are_none_or_beyond_the_bound(s, bad, place):
    values = np.zeros(s.context.slots, type(bad))
    values[place] = bad
    with pytest.raises(errors.PlaintextOutOfRange, match="beyond the declared bound"):
        ckks.encode(s.context, values)


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.zeros(4097), 0.5, ["a"], [None]])
def test_what_is_no_vector(s, values):
    with pytest.raises(errors.PlaintextOutOfRange, match="one axis of at most 4096"):
        ckks.encode(s.context, values)


@pytest.mark.parametrize(
    ("bound", "scale", "level"),
    [(2.0**88, None, None), (1.0, 2.0**127, None), (2.0**8, None, 0), (1.0, np.inf, None), (1.0, np.nan, None), (1.0, -1.0, 0)],
)
def test_values_beyond_the_scales_range(s, bound, scale, level):
    with pytest.raises(errors.PlaintextOutOfRange):
        ckks.encode(s.context, [0.0], bound, level=level, scale=scale)


@pytest.mark.parametrize("bound", [np.nan, np.inf, 0.0, -1.0])
def test_a_bound_that_is_none(s, bound):
    with pytest.raises(errors.PlaintextOutOfRange, match="bound"):
        ckks.encode(s.context, [0.0], bound)


@pytest.mark.parametrize("level", [-1, 3])
def test_levels_that_do_not_exist(s, level):
    with pytest.raises(errors.LevelExhausted, match="levels 0 to 2"):
        ckks.encode(s.context, [0.0], level=level)
    with pytest.raises(errors.LevelExhausted, match="levels 0 to 2"):
        ckks.encrypt_zero(s.public, level, 2.0**40, s.randomness)


def test_a_value_larger_than_it_was_declared_shows_when_it_is_decrypted(s):
    large = s.encrypt(8 * s.vector(1), bound=8.0)
    claimed = replace(large, estimate=replace(large.estimate, bound=1.0))
    with pytest.raises(errors.PlaintextOutOfRange, match="beyond the bound"):
        ckks.decode(ckks.decrypt(claimed, s.secret))


MIXED: list[Callable[[Setting, Setting], object]] = [
    lambda s, o: ckks.add(one(s), one(o)),
    lambda s, o: ckks.subtract(one(s), one(o)),
    lambda s, o: ckks.tensor(one(s), one(o)),
    lambda s, o: ckks.multiply(one(s), one(o), s.relin),
    lambda s, o: ckks.multiply(one(s), one(s), o.relin),
    lambda s, o: ckks.relinearise(ckks.tensor(one(s), one(s)), o.relin),
    lambda s, o: ckks.rotate(one(s), 1, o.galois),
    lambda s, o: ckks.rotate_many(one(s), [1], o.galois),
    lambda s, o: ckks.conjugate(one(s), o.galois),
    lambda s, o: ckks.inner_product([one(s), one(o)], [ckks.encode(s.context, [1.0])] * 2),
    lambda s, o: ckks.weighted_sum([one(s), one(o)], [1.0, 1.0]),
    lambda s, o: ckks.evaluate(one(s), [0, 0, 1], o.relin),
    lambda s, o: ckks.decrypt(one(s), o.secret),
]


@pytest.mark.parametrize("call", MIXED)
def test_another_key(s, other, call):
    with pytest.raises(errors.KeyMismatch):
        call(s, other)


PARAMETERS: list[Callable[[Setting, Setting], object]] = [
    *MIXED,
    lambda s, o: ckks.encrypt(ckks.encode(s.context, [1.0]), o.public, s.randomness),
    lambda s, o: ckks.encrypt_with_secret(ckks.encode(s.context, [1.0]), o.secret, s.randomness),
    lambda s, o: ckks.add_plain(one(s), ckks.encode(o.context, [1.0])),
    lambda s, o: ckks.multiply_plain(one(s), ckks.encode(o.context, [1.0])),
]


@pytest.mark.parametrize("call", PARAMETERS)
def test_other_parameters(s, elsewhere, call):
    with pytest.raises(errors.KeyMismatch):
        call(s, elsewhere)


def test_a_rotation_without_a_key(s):
    with pytest.raises(errors.KeyMismatch, match="name its step"):
        ckks.rotate(one(s), 5, s.galois)


def test_different_scales(s):
    a = one(s)
    for b in (ckks.multiply_plain(a, ckks.encode(s.context, [1.0])), ckks.stretched(a, 1 + 2.0**-40)):
        with pytest.raises(errors.ScaleMismatch):
            ckks.add(a, b)
    with pytest.raises(errors.ScaleMismatch):
        ckks.add_plain(a, ckks.encode(s.context, [1.0], scale=2.0**39))
    plains = [ckks.encode(s.context, [1.0], scale=2.0**k) for k in (40, 39)]
    with pytest.raises(errors.ScaleMismatch):
        ckks.inner_product([a, a], plains)


def test_no_level_left(s):
    low = ckks.drop_to(one(s), 0)
    plain = ckks.encode(s.context, [1.0])
    for call in (
        lambda: ckks.rescale(low),
        lambda: ckks.scale_for(low, 2.0**40),
        lambda: ckks.multiply(low, one(s), s.relin),
        lambda: ckks.multiply(one(s), low, s.relin),
        lambda: ckks.inner_product([low], [plain]),
        lambda: ckks.weighted_sum([low], [1.0]),
        lambda: ckks.evaluate(low, [0.0, 1.0], s.relin),
    ):
        with pytest.raises(errors.LevelExhausted, match="level"):
            call()


def test_products_that_outgrow_the_modulus(s):
    low = ckks.drop_to(one(s), 0)
    plain = ckks.encode(s.context, [1.0])
    with pytest.raises(errors.LevelExhausted, match="outgrown"):
        ckks.multiply_plain(low, plain)
    with pytest.raises(errors.LevelExhausted, match="outgrown"):
        ckks.tensor(low, low)
    large = s.encrypt(s.vector(1), bound=60.0, level=0)
    with pytest.raises(errors.LevelExhausted, match="outgrown"):
        ckks.add(large, large)


def test_levels_only_go_down(s):
    a = ckks.drop_to(one(s), 1)
    for level in (2, -1):
        with pytest.raises(errors.LevelExhausted, match="only goes down"):
            ckks.drop_to(a, level)
    low = ckks.encode(s.context, [1.0], level=0)
    for call in (ckks.add_plain, ckks.multiply_plain):
        with pytest.raises(errors.LevelExhausted, match="lower level"):
            call(a, low)


def test_products_are_relinearised_first(s):
    product = ckks.tensor(one(s), one(s))
    for call in (
        lambda: ckks.rescale(product),
        lambda: ckks.multiply(product, one(s), s.relin),
        lambda: ckks.tensor(one(s), product),
        lambda: ckks.rotate(product, 1, s.galois),
        lambda: ckks.rotate_many(product, [1], s.galois),
        lambda: ckks.weighted_sum([product], [1.0]),
        lambda: ckks.relinearise(one(s), s.relin),
    ):
        with pytest.raises(errors.MisuseError, match="relinearised"):
            call()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_constants_that_are_no_numbers(s, bad):
    for call in (
        lambda: ckks.add_constant(one(s), bad),
        lambda: ckks.weighted_sum([one(s)], [bad]),
        lambda: ckks.weighted_sum([one(s)], [1.0], shift=bad),
    ):
        with pytest.raises(errors.PlaintextOutOfRange):
            call()


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan, np.inf])
def test_a_stretch_that_is_none(s, factor):
    with pytest.raises(errors.MisuseError, match="positive"):
        ckks.stretched(one(s), factor)


@pytest.mark.parametrize("count", [0, 3, -2])
def test_an_inner_sum_of_no_power_of_two(s, count):
    with pytest.raises(errors.MisuseError, match="power of two"):
        ckks.inner_sum(one(s), count, s.galois)


@pytest.mark.parametrize("ciphertexts", [0, 2])
def test_sums_of_lists_that_do_not_match(s, ciphertexts):
    a, plain = [one(s)] * ciphertexts, ckks.encode(s.context, [1.0])
    for call in (lambda: ckks.weighted_sum(a, [1.0]), lambda: ckks.inner_product(a, [plain])):
        with pytest.raises(errors.MisuseError, match="as many"):
            call()


def test_every_error_is_drawn_in_the_tree():
    names = ["ParameterError", "KeyMismatch", "LevelExhausted", "ScaleMismatch", "CiphertextMalformed", "PlaintextOutOfRange"]
    for name in ("EncryptionError", *names):
        assert name in engine.errors.__doc__
        assert issubclass(getattr(errors, name), errors.ProtocolError)
        assert issubclass(getattr(errors, name), UnseenError)
