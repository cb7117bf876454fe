/* The embedding with pairs of doubles, in operations that every machine has. */
#define FOR_ISA
#define WIDTH 2
#define EMBED_FORMS embed_portable
#define HAS_FMA 0
#define HAS_ROUND 0
#include "embedding_template.h"
