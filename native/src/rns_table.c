/* Tables, and the contract of rns.h limb by limb through each table's own form. */
#include "rns_table.h"

#include "dispatch.h"
#include "rns_reduce.h"

#include <stdlib.h>
#include <string.h>

uint64_t rns_public_mul(uint64_t a, uint64_t b, uint64_t p) { return (uint64_t)((unsigned __int128)a * b % p); }

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t p)
{
    uint64_t out = 1;
    for (; exponent > 0; exponent >>= 1, base = rns_public_mul(base, base, p)) {
        if (exponent & 1) out = rns_public_mul(out, base, p);
    }
    return out;
}

/* out[reverse(k)] = root^k */
static void reversed_powers(uint64_t *out, uint64_t root, const rns_table *t)
{
    out[0] = 1;
    for (int level = 0; level < t->log_n; level++) { /* index 2^level stands for the power n / 2^(level + 1) */
        const size_t m = (size_t)1 << level;
        const uint64_t factor = power(root, t->n >> (level + 1), t->p);
        const uint64_t quotient = shoup_quotient(factor, t->p);
        for (size_t k = 0; k < m; k++) out[m + k] = once_below(shoup_lazy(out[k], factor, quotient, t->p), t->p);
    }
}

static void set_constants(rns_table *t)
{
    const uint64_t p = t->p;
    t->bits = 64 - __builtin_clzll(p);
    t->barrett = UINT64_MAX / p; /* p does not divide 2^64 */
    t->product_barrett = (uint64_t)(((unsigned __int128)1 << (62 + t->bits)) / p);
    t->product_barrett52 = (uint64_t)(((unsigned __int128)1 << (50 + t->bits)) / p);
    t->lift = (((uint64_t)1 << 62) / p + 1) * p;
    t->barrett52 = ((uint64_t)1 << 52) / p;
    t->n_inverse = p - (p - 1) / t->n; /* n (p - 1) / n = -1 */
}

static int fill_twiddles(rns_table *t, uint64_t psi)
{
    const size_t bytes = (t->form->twiddle_words(t) * sizeof *t->twiddles + 63) / 64 * 64;
    uint64_t *powers = malloc(2 * t->n * sizeof *powers);
    t->twiddles = aligned_alloc(64, bytes);
    if (powers != NULL && t->twiddles != NULL) {
        reversed_powers(powers, psi, t);
        reversed_powers(powers + t->n, power(psi, 2 * t->n - 1, t->p), t);
        t->form->fill(t, powers, powers + t->n);
    }
    const int done = powers != NULL && t->twiddles != NULL;
    free(powers);
    return done;
}

rns_table *rns_table_new(int log_n, uint64_t p, uint64_t psi)
{
    rns_table *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->form = kernels_active->rns;
    t->log_n = log_n;
    t->n = (size_t)1 << log_n;
    t->p = p;
    set_constants(t);
    if (!fill_twiddles(t, psi)) {
        rns_table_free(t);
        return NULL;
    }
    return t;
}

void rns_table_free(rns_table *table)
{
    if (table == NULL) return;
    free(table->twiddles);
    free(table);
}

#define EACH_LIMB(CALL)                              \
    for (size_t i = 0; i < limbs; i++) {             \
        const rns_table *const t = basis[i];         \
        const size_t at = i * t->n;                  \
        t->form->CALL;                               \
    }

void rns_forward(uint64_t *x, const rns_table *const *basis, size_t limbs) { EACH_LIMB(forward(x + at, t)) }

void rns_inverse(uint64_t *x, const rns_table *const *basis, size_t limbs) { EACH_LIMB(inverse(x + at, t)) }

void rns_add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis, size_t limbs)
{
    EACH_LIMB(add(out + at, a + at, b + at, t))
}

void rns_sub(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis, size_t limbs)
{
    EACH_LIMB(sub(out + at, a + at, b + at, t))
}

void rns_neg(uint64_t *out, const uint64_t *a, const rns_table *const *basis, size_t limbs) { EACH_LIMB(neg(out + at, a + at, t)) }

void rns_mul(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis, size_t limbs)
{
    EACH_LIMB(mul(out + at, a + at, b + at, t))
}

void rns_mul_add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis, size_t limbs)
{
    EACH_LIMB(mul_add(out + at, a + at, b + at, t))
}

void rns_scale(uint64_t *out, const uint64_t *a, const uint64_t *factors, const rns_table *const *basis, size_t limbs)
{
    EACH_LIMB(scale(out + at, a + at, factors[i], t))
}

void rns_from_signed(uint64_t *out, const int64_t *in, const rns_table *const *basis, size_t limbs)
{
    EACH_LIMB(from_signed(out + at, in, t))
}

void rns_from_small(uint64_t *out, const int8_t *in, const rns_table *const *basis, size_t limbs)
{
    EACH_LIMB(from_small(out + at, in, t))
}

void rns_automorphism(uint64_t *out, const uint64_t *in, const uint32_t *permutation, size_t limbs, size_t n)
{
    for (size_t i = 0; i < limbs; i++) {
        for (size_t k = 0; k < n; k++) out[i * n + k] = in[i * n + permutation[k]];
    }
}

int rns_check(const uint64_t *in, const rns_table *const *basis, size_t limbs)
{
    uint64_t beyond = 0; /* top bit: some x was 2^63 or more, or p - 1 - x negative */
    for (size_t i = 0; i < limbs; i++) {
        const uint64_t most = basis[i]->p - 1;
        const size_t n = basis[i]->n;
        for (size_t k = 0; k < n; k++) beyond |= in[i * n + k] | (most - in[i * n + k]);
    }
    return beyond >> 63 == 0;
}
