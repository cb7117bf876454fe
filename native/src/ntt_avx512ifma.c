/*
 * The negacyclic transform with 512-bit vectors and 52-bit products: Cooley-Tukey forward, Gentleman-Sande back.
 *
 * LAZY, p < 2^46: five vector operations a butterfly forward, six back, and no correction. All values are modulo 2^52 (rns_reduce_avx512ifma.h), so
 * nothing is masked, and they stay below 2^52:
 *
 *   forward   a product r lies in [0, 2p); x + r and x - r have moved away from x by at most 2p. A pass of k levels first lifts its x, so that the
 *             lowest is 2 k p (`lower` below says what is known of them), and leaves the block whose number has s bits set at 2 (k - s) p or above.
 *             From inputs below 2^50, with passes of four, four, three and six levels at most: 2^50 + (2 * 17 + 12) p < 2^52.
 *   back      a sum doubles, a product is below 2p. What was a sum on every level of a pass is reduced at its end, everything else is a sum of at
 *             most four products: below 8p. Three levels then reach 64 p < 2^52.
 *
 * FOLDED, p < 2^47: the same, but forward a pass first reduces its x, and six levels reach (2 + 4 * 6) p < 2^52; on the way back sums of four
 * products are reduced too, and three levels reach 8 * 4 p < 2^52.
 *
 * FULL, p < 2^50: values stay below 4p forward and 2p back, by a conditional subtraction on each level: nine operations.
 *
 * The work is cut recursively, so that the levels of 64 KiB and less run in the first cache levels whatever n is. The six levels of 64 neighbours are
 * one pass: 8 vectors of 8 lanes, three levels between vectors, a transposition, three levels more. The way back begins with the mirror image, so
 * values stay transposed in between.
 */
#if defined(__x86_64__)
#include "rns_reduce_avx512ifma.h"
#include "rns_table.h"

typedef enum { LAZY, FOLDED, FULL } mode;

enum { LANES = 8, LAST = 6, POINTS = 64, MOST_LEVELS = 17, LAZY_BITS = 46, FOLDED_BITS = 47 };

/* Bounds of values on the way back, in p: of what comes, and of what a pass leaves. */
enum { INPUT = 2, LEFT_LAZY = 8, LEFT_FOLDED = 4 };

#define FITS(IN_P, BITS, MORE) _Static_assert(((uint64_t)(IN_P) << (BITS)) + (MORE) <= (uint64_t)1 << 52, "a value outgrows its factor")
FITS(2 * MOST_LEVELS + 2 * LAST, LAZY_BITS, (uint64_t)1 << 50);
FITS(2 + 4 * LAST, FOLDED_BITS, 0);
FITS(8 * LEFT_LAZY, LAZY_BITS, 0);
FITS(8 * LEFT_FOLDED, FOLDED_BITS, 0);
FITS(4, 50, 0);

/*
 * Twiddle factors: pairs (w, floor(w 2^52 / p)). First those of all levels above the last six, in the order of rns_form.fill, one of 2^k blocks at
 * index 2^k + its number; then BLOCK_WORDS for every 64 neighbours: pairs 1 .. 7 of the three levels between vectors in the same order, and seven
 * pairs of vectors, a lane for each eight neighbours. Pair 0 has no butterfly.
 */
enum { BLOCK_WORDS = 128, INSIDE = 16 };

static size_t blocks_of(const rns_table *t) { return t->n >> LAST; }
static size_t way_words(const rns_table *t) { return (2 + BLOCK_WORDS) * blocks_of(t); }

size_t ntt_words_avx512ifma(const rns_table *t) { return t->log_n < LAST ? ntt_words_portable(t) : 2 * way_words(t); }

static void put(uint64_t *pair, size_t step, uint64_t w, const rns_table *t)
{
    pair[0] = w;
    pair[step] = ifma_quotient(w, t->p);
}

static void fill_block(uint64_t *w, const uint64_t *powers, size_t index, const rns_table *t)
{
    put(w, 1, 0, t);
    for (size_t level = 0; level < 3; level++) {
        for (size_t s = 0; s < (size_t)1 << level; s++) {
            const size_t at = ((size_t)1 << level) + s;
            put(w + 2 * at, 1, powers[(index << level) + s], t);
            for (size_t lane = 0; lane < LANES; lane++) {
                put(w + INSIDE * at + lane, LANES, powers[((LANES * index + lane) << level) + s], t);
            }
        }
    }
}

