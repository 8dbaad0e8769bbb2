#include "net/http/unix.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "net/http/answer.h"

enum { READ_BYTES = 16384, HEAD_BYTES = 32768, RETRY_NS = 10000000, HTTP_OK = 200 };

typedef struct exchange {
    const otr_unix_http *spec;
    int fd;
    otr_http_answer *answer;
    uint64_t until_ns;
    otr_buf *out;              /* the body; of a stream: the line that is not complete yet */
    otr_unix_http_line_fn *fn; /* NULL: collect */
    void *arg;
    otr_buf *error_body; /* of a stream or a file that was refused */
    int save;            /* the answer goes to this file; used when `saves` */
    bool saves;
    bool stopped;
} exchange;

static otr_code fail_timeout(const exchange *x, otr_err *err)
{
    return otr_fail(err, OTR_ETIMEOUT, "no answer on %s within %llu ms", x->spec->socket_path,
                    (unsigned long long)x->spec->timeout_ms);
}

static void set_deadline(exchange *x)
{
    x->until_ns = otr_now_ns() + x->spec->timeout_ms * OTR_NS_PER_MS;
}

static otr_code wait_for(const exchange *x, short events, otr_err *err)
{
    for (;;) {
        uint64_t now = otr_now_ns();
        if (now >= x->until_ns) {
            return fail_timeout(x, err);
        }
        uint64_t ms = (x->until_ns - now) / OTR_NS_PER_MS + 1;
        struct pollfd p = { .fd = x->fd, .events = events };
        int n = poll(&p, 1, ms > INT32_MAX ? INT32_MAX : (int)ms);
        if (n > 0) {
            return OTR_OK;
        }
        if (n < 0 && errno != EINTR) {
            return otr_fail_sys(err, errno, "cannot wait for %s", x->spec->socket_path);
        }
    }
}

