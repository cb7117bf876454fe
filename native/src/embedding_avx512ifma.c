/* The embedding with 512-bit vectors. */
#if defined(__x86_64__)
#include <immintrin.h>

#define FOR_ISA __attribute__((target("avx512f,avx512dq")))
#define WIDTH 8
#define EMBED_FORMS embed_avx512ifma
#define HAS_FMA 1
#define HAS_ROUND 1
#define MULTIPLY_ADD(a, b, c) ((vec)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#define ROUND(x) ((vec)_mm512_roundscale_pd((__m512d)(x), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC))
#include "embedding_template.h"
#endif