static void fill_way(uint64_t *w, const uint64_t *powers, const rns_table *t)
{
    const size_t blocks = blocks_of(t);
    for (size_t k = 0; k < blocks; k++) put(w + 2 * k, 1, powers[k], t);
    for (size_t i = 0; i < blocks; i++) fill_block(w + 2 * blocks + BLOCK_WORDS * i, powers, blocks + i, t);
}

/* On the way back pair 0 is 1 / n, and pair 1, of the last level, has it in it. */
void ntt_fill_avx512ifma(rns_table *t, const uint64_t *forward, const uint64_t *inverse)
{
    if (t->log_n < LAST) {
        ntt_fill_portable(t, forward, inverse);
        return;
    }
    uint64_t *const back = t->twiddles + way_words(t), *const top = t->log_n == LAST ? back + 2 : back;
    fill_way(t->twiddles, forward, t);
    fill_way(back, inverse, t);
    put(top, 1, t->n_inverse, t);
    put(top + 2, 1, rns_public_mul(inverse[1], t->n_inverse, t->p), t);
}

/* ---- both ways ---------------------------------------------------------------------------------------------------------- */

IFMA_INLINE ifma_prime prime_of(const rns_table *t) { return ifma_prime_of(t->p, t->barrett52); }
IFMA_INLINE __m512i masked(__m512i x, const ifma_prime *c) { return _mm512_and_si512(x, c->mask); }

/* Vectors `step` words apart. */
IFMA_INLINE void load(__m512i *v, const uint64_t *x, size_t step, const int count)
{
#pragma GCC unroll 16
    for (int k = 0; k < count; k++) v[k] = _mm512_loadu_si512(x + (size_t)k * step);
}

IFMA_INLINE void store(uint64_t *x, const __m512i *v, size_t step, const int count)
{
#pragma GCC unroll 16
    for (int k = 0; k < count; k++) _mm512_storeu_si512(x + (size_t)k * step, v[k]);
}

/* Vector and lane numbers change places. */
IFMA_INLINE void transpose(__m512i *v)
{
    __m512i a[8], b[8];
#pragma GCC unroll 4
    for (int k = 0; k < 8; k += 2) { /* a[k + o]: columns o, o + 2, o + 4, o + 6 of rows k and k + 1, one in each quarter */
        a[k] = _mm512_unpacklo_epi64(v[k], v[k + 1]);
        a[k + 1] = _mm512_unpackhi_epi64(v[k], v[k + 1]);
    }
#pragma GCC unroll 2
    for (int o = 0; o < 2; o++) { /* b[o]: columns o and o + 4 of rows 0 .. 3; b[o + 2]: o + 2 and o + 6; b[o + 4], b[o + 6]: of rows 4 .. 7 */
        b[o] = _mm512_shuffle_i64x2(a[o], a[o + 2], 0x88);
        b[o + 2] = _mm512_shuffle_i64x2(a[o], a[o + 2], 0xdd);
        b[o + 4] = _mm512_shuffle_i64x2(a[o + 4], a[o + 6], 0x88);
        b[o + 6] = _mm512_shuffle_i64x2(a[o + 4], a[o + 6], 0xdd);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; k++) {
        v[k] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0x88);
        v[k + 4] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0xdd);
    }
}

/* ---- forward ------------------------------------------------------------------------------------------------------------ */

/* (x, y) -> (x + w y, x - w y) */
IFMA_INLINE void butterfly(__m512i *x, __m512i *y, __m512i w, __m512i quotient, const ifma_prime *c, const mode how)
{
    if (how != FULL) {
        const __m512i twice = _mm512_add_epi64(*x, *x);
        *x = ifma_times(*x, *y, w, quotient, c);
        *y = _mm512_sub_epi64(twice, *x);
    } else {
        const __m512i r = masked(ifma_times(c->zero, *y, w, quotient, c), c), a = ifma_once_below(*x, c->two_p);
        *x = _mm512_add_epi64(a, r);
        *y = _mm512_sub_epi64(_mm512_add_epi64(a, c->two_p), r);
    }
}

/* What becomes the first x of a pass. */
IFMA_INLINE __m512i start(__m512i x, __m512i lift, const ifma_prime *c, const mode how)
{
    if (how != LAZY) x = ifma_fold(x, c);
    return how == FULL ? masked(x, c) : _mm512_add_epi64(x, lift);
}

