/*
 * The negacyclic transform on 64-bit words: Cooley-Tukey forward, Gentleman-Sande back (Harvey 2014, section 4), two levels a pass over memory.
 *
 * Twiddle factors stand as pairs (w, floor(w 2^64 / p)): n of them forward, n back, index as rns_form.fill. Forward needs no correction on any
 * level: a product is below 2p whatever its first factor, so a level adds at most 2p, and 2^50 + 17 * 2p < 2^64.
 */
#include "rns_reduce.h"
#include "rns_table.h"

#include <stdlib.h>

typedef struct {
    uint64_t w, quotient;
} twiddle;

enum { MATRIX = 64 }; /* words of an 8 x 8 matrix */

size_t ntt_words_portable(const rns_table *t) { return 4 * t->n; }

static twiddle make(uint64_t w, uint64_t p) { return (twiddle){w, shoup_quotient(w, p)}; }

/* inverse[0], which no butterfly uses, and inverse[1], the last level's, also divide by n. */
void ntt_fill_portable(rns_table *t, const uint64_t *forward, const uint64_t *inverse)
{
    twiddle *const out = (twiddle *)t->twiddles;
    for (size_t k = 0; k < t->n; k++) {
        out[k] = make(forward[k], t->p);
        out[t->n + k] = make(inverse[k], t->p);
    }
    out[t->n] = make(t->n_inverse, t->p);
    out[t->n + 1] = make(rns_public_mul(inverse[1], t->n_inverse, t->p), t->p);
}

INLINE uint64_t times(uint64_t y, twiddle w, uint64_t p) { return shoup_lazy(y, w.w, w.quotient, p); }

/* (x, y) -> (x + w y, x - w y + 2p) */
INLINE void forward_butterfly(uint64_t *x, uint64_t *y, twiddle w, uint64_t p)
{
    const uint64_t r = times(*y, w, p), sum = *x + r;
    *y = *x + 2 * p - r;
    *x = sum;
}

/* The first level, on x[0 .. n). */
static void forward_one(uint64_t *x, twiddle w, size_t half, uint64_t p)
{
    for (size_t j = 0; j < half; j++) forward_butterfly(x + j, x + half + j, w, p);
}

/* Levels of 2^k and 2^(k + 1) blocks, blocks = 2^k. */
static void forward_two(uint64_t *x, const twiddle *w, size_t blocks, size_t n, uint64_t p)
{
    const size_t quarter = n / blocks / 4;
    for (size_t i = 0; i < blocks; i++) {
        const twiddle first = w[blocks + i], left = w[2 * (blocks + i)], right = w[2 * (blocks + i) + 1];
        uint64_t *const a = x + 4 * quarter * i, *const b = a + quarter, *const c = b + quarter, *const d = c + quarter;
        for (size_t j = 0; j < quarter; j++) {
            forward_butterfly(a + j, c + j, first, p);
            forward_butterfly(b + j, d + j, first, p);
            forward_butterfly(a + j, b + j, left, p);
            forward_butterfly(c + j, d + j, right, p);
        }
    }
}

/* Rows and columns of an 8 x 8 matrix change places: the order of values inside a block of 64. */
INLINE void transpose(uint64_t *x)
{
#pragma GCC unroll 8
    for (int row = 0; row < 8; row++) {
#pragma GCC unroll 8
        for (int column = row + 1; column < 8; column++) {
            const uint64_t above = x[8 * row + column];
            x[8 * row + column] = x[8 * column + row];
            x[8 * column + row] = above;
        }
    }
}

void ntt_forward_portable(uint64_t *x, const rns_table *t)
{
    const twiddle *const w = (const twiddle *)t->twiddles;
    const int odd = t->log_n & 1;
    if (odd) forward_one(x, w[1], t->n / 2, t->p);
    for (size_t blocks = odd ? 2 : 1; blocks < t->n; blocks *= 4) forward_two(x, w, blocks, t->n, t->p);
    for (size_t i = 0; i < t->n; i += MATRIX) {
        const size_t end = t->n < MATRIX ? t->n : i + MATRIX;
        for (size_t j = i; j < end; j++) x[j] = barrett_reduce(x[j], t->p, t->barrett);
        if (t->n >= MATRIX) transpose(x + i);
    }
}

