/* Names of rows with 256-bit vectors. */
#if defined(__x86_64__)
#define ROW_NAMES_FOLD row_names_fold_avx2
#define FOR_ISA __attribute__((target("avx2")))
#include "dispatch.h"

#include "row_names_template.h"
#endif
