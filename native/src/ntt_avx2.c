/*
 * The negacyclic transform in doubles (rns_reduce_avx2.h): Cooley-Tukey forward, Gentleman-Sande back, eight vector operations a butterfly.
 *
 * V is the largest absolute value, a product is at most p (1/2 + V / 2^53). Everything stays within 2^53:
 *
 *   forward   V grows by a product on each level. LAZY, p < 2^48: 17 levels take V = 2^50 to less than 18 * 2^48. FULL, p < 2^50: a pass reduces
 *             its x first; with V <= 5 * 2^50 before, V after 1, 2, 3, 4 levels is below 1.7, 2.4, 3.2, 4.1 times 2^50, and after 6 levels below 6.2.
 *   back      a sum doubles. LAZY: what was a sum on every level of a pass is reduced at its end. V <= 4 p before gives products of 0.75 p, p and
 *             1.5 p on its three levels, and sums of four, two and one of them: V <= 4 p again, and 2^53 at most in between. FULL: every sum is
 *             reduced, products are below 0.9 p.
 *
 * The order of the work, and the layout of the twiddle factors, are those of ntt_avx512ifma.c; pairs are (w, w / p), w symmetric around 0. Inside a
 * transform the array holds doubles.
 */
#if defined(__x86_64__)
#include "rns_reduce_avx2.h"
#include "rns_table.h"

#include <string.h>

typedef enum { LAZY, FULL } mode;

enum { LANES = 4, ROW = 8, LAST = 6, POINTS = 64, LAZY_BITS = 48, BLOCK_WORDS = 128, INSIDE = 16 };

_Static_assert((uint64_t)32 << LAZY_BITS <= (uint64_t)1 << 53, "sums of eight values below 4 p stay exact, and so do the 18 p of the way forward");

static size_t blocks_of(const rns_table *t) { return t->n >> LAST; }
static size_t way_words(const rns_table *t) { return (2 + BLOCK_WORDS) * blocks_of(t); }

size_t ntt_words_avx2(const rns_table *t) { return t->log_n < LAST ? ntt_words_portable(t) : 2 * way_words(t); }

static void put(uint64_t *pair, size_t step, uint64_t w, const rns_table *t)
{
    const double value = avx2_symmetric(w, t->p), ratio = value / (double)t->p;
    memcpy(pair, &value, sizeof value);
    memcpy(pair + step, &ratio, sizeof ratio);
}

static void fill_block(uint64_t *w, const uint64_t *powers, size_t index, const rns_table *t)
{
    put(w, 1, 0, t);
    for (size_t level = 0; level < 3; level++) {
        for (size_t s = 0; s < (size_t)1 << level; s++) {
            const size_t at = ((size_t)1 << level) + s;
            put(w + 2 * at, 1, powers[(index << level) + s], t);
            for (size_t row = 0; row < ROW; row++) put(w + INSIDE * at + row, ROW, powers[((ROW * index + row) << level) + s], t);
        }
    }
}

static void fill_way(uint64_t *w, const uint64_t *powers, const rns_table *t)
{
    const size_t blocks = blocks_of(t);
    for (size_t k = 0; k < blocks; k++) put(w + 2 * k, 1, powers[k], t);
    for (size_t i = 0; i < blocks; i++) fill_block(w + 2 * blocks + BLOCK_WORDS * i, powers, blocks + i, t);
}

void ntt_fill_avx2(rns_table *t, const uint64_t *forward, const uint64_t *inverse)
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

AVX2_INLINE __m256d load(const uint64_t *x) { return _mm256_castsi256_pd(_mm256_loadu_si256((const __m256i *)(const void *)x)); }
AVX2_INLINE void store(uint64_t *x, __m256d v) { _mm256_storeu_si256((__m256i *)(void *)x, _mm256_castpd_si256(v)); }
AVX2_INLINE __m256d broadcast(const uint64_t *x) { return _mm256_broadcast_sd((const double *)(const void *)x); }

/* Eight vectors; words = 1: from words to doubles, or back to words in [0, p). */
AVX2_INLINE void load_all(__m256d *v, const uint64_t *x, size_t step, const int count, const int words)
{
#pragma GCC unroll 8
    for (int k = 0; k < count; k++) {
        v[k] = load(x + (size_t)k * step);
        if (words) v[k] = avx2_from_words(_mm256_castpd_si256(v[k]));
    }
}

AVX2_INLINE void store_all(uint64_t *x, const __m256d *v, size_t step, const int count, const int words, const avx2_prime *c)
{
#pragma GCC unroll 8
    for (int k = 0; k < count; k++) store(x + (size_t)k * step, words ? _mm256_castsi256_pd(avx2_reduce(v[k], c)) : v[k]);
}

