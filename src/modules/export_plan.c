#include "modules/export_plan.h"

#include <stdio.h>

#include "base/clock.h"

enum { WHERE_BYTES = 300, NAME_BYTES = 160, INTERVAL_MS = 60000, DELAY_MS = 1000 };

/* One pipeline while it is read. */
typedef struct reader {
    const otr_config *cfg;
    otr_problems *problems;
    otr_export_plan *plan;
    const char *pipeline;
} reader;

static void complain(const reader *r, const otr_node *at, const char *what, const char *nearest)
{
    char where[WHERE_BYTES], name[NAME_BYTES];
    (void)snprintf(name, sizeof(name), "collector pipeline %s: %s", r->pipeline, otr_node_text(at));
    otr_problem_set(r->problems, "", name, "%s: %s \"%s\" %s",
                    otr_node_where(at, where, sizeof(where)), what, otr_node_text(at), nearest);
}

/* "batch" and "batch/name" are both of the type "batch". */
static bool is_type(const char *id, const char *type)
{
    size_t n = strlen(type);
    return strncmp(id, type, n) == 0 && (id[n] == '\0' || id[n] == '/');
}

static bool is_one_of(const char *id, const char *const *types)
{
    while (*types != NULL && !is_type(id, *types)) {
        types++;
    }
    return *types != NULL;
}

static unsigned read_receivers(const reader *r, const otr_node *list)
{
    static const char *const nginx[] = { "nginx_metrics", "nginx", "nginxplus", NULL };
    static const char *const host[] = { "host_metrics", "hostmetrics", "container_metrics",
                                        "containermetrics", NULL };
    unsigned sources = 0;
    for (size_t i = 0; list != NULL && i < otr_node_size(list); i++) {
        const otr_node *item = otr_node_at(list, i);
        if (is_one_of(otr_node_text(item), nginx)) {
            sources |= OTR_EXPORT_NGINX;
        } else if (is_one_of(otr_node_text(item), host)) {
            sources |= OTR_EXPORT_HOST;
        } else {
            complain(r, item, "the receiver",
                     "is not supported; nginx_metrics, host_metrics and container_metrics are");
        }
    }
    return sources;
}

/* A processor may keep things from leaving the host, so that one we lack ends the pipeline. */
static bool read_processors(const reader *r, const otr_node *list)
{
    static const char *const known[] = { "batch", NULL };
    bool ok = true;
    for (size_t i = 0; list != NULL && i < otr_node_size(list); i++) {
        const otr_node *item = otr_node_at(list, i);
        if (!is_one_of(otr_node_text(item), known) &&
            strcmp(otr_node_text(item), "resource/default") != 0) {
            complain(r, item, "the processor",
                     "is not supported, so nothing goes through this pipeline; batch is");
            ok = false;
        }
    }
    return ok;
}

static const char *text_of(const otr_node *map, const char *key)
{
    const otr_node *node = map != NULL ? otr_node_get(map, key) : NULL;
    return node != NULL ? otr_node_text(node) : "";
}

static void read_headers(const reader *r, otr_export_way *way)
{
    const otr_node *setter = otr_config_tree(r->cfg, "collector.extensions.headers_setter");
    const otr_node *list = setter != NULL ? otr_node_get(setter, "headers") : NULL;
    size_t n = 0;
    for (size_t i = 0; list != NULL && i < otr_node_size(list); i++) {
        const otr_node *item = otr_node_at(list, i);
        const otr_node *key = otr_node_get(item, "key");
        if (key == NULL) {
            continue;
        }
        if (otr_node_get(item, "value") == NULL || n == OTR_EXPORT_HEADERS ||
            strcmp(text_of(item, "action"), "delete") == 0) {
            complain(r, key, "the header",
                     "of headers_setter is left out: at most 32, each with key and value");
            continue;
        }
        way->headers[2 * n] = otr_node_text(key);
        way->headers[2 * n + 1] = text_of(item, "value");
        n++;
    }
    way->spec.headers = way->headers;
}

static void read_tls(const reader *r, const otr_node *tls, otr_export_way *way)
{
    otr_err err = { 0 };
    way->spec.plain = tls == NULL;
    if (tls == NULL) {
        return;
    }
    way->spec.ca = text_of(tls, "ca");
    way->spec.cert = text_of(tls, "cert");
    way->spec.key = text_of(tls, "key");
    way->spec.server_name = text_of(tls, "server_name");
    const otr_node *skip = otr_node_get(tls, "skip_verify");
    if (skip != NULL && otr_node_as_bool(skip, &way->spec.skip_verify, &err) != OTR_OK) {
        complain(r, skip, "skip_verify", "is neither true nor false: certificates are checked");
    }
}

