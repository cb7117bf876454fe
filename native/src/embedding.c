/* The embedding: its tables, transforms of few slots, and the way to the form in use. */
#include "dispatch.h"
#include "element.h"
#include "embedding.h"

#include <stdlib.h>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* ---- tables ------------------------------------------------------------------------------------------------------------- */

/* sum of (-x^2)^k / (first + 1) .. (first + 2 k): cos x with first = 0, sin x / x with first = 1. 0 <= x <= pi / 4: the terms left out are
 * below 2^-90. */
static long double series(long double x, int first)
{
    long double sum = 1;
    for (int k = 13; k > 0; k--) sum = 1 - sum * x * x / ((first + 2 * k - 1) * (first + 2 * k));
    return sum;
}

/* exp(2 pi i e / 8m), e < 8 m, by way of the nearest multiple of pi / 2: the angle that remains is at most pi / 4. */
static void root_of_unity(double *real, double *imaginary, size_t e, size_t m)
{
    static const long double QUARTER_PI = 0.785398163397448309615660845819875721L;
    const size_t octant = e / m, rest = e % m, quarter = (octant + 1) / 2 % 4;
    const long double angle = QUARTER_PI * (long double)(octant % 2 == 0 ? rest : m - rest) / (long double)m;
    const long double c = series(angle, 0), s = (octant % 2 == 0 ? angle : -angle) * series(angle, 1);
    *real = (double)(quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s);
    *imaginary = (double)(quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c);
}

static size_t reverse(size_t x, int bits)
{
    size_t r = 0;
    for (int i = 0; i < bits; i++) r = 2 * r + (x >> i & 1);
    return r;
}

/* exp(2 pi i 5^j / 8 rows) for the row at place r: j = reverse(r). 5^j modulo 8 rows, a power of two that divides 2^64, by squaring. */
static void row_factor(double *real, double *imaginary, size_t rows, int log_rows, size_t r)
{
    uint64_t power = 1, square = 5;
    for (size_t j = reverse(r, log_rows); j > 0; j /= 2, square *= square) power *= j % 2 == 1 ? square : 1;
    root_of_unity(real, imaginary, power % (8 * rows), rows);
}

static void fill_rows(embed_table *t, int levels)
{
    for (int level = 0; level < levels; level++) {
        const size_t rows = (size_t)1 << level;
        for (size_t r = 0; r < rows; r++) row_factor(t->real + rows + r, t->imaginary + rows + r, rows, level, r);
    }
}

/* Tile m, lane l: the row at place r = reverse(l) n / 64 + m splits into 2 r and 2 r + 1, those into 4 r .. 4 r + 3. */
static void fill_tiles(embed_table *t)
{
    const size_t n = t->n;
    for (size_t m = 0; m < n / 64; m++) {
        double *const tile = t->tiles + EMBED_TILE * m;
        for (size_t l = 0; l < 8; l++) {
            const size_t r = reverse(l, 3) * (n / 64) + m;
            row_factor(tile + l, tile + 8 + l, n / 8, t->log_n - 3, r);
            row_factor(tile + 16 + l, tile + 24 + l, n / 4, t->log_n - 2, 2 * r);
            row_factor(tile + 32 + l, tile + 40 + l, n / 2, t->log_n - 1, 4 * r);
            row_factor(tile + 48 + l, tile + 56 + l, n / 2, t->log_n - 1, 4 * r + 2);
        }
    }
}

embed_table *embed_table_new(int log_n)
{
    const size_t n = (size_t)1 << log_n;
    const int large = log_n >= EMBED_LOG_LEAST;
    const size_t rows = large ? n / 8 : n, tiles = large ? EMBED_TILE * (n / 64) : 0;
    embed_table *t = malloc(sizeof *t);
    double *values = aligned_alloc(64, (8 * (2 * rows + tiles) + 63) / 64 * 64);
    if (t == NULL || values == NULL) {
        free(t);
        free(values);
        return NULL;
    }
    *t = (embed_table){.log_n = log_n, .n = n, .tiles = values, .real = values + tiles, .imaginary = values + tiles + rows};
    fill_rows(t, large ? log_n - 3 : log_n);
    if (large) fill_tiles(t);
    return t;
}

void embed_table_free(embed_table *table)
{
    if (table != NULL) free(table->tiles);
    free(table);
}

/* ---- few slots: the same levels, one number at a time ------------------------------------------------------------------- */

static void forward_small(double *out, double *re, const embed_table *t)
{
    const size_t n = t->n;
    double *const im = re + n;
    for (size_t rows = 1; rows < n; rows *= 2) {
        const size_t half = n / rows / 2;
        for (size_t i = 0; i < n; i += i % half == half - 1 ? half + 1 : 1) {
            const double c = t->real[rows + i / (2 * half)], s = t->imaginary[rows + i / (2 * half)];
            const double x = c * re[i + half] - s * im[i + half], y = c * im[i + half] + s * re[i + half];
            re[i + half] = re[i] - x;
            im[i + half] = im[i] - y;
            re[i] += x;
            im[i] += y;
        }
    }
    for (size_t j = 0; j < n; j++) {
        out[2 * j] = re[reverse(j, t->log_n)];
        out[2 * j + 1] = im[reverse(j, t->log_n)];
    }
}

