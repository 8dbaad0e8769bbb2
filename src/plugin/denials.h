/*
 * Denials of host operations, by the grant that was missing.
 *
 * Thread: any; plain data.
 */
#ifndef OTR_PLUGIN_DENIALS_H
#define OTR_PLUGIN_DENIALS_H

#include <stddef.h>

enum { OTR_DENIAL_KINDS = 9 };

/* The grant's key below `grants:`; "other" for the last one, which stands for all else. */
const char *otr_denial_kind(size_t kind);
/* The kind of this key. */
unsigned otr_denial_of(const char *grant);

#endif
