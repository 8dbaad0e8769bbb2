#include "net/rpc/dial.h"

#include <errno.h>
#include <netinet/in.h> /* NOLINT(misc-include-cleaner): IPPROTO_TCP */
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "net/resolve/resolve.h"

enum {
    ADDRESSES = 16,
    TEXT_BYTES = 128,
    NEXT_MS = 250, /* RFC 8305: Connection Attempt Delay */
    LOOK_MS = 1,   /* how soon a look-up is asked for its answer, twice as long each time … */
    LOOK_MOST_MS = 32,
};

typedef enum stage { RESOLVING, CONNECTING, PROXY_TLS, PROXY, TLS, OVER } stage;

typedef struct attempt {
    otr_rpc_dial *dial;
    int fd;
    otr_watch *watch;
    size_t at; /* of the addresses */
} attempt;

struct otr_rpc_dial {
    otr_loop *loop;
    otr_rpc_dial_spec spec;
    stage stage;
    otr_lookup *lookup;
    uint64_t look_ms;
    otr_rpc_address addresses[ADDRESSES];
    size_t n_addresses, next; /* next: the one to be tried next */
    attempt attempts[ADDRESSES];
    size_t under_way;
    otr_timer *step, *timeout, *proxy_timeout;
    otr_rpc_pipe *pipe;
    otr_rpc_proxy_answer answer;
    otr_err why; /* the last failure */
    otr_defer later;
};

static void begin_next(otr_rpc_dial *dial);

/* ---- the end ---- */

static void drop_attempt(attempt *a)
{
    if (a->watch != NULL) {
        otr_watch_free(a->watch);
        a->watch = NULL;
        (void)close(a->fd);
        a->dial->under_way--;
    }
}

static void drop_all(otr_rpc_dial *dial)
{
    for (size_t i = 0; i < ADDRESSES; i++) {
        drop_attempt(&dial->attempts[i]);
    }
}

/* What is left of it is told to the owner; nothing more happens in it. */
static void finish(void *arg)
{
    otr_rpc_dial *dial = arg;
    otr_rpc_pipe *pipe = otr_steal(&dial->pipe);
    dial->stage = OVER;
    dial->spec.done(dial->spec.arg, pipe, &dial->why);
}

static void end(otr_rpc_dial *dial)
{
    if (dial->stage != OVER) {
        dial->stage = OVER;
        drop_all(dial);
        otr_timer_stop(dial->step);
        otr_timer_stop(dial->timeout);
        otr_timer_stop(dial->proxy_timeout);
        otr_loop_defer(dial->loop, &dial->later, finish, dial);
    }
}

static void fail(otr_rpc_dial *dial, const otr_err *why)
{
    dial->why = *why;
    otr_rpc_pipe_free(dial->pipe);
    dial->pipe = NULL;
    end(dial);
}

static void on_timeout(void *arg)
{
    static const char *const doing[] = {
        [RESOLVING] = "its name was not looked up",
        [CONNECTING] = "it did not answer",
        [PROXY_TLS] = "the proxy did not finish its TLS handshake",
        [PROXY] = "the proxy did not answer",
        [TLS] = "it did not finish its TLS handshake",
        [OVER] = "",
    };
    otr_rpc_dial *dial = arg;
    char to[OTR_RPC_AUTHORITY_BYTES];
    otr_err why = { 0 };
    bool proxy = dial->spec.proxy != NULL && dial->stage <= CONNECTING;
    (void)otr_fail(&why, OTR_ETIMEOUT, "%s%s: %s in time", proxy ? "proxy " : "",
                   otr_rpc_target_authority(proxy ? &dial->spec.proxy->at : dial->spec.target, to),
                   doing[dial->stage]);
    fail(dial, &why);
}

/* ---- after the socket is there ---- */

static void on_read(void *arg, otr_bytes plain);
static void on_ready(void *arg);
static void on_drained(void *arg);
static void on_ended(void *arg, const otr_err *why);

static const otr_rpc_pipe_ops pipe_ops = {
    .read = on_read,
    .ready = on_ready,
    .drained = on_drained,
    .ended = on_ended,
};

