/* AES-128 with VAES: four blocks in a vector, four vectors in flight. */
#if defined(__x86_64__)
#include "dispatch.h"

#include "element.h"

#include <immintrin.h>

#define FOR_ISA __attribute__((target("avx512f,vaes")))

enum { ROUNDS = 10, VECTORS = 4, BATCH = 4 * VECTORS };

FOR_ISA INLINE void encrypt(uint8_t *out, const uint8_t *in, const __m512i *keys)
{
    __m512i x[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) x[v] = _mm512_xor_si512(_mm512_loadu_si512((const void *)(in + 64 * v)), keys[0]);
#pragma GCC unroll 10
    for (int round = 1; round < ROUNDS; round++) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) x[v] = _mm512_aesenc_epi128(x[v], keys[round]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++) _mm512_storeu_si512((void *)(out + 64 * v), _mm512_aesenclast_epi128(x[v], keys[ROUNDS]));
}

FOR_ISA void aes_blocks_avx512ifma(uint8_t *out, const uint8_t *in, size_t blocks, const uint8_t *round_keys)
{
    __m512i keys[ROUNDS + 1];
    for (int round = 0; round <= ROUNDS; round++) {
        keys[round] = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(round_keys + 16 * round)));
    }
    for (; blocks >= BATCH; blocks -= BATCH, in += 16 * BATCH, out += 16 * BATCH) encrypt(out, in, keys);
    if (blocks > 0) {
        uint8_t batch[16 * BATCH] = {0};
        memcpy(batch, in, 16 * blocks);
        encrypt(batch, batch, keys);
        memcpy(out, batch, 16 * blocks);
    }
}
#endif
