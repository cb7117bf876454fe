/* Key streams added to ring elements while they are still in the cache. The cipher has the forms of each instruction set. */
#include "streams.h"

enum { CHUNK_BLOCKS = 256 }; /* of each stream at a time: 4 KiB */

INLINE void add_difference(uint64_t *out, const uint64_t *in, const uint64_t *plus, const uint64_t *minus, size_t n, const int L)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t element[4];
        element_copy(element, in + i * L, L);
        element_add(element, element, plus + i * L, L);
        element_sub(element, element, minus + i * L, L);
        element_copy(out + i * L, element, L);
    }
}

void ring_add_streams(uint64_t *out, const uint64_t *in, size_t n, int limbs, const key_stream *plus, const key_stream *minus)
{
    uint64_t first[2 * CHUNK_BLOCKS], second[2 * CHUNK_BLOCKS];
    stream p = stream_open(plus), m = stream_open(minus);
    const size_t words = (size_t)limbs;
    for (size_t start = 0; start < n;) {
        const size_t room = 2 * CHUNK_BLOCKS / words;
        const size_t count = n - start < room ? n - start : room;
        stream_next(&p, first, count * words / 2);
        stream_next(&m, second, count * words / 2);
        if (limbs == 2) {
            add_difference(out + start * words, in + start * words, first, second, count, 2);
        } else {
            add_difference(out + start * words, in + start * words, first, second, count, 4);
        }
        start += count;
    }
}
