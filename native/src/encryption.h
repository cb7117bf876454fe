/*
 * Encryption under a public key that has one prime p more than the ciphertext: contract of the kernel.
 *
 * The key's halves are public; u, e and the plaintext are secret. Rows and tables as in rns.h, in the NTT domain, canonical.
 */
#ifndef UNSEEN_ENCRYPTION_H
#define UNSEEN_ENCRYPTION_H

#include "rns.h"

/* cffi: begin */

/* out (2 x limbs x n): for both halves k of the key, (k u + e - r) / p with r = k u + e modulo p, |r| <= p / 2; the first has plain (limbs x n) added
 * where that is not NULL. key: where its rows are, limbs + 1 of each half, p's last; basis: limbs + 1 tables in this order; inverses: p^-1 modulo each of
 * the first; u: n, e: 2 x n coefficients. Everything is done for one limb after the other, so that it stays in the second-level cache.
 * scratch: 3 n words. */
void encrypt_public(uint64_t *out, const uint64_t *const *key, const int8_t *u, const int8_t *e, const uint64_t *plain, const uint64_t *inverses,
                    const rns_table *const *basis, size_t limbs, uint64_t *scratch);

/* cffi: end */

#endif