/* Vector and lane numbers of four vectors change places. */
AVX2_INLINE void transpose(__m256d *v)
{
    const __m256d a = _mm256_unpacklo_pd(v[0], v[1]), b = _mm256_unpackhi_pd(v[0], v[1]); /* columns 0, 2; 1, 3 of rows 0, 1 */
    const __m256d d = _mm256_unpacklo_pd(v[2], v[3]), e = _mm256_unpackhi_pd(v[2], v[3]); /* the same of rows 2, 3 */
    v[0] = _mm256_permute2f128_pd(a, d, 0x20);
    v[1] = _mm256_permute2f128_pd(b, e, 0x20);
    v[2] = _mm256_permute2f128_pd(a, d, 0x31);
    v[3] = _mm256_permute2f128_pd(b, e, 0x31);
}

/* ---- forward ------------------------------------------------------------------------------------------------------------ */

/* (x, y) -> (x + w y, x - w y) */
AVX2_INLINE void butterfly(__m256d *x, __m256d *y, __m256d w, __m256d ratio, const avx2_prime *c)
{
    const __m256d r = avx2_times(*y, w, ratio, c);
    *y = _mm256_sub_pd(*x, r);
    *x = _mm256_add_pd(*x, r);
}

/* The `levels` levels on 2^levels vectors; the first has the factor at `index`. */
AVX2_INLINE void levels_between(__m256d *v, const uint64_t *w, size_t index, const int levels, const avx2_prime *c, const mode how)
{
    if (how == FULL) {
#pragma GCC unroll 4
        for (int k = 0; k < 1 << (levels - 1); k++) v[k] = avx2_fold(v[k], c);
    }
#pragma GCC unroll 3
    for (int level = 0; level < levels; level++) {
        const int half = 1 << (levels - level - 1);
#pragma GCC unroll 4
        for (int s = 0; s < 1 << level; s++) {
            const uint64_t *const pair = w + 2 * ((index << level) + (size_t)s);
#pragma GCC unroll 4
            for (int j = 0; j < half; j++) {
                __m256d *const x = v + 2 * half * s + j;
                butterfly(x, x + half, broadcast(pair), broadcast(pair + 1), c);
            }
        }
    }
}

AVX2_INLINE void levels_inside(__m256d *v, const uint64_t *w, const avx2_prime *c)
{
#pragma GCC unroll 3
    for (int level = 0; level < 3; level++) {
        const int half = 4 >> level;
#pragma GCC unroll 4
        for (int s = 0; s < 1 << level; s++) {
            const uint64_t *const pair = w + INSIDE * ((1 << level) + s);
#pragma GCC unroll 4
            for (int j = 0; j < half; j++) {
                __m256d *const x = v + 2 * half * s + j;
                butterfly(x, x + half, load(pair), load(pair + ROW), c);
            }
        }
    }
}

/* first = 1: x holds words. */
AVX2_INLINE void pass(uint64_t *x, size_t points, const uint64_t *w, size_t index, const int levels, const int first, const avx2_prime *c,
                      const mode how)
{
    const size_t step = points >> levels;
    for (size_t j = 0; j < step; j += LANES) {
        __asm__ volatile("" ::: "memory"); /* factors stay in memory: there are not enough registers */
        __m256d v[8];
        load_all(v, x + j, step, 1 << levels, first);
        levels_between(v, w, index, levels, c, how);
        store_all(x + j, v, step, 1 << levels, 0, c);
    }
}

/* The last six levels of 64 neighbours, three between rows and three between columns, each on the two halves of a row or column. */
AVX2_INLINE void last(uint64_t *x, const uint64_t *w, const int first, const avx2_prime *c, const mode how)
{
    uint64_t turned[POINTS];
    __m256d v[8];
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        load_all(v, x + LANES * half, ROW, 8, first);
        levels_between(v, w, 1, 3, c, how);
        transpose(v);
        transpose(v + 4);
        store_all(turned + LANES * ROW * half, v, ROW, 4, 0, c);
        store_all(turned + LANES * ROW * half + LANES, v + 4, ROW, 4, 0, c);
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        load_all(v, turned + LANES * half, ROW, 8, 0);
        levels_inside(v, w + LANES * half, c);
        store_all(x + LANES * half, v, ROW, 8, 1, c);
    }
}

/* ---- back --------------------------------------------------------------------------------------------------------------- */

