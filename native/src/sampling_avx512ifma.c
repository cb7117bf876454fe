/* What the samplers do with a chunk of key stream, eight words in a vector. */
#if defined(__x86_64__)
#include "dispatch.h"

#include <immintrin.h>

#define FOR_ISA __attribute__((target("avx512f,avx512vpopcntdq,popcnt")))

/* Stores at `kept` end at or before the words that were read last: kept <= i. */
FOR_ISA size_t sample_keep_avx512ifma(uint64_t *words, size_t n, uint64_t mask, uint64_t p)
{
    const __m512i masks = _mm512_set1_epi64((long long)mask), primes = _mm512_set1_epi64((long long)p);
    size_t kept = 0;
    for (size_t i = 0; i < n; i += 8) {
        const __m512i w = _mm512_and_si512(_mm512_loadu_si512(words + i), masks);
        const __mmask8 below = _mm512_cmplt_epu64_mask(w, primes);
        _mm512_storeu_si512(words + kept, _mm512_maskz_compress_epi64(below, w));
        kept += (size_t)__builtin_popcount(below);
    }
    return kept;
}

/* 3 u >= 2^64 and 3 u >= 2^65. */
FOR_ISA void sample_thirds_avx512ifma(int8_t *out, const uint64_t *words, size_t n)
{
    const __m512i one = _mm512_set1_epi64(0x5555555555555555), two = _mm512_set1_epi64((long long)0xaaaaaaaaaaaaaaaa);
    const __m512i unit = _mm512_set1_epi64(1);
    for (size_t i = 0; i < n; i += 8) {
        const __m512i u = _mm512_loadu_si512(words + i);
        __m512i r = _mm512_set1_epi64(-1);
        r = _mm512_mask_add_epi64(r, _mm512_cmpgt_epu64_mask(u, one), r, unit);
        r = _mm512_mask_add_epi64(r, _mm512_cmpgt_epu64_mask(u, two), r, unit);
        _mm_storel_epi64((__m128i *)(out + i), _mm512_cvtepi64_epi8(r));
    }
}

FOR_ISA void sample_heads_avx512ifma(int8_t *out, const uint64_t *words, size_t n)
{
    const __m512i coins = _mm512_set1_epi64(((long long)1 << 42) - 1), half = _mm512_set1_epi64(21);
    for (size_t i = 0; i < n; i += 8) {
        const __m512i heads = _mm512_popcnt_epi64(_mm512_and_si512(_mm512_loadu_si512(words + i), coins));
        _mm_storel_epi64((__m128i *)(out + i), _mm512_cvtepi64_epi8(_mm512_sub_epi64(heads, half)));
    }
}
#endif
