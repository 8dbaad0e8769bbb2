/* `outrider reload`: has the agent read its configuration again, and says what became of each
 * plugin. */
#include <stdio.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/view.h"
#include "net/http/unix.h"

/* Plugins are asked what they think of it first (agent.config.validate). */
enum { WAIT_MS = OTR_LIMIT_HOOK_MS + 10000, HTTP_OK = 200 };

static const char usage[] =
    "Usage: outrider reload [--json] [--socket PATH] [--config FILE]\n\n"
    "Has the agent read its configuration again, as SIGHUP does, and says for each plugin which\n"
    "settings hold now and which come with the version that is being loaded.\n"
    "Exit: 0 done, 1 refused or not done for a plugin, 2 the agent could not be asked.\n";

static const char *text(const otr_json *v, const char *key)
{
    return otr_json_str(otr_json_get(v, key), "");
}

static otr_tone tone_of(const char *result)
{
    return strcmp(result, "failed") == 0 ? OTR_TONE_BAD
           : strcmp(result, "unchanged") == 0 || strcmp(result, "applied") == 0 ||
                   strcmp(result, "added") == 0
               ? OTR_TONE_GOOD
               : OTR_TONE_WARN;
}

static void add_names(otr_table *t, const otr_json *names)
{
    otr_buf all;
    otr_buf_init(&all, OTR_LIMIT_HTTP_REPLY_BYTES);
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < otr_json_size(names); i++) {
        rc = otr_buf_addf(&all, NULL, "%s%s", i > 0 ? ", " : "",
                          otr_json_str(otr_json_at(names, i), ""));
    }
    otr_table_cell(t, OTR_TONE_PLAIN, "%s", all.n > 0 ? otr_buf_text(&all) : "-");
    otr_buf_deinit(&all);
}

static void print_plugins(const otr_json *plugins)
{
    static const char *const heads[] = { "PLUGIN", "RESULT", "HOLDS NOW", "TO COME", "" };
    otr_table t;
    if (otr_json_size(plugins) == 0) {
        return;
    }
    otr_table_init(&t, OTR_COUNT(heads), 0);
    for (size_t i = 0; i < OTR_COUNT(heads); i++) {
        otr_table_cell(&t, OTR_TONE_DIM, "%s", heads[i]);
    }
    for (size_t i = 0; i < otr_json_size(plugins); i++) {
        const otr_json *p = otr_json_at(plugins, i);
        otr_table_cell(&t, OTR_TONE_PLAIN, "%s", text(p, "name"));
        otr_table_cell(&t, tone_of(text(p, "result")), "%s", text(p, "result"));
        add_names(&t, otr_json_get(p, "applied"));
        add_names(&t, otr_json_get(p, "pending"));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%s", text(p, "reason"));
    }
    otr_table_print(&t);
}

/* Prints the answer; false when there was a plugin for which it could not be done. */
static bool print_answer(const otr_json *root)
{
    const otr_json *config = otr_json_get(root, "config"), *plugins = otr_json_get(root, "plugins");
    const char *waits = text(config, "waits_for_restart");
    (void)fputs("in force: ", stdout);
    otr_view_print(OTR_TONE_PLAIN, text(config, "file"));
    (void)printf(" (reloaded %lldx)\n",
                 (long long)otr_json_int(otr_json_get(config, "generation"), 0));
    if (waits[0] != '\0') {
        (void)fputs("takes effect after a restart: ", stdout);
        otr_view_print(OTR_TONE_WARN, waits);
        (void)putchar('\n');
    }
    print_plugins(plugins);
    for (size_t i = 0; i < otr_json_size(plugins); i++) {
        if (tone_of(text(otr_json_at(plugins, i), "result")) == OTR_TONE_BAD) {
            return false;
        }
    }
    return true;
}

static int ask(const otr_view *v, otr_buf *body)
{
    otr_err err = { 0 };
    unsigned status = 0;
    const otr_unix_http spec = { .socket_path = otr_buf_text(&v->socket_path),
                                 .method = "POST",
                                 .target = "/api/v1/reload",
                                 .timeout_ms = WAIT_MS };
    if (otr_unix_http_ask(&spec, &status, body, &err) != OTR_OK) {
        otr_view_complain(v, &err);
        return OTR_VIEW_FAILED;
    }
    if (status != HTTP_OK) {
        otr_view_refused(v, status, body);
        return OTR_VIEW_NOT_FINE;
    }
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    if (otr_json_parse(otr_buf_bytes(body), &root, &err) != OTR_OK) {
        otr_view_complain(v, &err);
        return OTR_VIEW_FAILED;
    }
    if (v->json) {
        (void)puts(otr_buf_text(body));
        return OTR_VIEW_FINE;
    }
    return print_answer(root) ? OTR_VIEW_FINE : OTR_VIEW_NOT_FINE;
}

int otr_cli_reload(int argc, char **argv)
{
    otr_view v = { .command = "reload", .usage = usage };
    int code = OTR_VIEW_FAILED;
    if (otr_view_init(&v, argc, argv, &code)) {
        otr_buf body;
        otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
        code = ask(&v, &body);
        otr_buf_deinit(&body);
    }
    otr_view_deinit(&v);
    return code;
}
