/*
 * Private to src/nginx/drift: a picture of the files against what they should be.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_DRIFT_COMPARE_H
#define OTR_NGINX_DRIFT_COMPARE_H

#include "base/base.h"
#include "base/err.h"
#include "nginx/drift/excludes.h"
#include "nginx/drift/picture.h"
#include "nginx/drift/state.h"

/* A list that several may use: it does not change any more. Thread: loop for the count. */
typedef struct otr_base {
    otr_drift_files files; /* sorted */
    char version[OTR_DRIFT_VERSION_BYTES];
    unsigned refs;
} otr_base;

/* Takes over `files`. */
otr_code otr_base_new(otr_drift_files *files, const char *version, otr_base **ret, otr_err *err)
    OTR_MUST_CHECK;
otr_base *otr_base_ref(otr_base *base); /* NULL is fine, here and below */
void otr_base_unref(otr_base *base);

typedef struct otr_compare {
    const otr_drift_files *version; /* of the history; NULL: there is none */
    const otr_drift_files *loaded;  /* as NGINX loaded them; NULL: not known */
    const otr_drift_files *coming;  /* of an apply that is under way; NULL: none */
    const otr_excludes *excluded;   /* files that do not count; NULL: all do */
} otr_compare;

/* Lists in `ret` what differs: at most OTR_LIMIT_DRIFT_LISTED, the rest is counted. */
otr_code otr_drift_compare(const otr_compare *with, const otr_picture *picture,
                           otr_drift_report *ret, otr_err *err) OTR_MUST_CHECK;

/* The files of a picture as a list: what NGINX has loaded, when it loaded them at wall `since_ns`
 * (0: they are as it loaded them). What was changed later is taken from `before` (NULL: nothing is
 * known of it). `ret_sure`: all of it is as NGINX loaded it. */
otr_code otr_drift_loaded(const otr_picture *picture, uint64_t since_ns,
                          const otr_drift_files *before, otr_drift_files *ret, bool *ret_sure,
                          otr_err *err) OTR_MUST_CHECK;

#endif