/* Level `level` of the `levels` on 2^levels vectors; the first has the factor at `index`. */
IFMA_INLINE void level_between(__m512i *v, const uint64_t *w, size_t index, const int level, const int levels, const ifma_prime *c,
                               const mode how)
{
    const int half = 1 << (levels - level - 1);
#pragma GCC unroll 8
    for (int s = 0; s < 1 << level; s++) {
        const uint64_t *const pair = w + 2 * ((index << level) + (size_t)s);
#pragma GCC unroll 8
        for (int j = 0; j < half; j++) {
            __m512i *const x = v + 2 * half * s + j;
            butterfly(x, x + half, ifma_broadcast(pair[0]), ifma_broadcast(pair[1]), c, how);
        }
    }
}

/* The same on 8 vectors with a factor for each lane. */
IFMA_INLINE void level_inside(__m512i *v, const uint64_t *w, const int level, const ifma_prime *c, const mode how)
{
    const int half = 4 >> level;
#pragma GCC unroll 4
    for (int s = 0; s < 1 << level; s++) {
        const uint64_t *const pair = w + INSIDE * ((1 << level) + s);
#pragma GCC unroll 4
        for (int j = 0; j < half; j++) {
            __m512i *const x = v + 2 * half * s + j;
            butterfly(x, x + half, _mm512_loadu_si512(pair), _mm512_loadu_si512(pair + LANES), c, how);
        }
    }
}

/* The empty assembly keeps factors in memory, where the products find them, instead of in registers that there are not. */
IFMA_INLINE void pass(uint64_t *x, size_t points, const uint64_t *w, size_t index, uint64_t lift, const int levels, const ifma_prime *c,
                      const mode how)
{
    const size_t step = points >> levels;
    const __m512i lifts = ifma_broadcast(lift);
    for (size_t j = 0; j < step; j += LANES) {
        __asm__ volatile("" ::: "memory");
        __m512i v[16];
        load(v, x + j, step, 1 << levels);
#pragma GCC unroll 8
        for (int k = 0; k < 1 << (levels - 1); k++) v[k] = start(v[k], lifts, c, how);
#pragma GCC unroll 4
        for (int level = 0; level < levels; level++) level_between(v, w, index, level, levels, c, how);
        store(x + j, v, step, 1 << levels);
    }
}

/* The last six levels of `count` blocks, interleaved: one alone would wait for its own products. */
IFMA_INLINE void last(uint64_t *x, const uint64_t *w, const uint64_t *lifts, const int count, const ifma_prime *c, const mode how)
{
    __m512i v[16];
    load(v, x, LANES, 8 * count);
#pragma GCC unroll 16
    for (int k = 0; k < 8 * count; k++) {
        if ((k & 4) == 0) v[k] = start(v[k], ifma_broadcast(lifts[k / 8]), c, how);
    }
#pragma GCC unroll 3
    for (int level = 0; level < 3; level++) {
#pragma GCC unroll 2
        for (int i = 0; i < count; i++) level_between(v + 8 * i, w + BLOCK_WORDS * i, 1, level, 3, c, how);
    }
#pragma GCC unroll 2
    for (int i = 0; i < count; i++) transpose(v + 8 * i);
#pragma GCC unroll 3
    for (int level = 0; level < 3; level++) {
#pragma GCC unroll 2
        for (int i = 0; i < count; i++) level_inside(v + 8 * i, w + BLOCK_WORDS * i, level, c, how);
    }
#pragma GCC unroll 16
    for (int k = 0; k < 8 * count; k++) v[k] = ifma_reduce(v[k], c);
    store(x, v, LANES, 8 * count);
}

/* ---- back --------------------------------------------------------------------------------------------------------------- */

/* (x, y) -> (x + y, x - y + above), above a multiple of p, no less than y */
IFMA_INLINE void sum_difference(__m512i *x, __m512i *y, __m512i above, const ifma_prime *c, const mode how)
{
    const __m512i sum = _mm512_add_epi64(*x, *y);
    *y = _mm512_sub_epi64(_mm512_add_epi64(*x, above), *y);
    *x = how == FULL ? ifma_once_below(sum, c->two_p) : sum;
}

IFMA_INLINE int left(const mode how) { return how == LAZY ? LEFT_LAZY : LEFT_FOLDED; }

