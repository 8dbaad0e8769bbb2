/*
 * The admin API of changes: POST /api/v1/config/apply and /api/v1/config/rollback, GET
 * /api/v1/config/applies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/texts.h"
#include "modules/config.h"
#include "modules/config_history.h"
#include "nginx/change/changes.h"
#include "nginx/files.h"

enum { EVENT_BYTES = OTR_LIMIT_HTTP_STREAM_BYTES, NAMES_MOST = 10000, UPLOAD_MS = 300000 };

struct config_request {
    otr_config_apply *c; /* NULL: the module is gone */
    config_request *next;
    otr_http_later *later; /* one of both, or none when nobody waits any more */
    otr_http_stream *stream;
    bool opened;
    bool working;   /* a job has it */
    bool submitted; /* the engine has it */
    otr_apply_request request;
    otr_nginx_instance *instance;
    char *message, *base, *to;
    char **deletes;
    char **only; /* of a revert */
    otr_apply_probe *probes;
    size_t n_probes;
    config_mode mode;
    int attributes, fd;
    char *state_dir;
    char **allowed;
    uint64_t most_files, most_bytes;
    struct otr_changes *set; /* of the job */
    char version[OTR_HISTORY_ID_BYTES];
    otr_err job_err;
};

/* ---- a request's life ---- */

static void release(config_request *r)
{
    if (r->c != NULL) {
        for (config_request **at = &r->c->requests; *at != NULL; at = &(*at)->next) {
            if (*at == r) {
                *at = r->next;
                break;
            }
        }
    }
    if (r->fd >= 0) {
        (void)close(r->fd);
    }
    otr_nginx_instance_free(r->instance);
    otr_config_probes_free(r->probes, r->n_probes);
    otr_texts_free(r->deletes);
    otr_texts_free(r->only);
    otr_texts_free(r->allowed);
    otr_changes_free(r->set);
    char *texts[] = { r->message, r->base, r->to, r->state_dir };
    for (size_t i = 0; i < OTR_COUNT(texts); i++) {
        otr_free(texts[i]);
    }
    otr_free(r);
}

static void on_closed(void *arg)
{
    config_request *r = arg;
    r->later = NULL;
    r->stream = NULL;
    if (!r->working && !r->submitted) {
        release(r);
    }
}

static void send_event(config_request *r, const otr_buf *json)
{
    otr_buf event;
    otr_buf_init(&event, OTR_LIMIT_HTTP_REPLY_BYTES);
    if (r->stream != NULL && otr_buf_adds(&event, "data: ", NULL) == OTR_OK &&
        otr_json_plain(otr_buf_bytes(json), &event, NULL) == OTR_OK &&
        otr_buf_adds(&event, "\n\n", NULL) == OTR_OK) {
        (void)otr_http_stream_send(r->stream, otr_buf_bytes(&event));
    }
    otr_buf_deinit(&event);
}

static void end_stream(config_request *r)
{
    if (r->stream != NULL) {
        otr_http_stream_end(otr_steal(&r->stream));
    }
}

/* The last word, when there will be no result. */
static void fail(config_request *r, otr_code rc, const otr_err *err)
{
    otr_buf json;
    otr_jw w;
    otr_buf_init(&json, OTR_LIMIT_HTTP_REPLY_BYTES);
    if (r->later != NULL) {
        otr_http_later_send(otr_steal(&r->later), rc, &json, err);
    }
    otr_jw_begin(&w, &json, NULL);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "event", "error");
    otr_jw_str(&w, "code", otr_code_name(rc));
    otr_jw_str(&w, "message", err->msg);
    otr_jw_obj_end(&w);
    if (otr_jw_end(&w) == OTR_OK) {
        send_event(r, &json);
    }
    end_stream(r);
    otr_buf_deinit(&json);
    release(r);
}

/* ---- what the engine tells ---- */

