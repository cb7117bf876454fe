/*
 * The kernels of switching_forms.h. Included by switching_*.c, which define FOR_ISA, FORM, RADIX, LANES and
 *   words                        LANES words; load, store, all (one word in every lane), load_bytes, store_bytes, add, sub, both (bitwise and),
 *                                shift_left, shift_right, mul32 (of the low halves)
 *   factor                       LANES multiplicands: take (from memory), every (one word), as_factor (of words)
 *   prime                        a modulus in registers; wraps, the table of multiples of a run's product
 *   sum, sum_zero, sum_add       a sum of products x y modulo p; x < 2^50 and y < p, or x < 2p and y < p
 *   sum_wrap                     adds wraps[v], at most once
 *   below_50, canonical          the sum's residue below 2^50; in [0, p). corrections: 2^corrections p is above what REDC leaves
 *   scaled                       x c for x < p and a represented c, lazily: below 2p, as a multiplicand
 */
#include "element.h"
#include "switching_forms.h"

#include <stddef.h>

/* Calls BODY with count as a constant, so that loops over it unroll. */
#define FOR_COUNT(COUNT, BODY)   \
    switch (COUNT) {             \
    case 1: BODY(1); break;      \
    case 2: BODY(2); break;      \
    case 3: BODY(3); break;      \
    case 4: BODY(4); break;      \
    case 5: BODY(5); break;      \
    case 6: BODY(6); break;      \
    default: BODY(7); break;     \
    }

/* Asks for the next line of both rows, once a line: memory works while the transforms compute. */
FOR_ISA INLINE void fetch_lines(const uint64_t *const ahead[2], size_t i)
{
    if (i % 8 != 0) return;
    __builtin_prefetch(ahead[0] + i, 0, 2);
    __builtin_prefetch(ahead[1] + i, 0, 2);
}

FOR_ISA INLINE void quotients_of(uint8_t *v, const uint64_t *const *y, const switch_source *sources, const size_t count, size_t n)
{
    if (count == 1) {
        const words half = all(sources[0].half);
        for (size_t i = 0; i < n; i += LANES) store_bytes(v + i, shift_right(sub(half, load(y[0] + i)), 63));
        return;
    }
    for (size_t i = 0; i < n; i += LANES) {
        words total = all(UINT64_C(1) << 60);
        for (size_t j = 0; j < count; j++) {
            const words top = shift_right(shift_left(load(y[j] + i), sources[j].shift), 18);
            total = add(total, mul32(top, all(sources[j].weight)));
        }
        store_bytes(v + i, shift_right(total, 61));
    }
}

FOR_ISA static void quotients(uint8_t *v, const uint64_t *const *y, const switch_source *sources, size_t count, size_t n)
{
#define BODY(COUNT) quotients_of(v, y, sources, COUNT, n)
    FOR_COUNT(count, BODY)
#undef BODY
}

/* Sums of at most 7 products below 2^50 p: at most (2 + 7/4) p before the last corrections, which is below 2^50 for p < 2^48. */
FOR_ISA INLINE void convert_of(uint64_t *out, const uint64_t *const *y, const uint8_t *v, const size_t count, size_t n, const switch_target *t,
                               const uint64_t *const ahead[2], const int loose)
{
    const prime p = prime_of(&t->modulus);
    const wraps w = wraps_of(t);
    factor residue[SWITCH_SOURCES];
    for (size_t j = 0; j < count; j++) residue[j] = every(t->residues[j]);
    for (size_t i = 0; i < n; i += LANES) {
        fetch_lines(ahead, i);
        sum s = sum_zero(p);
        for (size_t j = 0; j < count; j++) s = sum_add(s, take(y[j] + i), residue[j], p);
        s = sum_wrap(s, v + i, w);
        store(out + i, loose ? below_50(s, p) : canonical(s, p, 2));
    }
}

/* y - v d for y in [0, d), plus the multiple of p that makes it positive. */
FOR_ISA INLINE void lift(uint64_t *out, const uint64_t *y, const uint8_t *v, size_t n, const switch_target *t, const uint64_t *const ahead[2])
{
    const words wrap = all(t->wraps[1]), zero = all(0);
    for (size_t i = 0; i < n; i += LANES) {
        fetch_lines(ahead, i);
        store(out + i, add(load(y + i), both(wrap, sub(zero, load_bytes(v + i)))));
    }
}

FOR_ISA static void convert(uint64_t *out, const uint64_t *const *y, const uint8_t *v, size_t count, size_t n, const switch_target *t,
                            const uint64_t *const ahead[2])
{
    if (t->lift) {
        lift(out, y[0], v, n, t, ahead);
    } else if (t->modulus.p >> 48 == 0) {
#define BODY(COUNT) convert_of(out, y, v, COUNT, n, t, ahead, 1)
        FOR_COUNT(count, BODY)
#undef BODY
    } else {
#define BODY(COUNT) convert_of(out, y, v, COUNT, n, t, ahead, 0)
        FOR_COUNT(count, BODY)
#undef BODY
    }
}

FOR_ISA INLINE void combine_of(uint64_t *out, const uint64_t *const *terms, const uint64_t *factors, const size_t count, size_t n, const prime p)
{
    for (size_t i = 0; i < n; i += LANES) {
        sum s = sum_zero(p);
        for (size_t j = 0; j < count; j++) s = sum_add(s, take(terms[j] + i), every(factors[j]), p);
        store(out + i, canonical(s, p, 1));
    }
}

