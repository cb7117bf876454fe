/*
 * The walks of switching.h over rows and digits. The kernels see one row at a time, so that what a row is made of (its digits converted and
 * transformed) stays in the second-level cache until it is summed.
 */
#include "switching_base.h"

#include <string.h>

static size_t all_sources(const switch_base *const *bases, size_t count)
{
    size_t sum = 0;
    for (size_t j = 0; j < count; j++) sum += bases[j]->sources;
    return sum;
}

/* ---- base conversion ---------------------------------------------------------------------------------------------------- */

/* A run in the coefficient domain: y_i = x_i (D / d_i)^-1 mod d_i, and the quotient of sum y_i / d_i. */
typedef struct {
    const uint64_t *y[SWITCH_SOURCES];
    const uint8_t *v;
} remainder_of_run;

/* y holds the run's rows in the NTT domain and is overwritten. */
static remainder_of_run remainder_in(uint64_t *y, uint8_t *v, const switch_base *base)
{
    remainder_of_run out = {.v = v};
    for (size_t i = 0; i < base->sources; i++) {
        uint64_t *const row = y + i * base->n;
        const uint64_t *const term = row;
        out.y[i] = row;
        rns_inverse(row, &base->tables[base->first + i], 1);
        if (base->sources > 1) base->forms->combine(row, &term, &base->factors[i], 1, base->n, &base->targets[base->first + i].modulus);
    }
    base->forms->quotients(v, out.y, base->source, base->sources, base->n);
    return out;
}

/* out: the centred remainder on one row, in the NTT domain */
static void carry_to_row(uint64_t *out, const remainder_of_run *remainder, size_t row, const switch_base *base)
{
    base->forms->convert(out, remainder->y, remainder->v, base->sources, base->n, &base->targets[row]);
    rns_forward(out, &base->tables[row], 1);
}

static int in_run(size_t row, const switch_base *base) { return row >= base->first && row < base->first + base->sources; }

/* ---- digits ------------------------------------------------------------------------------------------------------------- */

void switch_decompose(uint64_t *digits, const uint64_t *c, const switch_base *const *bases, size_t count, uint64_t *scratch)
{
    const size_t n = bases[0]->n, rows = bases[0]->rows;
    for (size_t j = 0; j < count; j++) {
        const switch_base *const base = bases[j];
        memcpy(scratch, c + base->first * n, base->sources * n * sizeof *c);
        const remainder_of_run digit = remainder_in(scratch, (uint8_t *)(scratch + base->sources * n), base);
        for (size_t row = 0; row < rows; row++) {
            uint64_t *const out = digits + (j * rows + row) * n;
            if (in_run(row, base)) {
                memcpy(out, c + row * n, n * sizeof *c);
            } else {
                carry_to_row(out, &digit, row, base);
            }
        }
    }
}

/* ---- keys --------------------------------------------------------------------------------------------------------------- */

void switch_prepare(uint64_t *out, const uint64_t *key, size_t digits, const switch_base *base)
{
    const size_t n = base->n, rows = base->rows;
    for (size_t row = 0; row < rows; row++) {
        const switch_modulus *const modulus = &base->targets[row].modulus;
        for (size_t block = 0; block < n / 8; block++) {
            for (size_t j = 0; j < 2 * digits; j++) {
                const uint64_t *const term = key + (j * rows + row) * n + 8 * block;
                base->forms->combine(out, &term, &modulus->square, 1, 8, modulus);
                out += 8;
            }
        }
    }
}

/* Eight words at a time, one by one: on the machines at hand the gather instructions take three times as long. */
const uint64_t *switch_ordered(uint64_t *piece, const uint64_t *from, const uint32_t *permutation, size_t count, size_t n)
{
    if (from == NULL) return NULL;
    for (size_t i = 0; i < count; i += 8) {
        for (size_t e = i; e < i + 8; e++) piece[e] = from[permutation[e] & (n - 1)];
    }
    return piece;
}

