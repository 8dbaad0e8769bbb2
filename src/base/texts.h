/*
 * Lists of texts: arrays of NUL-terminated strings that end with NULL, each string and the array
 * allocated by itself.
 *
 * Thread: any.
 */
#ifndef OTR_BASE_TEXTS_H
#define OTR_BASE_TEXTS_H

#include "base/base.h"
#include "base/err.h"

/* A copy, of NULL an empty list. Free it with otr_texts_free(). */
otr_code otr_texts_copy(char *const *list, char ***ret, otr_err *err) OTR_MUST_CHECK;
void otr_texts_free(char **list); /* NULL is fine */
/* The same texts in the same order. False when one of them is NULL. */
bool otr_texts_same(char *const *a, char *const *b);
bool otr_texts_have(char *const *list, const char *text); /* NULL has none */

#endif