/* (x, y) -> (x + y, w (x - y)) */
AVX2_INLINE void back_butterfly(__m256d *x, __m256d *y, __m256d w, __m256d ratio, const avx2_prime *c, const mode how)
{
    const __m256d sum = _mm256_add_pd(*x, *y);
    *y = avx2_times(_mm256_sub_pd(*x, *y), w, ratio, c);
    *x = how == FULL ? avx2_fold(sum, c) : sum;
}

/* Levels `from` and above of `levels`; then what was a sum on all of them is reduced. */
AVX2_INLINE void back_between(__m256d *v, const uint64_t *w, size_t index, const int levels, const int from, const avx2_prime *c, const mode how)
{
#pragma GCC unroll 3
    for (int level = levels - 1; level >= from; level--) {
        const int half = 1 << (levels - level - 1);
#pragma GCC unroll 4
        for (int s = 0; s < 1 << level; s++) {
            const uint64_t *const pair = w + 2 * ((index << level) + (size_t)s);
#pragma GCC unroll 4
            for (int j = 0; j < half; j++) {
                __m256d *const x = v + 2 * half * s + j;
                back_butterfly(x, x + half, broadcast(pair), broadcast(pair + 1), c, how);
            }
        }
    }
    if (how == LAZY && from == 0) v[0] = avx2_fold(v[0], c);
}

AVX2_INLINE void back_inside(__m256d *v, const uint64_t *w, const avx2_prime *c, const mode how)
{
#pragma GCC unroll 3
    for (int level = 2; level >= 0; level--) {
        const int half = 4 >> level;
#pragma GCC unroll 4
        for (int s = 0; s < 1 << level; s++) {
            const uint64_t *const pair = w + INSIDE * ((1 << level) + s);
#pragma GCC unroll 4
            for (int j = 0; j < half; j++) {
                __m256d *const x = v + 2 * half * s + j;
                back_butterfly(x, x + half, load(pair), load(pair + ROW), c, how);
            }
        }
    }
    if (how == LAZY) v[0] = avx2_fold(v[0], c);
}

/* The level of two halves, and the division by n: pair 0 is 1 / n, pair 1 has it in it. */
AVX2_INLINE void back_top(__m256d *v, const uint64_t *w, const int levels, const avx2_prime *c)
{
    const int half = 1 << (levels - 1);
#pragma GCC unroll 4
    for (int j = 0; j < half; j++) {
        const __m256d sum = _mm256_add_pd(v[j], v[half + j]);
        v[half + j] = avx2_times(_mm256_sub_pd(v[j], v[half + j]), broadcast(w + 2), broadcast(w + 3), c);
        v[j] = avx2_times(sum, broadcast(w), broadcast(w + 1), c);
    }
}

/* top = 1: the last of all passes, which leaves words */
AVX2_INLINE void back_pass(uint64_t *x, size_t points, const uint64_t *w, size_t index, const int levels, const int top, const avx2_prime *c,
                           const mode how)
{
    const size_t step = points >> levels;
    for (size_t j = 0; j < step; j += LANES) {
        __asm__ volatile("" ::: "memory");
        __m256d v[8];
        load_all(v, x + j, step, 1 << levels, 0);
        back_between(v, w, index, levels, top, c, how);
        if (top) back_top(v, w, levels, c);
        store_all(x + j, v, step, 1 << levels, top, c);
    }
}

AVX2_INLINE void back_first(uint64_t *x, const uint64_t *w, const int top, const avx2_prime *c, const mode how)
{
    uint64_t turned[POINTS];
    __m256d v[8];
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        load_all(v, x + LANES * half, ROW, 8, 1);
        back_inside(v, w + LANES * half, c, how);
        transpose(v);
        transpose(v + 4);
        store_all(turned + LANES * ROW * half, v, ROW, 4, 0, c);
        store_all(turned + LANES * ROW * half + LANES, v + 4, ROW, 4, 0, c);
    }
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        load_all(v, turned + LANES * half, ROW, 8, 0);
        back_between(v, w, 1, 3, top, c, how);
        if (top) back_top(v, w, 3, c);
        store_all(x + LANES * half, v, ROW, 8, top, c);
    }
}

/* ---- the order of the work ---------------------------------------------------------------------------------------------- */

/* How many levels the next pass takes when so many are left above the last six. */
static const signed char LEVELS[] = {0, 1, 2, 3, 2, 2, 3, 2, 2, 3, 2, 2};

#define PASS_CASE(FUNCTION, LEVELS, FLAG, HOW)                              \
    case 2 * LEVELS + FLAG:                                                 \
        FUNCTION(x, points, w, index, LEVELS, FLAG, &c, HOW);               \
        return;

