/* Samplers: a chunk of key stream at a time, which stays in the first-level cache; and the portable forms of what is done with it. */
#include "ct.h"
#include "sampling.h"
#include "streams.h"

enum { CHUNK_WORDS = 512 };

size_t sample_uniform_blocks(size_t n) { return 2 * n + 256; }

INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* One row. Words that are drawn past the last kept one are dropped: they lie in this row's own blocks. */
static int uniform_row(uint64_t *out, uint64_t p, size_t n, stream s)
{
    uint64_t words[CHUNK_WORDS];
    const uint64_t mask = UINT64_MAX >> __builtin_clzll(p);
    size_t left = 2 * sample_uniform_blocks(n) / 8 * 8;
    while (n > 0 && left > 0) {
        const size_t draw = smaller(smaller((n + 7) / 8 * 8, CHUNK_WORDS), left);
        stream_next(&s, words, draw / 2);
        const size_t kept = smaller(kernels_active->sample_keep(words, draw, mask, p), n);
        memcpy(out, words, 8 * kept);
        out += kept;
        n -= kept;
        left -= draw;
    }
    return n > 0;
}

int sample_uniform(uint64_t *out, const uint64_t *primes, size_t limbs, size_t n, const key_stream *from)
{
    stream s = stream_open(from);
    int short_of = 0;
    for (size_t i = 0; i < limbs; i++, s.counter += sample_uniform_blocks(n)) {
        short_of |= uniform_row(out + i * n, primes[i], n, s);
    }
    return short_of;
}

static void sample_small(int8_t *out, size_t n, const key_stream *from, sample_small_fn *small)
{
    uint64_t words[CHUNK_WORDS];
    int8_t results[CHUNK_WORDS];
    stream s = stream_open(from);
    for (size_t start = 0; start < n; start += CHUNK_WORDS) {
        const size_t count = smaller(n - start, CHUNK_WORDS), drawn = (count + 1) / 2 * 2, whole = (count + 7) / 8 * 8;
        stream_next(&s, words, drawn / 2);
        memset(words + drawn, 0, 8 * (whole - drawn));
        small(results, words, whole);
        memcpy(out + start, results, count);
    }
}

void sample_ternary(int8_t *out, size_t n, const key_stream *from) { sample_small(out, n, from, kernels_active->sample_thirds); }

void sample_binomial(int8_t *out, size_t n, const key_stream *from) { sample_small(out, n, from, kernels_active->sample_heads); }

size_t sample_keep_portable(uint64_t *words, size_t n, uint64_t mask, uint64_t p)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t w = words[i] & mask;
        words[kept] = w;
        kept += ct_less(w, p);
    }
    return kept;
}

/* The top word of the product 3 u. */
void sample_thirds_portable(int8_t *out, const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (int8_t)((int)((u128)3 * words[i] >> 64) - 1);
}

/* Bits are counted in pairs, fours and bytes (Hacker's Delight, 5-1); the product adds up the bytes. */
void sample_heads_portable(int8_t *out, const uint64_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t x = words[i] & (((uint64_t)1 << 42) - 1);
        x -= x >> 1 & 0x5555555555555555;
        x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
        x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
        out[i] = (int8_t)((int)(x * 0x0101010101010101 >> 56) - 21);
    }
}
