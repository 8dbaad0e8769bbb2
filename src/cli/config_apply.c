/* `outrider config apply|check|rollback`: a change of an NGINX configuration, or the way back. */
#include <stdio.h>
#include <string.h>

#include "cli/config_ask.h"
#include "cli/config_pack.h"
#include "cli/print.h"
#include "config/config.h"

static const char apply_usage[] =
    "Usage: outrider config apply DIR|TAR|-      [OPTION]…\n"
    "       outrider config apply FILE|- --to PATH [OPTION]…\n"
    "       outrider config apply FILE… --to DIR/ [OPTION]…\n"
    "       outrider config apply --delete PATH  [OPTION]…\n\n"
    "Gives files to an NGINX as one change: plugins are asked, the files exchanged, tested by\n"
    "NGINX itself and reloaded, and the reload proven. What fails is undone. Without --to, names\n"
    "are relative to the folder of its nginx.conf.\n\n"
    "  --instance NAME    which NGINX: an id, its beginning, the path of its nginx.conf, or\n"
    "                     \"nginx\" for the only one\n"
    "  --to PATH          where a file goes, or, ending in '/', the folder that names are\n"
    "                     relative to\n"
    "  --sync             the files are all there are below that folder: others are deleted\n"
    "  --delete PATH      delete a file; may come several times\n"
    "  --attributes WHAT  content (the default: a file keeps its mode and owner), mode or owner\n"
    "                     (mode and owner): what is taken over from the files that are given\n"
    "  --dry-run          say what would change and what plugins say of it, touch nothing\n"
    "  --message TEXT     why, for the history\n"
    "  --probe URL[=CODE] ask this after the reload, and undo the change when the answer is\n"
    "                     another; may come several times\n"
    "  --probation TIME   watch probes and traffic so long (30s) before the change is final\n"
    "  --json             the result as JSON, without the steps\n"
    "  --socket PATH, --config FILE   which agent\n\n"
    "Exit: 0 applied or nothing to do, 1 refused by a plugin or by NGINX, 2 wrong usage,\n"
    "      3 rolled back, 4 failed, 5 no agent, 6 superseded by a newer change.\n";

static const char check_usage[] =
    "Usage: outrider config check DIR|TAR|FILE|- [OPTION]…\n\n"
    "What \"outrider config apply\" with the same arguments would change, and what plugins say of\n"
    "it; with the difference. Nothing is touched. To look for faults in the configuration that is\n"
    "there: outrider nginx check.\n"
    "Exit: 0 it may be applied, 1 refused by a plugin, 2 wrong usage, 4 failed, 5 no agent.\n";

static const char rollback_usage[] =
    "Usage: outrider config rollback [CHANGE] [--to VERSION] [OPTION]…\n\n"
    "Goes back to the files before the last change that was applied; or to those after CHANGE (a\n"
    "number of \"outrider config history\"), or to a VERSION. It is a change itself: asked about,\n"
    "tested, proven and recorded, so a second rollback undoes the first.\n\n"
    "  --instance NAME, --dry-run, --message, --probe, --probation, --json: as for apply\n"
    "Exit: as for apply.\n";

/* ---- what is sent ---- */

