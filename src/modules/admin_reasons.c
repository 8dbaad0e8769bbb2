/*
 * Why the agent is not fine: what modules say that does not work, what is not known of an NGINX,
 * how it is, and plugins that do not run. Shown by the status, counted in the metrics.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "modules/admin.h"

typedef struct why_not {
    const char *kind;  /* "nginx_health", "stub_status", "plugin": few, and the same for its like */
    const char *who;   /* an instance's id; "": the agent */
    const char *text;  /* a sentence for people */
    uint64_t since_ns; /* monotonic; 0: not known */
} why_not;
typedef void why_not_fn(void *arg, const why_not *reason);

enum { REASON_BYTES = 1024, KIND_BYTES = 32, KINDS_MOST = 64 };

typedef struct walk {
    const otr_admin *a;
    why_not_fn *fn;
    void *arg;
} walk;

static void add(const walk *to, const why_not *what, const char *format, ...) OTR_PRINTF(3, 4);
static void add(const walk *to, const why_not *what, const char *format, ...)
{
    char text[REASON_BYTES];
    why_not reason = *what;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    reason.text = text;
    to->fn(to->arg, &reason);
}

/* ---- NGINX ---- */

static void add_instance(const walk *to, const otr_admin_instance *i)
{
    const otr_nginx_instance *nginx = ((const otr_instance_event *)i->instance->payload)->instance;
    why_not what = { .kind = "nginx_config", .who = i->id };
    if (nginx->config_error[0] != '\0') {
        add(to, &what, "NGINX of %s: its configuration cannot be read: %s", nginx->config,
            nginx->config_error);
    }
    what.kind = "nginx_remark";
    for (size_t n = 0; n < nginx->n_remarks; n++) {
        add(to, &what, "NGINX of %s: %s", nginx->config, nginx->remarks[n]);
    }
    if (nginx->n_remarks >= OTR_LIMIT_NGINX_REMARKS) {
        add(to, &what, "NGINX of %s: only the first %d of such remarks are kept", nginx->config,
            OTR_LIMIT_NGINX_REMARKS);
    }
    const otr_health_event *health = i->health != NULL ? i->health->payload : NULL;
    if (health != NULL && health->status != OTR_HEALTH_HEALTHY) {
        bool why = health->description[0] != '\0';
        what = (why_not){ .kind = "nginx_health", .who = i->id, .since_ns = i->health->created_ns };
        add(to, &what, "%s %s is %s%s%s",
            health->status == OTR_HEALTH_UNKNOWN ? "the health of NGINX of" : "NGINX of",
            nginx->config, otr_health_name(health->status), why ? ": " : "", health->description);
    }
}

/* How people tell the instance with this id: by its configuration. */
static const char *config_of(const otr_admin *a, const char *id)
{
    for (size_t i = 0; i < a->n_instances; i++) {
        if (strcmp(a->instances[i]->id, id) == 0) {
            return ((const otr_instance_event *)a->instances[i]->instance->payload)
                ->instance->config;
        }
    }
    return id;
}

/* ---- problems ---- */

/* "access_log /var/log/a.log" is of the kind "access_log". */
static const char *kind_of(const char *name, char out[KIND_BYTES])
{
    size_t n = strcspn(name, " ");
    n = n < KIND_BYTES ? n : KIND_BYTES - 1;
    memcpy(out, name, n);
    out[n] = '\0';
    return out;
}

/* "/var/log/a.log" of the above, unless the text says it; else "". */
static const char *unsaid(const otr_problem *problem)
{
    const char *blank = strchr(problem->name, ' ');
    return blank == NULL || strstr(problem->text, blank + 1) != NULL ? "" : blank + 1;
}

static void add_problem(const walk *to, const otr_problem *problem)
{
    char kind[KIND_BYTES];
    const why_not what = { .kind = kind_of(problem->name, kind),
                           .who = problem->who,
                           .since_ns = problem->since_ns };
    const char *name = problem->who[0] != '\0' ? unsaid(problem) : "";
    const char *colon = name[0] != '\0' ? ": " : "";
    if (problem->who[0] == '\0') {
        add(to, &what, "%s", problem->text);
    } else {
        add(to, &what, "NGINX of %s: %s%s%s", config_of(to->a, problem->who), name, colon,
            problem->text);
    }
}

static void add_problems(const walk *to)
{
    size_t n;
    const otr_problems *problems = to->a->services->problems;
    const otr_problem *list = otr_problems_list(problems, &n);
    for (size_t i = 0; i < n; i++) {
        add_problem(to, &list[i]);
    }
    if (otr_problems_missing(problems) > 0) {
        const why_not what = { .kind = "more", .who = "" };
        add(to, &what, "%" PRIu64 " more problems found no room in this list",
            otr_problems_missing(problems));
    }
}

/* ---- plugins ---- */

static bool add_plugin(void *arg, const otr_plugin_view *v)
{
    const walk *to = arg;
    const why_not what = { .kind = "plugin", .who = "", .since_ns = v->state_since_ns };
    if (v->state == OTR_PLUGIN_BACKOFF || v->state == OTR_PLUGIN_DISABLED) {
        add(to, &what, "plugin %s is %s%s%s", v->name,
            v->state == OTR_PLUGIN_DISABLED ? "disabled" : "waiting to restart",
            v->reason[0] != '\0' ? ": " : "", v->reason);
    } else if (v->state == OTR_PLUGIN_RUNNING && v->running < v->instances) {
        add(to, &what, "plugin %s runs %zu of its %zu instances", v->name, v->running,
            v->instances);
    }
    return true;
}

