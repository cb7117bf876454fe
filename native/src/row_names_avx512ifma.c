/* Names of rows with 512-bit vectors and their 64-bit product. */
#if defined(__x86_64__)
#define ROW_NAMES_FOLD row_names_fold_avx512ifma
#define FOR_ISA __attribute__((target("avx512f,avx512dq")))
#include "dispatch.h"

#include "row_names_template.h"
#endif
