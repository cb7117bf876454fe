/* Elementwise RNS kernels with 512-bit vectors. n is a multiple of 8. */
#if defined(__x86_64__)
#include "rns_reduce_avx512ifma.h"
#include "rns_table.h"

#define EACH_VECTOR for (size_t i = 0; i < t->n; i += 8)

IFMA_INLINE ifma_prime prime_of(const rns_table *t) { return ifma_prime_of(t->p, t->barrett52); }
IFMA_INLINE __m512i load(const uint64_t *at) { return _mm512_loadu_si512(at); }
IFMA_INLINE void store(uint64_t *at, __m512i x) { _mm512_storeu_si512(at, x); }

IFMA_TARGET static void add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    const ifma_prime c = prime_of(t);
    EACH_VECTOR store(out + i, ifma_once_below(_mm512_add_epi64(load(a + i), load(b + i)), c.p));
}

IFMA_TARGET static void sub(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    const ifma_prime c = prime_of(t);
    EACH_VECTOR
    {
        const __m512i d = _mm512_sub_epi64(load(a + i), load(b + i)); /* wraps around when it is negative; d + p then does again */
        store(out + i, _mm512_min_epu64(d, _mm512_add_epi64(d, c.p)));
    }
}

IFMA_TARGET static void neg(uint64_t *out, const uint64_t *a, const rns_table *t)
{
    const ifma_prime c = prime_of(t);
    EACH_VECTOR store(out + i, ifma_once_below(_mm512_sub_epi64(c.p, load(a + i)), c.p));
}

/*
 * (a b + acc) mod p for acc < p. k = bits, 2^(k - 1) < p < 2^k <= 2^50:
 * c1 = floor(a 2^(52 - k) * 4 b / 2^52) = floor(a b / 2^(k - 2)) < 2^52, q = floor(c1 floor(2^(50 + k) / p) / 2^52) > a b / p - 1/2 - 1 - 1,
 * so a b + acc - q p lies in [0, 3.5 p).
 */
IFMA_INLINE __m512i product(__m512i a, __m512i b, __m512i acc, __m128i shift, __m512i reciprocal, const ifma_prime *c)
{
    const __m512i top = ifma_high(c->zero, _mm512_sll_epi64(a, shift), _mm512_slli_epi64(b, 2));
    const __m512i r = ifma_low(ifma_low(acc, a, b), ifma_high(c->zero, top, reciprocal), c->minus_p);
    return ifma_once_below(ifma_once_below(_mm512_and_si512(r, c->mask), c->two_p), c->p);
}

IFMA_TARGET static void mul(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    const ifma_prime c = prime_of(t);
    const __m128i shift = _mm_cvtsi32_si128(52 - t->bits);
    const __m512i reciprocal = ifma_broadcast(t->product_barrett52);
    EACH_VECTOR store(out + i, product(load(a + i), load(b + i), c.zero, shift, reciprocal, &c));
}

IFMA_TARGET static void mul_add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    const ifma_prime c = prime_of(t);
    const __m128i shift = _mm_cvtsi32_si128(52 - t->bits);
    const __m512i reciprocal = ifma_broadcast(t->product_barrett52);
    EACH_VECTOR store(out + i, product(load(a + i), load(b + i), load(out + i), shift, reciprocal, &c));
}

IFMA_TARGET static void scale(uint64_t *out, const uint64_t *a, uint64_t factor, const rns_table *t)
{
    const ifma_prime c = prime_of(t);
    const __m512i w = ifma_broadcast(factor), quotient = ifma_broadcast(ifma_quotient(factor, t->p));
    EACH_VECTOR store(out + i, ifma_times_exactly(load(a + i), w, quotient, &c));
}

/* in + lift < 2^63 + p, as a 2^32 + b: a 2^32 mod p, lazy, and b are below 2^51 + 2^32 together. */
IFMA_TARGET static void from_signed(uint64_t *out, const int64_t *in, const rns_table *t)
{
    const ifma_prime c = prime_of(t);
    const uint64_t factor = ((uint64_t)1 << 32) % t->p;
    const __m512i w = ifma_broadcast(factor), quotient = ifma_broadcast(ifma_quotient(factor, t->p));
    const __m512i lift = ifma_broadcast(t->lift), low = ifma_broadcast(UINT32_MAX);
    EACH_VECTOR
    {
        const __m512i x = _mm512_add_epi64(_mm512_loadu_si512(in + i), lift);
        const __m512i r = ifma_times(_mm512_and_si512(x, low), _mm512_srli_epi64(x, 32), w, quotient, &c);
        store(out + i, ifma_reduce(_mm512_and_si512(r, c.mask), &c));
    }
}

IFMA_TARGET static void from_small(uint64_t *out, const int8_t *in, const rns_table *t)
{
    const ifma_prime c = prime_of(t);
    EACH_VECTOR
    {
        const __m512i x = _mm512_cvtepi8_epi64(_mm_loadl_epi64((const __m128i *)(const void *)(in + i)));
        store(out + i, _mm512_min_epu64(x, _mm512_add_epi64(x, c.p)));
    }
}

const rns_form rns_form_avx512ifma = {
    .twiddle_words = ntt_words_avx512ifma,
    .fill = ntt_fill_avx512ifma,
    .forward = ntt_forward_avx512ifma,
    .inverse = ntt_inverse_avx512ifma,
    .add = add,
    .sub = sub,
    .neg = neg,
    .mul = mul,
    .mul_add = mul_add,
    .scale = scale,
    .from_signed = from_signed,
    .from_small = from_small,
};
#endif
