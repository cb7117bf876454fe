/* Residues as bits, eight at a time: eight residues of b bits are b whole bytes. */
#include "dispatch.h"
#include "element.h"
#include "packing.h"

INLINE int bit_length(uint64_t p) { return 64 - __builtin_clzll(p); }

void pack_residues(uint8_t *out, const uint64_t *in, size_t count, const uint64_t *primes, size_t limbs, size_t n)
{
    for (size_t row = 0; row < count * limbs; row++, in += n) {
        const int b = bit_length(primes[row % limbs]);
        kernels_active->pack(out, in, n, b);
        out += n / 8 * (size_t)b;
    }
}

int unpack_residues(uint64_t *out, const uint8_t *in, size_t count, const uint64_t *primes, size_t limbs, size_t n)
{
    int below = 1;
    for (size_t row = 0; row < count * limbs; row++, out += n) {
        const uint64_t p = primes[row % limbs];
        below &= kernels_active->unpack(out, in, n, bit_length(p), p);
        in += n / 8 * (size_t)bit_length(p);
    }
    return below;
}

/* Each word is stored whole; its zeros above b bits are overwritten by the next. A residue begins in the byte where the last one ended,
 * and b + 7 < 64. So 8 bytes are written from byte floor(7 b / 8) on: up to 7 more than belong to these eight residues. */
INLINE void pack_eight(uint8_t *out, const uint64_t *in, const int b)
{
    uint64_t begun = 0;
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        const int first = i * b / 8, end = (i + 1) * b / 8;
        const uint64_t word = begun | in[i] << (i * b % 8);
        memcpy(out + first, &word, 8);
        begun = word >> (8 * (end - first));
    }
}

void pack_portable(uint8_t *out, const uint64_t *in, size_t n, int b)
{
    uint8_t last[64 + 8];
    const size_t bytes = (size_t)b;
    size_t left = n / 8;
    for (; left > 1; left--, in += 8, out += bytes) pack_eight(out, in, b); /* at least b >= 8 bytes follow */
    if (left > 0) {
        pack_eight(last, in, b);
        memcpy(out, last, bytes);
    }
}

/* Reads 8 bytes from byte floor(7 b / 8) on. */
INLINE uint64_t unpack_eight(uint64_t *out, const uint8_t *in, const int b, uint64_t p)
{
    const uint64_t mask = ((uint64_t)1 << b) - 1;
    uint64_t below = 1;
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        uint64_t word;
        memcpy(&word, in + i * b / 8, 8);
        out[i] = word >> (i * b % 8) & mask;
        below &= (out[i] - p) >> 63; /* both are below 2^63 */
    }
    return below;
}

int unpack_portable(uint64_t *out, const uint8_t *in, size_t n, int b, uint64_t p)
{
    uint8_t last[64 + 8] = {0};
    const size_t bytes = (size_t)b;
    uint64_t below = 1;
    size_t left = n / 8;
    for (; left > 1; left--, out += 8, in += bytes) below &= unpack_eight(out, in, b, p);
    if (left > 0) {
        memcpy(last, in, bytes);
        below &= unpack_eight(out, last, b, p);
    }
    return (int)below;
}
