/* Public combinations of several arrays, each read once: what a polynomial's blocks are made of (protocols/numeric/chebyshev.py). */
#include "element.h"
#include "kernels.h"

INLINE void combine_loop(uint64_t *out, const uint64_t *const *terms, size_t count, const uint64_t *table, const uint64_t *start,
                         size_t rows, size_t n, const int L)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t r = 0; r < rows; r++) {
            uint64_t sum[4];
            element_copy(sum, start + r * (size_t)L, L);
            for (size_t c = 0; c < count; c++) {
                element_mul_add(sum, terms[c] + i * (size_t)L, table + (r * count + c) * (size_t)L, L);
            }
            element_copy(out + (r * n + i) * (size_t)L, sum, L);
        }
    }
}

void ring_combine(uint64_t *out, const uint64_t *const *terms, size_t count, const uint64_t *table, const uint64_t *start,
                  size_t rows, size_t n, int limbs)
{
    if (limbs == 2) {
        combine_loop(out, terms, count, table, start, rows, n, 2);
    } else {
        combine_loop(out, terms, count, table, start, rows, n, 4);
    }
}
