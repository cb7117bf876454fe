"""Sums keep the rows' digits: against exact rational arithmetic."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from engine.analyses import people, sums
from engine.analyses.moments import PairSums, ProductSums, Symmetric, WeightedSum
from engine.analyses.powers import PowerSums, moments
from engine.analyses.sums import exact_gram, on_grid


def narrow_rows(n: int, seed: int = 0) -> np.ndarray:
    """Rows (1, z, y) with columns a millionth as wide as they are far from zero."""
    rng = np.random.default_rng(seed)
    z = 0.9 + 1e-6 * rng.normal(size=(n, 2))
    return np.column_stack([np.ones(n), z, rng.normal(size=n)])


def exact(pair: sums.DoubleDouble, index: tuple[int, ...]) -> Fraction:
    return Fraction(float(pair.high[index])) + Fraction(float(pair.low[index]))


def test_two_product_and_two_sum_are_exact() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=100), rng.normal(size=100) * 1e-9
    for operation, result in ((Fraction.__mul__, sums.two_product(a, b)), (Fraction.__add__, sums.two_sum(a, b))):
        for i in range(100):
            assert exact(result, (i,)) == operation(Fraction(a[i]), Fraction(b[i]))


def test_second_moments_about_zero_keep_the_spread_of_a_narrow_column() -> None:
    v = narrow_rows(500)
    total = ProductSums(4)
    for part in np.array_split(v, 7):
        total.add(part)
    found = total.total()
    columns = [[Fraction(value) for value in v[:, j]] for j in range(4)]
    truth = {(j, k): sum(a * b for a, b in zip(columns[j], columns[k], strict=True)) for j, k in product(range(4), repeat=2)}
    for index in product(range(3), repeat=2):
        assert abs(exact(found, index) - truth[index]) < Fraction(1, 10**18)
    plain = v.T @ v
    assert abs(Fraction(plain[1, 1]) - truth[1, 1]) > Fraction(1, 10**15)  # what the shift is for


def test_coarse_data_are_added_up_exactly() -> None:
    v = np.column_stack([np.ones(1000), np.arange(1000) % 2, np.arange(1000) % 7])
    total = ProductSums(3)
    total.add(v)
    assert np.array_equal(total.total().high, v.T @ v)
    assert not total.total().low.any()


def test_weighted_sums_against_rationals() -> None:
    v, weight = narrow_rows(200), np.random.default_rng(5).normal(size=200)
    total = WeightedSum(4)
    total.add(v[:50], weight[:50])
    total.add(v[50:], weight[50:])
    for j in range(4):
        truth = sum(Fraction(a) * Fraction(w) for a, w in zip(v[:, j], weight, strict=True))
        assert abs(exact(total.total(), (j,)) - truth) < Fraction(1, 10**12)


@pytest.mark.parametrize("by_person", [False, True])
def test_pair_sums_are_the_sums_of_products_of_each_persons_products(by_person: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "BLOCK_NUMBERS", 64)
    rng = np.random.default_rng(2)
    v = np.column_stack([np.ones(60), rng.normal(size=(60, 3))])
    persons = np.sort(rng.integers(0, 15, 60)) if by_person else None
    pairs = PairSums(4)
    pairs.add(v, persons)
    of = persons if persons is not None else np.arange(60)
    products = [v[of == g, 1:].T @ v[of == g, 1:] for g in np.unique(of)]
    tensor = np.einsum("gab,gcd->abcd", products, products)
    a, b = Symmetric(3).rows_columns
    first, second = Symmetric(6).rows_columns
    np.testing.assert_allclose(pairs.total(slice(1, None)).high, tensor[a[first], b[first], a[second], b[second]], rtol=1e-12)
    assert pairs.most_rows == max(np.bincount(of))


def test_people_are_counted_once() -> None:
    persons = np.array([3, 3, 3, 5, 7, 7])
    members = np.array([True, False, True, False, False, True])
    assert people.count(members, persons) == 2
    assert people.count(members, None) == 3
    assert people.sum_by_person(np.ones((6, 2)), persons).tolist() == [[3, 3], [1, 1], [2, 2]]


def test_moments_of_a_narrow_column_keep_the_digits_of_float64() -> None:
    import scipy.stats as st

    z = 0.75 + 1e-5 * np.random.default_rng(3).gamma(2.0, size=4000)
    total = PowerSums(1)
    for part in np.array_split(z, 5):
        total.add(part, np.zeros(len(part), np.int64))
    integers = [int(exact(total.total(), (0, k)) * 2**128) for k in range(4)]
    found = moments(len(z), integers, 0.0, 1.0)
    shifted = (z - 0.75) * 1e5
    assert found.sd == pytest.approx(z.std(ddof=1), rel=1e-11)
    assert found.skewness == pytest.approx(st.skew(shifted), abs=1e-8)
    assert found.kurtosis == pytest.approx(st.kurtosis(shifted), abs=1e-7)


def test_a_constant_column_has_no_spread_and_no_shape() -> None:
    total = PowerSums(1)
    total.add(np.full(50, 0.1), np.zeros(50, np.int64))
    found = moments(50, [int(exact(total.total(), (0, k)) * 2**128) for k in range(4)], 10.0, 10.0)
    assert (found.mean, found.sd) == (pytest.approx(11.0, abs=1e-15), 0.0)
    assert np.isnan(found.skewness)
    assert np.isnan(found.kurtosis)


def test_the_exact_gram_matrix_is_exact() -> None:
    rng = np.random.default_rng(4)
    z = on_grid(np.column_stack([np.ones(3000), rng.uniform(-1, 1, (3000, 3)), np.full(3000, 0.1), -np.ones(3000)]))
    integers = np.ldexp(z, 28).astype(np.int64).astype(object)
    truth = integers.T @ integers
    found = exact_gram(z)
    exact = [int((Fraction(high) + Fraction(low)) * 2**56) for high, low in zip(found.high.flat, found.low.flat, strict=True)]
    assert exact == list(truth.flat)
