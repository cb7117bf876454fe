/*
 * One block of a matrix product with AVX-512 IFMA.
 *
 * An element is cut into W digits of 52 bits, W = ceil(64 L / 52): 3 for Z_2^128, 5 for Z_2^256. One instruction multiplies eight
 * pairs of digits and adds the low (or the high) 52 bits of the products to eight 64-bit sums. Digits i and j meet in column
 * i + j (low half) and i + j + 1 (high half); columns from W on are multiples of 2^(52 W) and drop out. Carries wait until
 * the end of the block: a column gets at most 2 W - 1 halves below 2^52 for each term, so it stays below (2 W - 1) BLOCK_TERMS 2^52.
 */
#if defined(__x86_64__)
#include "dispatch.h"

#include "element.h"

#include <immintrin.h>

#define FOR_ISA __attribute__((target("avx512f,avx512ifma")))

enum { LANES = 8, TILE_ROWS = 4, MAX_DIGITS = 5, PANELS = BLOCK_SIDE / LANES };

_Static_assert((2 * MAX_DIGITS - 1) * BLOCK_TERMS <= 4096, "a column must stay below 2^64 = 4096 * 2^52");
_Static_assert(BLOCK_SIDE % LANES == 0 && LANES % TILE_ROWS == 0, "a tile lies inside one panel");

#define DIGIT_MASK (((uint64_t)1 << 52) - 1)

/* packed[panel][term][digit][lane]; lanes beyond the matrix are zero. A panel is eight rows of a, or eight columns of b. */
typedef uint64_t packed_panels[PANELS * BLOCK_TERMS * MAX_DIGITS * LANES] __attribute__((aligned(64)));

/* Digit i holds bits 52 i to 52 i + 51. */
INLINE void cut(uint64_t *digits, const uint64_t *a, const int L, const int W)
{
    for (int i = 0; i < W; i++) {
        const int word = 52 * i / 64, bit = 52 * i % 64;
        uint64_t d = a[word] >> bit;
        if (bit > 12 && word + 1 < L) {
            d |= a[word + 1] << (64 - bit);
        }
        digits[i * LANES] = d & DIGIT_MASK;
    }
}

INLINE void pack(uint64_t *packed, const uint64_t *at, ptrdiff_t term_stride, ptrdiff_t lane_stride, size_t terms, size_t lanes,
                 const int L, const int W)
{
    for (size_t panel = 0; panel * LANES < lanes; panel++) {
        for (size_t p = 0; p < terms; p++, packed += W * LANES) {
            for (size_t lane = 0; lane < LANES; lane++) {
                const size_t index = panel * LANES + lane;
                if (index < lanes) {
                    cut(packed + lane, at + (ptrdiff_t)p * term_stride + (ptrdiff_t)index * lane_stride, L, W);
                } else {
                    for (int i = 0; i < W; i++) packed[i * LANES + (int)lane] = 0;
                }
            }
        }
    }
}

/* columns[r][c][lane]: column c of the sum over all terms of a (row r of the tile) times b (the panel's eight columns). */
FOR_ISA INLINE void multiply_tile(uint64_t *columns, const uint64_t *a, const uint64_t *b, size_t terms, const int W)
{
    __m512i sum[TILE_ROWS][MAX_DIGITS];
#pragma GCC unroll 4
    for (int r = 0; r < TILE_ROWS; r++) {
#pragma GCC unroll 5
        for (int c = 0; c < W; c++) sum[r][c] = _mm512_setzero_si512();
    }
    for (size_t p = 0; p < terms; p++, a += W * LANES, b += W * LANES) {
        __m512i y[MAX_DIGITS];
#pragma GCC unroll 5
        for (int j = 0; j < W; j++) y[j] = _mm512_load_si512((const void *)(b + j * LANES));
#pragma GCC unroll 4
        for (int r = 0; r < TILE_ROWS; r++) {
#pragma GCC unroll 5
            for (int i = 0; i < W; i++) {
                const __m512i x = _mm512_set1_epi64((long long)a[i * LANES + r]);
#pragma GCC unroll 5
                for (int j = 0; j < W - i; j++) {
                    sum[r][i + j] = _mm512_madd52lo_epu64(sum[r][i + j], x, y[j]);
                    if (i + j + 1 < W) {
                        sum[r][i + j + 1] = _mm512_madd52hi_epu64(sum[r][i + j + 1], x, y[j]);
                    }
                }
            }
        }
    }
#pragma GCC unroll 4
    for (int r = 0; r < TILE_ROWS; r++) {
#pragma GCC unroll 5
        for (int c = 0; c < W; c++) _mm512_store_si512((void *)(columns + (r * W + c) * LANES), sum[r][c]);
    }
}

