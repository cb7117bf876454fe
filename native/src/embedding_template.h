/*
 * The embedding with vectors of WIDTH doubles. Included by embedding_*.c, which define
 *   FOR_ISA       the attribute that selects the instruction set
 *   WIDTH         8, 4 or 2
 *   EMBED_FORMS   the name of the forms
 *   HAS_FMA       1 with MULTIPLY_ADD(a, b, c) = a b + c in one rounding, else 0
 *   HAS_ROUND     1 with ROUND(x) = x to the nearest integer, half to even, else 0
 *
 * One level of the transform splits a row x of even length: (a, b) -> (a + t b, a - t b), a and b its halves; the inverse level is (a + b,
 * (a - b) conj t), twice too large. A tile is the last three levels on 64 numbers, of eight rows whose places differ in their top three
 * bits, so that it can turn the order of indices around: rows become lanes, in the order of their slots.
 */
#include "element.h"
#include "embedding_forms.h"

typedef double vec __attribute__((vector_size(8 * WIDTH)));
typedef uint64_t words __attribute__((vector_size(8 * WIDTH)));

typedef struct {
    vec re, im;
} cvec;

FOR_ISA INLINE vec load(const double *at)
{
    vec v;
    memcpy(&v, at, sizeof v);
    return v;
}

FOR_ISA INLINE void store(double *at, vec v) { memcpy(at, &v, sizeof v); }

FOR_ISA INLINE vec all(double x) { return x - (vec){0}; }

FOR_ISA INLINE words all_words(uint64_t x) { return x - (words){0}; }

/* ---- arithmetic --------------------------------------------------------------------------------------------------------- */

#if HAS_FMA
/* a b - h, exact when h = a b rounded */
FOR_ISA INLINE vec product_error(vec a, vec b, vec h) { return MULTIPLY_ADD(a, b, -h); }

FOR_ISA INLINE vec multiply_add(vec a, vec b, vec c) { return MULTIPLY_ADD(a, b, c); }

/* x - q p, exact: x integer, |x - q p| < 2^53 */
FOR_ISA INLINE vec remainder_of(vec x, vec q, vec p) { return MULTIPLY_ADD(-q, p, x); }
#else
FOR_ISA INLINE vec high_half(vec a)
{
    const vec t = a * 134217729.0; /* 2^27 + 1: Veltkamp's splitting */
    return t - (t - a);
}

/* Dekker 1971 */
FOR_ISA INLINE vec product_error(vec a, vec b, vec h)
{
    const vec ah = high_half(a), bh = high_half(b), al = a - ah, bl = b - bh;
    return ((ah * bh - h) + ah * bl + al * bh) + al * bl;
}

FOR_ISA INLINE vec multiply_add(vec a, vec b, vec c) { return a * b + c; }

FOR_ISA INLINE vec remainder_of(vec x, vec q, vec p)
{
    const vec h = q * p;
    return (x - h) - product_error(q, p, h);
}
#endif

/* mask all ones gives a, zero gives 0 */
FOR_ISA INLINE vec masked(words mask, vec a) { return (vec)(mask & (words)a); }

FOR_ISA INLINE vec magnitude(vec a) { return (vec)((words)a & all_words(INT64_MAX)); }

/* To the nearest integer, half to even; nearest_small for |a| < 2^51. */
#if HAS_ROUND
FOR_ISA INLINE vec nearest(vec a) { return ROUND(a); }

FOR_ISA INLINE vec nearest_small(vec a) { return ROUND(a); }
#else
/* The sum with 3 2^51 has no fraction. */
FOR_ISA INLINE vec nearest_small(vec a) { return (a + 0x1.8p52) - 0x1.8p52; }

/* Below 2^52 the sum with 2^52 of the same sign has no fraction; from there on a has none. */
FOR_ISA INLINE vec nearest(vec a)
{
    const vec big = (vec)(((words)a & all_words((uint64_t)1 << 63)) | (words)all(0x1p52));
    const words small = (words)(magnitude(a) < 0x1p52);
    return (vec)((small & (words)((a + big) - big)) | (~small & (words)a));
}
#endif

/* [0, 2^52) as integers <-> as doubles: the bits of 2^52 + x end with x */
FOR_ISA INLINE words to_words(vec a) { return (words)(a + 0x1p52) ^ (words)all(0x1p52); }

