/* `outrider plugin ask TOPIC`: asks the plugins of a running agent for a verdict. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/print.h"
#include "cli/view.h"
#include "config/config.h"
#include "net/http/unix.h"

enum { TARGET_BYTES = 256, ANSWER_BYTES = 4 << 20, SLACK_MS = 10000, HTTP_OK = 200 };

static const char usage[] =
    "Usage: outrider plugin ask TOPIC [--input JSON|@FILE|-] [--deadline 2s] [--allow-none]\n"
    "                       [--json] [--socket PATH] [--config FILE]\n\n"
    "Asks every plugin with a hook for TOPIC, for example nginx.config.validate. That no plugin\n"
    "has one is a failure, unless --allow-none says that it is fine.\n"
    "Exit: 0 all allow, 1 one denies, 2 the question could not be asked, or nobody has the hook.\n";

static void print_answers(const otr_json *answers)
{
    static const char *const heads[] = { "PLUGIN", "VERDICT", "HOW", "MS", "MESSAGE" };
    otr_table t;
    otr_table_init(&t, OTR_COUNT(heads), 0x8);
    for (size_t i = 0; i < OTR_COUNT(heads); i++) {
        otr_table_cell(&t, OTR_TONE_DIM, "%s", heads[i]);
    }
    for (size_t i = 0; i < otr_json_size(answers); i++) {
        const otr_json *a = otr_json_at(answers, i);
        const char *verdict = otr_json_str(otr_json_get(a, "verdict"), "");
        const char *how = otr_json_str(otr_json_get(a, "how"), "");
        bool deny = strcmp(verdict, "deny") == 0;
        otr_table_cell(&t, OTR_TONE_PLAIN, "%s", otr_json_str(otr_json_get(a, "plugin"), ""));
        otr_table_cell(&t, deny ? OTR_TONE_BAD : OTR_TONE_GOOD, "%s", verdict);
        otr_table_cell(&t, strcmp(how, "answered") == 0 ? OTR_TONE_PLAIN : OTR_TONE_WARN, "%s",
                       how);
        otr_table_cell(&t, OTR_TONE_PLAIN, "%.1f", otr_json_num(otr_json_get(a, "ms"), 0));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%s", otr_json_str(otr_json_get(a, "message"), ""));
    }
    otr_table_print(&t);
}

static const char *severity_of(const otr_json *finding)
{
    return otr_json_str(otr_json_get(finding, "severity"), "");
}

/* A line for each: "plugin: file:line: error: what". */
static void print_findings(const otr_json *answer)
{
    const otr_json *list = otr_json_get(answer, "findings");
    for (size_t i = 0; i < otr_json_size(list); i++) {
        const otr_json *f = otr_json_at(list, i);
        const char *file = otr_json_str(otr_json_get(f, "file"), "");
        int64_t line = otr_json_int(otr_json_get(f, "line"), 0);
        char number[24] = "";
        if (line > 0) {
            (void)snprintf(number, sizeof(number), "%" PRId64 ":", line);
        }
        otr_cli_say(stdout, "%s: %s%s%s %s: %s", otr_json_str(otr_json_get(answer, "plugin"), ""),
                    file, file[0] != '\0' ? ":" : "", number, severity_of(f),
                    otr_json_str(otr_json_get(f, "message"), ""));
    }
    int64_t more = otr_json_int(otr_json_get(answer, "findings_more"), 0);
    if (more > 0) {
        otr_cli_say(stdout, "%s: … and %" PRId64 " more",
                    otr_json_str(otr_json_get(answer, "plugin"), ""), more);
    }
}

