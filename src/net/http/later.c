/* Requests that are answered after their handler has returned. */
#include "base/alloc.h"
#include "net/http/internal.h"

otr_code otr_http_later_open(const otr_http_request *req, otr_http_reply *reply,
                             otr_loop_fn *closed, void *arg, otr_http_later **ret, otr_err *err)
{
    const otr_http_exchange *exchange = req->connection;
    otr_http_later *l = otr_zalloc(sizeof(*l));
    if (l == NULL) {
        return otr_fail_nomem(err);
    }
    l->server = exchange->server;
    l->connection = exchange->connection;
    l->closed = closed;
    l->arg = arg;
    l->next = l->server->laters;
    if (l->next != NULL) {
        l->next->prev = l;
    }
    l->server->laters = l;
    reply->later = l;
    *ret = l;
    return OTR_OK;
}

otr_http_later *otr_http_later_of(const otr_http_server *server,
                                  const struct MHD_Connection *connection)
{
    otr_http_later *l = server->laters;
    while (l != NULL && l->connection != connection) {
        l = l->next;
    }
    return l;
}

void otr_http_later_sleep(otr_http_later *l)
{
    l->suspended = true;
    MHD_suspend_connection(l->connection);
}

static void wake(otr_http_later *l)
{
    if (l->suspended) {
        l->suspended = false;
        MHD_resume_connection(l->connection);
        /* Driven from outside, libmicrohttpd does not make its epoll descriptor ready for this. */
        otr_loop_defer(l->server->loop, &l->server->wake, l->server->drive, l->server);
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

void otr_http_later_discard(otr_http_later *l)
{
    *(l->prev != NULL ? &l->prev->next : &l->server->laters) = l->next;
    if (l->next != NULL) {
        l->next->prev = l->prev;
    }
    if (l->closed != NULL) {
        l->closed(l->arg);
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