static void on_progress(void *arg, const otr_apply_progress *p)
{
    static const char *const states[] = { "begin", "done", "failed", "says" };
    config_request *r = arg;
    otr_buf json;
    otr_jw w;
    if (r->stream == NULL) {
        return;
    }
    otr_buf_init(&json, EVENT_BYTES);
    otr_jw_begin(&w, &json, NULL);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "event", "step");
    otr_jw_str(&w, "id", p->id);
    otr_jw_str(&w, "step", otr_apply_step_name(p->step));
    otr_jw_str(&w, "state", states[p->state]);
    otr_jw_u64(&w, "ms", p->ms);
    otr_jw_bytes(&w, "text", otr_bytes_of(p->text));
    otr_jw_obj_end(&w);
    if (otr_jw_end(&w) == OTR_OK) {
        send_event(r, &json);
    }
    otr_buf_deinit(&json);
}

static otr_code write_event(const otr_apply_result *shown, otr_buf *out)
{
    otr_jw w;
    otr_buf_clear(out);
    otr_jw_begin(&w, out, NULL);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "event", "result");
    otr_apply_result_write(&w, shown);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}

/* A stream holds less than an answer: what is long is left out there, but never the result. */
static otr_code write_what_fits(const otr_apply_result *result, otr_buf *out)
{
    otr_apply_result shown = *result;
    otr_code rc = write_event(&shown, out);
    if (rc != OTR_OK) {
        shown.diff = NULL;
        shown.impact = NULL;
        rc = write_event(&shown, out);
    }
    while (rc != OTR_OK && shown.n_files > 0) {
        shown.more_files += shown.n_files - shown.n_files / 2;
        shown.n_files /= 2;
        rc = write_event(&shown, out);
    }
    if (rc != OTR_OK) {
        shown.verdicts = NULL;
        rc = write_event(&shown, out);
    }
    return rc;
}

static void stream_result(config_request *r, const otr_apply_result *result)
{
    otr_buf json;
    otr_buf_init(&json, EVENT_BYTES / 2);
    if (write_what_fits(result, &json) == OTR_OK) {
        send_event(r, &json);
    }
    otr_buf_deinit(&json);
    end_stream(r);
}

static void on_done(void *arg, const otr_apply_result *result)
{
    config_request *r = arg;
    otr_err err = { 0 };
    r->submitted = false;
    if (r->later != NULL) {
        otr_buf json;
        otr_buf_init(&json, OTR_LIMIT_HTTP_REPLY_BYTES);
        otr_code rc = otr_apply_result_json(result, &json, &err);
        otr_http_later_send(otr_steal(&r->later), rc, &json, &err);
        otr_buf_deinit(&json);
    }
    if (r->stream != NULL) {
        stream_result(r, result);
    }
    release(r);
}

static void submit(config_request *r)
{
    otr_err err = { 0 };
    char id[OTR_APPLY_ID_BYTES];
    r->request.instance = r->instance;
    r->request.set = r->set;
    r->request.message = r->message;
    r->request.of = r->request.why != OTR_APPLY_WHY_APPLY ? r->version : NULL;
    r->request.progress = on_progress;
    r->request.done = on_done;
    r->request.arg = r;
    otr_code rc = otr_config_apply_submit(r->c, &r->request, id, &err);
    if (rc != OTR_OK) {
        fail(r, rc, &err);
        return;
    }
    r->set = NULL;
    r->submitted = true;
}

/* ---- jobs ---- */

static otr_code read_body(otr_strand *strand, void *arg)
{
    config_request *r = arg;
    (void)strand;
    config_body body = { .state_dir = r->state_dir,
                         .base = r->base,
                         .mode = r->mode,
                         .attributes = r->attributes,
                         .fd = r->fd,
                         .deletes = r->deletes,
                         .most_files = r->most_files,
                         .most_bytes = r->most_bytes };
    otr_config_user_name(r->request.who.uid, r->request.who.name, sizeof(r->request.who.name));
    return otr_config_body_read(&body, &r->set, &r->job_err);
}

static void on_job(config_request *r, otr_code rc, const otr_err *err)
{
    r->working = false;
    if (r->c == NULL) {
        release(r);
    } else if (rc != OTR_OK) {
        fail(r, rc, err);
    } else {
        submit(r);
    }
}

static void on_body(void *arg, otr_code rc)
{
    config_request *r = arg;
    if (rc != OTR_OK && r->job_err.msg[0] == '\0') {
        (void)otr_fail(&r->job_err, rc, "the agent is stopping");
    }
    on_job(r, rc, &r->job_err);
}

