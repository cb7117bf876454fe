/* Constants of a run of rows, in the representation of the form in use. Everything here is public. */
#include "switching_base.h"

#include "dispatch.h"

#include <stdlib.h>
#include <string.h>

static uint64_t represented(uint64_t factor, uint64_t p, int radix) { return (uint64_t)(((unsigned __int128)factor << radix) % p); }

static switch_modulus modulus_of(uint64_t p, int radix)
{
    uint64_t inverse = p; /* right to 3 bits; each step doubles them */
    for (int i = 0; i < 5; i++) inverse *= 2 - p * inverse;
    return (switch_modulus){p, inverse, 1.0 / (double)p, represented(represented(1, p, radix), p, radix)};
}

static switch_source source_of(uint64_t p)
{
    const int shift = __builtin_clzll(p) - 14;
    return (switch_source){(p - 1) / 2, (uint64_t)(((unsigned __int128)1 << 79) / (p << shift)), shift};
}

static void set_target(switch_target *t, const switch_constants *c, size_t row, int radix)
{
    const uint64_t p = c->tables[row]->p, minus = (p - c->products[row]) % p;
    t->modulus = modulus_of(p, radix);
    for (size_t j = 0; j < c->sources; j++) t->residues[j] = represented(c->residues[row * c->sources + j], p, radix);
    for (uint64_t v = 0; v < 8; v++) t->wraps[v] = v * minus % p;
    t->wrap = represented(minus, p, radix);
    t->quotient[0] = represented(c->inverses[row], p, radix);
    t->quotient[1] = represented((p - c->inverses[row]) % p, p, radix);
    t->blend[0] = represented(1, p, radix);
    t->blend[1] = represented(c->specials[row], p, radix);
    t->twice = represented(t->blend[1], p, radix);
    t->lift = c->sources == 1 && c->tables[c->first]->p + p < UINT64_C(1) << 50;
}

switch_base *switch_base_new(const switch_constants *c)
{
    switch_base *base = calloc(1, sizeof *base);
    if (base == NULL) return NULL;
    base->forms = kernels_active->switching;
    base->n = c->tables[0]->n;
    base->rows = c->rows;
    base->first = c->first;
    base->sources = c->sources;
    base->tables = calloc(c->rows, sizeof *base->tables);
    base->targets = calloc(c->rows, sizeof *base->targets);
    if (base->tables == NULL || base->targets == NULL) {
        switch_base_free(base);
        return NULL;
    }
    memcpy(base->tables, c->tables, c->rows * sizeof *base->tables);
    for (size_t i = 0; i < c->sources; i++) {
        const uint64_t p = c->tables[c->first + i]->p;
        base->source[i] = source_of(p);
        base->factors[i] = represented(c->factors[i], p, base->forms->radix);
    }
    for (size_t row = 0; row < c->rows; row++) set_target(&base->targets[row], c, row, base->forms->radix);
    return base;
}

void switch_base_free(switch_base *base)
{
    if (base == NULL) return;
    free(base->tables);
    free(base->targets);
    free(base);
}
