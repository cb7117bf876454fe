/*
 * Calls every kernel on buffers of exactly the size it may touch, filled with nothing: what malloc returned.
 * Under AddressSanitizer and UBSan that shows reads and writes out of bounds and undefined arithmetic. Under Valgrind
 * the uninitialised buffers stand for secrets: a branch or an address that depends on one is reported.
 *
 *   driver ISA            run; exit 2 when the machine lacks ISA
 *   driver ISA branch     also branch on a secret, to show that Valgrind would say so
 *   driver ISA overflow   also give add too short an output, to show that AddressSanitizer would say so
 */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* the parts that have a file of their own */
void drive_embedding(void);
void drive_encryption(void);
void drive_rns(void);
void drive_switching(void);

static void *buffers[64];
static int used;

/* n bytes; one byte when n is 0, so that the pointer is never NULL */
static void *secret(size_t n) { return buffers[used++] = malloc(n > 0 ? n : 1); }

static void release(void)
{
    while (used > 0) free(buffers[--used]);
}

static void elementwise(size_t n, int L)
{
    const size_t bytes = n * (size_t)L * 8;
    ring_view in[4];
    uint64_t *out = secret(bytes);
    for (int i = 0; i < 4; i++) in[i] = (ring_view){secret(bytes), 0, L};
    ring_add(out, in, 1, n, L);
    ring_sub(out, in, 1, n, L);
    ring_neg(out, in, 1, n, L);
    ring_mul(out, in, 1, n, L);
    ring_mul_shares(out, in, 1, n, L);
    for (int count = 1; count <= 4; count++) ring_sum(out, in, count, count == 2 ? -1 : 64 * L - 3, 1, n, L);
    for (int bits = 0; bits < 64 * L; bits += 21) {
        ring_shift_left(out, in[0].at, n, bits, L);
        ring_shift_right(out, in[0].at, n, bits, L);
        ring_shift_right_signed(out, in[0].at, n, bits, L);
        truncation_finish(out, in[0].at, n, bits, 64 * L - 1, L);
    }
    truncation_mask(out, in[0].at, n, L);
    if (L == 4) {
        ring_widen(out, secret(n * 16), n, 0);
        ring_widen(out, secret(n * 16), n, 1);
    }
    release();
}

static void combine(size_t n, size_t count, size_t rows, int L)
{
    const uint64_t *terms[8];
    const size_t element = (size_t)L * 8;
    for (size_t i = 0; i < count; i++) terms[i] = secret(n * element);
    ring_combine(secret(rows * n * element), terms, count, secret(rows * count * element), secret(rows * element), rows, n, L);
    release();
}

static void split(size_t n, int drop, int L, int LO)
{
    const size_t in = n * (size_t)L * 8, out = n * (size_t)LO * 8, words = n * (size_t)((drop + 63) / 64) * 8;
    split_private(secret(out), secret(words), secret(words), secret(in), secret(out), secret(2 * words), secret(2 * words), n, drop, L, LO);
    split_help(secret(words), secret(in), secret(2 * words), n, drop, L, LO);
    split_common(secret(out), secret(in), secret(words), secret(words), secret(words), n, drop, L, LO);
    release();
}

static void broadcast(size_t outer, size_t inner, int L)
{
    const ring_view in[4] = {{secret(outer * (size_t)L * 8), L, 0}, {secret(inner * (size_t)L * 8), 0, L},
                             {secret((size_t)L * 8), 0, 0}, {secret(outer * inner * (size_t)L * 8), (ptrdiff_t)inner * L, L}};
    ring_mul_shares(secret(outer * inner * (size_t)L * 8), in, outer, inner, L);
    release();
}

static void matrices(size_t batch, size_t m, size_t k, size_t n, int L)
{
    const size_t element = (size_t)L * 8;
    const ring_matrix a = {secret(batch * m * k * element), (ptrdiff_t)(m * k) * L, (ptrdiff_t)k * L, L};
    const ring_matrix b = {secret(k * n * element), 0, L, (ptrdiff_t)k * L};
    ring_matmul(secret(batch * m * n * element), &a, &b, batch, m, k, n, L);
    ring_gram(secret(k * k * element), &a, m, k, L);
    release();
}

