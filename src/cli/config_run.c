/* A transaction as somebody at a terminal sees it: its steps, its end. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/config_ask.h"
#include "cli/print.h"
#include "net/http/unix.h"

enum { SILENCE_MS = 120000, HTTP_OK = 200, ITEMS_SHOWN = 200 };

typedef struct watch {
    const otr_cli_ask *ask;
    const otr_cli_ask_run_spec *run;
    otr_json *result; /* NULL: it has not come yet */
    otr_buf text;     /* of it */
    bool open;        /* a step stands on the line that is not ended */
    bool is_refused;  /* it did not become a transaction: why, and the exit code */
    char refused[OTR_ERR_MSG_BYTES];
    int code;
} watch;

static const char *text(const otr_json *v, const char *key)
{
    return otr_json_str(otr_json_get(v, key), "");
}

static const struct {
    const char *result;
    otr_tone tone;
    int code;
    const char *says;
} ends[] = {
    { "applied", OTR_TONE_GOOD, OTR_CONFIG_FINE, "applied" },
    { "unchanged", OTR_TONE_GOOD, OTR_CONFIG_FINE, "unchanged: all of it stands there already" },
    { "planned", OTR_TONE_GOOD, OTR_CONFIG_FINE, "planned: nothing was touched" },
    { "denied", OTR_TONE_BAD, OTR_CONFIG_REFUSED, "denied: nothing was touched" },
    { "invalid", OTR_TONE_BAD, OTR_CONFIG_REFUSED, "invalid: NGINX refuses it, all is as it was" },
    { "rolled-back", OTR_TONE_BAD, OTR_CONFIG_ROLLED_BACK, "rolled back: the old one is in force" },
    { "rollback-failed", OTR_TONE_BAD, OTR_CONFIG_FAILED, "ROLLBACK FAILED: somebody has to look" },
    { "superseded", OTR_TONE_WARN, OTR_CONFIG_SUPERSEDED,
      "superseded: a newer change took its place, nothing was touched" },
    { "failed", OTR_TONE_BAD, OTR_CONFIG_FAILED, "failed: all is as it was" },
};

static size_t end_of(const char *result)
{
    size_t i = 0;
    while (i + 1 < OTR_COUNT(ends) && strcmp(ends[i].result, result) != 0) {
        i++;
    }
    return i; /* what is not known has failed */
}

/* ---- steps ---- */

static void print_step(watch *w, const otr_json *e)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;
    const char *state = text(e, "state"), *says = text(e, "text");
    bool begins = strcmp(state, "begin") == 0, broken = strcmp(state, "failed") == 0;
    if (begins && !terminal) {
        return; /* one line a step */
    }
    if (w->open) {
        (void)fputs("\r\x1b[K", stdout);
    }
    w->open = begins;
    (void)fputs("  ", stdout);
    otr_view_print(begins ? OTR_TONE_DIM : broken ? OTR_TONE_BAD : OTR_TONE_PLAIN, text(e, "step"));
    if (!begins && otr_json_get(e, "ms") != NULL && strcmp(state, "says") != 0) {
        (void)printf(" %.0f ms", otr_json_num(otr_json_get(e, "ms"), 0));
    }
    if (says[0] != '\0') {
        (void)fputs(": ", stdout);
        otr_view_print(broken ? OTR_TONE_BAD : OTR_TONE_PLAIN, says);
    }
    (void)fputs(begins ? " …" : "\n", stdout);
    (void)fflush(stdout);
}

/* It was taken, read, and then refused: no transaction began. */
static void take_refusal(watch *w, const otr_json *e)
{
    static const char *const faults[] = { "EIO", "ENOMEM", "ETIMEOUT" };
    const char *code = text(e, "code");
    w->code = OTR_CONFIG_USAGE;
    for (size_t i = 0; i < OTR_COUNT(faults); i++) {
        w->code = strcmp(code, faults[i]) == 0 ? OTR_CONFIG_NO_AGENT : w->code;
    }
    w->is_refused = true;
    (void)snprintf(w->refused, sizeof(w->refused), "%s", text(e, "message"));
}

