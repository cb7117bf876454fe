/* A key stream that is read in chunks: AES-128 of little-endian block numbers. */
#ifndef UNSEEN_STREAMS_H
#define UNSEEN_STREAMS_H

#include "dispatch.h"
#include "element.h"

typedef struct {
    uint8_t round_keys[AES_SCHEDULE_BYTES];
    u128 counter;
} stream;

static inline stream stream_open(const key_stream *from)
{
    stream s;
    aes128_expand_key(s.round_keys, from->key);
    s.counter = (u128)from->first_high << 64 | from->first_low;
    return s;
}

/* The next blocks to out, 2 words each. */
static inline void stream_next(stream *s, uint64_t *out, size_t blocks)
{
    for (size_t i = 0; i < blocks; i++, s->counter++) memcpy(out + 2 * i, &s->counter, 16);
    kernels_active->aes_blocks((uint8_t *)out, (const uint8_t *)out, blocks, s->round_keys);
}

#endif
