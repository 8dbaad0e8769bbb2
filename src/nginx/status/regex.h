/*
 * Regular expressions as NGINX configurations hold them (PCRE), as far as they are simple: does a
 * text match, and which texts would?
 *
 * Known: literals, escapes, classes, groups with and without a name, alternatives, quantifiers,
 * anchors, (?i) at the start. Anything else (assertions, back references, ...) is refused, so that
 * an answer is never a guess. A match takes time linear in the text.
 *
 * Thread: any; an expression is immutable once made.
 */
#ifndef OTR_NGINX_STATUS_REGEX_H
#define OTR_NGINX_STATUS_REGEX_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_regex otr_regex;

typedef enum otr_regex_case {
    OTR_REGEX_EXACT_CASE,
    OTR_REGEX_ANY_CASE,
} otr_regex_case;

/* OTR_EUNSUP for what is not known here, also for what is wrong; OTR_EQUOTA past
 * OTR_LIMIT_NGINX_REGEX steps. */
otr_code otr_regex_new(const char *pattern, otr_regex_case how, otr_regex **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_regex_free(otr_regex *regex); /* NULL is fine */
bool otr_regex_matches(const otr_regex *regex, otr_bytes text);

enum { OTR_REGEX_SAMPLE_BYTES = 128 };

/* Calls `take` with short texts that match, at most `most` of them, until it returns false. */
typedef bool otr_regex_sample_fn(void *arg, otr_bytes text);
void otr_regex_samples(const otr_regex *regex, size_t most, otr_regex_sample_fn *take, void *arg);

#endif
