/* Calls of switching.h on buffers of exactly the stated sizes. Primes, constants and permutations are public; what malloc returned stands for
 * secrets. */
#include "switching.h"

#include <stdlib.h>

void drive_switching(void);

enum { LIMBS = 5, MAX_ROWS = LIMBS + 3 };

/* The largest primes p = 1 mod 64 below 2^50, 2^40 and 2^47. */
static const uint64_t PRIMES[MAX_ROWS] = {1125899906842177, 1125899906840897, 1125899906840833, 1099511626049,
                                           1099511625409, 140737488355201, 140737488351937, 140737488351169};

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t p)
{
    uint64_t out = 1;
    for (; exponent > 0; exponent >>= 1, base = (uint64_t)((unsigned __int128)base * base % p)) {
        if (exponent & 1) out = (uint64_t)((unsigned __int128)out * base % p);
    }
    return out;
}

static uint64_t root(uint64_t p, uint64_t n)
{
    for (uint64_t g = 2;; g++) {
        const uint64_t psi = power(g, (p - 1) / (2 * n), p);
        if (power(psi, n, p) == p - 1) return psi;
    }
}

static uint64_t product_of(size_t first, size_t count, size_t without, uint64_t p)
{
    uint64_t out = 1;
    for (size_t i = first; i < first + count; i++) out = i == without ? out : (uint64_t)((unsigned __int128)out * (PRIMES[i] % p) % p);
    return out;
}

/* The run first … first + sources - 1 of rows; the last `special` rows are special. */
static switch_base *base_of(const rns_table *const *tables, size_t rows, size_t first, size_t sources, size_t special)
{
    uint64_t factors[MAX_ROWS], residues[MAX_ROWS * MAX_ROWS], products[MAX_ROWS], inverses[MAX_ROWS], specials[MAX_ROWS];
    for (size_t row = 0; row < rows; row++) {
        const uint64_t p = PRIMES[row];
        products[row] = product_of(first, sources, rows, p);
        inverses[row] = power(products[row], p - 2, p);
        specials[row] = product_of(rows - special, special, rows, p);
        for (size_t i = 0; i < sources; i++) residues[row * sources + i] = product_of(first, sources, first + i, p);
    }
    for (size_t i = 0; i < sources; i++) {
        const uint64_t d = PRIMES[first + i];
        factors[i] = power(product_of(first, sources, first + i, d), d - 2, d);
    }
    const switch_constants constants = {rows, first, sources, tables, factors, residues, products, inverses, specials};
    return switch_base_new(&constants);
}

static uint64_t *secret(size_t words) { return malloc(words * sizeof(uint64_t)); }

static void divisions(const rns_table *const *tables, size_t n, size_t special)
{
    const size_t rows = LIMBS + special;
    for (size_t drop = special; drop <= special + 1; drop++) {
        switch_base *const base = base_of(tables, rows, rows - drop, drop, special);
        uint64_t *const x = secret(2 * rows * n), *const add = secret(2 * LIMBS * n), *const out = secret(2 * (rows - drop) * n);
        uint64_t *const scratch = secret((drop + 4) * n);
        switch_divide(out, x, NULL, 0, base, 2, scratch);
        switch_divide(out, x, add, LIMBS, base, 2, scratch);
        free(x), free(add), free(out), free(scratch);
        switch_base_free(base);
    }
}

static void switches(const rns_table *const *tables, size_t n, size_t alpha, size_t special, const uint32_t *permutation)
{
    const size_t rows = LIMBS + special, count = (LIMBS + alpha - 1) / alpha, key_rows = rows + 1, first = LIMBS - 1;
    const switch_base *bases[LIMBS];
    for (size_t j = 0; j < count; j++) bases[j] = base_of(tables, rows, j * alpha, j + 1 < count ? alpha : LIMBS - j * alpha, special);
    switch_base *const division = base_of(tables, rows, first, special + 1, special);
    uint64_t *const raw = secret((count + 1) * 2 * rows * n), *const prepared = secret((count + 1) * 2 * key_rows * n);
    uint64_t *const a = secret(2 * LIMBS * n), *const b = secret(2 * LIMBS * n), *const d = secret(3 * LIMBS * n), *const out = secret(2 * first * n);
    uint64_t *const digits = secret(count * rows * n), *const sums = secret(2 * rows * n);
    uint64_t *const scratch = secret((2 * LIMBS + 2 * count + 2 * (special + 1) + 5) * n);
    uint64_t *const little = secret((LIMBS + 1) * n);
    const switch_key key = {prepared, count + 1, key_rows};
    const uint64_t *const none[2] = {NULL, NULL}, *const two[2] = {a, b};
    switch_prepare(prepared, raw, count + 1, bases[0]);
    switch_decompose(digits, a, bases, count, little);
    switch_accumulate(sums, digits, count, &key, NULL, special, bases[0]);
    switch_accumulate(sums, digits, count, &key, permutation, special, bases[0]);
    switch_product(d, a, b, LIMBS, bases[0]);
    switch_apply(out, a, none, &key, NULL, bases, count, division, scratch);
    switch_apply(out, a, two, &key, permutation, bases, count, division, scratch);
    switch_multiply(out, a, b, &key, bases, count, division, scratch);
    free(raw), free(prepared), free(a), free(b), free(d), free(out), free(digits), free(sums), free(scratch), free(little);
    for (size_t j = 0; j < count; j++) switch_base_free((switch_base *)bases[j]);
    switch_base_free(division);
}

static void degree(int log_n)
{
    const size_t n = (size_t)1 << log_n;
    rns_table *tables[MAX_ROWS];
    const rns_table *basis[MAX_ROWS];
    uint32_t *const turned = malloc(n * sizeof *turned), *const shuffled = malloc(n * sizeof *shuffled);
    for (size_t k = 0; k < n; k++) {
        turned[k] = (uint32_t)(n - 1 - k);
        shuffled[k] = (uint32_t)(k * 5 % n);
    }
    for (size_t i = 0; i < MAX_ROWS; i++) basis[i] = tables[i] = rns_table_new(log_n, PRIMES[i], root(PRIMES[i], n));
    for (size_t special = 1; special <= 3; special++) {
        divisions(basis, n, special);
        for (size_t alpha = 1; alpha <= special; alpha++) switches(basis, n, alpha, special, special == 2 ? turned : shuffled);
    }
    for (size_t i = 0; i < MAX_ROWS; i++) rns_table_free(tables[i]);
    free(turned), free(shuffled);
}

void drive_switching(void)
{
    degree(3);
    degree(5);
}