/* `levels` levels after values below `bound` p: no less than what is subtracted */
IFMA_INLINE __m512i above_sums(const int bound, const int levels, const ifma_prime *c, const mode how)
{
    return how == FULL ? c->two_p : _mm512_mullo_epi64(ifma_broadcast((uint64_t)bound << levels), c->p);
}

IFMA_INLINE void back_butterfly(__m512i *x, __m512i *y, __m512i w, __m512i quotient, __m512i above, const ifma_prime *c, const mode how)
{
    sum_difference(x, y, above, c, how);
    *y = ifma_times(c->zero, *y, w, quotient, c);
    if (how == FULL) *y = masked(*y, c);
}

IFMA_INLINE void back_between(__m512i *v, const uint64_t *w, size_t index, const int level, const int levels, const ifma_prime *c,
                              const mode how)
{
    const int half = 1 << (levels - level - 1);
    const __m512i above = above_sums(left(how), levels - level - 1, c, how);
#pragma GCC unroll 8
    for (int s = 0; s < 1 << level; s++) {
        const uint64_t *const pair = w + 2 * ((index << level) + (size_t)s);
#pragma GCC unroll 8
        for (int j = 0; j < half; j++) {
            __m512i *const x = v + 2 * half * s + j;
            back_butterfly(x, x + half, ifma_broadcast(pair[0]), ifma_broadcast(pair[1]), above, c, how);
        }
    }
}

IFMA_INLINE void back_inside(__m512i *v, const uint64_t *w, const int level, const ifma_prime *c, const mode how)
{
    const int half = 4 >> level;
    const __m512i above = above_sums(INPUT, 2 - level, c, how);
#pragma GCC unroll 4
    for (int s = 0; s < 1 << level; s++) {
        const uint64_t *const pair = w + INSIDE * ((1 << level) + s);
#pragma GCC unroll 4
        for (int j = 0; j < half; j++) {
            __m512i *const x = v + 2 * half * s + j;
            back_butterfly(x, x + half, _mm512_loadu_si512(pair), _mm512_loadu_si512(pair + LANES), above, c, how);
        }
    }
}

/* The level of two halves, and the division by n. */
IFMA_INLINE void back_top(__m512i *v, const uint64_t *w, const int levels, const ifma_prime *c, const mode how)
{
    const int half = 1 << (levels - 1);
    const __m512i above = above_sums(left(how), levels - 1, c, how);
#pragma GCC unroll 4
    for (int j = 0; j < half; j++) {
        sum_difference(v + j, v + half + j, above, c, how);
        v[j] = ifma_times_exactly(v[j], ifma_broadcast(w[0]), ifma_broadcast(w[1]), c);
        v[half + j] = ifma_times_exactly(v[half + j], ifma_broadcast(w[2]), ifma_broadcast(w[3]), c);
    }
}

/* After `levels` levels: a sum on all of them is at v[0]; v[1] is a sum on all but the first. */
IFMA_INLINE void fold_sums(__m512i *v, const int levels, const ifma_prime *c, const mode how)
{
    if (how != FULL) v[0] = ifma_fold(v[0], c);
    if (how == FOLDED && levels == 3) v[1] = ifma_fold(v[1], c);
}

/* top = 1: the last of all passes */
IFMA_INLINE void back_pass(uint64_t *x, size_t points, const uint64_t *w, size_t index, const int levels, const int top,
                           const ifma_prime *c, const mode how)
{
    const size_t step = points >> levels;
    for (size_t j = 0; j < step; j += LANES) {
        __asm__ volatile("" ::: "memory");
        __m512i v[8];
        load(v, x + j, step, 1 << levels);
#pragma GCC unroll 3
        for (int level = levels - 1; level >= top; level--) back_between(v, w, index, level, levels, c, how);
        if (top) {
            back_top(v, w, levels, c, how);
        } else {
            fold_sums(v, levels, c, how);
        }
        store(x + j, v, step, 1 << levels);
    }
}