static void inverse_small(double *re, const double *in, int is_complex, const embed_table *t)
{
    const size_t n = t->n;
    double *const im = re + n;
    for (size_t j = 0; j < n; j++) {
        re[reverse(j, t->log_n)] = is_complex ? in[2 * j] : in[j];
        im[reverse(j, t->log_n)] = is_complex ? in[2 * j + 1] : 0;
    }
    for (size_t rows = n / 2; rows > 0; rows /= 2) {
        const size_t half = n / rows / 2;
        for (size_t i = 0; i < n; i += i % half == half - 1 ? half + 1 : 1) {
            const double c = t->real[rows + i / (2 * half)], s = t->imaginary[rows + i / (2 * half)];
            const double x = re[i] - re[i + half], y = im[i] - im[i + half];
            re[i] += re[i + half];
            im[i] += im[i + half];
            re[i + half] = c * x + s * y;
            im[i + half] = c * y - s * x;
        }
    }
}

/* ---- the two directions ------------------------------------------------------------------------------------------------- */

/* Arithmetic on numbers too small for a normal float64 takes longer: while it works on secrets, the processor takes them for zero. */
static unsigned flush_tiny(void)
{
#if defined(__x86_64__)
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040);
    return before;
#else
    return 0;
#endif
}

static void restore_tiny(unsigned before)
{
#if defined(__x86_64__)
    _mm_setcsr(before);
#else
    (void)before;
#endif
}

/* 2 n numbers, in whole vectors. */
static size_t work_size(const embed_table *t) { return t->n < 4 ? 8 : 2 * t->n; }

/* Numbers for a transform, and `limbs` rows of residues without the gaps between them, when there are gaps. */
typedef struct {
    double *numbers;
    uint64_t *rows;
} workspace;

static workspace work_new(const embed_table *t, size_t gap, size_t limbs)
{
    const size_t size = 8 * work_size(t);
    workspace work = {.numbers = aligned_alloc(64, size), .rows = gap > 1 ? calloc(limbs, size) : NULL};
    if (work.numbers == NULL || (gap > 1 && work.rows == NULL)) {
        free(work.numbers);
        free(work.rows);
        return (workspace){NULL, NULL};
    }
    if (t->n < 4) memset(work.numbers, 0, size); /* what the transform does not fill */
    return work;
}

static void work_free(workspace work)
{
    free(work.numbers);
    free(work.rows);
}

/* (limbs, 2 n) in rows of `size` words <-> (limbs, 2 n gap). */
static void spread(uint64_t *out, const uint64_t *rows, size_t size, size_t count, size_t gap, size_t limbs)
{
    memset(out, 0, 8 * limbs * count * gap);
    for (size_t limb = 0; limb < limbs; limb++) {
        for (size_t k = 0; k < count; k++) out[(limb * count + k) * gap] = rows[limb * size + k];
    }
}

static void gather(uint64_t *rows, const uint64_t *in, size_t size, size_t count, size_t gap, size_t limbs)
{
    for (size_t limb = 0; limb < limbs; limb++) {
        for (size_t k = 0; k < count; k++) rows[limb * size + k] = in[(limb * count + k) * gap];
    }
}

int embed_encode(uint64_t *out, const double *in, int is_complex, size_t count, double factor, double limit, size_t gap,
                 const uint64_t *primes, size_t limbs, const embed_table *table)
{
    const embed_forms *const forms = kernels_active->embedding;
    const size_t n = table->n, size = work_size(table);
    const double each = factor / (double)(int64_t)n;
    const workspace work = work_new(table, gap, limbs);
    int outside = 0;
    if (work.numbers == NULL) return 2;
    const unsigned before = flush_tiny();
    for (size_t v = 0; v < count; v++, out += limbs * 2 * n * gap, in += is_complex ? 2 * n : n) {
        if (table->log_n < EMBED_LOG_LEAST) {
            inverse_small(work.numbers, in, is_complex, table);
        } else {
            forms->inverse(work.numbers, in, is_complex, table);
        }
        outside |= forms->round(gap > 1 ? work.rows : out, work.numbers, size, each, limit, primes, limbs);
        if (gap > 1) spread(out, work.rows, size, 2 * n, gap, limbs);
    }
    restore_tiny(before);
    work_free(work);
    return outside;
}

int embed_decode(double *out, const uint64_t *in, size_t count, size_t stride, double factor, size_t gap, const embed_radix *radix, int used,
                 int checked, const embed_table *table)
{
    const embed_forms *const forms = kernels_active->embedding;
    const size_t n = table->n, size = work_size(table), limbs = (size_t)(used + checked);
    const workspace work = work_new(table, gap, limbs);
    int differs = 0;
    if (work.numbers == NULL) return 2;
    const unsigned before = flush_tiny();
    for (size_t v = 0; v < count; v++, in += stride * 2 * n * gap, out += 2 * n) {
        if (gap > 1) gather(work.rows, in, size, 2 * n, gap, limbs);
        differs |= forms->lift(work.numbers, size, gap > 1 ? work.rows : in, factor, radix, used, checked);
        if (table->log_n < EMBED_LOG_LEAST) {
            forward_small(out, work.numbers, table);
        } else {
            forms->forward(out, work.numbers, table);
        }
    }
    restore_tiny(before);
    work_free(work);
    return differs;
}
