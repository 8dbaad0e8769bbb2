#include "net/http/mhd.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"

enum { STREAM_BLOCK_BYTES = 4096, SPARE_CONNECTIONS = 16 };

struct otr_mhd {
    struct MHD_Daemon *daemon;
    const otr_mhd_ops *ops;
    void *arg;
};

static void *peer_of(struct MHD_Connection *conn)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void on_connection(void *cls, struct MHD_Connection *conn, void **peer,
                          enum MHD_ConnectionNotificationCode code)
{
    const otr_mhd *mhd = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
        *peer = info != NULL ? mhd->ops->opened(mhd->arg, conn, info->connect_fd) : NULL;
    } else if (*peer != NULL) {
        mhd->ops->closed(*peer);
        *peer = NULL;
    }
}

static void *on_line(void *cls, const char *target, struct MHD_Connection *conn)
{
    const otr_mhd *mhd = cls;
    void *peer = peer_of(conn);
    if (peer != NULL) {
        mhd->ops->line(peer, target);
    }
    return NULL; /* what on_request() finds in `*slot` at first */
}

static enum MHD_Result verdict(otr_mhd_next next)
{
    return next == OTR_MHD_GO_ON ? MHD_YES : MHD_NO;
}

/* Called with the header, with each part of the body, and at the end. */
/* NOLINTNEXTLINE(readability-function-size): the library dictates the parameters. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **slot)
{
    const otr_mhd *mhd = cls;
    void *peer = peer_of(conn);
    (void)version;
    if (peer == NULL) {
        return MHD_NO;
    }
    if (*slot == NULL) {
        *slot = peer;
        return verdict(mhd->ops->head(peer, method, path));
    }
    if (*n > 0) {
        otr_bytes part = { (const uint8_t *)data, *n };
        *n = 0;
        return verdict(mhd->ops->part(peer, part));
    }
    return verdict(mhd->ops->whole(peer, method, path));
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    const otr_mhd *mhd = cls;
    void *peer = peer_of(conn);
    (void)code;
    *slot = NULL;
    if (peer != NULL) {
        mhd->ops->done(peer);
    }
}

otr_code otr_mhd_new(const otr_mhd_spec *spec, otr_mhd **ret, otr_err *err)
{
    otr_mhd *mhd = otr_zalloc(sizeof(*mhd));
    if (mhd == NULL) {
        return otr_fail_nomem(err);
    }
    *mhd = (otr_mhd){ .ops = spec->ops, .arg = spec->arg };
    mhd->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL,
        on_request, mhd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, mhd,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, mhd, MHD_OPTION_URI_LOG_CALLBACK, on_line, mhd,
        MHD_OPTION_CONNECTION_LIMIT, spec->most + SPARE_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        0U, MHD_OPTION_CONNECTION_MEMORY_LIMIT, spec->memory_bytes, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_END);
    otr_code rc = OTR_OK;
    if (mhd->daemon == NULL) {
        rc = otr_fail(err, OTR_EIO, "libmicrohttpd cannot start");
    } else if (otr_mhd_fd(mhd) < 0) {
        rc = otr_fail(err, OTR_EUNSUP, "this libmicrohttpd was built without epoll");
    }
    if (rc != OTR_OK) {
        otr_mhd_free(mhd);
        return rc;
    }
    *ret = mhd;
    return OTR_OK;
}

void otr_mhd_free(otr_mhd *mhd)
{
    if (mhd != NULL && mhd->daemon != NULL) {
        MHD_stop_daemon(mhd->daemon);
    }
    otr_free(mhd);
}

int otr_mhd_fd(const otr_mhd *mhd)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(mhd->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info != NULL ? info->epoll_fd : -1;
}

otr_code otr_mhd_add(otr_mhd *mhd, int fd, const struct sockaddr *from, socklen_t from_bytes)
{
    return MHD_add_connection(mhd->daemon, fd, from, from_bytes) == MHD_YES ? OTR_OK : OTR_EIO;
}

uint64_t otr_mhd_run(otr_mhd *mhd)
{
    (void)MHD_run(mhd->daemon);
    MHD_UNSIGNED_LONG_LONG ms = 0;
    return MHD_get_timeout(mhd->daemon, &ms) == MHD_YES ? ms : UINT64_MAX;
}

void otr_mhd_suspend(otr_mhd_conn *conn)
{
    MHD_suspend_connection(conn);
}

void otr_mhd_resume(otr_mhd_conn *conn)
{
    MHD_resume_connection(conn);
}

/* ---- what a request says ---- */

