/* Key switching with AVX-512 IFMA: sums of low and of high 52-bit halves of products, REDC with R = 2^52. */
#if defined(__x86_64__)
#include <immintrin.h>

#define FOR_ISA __attribute__((target("avx512f,avx512dq,avx512ifma")))
#define FORM switch_avx512ifma
#define RADIX 52
#define LANES 8

#include "element.h"
#include "switching_forms.h"

typedef __m512i words, factor;
typedef struct {
    __m512i low, high;
} sum;
typedef __m512i wraps;
typedef struct {
    __m512i p, inverse;
} prime;
FOR_ISA INLINE words load(const uint64_t *at) { return _mm512_loadu_si512(at); }
FOR_ISA INLINE void store(uint64_t *at, words x) { _mm512_storeu_si512(at, x); }
FOR_ISA INLINE words all(uint64_t x) { return _mm512_set1_epi64((long long)x); }
FOR_ISA INLINE words load_bytes(const uint8_t *at) { return _mm512_cvtepu8_epi64(_mm_loadl_epi64((const __m128i *)at)); }
FOR_ISA INLINE void store_bytes(uint8_t *at, words x) { _mm_storel_epi64((__m128i *)at, _mm512_cvtepi64_epi8(x)); }
FOR_ISA INLINE words add(words a, words b) { return _mm512_add_epi64(a, b); }
FOR_ISA INLINE words sub(words a, words b) { return _mm512_sub_epi64(a, b); }
FOR_ISA INLINE words both(words a, words b) { return _mm512_and_si512(a, b); }
FOR_ISA INLINE words shift_left(words a, int bits) { return _mm512_slli_epi64(a, (unsigned)bits); }
FOR_ISA INLINE words shift_right(words a, int bits) { return _mm512_srli_epi64(a, (unsigned)bits); }
FOR_ISA INLINE words mul32(words a, words b) { return _mm512_mul_epu32(a, b); }

FOR_ISA INLINE factor take(const uint64_t *at) { return load(at); }
FOR_ISA INLINE factor every(uint64_t x) { return all(x); }
FOR_ISA INLINE factor as_factor(words x) { return x; }

FOR_ISA INLINE prime prime_of(const switch_modulus *m) { return (prime){all(m->p), all(m->inverse)}; }
FOR_ISA INLINE wraps wraps_of(const switch_target *target) { return load(target->wraps); }

/* The p in high makes what redc leaves positive. */
FOR_ISA INLINE sum sum_zero(prime p) { return (sum){_mm512_setzero_si512(), p.p}; }

FOR_ISA INLINE sum sum_add(sum s, factor x, factor y, prime p)
{
    (void)p;
    return (sum){_mm512_madd52lo_epu64(s.low, x, y), _mm512_madd52hi_epu64(s.high, x, y)};
}

/* wraps[v] R */
FOR_ISA INLINE sum sum_wrap(sum s, const uint8_t *v, wraps w) { return (sum){s.low, add(s.high, _mm512_permutexvar_epi64(load_bytes(v), w))}; }

/* (s - (s p^-1 mod R) p) / R + p: low halves cancel. The multiplier reads 52 bits of each operand. In (0, p + products / R + wraps[v]). */
FOR_ISA INLINE words redc(sum s, prime p)
{
    const __m512i zero = _mm512_setzero_si512();
    const __m512i multiple = _mm512_madd52hi_epu64(zero, _mm512_madd52lo_epu64(zero, s.low, p.inverse), p.p);
    return sub(add(s.high, shift_right(s.low, 52)), multiple);
}

FOR_ISA INLINE words below_50(sum s, prime p) { return redc(s, p); }

/* Of x and x - 2^i p, the latter huge when negative, the smaller. */
FOR_ISA INLINE words canonical(sum s, prime p, int corrections)
{
    words x = redc(s, p);
    for (int i = corrections - 1; i >= 0; i--) x = _mm512_min_epu64(x, sub(x, shift_left(p.p, i)));
    return x;
}

FOR_ISA INLINE factor scaled(factor x, factor c, prime p) { return redc(sum_add(sum_zero(p), x, c, p), p); }

#include "switching_template.h"
#endif