static otr_code read_version(void *arg, otr_history *h, otr_err *err)
{
    config_request *r = arg;
    config_version what = { .instance = r->instance->id,
                            .to = r->to,
                            .state_dir = r->state_dir,
                            .allowed = (const char *const *)r->allowed,
                            .only = r->only,
                            .added = r->deletes };
    otr_config_user_name(r->request.who.uid, r->request.who.name, sizeof(r->request.who.name));
    return otr_config_version_changes(h, &what, &r->set, r->version, err);
}

static void on_version(void *arg, otr_code rc, const otr_err *err)
{
    on_job(arg, rc, err);
}

/* ---- what is asked for ---- */

static otr_code take(const otr_http_request *req, const char *name, const char *otherwise,
                     char **ret, otr_err *err)
{
    const char *value = otr_http_query(req, name);
    value = value != NULL && value[0] != '\0' ? value : otherwise;
    *ret = otr_strdup(value);
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static bool is_set(const otr_http_request *req, const char *name)
{
    const char *value = otr_http_query(req, name);
    return value != NULL && value[0] != '\0' && strcmp(value, "0") != 0;
}

typedef struct list { /* values of one parameter */
    config_request *r;
    size_t n;
    otr_code rc;
    otr_err *err;
} list;

static bool add_delete(void *arg, const char *value)
{
    list *l = arg;
    char **grown =
        l->n < NAMES_MOST ? otr_realloc(l->r->deletes, (l->n + 2) * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        l->rc = l->n < NAMES_MOST ? otr_fail_nomem(l->err)
                                  : otr_fail(l->err, OTR_EQUOTA, "more than %d names", NAMES_MOST);
        return false;
    }
    l->r->deletes = grown;
    grown[l->n] = otr_strdup(value);
    grown[l->n + 1] = NULL;
    l->rc = grown[l->n] != NULL ? OTR_OK : otr_fail_nomem(l->err);
    l->n++;
    return l->rc == OTR_OK;
}

static bool add_probe(void *arg, const char *value)
{
    list *l = arg;
    config_request *r = l->r;
    if (r->n_probes >= OTR_LIMIT_APPLY_PROBES) {
        l->rc = otr_fail(l->err, OTR_EQUOTA, "more than %d probes", OTR_LIMIT_APPLY_PROBES);
        return false;
    }
    otr_apply_probe *grown = otr_realloc(r->probes, (r->n_probes + 1) * sizeof(*grown));
    if (grown == NULL) {
        l->rc = otr_fail_nomem(l->err);
        return false;
    }
    r->probes = grown;
    l->rc = otr_config_probe(value, &r->probes[r->n_probes], l->err);
    r->n_probes += l->rc == OTR_OK;
    return l->rc == OTR_OK;
}

static otr_code take_number(const otr_http_request *req, const char *name, uint64_t most,
                            uint64_t *ret, otr_err *err)
{
    const char *text = otr_http_query(req, name);
    uint64_t n = 0;
    if (text == NULL || text[0] == '\0') {
        return OTR_OK; /* as it is */
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9' || n > most) {
            return otr_fail(err, OTR_EINVAL, "%s: a number up to %llu, not \"%.40s\"", name,
                            (unsigned long long)most, text);
        }
        n = 10 * n + (uint64_t)(*p - '0');
    }
    if (n > most) {
        return otr_fail(err, OTR_EINVAL, "%s: at most %llu", name, (unsigned long long)most);
    }
    *ret = n;
    return OTR_OK;
}

static otr_code take_probation(config_request *r, const otr_http_request *req, otr_err *err)
{
    otr_apply_probation *p = &r->request.probation;
    uint64_t share = r->c->probation.most_5xx_percent, least = r->c->probation.least_requests;
    uint64_t slower = r->c->probation.most_slower_percent;
    list l = { .r = r, .err = err };
    *p = r->c->probation;
    otr_http_query_each(req, "probe", add_probe, &l);
    otr_code rc = l.rc;
    if (r->n_probes > 0) {
        p->probes = r->probes;
        p->n_probes = r->n_probes;
    }
    rc = rc == OTR_OK
             ? take_number(req, "probation_ms", OTR_LIMIT_APPLY_WATCH_MS, &p->watch_ms, err)
             : rc;
    rc = rc == OTR_OK ? take_number(req, "max_5xx_percent", 100, &share, err) : rc;
    rc = rc == OTR_OK ? take_number(req, "max_slower_percent", OTR_LIMIT_APPLY_SLOWER, &slower, err)
                      : rc;
    rc = rc == OTR_OK ? take_number(req, "min_requests", 1000000, &least, err) : rc;
    p->most_5xx_percent = (unsigned)share;
    p->most_slower_percent = (unsigned)slower;
    p->least_requests = (unsigned)least;
    return rc;
}