FOR_ISA INLINE vec from_words(words a) { return (vec)(a | (words)all(0x1p52)) - 0x1p52; }

FOR_ISA INLINE int all_true(words masks)
{
    uint64_t bits = 1;
    for (int lane = 0; lane < WIDTH; lane++) bits &= masks[lane];
    return (int)bits;
}

FOR_ISA INLINE cvec add(cvec a, cvec b) { return (cvec){a.re + b.re, a.im + b.im}; }

FOR_ISA INLINE cvec sub(cvec a, cvec b) { return (cvec){a.re - b.re, a.im - b.im}; }

/* c + t x and c - t x */
FOR_ISA INLINE cvec plus(cvec c, cvec t, cvec x)
{
    return (cvec){multiply_add(-t.im, x.im, multiply_add(t.re, x.re, c.re)), multiply_add(t.im, x.re, multiply_add(t.re, x.im, c.im))};
}

FOR_ISA INLINE cvec minus(cvec c, cvec t, cvec x) { return plus(c, (cvec){-t.re, -t.im}, x); }

/* conj(t) x */
FOR_ISA INLINE cvec conjugate_times(cvec t, cvec x)
{
    return (cvec){multiply_add(t.im, x.im, t.re * x.re), multiply_add(-t.im, x.re, t.re * x.im)};
}

FOR_ISA INLINE void split(cvec *a, cvec *b, cvec t)
{
    const cvec x = *a, y = *b;
    *a = plus(x, t, y);
    *b = minus(x, t, y);
}

FOR_ISA INLINE void join(cvec *a, cvec *b, cvec t)
{
    const cvec x = *a, y = *b;
    *a = add(x, y);
    *b = conjugate_times(t, sub(x, y));
}

/* -i t */
FOR_ISA INLINE cvec turned(cvec t) { return (cvec){t.im, -t.re}; }

/* ---- levels on whole rows ----------------------------------------------------------------------------------------------- */

FOR_ISA INLINE cvec load_at(const double *work, size_t n, size_t i) { return (cvec){load(work + i), load(work + n + i)}; }

FOR_ISA INLINE void store_at(double *work, size_t n, size_t i, cvec v)
{
    store(work + i, v.re);
    store(work + n + i, v.im);
}

FOR_ISA INLINE cvec factor_at(const embed_table *t, size_t i) { return (cvec){all(t->real[i]), all(t->imaginary[i])}; }

FOR_ISA static void split_rows(double *work, const embed_table *t, size_t rows)
{
    const size_t n = t->n, half = n / rows / 2;
    for (size_t r = 0; r < rows; r++) {
        const cvec factor = factor_at(t, rows + r);
        for (size_t i = 2 * half * r; i < 2 * half * r + half; i += WIDTH) {
            cvec a = load_at(work, n, i), b = load_at(work, n, i + half);
            split(&a, &b, factor);
            store_at(work, n, i, a);
            store_at(work, n, i + half, b);
        }
    }
}

FOR_ISA static void join_rows(double *work, const embed_table *t, size_t rows)
{
    const size_t n = t->n, half = n / rows / 2;
    for (size_t r = 0; r < rows; r++) {
        const cvec factor = factor_at(t, rows + r);
        for (size_t i = 2 * half * r; i < 2 * half * r + half; i += WIDTH) {
            cvec a = load_at(work, n, i), b = load_at(work, n, i + half);
            join(&a, &b, factor);
            store_at(work, n, i, a);
            store_at(work, n, i + half, b);
        }
    }
}

/* The levels `rows` and 2 rows in one pass. */
FOR_ISA static void split_rows_twice(double *work, const embed_table *t, size_t rows)
{
    const size_t n = t->n, quarter = n / rows / 4;
    for (size_t r = 0; r < rows; r++) {
        const cvec factor = factor_at(t, rows + r), left = factor_at(t, 2 * rows + 2 * r), right = factor_at(t, 2 * rows + 2 * r + 1);
        for (size_t i = 4 * quarter * r; i < 4 * quarter * r + quarter; i += WIDTH) {
            cvec a = load_at(work, n, i), b = load_at(work, n, i + quarter);
            cvec c = load_at(work, n, i + 2 * quarter), d = load_at(work, n, i + 3 * quarter);
            split(&a, &c, factor);
            split(&b, &d, factor);
            split(&a, &b, left);
            split(&c, &d, right);
            store_at(work, n, i, a);
            store_at(work, n, i + quarter, b);
            store_at(work, n, i + 2 * quarter, c);
            store_at(work, n, i + 3 * quarter, d);
        }
    }
}

