/* Calls of encryption.h. Primes and roots are public; what malloc returned stands for the plaintext, u, e and a key that nobody knows. */
#include "encryption.h"

#include <stdlib.h>

enum { LOG = 4, N = 1 << LOG, LIMBS = 2 };

/* primes that are 1 mod 2 N, the last one the key's own */
static const uint64_t PRIMES[LIMBS + 1] = {140737488355201, 1099511627297, 1125899906842273};

void drive_encryption(void);

static uint64_t power(uint64_t base, uint64_t exponent, uint64_t p)
{
    uint64_t out = 1;
    for (; exponent > 0; exponent >>= 1, base = (uint64_t)((unsigned __int128)base * base % p)) {
        if (exponent & 1) out = (uint64_t)((unsigned __int128)out * base % p);
    }
    return out;
}

static rns_table *table(uint64_t p)
{
    for (uint64_t g = 2;; g++) {
        const uint64_t psi = power(g, (p - 1) / (2 * N), p);
        if (power(psi, N, p) == p - 1) return rns_table_new(LOG, p, psi);
    }
}

void drive_encryption(void)
{
    rns_table *tables[LIMBS + 1];
    const rns_table *basis[LIMBS + 1];
    const uint64_t *key[2 * (LIMBS + 1)];
    uint64_t inverses[LIMBS];
    uint64_t *const halves = malloc(sizeof key / sizeof *key * N * 8), *const plain = malloc(LIMBS * N * 8);
    uint64_t *const out = malloc(2 * LIMBS * N * 8), *const scratch = malloc(3 * N * 8);
    int8_t *const u = malloc(N), *const e = malloc(2 * N);
    for (size_t i = 0; i <= LIMBS; i++) basis[i] = tables[i] = table(PRIMES[i]);
    for (size_t i = 0; i < LIMBS; i++) inverses[i] = power(PRIMES[LIMBS] % PRIMES[i], PRIMES[i] - 2, PRIMES[i]);
    for (size_t i = 0; i < sizeof key / sizeof *key; i++) key[i] = halves + i * N;
    encrypt_public(out, key, u, e, NULL, inverses, basis, LIMBS, scratch);
    encrypt_public(out, key, u, e, plain, inverses, basis, LIMBS, scratch);
    for (size_t i = 0; i <= LIMBS; i++) rns_table_free(tables[i]);
    free(halves), free(plain), free(out), free(scratch), free(u), free(e);
}
