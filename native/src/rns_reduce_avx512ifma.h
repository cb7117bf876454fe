/*
 * Arithmetic modulo one prime p < 2^50 in eight 64-bit lanes with 52-bit products. Constant time. Include under __x86_64__.
 *
 * vpmadd52 reads the low 52 bits of its factors and adds the low or high 52 bits of their product to 64-bit lanes. "Modulo 2^52" below means that
 * a lane holds a value below 2^52 plus some multiple of 2^52, which later products do not see: sums of low halves need no masking in between.
 */
#ifndef UNSEEN_RNS_REDUCE_AVX512IFMA_H
#define UNSEEN_RNS_REDUCE_AVX512IFMA_H

#include <immintrin.h>
#include <stdint.h>

#define IFMA_TARGET __attribute__((target("avx512f,avx512dq,avx512ifma")))
#define IFMA_INLINE IFMA_TARGET static inline __attribute__((always_inline))

typedef struct {
    __m512i zero, p, two_p;
    __m512i minus_p; /* modulo 2^52 */
    __m512i barrett; /* floor(2^52 / p) */
    __m512i mask;    /* 2^52 - 1 */
} ifma_prime;

IFMA_INLINE __m512i ifma_broadcast(uint64_t x) { return _mm512_set1_epi64((long long)x); }

IFMA_INLINE ifma_prime ifma_prime_of(uint64_t p, uint64_t barrett52)
{
    return (ifma_prime){
        .zero = _mm512_setzero_si512(),
        .p = ifma_broadcast(p),
        .two_p = ifma_broadcast(2 * p),
        .minus_p = ifma_broadcast(0 - p),
        .barrett = ifma_broadcast(barrett52),
        .mask = ifma_broadcast(((uint64_t)1 << 52) - 1),
    };
}

/* [0, 2 m) -> [0, m): of x and x - m, which wraps around when it is negative, the smaller */
IFMA_INLINE __m512i ifma_once_below(__m512i x, __m512i m) { return _mm512_min_epu64(x, _mm512_sub_epi64(x, m)); }

/* acc + low half of a b */
IFMA_INLINE __m512i ifma_low(__m512i acc, __m512i a, __m512i b) { return _mm512_madd52lo_epu64(acc, a, b); }

/* acc + floor(a b / 2^52) */
IFMA_INLINE __m512i ifma_high(__m512i acc, __m512i a, __m512i b) { return _mm512_madd52hi_epu64(acc, a, b); }

/* x < 2^52 -> [0, 2p) modulo 2^52: the quotient is at most one too small. */
IFMA_INLINE __m512i ifma_fold(__m512i x, const ifma_prime *c) { return ifma_low(x, ifma_high(c->zero, x, c->barrett), c->minus_p); }

/* x < 2^52 -> [0, p) */
IFMA_INLINE __m512i ifma_reduce(__m512i x, const ifma_prime *c)
{
    return ifma_once_below(_mm512_and_si512(ifma_fold(x, c), c->mask), c->p);
}

/*
 * acc + (y w mod p, lazy, in [0, 2p)) modulo 2^52, for y < 2^52, w < p, quotient = floor(w 2^52 / p) (Shoup): the quotient floor(y quotient / 2^52)
 * is at most one too small.
 */
IFMA_INLINE __m512i ifma_times(__m512i acc, __m512i y, __m512i w, __m512i quotient, const ifma_prime *c)
{
    return ifma_low(ifma_low(acc, y, w), ifma_high(c->zero, y, quotient), c->minus_p);
}

/* y w mod p, in [0, p) */
IFMA_INLINE __m512i ifma_times_exactly(__m512i y, __m512i w, __m512i quotient, const ifma_prime *c)
{
    return ifma_once_below(_mm512_and_si512(ifma_times(c->zero, y, w, quotient, c), c->mask), c->p);
}

/* floor(w 2^52 / p), w < p; public */
static inline uint64_t ifma_quotient(uint64_t w, uint64_t p) { return (uint64_t)(((unsigned __int128)w << 52) / p); }

#endif