static bool on_line(void *arg, const char *line)
{
    watch *w = arg;
    OTR_CLEANUP(otr_json_freep) otr_json *e = NULL;
    if (strncmp(line, "data:", 5) != 0) {
        return true; /* a beat */
    }
    line += 5 + (line[5] == ' ');
    if (otr_json_parse(otr_bytes_of(line), &e, NULL) != OTR_OK) {
        return true;
    }
    if (strcmp(text(e, "event"), "result") == 0) {
        if (otr_buf_adds(&w->text, line, NULL) == OTR_OK) {
            w->result = otr_steal(&e);
        }
        return false;
    }
    if (strcmp(text(e, "event"), "error") == 0) {
        take_refusal(w, e);
        return false;
    }
    if (!w->ask->view.json && !w->run->quiet) {
        print_step(w, e);
    }
    return true;
}

/* ---- the end ---- */

static void print_items(const otr_json *items)
{
    size_t n = otr_json_size(items);
    for (size_t i = 0; i < n && i < ITEMS_SHOWN; i++) {
        const otr_json *item = otr_json_at(items, i);
        (void)fputs("  ", stdout);
        otr_view_print(OTR_TONE_DIM, text(item, "action"));
        (void)fputs(" ", stdout);
        otr_view_print(OTR_TONE_PLAIN, text(item, "path"));
        (void)putchar('\n');
    }
    if (n > ITEMS_SHOWN) {
        (void)printf("  … and %zu more\n", n - ITEMS_SHOWN);
    }
}

static void print_finding(const otr_json *f)
{
    int64_t line = otr_json_int(otr_json_get(f, "line"), 0);
    (void)fputs("  ", stdout);
    otr_view_print(OTR_TONE_BAD, text(f, "level"));
    (void)fputs(" ", stdout);
    if (text(f, "file")[0] != '\0') {
        otr_view_print(OTR_TONE_PLAIN, text(f, "file"));
        if (line > 0) {
            (void)printf(":%lld", (long long)line);
        }
        (void)fputs(": ", stdout);
    }
    otr_view_print(OTR_TONE_PLAIN, text(f, "text"));
    (void)putchar('\n');
}

static void print_texts(const otr_json *list)
{
    for (size_t i = 0; i < otr_json_size(list); i++) {
        (void)fputs("  ", stdout);
        otr_view_print(OTR_TONE_WARN, otr_json_str(otr_json_at(list, i), ""));
        (void)putchar('\n');
    }
}

void otr_cli_ask_print(const char *lines)
{
    while (*lines != '\0') {
        size_t n = strcspn(lines, "\n");
        (void)otr_cli_print(stdout, (otr_bytes){ (const uint8_t *)lines, n });
        (void)putchar('\n');
        lines += n + (lines[n] == '\n');
    }
}

static void print_head(const otr_json *r, size_t end)
{
    int64_t number = otr_json_int(otr_json_get(r, "number"), 0);
    otr_view_print(ends[end].tone, ends[end].says);
    if (number > 0) {
        (void)printf(" (#%lld, %.0f ms)", (long long)number,
                     otr_json_num(otr_json_get(r, "took_ms"), 0));
    }
    (void)putchar('\n');
    if (text(r, "text")[0] != '\0') {
        (void)fputs("  ", stdout);
        otr_view_wrap(2, OTR_TONE_PLAIN, text(r, "text"));
    }
}

/* What the change touches, in the agent's words. */
static void print_impact(const otr_json *impact)
{
    const otr_json *lines = otr_json_get(impact, "lines");
    for (size_t i = 0; i < otr_json_size(lines); i++) {
        otr_view_print(OTR_TONE_PLAIN, otr_json_str(otr_json_at(lines, i), ""));
        (void)putchar('\n');
    }
}

