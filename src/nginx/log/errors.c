#include "nginx/log/errors.h"

enum { BEGINNINGS = 4 };

typedef struct beginning {
    const char *text; /* of the message; "* " stands for a word of any kind. NULL: none */
    const char *also; /* what follows somewhere behind it; NULL: anything */
} beginning;

typedef struct known_cause {
    const char *name;
    beginning begins[BEGINNINGS];
} known_cause;

/* A cause a row. A message belongs to the first that fits. */
static const known_cause causes[OTR_ERROR_CAUSES] = {
    { "upstream_timed_out", { { "upstream timed out (", NULL } } },
    { "upstream_none_live", { { "no live upstreams", NULL } } },
    { "upstream_not_connected",
      { { "connect() failed (", NULL }, { "connect() to ", " failed (" } } },
    { "upstream_closed",
      { { "upstream prematurely closed connection", NULL },
        { "recv() failed (", " upstream" },
        { "upstream closed connection", NULL } } },
    { "upstream_invalid", { { "upstream sent ", NULL }, { "FastCGI sent in stderr: ", NULL } } },
    { "upstream_certificate", { { "upstream SSL certificate ", NULL } } },
    { "name_not_resolved",
      { { "* could not be resolved (", NULL }, { "host not found in upstream ", NULL } } },
    { "tls_handshake",
      { { "SSL_do_handshake() failed (", NULL },
        { "peer closed connection in SSL handshake", NULL } } },
    { "worker_connections",
      { { "* worker_connections are not enough", NULL },
        { "* worker_connections exceed open file resource limit", NULL } } },
    { "open_files",
      { { "accept4() failed (24:", NULL },
        { "accept() failed (24:", NULL },
        { "socket() failed (24:", NULL } } },
    { "worker_died", { { "worker process ", " exited on signal " } } },
    { "zone_full",
      { { "ngx_slab_alloc() failed: no memory", NULL },
        { "could not allocate node in ", NULL },
        { "could not allocate new session in ", NULL } } },
    { "disk_full",
      { { "write() ", "(28: No space left on device)" },
        { "pwrite() ", "(28: No space left on device)" },
        { "pwritev() ", "(28: No space left on device)" } } },
    { "buffered_to_file",
      { { "an upstream response is buffered to a temporary file", NULL },
        { "a client request body is buffered to a temporary file", NULL } } },
    { "requests_limited",
      { { "limiting requests,", NULL },
        { "delaying request,", NULL },
        { "limiting connections by zone", NULL } } },
    { "body_too_large", { { "client intended to send too large ", NULL } } },
    { "file_not_opened", { { "open() \"", " failed (" }, { "\"", "\" is not found (" } } },
    { "access_denied",
      { { "access forbidden by rule", NULL },
        { "directory index of ", " is forbidden" },
        { "user \"", NULL } } },
};

const char *otr_error_cause_name(size_t cause)
{
    return causes[cause].name;
}

void otr_log_errors_add(otr_log_errors *to, const otr_log_errors *from)
{
    for (size_t i = 0; i < OTR_LEVELS; i++) {
        to->levels[i] += from->levels[i];
    }
    for (size_t i = 0; i < OTR_ERROR_CAUSES; i++) {
        to->causes[i] += from->causes[i];
    }
}

static void skip(otr_bytes *at, size_t n)
{
    at->p += n;
    at->n -= n;
}

static bool begins(const beginning *b, otr_bytes text)
{
    const char *begin = b->text;
    if (begin[0] == '*') {
        const uint8_t *space = text.n > 0 ? memchr(text.p, ' ', text.n) : NULL;
        if (space == NULL || space == text.p) {
            return false;
        }
        skip(&text, (size_t)(space - text.p));
        begin++;
    }
    size_t n = strlen(begin);
    if (text.n < n || memcmp(text.p, begin, n) != 0) {
        return false;
    }
    skip(&text, n);
    return b->also == NULL ||
           (text.n > 0 && memmem(text.p, text.n, b->also, strlen(b->also)) != NULL);
}

static bool fits(const known_cause *c, otr_bytes text)
{
    for (size_t i = 0; i < BEGINNINGS && c->begins[i].text != NULL; i++) {
        if (begins(&c->begins[i], text)) {
            return true;
        }
    }
    return false;
}

bool otr_log_errors_read(otr_log_errors *errors, otr_bytes line)
{
    otr_line_head head;
    if (!otr_line_take_head(&line, &head)) {
        return false;
    }
    errors->levels[head.level]++;
    for (size_t i = 0; i < OTR_ERROR_CAUSES; i++) {
        if (fits(&causes[i], line)) {
            errors->causes[i]++;
            break;
        }
    }
    return true;
}