static int print_result(const otr_view *v, const otr_buf *body)
{
    otr_err err = { 0 };
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    if (otr_json_parse(otr_buf_bytes(body), &root, &err) != OTR_OK) {
        otr_cli_say(stderr, "outrider plugin ask: what answers there is no agent: %s", err.msg);
        return OTR_VIEW_FAILED;
    }
    const char *verdict = otr_json_str(otr_json_get(root, "verdict"), "");
    const char *reason = otr_json_str(otr_json_get(root, "reason"), "");
    const otr_json *answers = otr_json_get(root, "answers");
    bool allow = strcmp(verdict, "allow") == 0;
    bool nobody = otr_json_size(answers) == 0 && !v->allow_none;
    if (nobody) {
        /* A misspelt topic, a plugin that is not loaded: no reason to believe that it was checked.
         */
        otr_cli_say(stderr,
                    "outrider plugin ask: no plugin has a hook for %s: nobody was asked; "
                    "--allow-none if that is fine",
                    otr_json_str(otr_json_get(root, "topic"), "this topic"));
    }
    if (v->json) {
        otr_cli_print_json(stdout, otr_buf_bytes(body));
    } else if (!nobody) {
        otr_view_print(allow ? OTR_TONE_GOOD : OTR_TONE_BAD, verdict);
        (void)fputs(reason[0] != '\0' ? ": " : "", stdout);
        otr_view_print(OTR_TONE_PLAIN, reason);
        (void)puts(otr_json_size(answers) == 0 ? ": no plugin has a hook for it" : "");
        if (otr_json_size(answers) > 0) {
            print_answers(answers);
        }
        for (size_t i = 0; i < otr_json_size(answers); i++) {
            print_findings(otr_json_at(answers, i));
        }
    }
    return nobody ? OTR_VIEW_FAILED : allow ? OTR_VIEW_FINE : OTR_VIEW_NOT_FINE;
}

static otr_code read_question(const otr_view *v, otr_buf *input, uint64_t *ret_ms, otr_err *err)
{
    uint64_t ns = 2 * OTR_NS_PER_S;
    otr_code rc = v->deadline != NULL ? otr_duration_parse(v->deadline, &ns, err) : OTR_OK;
    if (rc == OTR_OK && (ns < OTR_NS_PER_MS || ns > OTR_LIMIT_HOOK_MS * OTR_NS_PER_MS)) {
        rc = otr_fail(err, OTR_EINVAL, "a deadline is 1ms to %ds", OTR_LIMIT_HOOK_MS / 1000);
    }
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "--deadline %s", v->deadline);
    }
    *ret_ms = ns / OTR_NS_PER_MS;
    rc = otr_cli_read_input(v->input, input, err);
    return rc == OTR_OK ? OTR_OK : otr_wrap(err, rc, "--input %s", v->input);
}

static int ask(const otr_view *v, const char *topic)
{
    char target[TARGET_BYTES];
    unsigned status = 0;
    uint64_t ms = 0;
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf input;
    OTR_CLEANUP(otr_buf_deinit) otr_buf body;
    otr_buf_init(&input, OTR_LIMIT_HTTP_BODY_BYTES);
    otr_buf_init(&body, ANSWER_BYTES);
    if (read_question(v, &input, &ms, &err) != OTR_OK) {
        otr_cli_say(stderr, "outrider plugin ask: %s", err.msg);
        return OTR_VIEW_FAILED;
    }
    (void)snprintf(target, sizeof(target), "/api/v1/hooks/%s?deadline_ms=%" PRIu64, topic, ms);
    otr_unix_http spec = { .socket_path = otr_buf_text(&v->socket_path),
                           .method = "POST",
                           .target = target,
                           .body = otr_buf_bytes(&input),
                           .timeout_ms = ms + SLACK_MS };
    if (otr_unix_http_ask(&spec, &status, &body, &err) != OTR_OK) {
        otr_view_complain(v, &err);
        return OTR_VIEW_FAILED;
    }
    if (status != HTTP_OK) {
        otr_view_refused(v, status, &body);
        return OTR_VIEW_FAILED;
    }
    return print_result(v, &body);
}

int otr_cli_plugin_ask(int argc, char **argv)
{
    otr_view v = { .command = "plugin ask", .usage = usage, .asks = true };
    const char *topic = argc > 1 ? argv[1] : "";
    bool help = strcmp(topic, "--help") == 0 || strcmp(topic, "-h") == 0;
    if (!help && (topic[0] == '\0' || strlen(topic) > OTR_LIMIT_BUS_TOPIC_BYTES ||
                  strspn(topic, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != strlen(topic))) {
        otr_cli_say(stderr, "outrider plugin ask: \"%s\" is no topic", topic);
        (void)fprintf(stderr, "\n%s", usage);
        return OTR_VIEW_FAILED;
    }
    int skip = help ? 0 : 1;
    int rc = OTR_VIEW_FINE;
    if (otr_view_init(&v, argc - skip, argv + skip, &rc)) {
        rc = ask(&v, topic);
        otr_view_deinit(&v);
    }
    return rc;
}
