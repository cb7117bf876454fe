/*
 * AES-128 (FIPS 197): key schedule, counter mode, and the portable form of the cipher.
 *
 * The portable form is bitsliced: no table is read at a secret index. A lane of the eight vectors q[0..7] holds four blocks; bit p of
 * q[j] is bit j of the byte at row r, column c of block b, where p = 16 r + 4 c + b. So a row is 16 neighbouring bits, ShiftRows
 * rotates inside a row and MixColumns rotates whole rows. The S-box is the circuit of Boyar and Peralta (eprint 2011/332).
 */
#include "dispatch.h"
#include "element.h"

enum { ROUNDS = 10, LANES = 2, BATCH = 4 * LANES, CTR_CHUNK = 256 };

typedef uint64_t plane __attribute__((vector_size(8 * LANES)));
typedef plane sliced[8];

/* 113 gates on bit planes. x[0] is the top bit in the paper's order, q[7] in ours. */
static void substitute(sliced q)
{
    const plane x0 = q[7], x1 = q[6], x2 = q[5], x3 = q[4], x4 = q[3], x5 = q[2], x6 = q[1], x7 = q[0];
    /* top linear layer */
    const plane y14 = x3 ^ x5, y13 = x0 ^ x6, y9 = x0 ^ x3, y8 = x0 ^ x5, t0 = x1 ^ x2, y1 = t0 ^ x7, y4 = y1 ^ x3;
    const plane y12 = y13 ^ y14, y2 = y1 ^ x0, y5 = y1 ^ x6, y3 = y5 ^ y8, t1 = x4 ^ y12, y15 = t1 ^ x5, y20 = t1 ^ x1;
    const plane y6 = y15 ^ x7, y10 = y15 ^ t0, y11 = y20 ^ y9, y7 = x7 ^ y11, y17 = y10 ^ y11, y19 = y10 ^ y8;
    const plane y16 = t0 ^ y11, y21 = y13 ^ y16, y18 = x0 ^ y16;
    /* inversion in GF(2^8) through GF(2^4) */
    const plane t2 = y12 & y15, t3 = y3 & y6, t4 = t3 ^ t2, t5 = y4 & x7, t6 = t5 ^ t2, t7 = y13 & y16, t8 = y5 & y1;
    const plane t9 = t8 ^ t7, t10 = y2 & y7, t11 = t10 ^ t7, t12 = y9 & y11, t13 = y14 & y17, t14 = t13 ^ t12;
    const plane t15 = y8 & y10, t16 = t15 ^ t12, t17 = t4 ^ t14, t18 = t6 ^ t16, t19 = t9 ^ t14, t20 = t11 ^ t16;
    const plane t21 = t17 ^ y20, t22 = t18 ^ y19, t23 = t19 ^ y21, t24 = t20 ^ y18, t25 = t21 ^ t22, t26 = t21 & t23;
    const plane t27 = t24 ^ t26, t28 = t25 & t27, t29 = t28 ^ t22, t30 = t23 ^ t24, t31 = t22 ^ t26, t32 = t31 & t30;
    const plane t33 = t32 ^ t24, t34 = t23 ^ t33, t35 = t27 ^ t33, t36 = t24 & t35, t37 = t36 ^ t34, t38 = t27 ^ t36;
    const plane t39 = t29 & t38, t40 = t25 ^ t39, t41 = t40 ^ t37, t42 = t29 ^ t33, t43 = t29 ^ t40, t44 = t33 ^ t37;
    const plane t45 = t42 ^ t41;
    const plane z0 = t44 & y15, z1 = t37 & y6, z2 = t33 & x7, z3 = t43 & y16, z4 = t40 & y1, z5 = t29 & y7, z6 = t42 & y11;
    const plane z7 = t45 & y17, z8 = t41 & y10, z9 = t44 & y12, z10 = t37 & y3, z11 = t33 & y4, z12 = t43 & y13;
    const plane z13 = t40 & y5, z14 = t29 & y2, z15 = t42 & y9, z16 = t45 & y14, z17 = t41 & y8;
    /* bottom linear layer */
    const plane t46 = z15 ^ z16, t47 = z10 ^ z11, t48 = z5 ^ z13, t49 = z9 ^ z10, t50 = z2 ^ z12, t51 = z2 ^ z5;
    const plane t52 = z7 ^ z8, t53 = z0 ^ z3, t54 = z6 ^ z7, t55 = z16 ^ z17, t56 = z12 ^ t48, t57 = t50 ^ t53;
    const plane t58 = z4 ^ t46, t59 = z3 ^ t54, t60 = t46 ^ t57, t61 = z14 ^ t57, t62 = t52 ^ t58, t63 = t49 ^ t58;
    const plane t64 = z4 ^ t59, t65 = t61 ^ t62, t66 = z1 ^ t63, t67 = t64 ^ t65, s3 = t53 ^ t66;
    q[7] = t59 ^ t63;
    q[6] = t64 ^ ~s3;
    q[5] = t55 ^ ~t67;
    q[4] = s3;
    q[3] = t51 ^ t66;
    q[2] = t47 ^ t65;
    q[1] = t56 ^ ~t62;
    q[0] = t48 ^ ~t60;
}