FOR_ISA static void combine(uint64_t *out, const uint64_t *const *terms, const uint64_t *factors, size_t count, size_t n,
                            const switch_modulus *modulus)
{
    const prime p = prime_of(modulus);
    if (count == 1) {
        combine_of(out, terms, factors, 1, n, p);
    } else {
        combine_of(out, terms, factors, 2, n, p);
    }
}

/* What is added to the digits' sums. A scaled factor is below 2p, so that a pair counts as four products below p^2. */
FOR_ISA INLINE void add_extra(sum *s0, sum *s1, const switch_terms *t, size_t i, const prime p)
{
    if (t->add[0] != NULL) *s0 = sum_add(*s0, take(t->add[0] + i), every(t->special->blend[1]), p);
    if (t->add[1] != NULL) *s1 = sum_add(*s1, take(t->add[1] + i), every(t->special->blend[1]), p);
    if (t->a[0] == NULL) return;
    const factor twice = every(t->special->twice), b0 = take(t->b[0] + i);
    const factor a0 = scaled(take(t->a[0] + i), twice, p), a1 = scaled(take(t->a[1] + i), twice, p);
    *s0 = sum_add(*s0, a0, b0, p);
    *s1 = sum_add(sum_add(*s1, a0, take(t->b[1] + i), p), a1, b0, p);
}

FOR_ISA INLINE words divided(words x, const uint64_t *remainder, const switch_target *division, const prime p)
{
    const sum s = sum_add(sum_zero(p), as_factor(x), every(division->quotient[0]), p);
    return canonical(sum_add(s, take(remainder), every(division->quotient[1]), p), p, 1);
}

FOR_ISA INLINE void accumulate_of(uint64_t *out0, uint64_t *out1, const switch_terms *t, size_t n, const prime p, const int corrections)
{
    for (size_t i = 0; i < n; i += LANES) {
        const uint64_t *key = t->key + (i / 8) * (16 * t->stride) + i % 8;
        sum s0 = sum_zero(p), s1 = sum_zero(p);
        for (size_t j = 0; j < t->count; j++) {
            const factor digit = take(t->digits[j] + i);
            s0 = sum_add(s0, digit, take(key + 16 * j), p);
            s1 = sum_add(s1, digit, take(key + 16 * j + 8), p);
        }
        add_extra(&s0, &s1, t, i, p);
        words x0 = canonical(s0, p, corrections), x1 = canonical(s1, p, corrections);
        if (t->remainders[0] != NULL) {
            x0 = divided(x0, t->remainders[0] + i, t->division, p);
            x1 = divided(x1, t->remainders[1] + i, t->division, p);
        }
        store(out0 + i, x0);
        store(out1 + i, x1);
    }
}

/* Digits are put in order in the first-level cache, a piece of each at a time. */
FOR_ISA INLINE void accumulate_permuted(uint64_t *out0, uint64_t *out1, const switch_terms *t, size_t n, const prime p, const int corrections)
{
    uint64_t pieces[SWITCH_DIGITS][SWITCH_PIECE];
    const size_t count = n < SWITCH_PIECE ? n : SWITCH_PIECE;
    switch_terms part = {.count = t->count, .stride = t->stride};
    for (size_t j = 0; j < t->count; j++) part.digits[j] = pieces[j];
    for (size_t i = 0; i < n; i += count) {
        const size_t ahead = i + 4 * count < n ? 3 * count : 0;
        for (size_t j = 0; j < t->count; j++) switch_order(pieces[j], t->digits[j], t->permutation + i, count, n, ahead);
        part.key = t->key + i * 2 * t->stride;
        accumulate_of(out0 + i, out1 + i, &part, count, p, corrections);
    }
}

/* count + 4 products below p^2 leave less than p + (count + 4) p^2 / 2^52. */
FOR_ISA static void accumulate(uint64_t *out0, uint64_t *out1, const switch_terms *t, size_t n, const switch_modulus *modulus)
{
    const prime p = prime_of(modulus);
    int corrections = 1;
    while (UINT64_C(1) << corrections < 2 + ((t->count + 4) * modulus->p >> 52)) corrections++;
    if (t->permutation != NULL) {
        accumulate_permuted(out0, out1, t, n, p, corrections);
    } else if (corrections == 1) {
        accumulate_of(out0, out1, t, n, p, 1);
    } else {
        accumulate_of(out0, out1, t, n, p, corrections);
    }
}

FOR_ISA INLINE factor entered(const uint64_t *at, factor square, const prime p) { return RADIX == 0 ? take(at) : scaled(take(at), square, p); }

FOR_ISA static void product(uint64_t *const out[3], const uint64_t *const a[2], const uint64_t *const b[2], size_t n, const switch_modulus *modulus)
{
    const prime p = prime_of(modulus);
    const sum zero = sum_zero(p);
    const factor square = every(modulus->square);
    for (size_t i = 0; i < n; i += LANES) {
        const factor a0 = entered(a[0] + i, square, p), a1 = entered(a[1] + i, square, p), b0 = take(b[0] + i), b1 = take(b[1] + i);
        store(out[0] + i, canonical(sum_add(zero, a0, b0, p), p, 1));
        store(out[1] + i, canonical(sum_add(sum_add(zero, a0, b1, p), a1, b0, p), p, 1));
        store(out[2] + i, canonical(sum_add(zero, a1, b1, p), p, 1));
    }
}

const switch_forms FORM = {
    .radix = RADIX,
    .quotients = quotients,
    .convert = convert,
    .combine = combine,
    .accumulate = accumulate,
    .product = product,
};
