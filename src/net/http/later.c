/* Requests that are answered after their handler has returned. */
#include <unistd.h>

#include "base/alloc.h"
#include "net/http/internal.h"

otr_code otr_http_later_open(const otr_http_request *req, otr_http_reply *reply,
                             otr_loop_fn *closed, void *arg, otr_http_later **ret, otr_err *err)
{
    otr_http_conn *conn = req->connection;
    otr_http_later *l = otr_zalloc(sizeof(*l));
    if (l == NULL) {
        return otr_fail_nomem(err);
    }
    l->server = conn->server;
    l->conn = conn;
    l->closed = closed;
    l->arg = arg;
    l->file = -1;
    l->next = l->server->laters;
    if (l->next != NULL) {
        l->next->prev = l;
    }
    l->server->laters = l;
    conn->later = l;
    reply->later = l;
    *ret = l;
    return OTR_OK;
}

void otr_http_later_sleep(otr_http_later *l)
{
    l->suspended = true;
    otr_http_conn_enter(l->conn, OTR_HTTP_SLEEPS);
    otr_mhd_suspend(l->conn->mhd);
}

static void wake(otr_http_later *l)
{
    if (l->suspended) {
        l->suspended = false;
        otr_http_conn_enter(l->conn, OTR_HTTP_ANSWERS);
        otr_mhd_resume(l->conn->mhd);
        otr_loop_defer(l->server->loop, &l->server->wake, otr_http_drive, l->server);
    }
}

void otr_http_later_send(otr_http_later *l, otr_code rc, otr_buf *body, const otr_err *err)
{
    l->closed = NULL;
    l->ready = true;
    l->rc = rc;
    l->body = *body;
    *body = (otr_buf){ .max_bytes = body->max_bytes };
    if (rc != OTR_OK && err != NULL) {
        l->err = *err;
    }
    wake(l);
}

void otr_http_later_send_file(otr_http_later *l, int fd, uint64_t bytes, const char *content_type)
{
    l->closed = NULL;
    l->ready = true;
    l->rc = OTR_OK;
    l->file = fd;
    l->file_bytes = bytes;
    l->content_type = content_type;
    wake(l);
}

void otr_http_later_discard(otr_http_later *l)
{
    *(l->prev != NULL ? &l->prev->next : &l->server->laters) = l->next;
    if (l->next != NULL) {
        l->next->prev = l->prev;
    }
    l->conn->later = NULL;
    if (l->closed != NULL) {
        l->closed(l->arg);
    }
    if (l->file >= 0) {
        close(l->file);
    }
    otr_buf_deinit(&l->body);
    otr_free(l);
}

void otr_http_laters_release(const otr_http_server *server)
{
    for (otr_http_later *l = server->laters; l != NULL; l = l->next) {
        wake(l);
    }
}
