/*
 * One column more in the names of rows. Included by row_names_*.c, which define
 *   ROW_NAMES_FOLD   the name of the function
 *   FOR_ISA          the attribute that selects the instruction set
 *
 * Eight rows at a time, one a lane: the finalizer of splitmix64, one step a column.
 */
#include "element.h"
#include "kernels.h"

typedef uint64_t row8 __attribute__((vector_size(64)));
typedef double value8 __attribute__((vector_size(64)));

enum { LANES = 8 };

FOR_ISA INLINE void fold(uint64_t *state, const double *in, const size_t count)
{
    row8 x = {0};
    value8 values = {0};
    memcpy(&x, state, 8 * count);
    memcpy(&values, in, 8 * count);
    values += 0.0; /* -0.0 becomes 0.0 */
    const row8 is_nan = (row8)(values != values);
    x ^= ((row8)values & ~is_nan) | (0x7ff8000000000000 & is_nan);
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    x = (x ^ x >> 31) + 0x9e3779b97f4a7c15;
    memcpy(state, &x, 8 * count);
}

FOR_ISA void ROW_NAMES_FOLD(uint64_t *state, const double *in, size_t n)
{
    for (; n >= LANES; n -= LANES, state += LANES, in += LANES) fold(state, in, LANES);
    if (n > 0) {
        fold(state, in, n);
    }
}
