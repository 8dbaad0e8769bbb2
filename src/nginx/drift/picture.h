/*
 * Private to src/nginx/drift: what the files of one configuration are like at a moment.
 *
 * A picture is made from the one before: what the file system shows unchanged is not read again,
 * and the configuration is walked again only when a text or the list of included files differs.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_DRIFT_PICTURE_H
#define OTR_NGINX_DRIFT_PICTURE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/drift/state.h"
#include "nginx/files.h"
#include "nginx/root.h"

typedef enum otr_shot_state {
    OTR_SHOT_READ,   /* its digest is known */
    OTR_SHOT_ABSENT, /* there is none */
    OTR_SHOT_CLOSED, /* it is there, or may be, and cannot be read */
} otr_shot_state;

typedef enum otr_shot_role {
    OTR_SHOT_TEXT,  /* configuration */
    OTR_SHOT_NAMED, /* named by a directive */
    OTR_SHOT_ALSO,  /* neither (any more): asked for by otr_picture_take() */
} otr_shot_role;

typedef struct otr_shot { /* one file */
    char *path;
    otr_shot_role role;
    otr_shot_state state;
    bool young; /* was written while we read it, or just before: to be read again */
    uint64_t dev, ino, size, mtime_ns, ctime_ns;
    uint32_t mode; /* permission bits */
    uid_t uid;
    gid_t gid;
    char digest[OTR_SHA256_HEX_BYTES];
} otr_shot;

typedef struct otr_picture {
    otr_shot *shots; /* by path */
    size_t n, cap;
    otr_paths patterns;                 /* absolute ones of includes */
    char matched[OTR_SHA256_HEX_BYTES]; /* of all that they match */
    bool partial;                       /* the walk ended early: there may be more */
    char error[OTR_ERR_MSG_BYTES];      /* why; "" */
    uint64_t reads;                     /* files that were read for it */
    bool fresh;                         /* something differs from the picture before */
} otr_picture;

/* `was` may be NULL; `also`: paths that are looked at, too, NULL: none. */
otr_code otr_picture_take(const otr_root *root, const char *config, const otr_picture *was,
                          const otr_drift_files *also, otr_picture *ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_picture_deinit(otr_picture *picture);
const otr_shot *otr_picture_find(const otr_picture *picture, const char *path);

#endif
