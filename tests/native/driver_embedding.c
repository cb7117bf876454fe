/* Samplers, packed residues and the embedding, on buffers of exactly the size that they may touch: driver.c says why. */
#include "embedding.h"
#include "packing.h"
#include "sampling.h"

#include <stdlib.h>
#include <string.h>

void drive_embedding(void);

static void *buffers[16];
static int used;

static void *secret(size_t n) { return buffers[used++] = malloc(n > 0 ? n : 1); }

static void release(void)
{
    while (used > 0) free(buffers[--used]);
}

static const uint64_t PRIMES[] = {(1ULL << 47) - 115, (1ULL << 21) + 7, (1ULL << 50) - 27};

static void samplers(size_t n)
{
    const key_stream hidden = {secret(16), UINT64_MAX - 3, 5};
    sample_ternary(secret(n), n, &hidden);
    sample_binomial(secret(n), n, &hidden);
    /* which words a uniform polynomial rejects may show: its key is filled */
    const key_stream known = {memset(secret(16), 0x5a, 16), UINT64_MAX - 3, 5};
    volatile int failed = sample_uniform(secret(3 * 8 * n), PRIMES, 3, n, &known);
    volatile size_t blocks = sample_uniform_blocks(n);
    (void)failed;
    (void)blocks;
    release();
}

static void packed(size_t n)
{
    const size_t bytes = n / 8 * (47 + 22 + 50);
    pack_residues(secret(2 * bytes), secret(2 * 3 * 8 * n), 2, PRIMES, 3, n);
    volatile int below = unpack_residues(secret(2 * 3 * 8 * n), secret(2 * bytes), 2, PRIMES, 3, n);
    (void)below;
    release();
}

static void embedded(int log_n, size_t gap)
{
    const size_t n = (size_t)1 << log_n, degree = 2 * n * gap;
    const embed_radix radix = {.p = {281474976710645, 2097159, 1125899906842597, 1048583}, .reciprocal = {3.6e-15, 4.8e-7, 8.9e-16, 9.5e-7}};
    embed_table *table = embed_table_new(log_n);
    if (table == NULL) abort();
    for (int is_complex = 0; is_complex < 2; is_complex++) {
        volatile int failed = embed_encode(secret(2 * 3 * degree * 8), secret(2 * n * (size_t)(1 + is_complex) * 8), is_complex, 2, 0x1p40, 0x1p70, gap,
                                           PRIMES, 3, table);
        (void)failed;
        release();
    }
    for (int used = 1; used <= 4; used++) {
        const size_t rows = (size_t)used;
        volatile int failed = embed_decode(secret(2 * 2 * n * 8), secret(2 * rows * degree * 8), 2, rows, 0x1p-40, gap, &radix, used < 4 ? used : 3,
                                           used == 4, table);
        (void)failed;
        release();
    }
    embed_table_free(table);
}

void drive_embedding(void)
{
    for (int log_n = 0; log_n < 10; log_n++) {
        if (log_n > 1) embedded(log_n, 1);
        embedded(log_n, 4);
    }
    static const size_t sizes[] = {8, 16, 24, 64, 512, 1032};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        samplers(sizes[i]);
        samplers(sizes[i] - 5);
        packed(sizes[i]);
    }
}
