/*
 * Contracts of every kernel: shapes, ranges in, ranges out.
 *
 * A ring element is `limbs` little-endian 64-bit words; limbs is 2 (Z_2^128) or 4 (Z_2^256) and nothing else. Every value of
 * every word is a legal ring element, so "any" below means all 2^(64 limbs) of them. Arithmetic is modulo 2^(64 limbs).
 *
 * Ring elements, bits, keys and AES blocks are secret: no branch, division, shift amount or address depends on them. Counts, strides,
 * shift amounts and counters are public. Selects and comparisons on secrets live in ct.h and nowhere else.
 *
 * Pointers are aligned to 8 bytes (uint64_t, double) and `out` overlaps no input, except where said. Sizes are checked by the caller.
 */
#ifndef UNSEEN_KERNELS_H
#define UNSEEN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#if !defined(__SIZEOF_INT128__)
#error "unseen's kernels need a 64-bit compiler with unsigned __int128 (gcc or clang)"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "unseen's kernels need a little-endian machine"
#endif

/* build_kernels.py hands the lines between the two markers to cffi: they are also the list of what Python can call. */
/* cffi: begin */

/* ---- which instruction set ------------------------------------------------------------------------------------------ */

/* The name of the form in use: "portable", "avx2" or "avx512ifma". Never NULL. */
const char *kernels_isa(void);

/* Every name that this build knows, fastest first, ended by NULL; index is 0, 1, 2, ... */
const char *kernels_name(int index);

/* 1 when this build knows `name` and this machine runs it, else 0. */
int kernels_supports(const char *name);

/* Use `name` from now on. Returns 1, or 0 and changes nothing when it is not supported. Not while another kernel is running. */
int kernels_select(const char *name);

/* ---- elementwise, on two-dimensional strided views ------------------------------------------------------------------ */

/* Element (o, i) of an operand is at[o * outer + i * inner], strides counted in words; a stride of 0 repeats an element. */
typedef struct {
    const uint64_t *at;
    ptrdiff_t outer;
    ptrdiff_t inner;
} ring_view;

/* All of these: in[...] any; out contiguous, outer * inner elements, any. */
void ring_add(uint64_t *out, const ring_view *in, size_t outer, size_t inner, int limbs);        /* in[0] + in[1] */
void ring_sub(uint64_t *out, const ring_view *in, size_t outer, size_t inner, int limbs);        /* in[0] - in[1] */
void ring_neg(uint64_t *out, const ring_view *in, size_t outer, size_t inner, int limbs);        /* -in[0] */
void ring_mul(uint64_t *out, const ring_view *in, size_t outer, size_t inner, int limbs);        /* in[0] * in[1] */

/* x0 y0 + x0 y1 + x1 y0 with x0, x1, y0, y1 = in[0..3]: the local part of a replicated product (Araki et al. 2016). */
void ring_mul_shares(uint64_t *out, const ring_view *in, size_t outer, size_t inner, int limbs);

/* in[0] + ... + in[count - 1] + 2^offset_bits; the power is left out when offset_bits is -1. 1 <= count <= 4, offset_bits < 64 limbs. */
void ring_sum(uint64_t *out, const ring_view *in, int count, int offset_bits, size_t outer, size_t inner, int limbs);

/* out[r] = start[r] + sum over c < count of table[r, c] terms[c], r < rows, where terms[c] and out[r] are n contiguous elements, start is
 * rows elements, table rows x count of them. 1 <= count; terms, table, start, out any; out is none of the terms. */
void ring_combine(uint64_t *out, const uint64_t *const *terms, size_t count, const uint64_t *table, const uint64_t *start, size_t rows,
                  size_t n, int limbs);

/* ---- matrices ------------------------------------------------------------------------------------------------------- */

/* Element (r, c) of matrix t of a batch is at[t * batch + r * row + c * column], strides counted in words. */
typedef struct {
    const uint64_t *at;
    ptrdiff_t batch;
    ptrdiff_t row;
    ptrdiff_t column;
} ring_matrix;

/* out[t] += a[t] b[t] for t < batch; a is m x k, b is k x n, out contiguous (batch, m, n). a, b, out any. */
void ring_matmul(uint64_t *out, const ring_matrix *a, const ring_matrix *b, size_t batch, size_t m, size_t k, size_t n, int limbs);

/* out += x^T x on and above the diagonal; below it out is left unspecified. x is n x d, out contiguous (d, d). x, out any. */
void ring_gram(uint64_t *out, const ring_matrix *x, size_t n, size_t d, int limbs);

/* ---- shifts and truncation, on n contiguous elements; out may be in ------------------------------------------------- */

/* 0 <= bits < 64 limbs, public. out: in 2^bits mod 2^(64 limbs); floor(in / 2^bits) of the unsigned, or of the signed, integer. */
void ring_shift_left(uint64_t *out, const uint64_t *in, size_t n, int bits, int limbs);
void ring_shift_right(uint64_t *out, const uint64_t *in, size_t n, int bits, int limbs);
void ring_shift_right_signed(uint64_t *out, const uint64_t *in, size_t n, int bits, int limbs);

/* in any; out in [0, 2^(64 limbs - 2)): the top two bits cleared, so that three such masks and an offset of 2^(64 limbs - 3)
 * add up to less than 2^(64 limbs): 3 * 2^(w-2) + 2 * 2^(w-3) = 2^w. */
void truncation_mask(uint64_t *out, const uint64_t *in, size_t n, int limbs);

