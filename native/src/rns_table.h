/* What the RNS kernels share and Python does not see: the constants of one prime, and the forms that the kernels come in. */
#ifndef UNSEEN_RNS_TABLE_H
#define UNSEEN_RNS_TABLE_H

#include "rns.h"

#include <stddef.h>
#include <stdint.h>

/* How many words of twiddle factors a form keeps for t. */
typedef size_t ntt_words_fn(const rns_table *t);

/* Writes them. forward[k] = psi^reverse(k), inverse[k] = psi^-reverse(k), k < n; reverse inverts the order of log_n bits. */
typedef void ntt_fill_fn(rns_table *t, const uint64_t *forward, const uint64_t *inverse);

typedef void ntt_fn(uint64_t *x, const rns_table *t);

ntt_words_fn ntt_words_portable, ntt_words_avx2, ntt_words_avx512ifma;
ntt_fill_fn ntt_fill_portable, ntt_fill_avx2, ntt_fill_avx512ifma;
ntt_fn ntt_forward_portable, ntt_forward_avx2, ntt_forward_avx512ifma;
ntt_fn ntt_inverse_portable, ntt_inverse_avx2, ntt_inverse_avx512ifma;

/* The kernels of one instruction set, on one limb. Contracts as in rns.h. */
typedef struct {
    ntt_words_fn *twiddle_words;
    ntt_fill_fn *fill;
    ntt_fn *forward;
    ntt_fn *inverse;
    void (*add)(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t);
    void (*sub)(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t);
    void (*neg)(uint64_t *out, const uint64_t *a, const rns_table *t);
    void (*mul)(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t);
    void (*mul_add)(uint64_t *out, const uint64_t *a, const uint64_t *b, const rns_table *t);
    void (*scale)(uint64_t *out, const uint64_t *a, uint64_t factor, const rns_table *t);
    void (*from_signed)(uint64_t *out, const int64_t *in, const rns_table *t);
    void (*from_small)(uint64_t *out, const int8_t *in, const rns_table *t);
} rns_form;

extern const rns_form rns_form_portable, rns_form_avx2, rns_form_avx512ifma;

struct rns_table {
    const rns_form *form;
    int log_n;
    int bits;       /* 2^(bits - 1) < p < 2^bits */
    size_t n;       /* 2^log_n */
    uint64_t p;
    uint64_t barrett;         /* floor(2^64 / p) */
    uint64_t product_barrett; /* floor(2^(62 + bits) / p) */
    uint64_t product_barrett52; /* floor(2^(50 + bits) / p) */
    uint64_t lift;            /* the smallest multiple of p that is at least 2^62 */
    uint64_t barrett52;       /* floor(2^52 / p) */
    uint64_t n_inverse;  /* n^-1 mod p */
    uint64_t *twiddles;  /* the form's own; 64-byte aligned */
};

/* a b mod p, on public values */
uint64_t rns_public_mul(uint64_t a, uint64_t b, uint64_t p);

#endif
