/* Calls of rns.h. Primes, roots, factors and permutations are public; what malloc returned stands for secret residues. */
#include "rns.h"

#include <stdlib.h>

enum { ROOT_LOG = 17, LIMBS = 2 };

/* The largest primes p = 1 mod 2^18 below 2^50, 2^49, 2^47, 2^45 and 2^24, with a root of order 2^18. */
static const struct {
    uint64_t p, psi;
} PRIMES[] = {
    {1125899902124033, 604294214411568},
    {562949950537729, 166533214650558},
    {140737487306753, 26803868075639},
    {35184365273089, 23464209651305},
    {16515073, 5462371},
};
enum { PRIME_COUNT = sizeof PRIMES / sizeof PRIMES[0] };

void drive_rns(void);

static rns_table *table(int log_n, int which)
{
    const uint64_t p = PRIMES[which].p;
    uint64_t psi = PRIMES[which].psi;
    for (int i = log_n; i < ROOT_LOG; i++) psi = (uint64_t)((unsigned __int128)psi * psi % p);
    return rns_table_new(log_n, p, psi);
}

static void arithmetic(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis)
{
    const uint64_t factors[LIMBS] = {3, 1000000};
    rns_add(out, a, b, basis, LIMBS);
    rns_sub(out, a, b, basis, LIMBS);
    rns_neg(out, a, basis, LIMBS);
    rns_mul(out, a, b, basis, LIMBS);
    rns_mul_add(out, a, b, basis, LIMBS);
    rns_scale(out, a, factors, basis, LIMBS);
}

static void polynomials(int log_n, int which)
{
    const size_t n = (size_t)1 << log_n;
    rns_table *const tables[LIMBS] = {table(log_n, which), table(log_n, (which + 1) % PRIME_COUNT)};
    const rns_table *const basis[LIMBS] = {tables[0], tables[1]};
    uint64_t *const a = malloc(LIMBS * n * 8), *const b = malloc(LIMBS * n * 8), *const out = malloc(LIMBS * n * 8);
    int64_t *const wide = malloc(n * 8);
    int8_t *const small = malloc(n);
    uint32_t *const permutation = malloc(n * 4);
    for (size_t k = 0; k < n; k++) permutation[k] = (uint32_t)(n - 1 - k);
    arithmetic(out, a, b, basis);
    rns_from_signed(out, wide, basis, LIMBS);
    rns_from_small(out, small, basis, LIMBS);
    rns_automorphism(out, a, permutation, LIMBS, n);
    rns_forward(a, basis, LIMBS);
    rns_inverse(b, basis, LIMBS);
    const volatile int below = rns_check(a, basis, LIMBS);
    (void)below;
    for (int i = 0; i < LIMBS; i++) rns_table_free(tables[i]);
    free(a), free(b), free(out), free(wide), free(small), free(permutation);
}

void drive_rns(void)
{
    for (int log_n = 3; log_n <= 13; log_n++) {
        for (int which = 0; which < PRIME_COUNT; which++) polynomials(log_n, which);
    }
    for (int log_n = 14; log_n <= ROOT_LOG; log_n++) polynomials(log_n, log_n % PRIME_COUNT);
}
