/*
 * GET /api/v1/config/drift: the report of each instance; names, no contents.
 * POST /api/v1/config/drift/adopt?instance=&path=…&message=: what is there becomes a version.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/json.h"
#include "modules/drift.h"
#include "nginx/drift/users.h"

enum { PATHS_MOST = 1000, ANSWER_BYTES = 65536, BY_BYTES = 256, MESSAGE_BYTES = 1024 };

static const char drift_path[] = "/api/v1/config/drift";
static const char adopt_path[] = "/api/v1/config/drift/adopt";

static otr_code get_drift(void *arg, const otr_http_request *req, otr_http_reply *reply,
                          otr_err *err)
{
    const otr_drift_module *m = arg;
    (void)req;
    otr_jw w;
    otr_jw_begin(&w, &reply->body, err);
    otr_jw_obj(&w, NULL);
    otr_jw_bool(&w, "enabled", m->drift != NULL);
    otr_jw_arr(&w, "instances");
    for (size_t i = 0; i < m->n; i++) {
        const otr_drift_report *report = otr_drift_get(m->drift, m->items[i].id);
        if (report != NULL) {
            otr_jw_obj(&w, NULL);
            otr_drift_write(&w, report);
            otr_jw_obj_end(&w);
        }
    }
    otr_jw_arr_end(&w);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

/* ---- adoption ---- */

typedef struct adoption {
    otr_http_later *later; /* NULL: nobody waits any more */
    char id[OTR_NGINX_ID_BYTES];
    char user[OTR_DRIFT_USER_BYTES];
    char by[BY_BYTES];
    char message[MESSAGE_BYTES];
    const char *paths[PATHS_MOST + 1]; /* of the request */
    size_t n, files;
} adoption;

static void closed(void *arg)
{
    ((adoption *)arg)->later = NULL;
}

static bool take_path(void *arg, const char *value)
{
    adoption *a = arg;
    if (a->n <= PATHS_MOST) {
        a->paths[a->n < PATHS_MOST ? a->n : 0] = value;
        a->n++;
    }
    return a->n <= PATHS_MOST;
}

static void adopted(void *arg, otr_code rc, const otr_err *err, const char *version,
                    const char *remark)
{
    adoption *a = arg;
    otr_err own = *err;
    if (a->later != NULL) {
        otr_buf body;
        otr_jw w;
        otr_buf_init(&body, ANSWER_BYTES);
        otr_jw_begin(&w, &body, &own);
        otr_jw_obj(&w, NULL);
        otr_jw_str(&w, "instance", a->id);
        otr_jw_str(&w, "version", version);
        otr_jw_u64(&w, "files", a->files);
        otr_jw_bytes(&w, "remark", otr_bytes_of(remark));
        otr_jw_obj_end(&w);
        otr_code made = otr_jw_end(&w);
        rc = rc == OTR_OK ? made : rc;
        otr_http_later_send(a->later, rc, &body, &own);
    }
    otr_free(a);
}

/* Each path that is asked for has to be one that drifted: a name that was mistyped is an error. */
static otr_code check_paths(const adoption *a, const otr_drift_report *report, otr_err *err)
{
    if (a->n > PATHS_MOST) {
        return otr_fail(err, OTR_EQUOTA, "more than %d paths", PATHS_MOST);
    }
    for (size_t i = 0; i < a->n; i++) {
        bool found = report->more > 0 && a->paths[i][0] == '/';
        for (size_t k = 0; !found && k < report->n; k++) {
            found = strcmp(report->files[k].path, a->paths[i]) == 0;
        }
        if (!found) {
            return otr_fail(err, OTR_ENOTFOUND, "%s has not drifted: see `outrider config diff`",
                            a->paths[i]);
        }
    }
    return OTR_OK;
}

/* Files that a version keeps when none is named: what only is named by a directive is none. */
static size_t count_kept(const otr_drift_report *report)
{
    size_t n = report->more;
    for (size_t i = 0; i < report->n; i++) {
        n += !report->files[i].named;
    }
    return n;
}

