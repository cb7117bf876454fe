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

/* x: the run's rows in the NTT domain; y is room for as many, or x. */
static remainder_of_run remainder_in(uint64_t *y, const uint64_t *x, uint8_t *v, const switch_base *base)
{
    remainder_of_run out = {.v = v};
    for (size_t i = 0; i < base->sources; i++) {
        uint64_t *const row = y + i * base->n;
        const uint64_t *const term = row;
        out.y[i] = row;
        if (y != x) memcpy(row, x + i * base->n, base->n * sizeof *row);
        rns_inverse(row, &base->tables[base->first + i], 1);
        if (base->sources > 1) base->forms->combine(row, &term, &base->factors[i], 1, base->n, &base->targets[base->first + i].modulus);
    }
    base->forms->quotients(v, out.y, base->source, base->sources, base->n);
    return out;
}

/* out: the centred remainder on one row, in the NTT domain */
static void carry_to_row(uint64_t *out, const remainder_of_run *remainder, size_t row, const switch_base *base,
                         const uint64_t *const ahead[2])
{
    base->forms->convert(out, remainder->y, remainder->v, base->sources, base->n, &base->targets[row], ahead);
    rns_forward(out, &base->tables[row], 1);
}

static int in_run(size_t row, const switch_base *base) { return row >= base->first && row < base->first + base->sources; }

/* ---- digits ------------------------------------------------------------------------------------------------------------- */

