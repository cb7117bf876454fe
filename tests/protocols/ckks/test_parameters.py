"""Requirement 7: no parameters outside of the security table."""

import math
from dataclasses import replace

import pytest

from protocols.ckks import N8192, N16384, N32768, PRESETS, context_of
from protocols.ckks.parameters import LARGEST_MODULUS_BITS, ntt_primes
from protocols.errors import ParameterError

OF_THE_SMALLER_RING = next(p for p in ntt_primes(4096, 40, 9) if p % 16384 != 1)
TABLE = {4096: 106, 8192: 214, 16384: 430, 32768: 868, 65536: 1747}  # eprint 2024/463, ternary, 128 bits, classical


def test_the_limits_of_the_code_are_those_that_were_copied_here_from_the_publication():
    assert LARGEST_MODULUS_BITS == TABLE


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: str(p.degree))
def test_every_preset_is_within_the_table_with_the_special_primes_counted_in(preset):
    assert math.log2(math.prod(preset.primes) * math.prod(preset.special)) <= TABLE[preset.degree]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: str(p.degree))
def test_the_primes_of_a_preset_are_the_largest_ones_of_their_sizes(preset):
    large = ntt_primes(preset.degree, 47, len(preset.special) + 1)
    small = ntt_primes(preset.degree, preset.scale_bits, preset.top)
    assert preset.special == large[:-1]
    assert preset.primes == (large[-1], *small)


def test_presets_have_the_shapes_that_are_compared_with_others():
    shapes = [(len(p.primes), [q.bit_length() for q in p.primes]) for p in (N8192, N16384, N32768)]
    assert shapes == [(3, [47, 40, 40]), (7, [47] + [40] * 6), (11, [47] + [42] * 10)]


@pytest.mark.parametrize("degree", [2048, 12288, 131072])
def test_a_ring_that_is_not_in_the_table_is_refused(degree):
    with pytest.raises(ParameterError, match="no ring of degree"):
        replace(N8192, degree=degree)


def test_a_modulus_that_only_fits_without_the_special_primes_is_refused():
    primes = (*N8192.primes, *ntt_primes(8192, 40, 4)[2:])
    assert math.log2(math.prod(primes)) < TABLE[8192] < math.log2(math.prod(primes) * N8192.special_modulus)
    with pytest.raises(ParameterError, match="beyond 214"):
        replace(N8192, primes=primes)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"primes": ()}, "distinct"),
        ({"special": ()}, "distinct"),
        ({"special": N8192.primes[:1]}, "distinct"),
        ({"primes": (*N8192.primes[:2], OF_THE_SMALLER_RING)}, "1 modulo 2N"),
        ({"primes": (*N8192.primes[:2], (1 << 48) - (1 << 40) + 1)}, "1 modulo 2N"),
        ({"primes": (*N8192.primes[:2], N8192.primes[1] - 16384)}, "not a prime"),
        ({"digit": 2}, "digit"),
        ({"digit": 0}, "digit"),
        ({"special": N8192.primes[1:2], "primes": N8192.primes[::2]}, "digit"),
        ({"scale_bits": 47}, "scale"),
        ({"scale_bits": 0}, "scale"),
    ],
)
def test_a_preset_that_does_not_hold_together_is_refused(change, text):
    with pytest.raises(ParameterError, match=text):
        replace(N8192, **change)


def test_presets_are_named_by_all_their_parameters():
    changed = [replace(N16384, scale_bits=39), replace(N16384, digit=1), replace(N16384, primes=N16384.primes[:-1])]
    assert len({p.id for p in (*PRESETS.values(), *changed)}) == len(PRESETS) + len(changed)
    assert replace(N16384).id == N16384.id


def test_a_context_is_made_once():
    assert context_of(N8192) is context_of(replace(N8192))