static bool read_server(const otr_node *node, otr_export_way *way)
{
    const otr_node *server = otr_node_get(node, "server");
    const otr_node *port = server != NULL ? otr_node_get(server, "port") : NULL;
    const char *host = text_of(server, "host");
    int64_t number = 0;
    otr_err err = { 0 };
    if (host[0] == '\0' || port == NULL ||
        otr_node_as_int(port, 1, 65535, &number, &err) != OTR_OK) {
        return false;
    }
    bool bare = strchr(host, ':') != NULL && host[0] != '[';
    int n =
        snprintf(way->target, sizeof(way->target), bare ? "[%s]:%d" : "%s:%d", host, (int)number);
    return n > 0 && (size_t)n < sizeof(way->target);
}

static void add_way(const reader *r, const otr_node *item, const otr_node *node, unsigned sources)
{
    if (r->plan->n == OTR_COUNT(r->plan->ways)) {
        complain(r, item, "the exporter", "is one too many: at most 16 are used");
        return;
    }
    otr_export_way *way = &r->plan->ways[r->plan->n];
    *way = (otr_export_way){ .pipeline = r->pipeline,
                             .exporter = otr_node_text(item),
                             .sources = sources };
    if (!read_server(node, way)) {
        complain(r, item, "the exporter", "needs server.host and server.port (1 to 65535)");
        return;
    }
    const char *compression = text_of(node, "compression");
    if (compression[0] != '\0' && strcmp(compression, "none") != 0) {
        complain(r, otr_node_get(node, "compression"), "compression",
                 "is not supported: requests are sent without; none is");
    }
    read_tls(r, otr_node_get(node, "tls"), way);
    if (text_of(node, "authenticator")[0] != '\0') {
        read_headers(r, way);
    }
    r->plan->n++;
}

static void read_exporters(const reader *r, const otr_node *list, unsigned sources)
{
    static const char *const grpc[] = { "otlp", "otlp_grpc", NULL };
    const otr_node *all = otr_config_tree(r->cfg, "collector.exporters");
    const otr_node *otlp = all != NULL ? otr_node_get(all, "otlp") : NULL;
    for (size_t i = 0; list != NULL && i < otr_node_size(list); i++) {
        const otr_node *item = otr_node_at(list, i);
        const char *slash = strchr(otr_node_text(item), '/');
        if (!is_one_of(otr_node_text(item), grpc)) {
            complain(r, item, "the exporter",
                     "is not supported; otlp/<name> is, and GET /metrics serves Prometheus");
            continue;
        }
        const otr_node *node = otlp != NULL && slash != NULL ? otr_node_get(otlp, slash + 1) : NULL;
        if (node == NULL) {
            complain(r, item, "the exporter", "has no entry below collector.exporters.otlp");
            continue;
        }
        add_way(r, item, node, sources);
    }
}

static void read_pipeline(const reader *r, const otr_node *node)
{
    unsigned sources = read_receivers(r, otr_node_get(node, "receivers"));
    if (read_processors(r, otr_node_get(node, "processors")) && sources != 0) {
        read_exporters(r, otr_node_get(node, "exporters"), sources);
    }
}

static uint64_t duration_of(const reader *r, const char *key, uint64_t usual_ms)
{
    const otr_node *all = otr_config_tree(r->cfg, "collector.receivers");
    const otr_node *host = all != NULL ? otr_node_get(all, "host_metrics") : NULL;
    const otr_node *node = host != NULL ? otr_node_get(host, key) : NULL;
    uint64_t ns = 0;
    otr_err err = { 0 };
    if (node == NULL) {
        return usual_ms;
    }
    if (otr_node_as_duration_ns(node, &ns, &err) != OTR_OK || ns < OTR_NS_PER_MS) {
        complain(r, node, key, "is no duration of 1 ms or more: the default is used");
        return usual_ms;
    }
    return ns / OTR_NS_PER_MS;
}

void otr_export_plan_read(const otr_config *cfg, otr_export_plan *ret, otr_problems *problems)
{
    reader r = { .cfg = cfg, .problems = problems, .plan = ret, .pipeline = "" };
    ret->n = 0;
    ret->interval_ms = ret->delay_ms = 0;
    const otr_node *pipelines = otr_config_tree(cfg, "collector.pipelines");
    const otr_node *metrics = pipelines != NULL ? otr_node_get(pipelines, "metrics") : NULL;
    if (metrics == NULL || otr_node_kind(metrics) != OTR_NODE_MAP) {
        return;
    }
    ret->interval_ms = duration_of(&r, "collection_interval", INTERVAL_MS);
    ret->delay_ms = duration_of(&r, "initial_delay", DELAY_MS);
    for (size_t i = 0; i < otr_node_size(metrics); i++) {
        r.pipeline = otr_node_key_at(metrics, i);
        read_pipeline(&r, otr_node_at(metrics, i));
    }
}
