/*
 * Residues as bits: contracts. n residues of b bits are a little-endian stream of n b bits: bit j of residue i is bit (i b + j) mod 8 of
 * byte floor((i b + j) / 8). n is a multiple of 8, so that a row ends with a whole byte and has no spare bits. Values are what goes over
 * the wire.
 */
#ifndef UNSEEN_PACKING_H
#define UNSEEN_PACKING_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */

/* out: `count` polynomials of `limbs` rows of n residues, one after another, row i of b bits a residue, b the bit length of primes[i].
 * in: each residue below 2^b (a higher bit would spoil its neighbours). n a multiple of 8; 8 <= b <= 56. */
void pack_residues(uint8_t *out, const uint64_t *in, size_t count, const uint64_t *primes, size_t limbs, size_t n);

/* The inverse. in: any bytes, as many as pack_residues writes; out: [0, 2^b). Returns 1 when every residue is below its prime, else 0. */
int unpack_residues(uint64_t *out, const uint8_t *in, size_t count, const uint64_t *primes, size_t limbs, size_t n);

/* cffi: end */

/* One row, p < 2^b. */
typedef void pack_fn(uint8_t *out, const uint64_t *in, size_t n, int b);
typedef int unpack_fn(uint64_t *out, const uint8_t *in, size_t n, int b, uint64_t p);
pack_fn pack_portable, pack_avx512ifma;
unpack_fn unpack_portable, unpack_avx512ifma;

#endif
