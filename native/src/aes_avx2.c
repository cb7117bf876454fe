/* AES-128 with the AES instructions, eight blocks in flight to hide their latency. */
#if defined(__x86_64__)
#include "dispatch.h"

#include "element.h"

#include <immintrin.h>

#define FOR_ISA __attribute__((target("aes,sse2")))

enum { ROUNDS = 10, BATCH = 8 };

FOR_ISA INLINE void encrypt(uint8_t *out, const uint8_t *in, const __m128i *keys, const int count)
{
    __m128i x[BATCH];
#pragma GCC unroll 8
    for (int b = 0; b < count; b++) x[b] = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(in + 16 * b)), keys[0]);
#pragma GCC unroll 10
    for (int round = 1; round < ROUNDS; round++) {
#pragma GCC unroll 8
        for (int b = 0; b < count; b++) x[b] = _mm_aesenc_si128(x[b], keys[round]);
    }
#pragma GCC unroll 8
    for (int b = 0; b < count; b++) _mm_storeu_si128((__m128i *)(out + 16 * b), _mm_aesenclast_si128(x[b], keys[ROUNDS]));
}

FOR_ISA void aes_blocks_avx2(uint8_t *out, const uint8_t *in, size_t blocks, const uint8_t *round_keys)
{
    __m128i keys[ROUNDS + 1];
    for (int round = 0; round <= ROUNDS; round++) keys[round] = _mm_loadu_si128((const __m128i *)(round_keys + 16 * round));
    for (; blocks >= BATCH; blocks -= BATCH, in += 16 * BATCH, out += 16 * BATCH) encrypt(out, in, keys, BATCH);
    for (; blocks > 0; blocks--, in += 16, out += 16) encrypt(out, in, keys, 1);
}
#endif
