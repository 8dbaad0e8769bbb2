/* `outrider config history` and `outrider config export`: what was, and how to have it again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/config_ask.h"
#include "cli/print.h"
#include "net/http/unix.h"

enum { EXPORT_MS = 60000, HTTP_OK = 200 };

static const char history_usage[] =
    "Usage: outrider config history [CHANGE] [--instance NAME] [--limit N] [--before N] [--json]\n"
    "                               [--socket PATH] [--config FILE]\n\n"
    "Changes of NGINX configurations, the newest first: who, when, what became of it. With CHANGE\n"
    "(its number) one of them: its files, steps and what plugins said. Private keys are not "
    "shown.\n"
    "Exit: 0 shown, 2 there is no such change, 5 no agent.\n";

static const char export_usage[] =
    "Usage: outrider config export [VERSION] [-o FILE] [--instance NAME]\n"
    "                              [--socket PATH] [--config FILE]\n\n"
    "Writes the files of a version as a tar, private keys included, to FILE (made with mode 0600)\n"
    "or standard output. VERSION is a number of \"outrider config history\", the beginning of a\n"
    "version, good, previous, or current (the default). The same version gives the same bytes.\n"
    "Exit: 0 written, 2 there is no such version, 4 it could not be written, 5 no agent.\n";

static const char *text(const otr_json *v, const char *key)
{
    return otr_json_str(otr_json_get(v, key), "");
}

static otr_tone tone_of(const char *result)
{
    static const char *const bad[] = { "rollback-failed", "failed",      "invalid",
                                       "denied",          "rolled-back", "unknown" };
    for (size_t i = 0; i < OTR_COUNT(bad); i++) {
        if (strcmp(bad[i], result) == 0) {
            return OTR_TONE_BAD;
        }
    }
    return strcmp(result, "applied") == 0 ? OTR_TONE_GOOD : OTR_TONE_PLAIN;
}

/* "ann", "user 1000", "plane host.example". */
static void who_text(const otr_json *row, char *out, size_t cap)
{
    const otr_json *who = otr_json_get(row, "who");
    const char *kind = text(who, "kind"), *name = text(who, "name");
    bool user = strcmp(kind, "user") == 0;
    if (user && name[0] != '\0') {
        (void)snprintf(out, cap, "%s", name);
    } else if (user) {
        (void)snprintf(out, cap, "user %lld",
                       (long long)otr_json_int(otr_json_get(who, "uid"), -1));
    } else {
        (void)snprintf(out, cap, "%s%s%s", kind, name[0] != '\0' ? " " : "", name);
    }
}

/* The first line of what the one who asked wrote, or why it was not applied. */
static const char *why_text(const otr_json *row)
{
    const char *message = text(row, "message");
    return message[0] != '\0' ? message : text(row, "text");
}

static void print_list(const otr_json *root)
{
    static const char *const heads[] = {
        "CHANGE", "WHEN", "WHO", "RESULT", "FILES", "VERSION", ""
    };
    const otr_json *rows = otr_json_get(root, "changes");
    otr_table t;
    if (otr_json_size(rows) == 0) {
        (void)puts("no change is recorded");
        return;
    }
    otr_table_init(&t, OTR_COUNT(heads), 1U | 1U << 4);
    for (size_t i = 0; i < OTR_COUNT(heads); i++) {
        otr_table_cell(&t, OTR_TONE_DIM, "%s", heads[i]);
    }
    for (size_t i = 0; i < otr_json_size(rows); i++) {
        const otr_json *row = otr_json_at(rows, i);
        char who[160];
        const char *version = text(row, "version_after");
        who_text(row, who, sizeof(who));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%lld",
                       (long long)otr_json_int(otr_json_get(row, "number"), 0));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%.19sZ", text(row, "began"));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%s", who);
        otr_table_cell(&t, tone_of(text(row, "result")), "%s", text(row, "result"));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%lld",
                       (long long)otr_json_int(otr_json_get(row, "files"), 0));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%.12s", version[0] != '\0' ? version : "-");
        otr_table_cell(&t, OTR_TONE_DIM, "%.*s", (int)strcspn(why_text(row), "\n"), why_text(row));
    }
    otr_table_print(&t);
    if (otr_json_kind(otr_json_get(root, "next")) == OTR_JSON_INT) {
        (void)printf("more: --before %lld\n",
                     (long long)otr_json_int(otr_json_get(root, "next"), 0));
    }
}

/* ---- one ---- */