const char *otr_mhd_header(otr_mhd_conn *conn, const char *name)
{
    return MHD_lookup_connection_value(conn, MHD_HEADER_KIND, name);
}

typedef struct tally {
    const char *name;
    unsigned n;
} tally;

static enum MHD_Result count_header(void *cls, enum MHD_ValueKind kind, const char *key,
                                    const char *value)
{
    tally *t = cls;
    (void)kind;
    (void)value;
    t->n += strcasecmp(key, t->name) == 0;
    return MHD_YES;
}

unsigned otr_mhd_header_count(otr_mhd_conn *conn, const char *name)
{
    tally t = { .name = name };
    (void)MHD_get_connection_values(conn, MHD_HEADER_KIND, count_header, &t);
    return t.n;
}

const char *otr_mhd_query(otr_mhd_conn *conn, const char *name)
{
    return MHD_lookup_connection_value(conn, MHD_GET_ARGUMENT_KIND, name);
}

typedef struct each {
    const char *name;
    bool (*fn)(void *arg, const char *value);
    void *arg;
} each;

static enum MHD_Result on_value(void *cls, enum MHD_ValueKind kind, const char *key,
                                const char *value)
{
    const each *e = cls;
    (void)kind;
    bool more = strcmp(key, e->name) != 0 || e->fn(e->arg, value != NULL ? value : "");
    return more ? MHD_YES : MHD_NO;
}

void otr_mhd_query_each(otr_mhd_conn *conn, const char *name,
                        bool (*fn)(void *arg, const char *value), void *arg)
{
    each e = { .name = name, .fn = fn, .arg = arg };
    (void)MHD_get_connection_values(conn, MHD_GET_ARGUMENT_KIND, on_value, &e);
}

/* ---- answers ---- */

typedef struct reader { /* of one answer that comes in pieces; its own memory */
    otr_mhd_read_fn *read;
    void (*gone)(void *arg);
    void *arg;
} reader;

static ssize_t on_read(void *cls, uint64_t pos, char *to, size_t max)
{
    const reader *r = cls;
    (void)pos;
    ssize_t n = r->read(r->arg, to, max);
    return n == OTR_MHD_END ? MHD_CONTENT_READER_END_OF_STREAM : n;
}

static void on_gone(void *cls)
{
    reader *r = cls;
    r->gone(r->arg);
    otr_free(r);
}

static struct MHD_Response *response_in_pieces(const otr_mhd_answer *answer)
{
    reader *r = otr_zalloc(sizeof(*r));
    struct MHD_Response *response = NULL;
    if (r != NULL) {
        *r = (reader){ answer->read, answer->gone, answer->arg };
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_read,
                                                     r, on_gone);
    }
    if (response == NULL) {
        otr_free(r);
        answer->gone(answer->arg);
    }
    return response;
}

static struct MHD_Response *whole_response(otr_buf *body)
{
    struct MHD_Response *response = NULL;
    if (body->n == 0) {
        response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    } else {
        response = MHD_create_response_from_buffer_with_free_callback(body->n, body->p, otr_free);
        if (response != NULL) {
            otr_buf_init(body, 0); /* the response has its bytes */
        }
    }
    otr_buf_deinit(body);
    return response;
}

static struct MHD_Response *response_of_file(const otr_mhd_answer *answer)
{
    struct MHD_Response *response =
        MHD_create_response_from_fd64(answer->file_bytes, *answer->file);
    if (response == NULL) {
        close(*answer->file);
    }
    *answer->file = -1;
    return response;
}

static struct MHD_Response *response_of(const otr_mhd_answer *answer)
{
    if (answer->file != NULL) {
        return response_of_file(answer);
    }
    return answer->read != NULL ? response_in_pieces(answer) : whole_response(answer->body);
}

otr_mhd_next otr_mhd_send(otr_mhd_conn *conn, const otr_mhd_answer *answer)
{
    struct MHD_Response *response = response_of(answer);
    if (response == NULL) {
        return OTR_MHD_CLOSE;
    }
    bool ok = true;
    for (size_t i = 0; ok && i < answer->headers_n; i++) {
        const char *const *row = answer->headers[i];
        ok = row[1] == NULL || MHD_add_response_header(response, row[0], row[1]) == MHD_YES;
    }
    ok = ok && MHD_queue_response(conn, answer->status, response) == MHD_YES;
    MHD_destroy_response(response);
    return ok ? OTR_MHD_GO_ON : OTR_MHD_CLOSE;
}
