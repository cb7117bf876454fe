/* Truncation from two addends: the private part, the help and the common part of protocols/replicated/split.py.
 *
 * An element comes in with L words and leaves with LO. drop = 64 (W - 1) + bits with 1 <= bits <= 64, so that a shift by drop moves by W - 1
 * words and by bits, which may be 64 and is done in two steps; numbers modulo 2^drop have W words. */
#include "ct.h"
#include "element.h"
#include "kernels.h"

/* r = a 2^(64 (LO - L)) in LO words */
INLINE void element_load_high(uint64_t *r, const uint64_t *a, const int L, const int LO)
{
    for (int i = 0; i < LO; i++) {
        r[i] = i < LO - L ? 0 : a[i - (LO - L)];
    }
}

/* r = floor(a / 2^drop), a signed; r is not a */
INLINE void element_drop(uint64_t *r, const uint64_t *a, const int bits, const int LO, const int W)
{
    const uint64_t fill = ct_mask(a[LO - 1] >> 63);
    for (int i = 0; i < LO; i++) {
        const uint64_t here = i + W - 1 < LO ? a[i + W - 1] : fill, above = i + W < LO ? a[i + W] : fill;
        r[i] = here >> (bits - 1) >> 1 | above << (64 - bits);
    }
}

/* r += v 2^(64 LO - drop), v of W words */
INLINE void element_add_on_top(uint64_t *r, const uint64_t *v, const int bits, const int LO, const int W)
{
    uint64_t t[4];
    for (int i = 0; i < LO; i++) {
        const int j = i - (LO - W);
        const uint64_t here = j >= 0 ? v[j] : 0, below = j > 0 ? v[j - 1] : 0;
        t[i] = here << (64 - bits) | below >> (bits - 1) >> 1;
    }
    element_add(r, r, t, LO);
}

/* r = v where bit is 1, else 0 */
INLINE void element_where(uint64_t *r, uint64_t bit, const uint64_t *v, const int W)
{
    for (int i = 0; i < W; i++) {
        r[i] = v[i] & ct_mask(bit);
    }
}

INLINE void element_add_bit(uint64_t *r, const uint64_t *a, uint64_t bit, const int W)
{
    element_copy(r, a, W);
    element_add_word(r, bit, 0, W);
}

INLINE void private_loop(uint64_t *y, uint64_t *e1, uint64_t *e2, const uint64_t *a, const uint64_t *s, const uint64_t *c0t1,
                         const uint64_t *c1t2, size_t n, int drop, const int L, const int LO, const int W)
{
    const int bits = drop - 64 * (W - 1);
    uint64_t offset[4], constant[4] = {1, 0, 0, 0}, power[4] = {0};
    for (int i = 0; i < LO; i++) offset[i] = i == LO - 1 ? UINT64_MAX >> 3 : UINT64_MAX;
    power[(64 * LO - 3 - drop) / 64] = (uint64_t)1 << ((64 * LO - 3 - drop) % 64);
    element_sub(constant, constant, power, LO);
    const uint64_t *t1 = c0t1 + n * (size_t)W, *t2 = c1t2 + n * (size_t)W;
    for (size_t i = 0; i < n; i++) {
        uint64_t shifted[4], t[4], v[4];
        element_load_high(shifted, a, L, LO);
        element_add(shifted, shifted, offset, LO);
        const uint64_t top = shifted[LO - 1] >> 63;
        element_drop(t, shifted, bits, LO, W);
        element_add(t, t, constant, LO);
        element_sub(t, t, s, LO);
        element_add(v, c0t1, c1t2, W);
        element_add_on_top(t, v, bits, LO, W);
        element_copy(y, t, LO);
        element_add_bit(e1, t1, top, W);
        element_add_bit(e2, t2, top, W);
        a += L, s += LO, y += LO, c0t1 += W, c1t2 += W, t1 += W, t2 += W, e1 += W, e2 += W;
    }
}

INLINE void help_loop(uint64_t *h, const uint64_t *b, const uint64_t *ct, size_t n, const int L, const int W)
{
    const uint64_t *t = ct + n * (size_t)W;
    for (size_t i = 0; i < n; i++) {
        uint64_t v[4];
        element_where(v, b[L - 1] >> 63, t, W);
        element_add(h, v, ct, W);
        b += L, ct += W, t += W, h += W;
    }
}

INLINE void common_loop(uint64_t *y, const uint64_t *b, const uint64_t *e, const uint64_t *h, const uint64_t *c, size_t n, int drop,
                        const int L, const int LO, const int W)
{
    const int bits = drop - 64 * (W - 1);
    for (size_t i = 0; i < n; i++) {
        uint64_t loaded[4], t[4], v[4];
        element_load_high(loaded, b, L, LO);
        element_drop(t, loaded, bits, LO, W);
        element_where(v, b[L - 1] >> 63, e, W);
        element_sub(v, v, h, W);
        element_sub(v, v, c, W);
        element_add_on_top(t, v, bits, LO, W);
        element_copy(y, t, LO);
        b += L, e += W, h += W, c += W, y += LO;
    }
}

/* CALL(L, LO, W) with constants, by the public sizes */
#define BY_FORM(CALL)                                                                                                       \
    switch (limbs == out_limbs ? 10 * limbs + (drop + 63) / 64 : 0) {                                                       \
    case 21: CALL(2, 2, 1); break;                                                                                          \
    case 22: CALL(2, 2, 2); break;                                                                                          \
    case 41: CALL(4, 4, 1); break;                                                                                          \
    case 42: CALL(4, 4, 2); break;                                                                                          \
    case 43: CALL(4, 4, 3); break;                                                                                          \
    case 44: CALL(4, 4, 4); break;                                                                                          \
    default: CALL(2, 4, 2); break;                                                                                          \
    }

void split_private(uint64_t *y, uint64_t *e1, uint64_t *e2, const uint64_t *a, const uint64_t *s, const uint64_t *c0t1,
                   const uint64_t *c1t2, size_t n, int drop, int limbs, int out_limbs)
{
#define CALL(L, LO, W) private_loop(y, e1, e2, a, s, c0t1, c1t2, n, drop, L, LO, W)
    BY_FORM(CALL)
#undef CALL
}

void split_help(uint64_t *h, const uint64_t *b, const uint64_t *ct, size_t n, int drop, int limbs, int out_limbs)
{
#define CALL(L, LO, W) help_loop(h, b, ct, n, L, W)
    BY_FORM(CALL)
#undef CALL
}

void split_common(uint64_t *y, const uint64_t *b, const uint64_t *e, const uint64_t *h, const uint64_t *c, size_t n, int drop,
                  int limbs, int out_limbs)
{
#define CALL(L, LO, W) common_loop(y, b, e, h, c, n, drop, L, LO, W)
    BY_FORM(CALL)
#undef CALL
}
