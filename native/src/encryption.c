/* Encryption under a public key: contract in encryption.h. One form: all its work is done by the kernels of rns.h. */
#include "encryption.h"

#include "ct.h"
#include "rns_table.h"

/* in: x in [0, p), |e| <= 128; out: e - r = p [x + e > p / 2] - x, signed, |out| <= p / 2 + 128: r is x + e or, above p / 2, p less */
static void less_remainder(uint64_t *x, const int8_t *e, const rns_table *t)
{
    const uint64_t half = t->p / 2 + 128;
    for (size_t i = 0; i < t->n; i++) {
        const uint64_t above = ct_less(half, x[i] + (uint64_t)(128 + e[i])); /* x + e + 128 >= 0 */
        x[i] = (t->p & (0 - above)) - x[i];
    }
}

void encrypt_public(uint64_t *out, const uint64_t *const *key, const int8_t *u, const int8_t *e, const uint64_t *plain, const uint64_t *inverses,
                    const rns_table *const *basis, size_t limbs, uint64_t *scratch)
{
    const size_t n = basis[0]->n;
    const rns_table *const *const last = basis + limbs;
    uint64_t *const ephemeral = scratch, *const rest = scratch + n;
    rns_from_small(ephemeral, u, last, 1);
    rns_forward(ephemeral, last, 1);
    for (size_t half = 0; half < 2; half++) {
        uint64_t *const x = rest + half * n;
        rns_mul(x, key[half * (limbs + 1) + limbs], ephemeral, last, 1);
        rns_inverse(x, last, 1);
        less_remainder(x, e + half * n, *last);
    }
    for (size_t i = 0; i < limbs; i++) {
        rns_from_small(ephemeral, u, basis + i, 1);
        rns_forward(ephemeral, basis + i, 1);
        for (size_t half = 0; half < 2; half++) {
            uint64_t *const row = out + (half * limbs + i) * n;
            rns_from_signed(row, (const int64_t *)(rest + half * n), basis + i, 1);
            rns_forward(row, basis + i, 1);
            rns_mul_add(row, key[half * (limbs + 1) + i], ephemeral, basis + i, 1);
            rns_scale(row, row, inverses + i, basis + i, 1);
        }
        if (plain) rns_add(out + i * n, out + i * n, plain + i * n, basis + i, 1);
    }
}
