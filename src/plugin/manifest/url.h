/*
 * URLs of plugin files, as the configuration and a file's own manifest may name them.
 *
 * Only the text is looked at; fetch.h fetches.
 *
 * Thread: any.
 */
#ifndef OTR_PLUGIN_MANIFEST_URL_H
#define OTR_PLUGIN_MANIFEST_URL_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"

enum { OTR_URL_LABEL_BYTES = 512 };

/* Is `text` a URL and not a path? Any scheme. */
bool otr_url_is(const char *text);
/* OTR_EINVAL unless it is an https URL with a host and without user, password and fragment. */
otr_code otr_url_check(const char *url, otr_err *err) OTR_MUST_CHECK;
/* `text` without its query, which may hold a token. Returns `out`. */
const char *otr_url_label(const char *text, char out[OTR_URL_LABEL_BYTES]);

#endif
