/* Bit planes with 512-bit vectors. */
#if defined(__x86_64__)
#define TO_PLANES to_planes_avx512ifma
#define FROM_PLANES from_planes_avx512ifma
#define FOR_ISA __attribute__((target("avx512f")))
#include "dispatch.h"

#include "bits_template.h"
#endif