static otr_code begin_tls(otr_rpc_dial *dial, otr_err *err)
{
    otr_timer_stop(dial->proxy_timeout);
    if (dial->spec.tls == NULL) {
        end(dial); /* done */
        return OTR_OK;
    }
    dial->stage = TLS;
    return otr_rpc_pipe_secure(dial->pipe, dial->spec.tls, dial->spec.target->host, err);
}

static otr_code ask_proxy(otr_rpc_dial *dial, otr_err *err)
{
    otr_buf text;
    dial->stage = PROXY;
    otr_buf_init(&text, 4 * OTR_LIMIT_RPC_TOKEN_BYTES);
    otr_code rc = otr_rpc_proxy_request(dial->spec.proxy, dial->spec.target, &text, err);
    rc = rc == OTR_OK ? otr_rpc_pipe_write(dial->pipe, otr_buf_bytes(&text), err) : rc;
    otr_buf_deinit(&text);
    otr_rpc_pipe_flush(dial->pipe);
    return rc;
}

static otr_code begin_proxy(otr_rpc_dial *dial, otr_err *err)
{
    const otr_rpc_proxy *proxy = dial->spec.proxy;
    otr_timer_start(dial->proxy_timeout, proxy->timeout_ms, 0);
    if (!proxy->secure) {
        return ask_proxy(dial, err);
    }
    dial->stage = PROXY_TLS;
    return otr_rpc_pipe_secure(dial->pipe, proxy->tls, proxy->at.host, err);
}

static void fail_stage(otr_rpc_dial *dial, const otr_err *why)
{
    char to[OTR_RPC_AUTHORITY_BYTES];
    bool proxy = dial->stage == PROXY || dial->stage == PROXY_TLS;
    otr_err full = *why;
    (void)otr_wrap(&full, full.code, "%s%s", proxy ? "proxy " : "",
                   otr_rpc_target_authority(proxy ? &dial->spec.proxy->at : dial->spec.target, to));
    fail(dial, &full);
}

static void on_ready(void *arg)
{
    otr_rpc_dial *dial = arg;
    otr_err err = { 0 };
    if (dial->stage == PROXY_TLS) {
        if (ask_proxy(dial, &err) != OTR_OK) {
            fail_stage(dial, &err);
        }
    } else if (dial->stage == TLS) {
        end(dial); /* done */
    }
}

static void on_read(void *arg, otr_bytes plain)
{
    otr_rpc_dial *dial = arg;
    otr_err err = { 0 };
    bool open = false;
    otr_code rc = OTR_OK;
    if (dial->stage == PROXY) {
        rc = otr_rpc_proxy_answer_feed(&dial->answer, &plain, &open, &err);
        if (rc == OTR_OK && open) {
            rc = begin_tls(dial, &err);
        }
    }
    if (rc == OTR_OK && plain.n > 0 && dial->pipe != NULL) { /* for who comes next */
        rc = otr_rpc_pipe_return(dial->pipe, plain, &err);
    }
    if (rc != OTR_OK) {
        fail_stage(dial, &err);
    }
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void on_ended(void *arg, const otr_err *why)
{
    otr_rpc_dial *dial = arg;
    if (dial->stage != OVER) {
        fail_stage(dial, why);
    } else { /* between the end of the handshake and the hand-over */
        dial->why = *why;
        otr_rpc_pipe_free(dial->pipe);
        dial->pipe = NULL;
    }
}

/* ---- sockets ---- */

static void take_socket(otr_rpc_dial *dial, attempt *a)
{
    otr_err err = { 0 };
    int fd = a->fd;
    otr_watch_free(a->watch);
    a->watch = NULL;
    dial->under_way--;
    drop_all(dial);
    otr_timer_stop(dial->step);
    otr_code rc = otr_rpc_pipe_new(dial->loop, fd, &pipe_ops, dial, &dial->pipe, &err);
    if (rc != OTR_OK) {
        (void)close(fd);
        fail(dial, &err);
        return;
    }
    rc = dial->spec.proxy != NULL ? begin_proxy(dial, &err) : begin_tls(dial, &err);
    if (rc != OTR_OK) {
        fail_stage(dial, &err);
    }
}

static void note_failure(otr_rpc_dial *dial, size_t at, int sys)
{
    char to[TEXT_BYTES];
    (void)otr_fail_sys(&dial->why, sys, "cannot connect to %s%s",
                       dial->spec.proxy != NULL ? "proxy " : "",
                       otr_rpc_address_text(&dial->addresses[at], to, sizeof(to)));
}

static void on_connected(void *arg, int events)
{
    attempt *a = arg;
    otr_rpc_dial *dial = a->dial;
    int sys = 0;
    socklen_t size = sizeof(sys);
    (void)events;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &sys, &size) != 0) {
        sys = errno;
    }
    if (sys == 0) {
        take_socket(dial, a);
        return;
    }
    note_failure(dial, a->at, sys);
    drop_attempt(a);
    begin_next(dial);
}