/* floor(in / 2^frac) - 2^(offset_bits - frac) with in unsigned. 0 <= frac <= offset_bits < 64 limbs. */
void truncation_finish(uint64_t *out, const uint64_t *in, size_t n, int frac, int offset_bits, int limbs);

/* in: n elements of 2 limbs, any. out: n elements of 4 limbs, the same integer, read as signed (is_signed 1) or unsigned (0). */
void ring_widen(uint64_t *out, const uint64_t *in, size_t n, int is_signed);

/* ---- truncation from two addends (protocols/replicated/split.py), on n contiguous elements ------------------------------ */

/* K = 64 out_limbs, 0 < drop <= K - 3, W = ceil(drop / 64). Either out_limbs = limbs; or limbs = 2, out_limbs = 4 and drop = 128, and
 * then a and b stand for 2^128 a and 2^128 b. a' = a + 2^(K-3) - 1; A and B are the top bits of a' and b; floors are of signed numbers.
 * a, b: n elements of `limbs` words; y, s: of out_limbs words; e, h, c, t: n numbers of W words, modulo 2^(64 W). c0t1, c1t2, ct: first
 * n numbers c, then n numbers t. All inputs any, all outputs any. */

/* y = floor(a' / 2^drop) + 1 - 2^(K-3-drop) - s + 2^(K-drop) (c0 + c1), e1 = A + t1, e2 = A + t2. */
void split_private(uint64_t *y, uint64_t *e1, uint64_t *e2, const uint64_t *a, const uint64_t *s, const uint64_t *c0t1,
                   const uint64_t *c1t2, size_t n, int drop, int limbs, int out_limbs);

/* h = B t + c. */
void split_help(uint64_t *h, const uint64_t *b, const uint64_t *ct, size_t n, int drop, int limbs, int out_limbs);

/* y = floor(b / 2^drop) + 2^(K-drop) (B e - h - c). */
void split_common(uint64_t *y, const uint64_t *b, const uint64_t *e, const uint64_t *h, const uint64_t *c, size_t n, int drop,
                  int limbs, int out_limbs);

/* ---- fixed point ---------------------------------------------------------------------------------------------------- */

/* out = round(in 2^frac), half to even, in two's complement. 0 <= frac < 64 limbs.
 * Returns 0; or 1 when some in is NaN, infinite or |in 2^frac| >= 2^(64 limbs - 1), and then out is unspecified. */
int fixed_encode(uint64_t *out, const double *in, size_t n, int frac, int limbs);

/* out = the float64 nearest to the signed integer in / 2^frac, half to even. in any, 0 <= frac < 64 limbs, |out| <= 2^(64 limbs - 1). */
void fixed_decode(double *out, const uint64_t *in, size_t n, int frac, int limbs);

/* ---- bits: bit i of a packed vector is bit i mod 64 of word i / 64 --------------------------------------------------- */

/* in: n elements. out: (planes, ceil(n / 64)) words; row j holds bit j of every element, spare bits zero. 0 <= planes <= 64 limbs. */
void bits_to_planes(uint64_t *out, const uint64_t *in, size_t n, size_t planes, int limbs);

/* The inverse: bits at and above `planes` are zero in out. Spare bits of in are ignored. */
void bits_from_planes(uint64_t *out, const uint64_t *in, size_t n, size_t planes, int limbs);

/* in: ceil(n / 64) words. out: n elements, each 0 or 1. */
void bits_to_ring(uint64_t *out, const uint64_t *in, size_t n, int limbs);

/* (x0 & y0) ^ (x0 & y1) ^ (x1 & y0) on n words: the local part of a replicated AND. */
void bits_and_shares(uint64_t *out, const uint64_t *x0, const uint64_t *x1, const uint64_t *y0, const uint64_t *y1, size_t n);

/* ---- AES-128 (FIPS 197) --------------------------------------------------------------------------------------------- */

/* out: n bytes of AES(key, c), AES(key, c + 1), ...; the block of counter c is the 16 little-endian bytes of c = first_low + 2^64 first_high.
 * key: 16 bytes. c never passes 2^128 - 1: the caller checks that. */
void aes128_ctr(uint8_t *out, size_t n, const uint8_t *key, uint64_t first_low, uint64_t first_high);

/* out[i] = AES(key, in[i]) for `blocks` blocks of 16 bytes. out may be in. */
void aes128_ecb(uint8_t *out, const uint8_t *in, size_t blocks, const uint8_t *key);

/* Where a key stream begins, as in aes128_ctr. */
typedef struct {
    const uint8_t *key;
    uint64_t first_low;
    uint64_t first_high;
} key_stream;

/* out[i] = in[i] + plus[i] - minus[i] for n elements, the streams' bytes read as ring elements. in any; out may be in. */
void ring_add_streams(uint64_t *out, const uint64_t *in, size_t n, int limbs, const key_stream *plus, const key_stream *minus);

/* ---- row sets: what a hospital works out about its own rows, in the clear; these alone index memory by their values ---- */

/* state[i] = the name of row i so far, with one more column in[i] in it: any float64; all NaN count as one value, -0.0 as 0.0. */
void row_names_fold(uint64_t *state, const double *in, size_t n);

/* cells: (4, 256) cells of 4 words: a count, and a sum in 192 bits. For each i the element AES(key, low[i] + 2^64 high[i]) and a 1 are
 * added to the cell of each table t that byte t of the element names. high NULL: zeros. Counts and sums must not overflow: fewer
 * than 2^64 elements. */
void row_set_add(uint64_t *cells, const uint64_t *low, const uint64_t *high, size_t n, const uint8_t *key);

/* cffi: end */

#endif