/* index == 1: the pass over everything, first on the way forward, last on the way back */
#define PASS(NAME, FUNCTION, HOW)                                                                                                \
    AVX2_TARGET static void NAME(uint64_t *x, size_t points, const uint64_t *w, size_t index, int levels, const rns_table *t)    \
    {                                                                                                                            \
        const avx2_prime c = avx2_prime_of(t->p);                                                                                \
        switch (2 * levels + (index == 1)) {                                                                                     \
            PASS_CASE(FUNCTION, 1, 0, HOW)                                                                                       \
            PASS_CASE(FUNCTION, 1, 1, HOW)                                                                                       \
            PASS_CASE(FUNCTION, 2, 0, HOW)                                                                                       \
            PASS_CASE(FUNCTION, 2, 1, HOW)                                                                                       \
            PASS_CASE(FUNCTION, 3, 0, HOW)                                                                                       \
            PASS_CASE(FUNCTION, 3, 1, HOW)                                                                                       \
        default: return;                                                                                                         \
        }                                                                                                                        \
    }

/* whole = 1: these 64 points are all */
#define SIX_LEVELS(NAME, FUNCTION, HOW)                                                                                          \
    AVX2_TARGET static void NAME(uint64_t *x, const uint64_t *w, size_t blocks, const rns_table *t)                              \
    {                                                                                                                            \
        const avx2_prime c = avx2_prime_of(t->p);                                                                                \
        if (t->log_n == LAST) {                                                                                                  \
            FUNCTION(x, w, 1, &c, HOW);                                                                                          \
            return;                                                                                                              \
        }                                                                                                                        \
        for (size_t i = 0; i < blocks; i++) FUNCTION(x + POINTS * i, w + BLOCK_WORDS * i, 0, &c, HOW);                           \
    }

PASS(lazy_pass, pass, LAZY)
PASS(full_pass, pass, FULL)
PASS(lazy_back_pass, back_pass, LAZY)
PASS(full_back_pass, back_pass, FULL)
SIX_LEVELS(lazy_last, last, LAZY)
SIX_LEVELS(full_last, last, FULL)
SIX_LEVELS(lazy_back_first, back_first, LAZY)
SIX_LEVELS(full_back_first, back_first, FULL)

/* Block number `index` - 2^k of 2^k, and below it. */
static void forward_below(uint64_t *x, int log_points, size_t index, const rns_table *t)
{
    const int lazy = t->bits <= LAZY_BITS, levels = LEVELS[log_points - LAST], rest = log_points - levels;
    const uint64_t *const w = t->twiddles, *const blocks = w + 2 * blocks_of(t);
    if (levels > 0) (lazy ? lazy_pass : full_pass)(x, (size_t)1 << log_points, w, index, levels, t);
    if (rest == LAST) {
        const size_t block = (index << levels) - blocks_of(t);
        (lazy ? lazy_last : full_last)(x, blocks + BLOCK_WORDS * block, (size_t)1 << levels, t);
        return;
    }
    for (size_t i = 0; i < (size_t)1 << levels; i++) forward_below(x + (i << rest), rest, (index << levels) + i, t);
}

static void back_below(uint64_t *x, int log_points, size_t index, const rns_table *t)
{
    const int lazy = t->bits <= LAZY_BITS, levels = LEVELS[log_points - LAST], rest = log_points - levels;
    const uint64_t *const w = t->twiddles + way_words(t), *const blocks = w + 2 * blocks_of(t);
    if (rest == LAST) {
        const size_t block = (index << levels) - blocks_of(t);
        (lazy ? lazy_back_first : full_back_first)(x, blocks + BLOCK_WORDS * block, (size_t)1 << levels, t);
    } else {
        for (size_t i = 0; i < (size_t)1 << levels; i++) back_below(x + (i << rest), rest, (index << levels) + i, t);
    }
    if (levels > 0) (lazy ? lazy_back_pass : full_back_pass)(x, (size_t)1 << log_points, w, index, levels, t);
}

void ntt_forward_avx2(uint64_t *x, const rns_table *t)
{
    if (t->log_n < LAST) {
        ntt_forward_portable(x, t);
    } else {
        forward_below(x, t->log_n, 1, t);
    }
}

void ntt_inverse_avx2(uint64_t *x, const rns_table *t)
{
    if (t->log_n < LAST) {
        ntt_inverse_portable(x, t);
    } else {
        back_below(x, t->log_n, 1, t);
    }
}
#endif