/* Row r, the 16 bits from 16 r, turns right by r columns of 4 bits. */
INLINE plane shift_rows(plane w)
{
    return (w & 0x000000000000ffff)
        | (w >> 4 & 0x000000000fff0000) | (w << 12 & 0x00000000f0000000)
        | (w >> 8 & 0x000000ff00000000) | (w << 8 & 0x0000ff0000000000)
        | (w >> 12 & 0x000f000000000000) | (w << 4 & 0xfff0000000000000);
}

/* Row r takes the place of row r - rows. */
INLINE plane rotate_rows(plane w, const int rows) { return w >> (16 * rows) | w << (64 - 16 * rows); }

/* With b = a + a_1 (a_i: a with its rows rotated by i) a column becomes 2 a + 3 a_1 + a_2 + a_3 = 2 b + a_1 + b_2. Doubling moves plane j
 * to j + 1, and plane 7 into 0, 1, 3 and 4 (x^8 = x^4 + x^3 + x + 1). */
static void mix_columns(sliced q)
{
    sliced b, rest;
    for (int j = 0; j < 8; j++) {
        const plane a1 = rotate_rows(q[j], 1);
        b[j] = q[j] ^ a1;
        rest[j] = a1 ^ rotate_rows(b[j], 2);
    }
    for (int j = 0; j < 8; j++) {
        q[j] = j > 0 ? rest[j] ^ b[j - 1] : rest[j];
        if (j == 0 || j == 1 || j == 3 || j == 4) {
            q[j] ^= b[7];
        }
    }
}

/* Exchanges the bits of a selected by mask << s with those of b selected by mask. */
INLINE void exchange(plane *a, plane *b, const int s, const uint64_t mask)
{
    const plane t = (*a >> s ^ *b) & mask;
    *b ^= t;
    *a ^= t << s;
}

/* Bit j of byte m of word k <-> bit k of byte m of word j. Its own inverse. */
static void transpose_bytes(sliced q)
{
    for (int k = 0; k < 8; k += 2) exchange(&q[k], &q[k + 1], 1, 0x5555555555555555);
    for (int k = 0; k < 8; k += 4) {
        exchange(&q[k], &q[k + 2], 2, 0x3333333333333333);
        exchange(&q[k + 1], &q[k + 3], 2, 0x3333333333333333);
    }
    for (int k = 0; k < 4; k++) exchange(&q[k], &q[k + 4], 4, 0x0f0f0f0f0f0f0f0f);
}

/* The four bytes of w to the even bytes of a word, and back. */
INLINE uint64_t spread(uint64_t w)
{
    w = (w | w << 16) & 0x0000ffff0000ffff;
    return (w | w << 8) & 0x00ff00ff00ff00ff;
}

INLINE uint64_t gather(uint64_t w)
{
    w &= 0x00ff00ff00ff00ff;
    w = (w | w >> 8) & 0x0000ffff0000ffff;
    return (w | w >> 16) & 0x00000000ffffffff;
}

/* Bit p = 8 m + k of a lane comes from byte m of word k: word b holds columns 0 and 2 of the lane's block b, word b + 4 columns 1
 * and 3, their bytes in turn. */
static void slice(sliced q, const uint8_t *blocks)
{
    for (int i = 0; i < BATCH; i++) {
        const int b = i % 4, lane = i / 4;
        uint64_t half[2];
        memcpy(half, blocks + 16 * i, 16);
        q[b][lane] = spread(half[0] & UINT32_MAX) | spread(half[1] & UINT32_MAX) << 8;
        q[b + 4][lane] = spread(half[0] >> 32) | spread(half[1] >> 32) << 8;
    }
    transpose_bytes(q);
}

