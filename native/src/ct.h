/* The only selects and comparisons on secrets. Bits are 0 or 1 in a uint64_t; masks are 0 or all ones. */
#ifndef UNSEEN_CT_H
#define UNSEEN_CT_H

#include <stdint.h>

/* Keeps the compiler from learning that x is a bit, which would let it write a branch. */
static inline uint64_t ct_hide(uint64_t x)
{
    __asm__("" : "+r"(x));
    return x;
}

/* bit in {0, 1} -> 0 or 2^64 - 1 */
static inline uint64_t ct_mask(uint64_t bit) { return 0 - ct_hide(bit); }

/* 1 when x != 0: of x and -x at least one has its top bit set, unless x is 0 */
static inline uint64_t ct_nonzero(uint64_t x) { return (x | (0 - x)) >> 63; }

static inline uint64_t ct_equal(uint64_t a, uint64_t b) { return 1 ^ ct_nonzero(a ^ b); }

/* 1 when a < b, unsigned: the borrow out of a - b (Hacker's Delight, 2-12) */
static inline uint64_t ct_less(uint64_t a, uint64_t b) { return ((~a & b) | ((~a | b) & (a - b))) >> 63; }

/* bit = 1 gives a, bit = 0 gives b */
static inline uint64_t ct_select(uint64_t bit, uint64_t a, uint64_t b) { return b ^ (ct_mask(bit) & (a ^ b)); }

#endif