static otr_code take_word(const otr_http_request *req, const char *name, const char *const *words,
                          int *ret, otr_err *err)
{
    const char *text = otr_http_query(req, name);
    if (text == NULL || text[0] == '\0') {
        return OTR_OK;
    }
    for (int i = 0; words[i] != NULL; i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = i;
            return OTR_OK;
        }
    }
    return otr_fail(err, OTR_EINVAL, "%s: \"%.40s\" is none of its words", name, text);
}

/* The folder that names are relative to: that of nginx.conf, unless one is given. */
static otr_code take_base(config_request *r, const otr_http_request *req, otr_err *err)
{
    char folder[OTR_NGINX_PATH_BYTES];
    (void)snprintf(folder, sizeof(folder), "%s", r->instance->config);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        slash[slash == folder] = '\0';
    }
    otr_code rc = take(req, "base", folder, &r->base, err);
    if (rc == OTR_OK && r->base[0] != '/') {
        return otr_fail(err, OTR_EINVAL, "base: an absolute folder, not \"%.200s\"", r->base);
    }
    return rc;
}

static otr_code take_request(config_request *r, const otr_http_request *req, otr_err *err)
{
    static const char *const modes[] = { "patch", "sync", NULL };
    static const char *const attributes[] = { "content", "mode", "owner", NULL };
    otr_msg *found = NULL;
    int mode = CONFIG_PATCH;
    list l = { .r = r, .err = err };
    otr_code rc =
        otr_config_instances_find(&r->c->instances, otr_http_query(req, "instance"), &found, err);
    rc = rc == OTR_OK ? otr_nginx_instance_copy(otr_config_instance_of(found), &r->instance, err)
                      : rc;
    rc = rc == OTR_OK ? take_base(r, req, err) : rc;
    rc = rc == OTR_OK ? take(req, "message", "", &r->message, err) : rc;
    rc = rc == OTR_OK ? take(req, "to", "previous", &r->to, err) : rc;
    rc = rc == OTR_OK ? take_word(req, "mode", modes, &mode, err) : rc;
    rc = rc == OTR_OK ? take_word(req, "attributes", attributes, &r->attributes, err) : rc;
    rc = rc == OTR_OK ? take_probation(r, req, err) : rc;
    if (rc == OTR_OK) {
        otr_http_query_each(req, "delete", add_delete, &l);
        rc = l.rc;
    }
    if (rc == OTR_OK && strlen(r->message) >= OTR_APPLY_MESSAGE_BYTES) {
        rc = otr_fail(err, OTR_EINVAL, "message: at most %d bytes", OTR_APPLY_MESSAGE_BYTES - 1);
    }
    r->mode = (config_mode)mode;
    r->request.dry_run = is_set(req, "dry_run");
    return rc;
}

static void take_peer(config_request *r, const otr_http_request *req)
{
    r->request.who = (otr_apply_who){ .kind = OTR_APPLY_BY_USER, .uid = (uid_t)-1 };
    if (req->peer.known) {
        r->request.who.uid = req->peer.uid;
        r->request.who.pid = req->peer.pid;
    }
}

static otr_code new_request(otr_config_apply *c, const otr_http_request *req, config_request **ret,
                            otr_err *err)
{
    config_request *r = otr_zalloc(sizeof(*r));
    if (r == NULL) {
        return otr_fail_nomem(err);
    }
    r->c = c;
    r->fd = -1;
    r->next = c->requests;
    c->requests = r;
    r->most_files = c->most_files;
    r->most_bytes = c->most_bytes;
    take_peer(r, req);
    const char *const *allowed = otr_config_strings(c->services->config, "allowed_directories");
    otr_code rc = otr_texts_copy((char *const *)(uintptr_t)allowed, &r->allowed, err);
    r->state_dir = otr_strdup(c->lib_dir);
    rc = rc == OTR_OK && r->state_dir == NULL ? otr_fail_nomem(err) : rc;
    rc = rc == OTR_OK ? take_request(r, req, err) : rc;
    if (rc != OTR_OK) {
        release(r);
        return rc;
    }
    *ret = r;
    return OTR_OK;
}

