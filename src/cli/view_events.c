#include <stdio.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "cli/view.h"
#include "net/http/unix.h"

enum {
    LAST_DIGITS = 20,
    TARGET_BYTES = 1024,
    SILENCE_MS = 60000,
    HTTP_OK = 200,
    TIME_FROM = 11,
    TIME_CHARS = 12
};

static const char usage[] =
    "Usage: outrider events [--follow] [--topic PATTERN] [--last N] [--json] [--socket PATH]\n"
    "                       [--config FILE]\n\n"
    "The latest messages of the bus, oldest first; with --follow (-f) also those to come.\n"
    "PATTERN is a topic, \"*\" in it stands for one word, or at its end for all that follows.\n"
    "With --json each message is one line. Exit: 0 fine, 2 the agent could not be asked.\n";

static otr_code add_query(otr_buf *out, const char *name, const char *value, otr_err *err)
{
    otr_code rc = otr_buf_addf(out, err, "&%s=", name);
    for (; rc == OTR_OK && *value != '\0'; value++) {
        rc = otr_buf_addf(out, err, "%%%02X", (unsigned char)*value);
    }
    return rc;
}

/* More than are kept is as many as there are: the agent says which. */
static otr_code check_last(const char *text, otr_err *err)
{
    size_t n = strlen(text);
    bool ok = n > 0 && n <= LAST_DIGITS && strspn(text, "0123456789") == n;
    return ok ? OTR_OK
              : otr_fail(err, OTR_EINVAL, "--last takes a number; at most %d events are kept",
                         OTR_LIMIT_EVENTS_KEPT);
}

static otr_code make_target(const otr_view *v, otr_buf *out, otr_err *err)
{
    const char *last = v->last != NULL ? v->last : "20";
    otr_code checked = check_last(last, err);
    if (checked != OTR_OK) {
        return checked;
    }
    otr_code rc = otr_buf_adds(out, v->follow ? "/api/v1/events/stream?" : "/api/v1/events?", err);
    rc = rc == OTR_OK ? add_query(out, "last", last, err) : rc;
    return rc == OTR_OK && v->topic != NULL ? add_query(out, "topic", v->topic, err) : rc;
}

static void print_event(const otr_view *v, const otr_json *event)
{
    otr_buf text;
    const char *time = otr_json_str(otr_json_get(event, "time"), "");
    const char *topic = otr_json_str(otr_json_get(event, "topic"), "");
    char when[TIME_CHARS + 1] = "";
    otr_buf_init(&text, OTR_LIMIT_HTTP_STREAM_BYTES);
    const otr_json *shown = v->json ? event : otr_json_get(event, "data");
    bool ok = shown != NULL && otr_json_write(shown, &text, NULL) == OTR_OK;
    if (!v->json) {
        if (strlen(time) > TIME_FROM) { /* "2026-01-02T03:04:05.678Z" */
            (void)snprintf(when, sizeof(when), "%s", time + TIME_FROM);
        }
        otr_view_print(OTR_TONE_DIM, when);
        (void)fputs("  ", stdout);
        otr_view_print(OTR_TONE_GOOD, topic);
        (void)printf("%*s", (int)(strlen(topic) < 24 ? 24 - strlen(topic) : 0) + 2, "");
    }
    if (ok && v->json) {
        (void)fputs(otr_buf_text(&text), stdout);
    } else {
        otr_view_print(OTR_TONE_PLAIN, ok ? otr_buf_text(&text) : "?");
    }
    (void)putchar('\n');
    otr_buf_deinit(&text);
}

static int show_latest(const otr_view *v, const char *target)
{
    otr_buf body;
    otr_json *root = NULL;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    bool ok = otr_view_ask(v, target, &body, &root);
    const otr_json *events = ok ? otr_json_get(root, "events") : NULL;
    for (size_t i = 0; ok && i < otr_json_size(events); i++) {
        print_event(v, otr_json_at(events, i));
    }
    otr_json_free(root);
    otr_buf_deinit(&body);
    return ok ? OTR_VIEW_FINE : OTR_VIEW_FAILED;
}

typedef struct follower {
    const otr_view *v;
    bool missed; /* the next data tells how many messages were lost */
} follower;

/* One line of the event stream. */
static bool on_line(void *arg, const char *line)
{
    static const char data[] = "data: ";
    follower *f = arg;
    if (line[0] == '\0') {
        f->missed = false;
    } else if (strcmp(line, "event: missed") == 0) {
        f->missed = true;
    } else if (strncmp(line, data, sizeof(data) - 1) == 0) {
        otr_json *event = NULL;
        if (otr_json_parse(otr_bytes_of(line + sizeof(data) - 1), &event, NULL) != OTR_OK) {
            return true;
        }
        if (f->missed) {
            otr_cli_say(stderr, "outrider events: %lld messages missed: the reader is too slow",
                        (long long)otr_json_int(otr_json_get(event, "missed"), 0));
        } else {
            print_event(f->v, event);
        }
        otr_json_free(event);
    }
    /* Nobody reads on: a closed pipe ends the command. */
    return fflush(stdout) == 0;
}

static int follow(const otr_view *v, const char *target)
{
    otr_err err = { 0 };
    otr_buf refusal;
    unsigned status = 0;
    follower f = { .v = v };
    otr_unix_http ask = { .socket_path = otr_buf_text(&v->socket_path),
                          .method = "GET",
                          .target = target,
                          .timeout_ms = SILENCE_MS };
    otr_buf_init(&refusal, OTR_LIMIT_HTTP_BODY_BYTES);
    otr_code rc = otr_unix_http_lines(&ask, on_line, &f, &status, &refusal, &err);
    if (rc != OTR_OK) {
        otr_view_complain(v, &err);
    } else if (status != HTTP_OK) {
        otr_view_refused(v, status, &refusal);
    } else if (ferror(stdout) == 0) {
        (void)fputs("outrider events: the agent ended the stream\n", stderr);
    }
    otr_buf_deinit(&refusal);
    return rc == OTR_OK && status == HTTP_OK ? OTR_VIEW_FINE : OTR_VIEW_FAILED;
}

int otr_cli_events(int argc, char **argv)
{
    otr_view v = { .command = "events", .usage = usage, .events = true };
    int code = OTR_VIEW_FAILED;
    otr_buf target;
    otr_err err = { 0 };
    otr_buf_init(&target, TARGET_BYTES);
    if (otr_view_init(&v, argc, argv, &code)) {
        code = OTR_VIEW_FAILED;
        if (make_target(&v, &target, &err) != OTR_OK) {
            otr_cli_say(stderr, "outrider events: %s", err.msg);
        } else {
            code = v.follow ? follow(&v, otr_buf_text(&target))
                            : show_latest(&v, otr_buf_text(&target));
        }
    }
    otr_buf_deinit(&target);
    otr_view_deinit(&v);
    return code;
}
