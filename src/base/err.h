/*
 * Errors: a code to branch on and a sentence for a person.
 *
 * The function that first meets a failure calls otr_fail() or otr_fail_sys(); a caller that
 * knows more calls otr_wrap(); every other caller returns the code. Every `err` may be NULL.
 *
 * Thread: any; an otr_err belongs to its owner.
 */
#ifndef OTR_BASE_ERR_H
#define OTR_BASE_ERR_H

#include "base/base.h"

typedef enum otr_code {
    OTR_OK = 0,
    OTR_ENOMEM,    /* allocation failed */
    OTR_EINVAL,    /* the input is wrong: the same call will fail again */
    OTR_ENOTFOUND, /* the named thing does not exist */
    OTR_ESTATE,    /* a right call at a wrong time */
    OTR_EQUOTA,    /* a limit was reached */
    OTR_ETIMEOUT,  /* a deadline passed: a retry may work */
    OTR_EIO,       /* the system or a peer failed: see otr_err.sys */
    OTR_EDENIED,   /* a capability or permission is missing */
    OTR_EGUEST,    /* a Wasm guest trapped or broke its ABI */
    OTR_EUNSUP,    /* not built in, or not offered by this engine */
} otr_code;

#define OTR_ERR_MSG_BYTES 480

typedef struct otr_err {
    otr_code code;
    int sys;                     /* errno at the failure, or 0 */
    char msg[OTR_ERR_MSG_BYTES]; /* UTF-8, NUL-terminated, cut with "..." */
} otr_err;

/* Fills `err` and returns `code`, so that a caller can `return otr_fail(...)`. */
otr_code otr_fail(otr_err *err, otr_code code, const char *format, ...) OTR_PRINTF(3, 4);

/* The same for a failed system call; ": <strerror>" is added to the text. Always OTR_EIO, but
 * OTR_ENOMEM for ENOMEM, OTR_ENOTFOUND for ENOENT and OTR_EDENIED for EACCES and EPERM. */
otr_code otr_fail_sys(otr_err *err, int sys, const char *format, ...) OTR_PRINTF(3, 4);

/* Out of memory: the one failure with a fixed text. */
otr_code otr_fail_nomem(otr_err *err);

/* Puts "<text>: " before the message and returns the code that `err` holds (`code` if NULL). */
otr_code otr_wrap(otr_err *err, otr_code code, const char *format, ...) OTR_PRINTF(3, 4);

/* "EINVAL" and so on: for JSON and metrics labels, lower-cased by nobody. */
const char *otr_code_name(otr_code code);

#if defined(__clang_analyzer__) && !defined(OTR_ERR_DEFINES)
/* The analyzer sees one file at a time: tells it that none of these ever returns OTR_OK. */
#define otr_fail(err, code, ...)    (otr_fail(err, code, __VA_ARGS__), (code))
#define otr_fail_sys(err, sys, ...) (otr_fail_sys(err, sys, __VA_ARGS__), OTR_EIO)
#define otr_fail_nomem(err)         (otr_fail_nomem(err), OTR_ENOMEM)
#define otr_wrap(err, code, ...)    (otr_wrap(err, code, __VA_ARGS__), (code))
#endif

#endif
