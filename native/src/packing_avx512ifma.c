/* Residues as bits with byte permutations (VBMI): eight residues of b bits are b bytes of one vector. */
#if defined(__x86_64__)
#include "dispatch.h"
#include "packing.h"

#include <immintrin.h>

#define FOR_ISA __attribute__((target("avx512f,avx512bw,avx512vbmi")))

/* What is the same for all groups of eight: residue i begins at bit begin[i] of byte i b / 8. */
typedef struct {
    uint64_t begin[8];
    /* packing: out byte j is byte even[j] of the shifted words, or byte odd[j], or both, where bit j of is_... is set */
    uint8_t even[64], odd[64];
    uint64_t is_even, is_odd;
    uint8_t from[64]; /* unpacking: byte j of the words is byte from[j] of the stream */
} layout;

static layout layout_of(int b)
{
    layout l = {.is_even = 0};
    for (int i = 0; i < 8; i++) {
        const int first = i * b / 8, end = ((i + 1) * b + 7) / 8;
        l.begin[i] = (uint64_t)(i * b % 8);
        for (int j = first; j < end; j++) {
            *(i % 2 == 0 ? &l.even[j] : &l.odd[j]) = (uint8_t)(8 * i + j - first);
            *(i % 2 == 0 ? &l.is_even : &l.is_odd) |= (uint64_t)1 << j;
        }
        for (int j = 0; j < 8; j++) l.from[8 * i + j] = (uint8_t)((first + j) % 64);
    }
    return l;
}

/* b >= 8: residues i and i + 2 share no byte. */
FOR_ISA void pack_avx512ifma(uint8_t *out, const uint64_t *in, size_t n, int b)
{
    const layout l = layout_of(b);
    const __m512i begin = _mm512_loadu_si512(l.begin), even = _mm512_loadu_si512(l.even), odd = _mm512_loadu_si512(l.odd);
    const __mmask64 group = ((uint64_t)1 << b) - 1;
    const uint8_t *const end = out + n / 8 * (size_t)b;
    for (size_t i = 0; i < n; i += 8, out += b) {
        const __m512i words = _mm512_sllv_epi64(_mm512_loadu_si512(in + i), begin);
        const __m512i bytes = _mm512_or_si512(_mm512_maskz_permutexvar_epi8(l.is_even, even, words),
                                              _mm512_maskz_permutexvar_epi8(l.is_odd, odd, words));
        if (end - out >= 64) { /* what it writes too much, the next groups overwrite: masked stores are slow */
            _mm512_storeu_si512(out, bytes);
        } else {
            _mm512_mask_storeu_epi8(out, group, bytes);
        }
    }
}

FOR_ISA int unpack_avx512ifma(uint64_t *out, const uint8_t *in, size_t n, int b, uint64_t p)
{
    const layout l = layout_of(b);
    const __m512i begin = _mm512_loadu_si512(l.begin), from = _mm512_loadu_si512(l.from);
    const __m512i mask = _mm512_set1_epi64(((long long)1 << b) - 1), prime = _mm512_set1_epi64((long long)p);
    const __mmask64 group = ((uint64_t)1 << b) - 1;
    __mmask8 below = 0xff;
    for (size_t i = 0; i < n; i += 8, in += b) {
        const __m512i bytes = _mm512_permutexvar_epi8(from, _mm512_maskz_loadu_epi8(group, in));
        const __m512i words = _mm512_and_si512(_mm512_srlv_epi64(bytes, begin), mask);
        below &= _mm512_cmplt_epu64_mask(words, prime);
        _mm512_storeu_si512(out + i, words);
    }
    return below == 0xff;
}
#endif
