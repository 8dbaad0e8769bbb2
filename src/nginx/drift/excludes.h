/*
 * Private to src/nginx/drift: files that do not count, by patterns of the agent's configuration.
 *
 * Thread: a match on any, all else on the loop.
 */
#ifndef OTR_NGINX_DRIFT_EXCLUDES_H
#define OTR_NGINX_DRIFT_EXCLUDES_H

#include <regex.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_excludes {
    regex_t *items;
    size_t n, refs;
} otr_excludes;

/* Extended regular expressions, ended by NULL; NULL: none. OTR_EINVAL names the one that is wrong.
 */
otr_code otr_excludes_make(const char *const *patterns, otr_excludes **ret, otr_err *err)
    OTR_MUST_CHECK;
otr_excludes *otr_excludes_ref(otr_excludes *e);
void otr_excludes_unref(otr_excludes *e); /* NULL is fine, here and below */
bool otr_excludes_match(const otr_excludes *e, const char *text);

#endif
