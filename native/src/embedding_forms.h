/* What the embedding shares and Python does not see: the twiddle factors, and the forms of each instruction set. */
#ifndef UNSEEN_EMBEDDING_FORMS_H
#define UNSEEN_EMBEDDING_FORMS_H

#include "embedding.h"

/* From so many slots on the forms below are used: two groups of three bits of an index trade places in registers. */
enum { EMBED_LOG_LEAST = 6 };

/* How many doubles one tile's twiddle factors are: real and imaginary parts of four, each for 8 lanes. */
enum { EMBED_TILE = 2 * 4 * 8 };

/* Rows: after the levels 1, 2, .., L/2 the transform is L rows of n / L numbers; the row of index j < L stands at place r = reverse(j),
 * the log2 L bits of j in inverse order. It splits with the factor exp(2 pi i 5^j / 8L), which is at [L + r] of real and imaginary. */
struct embed_table {
    int log_n;
    size_t n;
    double *real, *imaginary; /* [1, n) below EMBED_LOG_LEAST, else [1, n / 8) */
    double *tiles;            /* n / 64 tiles for the last three levels: see embedding_template.h */
};

/* work: 2 n doubles, real parts then imaginary parts, 64-byte aligned; in and out as embed_encode and embed_decode, one vector. n >= 64. */
typedef void embed_inverse_fn(double *work, const double *in, int is_complex, const embed_table *table);
typedef void embed_forward_fn(double *out, double *work, const embed_table *table);

/* work: `size` doubles, size a multiple of 8 -> out: (limbs, size) residues of round(factor work). Returns 1 when a number is out of range.
 * work is overwritten. */
typedef int embed_round_fn(uint64_t *out, double *work, size_t size, double factor, double limit, const uint64_t *primes, size_t limbs);

/* in: (used + checked, size) residues, size a multiple of 8 -> work: `size` doubles, factor times the integers. Returns 1 when the check
 * fails. */
typedef int embed_lift_fn(double *work, size_t size, const uint64_t *in, double factor, const embed_radix *radix, int used, int checked);

typedef struct {
    embed_inverse_fn *inverse;
    embed_forward_fn *forward;
    embed_round_fn *round;
    embed_lift_fn *lift;
} embed_forms;

extern const embed_forms embed_portable, embed_avx2, embed_avx512ifma;

#endif
