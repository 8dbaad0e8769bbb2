/* Requests whose body goes to a file without a name. The loop copies what arrives, a worker writes
 * it; while one part is written the next one gathers, and a peer that is faster than the disk
 * waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "net/http/internal.h"

enum {
    TURN_BYTES = 64 * 1024,    /* so much is given to a worker at a time */
    GATHER_BYTES = 256 * 1024, /* so much may wait for it: then the peer waits */
    SLACK_BYTES = 64 << 20,    /* of a body that is too large, read and dropped before it is cut */
};

struct otr_http_spool {
    otr_http_conn *conn; /* NULL: it is gone, and the job under way frees this */
    otr_strand *strand;  /* NULL: writes happen on the loop */
    int fd;              /* -1: taken */
    uint64_t most, received, until_ns;
    char *folder;
    otr_buf gather, write; /* what arrived; what the worker has */
    bool writing, suspended, too_large;
    int failed;     /* errno of the first failure */
    int job_failed; /* the worker's, until its job is done */
};

/* ---- the file ---- */

static int open_file(const char *folder)
{
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) {
        return fd;
    }
    char name[PATH_MAX];
    int n = snprintf(name, sizeof(name), "%s/.upload-XXXXXX", folder);
    if (n < 0 || (size_t)n >= sizeof(name)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0) {
        (void)unlink(name);
    }
    return fd;
}

static int write_all(int fd, otr_bytes bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        n = n > 0 ? n : 0;
        bytes = (otr_bytes){ bytes.p + n, bytes.n - (size_t)n };
    }
    return 0;
}

/* ---- its life ---- */

static void free_spool(otr_http_spool *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    otr_strand_free(s->strand);
    otr_buf_deinit(&s->gather);
    otr_buf_deinit(&s->write);
    otr_free(s->folder);
    otr_free(s);
}

otr_code otr_http_upload_open(otr_http_conn *conn, const otr_http_upload *upload, otr_err *err)
{
    otr_http_spool *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return otr_fail_nomem(err);
    }
    *s = (otr_http_spool){ .conn = conn,
                           .fd = -1,
                           .most = upload->max_bytes,
                           .until_ns = otr_now_ns() + upload->arrive_ms * OTR_NS_PER_MS };
    otr_buf_init(&s->gather, GATHER_BYTES + TURN_BYTES);
    otr_buf_init(&s->write, GATHER_BYTES + TURN_BYTES);
    s->folder = otr_strdup(upload->folder);
    otr_code rc = s->folder != NULL ? OTR_OK : otr_fail_nomem(err);
    if (rc == OTR_OK && upload->pool != NULL) {
        rc = otr_strand_new(upload->pool, 1, &s->strand, err);
    }
    if (rc == OTR_OK && (s->fd = open_file(upload->folder)) < 0) {
        rc = otr_fail_sys(err, errno, "cannot make a file for the request in %s", upload->folder);
        rc = rc == OTR_ENOMEM ? rc : OTR_EIO;
    }
    if (rc != OTR_OK) {
        free_spool(s);
        return rc;
    }
    conn->spool = s;
    otr_http_conn_wait(conn, s->until_ns);
    return OTR_OK;
}

void otr_http_upload_drop(otr_http_conn *conn)
{
    otr_http_spool *s = otr_steal(&conn->spool);
    if (s != NULL) {
        s->conn = NULL;
        if (!s->writing) {
            free_spool(s);
        }
    }
}

/* ---- writing ---- */

static otr_code write_job(otr_strand *strand, void *arg)
{
    otr_http_spool *s = arg;
    (void)strand;
    s->job_failed = write_all(s->fd, otr_buf_bytes(&s->write));
    return s->job_failed == 0 ? OTR_OK : OTR_EIO;
}

static void on_written(void *arg, otr_code rc);

/* Everything that has gathered goes to the worker; false when nothing had or it has something. */
static bool give(otr_http_spool *s)
{
    if (s->writing || s->gather.n == 0 || s->failed != 0) {
        return false;
    }
    if (s->strand == NULL) {
        s->failed = write_all(s->fd, otr_buf_bytes(&s->gather));
        otr_buf_clear(&s->gather);
        return false;
    }
    otr_buf full = s->gather;
    s->gather = s->write;
    s->write = full;
    otr_buf_clear(&s->gather);
    s->writing = otr_worker_submit(s->strand, write_job, on_written, s, NULL) == OTR_OK;
    s->failed = s->writing ? s->failed : ENOMEM;
    return s->writing;
}

