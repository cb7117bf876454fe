/* float64 <-> fixed point, exactly rounded, without a branch on the value. */
#include "ct.h"
#include "element.h"
#include "kernels.h"

/* A normal float64 is (-1)^sign m 2^(e - 1075) with 2^52 <= m < 2^53, so in 2^frac = m 2^s with s = e - 1075 + frac.
 * wide = m 2^(s + 64) as an integer of L + 1 words: word 0 is the fraction, exact because m 2^s has at most 64 fraction bits when
 * s >= -64; for smaller s the value is below 2^(53 - 65) and no word matches, which leaves 0, its correct rounding. Zero and
 * subnormals (e = 0) are among these, as frac < 256.
 * Too large: m 2^s >= 2^(64 L - 1) exactly when s >= 64 L - 53. NaN and infinities (e = 2047, s >= 972) are among these. Returns 1 then. */
INLINE uint64_t encode_one(uint64_t *r, double x, int frac, const int L)
{
    uint64_t bits;
    memcpy(&bits, &x, 8);
    const uint64_t sign = bits >> 63, exponent = bits >> 52 & 0x7ff;
    const uint64_t m = (bits & 0xfffffffffffff) | (uint64_t)1 << 52;
    /* s + 64 as an unsigned number: negative ones become huge, and then `word` matches nothing */
    const uint64_t shift = exponent - 1075 + (uint64_t)frac + 64;
    const uint64_t word = shift >> 6, bit = shift & 63;
    uint64_t wide[5];
    for (int i = 0; i <= L; i++) {
        const uint64_t low = m << bit, high = m >> 1 >> (63 - bit);
        wide[i] = (low & ct_mask(ct_equal((uint64_t)i, word))) | (high & ct_mask(ct_equal((uint64_t)i, word + 1)));
    }
    const uint64_t half = (uint64_t)1 << 63;
    const uint64_t up = ct_less(half, wide[0]) | (ct_equal(half, wide[0]) & wide[1] & 1);
    element_add_word(wide + 1, up, 0, L);
    /* two's complement: -v = ~v + 1 */
    for (int i = 0; i < L; i++) {
        r[i] = wide[i + 1] ^ ct_mask(sign);
    }
    element_add_word(r, sign, 0, L);
    const uint64_t negative_shift = shift >> 63, limit = (uint64_t)(64 * L - 53 + 64);
    return (1 ^ negative_shift) & (1 ^ ct_less(shift, limit));
}

/* The magnitude is shifted up until its top bit is set: value = top 2^exponent with the bits below `top` kept as one sticky bit, which is
 * enough for a correct rounding to 53 bits. exponent lies in [-317, 193], so that no result is subnormal and scaling is exact. */
INLINE double decode_one(const uint64_t *a, int frac, const int L)
{
    const uint64_t sign = a[L - 1] >> 63;
    uint64_t v[4];
    for (int i = 0; i < L; i++) {
        v[i] = a[i] ^ ct_mask(sign);
    }
    element_add_word(v, sign, 0, L);
    uint64_t exponent = (uint64_t)(1023 + 64 * (L - 1) - frac);
    for (int step = 1; step < L; step++) {
        const uint64_t empty = 1 ^ ct_nonzero(v[L - 1]);
        for (int i = L - 1; i > 0; i--) {
            v[i] = ct_select(empty, v[i - 1], v[i]);
        }
        v[0] = ct_select(empty, 0, v[0]);
        exponent -= 64 & ct_mask(empty);
    }
    const int lead = __builtin_clzll(v[L - 1] | 1);
    uint64_t below = v[L - 2] << lead;
    for (int i = 0; i < L - 2; i++) {
        below |= v[i];
    }
    const uint64_t top = v[L - 1] << lead | v[L - 2] >> 1 >> (63 - lead) | ct_nonzero(below);
    /* as a signed number, whose conversion has no branch: half of top, its lowest bit kept sticky */
    const double half = (double)(int64_t)(top >> 1 | (top & 1));
    const uint64_t scale_bits = (exponent - (uint64_t)lead + 1) << 52;
    double scale;
    memcpy(&scale, &scale_bits, 8);
    const double magnitude = half * scale;
    uint64_t bits;
    memcpy(&bits, &magnitude, 8);
    bits |= sign << 63;
    double x;
    memcpy(&x, &bits, 8);
    return x;
}

int fixed_encode(uint64_t *out, const double *in, size_t n, int frac, int limbs)
{
    uint64_t bad = 0;
    if (limbs == 2) {
        for (size_t e = 0; e < n; e++) bad |= encode_one(out + 2 * e, in[e], frac, 2);
    } else {
        for (size_t e = 0; e < n; e++) bad |= encode_one(out + 4 * e, in[e], frac, 4);
    }
    return (int)bad;
}

void fixed_decode(double *out, const uint64_t *in, size_t n, int frac, int limbs)
{
    if (limbs == 2) {
        for (size_t e = 0; e < n; e++) out[e] = decode_one(in + 2 * e, frac, 2);
    } else {
        for (size_t e = 0; e < n; e++) out[e] = decode_one(in + 4 * e, frac, 4);
    }
}
