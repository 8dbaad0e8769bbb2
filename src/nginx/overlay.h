/*
 * Files as they would be: changes laid over what one NGINX sees below its root (root.h).
 *
 * A change names its file as that NGINX does. It counts for whatever name leads there: through
 * symbolic links (the link stays, its target changes), for a folder of another name, for a pattern.
 * One of several hard links of a file is that one only, for a change gives the name a file of its
 * own. What takes away a symbolic link leaves its target.
 *
 * Thread: one that makes it, then any; calls block.
 */
#ifndef OTR_NGINX_OVERLAY_H
#define OTR_NGINX_OVERLAY_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "nginx/files.h"
#include "nginx/root.h"

typedef struct otr_overlay otr_overlay;

typedef struct otr_overlay_entry {
    const char *path; /* absolute and clean */
    otr_bytes text;   /* what it would hold; none when `gone` */
    bool gone;        /* it would not be there */
    bool exists;      /* there is something now */
} otr_overlay_entry;

/* Borrows `root` until it is freed. */
otr_code otr_overlay_new(const otr_root *root, otr_overlay **ret, otr_err *err) OTR_MUST_CHECK;
void otr_overlay_free(otr_overlay *overlay); /* NULL is fine */
void otr_overlay_freep(void *slot);

/* `path` absolute; `text` is borrowed until the overlay is freed. A second word on a path replaces
 * the first one. OTR_EDENIED: outside of the root's `allowed`; OTR_EQUOTA: more than
 * OTR_LIMIT_NGINX_CONFIG_FILES. */
otr_code otr_overlay_put(otr_overlay *overlay, const char *path, otr_bytes text, otr_err *err)
    OTR_MUST_CHECK;
/* The same with a text that it takes over on success. */
otr_code otr_overlay_take(otr_overlay *overlay, const char *path, otr_buf *text, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_overlay_remove(otr_overlay *overlay, const char *path, otr_err *err) OTR_MUST_CHECK;

size_t otr_overlay_count(const otr_overlay *overlay);
/* In the order in which they were first named. */
const otr_overlay_entry *otr_overlay_at(const otr_overlay *overlay, size_t i);

/* `*ret`: the change of what stands, or would stand, at absolute `path`; NULL: none. Also of NULL,
 * which changes nothing. Errors are those of memory. */
otr_code otr_overlay_find(const otr_overlay *overlay, const char *path,
                          const otr_overlay_entry **ret, otr_err *err) OTR_MUST_CHECK;

/* What otr_root_read(), otr_root_open_file() and otr_root_glob() give with the changes (NULL:
 * none) in place. */
otr_code otr_overlay_read(const otr_overlay *overlay, const otr_root *root, const char *path,
                          otr_buf *out, otr_err *err) OTR_MUST_CHECK;
otr_code otr_overlay_probe(const otr_overlay *overlay, const otr_root *root, const char *path,
                           otr_err *err) OTR_MUST_CHECK;
otr_code otr_overlay_glob(const otr_overlay *overlay, const otr_root *root, const otr_glob *glob,
                          otr_paths *out, otr_err *err) OTR_MUST_CHECK;

#endif