FOR_ISA static void join_rows_twice(double *work, const embed_table *t, size_t rows)
{
    const size_t n = t->n, quarter = n / rows / 4;
    for (size_t r = 0; r < rows; r++) {
        const cvec factor = factor_at(t, rows + r), left = factor_at(t, 2 * rows + 2 * r), right = factor_at(t, 2 * rows + 2 * r + 1);
        for (size_t i = 4 * quarter * r; i < 4 * quarter * r + quarter; i += WIDTH) {
            cvec a = load_at(work, n, i), b = load_at(work, n, i + quarter);
            cvec c = load_at(work, n, i + 2 * quarter), d = load_at(work, n, i + 3 * quarter);
            join(&a, &b, left);
            join(&c, &d, right);
            join(&a, &c, factor);
            join(&b, &d, factor);
            store_at(work, n, i, a);
            store_at(work, n, i + quarter, b);
            store_at(work, n, i + 2 * quarter, c);
            store_at(work, n, i + 3 * quarter, d);
        }
    }
}

/* ---- tiles -------------------------------------------------------------------------------------------------------------- */

enum { PARTS = 8 / WIDTH };

typedef cvec tile[8][PARTS];

#if defined(__clang__)
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (words){__VA_ARGS__})
#endif

/* EXCHANGE_s: in every block of 2 s lanes the second half of a and the first half of b trade places. */
#define EXCHANGE(NAME, LOW, HIGH)             \
    FOR_ISA INLINE void NAME(vec *a, vec *b)  \
    {                                         \
        const vec low = LOW, high = HIGH;     \
        *a = low;                             \
        *b = high;                            \
    }
#if WIDTH == 8
EXCHANGE(exchange_4, SHUFFLE(*a, *b, 0, 1, 2, 3, 8, 9, 10, 11), SHUFFLE(*a, *b, 4, 5, 6, 7, 12, 13, 14, 15))
EXCHANGE(exchange_2, SHUFFLE(*a, *b, 0, 1, 8, 9, 4, 5, 12, 13), SHUFFLE(*a, *b, 2, 3, 10, 11, 6, 7, 14, 15))
EXCHANGE(exchange_1, SHUFFLE(*a, *b, 0, 8, 2, 10, 4, 12, 6, 14), SHUFFLE(*a, *b, 1, 9, 3, 11, 5, 13, 7, 15))
EXCHANGE(interleave, SHUFFLE(*a, *b, 0, 8, 1, 9, 2, 10, 3, 11), SHUFFLE(*a, *b, 4, 12, 5, 13, 6, 14, 7, 15))
EXCHANGE(separate, SHUFFLE(*a, *b, 0, 2, 4, 6, 8, 10, 12, 14), SHUFFLE(*a, *b, 1, 3, 5, 7, 9, 11, 13, 15))
#elif WIDTH == 4
EXCHANGE(exchange_2, SHUFFLE(*a, *b, 0, 1, 4, 5), SHUFFLE(*a, *b, 2, 3, 6, 7))
EXCHANGE(exchange_1, SHUFFLE(*a, *b, 0, 4, 2, 6), SHUFFLE(*a, *b, 1, 5, 3, 7))
EXCHANGE(interleave, SHUFFLE(*a, *b, 0, 4, 1, 5), SHUFFLE(*a, *b, 2, 6, 3, 7))
EXCHANGE(separate, SHUFFLE(*a, *b, 0, 2, 4, 6), SHUFFLE(*a, *b, 1, 3, 5, 7))
#else
EXCHANGE(exchange_1, SHUFFLE(*a, *b, 0, 2), SHUFFLE(*a, *b, 1, 3))
#define interleave exchange_1
#define separate exchange_1
#endif

