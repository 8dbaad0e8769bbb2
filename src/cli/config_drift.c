/* `outrider config adopt|revert`: keep what was changed behind the agent's back, or undo it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/path.h"
#include "cli/config_ask.h"
#include "cli/print.h"
#include "net/http/unix.h"

enum { WAIT_MS = 120000, HTTP_OK = 200, SHORT = 8, PATH_BYTES = 4096 };

static const char adopt_usage[] =
    "Usage: outrider config adopt [INSTANCE] [PATH…] [OPTION]…\n\n"
    "Files that somebody else than the agent changed become the version that counts: all of them,\n"
    "or those that are named. NGINX is not reloaded. \"outrider config diff\" shows them.\n\n"
    "  --instance NAME    which NGINX, where the first word does not say it: an id, its\n"
    "                     beginning, the path of its nginx.conf, or \"nginx\" for the only one\n"
    "  --message TEXT     why, for the history\n"
    "  --json             the answer as JSON\n"
    "  --socket PATH, --config FILE   which agent\n\n"
    "Exit: 0 adopted, 2 wrong usage or nothing to adopt, 5 no agent.\n";

static const char revert_usage[] =
    "Usage: outrider config revert [INSTANCE] [PATH…] [OPTION]…\n\n"
    "Files that somebody else than the agent changed are put back to the version that counts: all\n"
    "of them, or those that are named. It is a change like any other: plugins are asked, NGINX\n"
    "tests it and is reloaded, what fails is undone.\n\n"
    "  --instance NAME    which NGINX, where the first word does not say it\n"
    "  --dry-run, --message, --probe, --probation, --json: as for apply\n"
    "Exit: as for apply.\n";

/* A word without a '/' in front of the others names the instance. */
static size_t take_instance(otr_cli_ask *a)
{
    bool names = a->n_words > 0 && a->instance == NULL && strchr(a->words[0], '/') == NULL &&
                 access(a->words[0], F_OK) != 0;
    if (names) {
        a->instance = a->words[0];
    }
    return names ? 1 : 0;
}

/* Paths are those that NGINX sees; relative ones start where the command was given. */
static bool add_paths(otr_cli_ask *a, size_t first)
{
    for (size_t i = first; i < a->n_words; i++) {
        char path[2 * PATH_BYTES];
        char here[PATH_BYTES] = "";
        if (a->words[i][0] != '/' && getcwd(here, sizeof(here)) == NULL) {
            otr_cli_say(stderr, "outrider %s: %s: say the whole path", a->view.command,
                        a->words[i]);
            return false;
        }
        int n =
            snprintf(path, sizeof(path), "%s%s%s", here, here[0] != '\0' ? "/" : "", a->words[i]);
        if (n < 0 || (size_t)n >= sizeof(path)) {
            otr_cli_say(stderr, "outrider %s: %s is too long a path", a->view.command, a->words[i]);
            return false;
        }
        (void)otr_path_clean(path);
        otr_cli_ask_param(a, "path", path);
    }
    return true;
}

static int print_adopted(const otr_cli_ask *a, const otr_buf *body)
{
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_err err = { 0 };
    if (a->view.json) {
        (void)puts(otr_buf_text(body));
        return OTR_CONFIG_FINE;
    }
    if (otr_json_parse(otr_buf_bytes(body), &root, &err) != OTR_OK) {
        otr_view_complain(&a->view, &err);
        return OTR_CONFIG_NO_AGENT;
    }
    int64_t files = otr_json_int(otr_json_get(root, "files"), 0);
    const char *remark = otr_json_str(otr_json_get(root, "remark"), "");
    otr_cli_say(stdout, "adopted: %lld file%s, version %.*s", (long long)files,
                files == 1 ? "" : "s", SHORT, otr_json_str(otr_json_get(root, "version"), ""));
    if (remark[0] != '\0') {
        otr_cli_say(stdout, "%s", remark);
    }
    return OTR_CONFIG_FINE;
}

static int send_adoption(const otr_cli_ask *a)
{
    otr_err err = { 0 };
    unsigned status = 0;
    OTR_CLEANUP(otr_buf_deinit) otr_buf body;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    const otr_unix_http ask = { .socket_path = otr_buf_text(&a->view.socket_path),
                                .method = "POST",
                                .target = otr_buf_text(&a->target),
                                .timeout_ms = WAIT_MS };
    if (otr_unix_http_ask(&ask, &status, &body, &err) != OTR_OK) {
        otr_view_complain(&a->view, &err);
        return OTR_CONFIG_NO_AGENT;
    }
    return status == HTTP_OK ? print_adopted(a, &body) : otr_cli_ask_refused(a, status, &body);
}

static bool is_plain(const otr_cli_ask *a)
{
    return !a->sync && a->to == NULL && a->n_deletes == 0;
}

static int complain(const otr_cli_ask *a)
{
    otr_cli_say(stderr, "outrider %s: it does not take one of these options", a->view.command);
    (void)fputs(a->view.usage, stderr);
    return OTR_CONFIG_USAGE;
}

int otr_cli_config_adopt(int argc, char **argv)
{
    otr_cli_ask a = { .view = { .command = "config adopt", .usage = adopt_usage } };
    int code;
    if (otr_cli_ask_init(&a, OTR_CONFIG_HAS_CHANGE, argc, argv, &code)) {
        size_t first = take_instance(&a);
        otr_cli_ask_target(&a, "/api/v1/config/drift/adopt");
        otr_cli_ask_param(&a, "instance", a.instance);
        otr_cli_ask_param(&a, "message", a.message);
        if (!is_plain(&a) || a.dry_run || a.n_probes > 0 || a.probation != NULL) {
            code = complain(&a);
        } else {
            code = add_paths(&a, first) ? send_adoption(&a) : OTR_CONFIG_USAGE;
        }
    }
    otr_cli_ask_deinit(&a);
    return code;
}

int otr_cli_config_revert(int argc, char **argv)
{
    otr_cli_ask a = { .view = { .command = "config revert", .usage = revert_usage } };
    int code;
    if (otr_cli_ask_init(&a, OTR_CONFIG_HAS_CHANGE, argc, argv, &code)) {
        size_t first = take_instance(&a);
        code = OTR_CONFIG_USAGE;
        if (!is_plain(&a)) {
            code = complain(&a);
        } else if (otr_cli_ask_change(&a, "/api/v1/config/rollback") && add_paths(&a, first)) {
            otr_cli_ask_param(&a, "to", "current");
            otr_cli_ask_param(&a, "revert", "1");
            const otr_cli_ask_run_spec run = { .fd = -1, .show_diff = a.dry_run };
            code = otr_cli_ask_run(&a, &run);
        }
    }
    otr_cli_ask_deinit(&a);
    return code;
}