static void fixed_point(size_t n, int L)
{
    uint64_t *ring = secret(n * (size_t)L * 8);
    double *x = secret(n * 8);
    for (int frac = 0; frac < 64 * L; frac += 31) {
        volatile int refused = fixed_encode(ring, x, n, frac, L);
        (void)refused;
    }
    uint64_t *a = secret(n * (size_t)L * 8);
    for (int frac = 0; frac < 64 * L; frac += 31) fixed_decode(x, a, n, frac, L);
    release();
}

static void packed_bits(size_t n, size_t planes, int L)
{
    const size_t words = (n + 63) / 64, bytes = n * (size_t)L * 8;
    bits_to_planes(secret(planes * words * 8), secret(bytes), n, planes, L);
    bits_from_planes(secret(bytes), secret(planes * words * 8), n, planes, L);
    bits_to_ring(secret(bytes), secret(words * 8), n, L);
    bits_and_shares(secret(n * 8), secret(n * 8), secret(n * 8), secret(n * 8), secret(n * 8), n);
    release();
}

static void aes(size_t n)
{
    aes128_ctr(secret(n), n, secret(16), UINT64_MAX - 3, 5);
    aes128_ecb(secret(16 * n), secret(16 * n), n, secret(16));
    release();
}

static void streams(size_t n, int L)
{
    const size_t bytes = n * (size_t)L * 8;
    const key_stream plus = {secret(16), UINT64_MAX - 3, 5}, minus = {secret(16), 0, 0};
    ring_add_streams(secret(bytes), secret(bytes), n, L, &plus, &minus);
    release();
}

/* row_set_add is no secret's business: it indexes by what it encrypts, so its buffers are filled. */
static void *filled(size_t n) { return memset(secret(n), 0x5a, n > 0 ? n : 1); }

static void row_sets(size_t n)
{
    row_names_fold(secret(8 * n), secret(8 * n), n);
    row_set_add(filled(4 * 256 * 4 * 8), filled(8 * n), filled(8 * n), n, filled(16));
    row_set_add(filled(4 * 256 * 4 * 8), filled(8 * n), NULL, n, filled(16));
    release();
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {0, 1, 2, 3, 5, 8, 9, 17, 33, 63, 64, 65, 130, 511, 512, 513, 1030};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    if (argc < 2 || !kernels_supports(argv[1]) || !kernels_select(argv[1]) || strcmp(kernels_isa(), argv[1]) != 0) {
        for (int i = 0; kernels_name(i) != NULL; i++) printf("%s\n", kernels_name(i));
        return 2;
    }
    for (int L = 2; L <= 4; L += 2) {
        for (int i = 0; i < SIZES; i++) {
            elementwise(sizes[i], L);
            streams(sizes[i], L);
            combine(sizes[i], 1, 3, L);
            combine(sizes[i], 7, 1, L);
            for (int drop = 1; drop <= 64 * L - 3; drop += 21) split(sizes[i], drop, L, L);
            if (L == 2) split(sizes[i], 128, 2, 4);
            fixed_point(sizes[i], L);
            for (size_t planes = 0; planes <= 64 * (size_t)L; planes += 43) packed_bits(sizes[i], planes, L);
        }
        for (int i = 0; i < 9; i++) {
            broadcast(sizes[i], sizes[8 - i], L);
            for (int j = 0; j < 9; j++) matrices(2, sizes[i], sizes[j], sizes[8 - i], L);
        }
    }
    for (int i = 0; i < SIZES; i++) {
        aes(sizes[i]);
        row_sets(sizes[i]);
    }
    drive_rns();
    drive_switching();
    drive_embedding();
    drive_encryption();
    if (argc > 2 && strcmp(argv[2], "branch") == 0) {
        const volatile uint64_t *x = secret(8);
        puts(*x > 5 ? "large" : "small");
    }
    if (argc > 2 && strcmp(argv[2], "overflow") == 0) {
        const ring_view in[2] = {{secret(160), 0, 2}, {secret(160), 0, 2}};
        ring_add(secret(144), in, 1, 10, 2);
    }
    release();
    return 0;
}
