#include "nginx/log/errors.h"

#include <string.h>

static const char *const levels[OTR_ERROR_LEVELS] = { "emerg", "alert",  "crit", "error",
                                                      "warn",  "notice", "info", "debug" };

static const char *const names[OTR_CAUSES] = {
    [OTR_CAUSE_OTHER] = "other",
    [OTR_CAUSE_UPSTREAM_TIMED_OUT] = "upstream_timed_out",
    [OTR_CAUSE_UPSTREAM_CLOSED] = "upstream_closed",
    [OTR_CAUSE_UPSTREAM_REFUSED] = "upstream_refused",
    [OTR_CAUSE_UPSTREAM_RESET] = "upstream_reset",
    [OTR_CAUSE_UPSTREAM_HEADER] = "upstream_header",
    [OTR_CAUSE_UPSTREAM_SSL] = "upstream_ssl",
    [OTR_CAUSE_NO_LIVE_UPSTREAMS] = "no_live_upstreams",
    [OTR_CAUSE_WORKER_CONNECTIONS] = "worker_connections",
    [OTR_CAUSE_OPEN_FILES] = "open_files",
    [OTR_CAUSE_SHARED_MEMORY] = "shared_memory",
    [OTR_CAUSE_DISK_FULL] = "disk_full",
    [OTR_CAUSE_WORKER_DIED] = "worker_died",
    [OTR_CAUSE_SSL_HANDSHAKE] = "ssl_handshake",
    [OTR_CAUSE_BODY_TOO_LARGE] = "body_too_large",
    [OTR_CAUSE_BUFFERED_TO_DISK] = "buffered_to_disk",
    [OTR_CAUSE_LIMITED] = "limited",
    [OTR_CAUSE_FORBIDDEN] = "forbidden",
    [OTR_CAUSE_NOT_AUTHORIZED] = "not_authorized",
    [OTR_CAUSE_FILE] = "file",
    [OTR_CAUSE_REDIRECT_CYCLE] = "redirect_cycle",
};

/* The first row that fits decides. `has` stands before all that a client could have sent, but in
 * rows with a `least` level: an answer to a client is never as bad. */
static const struct row {
    otr_error_cause cause;
    const char *starts, *has;
    otr_error_level least; /* OTR_ERROR_LEVELS: any */
} rows[] = {
    { OTR_CAUSE_UPSTREAM_TIMED_OUT, "upstream timed out", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_UPSTREAM_CLOSED, "upstream prematurely closed connection", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_NO_LIVE_UPSTREAMS, "no live upstreams", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_UPSTREAM_REFUSED, "connect() ", "failed (111:", OTR_ERROR_LEVELS },
    { OTR_CAUSE_UPSTREAM_RESET, "recv() failed (104:", "upstream", OTR_ERROR_LEVELS },
    { OTR_CAUSE_UPSTREAM_RESET, "readv() failed (104:", "upstream", OTR_ERROR_LEVELS },
    { OTR_CAUSE_UPSTREAM_HEADER, "upstream sent ", "header", OTR_ERROR_LEVELS },
    { OTR_CAUSE_UPSTREAM_SSL, "upstream SSL certificate ", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_UPSTREAM_SSL, "SSL_do_handshake() failed", "to upstream", OTR_ERROR_LEVELS },
    { OTR_CAUSE_SSL_HANDSHAKE, "SSL_do_handshake() failed", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_SSL_HANDSHAKE, "peer closed connection in SSL handshake", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_WORKER_CONNECTIONS, "", "worker_connections are not enough", OTR_ERROR_CRIT },
    { OTR_CAUSE_OPEN_FILES, "", "failed (24:", OTR_ERROR_CRIT },
    { OTR_CAUSE_DISK_FULL, "", "failed (28:", OTR_ERROR_CRIT },
    { OTR_CAUSE_SHARED_MEMORY, "ngx_slab_alloc() failed: no memory", "", OTR_ERROR_CRIT },
    { OTR_CAUSE_WORKER_DIED, "worker process ", "exited on signal", OTR_ERROR_ALERT },
    { OTR_CAUSE_BODY_TOO_LARGE, "client intended to send too large ", "body", OTR_ERROR_LEVELS },
    { OTR_CAUSE_BUFFERED_TO_DISK, "an upstream response is buffered", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_BUFFERED_TO_DISK, "a client request body is buffered", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_LIMITED, "limiting requests", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_LIMITED, "limiting connections", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_LIMITED, "delaying request", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_FORBIDDEN, "access forbidden by rule", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_FORBIDDEN, "directory index of ", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_NOT_AUTHORIZED, "no user/password was provided", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_NOT_AUTHORIZED, "user \"", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_FILE, "open() \"", "", OTR_ERROR_LEVELS },
    { OTR_CAUSE_REDIRECT_CYCLE, "rewrite or internal redirection cycle", "", OTR_ERROR_LEVELS },
};

