/*
 * UTF-8 (RFC 3629), one sequence at a time.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_UTF8_H
#define OTR_BASE_UTF8_H

#include "base/base.h"

/* Bytes of the well-formed sequence at the start of text (1 to 4) with its code point in `*ret`
 * (may be NULL), or 0: not UTF-8, or cut off, or `text` is empty. */
size_t otr_utf8_next(otr_bytes text, uint32_t *ret);

#endif
