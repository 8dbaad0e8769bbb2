#include "modules/config_history_api.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "modules/config_instances.h"
#include "modules/config_question.h"

struct otr_config_history_api {
    otr_config_history *history;
    otr_services *services;
    otr_config_instances instances;
};

static const char diffs_key[] = "outrider.status.diffs";

enum { ID_CHARS = OTR_NGINX_ID_BYTES - 1 };

/* ---- a question's life ---- */

static void free_question(otr_config_question *q)
{
    otr_msg_unref(q->nginx);
    otr_free(q->instance);
    otr_free(q->version);
    otr_free(q->from);
    otr_free(q->to);
    otr_free(q->path);
    otr_free(q->which);
    otr_free(q->state_dir);
    otr_buf_deinit(&q->body);
    if (q->file >= 0) {
        close(q->file);
    }
    otr_free(q);
}

static otr_code run_question(void *arg, otr_history *h, otr_err *err)
{
    otr_config_question *q = arg;
    return q->answer(q, h, err);
}

static void question_done(void *arg, otr_code rc, const otr_err *err)
{
    otr_config_question *q = arg;
    if (q->later != NULL && rc == OTR_OK && q->file >= 0) {
        otr_http_later_send_file(q->later, q->file, q->file_bytes, "application/x-tar");
        q->file = -1;
    } else if (q->later != NULL) {
        otr_http_later_send(q->later, rc, &q->body, err);
    }
    free_question(q);
}

/* Nobody waits any more. What has begun comes back by question_done(). */
static void on_closed(void *arg)
{
    otr_config_question *q = arg;
    q->later = NULL;
    if (!q->begun) {
        free_question(q);
    }
}

/* ---- what was asked ---- */

