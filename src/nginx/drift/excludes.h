/*
 * Private to src/nginx/drift: files that do not count, by patterns of the agent's configuration.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_DRIFT_EXCLUDES_H
#define OTR_NGINX_DRIFT_EXCLUDES_H

#include <regex.h>
#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

typedef struct otr_excludes {
    regex_t *items;
    size_t n;
} otr_excludes;

/* Extended regular expressions, ended by NULL; NULL: none. OTR_EINVAL names the one that is wrong.
 */
otr_code otr_excludes_make(const char *const *patterns, otr_excludes *ret, otr_err *err)
    OTR_MUST_CHECK;
bool otr_excludes_match(const otr_excludes *e, const char *text);
void otr_excludes_deinit(otr_excludes *e);

#endif
