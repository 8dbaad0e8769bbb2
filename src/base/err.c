#define OTR_ERR_DEFINES
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/escape.h"

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

/* Formats beside `err` and then copies, as the arguments may point into err->msg. */
static void set_text(otr_err *err, const char *tail, const char *format, va_list args)
{
    char text[OTR_ERR_MSG_BYTES];
    int n = vsnprintf(text, sizeof(text), format, args);
    if (n < 0) {
        n = snprintf(text, sizeof(text), "text cannot be formatted");
    }
    if (tail != NULL && (size_t)n < sizeof(text)) {
        int more = snprintf(text + n, sizeof(text) - (size_t)n, ": %s", tail);
        n = more < 0 ? n : n + more;
    }
    cut_mark(text, sizeof(text), n);
    (void)otr_escape_text(otr_bytes_of(text), err->msg, sizeof(err->msg));
}

otr_code otr_fail(otr_err *err, otr_code code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        set_text(err, NULL, format, args);
        va_end(args);
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

static const char *reason_of(int sys, char *out, size_t cap)
{
#ifdef __GLIBC__
    return strerror_r(sys, out, cap); /* the GNU one: it returns the text, not a code */
#else
    return strerror_r(sys, out, cap) == 0 ? out : "unknown error";
#endif
}

otr_code otr_fail_sys(otr_err *err, int sys, const char *format, ...)
{
    otr_code code = code_of_errno(sys);
    if (err != NULL) {
        char reason[96] = "";
        va_list args;
        va_start(args, format);
        set_text(err, reason_of(sys, reason, sizeof(reason)), format, args);
        va_end(args);
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
    set_text(err, old, format, args);
    va_end(args);
    if (err->code == OTR_OK) {
        err->code = code;
    }
    return err->code;
}

const char *otr_code_name(otr_code code)
{
    static const char *const names[] = { "OK",      "ENOMEM", "EINVAL",   "ENOTFOUND",
                                         "ESTATE",  "EQUOTA", "ETIMEOUT", "EIO",
                                         "EDENIED", "EGUEST", "EUNSUP" };
    return (size_t)code < OTR_COUNT(names) ? names[code] : "unknown";
}
