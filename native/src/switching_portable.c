/* Key switching on 64-bit words: sums of 128 bits, REDC with R = 2^64. */
#include "ct.h"
#include "rns_reduce.h"

#define FOR_ISA
#define FORM switch_portable
#define RADIX 64
#define LANES 1

#include "element.h"
#include "switching_forms.h"

typedef uint64_t words, factor;
typedef u128 sum;
typedef uint64_t wraps; /* -D, represented */
typedef const switch_modulus *prime;

INLINE words load(const uint64_t *at) { return *at; }
INLINE void store(uint64_t *at, words x) { *at = x; }
INLINE words all(uint64_t x) { return x; }
INLINE words load_bytes(const uint8_t *at) { return *at; }
INLINE void store_bytes(uint8_t *at, words x) { *at = (uint8_t)x; }
INLINE words add(words a, words b) { return a + b; }
INLINE words sub(words a, words b) { return a - b; }
INLINE words both(words a, words b) { return a & b; }
INLINE words shift_left(words a, int bits) { return a << bits; }
INLINE words shift_right(words a, int bits) { return a >> bits; }
INLINE words mul32(words a, words b) { return (uint64_t)(uint32_t)a * (uint32_t)b; }

INLINE factor take(const uint64_t *at) { return *at; }
INLINE factor every(uint64_t x) { return x; }
INLINE factor as_factor(words x) { return x; }
INLINE prime prime_of(const switch_modulus *modulus) { return modulus; }
INLINE wraps wraps_of(const switch_target *target) { return target->wrap; }

INLINE sum sum_zero(prime p)
{
    (void)p;
    return 0;
}

INLINE sum sum_add(sum s, factor x, factor y, prime p)
{
    (void)p;
    return s + (u128)x * y;
}

INLINE sum sum_wrap(sum s, const uint8_t *v, wraps w) { return s + (u128)*v * w; }

/* s < 2^14 2^50 p = R p (65 products at most), in (0, 2p): (s - (s p^-1 mod R) p) / R + p (Montgomery 1985) */
INLINE uint64_t redc(sum s, prime p) { return (uint64_t)(s >> 64) - high64((uint64_t)s * p->inverse, p->p) + p->p; }

INLINE words below_50(sum s, prime p) { return redc(s, p); }

INLINE words canonical(sum s, prime p, int corrections)
{
    (void)corrections;
    return once_below(redc(s, p), p->p);
}

INLINE factor scaled(factor x, factor c, prime p) { return redc((u128)x * c, p); }

#include "switching_template.h"
