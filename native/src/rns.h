/*
 * Polynomials in residue number form (RNS): contracts of the kernels for Z_q[X] / (X^n + 1), q a product of word-sized primes.
 *
 * A polynomial is `limbs` rows of n words, contiguous; row i holds residues modulo basis[i]'s prime, canonical (in [0, p)) wherever a contract says
 * nothing else. Residues are secret; primes, factors that are named public, sizes and permutations are public.
 */
#ifndef UNSEEN_RNS_H
#define UNSEEN_RNS_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

/* One prime and one degree: constants and twiddle factors for the form that was in use when it was made. Opaque; immutable; shared by threads. */
typedef struct rns_table rns_table;

/* n = 2^log_n, 3 <= log_n <= 17; p a prime with p = 1 mod 2n and 2^20 < p < 2^50; psi a primitive 2n-th root of unity modulo p (the caller checks
 * all three). NULL when there is no memory. */
rns_table *rns_table_new(int log_n, uint64_t p, uint64_t psi);
void rns_table_free(rns_table *table);

/*
 * In place: coefficients to values at the odd powers of psi, and back. The values stand in bit-reversed order, except that from n = 64 on every 64
 * neighbours are an 8 x 8 matrix that is transposed. Forward in: any value below 2^50; inverse in: [0, 2p); out: [0, p). Fastest for p < 2^46.
 */
void rns_forward(uint64_t *x, const rns_table *const *basis, size_t limbs);
void rns_inverse(uint64_t *x, const rns_table *const *basis, size_t limbs);

/* Elementwise; out may be an input. in, out: [0, p). */
void rns_add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis, size_t limbs);
void rns_sub(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis, size_t limbs);
void rns_neg(uint64_t *out, const uint64_t *a, const rns_table *const *basis, size_t limbs);
void rns_mul(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis, size_t limbs);
void rns_mul_add(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *const *basis, size_t limbs); /* out += a b */

/* out = factors[i] a on limb i; factors public, in [0, p). */
void rns_scale(uint64_t *out, const uint64_t *a, const uint64_t *factors, const rns_table *const *basis, size_t limbs);

/* n signed integers to residues. |in| < 2^62; the int8 form any. */
void rns_from_signed(uint64_t *out, const int64_t *in, const rns_table *const *basis, size_t limbs);
void rns_from_small(uint64_t *out, const int8_t *in, const rns_table *const *basis, size_t limbs);

/* out[i, k] = in[i, permutation[k]], permutation public, each entry below n; out is not in. */
void rns_automorphism(uint64_t *out, const uint64_t *in, const uint32_t *permutation, size_t limbs, size_t n);

/* 1 when every residue is below its prime, else 0. For data from outside, which is public to this process. */
int rns_check(const uint64_t *in, const rns_table *const *basis, size_t limbs);

/* cffi: end */

#endif
