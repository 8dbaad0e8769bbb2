/*
 * A configuration as text again: laid out anew, or with as little white space as NGINX needs. What
 * NGINX reads from it is what it read before.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_LANGUAGE_BUILD_H
#define OTR_NGINX_LANGUAGE_BUILD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "nginx/language/conf.h"

typedef struct otr_layout {
    unsigned indent; /* blanks for each level */
    bool tabs;       /* a tab for each level instead */
} otr_layout;

/* Appends the directives from `first` on, a line each, without a line feed at the end. OTR_EINVAL:
 * an argument that no configuration can hold (only possible when it came from JSON). */
otr_code otr_conf_write_text(const otr_node *first, const otr_layout *layout, otr_buf *out,
                             otr_err *err) OTR_MUST_CHECK;
/* Without comments, all in one line. */
otr_code otr_conf_write_mini(const otr_node *first, otr_buf *out, otr_err *err) OTR_MUST_CHECK;

#endif
