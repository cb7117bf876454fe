/* Elementwise RNS kernels on 64-bit words. */
#include "rns_reduce.h"
#include "rns_table.h"


static void add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    for (size_t i = 0; i < t->n; i++) out[i] = once_below(a[i] + b[i], t->p);
}

static void sub(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    for (size_t i = 0; i < t->n; i++) out[i] = once_below(a[i] + t->p - b[i], t->p);
}

static void neg(uint64_t *out, const uint64_t *a, const rns_table *t)
{
    for (size_t i = 0; i < t->n; i++) out[i] = once_below(t->p - a[i], t->p);
}

static void mul(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const unsigned __int128 c = (unsigned __int128)a[i] * b[i];
        out[i] = once_below(product_lazy(c, t->p, t->bits, t->product_barrett), t->p);
    }
}

/* out < p and a b <= (p - 1)^2, so the sum is below p^2. */
static void mul_add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const unsigned __int128 c = (unsigned __int128)a[i] * b[i] + out[i];
        out[i] = once_below(product_lazy(c, t->p, t->bits, t->product_barrett), t->p);
    }
}

static void scale(uint64_t *out, const uint64_t *a, uint64_t factor, const rns_table *t)
{
    const uint64_t quotient = shoup_quotient(factor, t->p);
    for (size_t i = 0; i < t->n; i++) out[i] = once_below(shoup_lazy(a[i], factor, quotient, t->p), t->p);
}

/* lift - 2^62 < in + lift < 2^63 + p */
static void from_signed(uint64_t *out, const int64_t *in, const rns_table *t)
{
    for (size_t i = 0; i < t->n; i++) out[i] = barrett_reduce((uint64_t)in[i] + t->lift, t->p, t->barrett);
}

static void from_small(uint64_t *out, const int8_t *in, const rns_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        const uint64_t x = (uint64_t)(int64_t)in[i];
        out[i] = x + (t->p & ct_mask(x >> 63));
    }
}

const rns_form rns_form_portable = {
    .twiddle_words = ntt_words_portable,
    .fill = ntt_fill_portable,
    .forward = ntt_forward_portable,
    .inverse = ntt_inverse_portable,
    .add = add,
    .sub = sub,
    .neg = neg,
    .mul = mul,
    .mul_add = mul_add,
    .scale = scale,
    .from_signed = from_signed,
    .from_small = from_small,
};