/* The transpose of WIDTH vectors of WIDTH doubles: halves of blocks trade places, in ever smaller blocks. */
FOR_ISA INLINE void transpose_square(vec *x)
{
#if WIDTH == 8
    for (int i = 0; i < 4; i++) exchange_4(&x[i], &x[i + 4]);
#endif
#if WIDTH >= 4
    for (int i = 0; i < WIDTH; i = ((i | 2) + 1) & ~2) exchange_2(&x[i], &x[i + 2]);
#endif
    for (int i = 0; i < WIDTH; i += 2) exchange_1(&x[i], &x[i + 1]);
}

/* Rows become lanes and lanes rows: the squares by themselves, and each takes the other's place. */
FOR_ISA INLINE void transpose(tile x)
{
    tile y;
    for (int row = 0; row < PARTS; row++) {
        for (int column = 0; column < PARTS; column++) {
            vec re[WIDTH], im[WIDTH];
            for (int i = 0; i < WIDTH; i++) {
                re[i] = x[row * WIDTH + i][column].re;
                im[i] = x[row * WIDTH + i][column].im;
            }
            transpose_square(re);
            transpose_square(im);
            for (int i = 0; i < WIDTH; i++) y[column * WIDTH + i][row] = (cvec){re[i], im[i]};
        }
    }
    memcpy(x, y, sizeof(tile));
}

static const int REVERSED[8] = {0, 4, 2, 6, 1, 5, 3, 7};

/* Factor `which` of a tile: 0 for the first level, 1 for the second, 2 and 3 for the third; those of the other rows are -i times these. */
FOR_ISA INLINE cvec tile_factor(const double *factors, int which, int part)
{
    return (cvec){load(factors + 16 * which + WIDTH * part), load(factors + 16 * which + 8 + WIDTH * part)};
}

FOR_ISA INLINE void split_tile(tile x, const double *factors)
{
    for (int h = 0; h < PARTS; h++) {
        const cvec first = tile_factor(factors, 0, h), second = tile_factor(factors, 1, h);
        const cvec left = tile_factor(factors, 2, h), right = tile_factor(factors, 3, h);
        for (int i = 0; i < 4; i++) split(&x[i][h], &x[i + 4][h], first);
        for (int i = 0; i < 2; i++) split(&x[i][h], &x[i + 2][h], second);
        for (int i = 4; i < 6; i++) split(&x[i][h], &x[i + 2][h], turned(second));
        split(&x[0][h], &x[1][h], left);
        split(&x[2][h], &x[3][h], turned(left));
        split(&x[4][h], &x[5][h], right);
        split(&x[6][h], &x[7][h], turned(right));
    }
}

FOR_ISA INLINE void join_tile(tile x, const double *factors)
{
    for (int h = 0; h < PARTS; h++) {
        const cvec first = tile_factor(factors, 0, h), second = tile_factor(factors, 1, h);
        const cvec left = tile_factor(factors, 2, h), right = tile_factor(factors, 3, h);
        join(&x[0][h], &x[1][h], left);
        join(&x[2][h], &x[3][h], turned(left));
        join(&x[4][h], &x[5][h], right);
        join(&x[6][h], &x[7][h], turned(right));
        for (int i = 0; i < 2; i++) join(&x[i][h], &x[i + 2][h], second);
        for (int i = 4; i < 6; i++) join(&x[i][h], &x[i + 2][h], turned(second));
        for (int i = 0; i < 4; i++) join(&x[i][h], &x[i + 4][h], first);
    }
}

FOR_ISA INLINE cvec load_pairs(const double *in)
{
    cvec v = {load(in), load(in + WIDTH)};
    separate(&v.re, &v.im);
    return v;
}

FOR_ISA INLINE void store_pairs(double *out, cvec v)
{
    interleave(&v.re, &v.im);
    store(out, v.re);
    store(out + WIDTH, v.im);
}

/* Tile m is the rows at places a n / 64 + m, a < 8, of n / 8 rows of 8. Lane l stands for a = REVERSED[l]; number b of the rows is slot
 * REVERSED[b] n / 8 + 8 reverse(m) + l. */
FOR_ISA INLINE size_t slot_of(size_t n, int b, size_t reversed_m) { return (size_t)REVERSED[b] * (n / 8) + 8 * reversed_m; }