/* The first six levels of `count` blocks. */
IFMA_INLINE void back_first(uint64_t *x, const uint64_t *w, const int count, const int top, const ifma_prime *c, const mode how)
{
    __m512i v[16];
    load(v, x, LANES, 8 * count);
#pragma GCC unroll 3
    for (int level = 2; level >= 0; level--) {
#pragma GCC unroll 2
        for (int i = 0; i < count; i++) back_inside(v + 8 * i, w + BLOCK_WORDS * i, level, c, how);
    }
#pragma GCC unroll 2
    for (int i = 0; i < count; i++) {
        fold_sums(v + 8 * i, 3, c, how);
        transpose(v + 8 * i);
    }
#pragma GCC unroll 3
    for (int level = 2; level >= top; level--) {
#pragma GCC unroll 2
        for (int i = 0; i < count; i++) back_between(v + 8 * i, w + BLOCK_WORDS * i, 1, level, 3, c, how);
    }
#pragma GCC unroll 2
    for (int i = 0; i < count; i++) {
        if (top) {
            back_top(v + 8 * i, w, 3, c, how);
        } else {
            fold_sums(v + 8 * i, 3, c, how);
        }
    }
    store(x, v, LANES, 8 * count);
}

/* ---- the order of the work ---------------------------------------------------------------------------------------------- */

/* How many levels the next pass takes when so many are left above the last six. Strides of 8 KiB want few streams. */
static const signed char FORWARD_LEVELS[] = {0, 1, 2, 3, 4, 2, 3, 3, 2, 3, 3, 4};
static const signed char BACK_LEVELS[] = {0, 1, 2, 3, 2, 2, 3, 2, 2, 3, 2, 2};

static uint64_t bits_set(size_t i) { return (uint64_t)__builtin_popcountll(i); }

/* What lifts the x of a pass of `levels` from `lower` p to 2 levels p; when they are reduced first, from 0. */
static uint64_t lift_of(int levels, uint64_t lower, uint64_t p, mode how) { return (2 * (uint64_t)levels - (how == LAZY ? lower : 0)) * p; }

/* In p, below which nothing in block i is that a pass of `levels` leaves */
static uint64_t lower_of(int levels, size_t i) { return 2 * ((uint64_t)levels - bits_set(i)); }

