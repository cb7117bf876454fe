/* Key switching with AVX2: exact products in pairs of doubles by fused multiply-add (Dekker 1971), reduced at once. Factors are plain. */
#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

#define FOR_ISA __attribute__((target("avx2,fma")))
#define FORM switch_avx2
#define RADIX 0
#define LANES 4

#include "element.h"
#include "switching_forms.h"

typedef __m256i words;
typedef __m256d factor, sum; /* integers; a sum lies within 1.2 p of 0, after sum_wrap within 8 p */
typedef __m256d wraps;       /* -D */
typedef struct {
    __m256d p, reciprocal;
} prime;

FOR_ISA INLINE words load(const uint64_t *at) { return _mm256_loadu_si256((const __m256i *)at); }
FOR_ISA INLINE void store(uint64_t *at, words x) { _mm256_storeu_si256((__m256i *)at, x); }
FOR_ISA INLINE words all(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
FOR_ISA INLINE words add(words a, words b) { return _mm256_add_epi64(a, b); }
FOR_ISA INLINE words sub(words a, words b) { return _mm256_sub_epi64(a, b); }
FOR_ISA INLINE words both(words a, words b) { return _mm256_and_si256(a, b); }
FOR_ISA INLINE words shift_left(words a, int bits) { return _mm256_slli_epi64(a, bits); }
FOR_ISA INLINE words shift_right(words a, int bits) { return _mm256_srli_epi64(a, bits); }
FOR_ISA INLINE words mul32(words a, words b) { return _mm256_mul_epu32(a, b); }

FOR_ISA INLINE words load_bytes(const uint8_t *at)
{
    int32_t four;
    memcpy(&four, at, 4);
    return _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
}

FOR_ISA INLINE void store_bytes(uint8_t *at, words x)
{
    const __m128i pairs = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)); /* 16-bit x0 0 x1 0 x2 0 x3 0 */
    const int32_t four = _mm_cvtsi128_si32(_mm_shuffle_epi8(pairs, _mm_set1_epi32(0x0c080400)));
    memcpy(at, &four, 4);
}

/* 2^52 as a double, whose last 52 bits are those of the number added to it */
FOR_ISA INLINE factor as_double(words x)
{
    const __m256d base = _mm256_set1_pd(0x1p52);
    return _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(x, _mm256_castpd_si256(base))), base);
}

FOR_ISA INLINE words as_words(factor x)
{
    const __m256d base = _mm256_set1_pd(0x1p52);
    return _mm256_xor_si256(_mm256_castpd_si256(_mm256_add_pd(x, base)), _mm256_castpd_si256(base));
}

FOR_ISA INLINE factor take(const uint64_t *at) { return as_double(load(at)); }
FOR_ISA INLINE factor every(uint64_t x) { return _mm256_set1_pd((double)x); }
FOR_ISA INLINE factor as_factor(words x) { return as_double(x); }

FOR_ISA INLINE prime prime_of(const switch_modulus *m) { return (prime){_mm256_set1_pd((double)m->p), _mm256_set1_pd(m->reciprocal)}; }
FOR_ISA INLINE wraps wraps_of(const switch_target *target) { return every(target->wrap); }

FOR_ISA INLINE sum sum_zero(prime p)
{
    (void)p;
    return _mm256_setzero_pd();
}

FOR_ISA INLINE __m256d nearest(__m256d x) { return _mm256_round_pd(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

/*
 * x y = high + low exactly, |x y| < 2^100, |low| <= 2^-53 x y < p / 8. The quotient of high + s by p is below 2^51 and computed within
 * 3 2^-53 of it, hence rounded within 0.9; high - quotient p is then an integer below 2^53 and a fused multiply-add gives it exactly.
 */
FOR_ISA INLINE sum sum_add(sum s, factor x, factor y, prime p)
{
    const __m256d high = _mm256_mul_pd(x, y), low = _mm256_fmsub_pd(x, y, high);
    const __m256d quotient = nearest(_mm256_mul_pd(_mm256_add_pd(high, s), p.reciprocal));
    return _mm256_add_pd(_mm256_fnmadd_pd(quotient, p.p, high), _mm256_add_pd(low, s));
}

FOR_ISA INLINE sum sum_wrap(sum s, const uint8_t *v, wraps w) { return _mm256_fmadd_pd(as_double(load_bytes(v)), w, s); }

/* |s| <= 9 p: within p / 2 of 0 after the quotient is taken off */
FOR_ISA INLINE words canonical(sum s, prime p, int corrections)
{
    (void)corrections;
    const __m256d x = _mm256_fnmadd_pd(nearest(_mm256_mul_pd(s, p.reciprocal)), p.p, s);
    return as_words(_mm256_add_pd(x, _mm256_and_pd(p.p, _mm256_cmp_pd(x, _mm256_setzero_pd(), _CMP_LT_OQ))));
}

FOR_ISA INLINE words below_50(sum s, prime p) { return canonical(s, p, 1); }

FOR_ISA INLINE factor scaled(factor x, factor c, prime p) { return sum_add(sum_zero(p), x, c, p); }

#include "switching_template.h"
#endif
