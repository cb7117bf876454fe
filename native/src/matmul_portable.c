/* Matrix products: the loop over blocks, and the portable form of one block. */
#include "dispatch.h"
#include "element.h"

INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static ring_matrix block_of(const ring_matrix *x, const uint64_t *at, size_t row, size_t column)
{
    return (ring_matrix){at + (ptrdiff_t)row * x->row + (ptrdiff_t)column * x->column, 0, x->row, x->column};
}

void ring_matmul(uint64_t *out, const ring_matrix *a, const ring_matrix *b, size_t batch, size_t m, size_t k, size_t n, int limbs)
{
    const size_t L = (size_t)limbs;
    for (size_t t = 0; t < batch; t++, out += m * n * L) {
        const uint64_t *at = a->at + (ptrdiff_t)t * a->batch, *bt = b->at + (ptrdiff_t)t * b->batch;
        for (size_t p = 0; p < k; p += BLOCK_TERMS) {
            const size_t terms = smaller(k - p, BLOCK_TERMS);
            for (size_t i = 0; i < m; i += BLOCK_SIDE) {
                const ring_matrix rows = block_of(a, at, i, p);
                for (size_t j = 0; j < n; j += BLOCK_SIDE) {
                    const ring_matrix columns = block_of(b, bt, p, j);
                    kernels_active->matmul_block(out + (i * n + j) * L, (ptrdiff_t)(n * L), (ptrdiff_t)L, &rows, &columns,
                                                 smaller(m - i, BLOCK_SIDE), terms, smaller(n - j, BLOCK_SIDE), limbs, 0);
                }
            }
        }
    }
}

void ring_gram(uint64_t *out, const ring_matrix *x, size_t n, size_t d, int limbs)
{
    const size_t L = (size_t)limbs;
    for (size_t p = 0; p < n; p += BLOCK_TERMS) {
        const size_t terms = smaller(n - p, BLOCK_TERMS);
        for (size_t i = 0; i < d; i += BLOCK_SIDE) {
            const ring_matrix left = block_of(x, x->at, p, i);
            const ring_matrix rows = {left.at, 0, left.column, left.row};
            for (size_t j = i; j < d; j += BLOCK_SIDE) {
                const ring_matrix columns = block_of(x, x->at, p, j);
                kernels_active->matmul_block(out + (i * d + j) * L, (ptrdiff_t)(d * L), (ptrdiff_t)L, &rows, &columns,
                                             smaller(d - i, BLOCK_SIDE), terms, smaller(d - j, BLOCK_SIDE), limbs, i == j);
            }
        }
    }
}

INLINE void block(uint64_t *out, ptrdiff_t out_row, ptrdiff_t out_column, const ring_matrix *a, const ring_matrix *b,
                  size_t m, size_t k, size_t n, const int L, int upper)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = upper ? i : 0; j < n; j++) {
            uint64_t *cell = out + (ptrdiff_t)i * out_row + (ptrdiff_t)j * out_column;
            const uint64_t *x = a->at + (ptrdiff_t)i * a->row, *y = b->at + (ptrdiff_t)j * b->column;
            uint64_t sum[4];
            element_copy(sum, cell, L);
            for (size_t p = 0; p < k; p++, x += a->column, y += b->row) {
                element_mul_add(sum, x, y, L);
            }
            element_copy(cell, sum, L);
        }
    }
}

void matmul_block_portable(uint64_t *out, ptrdiff_t out_row, ptrdiff_t out_column, const ring_matrix *a, const ring_matrix *b,
                           size_t m, size_t k, size_t n, int limbs, int upper)
{
    if (limbs == 2) {
        block(out, out_row, out_column, a, b, m, k, n, 2, upper);
    } else {
        block(out, out_row, out_column, a, b, m, k, n, 4, upper);
    }
}
