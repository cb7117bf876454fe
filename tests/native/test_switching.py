"""Key switching against Python's integers: digits, sums and divisions are checked by what they must satisfy."""

import math
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

import native
from native import KernelInputError, _load, rns, switching
from native.rns import Basis
from native.switching import SwitchKey, SwitchPlan

SLACK = Fraction(1, 1 << 25)  # of rounding, as native.switching states it
LEVELS = 5
GROUPS = [(alpha, special) for special in (1, 2, 3) for alpha in range(1, special + 1)]
SIZES = [(20, 21), (40, 47), (47, 47), (49, 50)]  # bits of limbs and of special primes


def primes_below(top: int, count: int, degree: int, taken: set[int]) -> list[int]:
    candidates = (p for p in range(top - top % (2 * degree) + 1, 0, -2 * degree) if p < top)
    found: list[int] = []
    while len(found) < count:
        p = next(candidates)
        if rns.is_prime(p) and p not in taken:
            found.append(p)
    return found


def primes_above(bottom: int, count: int, degree: int) -> list[int]:
    candidates = (p for p in range(bottom - bottom % (2 * degree) + 1, bottom << 4, 2 * degree) if p > bottom)
    found: list[int] = []
    while len(found) < count:
        p = next(candidates)
        if rns.is_prime(p):
            found.append(p)
    return found


def a_plan(degree: int, alpha: int, special: int, bits: tuple[int, int] = (40, 47), levels: int = LEVELS) -> SwitchPlan:
    """Limbs and special primes of the given lengths, the largest of each; limbs of 20 bits are the smallest that there are."""
    limbs = primes_above(1 << bits[0], levels, degree) if bits[0] == 20 else primes_below(1 << bits[0], levels, degree, set())
    top = 1 << (bits[1] + (bits[0] == 20))
    return SwitchPlan(Basis(degree, limbs), Basis(degree, primes_below(top, special, degree, set(limbs))), alpha)


def rows_of(plan: SwitchPlan, level: int) -> Basis:
    return Basis(plan.degree, plan.limbs.primes[:level] + plan.special.primes)


