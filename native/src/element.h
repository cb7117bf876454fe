/* One ring element in registers. Every function takes the constant L (2 or 4), inlines and unrolls. Carries are arithmetic. */
#ifndef UNSEEN_ELEMENT_H
#define UNSEEN_ELEMENT_H

#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef unsigned __int128 u128;

/* r = a, limb by limb: a wide load of limbs that were just stored one by one would stall */
INLINE void element_copy(uint64_t *r, const uint64_t *a, const int L)
{
    for (int i = 0; i < L; i++) {
        r[i] = a[i];
    }
}

/* r = a + b; r may be a or b */
INLINE void element_add(uint64_t *r, const uint64_t *a, const uint64_t *b, const int L)
{
    u128 t = 0;
    for (int i = 0; i < L; i++) {
        t += (u128)a[i] + b[i];
        r[i] = (uint64_t)t;
        t >>= 64;
    }
}

/* r = a - b = a + ~b + 1; r may be a or b */
INLINE void element_sub(uint64_t *r, const uint64_t *a, const uint64_t *b, const int L)
{
    u128 t = 1;
    for (int i = 0; i < L; i++) {
        t += (u128)a[i] + ~b[i];
        r[i] = (uint64_t)t;
        t >>= 64;
    }
}

/* r += word * 2^(64 at); 0 <= at < L */
INLINE void element_add_word(uint64_t *r, uint64_t word, const int at, const int L)
{
    u128 t = word;
    for (int i = at; i < L; i++) {
        t += r[i];
        r[i] = (uint64_t)t;
        t >>= 64;
    }
}

/* r += a b. The sum r_ij + a_i b_j + carry is at most (2^64 - 1)^2 + 2 (2^64 - 1) = 2^128 - 1: no carry is lost. */
INLINE void element_mul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, const int L)
{
    if (L == 2) {
        u128 sum = ((u128)r[1] << 64 | r[0]) + (u128)a[0] * b[0];
        sum += (u128)(a[0] * b[1] + a[1] * b[0]) << 64;
        r[0] = (uint64_t)sum;
        r[1] = (uint64_t)(sum >> 64);
        return;
    }
    for (int i = 0; i < L; i++) {
        u128 t = 0;
        for (int j = 0; i + j < L; j++) {
            t += (u128)a[i] * b[j] + r[i + j];
            r[i + j] = (uint64_t)t;
            t >>= 64;
        }
    }
}

#endif
