#include "daemon/listeners.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/log.h"

enum { RETRY_MS = 2000, FAREWELL_MS = 2000 };

static const char problem_name[] = "status page";

/* The socket's folder, one level, as packages make it: private to us is the socket itself. */
static void make_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash != NULL && slash != path) {
        char *folder = otr_strndup(path, (size_t)(slash - path));
        if (folder != NULL && mkdir(folder, 0755) != 0 && errno != EEXIST) {
            otr_log_debug("cannot make the socket's folder", "path", folder);
        }
        otr_free(folder);
    }
}

static otr_code open_admin(const otr_listeners *l, const char *socket, otr_http_server **ret,
                           otr_err *err)
{
    make_parent(socket);
    otr_http_listen at = { .unix_path = socket, .fds = l->fds, .share = OTR_FDS_CORE };
    otr_code rc = otr_http_server_new(l->loop, l->services->admin_routes, &at, ret, err);
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "outrider.admin.socket");
}

/* ---- servers that went out of use ---- */

static void free_old(void *arg)
{
    otr_listeners *l = arg;
    for (size_t i = 0; i < OTR_LISTENERS_OLD; i++) {
        otr_http_server_free(l->old[i]);
        l->old[i] = NULL;
    }
}

static void retire(otr_listeners *l, otr_http_server *server)
{
    if (server == NULL) {
        return;
    }
    otr_http_server_retire(server);
    if (l->old[OTR_LISTENERS_OLD - 1] != NULL) {
        free_old(l); /* so many reloads in a moment: they have waited long enough */
    }
    size_t i = 0;
    while (l->old[i] != NULL) {
        i++;
    }
    l->old[i] = server;
    otr_timer_start(l->farewell, FAREWELL_MS, 0);
}

/* ---- the status page ---- */

static void try_status(void *arg)
{
    otr_listeners *l = arg;
    otr_problems *problems = l->services->problems;
    otr_http_listen at = { .host = l->host,
                           .port = (uint16_t)l->port,
                           .check_host = true,
                           .fds = l->fds,
                           .share = OTR_FDS_PAGE };
    otr_http_server *server = NULL;
    otr_err err = { 0 };
    if (otr_http_server_new(l->loop, l->services->status_routes, &at, &server, &err) != OTR_OK) {
        otr_problem_set(
            problems, "", problem_name,
            "%s: %s; outrider.status.host and outrider.status.port say where, and it is "
            "tried again",
            l->status != NULL ? "the status page and /metrics are still at their old "
                                "address"
                              : "no status page and no /metrics",
            err.msg);
        otr_timer_start(l->retry, RETRY_MS, 0);
        return;
    }
    otr_problem_clear(problems, "", problem_name);
    retire(l, l->status);
    l->status = server;
    l->services->status_port = otr_http_server_port(server);
}

/* Where the page is wanted by `cfg`; without memory it stays where it is. */
static void want_status(otr_listeners *l, const otr_config *cfg)
{
    int64_t port = otr_config_int(cfg, "outrider.status.port");
    const char *host = otr_config_str(cfg, "outrider.status.host");
    if (l->host != NULL && port == l->port && strcmp(host, l->host) == 0) {
        return;
    }
    char *copy = otr_strdup(host);
    if (copy == NULL) {
        return;
    }
    otr_free(l->host);
    l->host = copy;
    l->port = port;
    otr_timer_stop(l->retry);
    if (port >= 0) {
        try_status(l);
        return;
    }
    otr_problem_clear(l->services->problems, "", problem_name);
    retire(l, l->status);
    l->status = NULL;
    l->services->status_port = 0;
}

const char *otr_listeners_url(const otr_listeners *l, char *out, size_t cap)
{
    (void)snprintf(out, cap, "off");
    if (l->status != NULL) {
        bool v6 = strchr(l->host, ':') != NULL;
        (void)snprintf(out, cap, "http://%s%s%s:%u/", v6 ? "[" : "", l->host, v6 ? "]" : "",
                       (unsigned)l->services->status_port);
    }
    return out;
}

/* ---- from the start through reloads ---- */

otr_code otr_listeners_init(otr_listeners *l, otr_loop *loop, otr_services *services, otr_fds *fds,
                            otr_err *err)
{
    *l = (otr_listeners){ .loop = loop, .services = services, .fds = fds, .port = -1 };
    otr_code rc = otr_timer_new(loop, try_status, l, &l->retry, err);
    return rc != OTR_OK ? rc : otr_timer_new(loop, free_old, l, &l->farewell, err);
}

otr_code otr_listeners_start(otr_listeners *l, const otr_config *cfg, otr_err *err)
{
    otr_code rc = otr_listeners_prepare(l, cfg, err);
    if (rc == OTR_OK) {
        otr_listeners_take(l, cfg);
    }
    return rc;
}

otr_code otr_listeners_prepare(otr_listeners *l, const otr_config *fresh, otr_err *err)
{
    const char *socket = otr_config_str(fresh, "outrider.admin.socket");
    if (l->socket != NULL && strcmp(socket, l->socket) == 0) {
        return OTR_OK;
    }
    char *copy = otr_strdup(socket);
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = socket[0] != '\0' ? open_admin(l, socket, &l->new_admin, err) : OTR_OK;
    if (rc != OTR_OK) {
        otr_free(copy);
        return rc;
    }
    l->new_socket = copy;
    return OTR_OK;
}

void otr_listeners_take(otr_listeners *l, const otr_config *fresh)
{
    if (l->new_socket != NULL) {
        retire(l, l->admin);
        otr_free(l->socket);
        l->admin = otr_steal(&l->new_admin);
        l->socket = otr_steal(&l->new_socket);
    }
    want_status(l, fresh);
}

void otr_listeners_drop(otr_listeners *l)
{
    otr_http_server_free(l->new_admin);
    otr_free(l->new_socket);
    l->new_admin = NULL;
    l->new_socket = NULL;
}

void otr_listeners_deinit(otr_listeners *l)
{
    otr_listeners_drop(l);
    free_old(l);
    otr_http_server_free(l->status);
    otr_http_server_free(l->admin);
    otr_timer_free(l->retry);
    otr_timer_free(l->farewell);
    otr_free(l->socket);
    otr_free(l->host);
    *l = (otr_listeners){ .port = -1 };
}
