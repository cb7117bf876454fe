/*
 * The canonical embedding of CKKS (Cheon, Kim, Kim, Song 2017): vectors of complex numbers <-> integer polynomials modulo X^N + 1, in
 * residue number form, coefficient domain.
 *
 * n = 2^log_n slots, 1 <= n <= N / 2, gap = N / 2n. With zeta = exp(2 pi i / 4n), slot j of c(X) = sum over k < 2n of c[k] X^(gap k) is c
 * at a root of X^N + 1 whose power gap is zeta^(5^j): z[j] = sum over k < n of w[k] zeta^(5^j k) with w[k] = c[k] + i c[k + n], because
 * zeta^(5^j n) = i. Fewer than N / 2 slots are a vector that repeats.
 *
 * Values, coefficients and residues are secret; sizes, factors, limits and primes are public. Numbers too small for a normal float64 count
 * as zero.
 *
 * Rounding: with u = 2^-53 each transform errs by at most 7 log_n u times its result, both in the Euclidean norm (Higham 2002, theorem
 * 24.2, with twiddle factors that err by u); other roundings are one u for each number and factor.
 */
#ifndef UNSEEN_EMBEDDING_H
#define UNSEEN_EMBEDDING_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

/* The twiddle factors for one number of slots. Opaque, immutable, shared by threads, the same for every instruction set. */
typedef struct embed_table embed_table;

/* 0 <= log_n <= 16. NULL when there is no memory. */
embed_table *embed_table_new(int log_n);
void embed_table_free(embed_table *table);

/* out: `count` polynomials (limbs, 2 n gap), residues in [0, p): round(factor / n * c[k]), half to even, c the inverse embedding; zero
 * between multiples of gap. in: `count` vectors of n numbers, real (is_complex 0) or pairs of real and imaginary part. 2^20 < primes[i]
 * < 2^50; 0 < limit <= 2^50 primes[i] for every i. Returns 0; 1 when some factor / n * c[k] is not finite or its magnitude is not below
 * limit, and then out is unspecified; 2 when there is no memory. */
int embed_encode(uint64_t *out, const double *in, int is_complex, size_t count, double factor, double limit, size_t gap,
                 const uint64_t *primes, size_t limbs, const embed_table *table);

/* Constants of mixed radix conversion (Garner 1959) for at most three primes p[0], p[1], p[2] and one that checks, p[3]; inverses and
 * rests lie between -p / 2 and p / 2. Unused ones are 0. */
typedef struct {
    double p[4];
    double reciprocal[4]; /* 1 / p */
    double inverse01;     /* p[0]^-1 mod p[1] */
    double inverse02;     /* p[0]^-1 mod p[2] */
    double inverse12;     /* p[1]^-1 mod p[2] */
    double rest0;         /* p[0] mod p[3] */
    double rest1;         /* p[1] mod p[3] */
    double product_high;  /* p[0] p[1], rounded */
    double product_low;   /* the rest of it */
} embed_radix;

/* out: `count` vectors of n pairs: factor times the embedding of the polynomials whose residues modulo p[0 .. used - 1] are in; each
 * coefficient is the integer of smallest magnitude, rounded within 0.51 units in the last place. in: `count` polynomials (stride, 2 n
 * gap), residues in [0, p); the first `used` rows are read, 1 <= used <= 3, and with `checked` 1 (used = 3) the fourth. Returns 0; 1
 * when a coefficient that is read is not the same modulo p[3], and then out is unspecified; 2 when there is no memory. */
int embed_decode(double *out, const uint64_t *in, size_t count, size_t stride, double factor, size_t gap, const embed_radix *radix, int used,
                 int checked, const embed_table *table);

/* cffi: end */

#endif
