/*
 * Random polynomials from AES-128 in counter mode: contracts.
 *
 * The key stream of `from` is read as little-endian 64-bit words, block by block; results are the same on every instruction set. Keys,
 * streams and small coefficients are secret. Uniform residues are public (half a key), or secret masks (of a conversion to shares): which words
 * were rejected may show, and says nothing about those that were kept. Sizes, primes and counters are public; the caller checks that counters stay below
 * 2^128.
 */
#ifndef UNSEEN_SAMPLING_H
#define UNSEEN_SAMPLING_H

#include "kernels.h"

/* cffi: begin */

/* The blocks that one limb of n coefficients may take: 2 n + 256. */
size_t sample_uniform_blocks(size_t n);

/* out: (limbs, n), row i uniform in [0, primes[i]). Row i reads from block first + i sample_uniform_blocks(n) on: the low b bits of each
 * word, b the bit length of primes[i], kept when they are below the prime. 2 <= primes[i] < 2^63. Returns 0; or 1 when the 4 n + 512
 * words of some row gave fewer than n, and then out is unspecified. A word is kept with probability at least 1/2, so that this happens
 * with probability below 2^-400. */
int sample_uniform(uint64_t *out, const uint64_t *primes, size_t limbs, size_t n, const key_stream *from);

/* out: n numbers in {-1, 0, 1}: floor(3 u / 2^64) - 1 of one word u each. Statistical distance from uniform below n 2^-62 (for each, the
 * three counts of u differ by at most one). Reads ceil(n / 2) blocks. */
void sample_ternary(int8_t *out, size_t n, const key_stream *from);

/* out: n numbers in [-21, 21]: heads among the low 42 bits of one word each, less 21. It is the centred binomial distribution, heads
 * among 21 coins less heads among 21 others, because a coin and its other side are equally fair. Variance 10.5. Reads ceil(n / 2)
 * blocks. */
void sample_binomial(int8_t *out, size_t n, const key_stream *from);

/* cffi: end */

#endif
