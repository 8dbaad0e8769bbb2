/*
 * What the commands of `outrider config` share that ask a running agent: options, the target of a
 * request, what an answer means for the exit code.
 *
 * Exit codes: 0 done (applied, unchanged, planned), 1 refused (a plugin or NGINX says no; for diff:
 * there are differences), 2 wrong usage or no such thing, 3 rolled back, 4 failed, 5 no agent,
 * 6 superseded.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_CONFIG_ASK_H
#define OTR_CLI_CONFIG_ASK_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/view.h"

enum {
    OTR_CONFIG_FINE = 0,
    OTR_CONFIG_REFUSED = 1,
    OTR_CONFIG_USAGE = 2,
    OTR_CONFIG_ROLLED_BACK = 3,
    OTR_CONFIG_FAILED = 4,
    OTR_CONFIG_NO_AGENT = 5,
    OTR_CONFIG_SUPERSEDED = 6,
};

enum { OTR_CONFIG_VALUES = 64, OTR_CONFIG_WORDS = 256 };

/* Which options a command takes. */
enum {
    OTR_CONFIG_HAS_CHANGE = 1, /* --sync --delete --dry-run --message --probe --probation --to */
    OTR_CONFIG_HAS_PAGE = 2,   /* --before --limit */
    OTR_CONFIG_HAS_VERSION = 4,
    OTR_CONFIG_HAS_OUTPUT = 8, /* -o */
    OTR_CONFIG_HAS_SIDES = 16, /* --against */
};

typedef struct otr_cli_ask {
    otr_view view; /* --json, --socket, --config */
    const char *instance, *message, *to, *probation, *attributes, *before, *limit, *version,
        *output, *against;
    bool sync, dry_run;
    const char *probes[OTR_CONFIG_VALUES], *deletes[OTR_CONFIG_VALUES];
    size_t n_probes, n_deletes;
    const char *words[OTR_CONFIG_WORDS]; /* what is no option */
    size_t n_words;
    otr_buf target; /* of the request */
} otr_cli_ask;

/* argv[0] is the command. False: the caller returns `*ret_exit`, after otr_cli_ask_deinit(). */
bool otr_cli_ask_init(otr_cli_ask *a, unsigned has, int argc, char **argv, int *ret_exit);
void otr_cli_ask_deinit(otr_cli_ask *a);

/* Begins the target; then parameters, encoded. A NULL value adds nothing. Without memory the
 * request is refused by otr_cli_ask_get(). */
void otr_cli_ask_target(otr_cli_ask *a, const char *path);
void otr_cli_ask_param(otr_cli_ask *a, const char *name, const char *value);

/* The target of a change with what all of them take. False: standard error has the reason. */
bool otr_cli_ask_change(otr_cli_ask *a, const char *path);

/* GETs the target and parses the answer; the text is in `ret_text` too. False: standard error has
 * the reason, and `*ret_exit` the exit code. */
bool otr_cli_ask_get(const otr_cli_ask *a, otr_buf *ret_text, otr_json **ret, int *ret_exit);
/* What a refusal means: 2 for what was asked, 5 for an agent that could not. Says why. */
int otr_cli_ask_refused(const otr_cli_ask *a, unsigned status, const otr_buf *body);

/* The commands; argv[0] is the word. */
int otr_cli_config_show(int argc, char **argv);
int otr_cli_config_diff(int argc, char **argv);
int otr_cli_config_history(int argc, char **argv);
int otr_cli_config_export(int argc, char **argv);
int otr_cli_config_apply(int argc, char **argv); /* "apply" or "check" */
int otr_cli_config_rollback(int argc, char **argv);
int otr_cli_config_adopt(int argc, char **argv);
int otr_cli_config_revert(int argc, char **argv);

/* Sends the request of `a` (a body of `bytes` from `fd`), shows the way and the end of a
 * transaction; the exit code. `show_diff`: of a dry run. */
typedef struct otr_cli_ask_run_spec {
    int fd;
    uint64_t bytes;
    bool show_diff;
    bool quiet; /* the diff only: no steps, no summary; 1 when something differs */
} otr_cli_ask_run_spec;
int otr_cli_ask_run(otr_cli_ask *a, const otr_cli_ask_run_spec *run);
/* The difference that applying what `a` names would make; the exit code. */
int otr_cli_ask_diff_given(otr_cli_ask *a);
/* Text of several lines, each as base/escape.h writes it, to standard output. */
void otr_cli_ask_print(const char *lines);

#endif