static bool starts(otr_bytes text, const char *with)
{
    size_t n = strlen(with);
    return text.n >= n && memcmp(text.p, with, n) == 0;
}

static bool has(otr_bytes text, const char *what)
{
    return what[0] == '\0' || memmem(text.p, text.n, what, strlen(what)) != NULL;
}

static otr_bytes skip(otr_bytes text, size_t n)
{
    return (otr_bytes){ text.p + n, text.n - n };
}

/* `shape`: 'd' a digit, 'n' digits, anything else itself. Returns the bytes it takes; 0: no. */
static size_t match(otr_bytes text, const char *shape)
{
    size_t at = 0;
    for (const char *s = shape; *s != '\0'; s++) {
        size_t digits = 0;
        while (at + digits < text.n && text.p[at + digits] >= '0' && text.p[at + digits] <= '9') {
            digits++;
        }
        if (*s == 'd' || *s == 'n') {
            if (digits == 0) {
                return 0;
            }
            at += *s == 'd' ? 1 : digits;
        } else if (at < text.n && text.p[at] == (uint8_t)*s) {
            at++;
        } else {
            return 0;
        }
    }
    return at;
}

/* What stands before the first word that may be a client's. */
static otr_bytes own_words(otr_bytes message)
{
    static const char mark[] = ", client: ";
    const uint8_t *quote = memchr(message.p, '"', message.n);
    message.n = quote != NULL ? (size_t)(quote - message.p) : message.n;
    const uint8_t *client = memmem(message.p, message.n, mark, sizeof(mark) - 1);
    message.n = client != NULL ? (size_t)(client - message.p) : message.n;
    return message;
}

static otr_error_cause find_cause(otr_bytes message, otr_error_level level)
{
    otr_bytes own = own_words(message);
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        bool any = r->least == OTR_ERROR_LEVELS;
        if ((any || level <= r->least) && starts(message, r->starts) &&
            has(any ? own : message, r->has)) {
            return r->cause;
        }
    }
    return OTR_CAUSE_OTHER;
}

static bool read_level(otr_bytes text, otr_error_level *ret, size_t *ret_n)
{
    for (otr_error_level i = 0; i < OTR_ERROR_LEVELS; i++) {
        size_t n = strlen(levels[i]);
        if (starts(text, levels[i]) && text.n > n && text.p[n] == ']') {
            *ret = i;
            *ret_n = n + 1;
            return true;
        }
    }
    return false;
}

bool otr_error_line_read(otr_bytes line, otr_error_line *ret)
{
    otr_error_level level;
    size_t n = match(line, "dddd/dd/dd dd:dd:dd [");
    if (n == 0) {
        return false;
    }
    otr_bytes rest = skip(line, n);
    if (!read_level(rest, &level, &n)) {
        return false;
    }
    rest = skip(rest, n);
    n = match(rest, " n#n: ");
    if (n == 0) {
        return false;
    }
    rest = skip(rest, n);
    rest = skip(rest, match(rest, "*n "));
    *ret = (otr_error_line){ .level = level, .cause = find_cause(rest, level) };
    return true;
}

const char *otr_error_level_name(otr_error_level level)
{
    return levels[level];
}

const char *otr_error_cause_name(otr_error_cause cause)
{
    return names[cause];
}