static void print_result(const watch *w)
{
    const otr_json *r = w->result, *findings = otr_json_get(r, "findings");
    size_t end = end_of(text(r, "result"));
    if (!w->run->quiet) {
        print_head(r, end);
        for (size_t i = 0; i < otr_json_size(findings); i++) {
            print_finding(otr_json_at(findings, i));
        }
        print_items(otr_json_get(r, "items"));
        print_texts(otr_json_get(r, "remarks"));
    }
    if (w->run->show_diff && !w->run->quiet) {
        print_impact(otr_json_get(r, "impact"));
    }
    if (w->run->show_diff) {
        otr_cli_ask_print(text(r, "diff"));
    }
    if (text(r, "history")[0] != '\0') {
        otr_cli_say(stderr, "outrider %s: not in the history: %s", w->ask->view.command,
                    text(r, "history"));
    }
}

static int finish(watch *w, unsigned status, const otr_buf *refused)
{
    if (w->open) {
        (void)putchar('\n');
    }
    if (status != HTTP_OK) {
        return otr_cli_ask_refused(w->ask, status, refused);
    }
    if (w->is_refused) {
        otr_cli_say(stderr, "outrider %s: %s", w->ask->view.command, w->refused);
        return w->code;
    }
    if (w->result == NULL) {
        otr_cli_say(stderr,
                    "outrider %s: the agent ended before it said what became of the change: see "
                    "\"outrider config history\" once it runs again",
                    w->ask->view.command);
        return OTR_CONFIG_NO_AGENT;
    }
    if (w->ask->view.json) {
        otr_cli_print_json(stdout, otr_buf_bytes(&w->text));
    } else {
        print_result(w);
    }
    int code = ends[end_of(text(w->result, "result"))].code;
    bool differs = otr_json_size(otr_json_get(w->result, "items")) > 0;
    return w->run->quiet && code == OTR_CONFIG_FINE && differs ? OTR_CONFIG_REFUSED : code;
}

/* A dry run has no steps worth a word, but a difference that may be larger than a stream holds: its
 * answer comes as one. */
static otr_code ask_whole(watch *w, const otr_unix_http *ask, unsigned *ret_status,
                          otr_buf *ret_refused, otr_err *err)
{
    otr_code rc = otr_unix_http_ask(ask, ret_status, &w->text, err);
    if (rc == OTR_OK && *ret_status != HTTP_OK) {
        return otr_buf_add(ret_refused, otr_buf_bytes(&w->text), err);
    }
    return rc == OTR_OK ? otr_json_parse(otr_buf_bytes(&w->text), &w->result, err) : rc;
}

static int run_it(watch *w, const otr_unix_http *ask)
{
    otr_err err = { 0 };
    unsigned status = 0;
    OTR_CLEANUP(otr_buf_deinit) otr_buf refused;
    otr_buf_init(&refused, OTR_LIMIT_HTTP_REPLY_BYTES);
    otr_code rc = w->run->show_diff ? ask_whole(w, ask, &status, &refused, &err)
                                    : otr_unix_http_lines(ask, on_line, w, &status, &refused, &err);
    if (rc != OTR_OK) {
        otr_view_complain(&w->ask->view, &err);
        return OTR_CONFIG_NO_AGENT;
    }
    return finish(w, status, &refused);
}

int otr_cli_ask_run(otr_cli_ask *a, const otr_cli_ask_run_spec *run)
{
    watch w = { .ask = a, .run = run };
    otr_cli_ask_param(a, "progress", run->show_diff ? NULL : "1");
    if (a->target.n == 0) {
        otr_cli_say(stderr, "outrider %s: the arguments are too long", a->view.command);
        return OTR_CONFIG_USAGE;
    }
    otr_buf_init(&w.text, OTR_LIMIT_HTTP_REPLY_BYTES);
    const otr_unix_http ask = { .socket_path = otr_buf_text(&a->view.socket_path),
                                .method = "POST",
                                .target = otr_buf_text(&a->target),
                                .body_fd = run->fd,
                                .body_bytes = run->bytes,
                                .timeout_ms = SILENCE_MS };
    int code = run_it(&w, &ask);
    otr_json_free(w.result);
    otr_buf_deinit(&w.text);
    return code;
}