/* A key's row for a row of a lower level: limbs from the front, special rows from the back. */
static const uint64_t *key_row(const switch_key *key, size_t row, const switch_base *base, size_t specials)
{
    const size_t at = row + specials < base->rows ? row : row + key->rows - base->rows;
    return key->at + at * 2 * key->digits * base->n;
}

void switch_accumulate(uint64_t *out, const uint64_t *digits, size_t count, const switch_key *key, const uint32_t *permutation, size_t specials,
                       const switch_base *base)
{
    const size_t n = base->n, rows = base->rows;
    for (size_t row = 0; row < rows; row++) {
        switch_terms terms = {.count = count, .key = key_row(key, row, base, specials), .stride = key->digits, .permutation = permutation};
        for (size_t j = 0; j < count; j++) terms.digits[j] = digits + (j * rows + row) * n;
        base->forms->accumulate(out + row * n, out + (rows + row) * n, &terms, n, &base->targets[row].modulus);
    }
}

/* ---- division ----------------------------------------------------------------------------------------------------------- */

/* out = (x - remainder) / D on one row, remainder in the NTT domain; out may be either */
static void quotient_on_row(uint64_t *out, const uint64_t *x, const uint64_t *remainder, size_t row, const switch_base *base)
{
    const uint64_t *const terms[2] = {x, remainder};
    base->forms->combine(out, terms, base->targets[row].quotient, 2, base->n, &base->targets[row].modulus);
}

/* out = x + P add on one row */
static void blend_on_row(uint64_t *out, const uint64_t *x, const uint64_t *add, size_t row, const switch_base *base)
{
    const uint64_t *const terms[2] = {x, add};
    base->forms->combine(out, terms, base->targets[row].blend, 2, base->n, &base->targets[row].modulus);
}

void switch_divide(uint64_t *out, const uint64_t *x, const uint64_t *add, size_t add_rows, const switch_base *base, size_t polynomials, uint64_t *scratch)
{
    const size_t n = base->n, first = base->first;
    uint64_t *const y = scratch, *const sum = y + base->sources * n, *const remainder = sum + n;
    uint8_t *const v = (uint8_t *)(remainder + n);
    for (size_t k = 0; k < polynomials; k++, x += base->rows * n, out += first * n) {
        const uint64_t *const plus = add == NULL ? NULL : add + k * add_rows * n;
        memcpy(y, x + first * n, base->sources * n * sizeof *x);
        for (size_t row = first; plus != NULL && row < add_rows; row++) blend_on_row(y + (row - first) * n, x + row * n, plus + row * n, row, base);
        const remainder_of_run dropped = remainder_in(y, v, base);
        for (size_t row = 0; row < first; row++) {
            const uint64_t *from = x + row * n;
            if (plus != NULL && row < add_rows) {
                blend_on_row(sum, from, plus + row * n, row, base);
                from = sum;
            }
            carry_to_row(remainder, &dropped, row, base);
            quotient_on_row(out + row * n, from, remainder, row, base);
        }
    }
}

/* ---- all at once -------------------------------------------------------------------------------------------------------- */

typedef struct {
    const switch_base *const *bases;
    size_t count, limbs;
    const uint64_t *c;                        /* limbs rows */
    remainder_of_run digits[SWITCH_DIGITS];
    const uint64_t *add[2];
    const switch_key *key;
    uint64_t *converted;                      /* count rows */
} key_switch;

/* One row of the sum of digits times key, plus P add. */
static void sum_on_row(uint64_t *out0, uint64_t *out1, size_t row, const key_switch *s)
{
    const switch_base *const base = s->bases[0];
    const size_t n = base->n, specials = base->rows - s->limbs;
    switch_terms terms = {.count = s->count, .key = key_row(s->key, row, base, specials), .stride = s->key->digits,
                          .factor = base->targets[row].blend[1]};
    for (size_t j = 0; j < s->count; j++) {
        terms.digits[j] = s->c + row * n;
        if (!in_run(row, s->bases[j])) {
            carry_to_row(s->converted + j * n, &s->digits[j], row, s->bases[j]);
            terms.digits[j] = s->converted + j * n;
        }
    }
    for (int k = 0; k < 2 && row < s->limbs; k++) terms.add[k] = s->add[k] == NULL ? NULL : s->add[k] + row * n;
    base->forms->accumulate(out0, out1, &terms, n, &base->targets[row].modulus);
}