def uniform(shape: tuple[int, ...], basis: Basis, seed: int) -> np.ndarray:
    """Uniform residues; in each row the first values are the extremes of its prime."""
    random = np.random.default_rng(seed)
    x = np.empty((*shape, len(basis), basis.degree), np.uint64)
    for i, p in enumerate(basis.primes):
        x[..., i, :] = random.integers(0, p, (*shape, basis.degree), np.uint64)
        x[..., i, :4] = [0, p - 1, p // 2, p // 2 + 1]
    return x


def coefficients(x: np.ndarray, basis: Basis) -> list[int]:
    """The integers in [0, Q) of one polynomial (limbs, N) in the NTT domain."""
    rows = rns.inverse(x.copy(), basis).tolist()
    whole = math.prod(basis.primes)
    units = [whole // p * pow(whole // p, -1, p) for p in basis.primes]
    return [sum(r * u for r, u in zip(column, units, strict=True)) % whole for column in zip(*rows, strict=True)]


def in_ntt_domain(values: list[int], basis: Basis) -> np.ndarray:
    return rns.forward(np.array([[v % p for v in values] for p in basis.primes], np.uint64), basis)


def centred(x: int, modulus: int) -> int:
    x %= modulus
    return x - modulus if 2 * x > modulus else x


def tie_values(product: int, modulus: int, degree: int) -> list[int]:
    """Numbers whose remainder by product is 0, 1, -1, and next to the half, above and below."""
    half = product // 2
    remainders = [0, 1, product - 1, half, half + 1, half - 1, half + 2, 2 * half]
    return [(r + i * product * 12345) % modulus for i, r in enumerate(remainders * (degree // 8))]


@pytest.fixture(params=GROUPS, ids=lambda pair: f"alpha{pair[0]}-k{pair[1]}")
def groups(request: pytest.FixtureRequest) -> tuple[int, int]:
    return (int(request.param[0]), int(request.param[1]))


# ---- digits ---------------------------------------------------------------------------------------------------------------


def check_digits(c: np.ndarray, plan: SwitchPlan, level: int) -> None:
    rows, integers = rows_of(plan, level), coefficients(c, plan.limbs.part(slice(level)))
    whole = math.prod(rows.primes)
    digits = switching.decompose(c, plan, level)
    assert digits.shape == (-(-level // plan.alpha), len(rows), plan.degree)
    for j, digit in enumerate(digits):
        run = rows.primes[j * plan.alpha : min((j + 1) * plan.alpha, level)]
        product = math.prod(run)
        limit = Fraction(product - 1, 2) if len(run) == 1 else product * (Fraction(1, 2) + SLACK)
        for value, x in zip(coefficients(digit, rows), integers, strict=True):
            assert (value - x) % product == 0
            assert abs(centred(value, whole)) <= limit


@pytest.mark.parametrize("bits", SIZES, ids=str)
@pytest.mark.parametrize("degree", [8, 64])
@pytest.mark.usefixtures("isa")
def test_digits_are_the_centred_remainders(groups: tuple[int, int], bits: tuple[int, int], degree: int) -> None:
    plan = a_plan(degree, *groups, bits)
    for level in range(1, LEVELS + 1):
        check_digits(uniform((), plan.limbs.part(slice(level)), level), plan, level)


@pytest.mark.parametrize("bits", SIZES, ids=str)
@pytest.mark.usefixtures("isa")
def test_digits_of_numbers_next_to_a_half(groups: tuple[int, int], bits: tuple[int, int]) -> None:
    plan = a_plan(16, *groups, bits)
    for level in range(1, LEVELS + 1):
        basis = plan.limbs.part(slice(level))
        product = math.prod(basis.primes[: plan.alpha])
        check_digits(in_ntt_domain(tie_values(product, math.prod(basis.primes), 16), basis), plan, level)


# ---- sums -----------------------------------------------------------------------------------------------------------------


def expected_sum(digits: np.ndarray, key: np.ndarray, plan: SwitchPlan, level: int) -> np.ndarray:
    """sum of digits[j] key[j] on a level's rows, in Python's integers."""
    rows = rows_of(plan, level)
    chosen = [*range(level), *range(len(plan.limbs), len(plan.limbs) + len(plan.special))]
    mine = key[: len(digits), :, chosen].astype(object)
    moduli = np.array(rows.primes, object)[:, None]
    total: np.ndarray = (digits.astype(object)[:, None] * mine).sum(axis=0) % moduli
    return total.astype(np.uint64)


@pytest.mark.parametrize("bits", SIZES, ids=str)
@pytest.mark.usefixtures("isa")
def test_sums_equal_pythons(groups: tuple[int, int], bits: tuple[int, int]) -> None:
    plan = a_plan(16, *groups, bits)
    top = rows_of(plan, LEVELS)
    raw = uniform((plan.digits(LEVELS), 2), top, 1)
    key = switching.prepare(raw, plan)
    shuffled = np.random.default_rng(3).permutation(16).astype(np.uint32)
    for level in range(1, LEVELS + 1):
        digits = uniform((plan.digits(level),), rows_of(plan, level), level)
        assert np.array_equal(switching.accumulate(digits, key, plan, level), expected_sum(digits, raw, plan, level))
        for places in (rns.permutation(16, 3), rns.permutation(16, 31), shuffled):
            found = switching.accumulate(digits, key, plan, level, places)
            assert np.array_equal(found, expected_sum(digits[..., places], raw, plan, level))


@pytest.mark.parametrize("bits", [47, 50])
@pytest.mark.usefixtures("isa")
def test_sums_of_many_digits_of_largest_residues(bits: int) -> None:
    plan = a_plan(8, 1, 1, (bits, bits), 40) if bits < 50 else many_large()
    rows = rows_of(plan, 40)
    largest = np.broadcast_to((rows.values - np.uint64(1))[:, None], (40, len(rows), 8)).copy()
    raw = np.repeat(largest[:, None], 2, axis=1)
    found = switching.accumulate(largest, switching.prepare(raw, plan), plan, 40)
    assert np.array_equal(found, expected_sum(largest, raw, plan, 40))


def many_large() -> SwitchPlan:
    special, *limbs = primes_below(1 << 50, 41, 8, set())
    return SwitchPlan(Basis(8, limbs), Basis(8, [special]), 1)


@pytest.mark.parametrize("bits", SIZES, ids=str)
@pytest.mark.usefixtures("isa")
def test_products_equal_pythons(bits: tuple[int, int]) -> None:
    plan = a_plan(16, 1, 1, bits)
    a, b = uniform((2,), plan.limbs, 1), uniform((2,), plan.limbs, 2)[..., ::-1].copy()
    b[..., :4] = a[..., :4]
    x, y, moduli = a.astype(object), b.astype(object), np.array(plan.limbs.primes, object)[:, None]
    expected = np.stack([x[0] * y[0], x[0] * y[1] + x[1] * y[0], x[1] * y[1]]) % moduli
    assert np.array_equal(switching.product(a, b, plan, LEVELS), expected.astype(np.uint64))


# ---- divisions ------------------------------------------------------------------------------------------------------------


def check_quotient(found: np.ndarray, dividend: list[int], product: int, basis: Basis, exact: bool) -> None:
    """found D = dividend - r modulo the basis' primes, r being dividend modulo D, centred (up to the slack near a half)."""
    whole = math.prod(basis.primes)
    for value, x in zip(coefficients(found, basis), dividend, strict=True):
        remainder = centred(x, product)
        near = not exact and abs(remainder) >= product * (Fraction(1, 2) - SLACK)
        choices = {remainder, remainder - product, remainder + product} if near else {remainder}
        quotients = {(x - r) // product % whole for r in choices if abs(r) <= product * (Fraction(1, 2) + SLACK)}
        assert value in quotients


@pytest.mark.parametrize("bits", SIZES, ids=str)
@pytest.mark.parametrize("degree", [8, 64])
@pytest.mark.usefixtures("isa")
def test_divisions_round_to_nearest(groups: tuple[int, int], bits: tuple[int, int], degree: int) -> None:
    plan = a_plan(degree, *groups, bits)
    special = math.prod(plan.special.primes)
    for level in range(1, LEVELS + 1):
        rows, limbs = rows_of(plan, level), plan.limbs.part(slice(level))
        for drop in range(len(plan.special), len(plan.special) + 1 + (level > 1)):
            left = level + len(plan.special) - drop
            product = special * math.prod(limbs.primes[left:])
            x, add = uniform((2,), rows, level), uniform((2,), limbs, drop)
            x[1] = in_ntt_domain(tie_values(product, math.prod(rows.primes), degree), rows)
            plain = switching.divide(x, plan, level, drop)
            blended = switching.divide(x, plan, level, drop, add)
            assert plain.shape == blended.shape == (2, left, degree)
            for i in range(2):
                integers = coefficients(x[i], rows)
                more = [v + special * w for v, w in zip(integers, coefficients(add[i], limbs), strict=True)]
                kept = limbs.part(slice(left))
                check_quotient(plain[i], integers, product, kept, drop == 1)
                check_quotient(blended[i], more, product, kept, drop == 1)


@pytest.mark.parametrize("bits", SIZES, ids=str)
@pytest.mark.usefixtures("isa")
def test_rescaling_rounds_to_nearest_exactly(bits: tuple[int, int]) -> None:
    plan = a_plan(16, 1, 1, bits)
    for level in range(2, LEVELS + 1):
        limbs = plan.limbs.part(slice(level))
        last = limbs.primes[-1]
        x = uniform((2, 3), limbs, level)
        x[1, 2] = in_ntt_domain(tie_values(last, math.prod(limbs.primes), 16), limbs)
        found = switching.rescale(x, plan, level)
        assert found.shape == (2, 3, level - 1, 16)
        for index in np.ndindex(2, 3):
            check_quotient(found[index], coefficients(x[index], limbs), last, limbs.part(slice(level - 1)), True)


# ---- at once --------------------------------------------------------------------------------------------------------------


def in_steps(
    c: np.ndarray, key: SwitchKey, plan: SwitchPlan, level: int, drop: int, add: np.ndarray, places: np.ndarray | None
) -> np.ndarray:
    if places is not None:
        c, add = c[..., places], add[..., places]
    sums = switching.accumulate(switching.decompose(c, plan, level), key, plan, level)
    return switching.divide(sums, plan, level, drop, add)


@pytest.mark.parametrize("degree", [8, 64, 4096])
@pytest.mark.usefixtures("isa")
def test_the_call_at_once_equals_the_steps(groups: tuple[int, int], degree: int) -> None:
    plan = a_plan(degree, *groups)
    key = switching.prepare(uniform((plan.digits(LEVELS), 2), rows_of(plan, LEVELS), 1), plan)
    nothing = np.zeros((plan.degree,), np.uint64)
    for level in range(1, LEVELS + 1):
        limbs = plan.limbs.part(slice(level))
        c, add = uniform((), limbs, 2), uniform((2,), limbs, 3)
        for drop in range(len(plan.special), len(plan.special) + 1 + (level > 1)):
            for places in (None, rns.permutation(degree, 5)):
                found = switching.switch(c, key, plan, level, drop, (add[0], add[1]), places)
                assert np.array_equal(found, in_steps(c, key, plan, level, drop, add, places))
            half = switching.switch(c, key, plan, level, drop, (add[0], None))
            one_addend = np.stack([add[0], np.broadcast_to(nothing, add[1].shape)])
            assert np.array_equal(half, in_steps(c, key, plan, level, drop, one_addend, None))


@pytest.mark.parametrize("bits", [(40, 47), (49, 50)], ids=str)
@pytest.mark.parametrize("degree", [8, 4096])
@pytest.mark.usefixtures("isa")
def test_a_multiplication_at_once_equals_the_steps(groups: tuple[int, int], bits: tuple[int, int], degree: int) -> None:
    plan = a_plan(degree, *groups, bits)
    key = switching.prepare(uniform((plan.digits(LEVELS), 2), rows_of(plan, LEVELS), 1), plan)
    for level in range(1, LEVELS + 1):
        limbs = plan.limbs.part(slice(level))
        a, b = uniform((2,), limbs, 2), uniform((2,), limbs, 3)
        d = switching.product(a, b, plan, level)
        for drop in range(len(plan.special), len(plan.special) + 1 + (level > 1)):
            found = switching.multiply(a, b, key, plan, level, drop)
            assert np.array_equal(found, switching.switch(d[2], key, plan, level, drop, (d[0], d[1])))


@pytest.mark.usefixtures("isa")
def test_a_multiplication_of_many_digits_of_largest_residues() -> None:
    plan = many_large()
    rows = rows_of(plan, 40)
    largest = np.broadcast_to((rows.values - np.uint64(1))[:, None], (40, 2, len(rows), 8))
    key, a = switching.prepare(largest, plan), largest[0, :, :40]
    d = switching.product(a, a, plan, 40)
    assert np.array_equal(switching.multiply(a, a, key, plan, 40, 2), switching.switch(d[2], key, plan, 40, 2, (d[0], d[1])))


def test_results_are_equal_on_every_instruction_set(groups: tuple[int, int], restored: None) -> None:
    results = []
    for name in native.isas():
        _load.select(name)
        plan = a_plan(4096, *groups, (49, 50))
        key = switching.prepare(uniform((plan.digits(LEVELS), 2), rows_of(plan, LEVELS), 1), plan)
        a, b = uniform((2,), plan.limbs, 2), uniform((2,), plan.limbs, 3)
        turned = switching.switch(a[1], key, plan, LEVELS, groups[1], (a[0], None), rns.permutation(4096, 5))
        results.append(np.concatenate([switching.multiply(a, b, key, plan, LEVELS, groups[1] + 1), turned[:, 1:]]))
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.fixture
def restored() -> Iterator[None]:
    before = native.isa()
    yield
    _load.select(before)


@pytest.mark.usefixtures("isa")
def test_a_plan_keeps_its_instruction_set(restored: None) -> None:
    plan = a_plan(64, 2, 2)
    raw = uniform((plan.digits(LEVELS), 2), rows_of(plan, LEVELS), 1)
    a, b = uniform((2,), plan.limbs, 2), uniform((2,), plan.limbs, 3)
    before = switching.multiply(a, b, switching.prepare(raw, plan), plan, LEVELS, 3)
    for name in native.isas():
        _load.select(name)
        assert np.array_equal(switching.multiply(a, b, switching.prepare(raw, plan), plan, LEVELS, 3), before)


# ---- noise ----------------------------------------------------------------------------------------------------------------


def negacyclic(a: list[int], b: list[int]) -> list[int]:
    n = len(a)
    out = [0] * (2 * n)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            out[i + j] += x * y
    return [out[i] - out[i + n] for i in range(n)]


@pytest.mark.usefixtures("isa")
def test_switching_adds_no_more_noise_than_stated(groups: tuple[int, int]) -> None:
    degree, worst = 32, 21  # of an error's coefficient: centred binomial over 42 coins
    plan, random = a_plan(degree, *groups), np.random.default_rng(5)
    rows = rows_of(plan, LEVELS)
    special, count = math.prod(plan.special.primes), plan.digits(LEVELS)
    secret = random.integers(-1, 2, degree).tolist()
    source = negacyclic(secret, secret)
    raw = np.empty((count, 2, len(rows), degree), np.uint64)
    for j in range(count):
        error = (random.binomial(42, 0.5, degree) - 21).tolist()
        mine = set(plan.limbs.primes[j * plan.alpha : (j + 1) * plan.alpha])
        gadget = [special % p if p in mine else 0 for p in rows.primes]
        raw[j, 1] = uniform((), rows, 10 + j)
        masked = rns.mul(raw[j, 1], in_ntt_domain(secret, rows), rows)
        message = rns.scale(in_ntt_domain(source, rows), gadget, rows)
        raw[j, 0] = rns.add(rns.sub(in_ntt_domain(error, rows), masked, rows), message, rows)
    key = switching.prepare(raw, plan)
    for level in range(1, LEVELS + 1):
        limbs = plan.limbs.part(slice(level))
        modulus = math.prod(limbs.primes)
        c = uniform((), limbs, level)
        out = switching.switch(c, key, plan, level, len(plan.special))
        under = rns.mul_add(out[0], out[1], in_ntt_domain(secret, limbs), limbs)
        wanted = rns.mul(c, in_ntt_domain(source, limbs), limbs)
        products = [math.prod(limbs.primes[at : at + plan.alpha]) for at in range(0, level, plan.alpha)]
        rounding = (1 + sum(map(abs, secret))) * (Fraction(1, 2) + SLACK)
        bound = degree * worst * (Fraction(1, 2) + SLACK) * sum(products) / special + rounding
        noise = max(abs(centred(v, modulus)) for v in coefficients(rns.sub(under, wanted, limbs), limbs))
        assert 0 < noise <= bound


# ---- misuse ---------------------------------------------------------------------------------------------------------------


def test_plans_that_make_no_sense_are_refused() -> None:
    p = primes_below(1 << 47, 6, 64, set())
    small = primes_below(1 << 30, 1, 64, set())
    limbs = Basis(64, p[:3])
    for special, alpha in ((Basis(64, small), 1), (Basis(64, p[3:]), 0), (Basis(64, p[3:]), 4)):
        with pytest.raises(KernelInputError):
            SwitchPlan(limbs, special, alpha)
    with pytest.raises(KernelInputError, match="degree"):
        SwitchPlan(limbs, Basis(32, p[3:]), 1)
    with pytest.raises(KernelInputError, match="only once"):
        SwitchPlan(Basis(64, p[2:]), Basis(64, p[:3]), 1)


def test_a_plan_and_its_keys_do_not_change() -> None:
    plan = a_plan(8, 1, 1)
    key = switching.prepare(uniform((LEVELS, 2), rows_of(plan, LEVELS), 1), plan)
    with pytest.raises(AttributeError):
        plan.alpha = 2
    with pytest.raises(FrozenInstanceError):
        key.plan = plan  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        key.words[0] = 0


def test_wrong_shapes_levels_and_plans_are_refused() -> None:
    plan, other = a_plan(16, 2, 2), a_plan(16, 2, 2)
    raw = uniform((3, 2), rows_of(plan, LEVELS), 1)
    key, foreign = switching.prepare(raw, plan), switching.prepare(raw, other)
    c = uniform((), plan.limbs, 1)
    a = np.stack([c, c])
    digits = switching.decompose(c, plan, LEVELS)
    sums = switching.accumulate(digits, key, plan, LEVELS)
    beyond = np.full(16, 16, np.uint32)
    wrong = [
        lambda: switching.prepare(raw[:2], plan),
        lambda: switching.prepare(raw.astype(np.int64), plan),
        lambda: switching.decompose(c, plan, 4),
        lambda: switching.decompose(c, plan, 0),
        lambda: switching.decompose(c, plan, 6),
        lambda: switching.decompose(a, plan, LEVELS),
        lambda: switching.decompose(c[:, :8], plan, LEVELS),
        lambda: switching.accumulate(digits[:2], key, plan, LEVELS),
        lambda: switching.accumulate(digits, foreign, plan, LEVELS),
        lambda: switching.accumulate(digits, raw, plan, LEVELS),  # type: ignore[arg-type]
        lambda: switching.accumulate(digits, key, plan, LEVELS, beyond),
        lambda: switching.accumulate(digits, key, plan, LEVELS, beyond[:8]),
        lambda: switching.accumulate(digits, key, plan, LEVELS, beyond.astype(np.int32)),
        lambda: switching.divide(sums, plan, LEVELS, 1),
        lambda: switching.divide(sums, plan, LEVELS, 4),
        lambda: switching.divide(sums[..., :5, :], plan, LEVELS, 2),
        lambda: switching.divide(sums, plan, LEVELS, 2, a[0]),
        lambda: switching.divide(sums[0, 0], plan, LEVELS, 2),
        lambda: switching.divide(sums[:, [0, 5, 6]], plan, 1, 3),
        lambda: switching.rescale(a[:, :1], plan, 1),
        lambda: switching.rescale(a, plan, 4),
        lambda: switching.product(a, c, plan, LEVELS),
        lambda: switching.switch(c, foreign, plan, LEVELS, 2),
        lambda: switching.switch(c, key, plan, 4, 2),
        lambda: switching.switch(c, key, plan, LEVELS, 1),
        lambda: switching.switch(c, key, plan, LEVELS, 2, (c[:4], None)),
        lambda: switching.switch(c, key, plan, LEVELS, 2, (c,)),  # type: ignore[arg-type]
        lambda: switching.switch(c, key, plan, LEVELS, 2, None),  # type: ignore[arg-type]
        lambda: switching.switch(c, key, plan, LEVELS, 2, (c, c), beyond),
        lambda: switching.multiply(a, a, foreign, plan, LEVELS, 2),
        lambda: switching.multiply(a, c, key, plan, LEVELS, 2),
        lambda: switching.multiply(a, a, key, plan, LEVELS, 5),
    ]
    for call in wrong:
        with pytest.raises(KernelInputError):
            call()


def test_strided_arrays_give_the_same() -> None:
    plan = a_plan(16, 2, 2)
    key = switching.prepare(uniform((3, 2), rows_of(plan, LEVELS), 1), plan)
    c = uniform((), plan.limbs, 1)
    spread = np.zeros((LEVELS, 32), np.uint64)
    spread[:, ::2] = c
    assert np.array_equal(switching.switch(spread[:, ::2], key, plan, LEVELS, 2), switching.switch(c, key, plan, LEVELS, 2))
