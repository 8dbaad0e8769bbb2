/*
 * The text of one value, read as a number, a truth value, a duration, a size.
 *
 * Each reader takes all of `text` or returns false; none accepts leading or trailing white space.
 *
 * Thread: any.
 */
#ifndef OTR_CONFIG_SCALAR_H
#define OTR_CONFIG_SCALAR_H

#include <stdbool.h>

#include "base/base.h"

/* What an unquoted YAML scalar is by YAML 1.2's core schema. */
typedef enum otr_scalar_kind {
    OTR_SCALAR_NULL,
    OTR_SCALAR_BOOL,
    OTR_SCALAR_INT,
    OTR_SCALAR_FLOAT,
    OTR_SCALAR_STRING,
} otr_scalar_kind;

otr_scalar_kind otr_scalar_kind_of(const char *text);

bool otr_scalar_int(const char *text, int64_t *ret);  /* decimal, 0x…, 0o… */
bool otr_scalar_float(const char *text, double *ret); /* decimal and finite */
/* true, false, yes, no, on, off, t, f, 1, 0 in any case: what Go's YAML and viper take. */
bool otr_scalar_bool(const char *text, bool *ret);
bool otr_scalar_bytes(const char *text, uint64_t *ret); /* "64MiB", "1 MB", "65536" */

/* A printable excerpt of `text` for an error message: controls and bad UTF-8 become '?', a long
 * text ends in "...". Returns `out`. */
#define OTR_SCALAR_SHOW_BYTES 72
const char *otr_scalar_show(const char *text, char out[OTR_SCALAR_SHOW_BYTES]);

#endif
