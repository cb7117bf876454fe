/*
 * Elements <-> bit planes by transposing 64 x 64 bit matrices. Included by bits_*.c, which define
 *   TO_PLANES, FROM_PLANES   the names of the two functions
 *   FOR_ISA                  the attribute that selects the instruction set
 *
 * Eight matrices (512 elements) are transposed at once: m[r] holds row r of all eight, one a lane, so that every step of the
 * transposition is one vector operation and a finished row is eight neighbouring words of a plane.
 */
#include "element.h"
#include "kernels.h"

typedef uint64_t row8 __attribute__((vector_size(64)));

/* Swaps the two off-diagonal quarters, then the same inside each quarter, ... (Hacker's Delight, 7-3). Its own inverse. */
FOR_ISA INLINE void transpose_step(row8 m[64], const int s, const uint64_t mask)
{
    for (int k = 0; k < 64; k = ((k | s) + 1) & ~s) {
        const row8 t = (m[k] >> s ^ m[k + s]) & mask;
        m[k + s] ^= t;
        m[k] ^= t << s;
    }
}

FOR_ISA INLINE void transpose(row8 m[64])
{
    transpose_step(m, 32, 0x00000000ffffffff);
    transpose_step(m, 16, 0x0000ffff0000ffff);
    transpose_step(m, 8, 0x00ff00ff00ff00ff);
    transpose_step(m, 4, 0x0f0f0f0f0f0f0f0f);
    transpose_step(m, 2, 0x3333333333333333);
    transpose_step(m, 1, 0x5555555555555555);
}

INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

FOR_ISA void TO_PLANES(uint64_t *out, const uint64_t *in, size_t n, size_t planes, int limbs)
{
    const size_t words = (n + 63) / 64;
    row8 m[64];
    uint64_t(*const cell)[8] = (uint64_t(*)[8])m;
    for (size_t first = 0; first < n; first += 512) {
        const size_t count = smaller(n - first, 512), lanes = (count + 63) / 64;
        for (size_t limb = 0; 64 * limb < planes; limb++) {
            if (count < 512) {
                memset(m, 0, sizeof m);
            }
            for (size_t e = 0; e < count; e++) {
                cell[e % 64][e / 64] = in[(first + e) * (size_t)limbs + limb];
            }
            transpose(m);
            for (size_t j = 0; j < smaller(planes - 64 * limb, 64); j++) {
                memcpy(out + (64 * limb + j) * words + first / 64, cell[j], 8 * lanes);
            }
        }
    }
}

FOR_ISA void FROM_PLANES(uint64_t *out, const uint64_t *in, size_t n, size_t planes, int limbs)
{
    const size_t words = (n + 63) / 64;
    row8 m[64];
    uint64_t(*const cell)[8] = (uint64_t(*)[8])m;
    for (size_t first = 0; first < n; first += 512) {
        const size_t count = smaller(n - first, 512), lanes = (count + 63) / 64;
        for (size_t limb = 0; limb < (size_t)limbs; limb++) {
            memset(m, 0, sizeof m);
            for (size_t j = 0; 64 * limb + j < planes && j < 64; j++) {
                memcpy(cell[j], in + (64 * limb + j) * words + first / 64, 8 * lanes);
            }
            transpose(m);
            for (size_t e = 0; e < count; e++) {
                out[(first + e) * (size_t)limbs + limb] = cell[e % 64][e / 64];
            }
        }
    }
}