/* ---- all ---- */

static void each_reason(const otr_admin *a, why_not_fn *fn, void *arg)
{
    walk to = { .a = a, .fn = fn, .arg = arg };
    if (a->n_instances == 0) {
        const why_not what = { .kind = "no_nginx", .who = "" };
        add(&to, &what, "no running NGINX was found");
    }
    for (size_t i = 0; i < a->n_instances; i++) {
        add_instance(&to, a->instances[i]);
    }
    add_problems(&to);
    otr_plugin_host_each(a->services->plugins, add_plugin, &to);
}

typedef struct list {
    otr_jw *w;
    size_t n;
} list;

static void write_text(void *arg, const why_not *reason)
{
    list *l = arg;
    if (l->n++ < OTR_LIMIT_REASONS) {
        otr_jw_bytes(l->w, NULL, otr_bytes_of(reason->text));
    }
}

static void write_whole(void *arg, const why_not *reason)
{
    list *l = arg;
    if (l->n++ >= OTR_LIMIT_REASONS) {
        return;
    }
    otr_jw_obj(l->w, NULL);
    otr_jw_str(l->w, "kind", reason->kind);
    if (reason->who[0] != '\0') {
        otr_jw_str(l->w, "instance", reason->who);
    } else {
        otr_jw_null(l->w, "instance");
    }
    otr_admin_write_time(l->w, "since", reason->since_ns);
    otr_jw_bytes(l->w, "text", otr_bytes_of(reason->text));
    otr_jw_obj_end(l->w);
}

void otr_admin_write_reasons(otr_jw *w, const otr_admin *a)
{
    list texts = { .w = w }, wholes = { .w = w };
    otr_jw_arr(w, "reasons");
    each_reason(a, write_text, &texts);
    otr_jw_arr_end(w);
    otr_jw_u64(w, "reasons_more", texts.n > OTR_LIMIT_REASONS ? texts.n - OTR_LIMIT_REASONS : 0);
    otr_jw_arr(w, "problems");
    each_reason(a, write_whole, &wholes);
    otr_jw_arr_end(w);
    otr_jw_str(w, "state", texts.n == 0 ? "ok" : "degraded");
}

/* ---- series ---- */

struct otr_admin_kind {
    char name[KIND_BYTES];
    otr_series *series;
    size_t n; /* of the count under way */
};

static const char *const kind_label[] = { "kind", NULL };
static const otr_family problems_family = {
    .name = "outrider.problems",
    .unit = "problems",
    .help = "How many reasons outrider status gives for not being fine.",
    .kind = OTR_METRIC_GAUGE,
};
static const otr_family by_kind_family = {
    .name = "outrider.problems.by.kind",
    .unit = "problems",
    .help = "The same by kind; a kind that there was goes back to 0.",
    .kind = OTR_METRIC_GAUGE,
    .labels = kind_label,
};

typedef struct count {
    otr_admin *a;
    size_t n;
} count;

static otr_admin_kind *get_kind(otr_admin *a, const char *name)
{
    for (size_t i = 0; i < a->n_kinds; i++) {
        if (strcmp(a->kinds[i].name, name) == 0) {
            return &a->kinds[i];
        }
    }
    const char *const values[] = { name, NULL };
    otr_admin_kind fresh = { .n = 0 };
    otr_admin_kind *grown =
        a->n_kinds < KINDS_MOST ? otr_realloc(a->kinds, (a->n_kinds + 1) * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        return NULL;
    }
    a->kinds = grown;
    if (otr_registry_series(a->services->metrics, &by_kind_family, values, &fresh.series, NULL) !=
        OTR_OK) {
        return NULL;
    }
    (void)snprintf(fresh.name, sizeof(fresh.name), "%s", name);
    a->kinds[a->n_kinds] = fresh;
    return &a->kinds[a->n_kinds++];
}

static void count_reason(void *arg, const why_not *reason)
{
    count *c = arg;
    otr_admin_kind *kind = get_kind(c->a, reason->kind);
    c->n++;
    if (kind != NULL) { /* else it is in the sum only */
        kind->n++;
    }
}

static void collect(void *arg)
{
    otr_admin *a = arg;
    count c = { .a = a };
    for (size_t i = 0; i < a->n_kinds; i++) {
        a->kinds[i].n = 0;
    }
    each_reason(a, count_reason, &c);
    otr_series_set(a->problems, (double)c.n);
    for (size_t i = 0; i < a->n_kinds; i++) {
        otr_series_set(a->kinds[i].series, (double)a->kinds[i].n);
    }
}

otr_code otr_admin_reasons_init(otr_admin *a, otr_err *err)
{
    otr_code rc =
        otr_registry_series(a->services->metrics, &problems_family, NULL, &a->problems, err);
    return rc == OTR_OK ? otr_registry_on_collect(a->services->metrics, collect, a, err) : rc;
}

void otr_admin_reasons_fini(otr_admin *a)
{
    otr_registry_off_collect(a->services->metrics, a);
    for (size_t i = 0; i < a->n_kinds; i++) {
        otr_series_drop(a->kinds[i].series);
    }
    otr_free(a->kinds);
    otr_series_drop(a->problems);
    a->kinds = NULL;
    a->n_kinds = 0;
    a->problems = NULL;
}