/* y: limbs rows; v: count rows of bytes */
static void digits_of(key_switch *s, uint64_t *y, uint8_t *v)
{
    const size_t n = s->bases[0]->n;
    memcpy(y, s->c, s->limbs * n * sizeof *y);
    for (size_t j = 0; j < s->count; j++) s->digits[j] = remainder_in(y + s->bases[j]->first * n, v + j * n, s->bases[j]);
}

/* c and the addends through a permutation, when there is one; room: 3 limbs rows */
static void turn(key_switch *s, const uint32_t *permutation, uint64_t *room)
{
    const size_t n = s->bases[0]->n;
    const uint64_t **const parts[3] = {&s->c, &s->add[0], &s->add[1]};
    for (int i = 0; i < 3 && permutation != NULL; i++, room += s->limbs * n) {
        if (*parts[i] == NULL) continue;
        rns_automorphism(room, *parts[i], permutation, s->limbs, n);
        *parts[i] = room;
    }
}

void switch_apply(uint64_t *out, const uint64_t *c, const uint64_t *const *add, const switch_key *key, const uint32_t *permutation,
                  const switch_base *const *bases, size_t count, const switch_base *division, uint64_t *scratch)
{
    const size_t n = division->n, first = division->first, sources = division->sources, limbs = all_sources(bases, count);
    uint64_t *const turned = scratch, *const y = turned + 3 * limbs * n, *const v = y + limbs * n, *const converted = v + (count + 8) * n / 8;
    uint64_t *const dropped[2] = {converted + count * n, converted + (count + sources) * n};
    uint64_t *const sums[2] = {dropped[1] + sources * n, dropped[1] + (sources + 1) * n}, *const remainder = sums[1] + n;
    uint8_t *const quotients = (uint8_t *)(remainder + n);
    key_switch s = {.bases = bases, .count = count, .limbs = limbs, .c = c, .add = {add[0], add[1]}, .key = key, .converted = converted};
    turn(&s, permutation, turned);
    digits_of(&s, y, (uint8_t *)v);
    for (size_t i = 0; i < sources; i++) sum_on_row(dropped[0] + i * n, dropped[1] + i * n, first + i, &s);
    remainder_of_run remainders[2];
    for (int k = 0; k < 2; k++) remainders[k] = remainder_in(dropped[k], quotients + (size_t)k * n, division);
    for (size_t row = 0; row < first; row++) {
        sum_on_row(sums[0], sums[1], row, &s);
        for (size_t k = 0; k < 2; k++) {
            carry_to_row(remainder, &remainders[k], row, division);
            quotient_on_row(out + (k * first + row) * n, sums[k], remainder, row, division);
        }
    }
}

/* ---- products ----------------------------------------------------------------------------------------------------------- */

void switch_product(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t limbs, const switch_base *base)
{
    const size_t n = base->n;
    for (size_t row = 0; row < limbs; row++) {
        uint64_t *const to[3] = {out + row * n, out + (limbs + row) * n, out + (2 * limbs + row) * n};
        const uint64_t *const a2[2] = {a + row * n, a + (limbs + row) * n}, *const b2[2] = {b + row * n, b + (limbs + row) * n};
        base->forms->product(to, a2, b2, n, &base->targets[row].modulus);
    }
}

void switch_multiply(uint64_t *out, const uint64_t *a, const uint64_t *b, const switch_key *key, const switch_base *const *bases, size_t count,
                     const switch_base *division, uint64_t *scratch)
{
    const size_t n = division->n, limbs = all_sources(bases, count);
    switch_product(scratch, a, b, limbs, bases[0]);
    const uint64_t *const add[2] = {scratch, scratch + limbs * n};
    switch_apply(out, scratch + 2 * limbs * n, add, key, NULL, bases, count, division, scratch + 3 * limbs * n);
}
