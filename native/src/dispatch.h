/* The kernels that have more than one form. dispatch.c picks one row of these at load time. */
#ifndef UNSEEN_DISPATCH_H
#define UNSEEN_DISPATCH_H

#include "embedding_forms.h"
#include "kernels.h"
#include "packing.h"
#include "rns_table.h"
#include "sampling_forms.h"
#include "switching_forms.h"

/* Blocks of the matrix product: at most this many rows and columns of out, and this many terms of each sum, in one call. */
enum { BLOCK_SIDE = 32, BLOCK_TERMS = 32 };

/* FIPS 197, section 5.2: the round keys of a key of 16 bytes. */
enum { AES_SCHEDULE_BYTES = 16 * 11 };
void aes128_expand_key(uint8_t *round_keys, const uint8_t *key);

/* aes_blocks: round_keys holds 11 keys of 16 bytes; the rest as aes128_ecb. */
typedef void aes_blocks_fn(uint8_t *out, const uint8_t *in, size_t blocks, const uint8_t *round_keys);

/* planes: as bits_to_planes and bits_from_planes. */
typedef void planes_fn(uint64_t *out, const uint64_t *in, size_t n, size_t planes, int limbs);

/* fold: as row_names_fold. */
typedef void names_fn(uint64_t *state, const double *in, size_t n);

/* matmul_block: out += a b for one block, m, n <= BLOCK_SIDE, k <= BLOCK_TERMS; row and column strides of out are given in words.
 * upper = 1: b is the transpose of a, and entries of out below the diagonal need not be computed. */
typedef void matmul_block_fn(uint64_t *out, ptrdiff_t out_row, ptrdiff_t out_column, const ring_matrix *a, const ring_matrix *b,
                             size_t m, size_t k, size_t n, int limbs, int upper);

aes_blocks_fn aes_blocks_portable, aes_blocks_avx2, aes_blocks_avx512ifma;
planes_fn to_planes_portable, to_planes_avx2, to_planes_avx512ifma;
planes_fn from_planes_portable, from_planes_avx2, from_planes_avx512ifma;
names_fn row_names_fold_portable, row_names_fold_avx2, row_names_fold_avx512ifma;
matmul_block_fn matmul_block_portable, matmul_block_avx512ifma;

typedef struct {
    const char *name;
    aes_blocks_fn *aes_blocks;
    planes_fn *to_planes;
    planes_fn *from_planes;
    matmul_block_fn *matmul_block;
    names_fn *row_names_fold;
    sample_keep_fn *sample_keep;
    sample_small_fn *sample_thirds;
    sample_small_fn *sample_heads;
    pack_fn *pack;
    unpack_fn *unpack;
    const embed_forms *embedding;
    const rns_form *rns;
    const switch_forms *switching;
} kernel_forms;

/* The forms in use. */
extern const kernel_forms *kernels_active;

#endif