static void line(const char *name, otr_tone tone, const char *value)
{
    if (value[0] != '\0') {
        (void)printf("  %-9s ", name);
        otr_view_wrap(12, tone, value);
    }
}

static void print_stat(const char *name, const otr_json *stat)
{
    if (otr_json_kind(stat) == OTR_JSON_OBJECT) {
        (void)printf("            %s %.12s, %lld bytes, %s, %lld:%lld\n", name,
                     text(stat, "digest"), (long long)otr_json_int(otr_json_get(stat, "bytes"), 0),
                     text(stat, "mode"), (long long)otr_json_int(otr_json_get(stat, "uid"), 0),
                     (long long)otr_json_int(otr_json_get(stat, "gid"), 0));
    }
}

static void print_files(const otr_json *items)
{
    for (size_t i = 0; i < otr_json_size(items); i++) {
        const otr_json *item = otr_json_at(items, i);
        (void)printf("  %-9s ", text(item, "action"));
        otr_view_print(OTR_TONE_PLAIN, text(item, "path"));
        (void)putchar('\n');
        print_stat("before", otr_json_get(item, "before"));
        print_stat("after ", otr_json_get(item, "after"));
    }
}

static void print_steps(const otr_json *steps)
{
    if (otr_json_size(steps) == 0) {
        return;
    }
    (void)fputs("  steps     ", stdout);
    for (size_t i = 0; i < otr_json_size(steps); i++) {
        const otr_json *s = otr_json_at(steps, i);
        (void)fputs(i > 0 ? ", " : "", stdout);
        otr_view_print(OTR_TONE_PLAIN, text(s, "name"));
        (void)printf(" %.0f ms", otr_json_num(otr_json_get(s, "ms"), 0));
    }
    (void)putchar('\n');
}

static void print_one(const otr_json *row)
{
    char who[160], took[48];
    who_text(row, who, sizeof(who));
    (void)snprintf(took, sizeof(took), "%.0f ms", otr_json_num(otr_json_get(row, "took_ms"), 0));
    (void)printf("change %lld of ", (long long)otr_json_int(otr_json_get(row, "number"), 0));
    otr_view_print(OTR_TONE_PLAIN, text(row, "config"));
    (void)fputs(": ", stdout);
    otr_view_print(tone_of(text(row, "result")), text(row, "result"));
    (void)putchar('\n');
    line("id", OTR_TONE_PLAIN, text(row, "id"));
    line("instance", OTR_TONE_PLAIN, text(row, "instance"));
    line("when", OTR_TONE_PLAIN, text(row, "began"));
    line("who", OTR_TONE_PLAIN, who);
    line("message", OTR_TONE_PLAIN, text(row, "message"));
    line("goes to", OTR_TONE_PLAIN, text(row, "of"));
    line("why", OTR_TONE_PLAIN, text(row, "text"));
    line("took", OTR_TONE_PLAIN, took);
    line("before", OTR_TONE_PLAIN, text(row, "version_before"));
    line("after", OTR_TONE_PLAIN, text(row, "version_after"));
    print_steps(otr_json_get(row, "steps"));
    print_files(otr_json_get(row, "items"));
}

static int history(otr_cli_ask *a)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf body;
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    int code;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    if (a->n_words > 1) {
        (void)fputs(history_usage, stderr);
        return OTR_CONFIG_USAGE;
    }
    otr_cli_ask_target(a, "/api/v1/config/history");
    if (a->n_words == 1) {
        const char *which = a->words[0] + (a->words[0][0] == '#');
        if (which[0] == '\0' || which[strspn(which, "0123456789abcdefABCDEFT-")] != '\0') {
            otr_cli_say(stderr, "outrider config history: \"%s\" is no change", a->words[0]);
            return OTR_CONFIG_USAGE;
        }
        otr_buf_clear(&a->target);
        if (otr_buf_addf(&a->target, NULL, "/api/v1/config/history/%s", which) != OTR_OK) {
            otr_buf_clear(&a->target);
        }
    }
    otr_cli_ask_param(a, "instance", a->instance);
    otr_cli_ask_param(a, "limit", a->limit);
    otr_cli_ask_param(a, "before", a->before);
    if (!otr_cli_ask_get(a, &body, &root, &code)) {
        return code;
    }
    if (a->view.json) {
        otr_cli_print_json(stdout, otr_buf_bytes(&body));
    } else if (a->n_words == 1) {
        print_one(root);
    } else {
        print_list(root);
    }
    return OTR_CONFIG_FINE;
}

