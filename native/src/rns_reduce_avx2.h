/*
 * Arithmetic modulo one prime p < 2^50 in four lanes of doubles that hold integers (as FLINT's fft_small does). Constant time. Include under
 * __x86_64__. Compile without contraction of products and sums (-std=c11 is enough).
 *
 * A product y w of integers is h + l exactly, h rounded and l what that lost. With q an integer near y w / p, h - q p = (y w - q p) - l is an
 * integer below 2^53 and therefore exact in one fused step, and so is the sum with l.
 */
#ifndef UNSEEN_RNS_REDUCE_AVX2_H
#define UNSEEN_RNS_REDUCE_AVX2_H

#include <immintrin.h>
#include <stdint.h>

#define AVX2_TARGET __attribute__((target("avx2,fma")))
#define AVX2_INLINE AVX2_TARGET static inline __attribute__((always_inline))

typedef struct {
    __m256d p, reciprocal; /* 1 / p, rounded */
} avx2_prime;

AVX2_INLINE avx2_prime avx2_prime_of(uint64_t p) { return (avx2_prime){_mm256_set1_pd((double)p), _mm256_set1_pd(1.0 / (double)p)}; }

/* 2^52, whose last bit weighs 1 */
AVX2_INLINE __m256d avx2_one_ulp(void) { return _mm256_set1_pd(4503599627370496.0); }

/* Integers below 2^52 to doubles and back. */
AVX2_INLINE __m256d avx2_from_words(__m256i x)
{
    return _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(x, _mm256_castpd_si256(avx2_one_ulp()))), avx2_one_ulp());
}

AVX2_INLINE __m256i avx2_to_words(__m256d x)
{
    return _mm256_castpd_si256(_mm256_xor_pd(_mm256_add_pd(x, avx2_one_ulp()), avx2_one_ulp()));
}

AVX2_INLINE __m256d avx2_nearest(__m256d x) { return _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/*
 * y w - p times the integer nearest to y * ratio. For |y| <= 2^53, |w| <= p / 2 and ratio = w / p rounded, y * ratio is off by |y| / 2^53 at most
 * (half of it from either rounding), so the result is at most p (1/2 + |y| / 2^53) in absolute value.
 */
AVX2_INLINE __m256d avx2_times(__m256d y, __m256d w, __m256d ratio, const avx2_prime *c)
{
    const __m256d h = _mm256_mul_pd(y, w), q = avx2_nearest(_mm256_mul_pd(y, ratio)), l = _mm256_fmsub_pd(y, w, h);
    return _mm256_add_pd(_mm256_fnmadd_pd(q, c->p, h), l);
}

/* a b mod p for a, b in [0, p), between -p and p: h / p is below 2^50 and off by three roundings, 3 * 2^50 / 2^53 < 1/2. */
AVX2_INLINE __m256d avx2_product(__m256d a, __m256d b, const avx2_prime *c)
{
    const __m256d h = _mm256_mul_pd(a, b), l = _mm256_fmsub_pd(a, b, h), q = avx2_nearest(_mm256_mul_pd(h, c->reciprocal));
    return _mm256_add_pd(_mm256_fnmadd_pd(q, c->p, h), l);
}

/* |x| <= 2^53 -> at most p (1/2 + 2^-18) in absolute value, as p > 2^20 and x / p is off by 2 * 2^33 / 2^53 */
AVX2_INLINE __m256d avx2_fold(__m256d x, const avx2_prime *c)
{
    return _mm256_fnmadd_pd(avx2_nearest(_mm256_mul_pd(x, c->reciprocal)), c->p, x);
}

/* (-p, p) -> [0, p) */
AVX2_INLINE __m256d avx2_positive(__m256d x, const avx2_prime *c)
{
    return _mm256_add_pd(x, _mm256_and_pd(_mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_LT_OQ), c->p));
}

/* |x| <= 2^53 -> the word in [0, p) */
AVX2_INLINE __m256i avx2_reduce(__m256d x, const avx2_prime *c) { return avx2_to_words(avx2_positive(avx2_fold(x, c), c)); }

/* (w, w / p), w in [0, p), public, made symmetric around 0 */
static inline double avx2_symmetric(uint64_t w, uint64_t p) { return w > p / 2 ? -(double)(p - w) : (double)w; }

#endif
