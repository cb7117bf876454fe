/* Bit planes with 256-bit vectors. */
#if defined(__x86_64__)
#define TO_PLANES to_planes_avx2
#define FROM_PLANES from_planes_avx2
#define FOR_ISA __attribute__((target("avx2")))
#include "dispatch.h"

#include "bits_template.h"
#endif
