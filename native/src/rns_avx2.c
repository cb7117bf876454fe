/* Elementwise RNS kernels with 256-bit vectors. n is a multiple of 8. */
#if defined(__x86_64__)
#include "rns_reduce_avx2.h"
#include "rns_table.h"

#include <string.h>

#define EACH_VECTOR for (size_t i = 0; i < t->n; i += 4)

AVX2_INLINE __m256i load(const void *at) { return _mm256_loadu_si256((const __m256i *)at); }
AVX2_INLINE void store(uint64_t *at, __m256i x) { _mm256_storeu_si256((__m256i *)(void *)at, x); }
AVX2_INLINE __m256d load_double(const uint64_t *at) { return avx2_from_words(load(at)); }

/* (-p, p) as signed words -> [0, p) */
AVX2_INLINE __m256i not_negative(__m256i x, __m256i p)
{
    return _mm256_add_epi64(x, _mm256_and_si256(_mm256_cmpgt_epi64(_mm256_setzero_si256(), x), p));
}

AVX2_TARGET static void add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    const __m256i p = _mm256_set1_epi64x((long long)t->p);
    EACH_VECTOR store(out + i, not_negative(_mm256_sub_epi64(_mm256_add_epi64(load(a + i), load(b + i)), p), p));
}

AVX2_TARGET static void sub(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    const __m256i p = _mm256_set1_epi64x((long long)t->p);
    EACH_VECTOR store(out + i, not_negative(_mm256_sub_epi64(load(a + i), load(b + i)), p));
}

AVX2_TARGET static void neg(uint64_t *out, const uint64_t *a, const rns_table *t)
{
    const __m256i p = _mm256_set1_epi64x((long long)t->p);
    EACH_VECTOR store(out + i, not_negative(_mm256_sub_epi64(_mm256_setzero_si256(), load(a + i)), p));
}

AVX2_TARGET static void mul(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    const avx2_prime c = avx2_prime_of(t->p);
    EACH_VECTOR store(out + i, avx2_to_words(avx2_positive(avx2_product(load_double(a + i), load_double(b + i), &c), &c)));
}

AVX2_TARGET static void mul_add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t)
{
    const avx2_prime c = avx2_prime_of(t->p);
    EACH_VECTOR
    {
        const __m256d product = avx2_product(load_double(a + i), load_double(b + i), &c);
        store(out + i, avx2_reduce(_mm256_add_pd(product, load_double(out + i)), &c));
    }
}

AVX2_TARGET static void scale(uint64_t *out, const uint64_t *a, uint64_t factor, const rns_table *t)
{
    const avx2_prime c = avx2_prime_of(t->p);
    const double value = avx2_symmetric(factor, t->p);
    const __m256d w = _mm256_set1_pd(value), ratio = _mm256_set1_pd(value / (double)t->p);
    EACH_VECTOR store(out + i, avx2_to_words(avx2_positive(avx2_times(load_double(a + i), w, ratio, &c), &c)));
}

/* in + lift < 2^63 + p, as a 2^32 + b: a 2^32 mod p and b are below 2^51 together. */
AVX2_TARGET static void from_signed(uint64_t *out, const int64_t *in, const rns_table *t)
{
    const avx2_prime c = avx2_prime_of(t->p);
    const double value = avx2_symmetric(((uint64_t)1 << 32) % t->p, t->p);
    const __m256d w = _mm256_set1_pd(value), ratio = _mm256_set1_pd(value / (double)t->p);
    const __m256i lift = _mm256_set1_epi64x((long long)t->lift), low = _mm256_set1_epi64x(UINT32_MAX);
    EACH_VECTOR
    {
        const __m256i x = _mm256_add_epi64(load(in + i), lift);
        const __m256d top = avx2_times(avx2_from_words(_mm256_srli_epi64(x, 32)), w, ratio, &c);
        store(out + i, avx2_reduce(_mm256_add_pd(top, avx2_from_words(_mm256_and_si256(x, low))), &c));
    }
}

AVX2_TARGET static void from_small(uint64_t *out, const int8_t *in, const rns_table *t)
{
    const __m256i p = _mm256_set1_epi64x((long long)t->p);
    EACH_VECTOR
    {
        int32_t four;
        memcpy(&four, in + i, sizeof four);
        store(out + i, not_negative(_mm256_cvtepi8_epi64(_mm_cvtsi32_si128(four)), p));
    }
}

const rns_form rns_form_avx2 = {
    .twiddle_words = ntt_words_avx2,
    .fill = ntt_fill_avx2,
    .forward = ntt_forward_avx2,
    .inverse = ntt_inverse_avx2,
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
