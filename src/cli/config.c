/* `outrider config …`: here `show` of what an agent with these flags, variables and file would
 * take; the other words are about the configurations of NGINX. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/config_ask.h"
#include "cli/print.h"
#include "cli/source.h"
#include "cli/view.h"

enum { DUMP_BYTES = 16 << 20, COLUMNS = 3 };

static const char usage[] =
    "Usage: outrider config show [--all] [--json] [--config FILE] [FLAG]…\n\n"
    "What \"outrider run\" with the same flags, environment and file would take: each key that is\n"
    "not at its default (--all: each key), and where its value comes from.\n"
    "That of an NGINX: outrider config show INSTANCE (\"nginx\": the only one).\n"
    "Exit: 0 fine, 1 there are warnings, 2 the configuration is wrong.\n";

typedef struct options {
    bool all, json;
} options;

/* Takes the command's own flags out; the rest is what `run` takes. */
static int take_own(int argc, char **argv, options *ret)
{
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            ret->json = true;
        } else if (strcmp(argv[i], "--all") == 0) {
            ret->all = true;
        } else {
            argv[kept++] = argv[i];
        }
    }
    return kept;
}

static bool print_key(otr_table *t, const otr_json *row)
{
    const otr_json *value = otr_json_get(row, "value");
    otr_buf text;
    otr_buf_init(&text, DUMP_BYTES);
    otr_code rc = otr_json_kind(value) == OTR_JSON_STRING
                      ? otr_buf_adds(&text, otr_json_str(value, ""), NULL)
                      : otr_json_write(value, &text, NULL);
    if (rc == OTR_OK) {
        const char *from = otr_json_str(otr_json_get(row, "from"), "");
        otr_table_cell(t, OTR_TONE_PLAIN, "%s", otr_json_str(otr_json_get(row, "key"), ""));
        otr_table_cell(t, OTR_TONE_PLAIN, "%s", otr_buf_text(&text));
        otr_table_cell(t, OTR_TONE_DIM, "%s%s%s", otr_json_str(otr_json_get(row, "origin"), ""),
                       from[0] != '\0' ? " " : "", from);
    }
    otr_buf_deinit(&text);
    return rc == OTR_OK;
}

static bool print_keys(const otr_json *root, const options *o)
{
    static const char *const heads[COLUMNS] = { "KEY", "VALUE", "FROM" };
    const otr_json *keys = otr_json_get(root, "keys");
    otr_table t;
    otr_table_init(&t, COLUMNS, 0);
    for (size_t i = 0; i < COLUMNS; i++) {
        otr_table_cell(&t, OTR_TONE_DIM, "%s", heads[i]);
    }
    bool ok = true;
    for (size_t i = 0; i < otr_json_size(keys) && ok; i++) {
        const otr_json *row = otr_json_at(keys, i);
        bool given = strcmp(otr_json_str(otr_json_get(row, "origin"), ""), "default") != 0;
        ok = (!o->all && !given) || print_key(&t, row);
    }
    otr_table_print(&t);
    return ok;
}

static otr_code show(const otr_config *cfg, const options *o, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf dump;
    OTR_CLEANUP(otr_json_freep) otr_json *root = NULL;
    otr_buf_init(&dump, DUMP_BYTES);
    otr_code rc = otr_config_dump(cfg, &dump, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (o->json) {
        otr_cli_print_json(stdout, otr_buf_bytes(&dump));
        return OTR_OK;
    }
    rc = otr_json_parse(otr_buf_bytes(&dump), &root, err);
    return rc != OTR_OK ? rc : print_keys(root, o) ? OTR_OK : otr_fail_nomem(err);
}

static int run_show(int argc, char **argv)
{
    options o = { .all = false };
    OTR_CLEANUP(otr_buf_deinit) otr_buf path;
    otr_config_source source;
    otr_config *cfg = NULL;
    otr_err err = { 0 };
    otr_buf_init(&path, OTR_CLI_PATH_BYTES);
    argc = take_own(argc, argv, &o);
    if (!otr_cli_source("config show", argc, argv, &source, &path)) {
        return OTR_VIEW_FAILED;
    }
    otr_code rc = otr_config_load(&source, &cfg, &err);
    rc = rc == OTR_OK ? show(cfg, &o, &err) : rc;
    int code = rc == OTR_OK ? OTR_VIEW_FINE : OTR_VIEW_FAILED;
    if (rc != OTR_OK) {
        otr_cli_say(stderr, "outrider config show: %s", err.msg);
    } else {
        for (const char *const *w = otr_config_warnings(cfg); *w != NULL; w++) {
            otr_cli_say(stderr, "outrider config show: warning: %s", *w);
            code = OTR_VIEW_NOT_FINE;
        }
    }
    otr_config_unref(cfg);
    return code;
}

static const struct word {
    const char *name;
    int (*fn)(int argc, char **argv);
    const char *help;
} words[] = {
    { "apply", otr_cli_config_apply, "give files to an NGINX: asked about, tested, proven" },
    { "check", otr_cli_config_apply, "what that would change, and what plugins say of it" },
    { "diff", otr_cli_config_diff, "what differs: disk, versions, a folder" },
    { "history", otr_cli_config_history, "who changed what, and what became of it" },
    { "rollback", otr_cli_config_rollback, "go back to an earlier version" },
    { "export", otr_cli_config_export, "a version as a tar" },
    { "adopt", otr_cli_config_adopt, "keep files that somebody else changed" },
    { "revert", otr_cli_config_revert, "put back files that somebody else changed" },
};

static void usage_of_all(FILE *to)
{
    (void)fprintf(to,
                  "Usage: outrider config show [FLAG]…           the agent's own configuration\n"
                  "       outrider config show INSTANCE [PATH]  that of an NGINX\n"
                  "       outrider config WORD [OPTION]…\n\n");
    for (size_t i = 0; i < OTR_COUNT(words); i++) {
        (void)fprintf(to, "  %-8s  %s\n", words[i].name, words[i].help);
    }
    (void)fprintf(to, "\nEach prints its options with --help.\n");
}

/* With an instance, which stands first, it is about an NGINX. */
static int show_one(int argc, char **argv)
{
    if (argc > 1 && argv[1][0] != '-') {
        return otr_cli_config_show(argc, argv);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            (void)fputs(usage, stdout);
            return OTR_VIEW_FINE;
        }
    }
    return run_show(argc - 1, argv + 1);
}

int otr_cli_config(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        usage_of_all(stdout);
        return OTR_VIEW_FINE;
    }
    if (argc > 1 && strcmp(argv[1], "show") == 0) {
        return show_one(argc - 1, argv + 1);
    }
    for (size_t i = 0; argc > 1 && i < OTR_COUNT(words); i++) {
        if (strcmp(argv[1], words[i].name) == 0) {
            return words[i].fn(argc - 1, argv + 1);
        }
    }
    if (argc > 1) {
        otr_cli_say(stderr, "outrider config: there is no \"%s\"", argv[1]);
    }
    usage_of_all(stderr);
    return OTR_VIEW_FAILED;
}