#define TRANSFORMS(NAME, HOW)                                                                                                              \
    IFMA_TARGET static void NAME##_last(uint64_t *x, const uint64_t *w, int levels, const rns_table *t)                                    \
    {                                                                                                                                      \
        const ifma_prime c = prime_of(t);                                                                                                  \
        for (size_t i = 0; i < (size_t)1 << levels; i += 2) {                                                                              \
            const uint64_t lifts[2] = {lift_of(LAST, lower_of(levels, i), t->p, HOW), lift_of(LAST, lower_of(levels, i + 1), t->p, HOW)};   \
            last(x + POINTS * i, w + BLOCK_WORDS * i, lifts, 2, &c, HOW);                                                                  \
        }                                                                                                                                  \
    }                                                                                                                                      \
    IFMA_TARGET static void NAME##_last_alone(uint64_t *x, const rns_table *t)                                                             \
    {                                                                                                                                      \
        const ifma_prime c = prime_of(t);                                                                                                  \
        const uint64_t lift = lift_of(LAST, 0, t->p, HOW);                                                                                 \
        last(x, t->twiddles + 2, &lift, 1, &c, HOW);                                                                                       \
    }                                                                                                                                      \
    IFMA_TARGET static void NAME##_pass(uint64_t *x, size_t points, size_t index, uint64_t lift, int levels, const rns_table *t)           \
    {                                                                                                                                      \
        const ifma_prime c = prime_of(t);                                                                                                  \
        switch (levels) {                                                                                                                  \
        case 1: pass(x, points, t->twiddles, index, lift, 1, &c, HOW); return;                                                             \
        case 2: pass(x, points, t->twiddles, index, lift, 2, &c, HOW); return;                                                             \
        case 3: pass(x, points, t->twiddles, index, lift, 3, &c, HOW); return;                                                             \
        default: pass(x, points, t->twiddles, index, lift, 4, &c, HOW); return;                                                            \
        }                                                                                                                                  \
    }                                                                                                                                      \
    /* Block number `index` - 2^k of 2^k; its values are no less than `lower` p. */                                                        \
    static void NAME##_forward(uint64_t *x, int log_points, const rns_table *t, size_t index, uint64_t lower)                              \
    {                                                                                                                                      \
        const int levels = FORWARD_LEVELS[log_points - LAST], rest = log_points - levels;                                                  \
        if (levels == 0) {                                                                                                                 \
            NAME##_last_alone(x, t);                                                                                                       \
            return;                                                                                                                        \
        }                                                                                                                                  \
        NAME##_pass(x, (size_t)1 << log_points, index, lift_of(levels, lower, t->p, HOW), levels, t);                                       \
        if (rest == LAST) {                                                                                                                \
            const size_t block = (index << levels) - blocks_of(t);                                                                         \
            NAME##_last(x, t->twiddles + 2 * blocks_of(t) + BLOCK_WORDS * block, levels, t);                                               \
            return;                                                                                                                        \
        }                                                                                                                                  \
        for (size_t i = 0; i < (size_t)1 << levels; i++) {                                                                                 \
            NAME##_forward(x + (i << rest), rest, t, (index << levels) + i, lower_of(levels, i));                                          \
        }                                                                                                                                  \
    }                                                                                                                                      \
    IFMA_TARGET static void NAME##_back_first(uint64_t *x, const uint64_t *w, size_t blocks, const rns_table *t)                           \
    {                                                                                                                                      \
        const ifma_prime c = prime_of(t);                                                                                                  \
        if (t->log_n == LAST) back_first(x, w, 1, 1, &c, HOW);                                                                             \
        for (size_t i = 0; i + 2 <= blocks; i += 2) back_first(x + POINTS * i, w + BLOCK_WORDS * i, 2, 0, &c, HOW);                        \
    }                                                                                                                                      \
    IFMA_TARGET static void NAME##_back_pass(uint64_t *x, size_t points, size_t index, int levels, const rns_table *t)                     \
    {                                                                                                                                      \
        const ifma_prime c = prime_of(t);                                                                                                  \
        const uint64_t *const w = t->twiddles + way_words(t);                                                                              \
        switch (2 * levels + (index == 1)) {                                                                                               \
        case 2: back_pass(x, points, w, index, 1, 0, &c, HOW); return;                                                                     \
        case 3: back_pass(x, points, w, index, 1, 1, &c, HOW); return;                                                                     \
        case 4: back_pass(x, points, w, index, 2, 0, &c, HOW); return;                                                                     \
        case 5: back_pass(x, points, w, index, 2, 1, &c, HOW); return;                                                                     \
        case 6: back_pass(x, points, w, index, 3, 0, &c, HOW); return;                                                                     \
        default: back_pass(x, points, w, index, 3, 1, &c, HOW); return;                                                                    \
        }                                                                                                                                  \
    }                                                                                                                                      \
    static void NAME##_back(uint64_t *x, int log_points, const rns_table *t, size_t index)                                                 \
    {                                                                                                                                      \
        const int levels = BACK_LEVELS[log_points - LAST], rest = log_points - levels;                                                     \
        if (rest == LAST) {                                                                                                                \
            const size_t block = (index << levels) - blocks_of(t);                                                                         \
            const uint64_t *const w = t->twiddles + way_words(t) + 2 * blocks_of(t) + BLOCK_WORDS * block;                                 \
            NAME##_back_first(x, w, (size_t)1 << levels, t);                                                                               \
        } else {                                                                                                                           \
            for (size_t i = 0; i < (size_t)1 << levels; i++) NAME##_back(x + (i << rest), rest, t, (index << levels) + i);                 \
        }                                                                                                                                  \
        if (levels > 0) NAME##_back_pass(x, (size_t)1 << log_points, index, levels, t);                                                    \
    }

TRANSFORMS(lazy, LAZY)
TRANSFORMS(folded, FOLDED)
TRANSFORMS(full, FULL)

void ntt_forward_avx512ifma(uint64_t *x, const rns_table *t)
{
    if (t->log_n < LAST) {
        ntt_forward_portable(x, t);
    } else if (t->bits <= LAZY_BITS) {
        lazy_forward(x, t->log_n, t, 1, 0);
    } else if (t->bits <= FOLDED_BITS) {
        folded_forward(x, t->log_n, t, 1, 0);
    } else {
        full_forward(x, t->log_n, t, 1, 0);
    }
}

void ntt_inverse_avx512ifma(uint64_t *x, const rns_table *t)
{
    if (t->log_n < LAST) {
        ntt_inverse_portable(x, t);
    } else if (t->bits <= LAZY_BITS) {
        lazy_back(x, t->log_n, t, 1);
    } else if (t->bits <= FOLDED_BITS) {
        folded_back(x, t->log_n, t, 1);
    } else {
        full_back(x, t->log_n, t, 1);
    }
}
#endif