static otr_code take(const otr_http_request *req, const char *name, const char *otherwise,
                     char **ret, otr_err *err)
{
    const char *value = otr_http_query(req, name);
    value = value != NULL && value[0] != '\0' ? value : otherwise;
    *ret = value != NULL ? otr_strdup(value) : NULL;
    return value == NULL || *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

/* One that does not run any more has a history, too: by its whole id. */
static otr_code resolve(const otr_config_history_api *api, const char *text, otr_config_question *q,
                        otr_err *err)
{
    otr_msg *found = NULL;
    otr_code rc = otr_config_instances_find(&api->instances, text, &found, err);
    if (rc == OTR_ENOTFOUND && text != NULL && strlen(text) == ID_CHARS) {
        q->instance = otr_strdup(text);
        return q->instance != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    q->nginx = otr_msg_ref(found);
    q->instance = otr_strdup(otr_config_instance_of(found)->id);
    return q->instance != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code number_of(const otr_http_request *req, const char *name, uint64_t most,
                          uint64_t otherwise, uint64_t *ret, otr_err *err)
{
    const char *text = otr_http_query(req, name);
    uint64_t n = 0;
    if (text == NULL) {
        *ret = otherwise;
        return OTR_OK;
    }
    const char *p = text;
    for (; *p >= '0' && *p <= '9' && n <= most; p++) {
        n = n * 10 + (uint64_t)(*p - '0');
    }
    if (*p != '\0' || p == text || n == 0 || n > most) {
        return otr_fail(err, OTR_EINVAL, "%s is a number from 1 to %llu, not \"%.40s\"", name,
                        (unsigned long long)most, text);
    }
    *ret = n;
    return OTR_OK;
}

static otr_code take_all(const otr_http_request *req, otr_config_question *q, otr_err *err)
{
    uint64_t limit = 0;
    otr_code rc = take(req, "version", NULL, &q->version, err);
    rc = rc == OTR_OK ? take(req, "from", "current", &q->from, err) : rc;
    rc = rc == OTR_OK ? take(req, "to", "disk", &q->to, err) : rc;
    rc = rc == OTR_OK ? take(req, "path", NULL, &q->path, err) : rc;
    rc = rc == OTR_OK ? number_of(req, "before", INT64_MAX / 10, 0, &q->query.before, err) : rc;
    rc = rc == OTR_OK ? number_of(req, "limit", OTR_LIMIT_HISTORY_PAGE_MOST, OTR_LIMIT_HISTORY_PAGE,
                                  &limit, err)
                      : rc;
    q->query.limit = (size_t)limit;
    return rc;
}

typedef enum about { ABOUT_ALL, ABOUT_ONE, ABOUT_CHANGE } about;

static otr_code fill(const otr_config_history_api *api, const otr_http_request *req, about what,
                     otr_config_question *q, otr_err *err)
{
    const char *instance = otr_http_query(req, "instance");
    otr_code rc = take_all(req, q, err);
    if (rc == OTR_OK && what == ABOUT_CHANGE) {
        q->which = otr_strdup(req->tail);
        return q->which != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    if (rc == OTR_OK) {
        q->state_dir = otr_strdup(otr_config_str(api->services->config, "lib_dir"));
        rc = q->state_dir != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    if (rc == OTR_OK && (what == ABOUT_ONE || (instance != NULL && instance[0] != '\0'))) {
        rc = resolve(api, instance, q, err);
    }
    return rc;
}

/* ---- the routes ---- */

typedef struct ask_spec {
    about what;
    otr_config_answer_fn *answer;
    const char *hidden; /* see otr_config_question */
} ask_spec;

static otr_code ask(otr_config_history_api *api, const otr_http_request *req, const ask_spec *spec,
                    otr_http_reply *reply, otr_err *err)
{
    otr_config_question *q = otr_zalloc(sizeof(*q));
    if (q == NULL) {
        return otr_fail_nomem(err);
    }
    q->answer = spec->answer;
    q->hidden = spec->hidden;
    q->started_ms = otr_wall_of(api->services->started_ns) / OTR_NS_PER_MS;
    q->file = -1;
    otr_buf_init(&q->body, OTR_LIMIT_HTTP_REPLY_BYTES);
    otr_code rc = fill(api, req, spec->what, q, err);
    rc = rc == OTR_OK ? otr_http_later_open(req, reply, on_closed, q, &q->later, err) : rc;
    if (rc == OTR_OK) {
        const otr_config_history_job job = { .what = "read the history of configurations",
                                             .use = OTR_HISTORY_READS,
                                             .run = run_question,
                                             .done = question_done,
                                             .arg = q };
        rc = otr_config_history_submit(api->history, &job, err);
    }
    q->begun = rc == OTR_OK;
    if (rc != OTR_OK && q->later == NULL) {
        free_question(q);
    } /* else on_closed() does, as the handler fails */
    return rc;
}

static otr_code get_list(void *api, const otr_http_request *req, otr_http_reply *reply,
                         otr_err *err)
{
    return ask(api, req, &(ask_spec){ ABOUT_ALL, otr_config_answer_list, NULL }, reply, err);
}

static otr_code get_one(void *api, const otr_http_request *req, otr_http_reply *reply, otr_err *err)
{
    return ask(api, req, &(ask_spec){ ABOUT_CHANGE, otr_config_answer_one, NULL }, reply, err);
}

static otr_code get_versions(void *api, const otr_http_request *req, otr_http_reply *reply,
                             otr_err *err)
{
    return ask(api, req, &(ask_spec){ ABOUT_ONE, otr_config_answer_versions, NULL }, reply, err);
}

static otr_code get_files(void *api, const otr_http_request *req, otr_http_reply *reply,
                          otr_err *err)
{
    return ask(api, req, &(ask_spec){ ABOUT_ONE, otr_config_answer_files, NULL }, reply, err);
}

static otr_code get_file(void *api, const otr_http_request *req, otr_http_reply *reply,
                         otr_err *err)
{
    return ask(api, req, &(ask_spec){ ABOUT_ONE, otr_config_answer_file, NULL }, reply, err);
}

static otr_code get_diff(void *api, const otr_http_request *req, otr_http_reply *reply,
                         otr_err *err)
{
    return ask(api, req, &(ask_spec){ ABOUT_ONE, otr_config_answer_diff, NULL }, reply, err);
}

/* The status page is for everybody on this machine: what quotes the configuration is not. */
static const char hidden_here[] = "what plugins said and what it means may quote contents: see "
                                  "`outrider config history NUMBER`, or set outrider.status.diffs";

static otr_code get_open_one(void *api, const otr_http_request *req, otr_http_reply *reply,
                             otr_err *err)
{
    const otr_config_history_api *a = api;
    bool all = otr_config_bool(a->services->config, diffs_key);
    return ask(api, req,
               &(ask_spec){ ABOUT_CHANGE, otr_config_answer_one, all ? NULL : hidden_here }, reply,
               err);
}

static otr_code get_open_diff(void *api, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err)
{
    const otr_config_history_api *a = api;
    if (!otr_config_bool(a->services->config, diffs_key)) {
        return otr_fail(err, OTR_EDENIED,
                        "contents may hold secrets and are not shown here: see `outrider config "
                        "diff`, or set outrider.status.diffs");
    }
    return get_diff(api, req, reply, err);
}

static otr_code get_export(void *api, const otr_http_request *req, otr_http_reply *reply,
                           otr_err *err)
{
    return ask(api, req, &(ask_spec){ ABOUT_ONE, otr_config_answer_export, NULL }, reply, err);
}

static const struct {
    const char *path;
    otr_http_fn *fn;
    otr_http_fn *open; /* on the status page's server: tells no content unless that is wanted; NULL:
                          not there */
} routes[] = {
    { "/api/v1/config/history", get_list, get_list },
    { "/api/v1/config/history/*", get_one, get_open_one },
    { "/api/v1/config/versions", get_versions, get_versions },
    { "/api/v1/config/files", get_files, NULL },
    { "/api/v1/config/file", get_file, NULL },
    { "/api/v1/config/diff", get_diff, get_open_diff },
    { "/api/v1/config/export", get_export, NULL },
};

otr_code otr_config_history_api_new(otr_config_history *history, otr_services *services,
                                    otr_config_history_api **ret, otr_err *err)
{
    otr_config_history_api *api = otr_zalloc(sizeof(*api));
    if (api == NULL) {
        return otr_fail_nomem(err);
    }
    api->history = history;
    api->services = services;
    *ret = api; /* freed by the caller, complete or not */
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(routes); i++) {
        rc = otr_http_route(services->admin_routes, "GET", routes[i].path, routes[i].fn, api, err);
        if (rc == OTR_OK && routes[i].open != NULL) {
            rc = otr_http_route(services->status_routes, "GET", routes[i].path, routes[i].open, api,
                                err);
        }
    }
    return rc;
}

void otr_config_history_api_free(otr_config_history_api *api)
{
    if (api == NULL) {
        return;
    }
    otr_http_unroute(api->services->admin_routes, api);
    otr_http_unroute(api->services->status_routes, api);
    otr_config_instances_deinit(&api->instances);
    otr_free(api);
}

otr_code otr_config_history_api_hear(otr_config_history_api *api, const otr_msg *msg, otr_err *err)
{
    return otr_config_instances_hear(&api->instances, msg, err);
}
