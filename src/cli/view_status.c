#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/view.h"
#include "cli/view_plugins.h"

enum { HEAD_BYTES = 5120, SOURCES_BYTES = 10240, SOURCES_SHOWN = 8 };

static const char usage[] = "Usage: outrider status [--json] [--socket PATH] [--config FILE]\n\n"
                            "Is it fine, and if not, why.\n"
                            "Exit: 0 fine, 1 degraded, 2 the agent could not be asked.\n";

static const char *text(const otr_json *v, const char *key)
{
    return otr_json_str(otr_json_get(v, key), "");
}

static bool is_fine(const otr_json *root)
{
    return strcmp(text(root, "state"), "ok") == 0;
}

static void print_head(const otr_json *root)
{
    char up[32], memory[24], line[HEAD_BYTES], reloaded[48] = "";
    const otr_json *config = otr_json_get(root, "config"), *process = otr_json_get(root, "process");
    const char *file = text(config, "file");
    int64_t reloads = otr_json_int(otr_json_get(config, "generation"), 0);
    (void)fputs("outrider ", stdout);
    otr_view_print(OTR_TONE_PLAIN, text(root, "version"));
    (void)fputs(" is ", stdout);
    otr_view_print(is_fine(root) ? OTR_TONE_GOOD : OTR_TONE_WARN,
                   is_fine(root) ? "fine" : "degraded");
    if (reloads > 0) {
        (void)snprintf(reloaded, sizeof(reloaded), " (reloaded %" PRId64 "x)", reloads);
    }
    (void)snprintf(
        line, sizeof(line), "up %s, pid %" PRId64 ", %s, configuration %s%s",
        otr_view_span(otr_json_num(otr_json_get(root, "uptime_seconds"), 0), up),
        otr_json_int(otr_json_get(root, "pid"), 0),
        otr_view_bytes((uint64_t)otr_json_int(otr_json_get(process, "memory_bytes"), 0), memory),
        file[0] != '\0' ? file : "built in", reloaded);
    (void)fputs("\n  ", stdout);
    otr_view_wrap(2, OTR_TONE_PLAIN, line);
}

static void print_reasons(const otr_json *root)
{
    const otr_json *reasons = otr_json_get(root, "reasons");
    int64_t more = otr_json_int(otr_json_get(root, "reasons_more"), 0);
    for (size_t i = 0; i < otr_json_size(reasons); i++) {
        (void)fputs(i == 0 ? "\n  " : "  ", stdout);
        otr_view_print(OTR_TONE_WARN, "! ");
        otr_view_wrap(4, OTR_TONE_PLAIN, otr_json_str(otr_json_at(reasons, i), ""));
    }
    if (more > 0) {
        (void)printf("  ! and %" PRId64 " more\n", more);
    }
}

static otr_tone health_tone(const char *status)
{
    return strcmp(status, "healthy") == 0     ? OTR_TONE_GOOD
           : strcmp(status, "unhealthy") == 0 ? OTR_TONE_BAD
                                              : OTR_TONE_WARN;
}

/* Items of a list, those that the answer leaves out too. */
static uint64_t count_all(const otr_json *nginx, const char *list)
{
    int64_t more = otr_json_int(otr_json_get(otr_json_get(nginx, "truncated"), list), 0);
    return otr_json_size(otr_json_get(nginx, list)) + (uint64_t)(more > 0 ? more : 0);
}

static void add_instance(otr_table *t, const otr_json *i)
{
    const otr_json *nginx = otr_json_get(i, "instance"), *metrics = otr_json_get(i, "metrics");
    const char *health = otr_json_str(otr_json_get(otr_json_get(i, "health"), "status"), "unknown");
    bool known = otr_json_bool(otr_json_get(metrics, "status_ok"), false);
    const char *maker = text(nginx, "maker");
    bool fork = maker[0] != '\0' && strcmp(maker, "nginx") != 0;
    otr_table_cell(t, OTR_TONE_PLAIN, "%s%s%s%s", fork ? maker : "", fork ? " " : "",
                   text(nginx, "version"),
                   otr_json_bool(otr_json_get(nginx, "plus"), false) ? " plus" : "");
    otr_table_cell(t, health_tone(health), "%s", health);
    otr_table_cell(t, OTR_TONE_PLAIN, "%" PRId64, otr_json_int(otr_json_get(nginx, "pid"), 0));
    otr_table_cell(t, OTR_TONE_PLAIN, "%" PRIu64, count_all(nginx, "workers"));
    if (known) {
        otr_table_cell(t, OTR_TONE_PLAIN, "%.1f",
                       otr_json_num(otr_json_get(metrics, "requests_per_second"), 0));
        otr_table_cell(t, OTR_TONE_PLAIN, "%" PRId64,
                       otr_json_int(otr_json_get(metrics, "active"), 0));
    } else {
        otr_table_cell(t, OTR_TONE_DIM, "-");
        otr_table_cell(t, OTR_TONE_DIM, "-");
    }
    otr_table_cell(t, OTR_TONE_PLAIN, "%s", text(nginx, "config"));
}

