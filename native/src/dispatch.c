/* Which form of each kernel runs: the fastest that the machine has, or the one asked for by name. */
#include "dispatch.h"

#include <string.h>

static const kernel_forms PORTABLE = {
    .name = "portable",
    .aes_blocks = aes_blocks_portable,
    .to_planes = to_planes_portable,
    .from_planes = from_planes_portable,
    .matmul_block = matmul_block_portable,
    .row_names_fold = row_names_fold_portable,
    .sample_keep = sample_keep_portable,
    .sample_thirds = sample_thirds_portable,
    .sample_heads = sample_heads_portable,
    .pack = pack_portable,
    .unpack = unpack_portable,
    .embedding = &embed_portable,
    .rns = &rns_form_portable,
    .switching = &switch_portable,
};

#if defined(__x86_64__)
/* AVX2 has no wide enough multiplication and no byte permutation across a vector: its matrix product and its packing are portable. */
static const kernel_forms AVX2 = {
    .name = "avx2",
    .aes_blocks = aes_blocks_avx2,
    .to_planes = to_planes_avx2,
    .from_planes = from_planes_avx2,
    .matmul_block = matmul_block_portable,
    .row_names_fold = row_names_fold_avx2,
    .sample_keep = sample_keep_avx2,
    .sample_thirds = sample_thirds_avx2,
    .sample_heads = sample_heads_avx2,
    .pack = pack_portable,
    .unpack = unpack_portable,
    .embedding = &embed_avx2,
    .rns = &rns_form_avx2,
    .switching = &switch_avx2,
};
static const kernel_forms AVX512IFMA = {
    .name = "avx512ifma",
    .aes_blocks = aes_blocks_avx512ifma,
    .to_planes = to_planes_avx512ifma,
    .from_planes = from_planes_avx512ifma,
    .matmul_block = matmul_block_avx512ifma,
    .row_names_fold = row_names_fold_avx512ifma,
    .sample_keep = sample_keep_avx512ifma,
    .sample_thirds = sample_thirds_avx512ifma,
    .sample_heads = sample_heads_avx512ifma,
    .pack = pack_avx512ifma,
    .unpack = unpack_avx512ifma,
    .embedding = &embed_avx512ifma,
    .rns = &rns_form_avx512ifma,
    .switching = &switch_avx512ifma,
};
static const kernel_forms *const FORMS[] = {&AVX512IFMA, &AVX2, &PORTABLE};

static int machine_runs(const kernel_forms *forms)
{
    __builtin_cpu_init();
    if (forms == &AVX512IFMA) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512ifma")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi")
            && __builtin_cpu_supports("avx512vpopcntdq") && __builtin_cpu_supports("vaes");
    }
    if (forms == &AVX2) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("aes")
            && __builtin_cpu_supports("popcnt");
    }
    return 1;
}
#else
static const kernel_forms *const FORMS[] = {&PORTABLE};

static int machine_runs(const kernel_forms *forms) { return forms == &PORTABLE; }
#endif

enum { FORM_COUNT = sizeof FORMS / sizeof FORMS[0] };

const kernel_forms *kernels_active = &PORTABLE;

__attribute__((constructor)) static void select_fastest(void)
{
    for (int i = FORM_COUNT - 1; i >= 0; i--) {
        if (machine_runs(FORMS[i])) {
            kernels_active = FORMS[i];
        }
    }
}

const char *kernels_isa(void) { return kernels_active->name; }

const char *kernels_name(int index) { return 0 <= index && index < FORM_COUNT ? FORMS[index]->name : NULL; }

static const kernel_forms *find(const char *name)
{
    for (int i = 0; i < FORM_COUNT; i++) {
        if (strcmp(FORMS[i]->name, name) == 0 && machine_runs(FORMS[i])) {
            return FORMS[i];
        }
    }
    return NULL;
}

int kernels_supports(const char *name) { return find(name) != NULL; }

int kernels_select(const char *name)
{
    const kernel_forms *forms = find(name);
    if (forms == NULL) {
        return 0;
    }
    kernels_active = forms;
    return 1;
}
