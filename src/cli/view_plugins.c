#include "cli/view_plugins.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/view.h"

static const char usage[] = "Usage: outrider plugins [--json] [--socket PATH] [--config FILE]\n\n"
                            "Every plugin with its state and counters.\n"
                            "Exit: 0 all run, 1 one does not, 2 the agent could not be asked.\n";

static const char *text(const otr_json *v, const char *key)
{
    return otr_json_str(otr_json_get(v, key), "");
}

static int64_t number(const otr_json *v, const char *key)
{
    return otr_json_int(otr_json_get(v, key), 0);
}

static otr_tone tone_of(const char *state)
{
    return strcmp(state, "running") == 0    ? OTR_TONE_GOOD
           : strcmp(state, "disabled") == 0 ? OTR_TONE_BAD
                                            : OTR_TONE_WARN;
}

/* "running", or "running 3/4" when it has several instances. */
static void add_state(otr_table *t, const otr_json *p)
{
    const char *state = text(p, "state");
    int64_t all = number(p, "instances"), running = number(p, "instances_running");
    if (all > 1 && strcmp(state, "running") == 0) {
        otr_table_cell(t, running < all ? OTR_TONE_WARN : OTR_TONE_GOOD, "%s %" PRId64 "/%" PRId64,
                       state, running, all);
    } else {
        otr_table_cell(t, tone_of(state), "%s", state);
    }
}

static void add_row(otr_table *t, const otr_json *p)
{
    char memory[24], mean[24] = "-";
    const otr_json *queue = otr_json_get(p, "queue");
    int64_t calls = number(p, "calls");
    int64_t bad = number(p, "errors") + number(p, "traps") + number(p, "timeouts");
    int64_t dropped = number(queue, "dropped") + number(p, "publish_dropped");
    bool module = strcmp(text(p, "kind"), "module") == 0;
    if (calls > 0) {
        double us = otr_json_num(otr_json_get(p, "call_seconds"), 0) / (double)calls * 1e6;
        (void)snprintf(mean, sizeof(mean), us >= 1000 ? "%.1f ms" : "%.1f us",
                       us >= 1000 ? us / 1000 : us);
    }
    otr_table_cell(t, OTR_TONE_PLAIN, "%s", text(p, "name"));
    add_state(t, p);
    otr_table_cell(t, OTR_TONE_PLAIN, "%s", module ? "built in" : text(p, "abi"));
    otr_table_cell(t, OTR_TONE_PLAIN, "%" PRId64, calls);
    otr_table_cell(t, OTR_TONE_PLAIN, "%s", mean);
    otr_table_cell(t, bad > 0 ? OTR_TONE_BAD : OTR_TONE_PLAIN, "%" PRId64, bad);
    otr_table_cell(t, OTR_TONE_PLAIN, "%" PRId64 "/%" PRId64, number(queue, "depth"),
                   number(queue, "capacity"));
    otr_table_cell(t, dropped > 0 ? OTR_TONE_BAD : OTR_TONE_PLAIN, "%" PRId64, dropped);
    otr_table_cell(t, OTR_TONE_PLAIN, "%s",
                   otr_view_bytes((uint64_t)number(p, "memory_bytes"), memory));
}

void otr_view_plugins_print(const otr_json *plugins)
{
    static const char *const heads[] = { "PLUGIN", "STATE", "ABI",     "CALLS", "MEAN",
                                         "ERRORS", "QUEUE", "DROPPED", "MEMORY" };
    otr_table t;
    otr_table_init(&t, OTR_COUNT(heads), 0x1f8);
    for (size_t i = 0; i < OTR_COUNT(heads); i++) {
        otr_table_cell(&t, OTR_TONE_DIM, "%s", heads[i]);
    }
    for (size_t i = 0; i < otr_json_size(plugins); i++) {
        add_row(&t, otr_json_at(plugins, i));
    }
    otr_table_print(&t);
}

/* Prints why those that do not run do not. Returns how many. */
static size_t print_reasons(const otr_json *plugins)
{
    size_t n = 0;
    for (size_t i = 0; i < otr_json_size(plugins); i++) {
        const otr_json *p = otr_json_at(plugins, i);
        if (tone_of(text(p, "state")) == OTR_TONE_GOOD) {
            continue;
        }
        (void)fputs(n++ == 0 ? "\n  " : "  ", stdout);
        otr_view_print(OTR_TONE_WARN, text(p, "name"));
        (void)fputs(": ", stdout);
        const char *reason = text(p, "reason");
        otr_view_print(OTR_TONE_PLAIN, reason[0] != '\0' ? reason : text(p, "state"));
        (void)putchar('\n');
    }
    return n;
}

static size_t count_not_running(const otr_json *plugins)
{
    size_t n = 0;
    for (size_t i = 0; i < otr_json_size(plugins); i++) {
        n += tone_of(text(otr_json_at(plugins, i), "state")) != OTR_TONE_GOOD;
    }
    return n;
}

static int show(const otr_view *v)
{
    int code = OTR_VIEW_FAILED;
    otr_buf body;
    otr_json *root = NULL;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    if (otr_view_ask(v, "/api/v1/plugins", &body, &root)) {
        code = count_not_running(root) == 0 ? OTR_VIEW_FINE : OTR_VIEW_NOT_FINE;
        if (v->json) {
            otr_cli_print_json(stdout, otr_buf_bytes(&body));
        } else {
            otr_view_plugins_print(root);
            (void)print_reasons(root);
        }
    }
    otr_json_free(root);
    otr_buf_deinit(&body);
    return code;
}

int otr_cli_plugins(int argc, char **argv)
{
    otr_view v = { .command = "plugins", .usage = usage };
    int code = OTR_VIEW_FAILED;
    if (otr_view_init(&v, argc, argv, &code)) {
        code = show(&v);
    }
    otr_view_deinit(&v);
    return code;
}
