/*
 * Key switching of RNS-CKKS by digits of grouped limbs (Han and Ki, eprint 2019/688): contracts of the kernels.
 *
 * At a level of l limbs a polynomial has the rows q_0 … q_{l-1}, and after them the k special rows p_0 … p_{k-1} where a contract says
 * "rows". Rows are n words in the order of rns.h, in the NTT domain, canonical. A digit is up to SWITCH_SOURCES consecutive rows; so is what a
 * division drops. Polynomials, keys and digits may be secret; primes, constants, sizes and permutations are public. Scratch is the caller's, its
 * size stated in words.
 */
#ifndef UNSEEN_SWITCHING_H
#define UNSEEN_SWITCHING_H

#include "rns.h"

/* cffi: begin */

#define SWITCH_SOURCES 7
#define SWITCH_DIGITS 64

/* A run of rows, D the product of their primes d_i, with the constants that carry residues modulo D to every row. Opaque; immutable; shared by
 * threads; made for the form that is in use. */
typedef struct switch_base switch_base;

/* What a base is made of, all canonical modulo the row's prime. Tables must outlive the base. */
typedef struct {
    size_t rows, first, sources;    /* the run is rows first … first + sources - 1, 1 <= sources <= SWITCH_SOURCES */
    const rns_table *const *tables; /* rows, all of one n */
    const uint64_t *factors;        /* sources: (D / d_i)^-1 mod d_i */
    const uint64_t *residues;       /* rows x sources: D / d_i mod the row's prime */
    const uint64_t *products;       /* rows: D mod the row's prime */
    const uint64_t *inverses;       /* rows: D^-1, 0 in the rows of the run itself */
    const uint64_t *specials;       /* rows: P = p_0 … p_{k-1} mod the row's prime */
} switch_constants;

/* NULL when there is no memory. */
switch_base *switch_base_new(const switch_constants *constants);
void switch_base_free(switch_base *base);

/* A key in the layout of its base's form, made by switch_prepare: digits x rows at the top level, special rows last. */
typedef struct {
    const uint64_t *at;
    size_t digits, rows;
} switch_key;

/* out: rows x digits x 2 x n words; key: digits x 2 x rows x n; base: any whose rows are the key's. */
void switch_prepare(uint64_t *out, const uint64_t *key, size_t digits, const switch_base *base);

/* digits (count x rows x n): c = sum of digits[j] (D / D_j) ((D / D_j)^-1 mod D_j) modulo D, the product of all of c's primes, with
 * |digits[j]| <= D_j (1/2 + 2^-25). bases[j] is the run of digit j; together, in order, they are c's rows. scratch: (c's rows + 1) n. */
void switch_decompose(uint64_t *digits, const uint64_t *c, const switch_base *const *bases, size_t count, uint64_t *scratch);

/* out (2 x rows x n) = sum of digits[j] key[j], digits permuted first when permutation (n entries, each below n) is not NULL.
 * count <= key->digits; specials: how many rows are special; base: any whose rows are the digits'. */
void switch_accumulate(uint64_t *out, const uint64_t *digits, size_t count, const switch_key *key, const uint32_t *permutation, size_t specials,
                       const switch_base *base);

/* out (polynomials x first x n) = (x + P add - r) / D for the base's run, which ends x's rows; r = x + P add mod D with
 * |r| <= D (1/2 + 2^-25), and |r| < D/2 for a run of one row. x: polynomials x rows x n; add: NULL, or polynomials x add_rows x n, the first rows
 * of x. scratch: (sources + 4) n. */
void switch_divide(uint64_t *out, const uint64_t *x, const uint64_t *add, size_t add_rows, const switch_base *base, size_t polynomials,
                   uint64_t *scratch);

/* switch_divide(sum of digits of c times key, P add) without the memory in between; the result is the same. add[0], add[1]: NULL or c's rows.
 * With a permutation, c and the addends go through it first. scratch: (2 limbs + 2 count + 2 sources of division + 5) n. */
void switch_apply(uint64_t *out, const uint64_t *c, const uint64_t *const *add, const switch_key *key, const uint32_t *permutation,
                  const switch_base *const *bases, size_t count, const switch_base *division, uint64_t *scratch);

/* out (3 x limbs x n) = a0 b0, a0 b1 + a1 b0, a1 b1 for a, b (2 x limbs x n) on the base's first rows. */
void switch_product(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t limbs, const switch_base *base);

/* switch_apply of the product's last polynomial, its first two added. scratch: that of switch_apply. */
void switch_multiply(uint64_t *out, const uint64_t *a, const uint64_t *b, const switch_key *key, const switch_base *const *bases,
                     size_t count, const switch_base *division, uint64_t *scratch);

/* cffi: end */

#endif
