/* `outrider plugin show NAME` for people: what it is, how it is, and what it did. */
#include "cli/view_plugin_show.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/view.h"

enum { LINE_BYTES = 512 };

static const char *text(const otr_json *p, const char *key)
{
    return otr_json_str(otr_json_get(p, key), "");
}

static uint64_t number(const otr_json *p, const char *key)
{
    int64_t n = otr_json_int(otr_json_get(p, key), 0);
    return n > 0 ? (uint64_t)n : 0;
}

static void line(const char *name, otr_tone tone, const char *value)
{
    (void)printf("  %-11s ", name);
    otr_view_print(tone, value);
    (void)putchar('\n');
}

static void line_of(const char *name, otr_tone tone, const char *format, ...) OTR_PRINTF(3, 4);

static void line_of(const char *name, otr_tone tone, const char *format, ...)
{
    char value[LINE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    line(name, tone, value);
}

static void list(const otr_json *p, const char *key)
{
    const otr_json *items = otr_json_get(p, key);
    size_t n = items != NULL ? otr_json_size(items) : 0;
    if (n > 0) {
        (void)printf("  %-11s ", key);
    }
    for (size_t i = 0; i < n; i++) {
        (void)fputs(i > 0 ? ", " : "", stdout);
        otr_view_print(OTR_TONE_PLAIN, otr_json_str(otr_json_at(items, i), ""));
    }
    if (n > 0) {
        (void)putchar('\n');
    }
}

static void head(const otr_json *p)
{
    const char *state = text(p, "state"), *reason = text(p, "reason");
    bool good = strcmp(state, "running") == 0;
    bool bad = strcmp(state, "disabled") == 0;
    uint64_t instances = number(p, "instances");
    otr_view_print(OTR_TONE_PLAIN, text(p, "name"));
    (void)fputs(text(p, "version")[0] != '\0' ? " " : "", stdout);
    otr_view_print(OTR_TONE_PLAIN, text(p, "version"));
    (void)fputs(" is ", stdout);
    otr_view_print(good ? OTR_TONE_GOOD : bad ? OTR_TONE_BAD : OTR_TONE_WARN, state);
    if (instances > 1) {
        (void)printf(", %llu of %llu instances", (unsigned long long)number(p, "instances_running"),
                     (unsigned long long)instances);
    }
    (void)fputs(", since ", stdout);
    otr_view_print(OTR_TONE_PLAIN, text(p, "since"));
    (void)putchar('\n');
    if (reason[0] != '\0') {
        line("reason", OTR_TONE_WARN, reason);
    }
}

typedef struct pairs {
    char text[LINE_BYTES];
    size_t n, used;
} pairs;

static bool add_pair(void *arg, const char *key, const otr_json *v)
{
    pairs *p = arg;
    int n = snprintf(p->text + p->used, sizeof(p->text) - p->used, "%s%.40s → %.140s",
                     p->n > 0 ? ", " : "", key, otr_json_str(v, ""));
    p->used += n > 0 && (size_t)n < sizeof(p->text) - p->used ? (size_t)n : 0;
    p->n++;
    return true;
}

/* What its entry says in the place of the contract. */
static void mapping(const otr_json *p)
{
    pairs all = { .n = 0 };
    const otr_json *operations = otr_json_get(p, "operations");
    if (operations != NULL && otr_json_size(operations) > 0) {
        otr_json_each(operations, add_pair, &all);
        line("operations", OTR_TONE_PLAIN, all.text);
    }
    if (text(p, "input")[0] != '\0') {
        uint64_t skipped = number(p, "skipped");
        line_of("input", skipped > 0 ? OTR_TONE_WARN : OTR_TONE_PLAIN,
                "%s, %llu messages without it skipped", text(p, "input"),
                (unsigned long long)skipped);
    }
    if (text(p, "publish")[0] != '\0') {
        line("publish", OTR_TONE_PLAIN, text(p, "publish"));
    }
}

static void facts(const otr_json *p)
{
    if (text(p, "abi")[0] != '\0') {
        line_of("speaks", OTR_TONE_PLAIN, "%s on %s, messages in %s", text(p, "abi"),
                text(p, "engine"), text(p, "encoding"));
    }
    if (text(p, "source")[0] != '\0') {
        line("source", OTR_TONE_PLAIN, text(p, "source"));
        line("sha256", OTR_TONE_PLAIN, text(p, "sha256")[0] != '\0' ? text(p, "sha256") : "-");
    }
    list(p, "subscribes");
    list(p, "hooks");
    mapping(p);
}

typedef struct kinds {
    char text[LINE_BYTES];
    size_t n, used;
} kinds;

static bool add_kind(void *arg, const char *key, const otr_json *v)
{
    kinds *k = arg;
    int n = snprintf(k->text + k->used, sizeof(k->text) - k->used, "%s%.40s %llu",
                     k->n > 0 ? ", " : ": ", key, (unsigned long long)otr_json_int(v, 0));
    k->used += n > 0 && (size_t)n < sizeof(k->text) - k->used ? (size_t)n : 0;
    k->n++;
    return true;
}

static void denials(const otr_json *p)
{
    kinds k = { .n = 0 };
    uint64_t all = number(p, "denials");
    const otr_json *by = otr_json_get(p, "denials_by");
    int n = snprintf(k.text, sizeof(k.text), "%llu", (unsigned long long)all);
    k.used = n > 0 ? (size_t)n : 0;
    if (by != NULL) {
        otr_json_each(by, add_kind, &k);
    }
    line("denied", all > 0 ? OTR_TONE_WARN : OTR_TONE_PLAIN, k.text);
}

static void counts(const otr_json *p)
{
    uint64_t calls = number(p, "calls");
    uint64_t failed = number(p, "errors") + number(p, "traps") + number(p, "timeouts");
    double mean = calls > 0 ? otr_json_num(otr_json_get(p, "call_seconds"), 0) / (double)calls : 0;
    line_of("calls", OTR_TONE_PLAIN, "%llu, %.1f us each", (unsigned long long)calls, mean * 1e6);
    line_of("failed", failed > 0 ? OTR_TONE_WARN : OTR_TONE_PLAIN,
            "%llu errors, %llu traps, %llu time-outs, %llu dead letters",
            (unsigned long long)number(p, "errors"), (unsigned long long)number(p, "traps"),
            (unsigned long long)number(p, "timeouts"),
            (unsigned long long)number(p, "dead_letters"));
    line_of("replaced", OTR_TONE_PLAIN, "%llu after a failure, %llu that had grown",
            (unsigned long long)number(p, "restarts"), (unsigned long long)number(p, "recycled"));
    line_of("published", OTR_TONE_PLAIN, "%llu, %llu dropped",
            (unsigned long long)number(p, "published"),
            (unsigned long long)number(p, "publish_dropped"));
    denials(p);
    if (number(p, "hooks_asked") > 0) {
        line_of("asked", OTR_TONE_PLAIN, "%llu times, %llu denied, %llu without an answer",
                (unsigned long long)number(p, "hooks_asked"),
                (unsigned long long)number(p, "hooks_denied"),
                (unsigned long long)number(p, "hooks_unanswered"));
    }
    line_of("logged", OTR_TONE_PLAIN, "%llu lines, %llu dropped",
            (unsigned long long)number(p, "logs"), (unsigned long long)number(p, "logs_dropped"));
}

static void room(const otr_json *p)
{
    char now[24], most[24];
    const otr_json *queue = otr_json_get(p, "queue");
    uint64_t dropped = queue != NULL ? number(queue, "dropped") : 0;
    if (queue != NULL) {
        line_of("queue", dropped > 0 ? OTR_TONE_WARN : OTR_TONE_PLAIN,
                "%llu of %llu waiting, most %llu, %llu dropped",
                (unsigned long long)number(queue, "depth"),
                (unsigned long long)number(queue, "capacity"),
                (unsigned long long)number(queue, "depth_max"), (unsigned long long)dropped);
    }
    line_of("memory", OTR_TONE_PLAIN, "%s, most %s", otr_view_bytes(number(p, "memory_bytes"), now),
            otr_view_bytes(number(p, "memory_max_bytes"), most));
}

void otr_cli_show_plugin(const otr_json *plugin)
{
    head(plugin);
    facts(plugin);
    counts(plugin);
    room(plugin);
}