/* Where rates come from: the URL that is asked and what comes back, and the logs that are read. */
static void print_sources(const otr_json *i)
{
    const otr_json *nginx = otr_json_get(i, "instance"), *metrics = otr_json_get(i, "metrics");
    const char *url = text(nginx, "stub_status"), *said = text(metrics, "status_error");
    bool ok = otr_json_bool(otr_json_get(metrics, "status_ok"), false);
    uint64_t logs = count_all(nginx, "access_logs");
    const otr_json *times = otr_json_get(metrics, "request_time");
    char line[SOURCES_BYTES], told[96] = "", counted[64] = "no access log is read";
    if (logs > 0) {
        (void)snprintf(counted, sizeof(counted), "%" PRIu64 " access log%s", logs,
                       logs == 1 ? "" : "s");
    }
    if (times != NULL) { /* of the last sample */
        (void)snprintf(told, sizeof(told), ", requests took %.0f ms, 1 %% of them %.0f ms or more",
                       otr_json_num(otr_json_get(times, "p50"), 0) * 1e3,
                       otr_json_num(otr_json_get(times, "p99"), 0) * 1e3);
    }
    (void)snprintf(line, sizeof(line), "%s: %s%s%s, %s%s", text(nginx, "config"),
                   url[0] != '\0' ? "stub_status " : "no stub_status is configured", url,
                   url[0] == '\0'    ? ""
                   : ok              ? " answers"
                   : said[0] != '\0' ? " fails"
                                     : " was not asked yet",
                   counted, told);
    (void)fputs("  ", stdout);
    otr_view_wrap(4, OTR_TONE_DIM, line);
    if (url[0] != '\0' && !ok && said[0] != '\0') {
        (void)fputs("    ", stdout);
        otr_view_wrap(4, OTR_TONE_WARN, said);
    }
}

static void print_instances(const otr_json *instances)
{
    static const char *const heads[] = { "NGINX", "HEALTH", "PID",   "WORKERS",
                                         "REQ/S", "ACTIVE", "CONFIG" };
    if (otr_json_size(instances) == 0) {
        return; /* the reasons say so */
    }
    otr_table t;
    otr_table_init(&t, OTR_COUNT(heads), 0x3c);
    for (size_t i = 0; i < OTR_COUNT(heads); i++) {
        otr_table_cell(&t, OTR_TONE_DIM, "%s", heads[i]);
    }
    for (size_t i = 0; i < otr_json_size(instances); i++) {
        add_instance(&t, otr_json_at(instances, i));
    }
    (void)putchar('\n');
    otr_table_print(&t);
    (void)putchar('\n');
    for (size_t i = 0; i < otr_json_size(instances) && i < SOURCES_SHOWN; i++) {
        print_sources(otr_json_at(instances, i));
    }
}

static void print_plane(const otr_json *plane)
{
    if (otr_json_kind(plane) != OTR_JSON_OBJECT) {
        return; /* none is configured */
    }
    char line[256];
    const otr_json *last = otr_json_get(plane, "last");
    const otr_json *newest = otr_json_at(last, otr_json_size(last) - 1);
    const char *error = text(plane, "last_error");
    bool connected = strcmp(text(plane, "state"), "connected") == 0;
    (void)fputs("\n  ", stdout);
    (void)snprintf(line, sizeof(line), "management plane %s: %s since %s, %" PRId64 " requests",
                   text(plane, "server"), text(plane, "state"), text(plane, "since"),
                   otr_json_int(otr_json_get(plane, "requests"), 0));
    otr_view_wrap(2, connected ? OTR_TONE_PLAIN : OTR_TONE_WARN, line);
    if (newest != NULL) {
        (void)snprintf(line, sizeof(line), "last request %s (%s): %s %s", text(newest, "type"),
                       text(newest, "correlation_id"), text(newest, "status"),
                       text(newest, "message"));
        (void)fputs("    ", stdout);
        otr_view_wrap(4, OTR_TONE_DIM, line);
    }
    if (error[0] != '\0') {
        (void)snprintf(line, sizeof(line), "last error at %s: %s", text(plane, "last_error_at"),
                       error);
        (void)fputs("    ", stdout);
        otr_view_wrap(4, OTR_TONE_DIM, line);
    }
}

static int show(const otr_view *v)
{
    int code = OTR_VIEW_FAILED;
    otr_buf body;
    otr_json *root = NULL;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    if (otr_view_ask(v, "/api/v1/status", &body, &root)) {
        code = is_fine(root) ? OTR_VIEW_FINE : OTR_VIEW_NOT_FINE;
        if (v->json) {
            otr_cli_print_json(stdout, otr_buf_bytes(&body));
        } else {
            print_head(root);
            print_reasons(root);
            print_plane(otr_json_get(root, "management_plane"));
            print_instances(otr_json_get(root, "instances"));
            (void)putchar('\n');
            otr_view_plugins_print(otr_json_get(root, "plugins"));
        }
    }
    otr_json_free(root);
    otr_buf_deinit(&body);
    return code;
}

int otr_cli_status(int argc, char **argv)
{
    otr_view v = { .command = "status", .usage = usage };
    int code = OTR_VIEW_FAILED;
    if (otr_view_init(&v, argc, argv, &code)) {
        code = show(&v);
    }
    otr_view_deinit(&v);
    return code;
}
