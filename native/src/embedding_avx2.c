/* The embedding with 256-bit vectors. */
#if defined(__x86_64__)
#include <immintrin.h>

#define FOR_ISA __attribute__((target("avx2,fma")))
#define WIDTH 4
#define EMBED_FORMS embed_avx2
#define HAS_FMA 1
#define HAS_ROUND 1
#define MULTIPLY_ADD(a, b, c) ((vec)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#define ROUND(x) ((vec)_mm256_round_pd((__m256d)(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC))
#include "embedding_template.h"
#endif
