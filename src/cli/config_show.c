/* `outrider config show INSTANCE` and `outrider config diff`: what stands there, and what differs.
 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/config_ask.h"
#include "cli/print.h"

static const char show_usage[] =
    "Usage: outrider config show INSTANCE [PATH] [--version VERSION] [--json]\n"
    "                            [--socket PATH] [--config FILE]\n\n"
    "The files that an NGINX reads its configuration from, and how they are to the last version\n"
    "that was recorded; with PATH the text of one. INSTANCE is an id, its beginning, the path of\n"
    "its nginx.conf, or \"nginx\" for the only one. VERSION is a number of \"outrider config\n"
    "history\", the beginning of a version, current, good, previous, or disk (the default).\n"
    "Private keys are not shown. Without INSTANCE: the configuration of the agent itself.\n"
    "Exit: 0 shown, 2 there is no such thing, 5 no agent.\n";

static const char diff_usage[] =
    "Usage: outrider config diff [VERSION [VERSION]] [--instance NAME] [--json]\n"
    "       outrider config diff --against DIR|TAR|FILE [--to PATH] [--sync] [--instance NAME]\n\n"
    "What differs between two versions of an NGINX's files, as a unified diff. Without the second\n"
    "VERSION from the first to the disk, without any from the last that was recorded to the disk:\n"
    "what was changed by hand. --against: what applying these files would change.\n"
    "Exit: 0 nothing differs, 1 something does, 2 there is no such thing, 5 no agent.\n";

static const char *text(const otr_json *v, const char *key)
{
    return otr_json_str(otr_json_get(v, key), "");
}

/* ---- show ---- */

static void print_files(const otr_json *root)
{
    static const char *const heads[] = { "FILE", "BYTES", "MODE", "STATE", "" };
    const otr_json *files = otr_json_get(root, "files");
    const char *version = text(root, "version"), *current = text(root, "current");
    otr_table t;
    (void)fputs("NGINX ", stdout);
    otr_view_print(OTR_TONE_PLAIN, text(root, "config"));
    (void)printf(" (%.8s), ", text(root, "instance"));
    (void)printf(strcmp(version, "disk") == 0 ? "on the disk" : "version %.12s", version);
    (void)printf(current[0] != '\0' ? "; recorded last: %.12s\n" : "; no version is recorded yet\n",
                 current);
    otr_table_init(&t, OTR_COUNT(heads), 2);
    for (size_t i = 0; i < OTR_COUNT(heads); i++) {
        otr_table_cell(&t, OTR_TONE_DIM, "%s", heads[i]);
    }
    for (size_t i = 0; i < otr_json_size(files); i++) {
        const otr_json *f = otr_json_at(files, i);
        const char *state = text(f, "state"), *why = text(f, "why"), *link = text(f, "link");
        bool odd = strcmp(state, "") != 0 && strcmp(state, "same") != 0;
        otr_table_cell(&t, OTR_TONE_PLAIN, "%s", text(f, "path"));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%lld",
                       (long long)otr_json_int(otr_json_get(f, "bytes"), 0));
        otr_table_cell(&t, OTR_TONE_PLAIN, "%s", text(f, "mode"));
        otr_table_cell(&t, odd ? OTR_TONE_WARN : OTR_TONE_PLAIN, "%s",
                       state[0] != '\0' ? state : "-");
        otr_table_cell(&t, OTR_TONE_DIM, "%s%s%s",
                       why[0] != '\0'    ? why
                       : link[0] != '\0' ? "-> "
                                         : "",
                       why[0] != '\0' ? "" : link,
                       otr_json_bool(otr_json_get(f, "secret"), false) ? "private" : "");
    }
    otr_table_print(&t);
}

/* The very bytes into a pipe, escaped on a terminal. */
static int print_file(const otr_cli_ask *a, const otr_json *root)
{
    const char *hidden = text(root, "hidden");
    if (hidden[0] != '\0') {
        otr_cli_say(stderr, "outrider %s: %s: %s", a->view.command, text(root, "path"), hidden);
        return OTR_CONFIG_USAGE;
    }
    return otr_cli_print_output(otr_bytes_of(text(root, "text"))) == 0 ? OTR_CONFIG_FINE
                                                                       : OTR_CONFIG_FAILED;
}

