#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static void cut_mark(char *msg, size_t cap, int written)
{
    if (written >= 0 && (size_t)written >= cap && cap > 4) {
        size_t at = cap - 4;
        /* Never cut inside a UTF-8 sequence. */
        while (at > 0 && ((unsigned char)msg[at] & 0xc0U) == 0x80U) {
            at--;
        }
        memcpy(msg + at, "...", 4);
    }
}

otr_code otr_fail(otr_err *err, otr_code code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->msg, sizeof(err->msg), format, args);
        va_end(args);
        cut_mark(err->msg, sizeof(err->msg), n);
        err->code = code;
        err->sys = 0;
    }
    return code;
}

static otr_code code_of_errno(int sys)
{
    switch (sys) {
    case ENOMEM:
        return OTR_ENOMEM;
    case ENOENT:
        return OTR_ENOTFOUND;
    case EACCES:
    case EPERM:
        return OTR_EDENIED;
    default:
        return OTR_EIO;
    }
}

otr_code otr_fail_sys(otr_err *err, int sys, const char *format, ...)
{
    otr_code code = code_of_errno(sys);
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->msg, sizeof(err->msg), format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof(err->msg)) {
            char reason[96] = "";
            if (strerror_r(sys, reason, sizeof(reason)) != 0) {
                snprintf(reason, sizeof(reason), "errno %d", sys);
            }
            size_t room = sizeof(err->msg) - (size_t)n;
            int more = snprintf(err->msg + n, room, ": %s", reason);
            n = more < 0 ? n : n + more;
        }
        cut_mark(err->msg, sizeof(err->msg), n);
        err->code = code;
        err->sys = sys;
    }
    return code;
}

otr_code otr_fail_nomem(otr_err *err)
{
    return otr_fail(err, OTR_ENOMEM, "out of memory");
}

otr_code otr_wrap(otr_err *err, otr_code code, const char *format, ...)
{
    if (err == NULL) {
        return code;
    }
    char old[sizeof(err->msg)];
    memcpy(old, err->msg, sizeof(old));
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->msg, sizeof(err->msg), format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof(err->msg)) {
        int more = snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", old);
        n = more < 0 ? n : n + more;
    }
    cut_mark(err->msg, sizeof(err->msg), n);
    return err->code != OTR_OK ? err->code : code;
}

const char *otr_code_name(otr_code code)
{
    static const char *const names[] = { "OK",      "ENOMEM", "EINVAL",   "ENOTFOUND",
                                         "ESTATE",  "EQUOTA", "ETIMEOUT", "EIO",
                                         "EDENIED", "EGUEST", "EUNSUP" };
    return (size_t)code < OTR_COUNT(names) ? names[code] : "unknown";
}
