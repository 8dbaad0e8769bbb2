/*
 * What a configuration consists of, and how it differs from what it should be: plain data.
 *
 * A list of files is a base: paths with the digests of their contents, as the last version of a
 * history has them, or as they were when they were first seen. A report says which files are not
 * as in the base, since when, and who did it as far as Linux tells. What is not known is said to be
 * unknown; it is never taken for equal.
 *
 * Thread: any; a value belongs to its owner.
 */
#ifndef OTR_NGINX_DRIFT_STATE_H
#define OTR_NGINX_DRIFT_STATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/digest.h"
#include "base/err.h"

enum {
    OTR_DRIFT_ID_BYTES = 37,      /* of an instance, as OTR_NGINX_ID_BYTES */
    OTR_DRIFT_VERSION_BYTES = 80, /* of a version's name */
    OTR_DRIFT_USER_BYTES = 64,
    OTR_DRIFT_COMM_BYTES = 64,
};

#define OTR_DRIFT_NO_MODE UINT32_MAX /* owner and mode are not known: not compared */

typedef struct otr_drift_entry {
    char *path;                        /* absolute, as that NGINX names it (in its root) */
    char digest[OTR_SHA256_HEX_BYTES]; /* SHA-256 of the content; "": not known */
    uint32_t mode;                     /* permission bits, or OTR_DRIFT_NO_MODE */
    uid_t uid;
    gid_t gid;
    bool named;     /* named by a directive (a certificate), not read as configuration */
    bool absent;    /* that there is none is right */
    bool unsure;    /* it is another one than NGINX has loaded, which nobody saw */
    unsigned order; /* in which it was added */
} otr_drift_entry;

typedef struct otr_drift_files { /* sorted by path once otr_drift_files_sort() was called */
    otr_drift_entry *items;
    size_t n, cap;
} otr_drift_files;

/* Adds a copy; `digest` may be NULL or "". OTR_EQUOTA past OTR_LIMIT_DRIFT_FILES. */
otr_code otr_drift_files_add(otr_drift_files *files, const char *path, const char *digest,
                             otr_drift_entry **ret, otr_err *err) OTR_MUST_CHECK;
/* By path; of several with one path the last one stays. */
void otr_drift_files_sort(otr_drift_files *files);
const otr_drift_entry *otr_drift_files_find(const otr_drift_files *files, const char *path);
/* The entry of that path is a copy of `entry` from now on; sorted before and after. */
otr_code otr_drift_files_put(otr_drift_files *files, const otr_drift_entry *entry, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_drift_files_copy(const otr_drift_files *from, otr_drift_files *ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_drift_files_deinit(otr_drift_files *files);

typedef enum otr_drift_kind {
    OTR_DRIFT_CHANGED,    /* another content */
    OTR_DRIFT_ADDED,      /* read by NGINX, and not in the base */
    OTR_DRIFT_REMOVED,    /* in the base, and there is none */
    OTR_DRIFT_ATTRIBUTES, /* the same content; another owner or mode */
    OTR_DRIFT_UNREADABLE, /* it is there and cannot be read: whether it changed is not known */
} otr_drift_kind;
const char *otr_drift_kind_name(otr_drift_kind kind); /* "changed" … */

/* Who did it. A pid of 0 is "not known". */
typedef struct otr_drift_writer {
    pid_t pid;
    bool alive;                      /* it was there when it was asked for its name */
    char comm[OTR_DRIFT_COMM_BYTES]; /* foreign text; "": not known */
    uid_t uid;                       /* of the process; (uid_t)-1: not known */
    uid_t login;                     /* who logged in, also behind sudo; (uid_t)-1: not known */
    char user[OTR_DRIFT_USER_BYTES]; /* the name of `login`, else of `uid`; "": not known */
} otr_drift_writer;

typedef struct otr_drift_file {
    char *path;
    otr_drift_kind kind;
    bool named;                            /* as otr_drift_entry */
    char old_digest[OTR_SHA256_HEX_BYTES]; /* "": none, or not known */
    char new_digest[OTR_SHA256_HEX_BYTES];
    uint32_t old_mode, new_mode; /* or OTR_DRIFT_NO_MODE */
    uint64_t seen_ns;            /* wall: when it was noticed */
    uint64_t mtime_ns;           /* wall, as the file says; 0: not known */
    uint64_t dev, ino;           /* of the file as it is; ino 0: not known */
    uid_t uid;                   /* of the file as it is; (uid_t)-1: not known */
    gid_t gid;
    char owner[OTR_DRIFT_USER_BYTES];
    otr_drift_writer writer;
} otr_drift_file;

/* Are they one file under two names, such as a link in sites-enabled and what it leads to? */
bool otr_drift_file_is_alias(const otr_drift_file *a, const otr_drift_file *b);

typedef struct otr_drift_report {
    char id[OTR_DRIFT_ID_BYTES];
    char version[OTR_DRIFT_VERSION_BYTES]; /* that it is compared with; "": what was first seen */
    otr_drift_file *files; /* at most OTR_LIMIT_DRIFT_LISTED, by path; none: no drift */
    size_t n, cap;
    size_t more;                    /* that are not listed */
    uint64_t since_ns;              /* wall: when the first of them was noticed; 0: no drift */
    bool known;                     /* there was a base and a look at the files */
    char remark[OTR_ERR_MSG_BYTES]; /* what stands in the way of noticing at once, or of seeing all;
                                       "" */
} otr_drift_report;

otr_code otr_drift_report_copy(const otr_drift_report *from, otr_drift_report **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_drift_report_deinit(otr_drift_report *report);
void otr_drift_report_free(otr_drift_report *report); /* NULL is fine */
/* Equal but for times. */
bool otr_drift_report_eq(const otr_drift_report *a, const otr_drift_report *b);

#endif
