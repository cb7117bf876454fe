/* Elementwise ring arithmetic, shifts and truncation. Bound by memory, so one form serves every machine. */
#include "ct.h"
#include "element.h"
#include "kernels.h"

#define BY_LIMBS(CALL2, CALL4) do { if (limbs == 2) { CALL2; } else { CALL4; } } while (0)

/* Defines NAME(out, in, outer, inner, limbs), which applies OP(r, p, L) to each element; p[c] is operand c. */
#define ELEMENTWISE(NAME, COUNT, OP)                                                                                        \
    INLINE void NAME##_loop(uint64_t *out, const ring_view *in, size_t outer, size_t inner, const int L)                    \
    {                                                                                                                       \
        for (size_t o = 0; o < outer; o++) {                                                                                \
            const uint64_t *p[COUNT];                                                                                       \
            for (int c = 0; c < (COUNT); c++) p[c] = in[c].at + (ptrdiff_t)o * in[c].outer;                                 \
            for (size_t i = 0; i < inner; i++) {                                                                            \
                OP(out, p, L);                                                                                              \
                out += L;                                                                                                   \
                for (int c = 0; c < (COUNT); c++) p[c] += in[c].inner;                                                      \
            }                                                                                                               \
        }                                                                                                                   \
    }                                                                                                                       \
    void NAME(uint64_t *out, const ring_view *in, size_t outer, size_t inner, int limbs)                                    \
    {                                                                                                                       \
        BY_LIMBS(NAME##_loop(out, in, outer, inner, 2), NAME##_loop(out, in, outer, inner, 4));                             \
    }

INLINE void op_add(uint64_t *r, const uint64_t *const *p, const int L) { element_add(r, p[0], p[1], L); }

INLINE void op_sub(uint64_t *r, const uint64_t *const *p, const int L) { element_sub(r, p[0], p[1], L); }

INLINE void op_neg(uint64_t *r, const uint64_t *const *p, const int L)
{
    const uint64_t zero[4] = {0};
    element_sub(r, zero, p[0], L);
}

INLINE void op_mul(uint64_t *r, const uint64_t *const *p, const int L)
{
    uint64_t t[4] = {0};
    element_mul_add(t, p[0], p[1], L);
    element_copy(r, t, L);
}

/* x0 y0 + x0 y1 + x1 y0 = x0 (y0 + y1) + x1 y0: two products instead of three */
INLINE void op_mul_shares(uint64_t *r, const uint64_t *const *p, const int L)
{
    uint64_t y[4], t[4] = {0};
    element_add(y, p[2], p[3], L);
    element_mul_add(t, p[0], y, L);
    element_mul_add(t, p[1], p[2], L);
    element_copy(r, t, L);
}

ELEMENTWISE(ring_add, 2, op_add)
ELEMENTWISE(ring_sub, 2, op_sub)
ELEMENTWISE(ring_neg, 1, op_neg)
ELEMENTWISE(ring_mul, 2, op_mul)
ELEMENTWISE(ring_mul_shares, 4, op_mul_shares)

INLINE void sum_loop(uint64_t *out, const ring_view *in, const int count, const uint64_t *offset, size_t outer, size_t inner, const int L)
{
    for (size_t o = 0; o < outer; o++) {
        const uint64_t *p[4];
        for (int c = 0; c < count; c++) p[c] = in[c].at + (ptrdiff_t)o * in[c].outer;
        for (size_t i = 0; i < inner; i++) {
            uint64_t t[4];
            element_copy(t, offset, L);
            for (int c = 0; c < count; c++) {
                element_add(t, t, p[c], L);
                p[c] += in[c].inner;
            }
            element_copy(out, t, L);
            out += L;
        }
    }
}

/* offset = 2^bits, or 0 for bits = -1; bits is public */
static void power_of_two(uint64_t offset[4], int bits)
{
    memset(offset, 0, 32);
    if (bits >= 0) {
        offset[bits / 64] = (uint64_t)1 << (bits % 64);
    }
}

void ring_sum(uint64_t *out, const ring_view *in, int count, int offset_bits, size_t outer, size_t inner, int limbs)
{
    uint64_t offset[4];
    power_of_two(offset, offset_bits);
#define SUM(COUNT) BY_LIMBS(sum_loop(out, in, COUNT, offset, outer, inner, 2), sum_loop(out, in, COUNT, offset, outer, inner, 4))
    switch (count) {
    case 1: SUM(1); break;
    case 2: SUM(2); break;
    case 3: SUM(3); break;
    default: SUM(4); break;
    }
#undef SUM
}

/* Limb i of a shifted element is made of two neighbouring limbs: (here << b) | (below >> (64 - b)), with b = bits mod 64; the second
 * shift is done in two steps so that b = 0 shifts by 63 and 1 and not by 64. */
INLINE void element_shift_left(uint64_t *r, const uint64_t *a, const int words, const int b, const int L)
{
    uint64_t t[4];
    for (int i = 0; i < L; i++) {
        const uint64_t here = i >= words ? a[i - words] : 0, below = i > words ? a[i - words - 1] : 0;
        t[i] = here << b | below >> 1 >> (63 - b);
    }
    element_copy(r, t, L);
}

INLINE void element_shift_right(uint64_t *r, const uint64_t *a, uint64_t fill, const int words, const int b, const int L)
{
    uint64_t t[4];
    for (int i = 0; i < L; i++) {
        const uint64_t here = i + words < L ? a[i + words] : fill, above = i + words + 1 < L ? a[i + words + 1] : fill;
        t[i] = here >> b | above << 1 << (63 - b);
    }
    element_copy(r, t, L);
}

INLINE uint64_t sign_fill(const uint64_t *a, const int L) { return ct_mask(a[L - 1] >> 63); }

#define EACH(L, BODY) for (size_t e = 0; e < n; e++, out += L, in += L) BODY

/* One loop for each number of whole words W that a shift moves by, so that inside it every limb is a plain load. */
#define EACH_SHIFTED(L, BODY)                                                                                               \
    switch (bits / 64) {                                                                                                    \
    case 0: { enum { W = 0 }; EACH(L, BODY); break; }                                                                       \
    case 1: { enum { W = 1 }; EACH(L, BODY); break; }                                                                       \
    case 2: { enum { W = 2 }; EACH(L, BODY); break; }                                                                       \
    default: { enum { W = 3 }; EACH(L, BODY); break; }                                                                      \
    }

void ring_shift_left(uint64_t *out, const uint64_t *in, size_t n, int bits, int limbs)
{
    const int b = bits % 64;
    BY_LIMBS(EACH_SHIFTED(2, element_shift_left(out, in, W, b, 2)), EACH_SHIFTED(4, element_shift_left(out, in, W, b, 4)));
}

void ring_shift_right(uint64_t *out, const uint64_t *in, size_t n, int bits, int limbs)
{
    const int b = bits % 64;
    BY_LIMBS(EACH_SHIFTED(2, element_shift_right(out, in, 0, W, b, 2)), EACH_SHIFTED(4, element_shift_right(out, in, 0, W, b, 4)));
}

void ring_shift_right_signed(uint64_t *out, const uint64_t *in, size_t n, int bits, int limbs)
{
    const int b = bits % 64;
    BY_LIMBS(EACH_SHIFTED(2, element_shift_right(out, in, sign_fill(in, 2), W, b, 2)),
             EACH_SHIFTED(4, element_shift_right(out, in, sign_fill(in, 4), W, b, 4)));
}

INLINE void element_clear_top_two(uint64_t *r, const uint64_t *a, const int L)
{
    for (int i = 0; i < L; i++) {
        r[i] = i == L - 1 ? a[i] & (UINT64_MAX >> 2) : a[i];
    }
}

void truncation_mask(uint64_t *out, const uint64_t *in, size_t n, int limbs)
{
    BY_LIMBS(EACH(2, element_clear_top_two(out, in, 2)), EACH(4, element_clear_top_two(out, in, 4)));
}

INLINE void element_finish(uint64_t *r, const uint64_t *a, const uint64_t *offset, const int words, const int b, const int L)
{
    uint64_t t[4];
    element_shift_right(t, a, 0, words, b, L);
    element_sub(r, t, offset, L);
}

void truncation_finish(uint64_t *out, const uint64_t *in, size_t n, int frac, int offset_bits, int limbs)
{
    const int bits = frac, b = frac % 64;
    uint64_t offset[4];
    power_of_two(offset, offset_bits - frac);
    BY_LIMBS(EACH_SHIFTED(2, element_finish(out, in, offset, W, b, 2)), EACH_SHIFTED(4, element_finish(out, in, offset, W, b, 4)));
}

void ring_widen(uint64_t *out, const uint64_t *in, size_t n, int is_signed)
{
    for (size_t e = 0; e < n; e++) {
        uint64_t fill = is_signed ? sign_fill(in + 2 * e, 2) : 0;
        out[4 * e] = in[2 * e];
        out[4 * e + 1] = in[2 * e + 1];
        out[4 * e + 2] = out[4 * e + 3] = fill;
    }
}
