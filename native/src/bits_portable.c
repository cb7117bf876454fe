/* Bit planes, portable form, and the two packed-bit kernels that are bound by memory. */
#define TO_PLANES to_planes_portable
#define FROM_PLANES from_planes_portable
#define FOR_ISA
#include "dispatch.h"

#include "bits_template.h"

void bits_to_planes(uint64_t *out, const uint64_t *in, size_t n, size_t planes, int limbs)
{
    kernels_active->to_planes(out, in, n, planes, limbs);
}

void bits_from_planes(uint64_t *out, const uint64_t *in, size_t n, size_t planes, int limbs)
{
    kernels_active->from_planes(out, in, n, planes, limbs);
}

void bits_to_ring(uint64_t *out, const uint64_t *in, size_t n, int limbs)
{
    memset(out, 0, n * (size_t)limbs * 8);
    for (size_t e = 0; e < n; e++) {
        out[e * (size_t)limbs] = in[e / 64] >> (e % 64) & 1;
    }
}

/* (x0 & y0) ^ (x0 & y1) = x0 & (y0 ^ y1) */
void bits_and_shares(uint64_t *out, const uint64_t *x0, const uint64_t *x1, const uint64_t *y0, const uint64_t *y1, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = (x0[i] & (y0[i] ^ y1[i])) ^ (x1[i] & y0[i]);
    }
}
