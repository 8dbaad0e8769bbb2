#include <stdio.h>

#include "cli/print.h"
#include "cli/view.h"
#include "config/agent_keys.h"
#include "config/config.h"
#include "net/http/unix.h"

enum { ASK_MS = 5000, PATH_BYTES = 4096, HTTP_OK = 200 };

extern char **environ;

static const otr_key *const tables[] = { otr_agent_keys, NULL };

/* ---- options ---- */

/* Takes the value of `--name VALUE` or `--name=VALUE`. 1: taken, 0: another option, -1: no value.
 */
static int take_value(const char *name, int argc, char **argv, int *i, const char **ret)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0 || (argv[*i][n] != '\0' && argv[*i][n] != '=')) {
        return 0;
    }
    if (argv[*i][n] == '=') {
        *ret = argv[*i] + n + 1;
        return 1;
    }
    if (*i + 1 >= argc) {
        return -1;
    }
    *ret = argv[++*i];
    return 1;
}

static bool take_flag(otr_view *v, const char *arg)
{
    if (strcmp(arg, "--json") == 0) {
        v->json = true;
        return true;
    }
    if (v->events && (strcmp(arg, "--follow") == 0 || strcmp(arg, "-f") == 0)) {
        v->follow = true;
        return true;
    }
    if (v->asks && strcmp(arg, "--allow-none") == 0) {
        v->allow_none = true;
        return true;
    }
    return false;
}

static int take_option(otr_view *v, int argc, char **argv, int *i)
{
    const struct {
        const char *name;
        const char **slot;
        bool offered;
    } options[] = { { "--socket", &v->socket, true },    { "--config", &v->config_file, true },
                    { "--topic", &v->topic, v->events }, { "--last", &v->last, v->events },
                    { "--input", &v->input, v->asks },   { "--deadline", &v->deadline, v->asks } };
    for (size_t k = 0; k < OTR_COUNT(options); k++) {
        int taken =
            options[k].offered ? take_value(options[k].name, argc, argv, i, options[k].slot) : 0;
        if (taken != 0) {
            return taken;
        }
    }
    return 0;
}

static bool read_options(otr_view *v, int argc, char **argv, int *ret_exit)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            (void)fputs(v->usage, stdout);
            *ret_exit = OTR_VIEW_FINE;
            return false;
        }
        if (take_flag(v, argv[i])) {
            continue;
        }
        int taken = take_option(v, argc, argv, &i);
        if (taken != 1) {
            otr_cli_say(stderr, "outrider %s: %s \"%s\"", v->command,
                        taken == 0 ? "there is no option" : "a value is missing after", argv[i]);
            (void)fputs(v->usage, stderr);
            *ret_exit = OTR_VIEW_FAILED;
            return false;
        }
    }
    return true;
}

/* ---- where the agent listens ---- */

static otr_code load(const char *file, otr_config **ret, otr_err *err)
{
    otr_config_source source = { .tables = tables,
                                 .file = file,
                                 .env = (const char *const *)environ };
    return otr_config_load(&source, ret, err);
}

/* The configuration that an agent here would read: its environment and file, or defaults. */
static otr_code find_config(const otr_view *v, otr_config **ret, otr_err *err)
{
    if (v->config_file != NULL) {
        return load(v->config_file, ret, err);
    }
    otr_err why = { 0 };
    otr_buf path;
    otr_buf_init(&path, PATH_BYTES);
    otr_code rc = otr_config_find(&path, &why);
    rc = rc == OTR_OK ? load(otr_buf_text(&path), ret, &why) : load("", ret, &why);
    if (rc != OTR_OK && rc != OTR_ENOMEM) {
        /* A broken file is the very moment in which somebody asks for the state of the agent. */
        otr_cli_say(stderr, "outrider %s: %s: using the default socket", v->command, why.msg);
        rc = load("", ret, err);
    }
    otr_buf_deinit(&path);
    return rc;
}

static otr_code find_socket(otr_view *v, otr_err *err)
{
    if (v->socket != NULL) {
        return otr_buf_adds(&v->socket_path, v->socket, err);
    }
    otr_config *cfg = NULL;
    otr_code rc = find_config(v, &cfg, err);
    if (rc != OTR_OK) {
        return rc;
    }
    const char *path = otr_config_str(cfg, "outrider.admin.socket");
    rc = path[0] != '\0'
             ? otr_buf_adds(&v->socket_path, path, err)
             : otr_fail(err, OTR_ESTATE,
                        "outrider.admin.socket is empty: the agent has no admin socket");
    otr_config_unref(cfg);
    return rc;
}

bool otr_view_init(otr_view *v, int argc, char **argv, int *ret_exit)
{
    otr_err err = { 0 };
    otr_buf_init(&v->socket_path, PATH_BYTES);
    if (!read_options(v, argc, argv, ret_exit)) {
        return false;
    }
    if (find_socket(v, &err) != OTR_OK) {
        otr_cli_say(stderr, "outrider %s: %s", v->command, err.msg);
        *ret_exit = OTR_VIEW_FAILED;
        return false;
    }
    return true;
}

void otr_view_deinit(otr_view *v)
{
    otr_buf_deinit(&v->socket_path);
}

/* ---- asking ---- */

void otr_view_complain(const otr_view *v, const otr_err *err)
{
    static const struct {
        otr_code code;
        const char *advice;
    } rows[] = {
        { OTR_ENOTFOUND, ": no agent runs: start it with \"outrider run\", or name its socket with "
                         "--socket" },
        { OTR_ESTATE, ": the agent has ended: start it with \"outrider run\"" },
        { OTR_EDENIED, ": run this command as that user" },
        { OTR_ETIMEOUT, ": the agent hangs or is overloaded" },
    };
    const char *advice = "";
    for (size_t i = 0; i < OTR_COUNT(rows); i++) {
        advice = rows[i].code == err->code ? rows[i].advice : advice;
    }
    otr_cli_say(stderr, "outrider %s: %s%s", v->command, err->msg, advice);
}

void otr_view_refused(const otr_view *v, unsigned status, const otr_buf *body)
{
    otr_json *root = NULL;
    const char *why = "";
    if (otr_json_parse(otr_buf_bytes(body), &root, NULL) == OTR_OK) {
        why = otr_json_str(otr_json_get(otr_json_get(root, "error"), "message"), "");
    }
    otr_cli_say(stderr, "outrider %s: the agent refused (HTTP %u)%s%s", v->command, status,
                why[0] != '\0' ? ": " : "", why);
    otr_json_free(root);
}

bool otr_view_ask(const otr_view *v, const char *target, otr_buf *ret_text, otr_json **ret)
{
    otr_err err = { 0 };
    unsigned status = 0;
    otr_unix_http ask = { .socket_path = otr_buf_text(&v->socket_path),
                          .method = "GET",
                          .target = target,
                          .timeout_ms = ASK_MS };
    if (otr_unix_http_ask(&ask, &status, ret_text, &err) != OTR_OK) {
        otr_view_complain(v, &err);
        return false;
    }
    if (status != HTTP_OK) {
        otr_view_refused(v, status, ret_text);
        return false;
    }
    if (otr_json_parse(otr_buf_bytes(ret_text), ret, &err) != OTR_OK) {
        otr_cli_say(stderr, "outrider %s: %s: what answers there is no agent: %s", v->command,
                    ask.socket_path, err.msg);
        return false;
    }
    return true;
}