static bool ends_in_slash(const char *path)
{
    size_t n = strlen(path);
    return n > 0 && path[n - 1] == '/';
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Where --to points: names are put below the folder `base` (NULL: that of nginx.conf). */
typedef struct place {
    otr_buf base;
    otr_buf prefix; /* of names, when --to is relative */
    const char *name;
} place;

static otr_code read_place(const otr_cli_ask *a, place *ret, otr_err *err)
{
    otr_buf_init(&ret->base, 4096);
    otr_buf_init(&ret->prefix, 4096);
    if (a->to == NULL) {
        return OTR_OK;
    }
    const char *name = base_name(a->to);
    size_t folder = (size_t)(name - a->to);
    if (!ends_in_slash(a->to)) {
        ret->name = name;
    }
    while (folder > 1 && a->to[folder - 1] == '/') {
        folder--;
    }
    otr_buf *to = a->to[0] == '/' ? &ret->base : &ret->prefix;
    return folder > 0 ? otr_buf_add(to, (otr_bytes){ (const uint8_t *)a->to, folder }, err)
                      : OTR_OK;
}

/* The name of a file in the archive: NULL for one that needs --to. */
static otr_code add_word(otr_pack *pack, const place *at, const otr_cli_ask *a, const char *word,
                         otr_err *err)
{
    otr_buf name;
    if (a->to == NULL) {
        return otr_pack_add(pack, word, NULL, err);
    }
    const char *last = at->name != NULL ? at->name : base_name(word);
    if (at->name == NULL && strcmp(word, "-") == 0) {
        last = NULL; /* it has no name of its own */
    }
    otr_buf_init(&name, 4096);
    otr_code rc = OTR_OK;
    if (last != NULL) {
        rc = otr_buf_addf(&name, err, "%s%s%s", otr_buf_text(&at->prefix),
                          at->prefix.n > 0 ? "/" : "", last);
    }
    rc = rc == OTR_OK ? otr_pack_add(pack, word, last != NULL ? otr_buf_text(&name) : NULL, err)
                      : rc;
    otr_buf_deinit(&name);
    return rc;
}

static otr_code check_words(const otr_cli_ask *a, const place *at, otr_err *err)
{
    if (a->n_words == 0 && a->n_deletes == 0) {
        return otr_fail(err, OTR_EINVAL, "what is to be applied? name a folder, a tar or a file");
    }
    if (at->name != NULL && a->n_words > 1) {
        return otr_fail(err, OTR_EINVAL,
                        "%zu files cannot all become %s: end it in '/' to name a folder",
                        a->n_words, a->to);
    }
    if (at->name != NULL && (strcmp(at->name, ".") == 0 || strcmp(at->name, "..") == 0)) {
        return otr_fail(err, OTR_EINVAL, "--to %s names no file: end it in '/' for a folder",
                        a->to);
    }
    return OTR_OK;
}

static otr_code pack_words(const otr_cli_ask *a, const place *at, otr_pack *pack, otr_err *err)
{
    otr_code rc = check_words(a, at, err);
    for (size_t i = 0; rc == OTR_OK && i < a->n_words; i++) {
        rc = add_word(pack, at, a, a->words[i], err);
    }
    if (rc == OTR_OK && pack->whole && (at->name != NULL || at->prefix.n > 0)) {
        rc = otr_fail(err, OTR_EINVAL,
                      "a folder or a tar goes into a folder: give --to an absolute path that ends "
                      "in '/'");
    }
    if (rc == OTR_OK && a->n_words > 0 && pack->files == 0 && a->n_deletes == 0 && !a->sync) {
        rc = otr_fail(err, OTR_EINVAL, "%s has no files", a->words[0]);
    }
    return rc == OTR_OK ? otr_pack_end(pack, err) : rc;
}

/* Milliseconds of "30s"; false: it is no duration. */
static bool duration_param(otr_cli_ask *a)
{
    char ms[32];
    uint64_t ns = 0;
    if (a->probation == NULL) {
        return true;
    }
    otr_err err = { 0 };
    if (otr_duration_parse(a->probation, &ns, &err) != OTR_OK) {
        otr_cli_say(stderr, "outrider %s: --probation %s: %s", a->view.command, a->probation,
                    err.msg);
        return false;
    }
    (void)snprintf(ms, sizeof(ms), "%llu", (unsigned long long)(ns / 1000000));
    otr_cli_ask_param(a, "probation_ms", ms);
    return true;
}

bool otr_cli_ask_change(otr_cli_ask *a, const char *path)
{
    otr_cli_ask_target(a, path);
    otr_cli_ask_param(a, "instance", a->instance);
    otr_cli_ask_param(a, "dry_run", a->dry_run ? "1" : NULL);
    otr_cli_ask_param(a, "message", a->message);
    for (size_t i = 0; i < a->n_probes; i++) {
        otr_cli_ask_param(a, "probe", a->probes[i]);
    }
    return duration_param(a);
}

static int send(otr_cli_ask *a, bool quiet)
{
    otr_err err = { 0 };
    otr_pack pack;
    place at = { .name = NULL };
    otr_code rc = otr_pack_open(&pack, &err);
    rc = rc == OTR_OK ? read_place(a, &at, &err) : rc;
    rc = rc == OTR_OK ? pack_words(a, &at, &pack, &err) : rc;
    int code = OTR_CONFIG_USAGE;
    if (rc != OTR_OK) {
        otr_cli_say(stderr, "outrider %s: %s", a->view.command, err.msg);
    } else if (otr_cli_ask_change(a, "/api/v1/config/apply")) {
        otr_cli_ask_param(a, "attributes", a->attributes);
        otr_cli_ask_param(a, "mode", a->sync ? "sync" : NULL);
        otr_cli_ask_param(a, "base", at.base.n > 0 ? otr_buf_text(&at.base) : NULL);
        for (size_t i = 0; i < a->n_deletes; i++) {
            otr_cli_ask_param(a, "delete", a->deletes[i]);
        }
        const otr_cli_ask_run_spec run = {
            .fd = pack.fd, .bytes = pack.bytes, .show_diff = a->dry_run, .quiet = quiet
        };
        code = otr_cli_ask_run(a, &run);
    }
    otr_buf_deinit(&at.base);
    otr_buf_deinit(&at.prefix);
    otr_pack_close(&pack);
    return code;
}

int otr_cli_config_apply(int argc, char **argv)
{
    bool check = strcmp(argv[0], "check") == 0;
    otr_cli_ask a = { .view = { .command = check ? "config check" : "config apply",
                                .usage = check ? check_usage : apply_usage } };
    int code;
    if (otr_cli_ask_init(&a, OTR_CONFIG_HAS_CHANGE, argc, argv, &code)) {
        a.dry_run = a.dry_run || check;
        code = send(&a, false);
    }
    otr_cli_ask_deinit(&a);
    return code;
}

int otr_cli_ask_diff_given(otr_cli_ask *a)
{
    a->dry_run = true;
    return send(a, true);
}

int otr_cli_config_rollback(int argc, char **argv)
{
    otr_cli_ask a = { .view = { .command = "config rollback", .usage = rollback_usage } };
    int code;
    if (otr_cli_ask_init(&a, OTR_CONFIG_HAS_CHANGE, argc, argv, &code)) {
        code = OTR_CONFIG_USAGE;
        if (a.n_words > 1 || (a.n_words == 1 && a.to != NULL) || a.sync || a.n_deletes > 0) {
            otr_cli_say(stderr, "outrider config rollback: one change or one version is meant");
            (void)fputs(rollback_usage, stderr);
        } else if (otr_cli_ask_change(&a, "/api/v1/config/rollback")) {
            const char *to = a.to != NULL ? a.to : a.n_words == 1 ? a.words[0] : "previous";
            otr_cli_ask_param(&a, "to", to);
            const otr_cli_ask_run_spec run = { .fd = -1, .show_diff = a.dry_run };
            code = otr_cli_ask_run(&a, &run);
        }
    }
    otr_cli_ask_deinit(&a);
    return code;
}