void switch_decompose(uint64_t *digits, const uint64_t *c, const switch_base *const *bases, size_t count, uint64_t *scratch)
{
    const size_t n = bases[0]->n, rows = bases[0]->rows;
    for (size_t j = 0; j < count; j++) {
        const switch_base *const base = bases[j];
        const remainder_of_run digit = remainder_in(scratch, c + base->first * n, (uint8_t *)(scratch + base->sources * n), base);
        for (size_t row = 0; row < rows; row++) {
            uint64_t *const out = digits + (j * rows + row) * n;
            const uint64_t *const ahead[2] = {digit.y[0], digit.y[base->sources - 1]};
            if (in_run(row, base)) {
                memcpy(out, c + row * n, n * sizeof *c);
            } else {
                carry_to_row(out, &digit, row, base, ahead);
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
void switch_order(uint64_t *piece, const uint64_t *from, const uint32_t *permutation, size_t count, size_t n, size_t ahead)
{
    for (size_t i = 0; i < count; i += 8) {
        __builtin_prefetch(from + (permutation[i + ahead] & (n - 1)));
        for (size_t e = i; e < i + 8; e++) piece[e] = from[permutation[e] & (n - 1)];
    }
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

void switch_divide(uint64_t *out, const uint64_t *x, const uint64_t *add, size_t add_rows, const switch_base *base, size_t polynomials,
                   uint64_t *scratch)
{
    const size_t n = base->n, first = base->first;
    uint64_t *const y = scratch, *const sum = y + base->sources * n, *const remainder = sum + n;
    uint8_t *const v = (uint8_t *)(remainder + n);
    for (size_t k = 0; k < polynomials; k++, x += base->rows * n, out += first * n) {
        const uint64_t *const plus = add == NULL ? NULL : add + k * add_rows * n;
        memcpy(y, x + first * n, base->sources * n * sizeof *x);
        for (size_t row = first; plus != NULL && row < add_rows; row++) {
            blend_on_row(y + (row - first) * n, x + row * n, plus + row * n, row, base);
        }
        const remainder_of_run dropped = remainder_in(y, y, v, base);
        for (size_t row = 0; row < first; row++) {
            const uint64_t *from = x + row * n;
            if (plus != NULL && row < add_rows) {
                blend_on_row(sum, from, plus + row * n, row, base);
                from = sum;
            }
            const uint64_t *const ahead[2] = {x + row * n, plus == NULL ? x + row * n : plus + row * n};
            carry_to_row(remainder, &dropped, row, base, ahead);
            quotient_on_row(out + row * n, from, remainder, row, base);
        }
    }
}

/* ---- all at once -------------------------------------------------------------------------------------------------------- */

typedef struct {
    const switch_base *const *bases;
    const switch_base *division;
    size_t count, limbs;
    const switch_key *key;
    const uint64_t *c;            /* limbs rows */
    const uint64_t *add[2];       /* NULL or limbs rows, not yet permuted */
    const uint32_t *permutation;  /* of the addends, or NULL */
    const uint64_t *a[2], *b[2];  /* NULL or limbs rows */
    remainder_of_run digits[SWITCH_DIGITS];
    remainder_of_run dropped[2];
} key_switch;

/* Where the parts of the scratch are. */
typedef struct {
    uint64_t *y;          /* limbs rows */
    uint8_t *v;           /* count rows of bytes */
    uint64_t *converted;  /* count rows */
    uint64_t *dropped[2]; /* sources rows of the division */
    uint64_t *remainders; /* two rows */
    uint64_t *turned;     /* two rows */
    uint8_t *quotients;   /* two rows of bytes */
} room;

static room room_in(uint64_t *scratch, const key_switch *s)
{
    const size_t n = s->division->n, sources = s->division->sources;
    room r = {.y = scratch, .converted = scratch + s->limbs * n};
    r.dropped[0] = r.converted + s->count * n;
    r.dropped[1] = r.dropped[0] + sources * n;
    r.remainders = r.dropped[1] + sources * n;
    r.turned = r.remainders + 2 * n;
    r.quotients = (uint8_t *)(r.turned + 2 * n);
    r.v = r.quotients + 2 * n;
    return r;
}

static const uint64_t *row_of(const uint64_t *x, size_t at) { return x == NULL ? NULL : x + at; }

/* One row through a permutation. It is copied first: read in order, it comes from memory faster than in the permutation's. */
static void turn_row(uint64_t *out, const uint64_t *x, const uint32_t *permutation, uint64_t *copy, size_t n)
{
    memcpy(copy, x, n * sizeof *x);
    rns_automorphism(out, copy, permutation, 1, n);
}

/* What one row is summed from, but for the digits and remainders that are carried to it. */
static switch_terms terms_of(size_t row, const key_switch *s, const room *r)
{
    const switch_base *const base = s->bases[0];
    const size_t at = row * base->n;
    switch_terms terms = {.count = s->count, .key = key_row(s->key, row, base, base->rows - s->limbs), .stride = s->key->digits,
                          .special = &base->targets[row]};
    for (int k = 0; k < 2 && row < s->limbs; k++) {
        terms.add[k] = row_of(s->add[k], at);
        if (terms.add[k] != NULL && s->permutation != NULL) {
            turn_row(r->turned + (size_t)k * base->n, terms.add[k], s->permutation, r->remainders, base->n);
            terms.add[k] = r->turned + (size_t)k * base->n;
        }
        terms.a[k] = row_of(s->a[k], at);
        terms.b[k] = row_of(s->b[k], at);
    }
    return terms;
}

/* Rows that the sum will read, two for each of the conversions that come before it: of the key, then of the factors. */
static void set_ahead(const uint64_t *ahead[2], size_t conversion, const switch_terms *terms, size_t n)
{
    const uint64_t *const factors[4] = {terms->a[0], terms->a[1], terms->b[0], terms->b[1]};
    for (size_t i = 0; i < 2; i++) {
        const size_t at = 2 * conversion + i, parts = 2 * terms->stride;
        const uint64_t *const factor = at >= parts && at < parts + 4 ? factors[at - parts] : NULL;
        ahead[i] = at < parts ? terms->key + at * n : factor != NULL ? factor : terms->key;
    }
}

/* Carries the digits to a row; returns how many conversions that took. */
static size_t carry_digits(switch_terms *terms, size_t row, const key_switch *s, const room *r)
{
    const size_t n = s->division->n;
    const uint64_t *ahead[2];
    size_t conversions = 0;
    for (size_t j = 0; j < s->count; j++) {
        terms->digits[j] = s->c + row * n;
        if (in_run(row, s->bases[j])) continue;
        set_ahead(ahead, conversions++, terms, n);
        carry_to_row(r->converted + j * n, &s->digits[j], row, s->bases[j], ahead);
        terms->digits[j] = r->converted + j * n;
    }
    return conversions;
}

static void dropped_row(size_t i, const key_switch *s, const room *r)
{
    const size_t n = s->division->n, row = s->division->first + i;
    switch_terms terms = terms_of(row, s, r);
    carry_digits(&terms, row, s, r);
    s->division->forms->accumulate(r->dropped[0] + i * n, r->dropped[1] + i * n, &terms, n, &s->division->targets[row].modulus);
}

static void kept_row(uint64_t *out, size_t row, const key_switch *s, const room *r)
{
    const size_t n = s->division->n;
    const uint64_t *ahead[2];
    switch_terms terms = terms_of(row, s, r);
    const size_t conversions = carry_digits(&terms, row, s, r);
    terms.division = &s->division->targets[row];
    for (size_t k = 0; k < 2; k++) {
        set_ahead(ahead, conversions + k, &terms, n);
        carry_to_row(r->remainders + k * n, &s->dropped[k], row, s->division, ahead);
        terms.remainders[k] = r->remainders + k * n;
    }
    s->division->forms->accumulate(out + row * n, out + (s->division->first + row) * n, &terms, n, &terms.division->modulus);
}

/* From the digits on. */
static void finish(uint64_t *out, key_switch *s, const room *r)
{
    const size_t n = s->division->n;
    for (size_t i = 0; i < s->division->sources; i++) dropped_row(i, s, r);
    for (size_t k = 0; k < 2; k++) s->dropped[k] = remainder_in(r->dropped[k], r->dropped[k], r->quotients + k * n, s->division);
    for (size_t row = 0; row < s->division->first; row++) kept_row(out, row, s, r);
}

static void digit_of_run(size_t j, key_switch *s, const room *r)
{
    const size_t n = s->division->n, at = s->bases[j]->first * n;
    s->digits[j] = remainder_in(r->y + at, s->c + at, r->v + j * n, s->bases[j]);
}

void switch_apply(uint64_t *out, const uint64_t *c, const uint64_t *const *add, const switch_key *key, const uint32_t *permutation,
                  const switch_base *const *bases, size_t count, const switch_base *division, uint64_t *scratch)
{
    const size_t n = division->n, limbs = all_sources(bases, count);
    key_switch s = {.bases = bases, .division = division, .count = count, .limbs = limbs, .key = key, .add = {add[0], add[1]},
                    .permutation = permutation, .c = permutation == NULL ? c : scratch};
    const room r = room_in(scratch + limbs * n, &s);
    for (size_t j = 0; j < count; j++) {
        for (size_t i = 0; i < bases[j]->sources && permutation != NULL; i++) {
            const size_t at = (bases[j]->first + i) * n;
            turn_row(scratch + at, c + at, permutation, r.remainders, n);
        }
        digit_of_run(j, &s, &r);
    }
    finish(out, &s, &r);
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

/* Only the last polynomial of the product is written down; the others are formed where they are added. */
void switch_multiply(uint64_t *out, const uint64_t *a, const uint64_t *b, const switch_key *key, const switch_base *const *bases,
                     size_t count, const switch_base *division, uint64_t *scratch)
{
    const size_t n = division->n, limbs = all_sources(bases, count);
    const uint64_t *const a1 = a + limbs * n, *const b1 = b + limbs * n;
    key_switch s = {.bases = bases, .division = division, .count = count, .limbs = limbs, .key = key, .c = scratch,
                    .a = {a, a1}, .b = {b, b1}};
    const room r = room_in(scratch + limbs * n, &s);
    for (size_t j = 0; j < count; j++) {
        const size_t at = bases[j]->first * n;
        rns_mul(scratch + at, a1 + at, b1 + at, bases[j]->tables + bases[j]->first, bases[j]->sources);
        digit_of_run(j, &s, &r);
    }
    finish(out, &s, &r);
}