static otr_code fail_connect(const exchange *x, int sys, otr_err *err)
{
    const char *path = x->spec->socket_path;
    struct stat st;
    switch (sys) {
    case ENOENT:
        return otr_fail(err, OTR_ENOTFOUND, "there is no socket %s", path);
    case ECONNREFUSED:
        if (stat(path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
            return otr_fail(err, OTR_EINVAL, "%s is not a socket", path);
        }
        return otr_fail(err, OTR_ESTATE, "nobody listens on %s any more", path);
    case EACCES:
    case EPERM:
        return otr_fail(err, OTR_EDENIED, "%s may only be opened by the user that runs the agent",
                        path);
    default:
        return otr_fail_sys(err, sys, "cannot connect to %s", path);
    }
}

static otr_code dial(exchange *x, otr_err *err)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t n = strlen(x->spec->socket_path);
    if (n == 0 || n >= sizeof(to.sun_path)) {
        return otr_fail(err, OTR_EINVAL, "socket path \"%s\" has %zu bytes, 1 to %zu are possible",
                        x->spec->socket_path, n, sizeof(to.sun_path) - 1);
    }
    memcpy(to.sun_path, x->spec->socket_path, n + 1);
    x->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (x->fd < 0) {
        return otr_fail_sys(err, errno, "cannot make a socket");
    }
    while (connect(x->fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        if (errno != EAGAIN && errno != EINTR) {
            return fail_connect(x, errno, err);
        }
        if (otr_now_ns() >= x->until_ns) {
            return fail_timeout(x, err);
        }
        /* A full backlog of a unix socket cannot be polled for. */
        (void)nanosleep(&(struct timespec){ .tv_nsec = RETRY_NS }, NULL);
    }
    return OTR_OK;
}

static otr_code send_all(const exchange *x, otr_bytes bytes, otr_err *err)
{
    while (bytes.n > 0) {
        ssize_t n = send(x->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n > 0) {
            bytes.p += n;
            bytes.n -= (size_t)n;
        } else if (errno == EAGAIN) {
            otr_code rc = wait_for(x, POLLOUT, err);
            if (rc != OTR_OK) {
                return rc;
            }
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return OTR_OK; /* refused early: the answer tells why */
        } else if (errno != EINTR) {
            return otr_fail_sys(err, errno, "cannot send to %s", x->spec->socket_path);
        }
    }
    return OTR_OK;
}

static otr_code send_file(exchange *x, otr_err *err)
{
    uint8_t bytes[READ_BYTES];
    for (uint64_t at = 0; at < x->spec->body_bytes;) {
        uint64_t left = x->spec->body_bytes - at;
        ssize_t n =
            pread(x->spec->body_fd, bytes, left < sizeof(bytes) ? left : sizeof(bytes), (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? otr_fail_sys(err, errno, "cannot read what is to be sent")
                         : otr_fail(err, OTR_EIO, "what is to be sent became shorter meanwhile");
        }
        otr_code rc = send_all(x, (otr_bytes){ bytes, (size_t)n }, err);
        if (rc != OTR_OK) {
            return rc;
        }
        at += (uint64_t)n;
        set_deadline(x);
    }
    return OTR_OK;
}

static otr_code send_request(exchange *x, otr_err *err)
{
    const otr_unix_http *spec = x->spec;
    otr_buf head;
    otr_buf_init(&head, HEAD_BYTES);
    otr_code rc = otr_buf_addf(&head, err,
                               "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               "Content-Length: %llu\r\n\r\n",
                               spec->method, spec->target,
                               spec->body_bytes > 0 ? (unsigned long long)spec->body_bytes
                                                    : (unsigned long long)spec->body.n);
    rc = rc != OTR_OK ? rc : send_all(x, otr_buf_bytes(&head), err);
    if (rc == OTR_OK) {
        rc = spec->body_bytes > 0 ? send_file(x, err) : send_all(x, spec->body, err);
    }
    otr_buf_deinit(&head);
    return rc;
}

static otr_code split_lines(exchange *x, otr_bytes part, otr_err *err)
{
    while (part.n > 0 && !x->stopped) {
        const uint8_t *end = memchr(part.p, '\n', part.n);
        size_t n = end != NULL ? (size_t)(end - part.p) : part.n;
        otr_code rc = otr_buf_add(x->out, (otr_bytes){ part.p, n }, err);
        if (rc != OTR_OK || end == NULL) {
            return rc;
        }
        if (x->out->n > 0 && x->out->p[x->out->n - 1] == '\r') {
            x->out->p[--x->out->n] = '\0';
        }
        x->stopped = !x->fn(x->arg, otr_buf_text(x->out));
        otr_buf_clear(x->out);
        part.p += n + 1;
        part.n -= n + 1;
    }
    return OTR_OK;
}

static otr_code save_part(int fd, otr_bytes part, otr_err *err)
{
    while (part.n > 0) {
        ssize_t n = write(fd, part.p, part.n);
        if (n < 0 && errno != EINTR) {
            return otr_fail_sys(err, errno, "cannot write what was received");
        }
        n = n > 0 ? n : 0;
        part = (otr_bytes){ part.p + n, part.n - (size_t)n };
    }
    return OTR_OK;
}

static otr_code on_body(void *arg, otr_bytes part, otr_err *err)
{
    exchange *x = arg;
    if (x->fn == NULL && !x->saves) {
        return otr_buf_add(x->out, part, err);
    }
    if (otr_http_answer_status(x->answer) != HTTP_OK) {
        return otr_buf_add(x->error_body, part, err);
    }
    return x->saves ? save_part(x->save, part, err) : split_lines(x, part, err);
}

static otr_code receive(exchange *x, otr_err *err)
{
    uint8_t bytes[READ_BYTES];
    while (!otr_http_answer_complete(x->answer) && !x->stopped) {
        otr_code rc = wait_for(x, POLLIN, err);
        if (rc != OTR_OK) {
            return rc;
        }
        ssize_t n = recv(x->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (n < 0 && errno != ECONNRESET) {
            return otr_fail_sys(err, errno, "cannot read from %s", x->spec->socket_path);
        }
        rc = otr_http_answer_feed(x->answer, (otr_bytes){ bytes, n > 0 ? (size_t)n : 0 }, err);
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "%s", x->spec->socket_path);
        }
        if (x->fn != NULL || x->saves) {
            set_deadline(x);
        }
    }
    return OTR_OK;
}

static otr_code run(exchange *x, unsigned *ret_status, otr_err *err)
{
    x->fd = -1;
    set_deadline(x);
    otr_code rc = otr_http_answer_new(on_body, x, &x->answer, err);
    rc = rc != OTR_OK ? rc : dial(x, err);
    rc = rc != OTR_OK ? rc : send_request(x, err);
    rc = rc != OTR_OK ? rc : receive(x, err);
    if (rc == OTR_OK) {
        *ret_status = otr_http_answer_status(x->answer);
    }
    otr_http_answer_free(x->answer);
    if (x->fd >= 0) {
        close(x->fd);
    }
    return rc;
}

otr_code otr_unix_http_ask(const otr_unix_http *spec, unsigned *ret_status, otr_buf *ret_body,
                           otr_err *err)
{
    exchange x = { .spec = spec, .out = ret_body };
    return run(&x, ret_status, err);
}

otr_code otr_unix_http_save(const otr_unix_http *spec, int fd, unsigned *ret_status,
                            otr_buf *ret_error, otr_err *err)
{
    exchange x = { .spec = spec, .error_body = ret_error, .save = fd, .saves = true };
    return run(&x, ret_status, err);
}

otr_code otr_unix_http_lines(const otr_unix_http *spec, otr_unix_http_line_fn *fn, void *arg,
                             unsigned *ret_status, otr_buf *ret_error, otr_err *err)
{
    otr_buf line;
    otr_buf_init(&line, OTR_LIMIT_HTTP_STREAM_BYTES);
    exchange x = { .spec = spec, .out = &line, .fn = fn, .arg = arg, .error_body = ret_error };
    otr_code rc = run(&x, ret_status, err);
    otr_buf_deinit(&line);
    return rc;
}
