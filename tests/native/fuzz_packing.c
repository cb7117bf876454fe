/*
 * Differential fuzz target of the decoder of packed residues: 10 bytes choose the size and the prime, the rest is what came from elsewhere.
 * A bit-by-bit decoder gives what must come out.
 *
 *   with libFuzzer:   clang -fsanitize=fuzzer,address,undefined -DLIBFUZZER -Inative/src tests/native/fuzz_packing.c native/src/packing_*.c
 *   without:          fuzz_packing ISA < records, each a length of 4 little-endian bytes and so many bytes
 *                     prints how many were accepted, refused for a residue, too short for one row
 *   fuzz_packing ISA wrong   tells the reference that nothing is below the prime, to show that a difference would be seen
 */
#include "dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICE = 10 };

/* Only the decoder is linked, in place of dispatch.c. */
static const kernel_forms FORMS[] = {
    {.name = "portable", .pack = pack_portable, .unpack = unpack_portable},
#if defined(__x86_64__)
    {.name = "avx2", .pack = pack_portable, .unpack = unpack_portable},
    {.name = "avx512ifma", .pack = pack_avx512ifma, .unpack = unpack_avx512ifma},
#endif
};
const kernel_forms *kernels_active = &FORMS[0];

static long accepted, refused, too_short;
static int wrong;

/* 1 when every residue is below p. */
static int reference(uint64_t *out, const uint8_t *in, size_t n, int b, uint64_t p)
{
    int below = 1;
    for (size_t i = 0; i < n; i++) {
        out[i] = 0;
        for (size_t j = 0; j < (size_t)b; j++) {
            const size_t bit = i * (size_t)b + j;
            out[i] |= (uint64_t)(in[bit / 8] >> bit % 8 & 1) << j;
        }
        below &= out[i] < p;
    }
    return below;
}

static void differs(const char *what)
{
    fprintf(stderr, "%s differs\n", what);
    abort();
}

static void round_trip(const uint64_t *residues, const uint8_t *in, size_t size, uint64_t p, size_t n)
{
    uint8_t *again = malloc(size);
    pack_residues(again, residues, 1, &p, 1, n);
    if (memcmp(again, in, size) != 0) differs("what is packed again");
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CHOICE) return 0;
    uint64_t random;
    memcpy(&random, data, 8);
    const int b = 8 + data[8] % 49;
    /* any number of b bits, often near 2^b, so that many inputs pass */
    const uint64_t top = (uint64_t)1 << (b - 1), p = top | (data[9] % 4 == 0 ? random : ~(uint64_t)0) & (top - 1);
    const size_t n = (size - CHOICE) / (size_t)b * 8, bytes = n / 8 * (size_t)b;
    if (n == 0) {
        too_short++;
        return 0;
    }
    /* copies of exactly the right size, so that a read or write beyond shows */
    uint8_t *in = malloc(bytes);
    uint64_t *out = malloc(8 * n), *expected = malloc(8 * n);
    memcpy(in, data + CHOICE, bytes);
    const int ok = unpack_residues(out, in, 1, &p, 1, n), wanted = reference(expected, in, n, b, wrong ? 0 : p);
    if (ok != wanted) differs("the verdict");
    if (memcmp(out, expected, 8 * n) != 0) differs("a residue");
    if (ok) round_trip(out, in, bytes, p, n);
    *(ok ? &accepted : &refused) += 1;
    free(in);
    free(out);
    free(expected);
    return 0;
}

#if !defined(LIBFUZZER)
int main(int argc, char **argv)
{
    uint8_t length[4], data[1 << 12];
    for (size_t i = 0; argc > 1 && i < sizeof FORMS / sizeof FORMS[0]; i++) {
        if (strcmp(FORMS[i].name, argv[1]) == 0) kernels_active = &FORMS[i];
    }
    if (argc < 2 || strcmp(kernels_active->name, argv[1]) != 0) return 2;
    wrong = argc > 2;
    while (fread(length, 1, 4, stdin) == 4) {
        const size_t size = (size_t)length[0] | (size_t)length[1] << 8;
        if (size > sizeof data || fread(data, 1, size, stdin) != size) return 3;
        LLVMFuzzerTestOneInput(data, size);
    }
    printf("%ld %ld %ld\n", accepted, refused, too_short);
    return 0;
}
#endif