static void resume(otr_http_spool *s)
{
    if (s->suspended) {
        otr_http_server *server = s->conn->server;
        s->suspended = false;
        otr_http_conn_wait(s->conn, s->until_ns);
        otr_mhd_resume(s->conn->mhd);
        otr_loop_defer(server->loop, &server->wake, otr_http_drive, server);
    }
}

static void on_written(void *arg, otr_code rc)
{
    otr_http_spool *s = arg;
    s->writing = false;
    if (rc != OTR_OK && s->failed == 0) {
        s->failed = s->job_failed != 0 ? s->job_failed : ECANCELED;
    }
    if (s->conn == NULL) {
        free_spool(s);
        return;
    }
    if (s->gather.n >= TURN_BYTES) {
        (void)give(s);
    }
    resume(s);
}

static void suspend(otr_http_spool *s)
{
    s->suspended = true;
    otr_http_conn_enter(s->conn, OTR_HTTP_SLEEPS);
    otr_mhd_suspend(s->conn->mhd);
}

otr_mhd_next otr_http_upload_part(otr_http_conn *conn, otr_bytes part)
{
    otr_http_spool *s = conn->spool;
    s->received += part.n;
    s->too_large = s->too_large || s->received > s->most;
    if (conn->server->ending || (s->too_large && s->received - s->most > SLACK_BYTES)) {
        return OTR_MHD_CLOSE;
    }
    otr_http_conn_wait(conn, s->until_ns);
    if (s->too_large || s->failed != 0) {
        return OTR_MHD_GO_ON; /* the answer says so at the end */
    }
    if (otr_buf_add(&s->gather, part, NULL) != OTR_OK) {
        s->failed = ENOMEM;
        return OTR_MHD_GO_ON;
    }
    if (s->gather.n >= TURN_BYTES) {
        (void)give(s);
    }
    if (s->writing && s->gather.n >= GATHER_BYTES) {
        suspend(s);
    }
    return OTR_MHD_GO_ON;
}

bool otr_http_upload_waits(otr_http_conn *conn)
{
    otr_http_spool *s = conn->spool;
    if (conn->server->ending) {
        return false;
    }
    (void)give(s);
    if (s->writing) {
        suspend(s);
    }
    return s->writing;
}

otr_code otr_http_upload_end(const otr_http_conn *conn, unsigned *ret_status, otr_err *err)
{
    enum { CONTENT_TOO_LARGE = 413, UNAVAILABLE = 503, INSUFFICIENT_STORAGE = 507 };
    const otr_http_spool *s = conn->spool;
    if (s->too_large) {
        *ret_status = CONTENT_TOO_LARGE;
        return otr_fail(err, OTR_EQUOTA, "the request body is larger than %llu bytes",
                        (unsigned long long)s->most);
    }
    if (s->failed != 0 || s->writing) {
        *ret_status = s->writing ? UNAVAILABLE : INSUFFICIENT_STORAGE;
        return s->writing ? otr_fail(err, OTR_ESTATE, "the agent is stopping")
                          : otr_fail_sys(err, s->failed, "cannot write the request to a file in %s",
                                         s->folder);
    }
    return OTR_OK;
}

void otr_http_uploads_release(const otr_http_server *server)
{
    for (otr_http_conn *c = server->conns; c != NULL; c = c->next) {
        if (c->spool != NULL) {
            resume(c->spool);
        }
    }
}

/* ---- for handlers ---- */

uint64_t otr_http_upload_bytes(const otr_http_conn *conn)
{
    return conn->spool != NULL ? conn->spool->received : 0;
}

int otr_http_take_upload(const otr_http_request *req)
{
    otr_http_conn *conn = req->connection;
    otr_http_spool *s = conn->spool;
    if (s == NULL || s->received == 0 || s->fd < 0 || lseek(s->fd, 0, SEEK_SET) != 0) {
        return -1;
    }
    int fd = s->fd;
    s->fd = -1;
    return fd;
}