FOR_ISA INLINE size_t row_of(size_t n, int lane, size_t m) { return 8 * ((size_t)REVERSED[lane] * (n / 64) + m); }

/* The reverse of m + 1, given that of m, both of log2(2 top) bits: a carry that runs down from the top. */
INLINE size_t next_reversed(size_t reversed, size_t top)
{
    while (reversed & top) {
        reversed ^= top;
        top >>= 1;
    }
    return reversed | top;
}

FOR_ISA static void embed_forward(double *out, double *work, const embed_table *t)
{
    const size_t n = t->n;
    size_t rows = 1;
    if (t->log_n % 2 == 0) { /* log_n - 3 levels: an odd number */
        split_rows(work, t, 1);
        rows = 2;
    }
    for (; rows < n / 8; rows *= 4) split_rows_twice(work, t, rows);
    for (size_t m = 0, reversed = 0; m < n / 64; m++, reversed = next_reversed(reversed, n / 128)) {
        tile x;
        for (int l = 0; l < 8; l++) {
            for (int h = 0; h < PARTS; h++) x[l][h] = load_at(work, n, row_of(n, l, m) + (size_t)(WIDTH * h));
        }
        transpose(x);
        split_tile(x, t->tiles + EMBED_TILE * m);
        for (int b = 0; b < 8; b++) {
            for (int h = 0; h < PARTS; h++) store_pairs(out + 2 * (slot_of(n, b, reversed) + (size_t)(WIDTH * h)), x[b][h]);
        }
    }
}

FOR_ISA static void embed_inverse(double *work, const double *in, int is_complex, const embed_table *t)
{
    const size_t n = t->n;
    for (size_t m = 0, reversed = 0; m < n / 64; m++, reversed = next_reversed(reversed, n / 128)) {
        tile x;
        for (int b = 0; b < 8; b++) {
            for (int h = 0; h < PARTS; h++) {
                const size_t slot = slot_of(n, b, reversed) + (size_t)(WIDTH * h);
                x[b][h] = is_complex ? load_pairs(in + 2 * slot) : (cvec){load(in + slot), all(0)};
            }
        }
        join_tile(x, t->tiles + EMBED_TILE * m);
        transpose(x);
        for (int l = 0; l < 8; l++) {
            for (int h = 0; h < PARTS; h++) store_at(work, n, row_of(n, l, m) + (size_t)(WIDTH * h), x[l][h]);
        }
    }
    size_t rows = n / 32;
    for (; rows >= 1; rows /= 4) join_rows_twice(work, t, rows);
    if (t->log_n % 2 == 0) join_rows(work, t, 1);
}

/* ---- numbers to residues ------------------------------------------------------------------------------------------------ */

enum { ROUND_BLOCK = 256 }; /* numbers that stay in the first-level cache while every limb takes them */

/* |x| <= 2^50 p, an integer. The quotient is off by at most 1/2 + 2^50 2^-52 (1 + 2^-53), so that the remainder is less than p in
 * magnitude, an integer and exact. out: [0, p) */
FOR_ISA INLINE words residue(vec x, vec p, vec reciprocal)
{
    const vec r = remainder_of(x, nearest_small(x * reciprocal), p);
    return to_words(r + masked((words)(r < 0.0), p));
}

FOR_ISA static void store_residues(uint64_t *out, const double *work, size_t size, uint64_t prime)
{
    const vec p = all((double)(int64_t)prime), reciprocal = all(1.0 / (double)(int64_t)prime);
    for (size_t i = 0; i < size; i += WIDTH) {
        const words r = residue(load(work + i), p, reciprocal);
        memcpy(out + i, &r, sizeof r);
    }
}

FOR_ISA static int embed_round(uint64_t *out, double *work, size_t size, double factor, double limit, const uint64_t *primes,
                               size_t limbs)
{
    words inside = all_words(UINT64_MAX);
    for (size_t start = 0; start < size; start += ROUND_BLOCK) {
        const size_t count = size - start < ROUND_BLOCK ? size - start : ROUND_BLOCK;
        for (size_t i = start; i < start + count; i += WIDTH) {
            const vec x = nearest(load(work + i) * factor);
            inside &= (words)(magnitude(x) < limit); /* not for a NaN */
            store(work + i, x);
        }
        for (size_t limb = 0; limb < limbs; limb++) store_residues(out + limb * size + start, work + start, count, primes[limb]);
    }
    return !all_true(inside);
}

