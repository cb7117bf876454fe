/* What the samplers do with a chunk of key stream, four words in a vector. */
#if defined(__x86_64__)
#include "ct.h"
#include "dispatch.h"

#include <immintrin.h>

#define FOR_ISA __attribute__((target("avx2,popcnt")))

/* KEPT[m]: 32-bit lanes that bring the words of the bits of m to the front. */
#define PAIR(i) 2 * (i), 2 * (i) + 1
static const uint32_t KEPT[16][8] = {
    {0}, {PAIR(0)}, {PAIR(1)}, {PAIR(0), PAIR(1)}, {PAIR(2)}, {PAIR(0), PAIR(2)}, {PAIR(1), PAIR(2)}, {PAIR(0), PAIR(1), PAIR(2)},
    {PAIR(3)}, {PAIR(0), PAIR(3)}, {PAIR(1), PAIR(3)}, {PAIR(0), PAIR(1), PAIR(3)}, {PAIR(2), PAIR(3)}, {PAIR(0), PAIR(2), PAIR(3)},
    {PAIR(1), PAIR(2), PAIR(3)}, {PAIR(0), PAIR(1), PAIR(2), PAIR(3)},
};

/* Stores at `kept` end at or before the words that were read last: kept <= i. */
FOR_ISA size_t sample_keep_avx2(uint64_t *words, size_t n, uint64_t mask, uint64_t p)
{
    const __m256i masks = _mm256_set1_epi64x((long long)mask), primes = _mm256_set1_epi64x((long long)p);
    size_t kept = 0;
    for (size_t i = 0; i < n; i += 4) {
        const __m256i w = _mm256_and_si256(_mm256_loadu_si256((const void *)(words + i)), masks);
        const int below = _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(primes, w)));
        const __m256i order = _mm256_loadu_si256((const void *)KEPT[below]);
        _mm256_storeu_si256((void *)(words + kept), _mm256_permutevar8x32_epi32(w, order));
        kept += (size_t)__builtin_popcount((unsigned)below);
    }
    return kept;
}

/* 3 u >= 2^64 and 3 u >= 2^65, as differences of signed numbers: u is shifted by 2^63. */
FOR_ISA void sample_thirds_avx2(int8_t *out, const uint64_t *words, size_t n)
{
    const __m256i top = _mm256_set1_epi64x(INT64_MIN);
    const __m256i one = _mm256_set1_epi64x((long long)(0x5555555555555555 ^ (uint64_t)1 << 63));
    const __m256i two = _mm256_set1_epi64x((long long)(0xaaaaaaaaaaaaaaaa ^ (uint64_t)1 << 63));
    for (size_t i = 0; i < n; i += 4) {
        const __m256i u = _mm256_xor_si256(_mm256_loadu_si256((const void *)(words + i)), top);
        const __m256i negative = _mm256_add_epi64(_mm256_cmpgt_epi64(u, one), _mm256_cmpgt_epi64(u, two)); /* 0, -1, -2 */
        const __m256i r = _mm256_sub_epi64(_mm256_set1_epi64x(-1), negative);
        const __m256i bytes = _mm256_shuffle_epi8(r, _mm256_set1_epi16(0x0800));
        const uint32_t pairs = (uint32_t)_mm256_extract_epi16(bytes, 0) | (uint32_t)_mm256_extract_epi16(bytes, 8) << 16;
        __builtin_memcpy(out + i, &pairs, 4);
    }
}

FOR_ISA void sample_heads_avx2(int8_t *out, const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (int8_t)(__builtin_popcountll(words[i] & (((uint64_t)1 << 42) - 1)) - 21);
}
#endif
