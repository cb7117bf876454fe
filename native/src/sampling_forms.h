/* What the samplers do with a chunk of key stream, in the forms of each instruction set; dispatch.h names them. */
#ifndef UNSEEN_SAMPLING_FORMS_H
#define UNSEEN_SAMPLING_FORMS_H

#include <stddef.h>
#include <stdint.h>

/* In place: the words & mask that are below p move to the front, in their order. Returns how many. n a multiple of 8, p <= mask < 2^63. */
typedef size_t sample_keep_fn(uint64_t *words, size_t n, uint64_t mask, uint64_t p);

/* out[i] of words[i], as sample_ternary and sample_binomial. n a multiple of 8, words any. */
typedef void sample_small_fn(int8_t *out, const uint64_t *words, size_t n);

sample_keep_fn sample_keep_portable, sample_keep_avx2, sample_keep_avx512ifma;
sample_small_fn sample_thirds_portable, sample_thirds_avx2, sample_thirds_avx512ifma;
sample_small_fn sample_heads_portable, sample_heads_avx2, sample_heads_avx512ifma;

#endif