static int open_socket(const otr_rpc_address *to)
{
    int one = 1;
    int fd = socket(to->at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    if (to->at.ss_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    if (connect(fd, (const struct sockaddr *)&to->at, to->size) != 0 && errno != EINPROGRESS) {
        int sys = errno;
        (void)close(fd);
        errno = sys;
        return -1;
    }
    return fd;
}

/* Begins with one address; false: that failed at once. */
static bool begin_one(otr_rpc_dial *dial, size_t at)
{
    attempt *a = &dial->attempts[at];
    int fd = open_socket(&dial->addresses[at]);
    if (fd < 0) {
        note_failure(dial, at, errno);
        return false;
    }
    *a = (attempt){ .dial = dial, .fd = fd, .at = at };
    if (otr_watch_new(dial->loop, fd, OTR_WATCH_WRITE, on_connected, a, &a->watch, &dial->why) !=
        OTR_OK) {
        (void)close(fd);
        return false;
    }
    dial->under_way++;
    return true;
}

/* The next address, and the one after it a while later; the end when all have failed. */
static void begin_next(otr_rpc_dial *dial)
{
    while (dial->next < dial->n_addresses) {
        if (begin_one(dial, dial->next++)) {
            otr_timer_start(dial->step, NEXT_MS, 0);
            return;
        }
    }
    if (dial->under_way == 0) {
        end(dial);
    }
}

/* ---- names ---- */

/* By turns, the family of the first address first. */
static void mix_families(otr_rpc_dial *dial)
{
    otr_rpc_address sorted[ADDRESSES];
    size_t n = 0, a = 0, b = 0;
    sa_family_t first = dial->addresses[0].at.ss_family;
    while (n < dial->n_addresses) {
        while (a < dial->n_addresses && dial->addresses[a].at.ss_family != first) {
            a++;
        }
        if (a < dial->n_addresses) {
            sorted[n++] = dial->addresses[a++];
        }
        while (b < dial->n_addresses && dial->addresses[b].at.ss_family == first) {
            b++;
        }
        if (b < dial->n_addresses) {
            sorted[n++] = dial->addresses[b++];
        }
    }
    for (size_t i = 0; i < n; i++) {
        dial->addresses[i] = sorted[(i + dial->spec.turn) % n];
    }
}

static void begin_connecting(otr_rpc_dial *dial)
{
    dial->stage = CONNECTING;
    mix_families(dial);
    begin_next(dial);
}

static void take_names(otr_rpc_dial *dial, const char *list, uint16_t port)
{
    while (*list != '\0' && dial->n_addresses < ADDRESSES) {
        size_t n = strcspn(list, ",");
        if (otr_rpc_address_parse((otr_bytes){ (const uint8_t *)list, n }, port,
                                  &dial->addresses[dial->n_addresses])) {
            dial->n_addresses++;
        }
        list += n + (list[n] == ',' ? 1 : 0);
    }
}

static void on_step(void *arg)
{
    otr_rpc_dial *dial = arg;
    if (dial->stage != RESOLVING) {
        begin_next(dial);
        return;
    }
    if (!otr_lookup_over(dial->lookup)) {
        dial->look_ms = dial->look_ms * 2 < LOOK_MOST_MS ? dial->look_ms * 2 : LOOK_MOST_MS;
        otr_timer_start(dial->step, dial->look_ms, 0);
        return;
    }
    char found[OTR_RESOLVED_BYTES];
    otr_err err = { 0 };
    const otr_rpc_target *to = dial->spec.proxy != NULL ? &dial->spec.proxy->at : dial->spec.target;
    otr_code rc = otr_lookup_end(otr_steal(&dial->lookup), found, &err);
    if (rc == OTR_OK) {
        take_names(dial, found, to->port);
        rc = dial->n_addresses > 0 ? OTR_OK : otr_fail(&err, OTR_EIO, "it has no address");
    }
    if (rc != OTR_OK) {
        (void)otr_wrap(&err, rc, "%s%s", dial->spec.proxy != NULL ? "proxy " : "", to->host);
        fail(dial, &err);
        return;
    }
    begin_connecting(dial);
}

static otr_code begin_lookup(otr_rpc_dial *dial, const char *host, otr_err *err)
{
    const otr_resolve_spec spec = { .host = host, .owner = "gRPC" };
    otr_code rc = otr_lookup_begin(&spec, &dial->lookup, err);
    if (rc == OTR_OK) {
        dial->look_ms = LOOK_MS;
        otr_timer_start(dial->step, LOOK_MS, 0);
    }
    return rc;
}

static otr_code begin(otr_rpc_dial *dial, otr_err *err)
{
    const otr_rpc_target *to = dial->spec.proxy != NULL ? &dial->spec.proxy->at : dial->spec.target;
    otr_code rc = otr_timer_new(dial->loop, on_step, dial, &dial->step, err);
    rc = rc == OTR_OK ? otr_timer_new(dial->loop, on_timeout, dial, &dial->timeout, err) : rc;
    rc = rc == OTR_OK ? otr_timer_new(dial->loop, on_timeout, dial, &dial->proxy_timeout, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_timer_start(dial->timeout, dial->spec.timeout_ms, 0);
    if (to->local) {
        rc = otr_rpc_address_of_path(to->path, &dial->addresses[0], err);
        dial->n_addresses = 1;
    } else if (otr_rpc_address_parse(otr_bytes_of(to->host), to->port, &dial->addresses[0])) {
        dial->n_addresses = 1;
    } else {
        return begin_lookup(dial, to->host, err);
    }
    if (rc == OTR_OK) {
        begin_connecting(dial);
    }
    return rc;
}

otr_code otr_rpc_dial_start(otr_loop *loop, const otr_rpc_dial_spec *spec, otr_rpc_dial **ret,
                            otr_err *err)
{
    otr_rpc_dial *dial = otr_zalloc(sizeof(*dial));
    if (dial == NULL) {
        return otr_fail_nomem(err);
    }
    dial->loop = loop;
    dial->spec = *spec;
    for (size_t i = 0; i < ADDRESSES; i++) {
        dial->attempts[i].dial = dial;
    }
    otr_rpc_proxy_answer_init(&dial->answer);
    otr_code rc = begin(dial, err);
    if (rc != OTR_OK) {
        otr_rpc_dial_free(dial);
        return rc;
    }
    *ret = dial;
    return OTR_OK;
}

void otr_rpc_dial_free(otr_rpc_dial *dial)
{
    if (dial == NULL) {
        return;
    }
    drop_all(dial);
    otr_loop_defer_cancel(&dial->later);
    otr_timer_free(dial->step);
    otr_timer_free(dial->timeout);
    otr_timer_free(dial->proxy_timeout);
    otr_rpc_pipe_free(dial->pipe);
    if (dial->lookup != NULL) {
        char found[OTR_RESOLVED_BYTES];
        (void)otr_lookup_end(dial->lookup, found, NULL);
    }
    otr_rpc_proxy_answer_deinit(&dial->answer);
    otr_free(dial);
}