static void describe(adoption *a, const otr_http_request *req, const otr_drift_report *report)
{
    const char *message = otr_http_query(req, "message");
    (void)snprintf(a->message, sizeof(a->message), "%s", message != NULL ? message : "");
    if (req->peer.known) {
        otr_drift_user(req->peer.uid, a->user);
    }
    for (size_t i = 0; a->by[0] == '\0' && i < report->n; i++) {
        otr_drift_by(&report->files[i], a->by, sizeof(a->by));
    }
}

static otr_code check_state(const otr_drift_module *m, const otr_nginx_instance *nginx,
                            const otr_drift_report *report, otr_err *err)
{
    if (report == NULL || !report->known) {
        return otr_fail(err, OTR_ESTATE,
                        "the files of %s are not watched: see `features` (file-watcher) and "
                        "`outrider status`",
                        nginx->config);
    }
    if (report->n == 0) {
        return otr_fail(err, OTR_ESTATE, "no file of %s has drifted: there is nothing to adopt",
                        nginx->config);
    }
    if (otr_drift_applying(m->drift, nginx->id)) { /* its files are not proven, and may go again */
        return otr_fail(err, OTR_ESTATE,
                        "a change of %s is under way: adopt what has drifted once it is over",
                        nginx->config);
    }
    return OTR_OK;
}

static otr_code post_adopt(void *arg, const otr_http_request *req, otr_http_reply *reply,
                           otr_err *err)
{
    otr_drift_module *m = arg;
    otr_msg *msg;
    otr_code rc = otr_config_instances_find(&m->list, otr_http_query(req, "instance"), &msg, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const otr_nginx_instance *nginx = otr_config_instance_of(msg);
    const otr_drift_report *report = otr_drift_get(m->drift, nginx->id);
    rc = check_state(m, nginx, report, err);
    if (rc != OTR_OK) {
        return rc;
    }
    adoption *a = otr_zalloc(sizeof(*a));
    if (a == NULL) {
        return otr_fail_nomem(err);
    }
    memcpy(a->id, nginx->id, sizeof(a->id));
    otr_http_query_each(req, "path", take_path, a);
    rc = check_paths(a, report, err);
    a->files = a->n > 0 ? a->n : count_kept(report);
    if (rc == OTR_OK && a->files == 0) {
        rc = otr_fail(err, OTR_ESTATE,
                      "only files that %s names have drifted, and they are no part of a version: "
                      "reload NGINX to use them, or adopt them by their paths",
                      nginx->config);
    }
    if (rc == OTR_OK) {
        describe(a, req, report);
        rc = otr_http_later_open(req, reply, closed, a, &a->later, err);
    }
    if (rc != OTR_OK) {
        otr_free(a);
        return rc;
    }
    otr_drift_adopt asked = { .paths = a->n > 0 ? a->paths : NULL,
                              .uid = req->peer.known ? (int64_t)req->peer.uid : -1,
                              .pid = req->peer.known ? (int64_t)req->peer.pid : -1,
                              .user = a->user,
                              .message = a->message,
                              .by = a->by,
                              .done = adopted,
                              .arg = a };
    rc = otr_drift_start_adopt(m, nginx, &asked, err);
    if (rc != OTR_OK) {
        otr_buf none;
        otr_buf_init(&none, 0);
        otr_http_later_send(a->later, rc, &none, err);
        otr_free(a);
    }
    return OTR_OK;
}

otr_code otr_drift_routes(otr_drift_module *m, otr_err *err)
{
    otr_http_routes *admin = m->services->admin_routes;
    otr_code rc = otr_http_route(admin, "GET", drift_path, get_drift, m, err);
    rc = rc == OTR_OK
             ? otr_http_route(m->services->status_routes, "GET", drift_path, get_drift, m, err)
             : rc;
    return rc == OTR_OK ? otr_http_route(admin, "POST", adopt_path, post_adopt, m, err) : rc;
}

void otr_drift_unroute(otr_drift_module *m)
{
    otr_http_unroute(m->services->admin_routes, m);
    otr_http_unroute(m->services->status_routes, m);
}
