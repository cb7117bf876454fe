/* What the forms of the key-switching kernels share: constants for each prime, and the five kernels that switching_*.c implement. */
#ifndef UNSEEN_SWITCHING_FORMS_H
#define UNSEEN_SWITCHING_FORMS_H

#include "switching.h"

/* A form represents a factor c modulo p as c R mod p, R = 2^radix; the product of a word with it is reduced by REDC (Montgomery 1985).
 * Radix 0: plain. */
typedef struct {
    uint64_t p;          /* below 2^50, odd */
    uint64_t inverse;    /* p^-1 mod 2^64 */
    double reciprocal;   /* 1 / p */
    uint64_t square;     /* R^2 mod p: the representation of R */
} switch_modulus;

/* One prime of a run: a residue y below it has y / p = (y << shift >> 18) weight / 2^61 - e with 0 <= e < 2^-28.6. */
typedef struct {
    uint64_t half;       /* (p - 1) / 2 */
    uint64_t weight;     /* floor(2^79 / (p << shift)), below 2^30 + 1 */
    int shift;           /* 50 less the bits of p */
} switch_source;

/* One row that a run is carried to. Factors are represented. */
typedef struct {
    switch_modulus modulus;
    uint64_t residues[SWITCH_SOURCES]; /* D / d_i */
    uint64_t wraps[8];                 /* -v D, not represented */
    uint64_t wrap;                     /* -D */
    uint64_t quotient[2];              /* D^-1 and -D^-1 */
    uint64_t blend[2];                 /* 1 and P */
    uint64_t twice;                    /* P, represented twice: P R^2 mod p */
    int lift;                          /* a run of one prime d, and d + p < 2^50: y - v d needs no reduction */
} switch_target;

/* One row of a key switch: sum of digits_j key_j, component by component, with what may be added to it and taken from it. Canonical. */
typedef struct {
    const uint64_t *digits[SWITCH_DIGITS];
    size_t count;
    const uint32_t *permutation;   /* of the digits; NULL for none, and with anything of what follows the key */
    const uint64_t *key;           /* n / 8 blocks of stride digits x 2 components x 8 words */
    size_t stride;
    const uint64_t *add[2];        /* NULL, or P add[0] and P add[1] are added */
    const uint64_t *a[2], *b[2];   /* NULL, or P a0 b0 and P (a0 b1 + a1 b0) are added */
    const uint64_t *remainders[2]; /* NULL, or (sum - remainder) D^-1 is the result */
    const switch_target *special;  /* has P */
    const switch_target *division; /* has D^-1 */
} switch_terms;

/* piece[i] = from[permutation[i]] for count <= SWITCH_PIECE entries, a multiple of 8; entries are taken modulo n. Of the entries that stand
 * `ahead` further in the permutation, which an automorphism takes from as many lines, one in eight is fetched into the cache. */
enum { SWITCH_PIECE = 64 };
void switch_order(uint64_t *piece, const uint64_t *from, const uint32_t *permutation, size_t count, size_t n, size_t ahead);

typedef struct {
    int radix;
    /* v = round(sum of y_i / d_i), but one less where the sum is less than 2^-25 above a half; exact for one source. y_i in [0, d_i). */
    void (*quotients)(uint8_t *v, const uint64_t *const *y, const switch_source *sources, size_t count, size_t n);
    /* out = sum of y_i D / d_i - v D mod p, in [0, 2^50); y_i in [0, 2^50), v in [0, count]. ahead: two rows
     * of n words that will be read soon, and are fetched into the cache meanwhile. */
    void (*convert)(uint64_t *out, const uint64_t *const *y, const uint8_t *v, size_t count, size_t n, const switch_target *target,
                    const uint64_t *const ahead[2]);
    /* out = sum of terms_i factors_i mod p, canonical; terms in [0, 2^50), factors represented, count 1 or 2; out may be a term. */
    void (*combine)(uint64_t *out, const uint64_t *const *terms, const uint64_t *factors, size_t count, size_t n,
                    const switch_modulus *modulus);
    /* out0, out1: the two components of the row that terms describe; canonical. */
    void (*accumulate)(uint64_t *out0, uint64_t *out1, const switch_terms *terms, size_t n, const switch_modulus *modulus);
    /* out[0 … 2] = a0 b0, a0 b1 + a1 b0, a1 b1; everything canonical. */
    void (*product)(uint64_t *const out[3], const uint64_t *const a[2], const uint64_t *const b[2], size_t n,
                    const switch_modulus *modulus);
} switch_forms;

extern const switch_forms switch_portable, switch_avx2, switch_avx512ifma;

#endif