/* ---- residues to numbers ------------------------------------------------------------------------------------------------ */

/* a c mod p, |result| <= p. |a| < 2^51, |c| <= p / 2: the quotient a c / p is below 2^50, off by at most 1/2 + 3 2^50 2^-53, and |low|
 * <= p / 8. */
FOR_ISA INLINE vec times(vec a, double c, double p, double reciprocal)
{
    const vec factor = all(c), h = a * factor, low = product_error(a, factor, h);
    return remainder_of(h, nearest_small(h * reciprocal), all(p)) + low;
}

/* |a| < 3 p / 2, an integer -> the number between -p / 2 and p / 2 that is a mod p. As p is odd, a / p stays 1 / 2p > 2^-51 away from halves,
 * and the quotient errs by less than 3/2 2^-52. */
FOR_ISA INLINE vec balanced(vec a, double p, double reciprocal) { return multiply_add(-nearest_small(a * reciprocal), all(p), a); }

FOR_ISA INLINE vec residues_at(const uint64_t *row, size_t i)
{
    words r;
    memcpy(&r, row + i, sizeof r);
    return from_words(r);
}

/* x = d0 + p0 d1 + p0 p1 d2 with digits between -p / 2 and p / 2, which makes x the integer of smallest magnitude. The sums lose nothing that
 * counts: what stands left of a + is larger, by as much as its rounding keeps, or zero. same: all ones stay where p[3] agrees. */
FOR_ISA INLINE vec lift_one(const uint64_t *in, size_t i, size_t size, const embed_radix *c, const int used, const int checked,
                            words *same)
{
    const vec d0 = balanced(residues_at(in, i), c->p[0], c->reciprocal[0]);
    if (used == 1) return d0;
    const vec d1 = balanced(times(residues_at(in + size, i) - d0, c->inverse01, c->p[1], c->reciprocal[1]), c->p[1], c->reciprocal[1]);
    const vec p0 = all(c->p[0]), h1 = p0 * d1, rest = product_error(p0, d1, h1) + d0;
    if (used == 2) return h1 + rest;
    const vec first = times(residues_at(in + 2 * size, i) - d0, c->inverse02, c->p[2], c->reciprocal[2]);
    const vec d2 = balanced(times(first - d1, c->inverse12, c->p[2], c->reciprocal[2]), c->p[2], c->reciprocal[2]);
    const vec high = all(c->product_high), h2 = high * d2, sum = h2 + h1;
    if (checked) {
        const vec upper = times(d2, c->rest1, c->p[3], c->reciprocal[3]) + d1;
        const vec other = times(upper, c->rest0, c->p[3], c->reciprocal[3]) + d0 - residues_at(in + 3 * size, i);
        *same &= (words)(remainder_of(other, nearest_small(other * c->reciprocal[3]), all(c->p[3])) == 0.0);
    }
    return sum + ((h1 - (sum - h2)) + ((product_error(high, d2, h2) + c->product_low * d2) + rest));
}

FOR_ISA INLINE int lift_all(double *work, size_t size, const uint64_t *in, double factor, const embed_radix *radix, const int used,
                            const int checked)
{
    const embed_radix c = *radix; /* of which the compiler knows that no store changes it */
    words same = all_words(UINT64_MAX);
    for (size_t i = 0; i < size; i += WIDTH) store(work + i, lift_one(in, i, size, &c, used, checked, &same) * factor);
    return !all_true(same);
}

FOR_ISA static int embed_lift(double *work, size_t size, const uint64_t *in, double factor, const embed_radix *radix, int used, int checked)
{
    if (used == 1) return lift_all(work, size, in, factor, radix, 1, 0);
    if (used == 2) return lift_all(work, size, in, factor, radix, 2, 0);
    return checked ? lift_all(work, size, in, factor, radix, 3, 1) : lift_all(work, size, in, factor, radix, 3, 0);
}

const embed_forms EMBED_FORMS = {.inverse = embed_inverse, .forward = embed_forward, .round = embed_round, .lift = embed_lift};
