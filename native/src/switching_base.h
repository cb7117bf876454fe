/* A run of rows and its constants, as switching_base.c makes them and switching_walk.c uses them. */
#ifndef UNSEEN_SWITCHING_BASE_H
#define UNSEEN_SWITCHING_BASE_H

#include "rns_table.h"
#include "switching_forms.h"

struct switch_base {
    const switch_forms *forms;
    size_t n, rows, first, sources;
    switch_source source[SWITCH_SOURCES];
    uint64_t factors[SWITCH_SOURCES]; /* (D / d_i)^-1 mod d_i, represented */
    const rns_table **tables;         /* rows */
    switch_target *targets;           /* rows */
};

#endif