/* (x, y) -> (x + y, w (x - y)), y <= offset, offset a multiple of p */
INLINE void inverse_butterfly(uint64_t *x, uint64_t *y, twiddle w, uint64_t offset, uint64_t p)
{
    const uint64_t sum = *x + *y;
    *y = times(*x + offset - *y, w, p);
    *x = sum;
}

/* Two levels of `count` blocks of four quarters; of the upper level the first has the factor w[index]. */
INLINE void inverse_two(uint64_t *x, const twiddle *w, size_t index, size_t count, size_t quarter, uint64_t offset, uint64_t p)
{
    for (size_t i = 0; i < count; i++) {
        const twiddle last = w[index + i], left = w[2 * (index + i)], right = w[2 * (index + i) + 1];
        uint64_t *const a = x + 4 * quarter * i, *const b = a + quarter, *const c = b + quarter, *const d = c + quarter;
        for (size_t j = 0; j < quarter; j++) {
            inverse_butterfly(a + j, b + j, left, offset, p);
            inverse_butterfly(c + j, d + j, right, offset, p);
            inverse_butterfly(a + j, c + j, last, 2 * offset, p);
            inverse_butterfly(b + j, d + j, last, 2 * offset, p);
        }
    }
}

/* The first two levels. */
static void inverse_first(uint64_t *x, const twiddle *w, size_t n, uint64_t offset, uint64_t p)
{
    if (n < MATRIX) {
        inverse_two(x, w, n / 4, n / 4, 1, offset, p);
        return;
    }
    for (size_t i = 0; i < n; i += MATRIX) {
        transpose(x + i);
        inverse_two(x + i, w, (n + i) / 4, MATRIX / 4, 1, offset, p);
    }
}

/* The level of two halves, and the division by n. */
static void inverse_last(uint64_t *x, const twiddle *w, size_t half, uint64_t offset, uint64_t p)
{
    for (size_t j = 0; j < half; j++) {
        const uint64_t a = x[j], b = x[half + j];
        x[j] = once_below(times(a + b, w[0], p), p);
        x[half + j] = once_below(times(a + offset - b, w[1], p), p);
    }
}

/* The values that were sums on each of the last four levels, after `levels` levels: the first sixteenth of every block. */
static void reduce_sums(uint64_t *x, int levels, const rns_table *t)
{
    const size_t block = (size_t)1 << levels;
    for (size_t i = 0; i < t->n; i += block) {
        for (size_t j = 0; j < block / 16; j++) x[i + j] = barrett_lazy(x[i + j], t->p, t->barrett);
    }
}

/*
 * A sum doubles, a product is below 2p. After six levels what was a sum on each of the last four is reduced, so that everything is below 16p; of
 * the first such stretch everything is below 2^50 * 2^6, of a later one below 16p * 2^7 <= 2^61, and `offset` is above either.
 */
void ntt_inverse_portable(uint64_t *x, const rns_table *t)
{
    const twiddle *const w = (const twiddle *)t->twiddles + t->n;
    uint64_t offset = (((uint64_t)1 << 50) / t->p + 1) * t->p;
    int levels = 2, since = 2;
    inverse_first(x, w, t->n, offset, t->p);
    offset *= 4;
    for (size_t blocks = t->n / 16; levels + 2 < t->log_n; blocks /= 4) {
        inverse_two(x, w, blocks, blocks, t->n / blocks / 4, offset, t->p);
        levels += 2, since += 2, offset *= 4;
        if (since == 6) {
            reduce_sums(x, levels, t);
            since = 0, offset = 16 * t->p;
        }
    }
    if (levels + 2 == t->log_n) {
        for (size_t j = 0; j < t->n; j += t->n / 2) {
            for (size_t k = 0; k < t->n / 4; k++) inverse_butterfly(x + j + k, x + j + t->n / 4 + k, w[j == 0 ? 2 : 3], offset, t->p);
        }
        offset *= 2;
    }
    inverse_last(x, w, t->n / 2, offset, t->p);
}