static void unslice(uint8_t *blocks, sliced q)
{
    transpose_bytes(q);
    for (int i = 0; i < BATCH; i++) {
        const uint64_t even = q[i % 4][i / 4], odd = q[i % 4 + 4][i / 4];
        const uint64_t half[2] = {gather(even) | gather(odd) << 32, gather(even >> 8) | gather(odd >> 8) << 32};
        memcpy(blocks + 16 * i, half, 16);
    }
}

static void encrypt_batch(uint8_t *out, const uint8_t *in, const sliced keys[ROUNDS + 1])
{
    sliced q;
    slice(q, in);
    for (int j = 0; j < 8; j++) q[j] ^= keys[0][j];
    for (int round = 1; round <= ROUNDS; round++) {
        substitute(q);
        for (int j = 0; j < 8; j++) q[j] = shift_rows(q[j]);
        if (round < ROUNDS) {
            mix_columns(q);
        }
        for (int j = 0; j < 8; j++) q[j] ^= keys[round][j];
    }
    unslice(out, q);
}

void aes_blocks_portable(uint8_t *out, const uint8_t *in, size_t blocks, const uint8_t *round_keys)
{
    sliced keys[ROUNDS + 1];
    uint8_t batch[16 * BATCH];
    for (int round = 0; round <= ROUNDS; round++) {
        for (int b = 0; b < BATCH; b++) memcpy(batch + 16 * b, round_keys + 16 * round, 16);
        slice(keys[round], batch);
    }
    for (; blocks >= BATCH; blocks -= BATCH, in += sizeof batch, out += sizeof batch) {
        encrypt_batch(out, in, (const sliced *)keys);
    }
    if (blocks > 0) {
        memset(batch, 0, sizeof batch);
        memcpy(batch, in, 16 * blocks);
        encrypt_batch(batch, batch, (const sliced *)keys);
        memcpy(out, batch, 16 * blocks);
    }
}

/* The S-box on the four bytes of a word, by the same circuit. */
static uint32_t substitute_word(uint32_t w)
{
    sliced q;
    for (int j = 0; j < 8; j++) q[j] = (plane){w >> j & 0x01010101};
    substitute(q);
    w = 0;
    for (int j = 0; j < 8; j++) w |= (uint32_t)(q[j][0] & 0x01010101) << j;
    return w;
}

/* Words are little-endian, so RotWord turns right by 8 bits. */
void aes128_expand_key(uint8_t *round_keys, const uint8_t *key)
{
    uint32_t w[4 * (ROUNDS + 1)];
    uint32_t round_constant = 1;
    memcpy(w, key, 16);
    for (int i = 4; i < 4 * (ROUNDS + 1); i++) {
        uint32_t t = w[i - 1];
        if (i % 4 == 0) {
            t = substitute_word(t >> 8 | t << 24) ^ round_constant;
            round_constant = round_constant << 1 ^ (round_constant >> 7) * 0x11b;
        }
        w[i] = w[i - 4] ^ t;
    }
    memcpy(round_keys, w, AES_SCHEDULE_BYTES);
}

void aes128_ecb(uint8_t *out, const uint8_t *in, size_t blocks, const uint8_t *key)
{
    uint8_t round_keys[AES_SCHEDULE_BYTES];
    aes128_expand_key(round_keys, key);
    kernels_active->aes_blocks(out, in, blocks, round_keys);
}

/* Counters are written where the key stream goes, a chunk that stays in the first-level cache, and encrypted in place. */
void aes128_ctr(uint8_t *out, size_t n, const uint8_t *key, uint64_t first_low, uint64_t first_high)
{
    uint8_t round_keys[AES_SCHEDULE_BYTES];
    u128 counter = (u128)first_high << 64 | first_low;
    aes128_expand_key(round_keys, key);
    while (n > 0) {
        const size_t whole = n / 16 < CTR_CHUNK ? n / 16 : CTR_CHUNK;
        uint8_t last[16];
        uint8_t *blocks = whole > 0 ? out : last;
        const size_t count = whole > 0 ? whole : 1;
        for (size_t i = 0; i < count; i++, counter++) memcpy(blocks + 16 * i, &counter, 16);
        kernels_active->aes_blocks(blocks, blocks, count, round_keys);
        if (whole == 0) {
            memcpy(out, last, n);
            return;
        }
        out += 16 * whole;
        n -= 16 * whole;
    }
}