static int show(otr_cli_ask *a)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf body;
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    int code;
    bool one = a->n_words == 2;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    if (a->n_words == 0 || a->n_words > 2) {
        (void)fputs(show_usage, stderr);
        return OTR_CONFIG_USAGE;
    }
    otr_cli_ask_target(a, one ? "/api/v1/config/file" : "/api/v1/config/files");
    otr_cli_ask_param(a, "instance", a->words[0]);
    otr_cli_ask_param(a, "version", a->version);
    otr_cli_ask_param(a, "path", one ? a->words[1] : NULL);
    if (!otr_cli_ask_get(a, &body, &root, &code)) {
        return code;
    }
    if (a->view.json) {
        otr_cli_print_json(stdout, otr_buf_bytes(&body));
        return OTR_CONFIG_FINE;
    }
    if (one) {
        return print_file(a, root);
    }
    print_files(root);
    return OTR_CONFIG_FINE;
}

int otr_cli_config_show(int argc, char **argv)
{
    otr_cli_ask a = { .view = { .command = "config show", .usage = show_usage } };
    int code;
    if (otr_cli_ask_init(&a, OTR_CONFIG_HAS_VERSION, argc, argv, &code)) {
        code = show(&a);
    }
    otr_cli_ask_deinit(&a);
    return code;
}

/* ---- diff ---- */

static void print_diff(const otr_json *root)
{
    const otr_json *items = otr_json_get(root, "items");
    for (size_t i = 0; i < otr_json_size(items); i++) {
        const otr_json *item = otr_json_at(items, i);
        const char *hidden = text(item, "hidden");
        if (hidden[0] != '\0') {
            otr_view_print(OTR_TONE_DIM, text(item, "action"));
            (void)putchar(' ');
            otr_view_print(OTR_TONE_PLAIN, text(item, "path"));
            (void)fputs(": ", stdout);
            otr_view_print(OTR_TONE_DIM, hidden);
            (void)putchar('\n');
        }
    }
    otr_cli_ask_print(text(root, "diff"));
    if (otr_json_bool(otr_json_get(root, "cut"), false)) {
        (void)puts("… the difference is larger than is shown");
    }
}

static int diff(otr_cli_ask *a)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf body;
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    int code;
    otr_buf_init(&body, OTR_LIMIT_HTTP_REPLY_BYTES);
    if (a->n_words > 2) {
        (void)fputs(diff_usage, stderr);
        return OTR_CONFIG_USAGE;
    }
    otr_cli_ask_target(a, "/api/v1/config/diff");
    otr_cli_ask_param(a, "instance", a->instance);
    otr_cli_ask_param(a, "from", a->n_words > 0 ? a->words[0] : NULL);
    otr_cli_ask_param(a, "to", a->n_words > 1 ? a->words[1] : NULL);
    if (!otr_cli_ask_get(a, &body, &root, &code)) {
        return code;
    }
    if (a->view.json) {
        otr_cli_print_json(stdout, otr_buf_bytes(&body));
    } else {
        print_diff(root);
    }
    return otr_json_size(otr_json_get(root, "items")) > 0 ? OTR_CONFIG_REFUSED : OTR_CONFIG_FINE;
}

int otr_cli_config_diff(int argc, char **argv)
{
    otr_cli_ask a = { .view = { .command = "config diff", .usage = diff_usage } };
    int code;
    if (otr_cli_ask_init(&a, OTR_CONFIG_HAS_SIDES | OTR_CONFIG_HAS_CHANGE, argc, argv, &code)) {
        if (a.against != NULL && a.n_words == 0) {
            a.words[a.n_words++] = a.against;
            code = otr_cli_ask_diff_given(&a);
        } else if (a.against != NULL) {
            (void)fputs(diff_usage, stderr);
            code = OTR_CONFIG_USAGE;
        } else {
            code = diff(&a);
        }
    }
    otr_cli_ask_deinit(&a);
    return code;
}