/* From here on a failure of the handler ends with on_closed(). */
static otr_code open_answer(config_request *r, const otr_http_request *req, otr_http_reply *reply,
                            otr_err *err)
{
    return is_set(req, "progress") ? otr_http_stream_open(req, reply, on_closed, r, &r->stream, err)
                                   : otr_http_later_open(req, reply, on_closed, r, &r->later, err);
}

static otr_code post_apply(void *config, const otr_http_request *req, otr_http_reply *reply,
                           otr_err *err)
{
    otr_config_apply *c = config;
    config_request *r = NULL;
    otr_code rc = new_request(c, req, &r, err);
    if (rc != OTR_OK) {
        return rc;
    }
    r->fd = otr_http_take_upload(req);
    if (r->fd < 0 && r->deletes == NULL) {
        release(r);
        return otr_fail(err, OTR_EINVAL, "nothing to change: send a tar, or names to delete");
    }
    rc = open_answer(r, req, reply, err);
    if (rc != OTR_OK) {
        release(r);
        return rc;
    }
    rc = otr_worker_submit(c->strand, read_body, on_body, r, err);
    r->working = rc == OTR_OK;
    return rc;
}

static otr_code post_rollback(void *config, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err)
{
    otr_config_apply *c = config;
    config_request *r = NULL;
    otr_code rc = new_request(c, req, &r, err);
    if (rc != OTR_OK) {
        return rc;
    }
    r->request.why = is_set(req, "revert") ? OTR_APPLY_WHY_REVERT : OTR_APPLY_WHY_ROLLBACK;
    if (r->request.why == OTR_APPLY_WHY_REVERT) {
        otr_texts_free(otr_steal(&r->deletes));
        rc = otr_config_revert(c->services, r->instance->id, req, &r->only, &r->deletes, err);
    }
    rc = rc == OTR_OK ? open_answer(r, req, reply, err) : rc;
    if (rc != OTR_OK) {
        release(r);
        return rc;
    }
    otr_config_history_job job = {
        .what = "read a version", .run = read_version, .done = on_version, .arg = r
    };
    rc = otr_config_history_submit(c->services->history, &job, err);
    r->working = rc == OTR_OK;
    return rc;
}

otr_code otr_config_api_init(otr_config_apply *c, otr_err *err)
{
    otr_services *s = c->services;
    otr_http_upload upload = { .folder = c->lib_dir,
                               .max_bytes =
                                   OTR_LIMIT_CHANGE_BYTES + OTR_LIMIT_CHANGE_FILES * 2048ULL,
                               .arrive_ms = UPLOAD_MS,
                               .pool = s->pool };
    otr_code rc = otr_http_route_upload(s->admin_routes, "POST", "/api/v1/config/apply", &upload,
                                        post_apply, c, err);
    rc = rc == OTR_OK ? otr_http_route(s->admin_routes, "POST", "/api/v1/config/rollback",
                                       post_rollback, c, err)
                      : rc;
    rc = rc == OTR_OK ? otr_http_route(s->admin_routes, "GET", "/api/v1/config/applies",
                                       otr_config_get_applies, c, err)
                      : rc;
    return rc == OTR_OK ? otr_http_route(s->status_routes, "GET", "/api/v1/config/applies",
                                         otr_config_get_applies, c, err)
                        : rc;
}

void otr_config_api_fini(otr_config_apply *c)
{
    otr_err err = { 0 };
    (void)otr_fail(&err, OTR_ESTATE, "the agent is stopping");
    otr_http_unroute(c->services->admin_routes, c);
    otr_http_unroute(c->services->status_routes, c);
    for (config_request *r = c->requests, *next; r != NULL; r = next) {
        next = r->next;
        r->submitted = false; /* the engine is gone */
        if (r->working) {
            r->c = NULL;
        } else {
            fail(r, OTR_ESTATE, &err);
        }
    }
    c->requests = NULL;
}