/* cell += sum over c of column_c 2^(52 c); column_c is any 64-bit number */
INLINE void add_columns(uint64_t *cell, const uint64_t *column, const int L, const int W)
{
    for (int c = 0; c < W; c++) {
        const uint64_t digit = column[c * LANES];
        const int word = 52 * c / 64, bit = 52 * c % 64;
        element_add_word(cell, digit << bit, word, L);
        if (bit > 0 && word + 1 < L) {
            element_add_word(cell, digit >> (64 - bit), word + 1, L);
        }
    }
}

FOR_ISA INLINE void block(uint64_t *out, ptrdiff_t out_row, ptrdiff_t out_column, const ring_matrix *a, const ring_matrix *b,
                          size_t m, size_t k, size_t n, const int L, const int W, int upper)
{
    packed_panels packed_a, packed_b;
    uint64_t columns[TILE_ROWS * MAX_DIGITS * LANES] __attribute__((aligned(64)));
    pack(packed_b, b->at, b->row, b->column, k, n, L, W);
    if (!upper) {
        pack(packed_a, a->at, a->column, a->row, k, m, L, W);
    }
    const uint64_t *left = upper ? packed_b : packed_a;
    const size_t panel_words = k * (size_t)W * LANES;
    for (size_t i = 0; i < m; i += TILE_ROWS) {
        const uint64_t *tile_a = left + i / LANES * panel_words + i % LANES;
        /* upper: start at the panel that holds the diagonal of row i */
        for (size_t panel = upper ? i / LANES : 0; panel * LANES < n; panel++) {
            const uint64_t *tile_b = packed_b + panel * panel_words;
            multiply_tile(columns, tile_a, tile_b, k, W);
            for (size_t r = 0; r < TILE_ROWS && i + r < m; r++) {
                for (size_t lane = 0; lane < LANES && panel * LANES + lane < n; lane++) {
                    uint64_t *cell = out + (ptrdiff_t)(i + r) * out_row + (ptrdiff_t)(panel * LANES + lane) * out_column;
                    add_columns(cell, columns + r * (size_t)W * LANES + lane, L, W);
                }
            }
        }
    }
}

FOR_ISA void matmul_block_avx512ifma(uint64_t *out, ptrdiff_t out_row, ptrdiff_t out_column, const ring_matrix *a, const ring_matrix *b,
                                     size_t m, size_t k, size_t n, int limbs, int upper)
{
    if (m <= 2 || n <= 2) {
        /* packing would cost more than the products */
        matmul_block_portable(out, out_row, out_column, a, b, m, k, n, limbs, upper);
    } else if (!upper && n < LANES && m > n) {
        /* out^T = b^T a^T fills the lanes that a narrow b would leave empty */
        const ring_matrix at = {a->at, 0, a->column, a->row}, bt = {b->at, 0, b->column, b->row};
        matmul_block_avx512ifma(out, out_column, out_row, &bt, &at, n, k, m, limbs, 0);
    } else if (limbs == 2) {
        block(out, out_row, out_column, a, b, m, k, n, 2, 3, upper);
    } else {
        block(out, out_row, out_column, a, b, m, k, n, 4, 5, upper);
    }
}
#endif
