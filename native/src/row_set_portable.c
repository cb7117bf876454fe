/* A hospital's names of its rows, portable form, and the table of their encryptions that it keeps. */
#define ROW_NAMES_FOLD row_names_fold_portable
#define FOR_ISA
#include "dispatch.h"

#include "row_names_template.h"

enum { TABLES = 4, CELLS = 256, CELL_WORDS = 4, CHUNK = 256 };

void row_names_fold(uint64_t *state, const double *in, size_t n) { kernels_active->row_names_fold(state, in, n); }

/* cell = count, sum of elements in three words */
INLINE void add_to_cell(uint64_t *cell, uint64_t low, uint64_t high)
{
    cell[0]++;
    const u128 first = (u128)cell[1] + low;
    const u128 second = (u128)cell[2] + high + (uint64_t)(first >> 64);
    cell[1] = (uint64_t)first;
    cell[2] = (uint64_t)second;
    cell[3] += (uint64_t)(second >> 64);
}

void row_set_add(uint64_t *cells, const uint64_t *low, const uint64_t *high, size_t n, const uint8_t *key)
{
    uint8_t round_keys[AES_SCHEDULE_BYTES];
    uint64_t elements[2 * CHUNK];
    aes128_expand_key(round_keys, key);
    for (size_t start = 0; start < n; start += CHUNK) {
        const size_t count = n - start < CHUNK ? n - start : CHUNK;
        for (size_t i = 0; i < count; i++) {
            elements[2 * i] = low[start + i];
            elements[2 * i + 1] = high ? high[start + i] : 0;
        }
        kernels_active->aes_blocks((uint8_t *)elements, (const uint8_t *)elements, count, round_keys);
        for (size_t i = 0; i < count; i++) {
            for (int table = 0; table < TABLES; table++) {
                const uint64_t cell = elements[2 * i] >> (8 * table) & 255;
                add_to_cell(cells + CELL_WORDS * (CELLS * table + cell), elements[2 * i], elements[2 * i + 1]);
            }
        }
    }
}
