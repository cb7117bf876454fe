/*
 * Arithmetic modulo one prime p < 2^50, on 64-bit words. Every function is constant time in its operands.
 *
 * lazy: a value congruent to the result, below the bound that is stated.
 */
#ifndef UNSEEN_RNS_REDUCE_H
#define UNSEEN_RNS_REDUCE_H

#include "ct.h"
#include "element.h"

#include <stdint.h>

/* floor(a b / 2^64) */
INLINE uint64_t high64(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b >> 64); }

/* [0, 2p) -> [0, p) */
INLINE uint64_t once_below(uint64_t x, uint64_t p)
{
    const uint64_t y = x - p; /* top bit set when x < p: both are below 2^51 */
    return y + (p & ct_mask(y >> 63));
}

/* Any x, barrett = floor(2^64 / p) -> [0, 2p), lazy: the quotient is at most one too small. */
INLINE uint64_t barrett_lazy(uint64_t x, uint64_t p, uint64_t barrett) { return x - high64(x, barrett) * p; }

INLINE uint64_t barrett_reduce(uint64_t x, uint64_t p, uint64_t barrett) { return once_below(barrett_lazy(x, p, barrett), p); }

/* y w mod p for any y, lazy, in [0, 2p); w in [0, p), quotient = floor(w 2^64 / p) (Shoup; Harvey 2014, section 3). */
INLINE uint64_t shoup_lazy(uint64_t y, uint64_t w, uint64_t quotient, uint64_t p) { return y * w - high64(y, quotient) * p; }

/* floor(w 2^64 / p), w in [0, p); w is public */
INLINE uint64_t shoup_quotient(uint64_t w, uint64_t p) { return (uint64_t)(((unsigned __int128)w << 64) / p); }

/*
 * c mod p for c < 2^(2 bits), in [0, 2p), lazy. bits is p's length, product_barrett = floor(2^(62 + bits) / p) < 2^63.
 * With c1 = floor(c / 2^(bits - 2)) < 2^52, the quotient floor(c1 product_barrett / 2^64) lies between c / p - 1/2 - 2^-12 - 1 and c / p:
 * c1 loses less than 1, which weighs 2^(bits - 2) / p <= 1/2; product_barrett loses less than 1, which weighs c1 / 2^64 < 2^-12.
 */
INLINE uint64_t product_lazy(unsigned __int128 c, uint64_t p, int bits, uint64_t product_barrett)
{
    return (uint64_t)c - high64((uint64_t)(c >> (bits - 2)), product_barrett) * p;
}

#endif