int otr_cli_config_history(int argc, char **argv)
{
    otr_cli_ask a = { .view = { .command = "config history", .usage = history_usage } };
    int code;
    if (otr_cli_ask_init(&a, OTR_CONFIG_HAS_PAGE, argc, argv, &code)) {
        code = history(&a);
    }
    otr_cli_ask_deinit(&a);
    return code;
}

/* ---- export ---- */

/* A new file beside the target, which it replaces when it is whole. */
typedef struct target {
    const char *path; /* NULL: standard output */
    otr_buf fresh;
    int fd;
} target;

static otr_code open_target(target *t, otr_err *err)
{
    otr_buf_init(&t->fresh, OTR_LIMIT_HISTORY_PATH_BYTES);
    if (t->path == NULL) {
        t->fd = STDOUT_FILENO;
        return OTR_OK;
    }
    otr_code rc = otr_buf_addf(&t->fresh, err, "%s.%d.part", t->path, (int)getpid());
    if (rc != OTR_OK) {
        return rc;
    }
    t->fd = open(otr_buf_text(&t->fresh), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return t->fd >= 0 ? OTR_OK
                      : otr_fail_sys(err, errno, "cannot make %s", otr_buf_text(&t->fresh));
}

static otr_code close_target(target *t, otr_code rc, otr_err *err)
{
    if (t->path == NULL || t->fd < 0) {
        otr_buf_deinit(&t->fresh);
        return rc;
    }
    if (rc == OTR_OK && fsync(t->fd) != 0) {
        rc = otr_fail_sys(err, errno, "cannot write %s", t->path);
    }
    close(t->fd);
    if (rc == OTR_OK && rename(otr_buf_text(&t->fresh), t->path) != 0) {
        rc = otr_fail_sys(err, errno, "cannot make %s", t->path);
    }
    if (rc != OTR_OK) {
        (void)unlink(otr_buf_text(&t->fresh));
    }
    otr_buf_deinit(&t->fresh);
    return rc;
}

static int save(const otr_cli_ask *a, target *t)
{
    otr_err err = { 0 };
    unsigned status = 0;
    OTR_CLEANUP(otr_buf_deinit) otr_buf refused;
    const otr_unix_http ask = { .socket_path = otr_buf_text(&a->view.socket_path),
                                .method = "GET",
                                .target = otr_buf_text(&a->target),
                                .timeout_ms = EXPORT_MS };
    otr_buf_init(&refused, OTR_LIMIT_HTTP_REPLY_BYTES);
    otr_code rc = open_target(t, &err);
    if (rc != OTR_OK) {
        (void)close_target(t, rc, NULL);
        otr_cli_say(stderr, "outrider config export: %s", err.msg);
        return OTR_CONFIG_FAILED;
    }
    rc = otr_unix_http_save(&ask, t->fd, &status, &refused, &err);
    otr_code ended = close_target(t, rc == OTR_OK && status != HTTP_OK ? OTR_ENOTFOUND : rc, &err);
    if (rc != OTR_OK) {
        otr_view_complain(&a->view, &err);
        return OTR_CONFIG_NO_AGENT;
    }
    if (status != HTTP_OK) {
        return otr_cli_ask_refused(a, status, &refused);
    }
    if (ended != OTR_OK) {
        otr_cli_say(stderr, "outrider config export: %s", err.msg);
        return OTR_CONFIG_FAILED;
    }
    return OTR_CONFIG_FINE;
}

static int export(otr_cli_ask *a)
{
    target t = { .path = a->output != NULL && strcmp(a->output, "-") != 0 ? a->output : NULL,
                 .fd = -1 };
    if (a->n_words > 1 || a->view.json) {
        (void)fputs(export_usage, stderr);
        return OTR_CONFIG_USAGE;
    }
    if (t.path == NULL && isatty(STDOUT_FILENO) == 1) {
        otr_cli_say(stderr, "outrider config export: a tar is not for a terminal: name a file "
                            "with -o");
        return OTR_CONFIG_USAGE;
    }
    otr_cli_ask_target(a, "/api/v1/config/export");
    otr_cli_ask_param(a, "instance", a->instance);
    otr_cli_ask_param(a, "version", a->n_words == 1 ? a->words[0] : NULL);
    return save(a, &t);
}

int otr_cli_config_export(int argc, char **argv)
{
    otr_cli_ask a = { .view = { .command = "config export", .usage = export_usage } };
    int code;
    if (otr_cli_ask_init(&a, OTR_CONFIG_HAS_OUTPUT, argc, argv, &code)) {
        code = export(&a);
    }
    otr_cli_ask_deinit(&a);
    return code;
}
