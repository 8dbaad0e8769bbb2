#include "cli/config_ask.h"

#include <stdio.h>
#include <string.h>

#include "cli/print.h"
#include "net/http/unix.h"

enum { TARGET_BYTES = 12000, ASK_MS = 60000, HTTP_OK = 200, HTTP_SERVER = 500 };

/* ---- options ---- */

typedef struct option {
    const char *name;
    unsigned has; /* 0: of every command */
    const char **value;
    bool *flag;
    const char **list; /* of OTR_CONFIG_VALUES */
    size_t *n;
} option;

/* 1: taken, 0: another one, -1: its value is missing. */
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

static int take_one(const option *o, int argc, char **argv, int *i)
{
    const char *value = NULL;
    if (o->flag != NULL) {
        *o->flag = *o->flag || strcmp(argv[*i], o->name) == 0;
        return strcmp(argv[*i], o->name) == 0;
    }
    int taken = take_value(o->name, argc, argv, i, &value);
    if (taken == 1 && o->list != NULL && o->n != NULL) {
        if (*o->n == OTR_CONFIG_VALUES) {
            return -1;
        }
        o->list[(*o->n)++] = value;
    } else if (taken == 1 && o->value != NULL) {
        *o->value = value;
    }
    return taken;
}

static int take_own(otr_cli_ask *a, unsigned has, int argc, char **argv, int *i)
{
    const option options[] = {
        { "--instance", 0, &a->instance, NULL, NULL, NULL },
        { "--sync", OTR_CONFIG_HAS_CHANGE, NULL, &a->sync, NULL, NULL },
        { "--dry-run", OTR_CONFIG_HAS_CHANGE, NULL, &a->dry_run, NULL, NULL },
        { "--message", OTR_CONFIG_HAS_CHANGE, &a->message, NULL, NULL, NULL },
        { "--probation", OTR_CONFIG_HAS_CHANGE, &a->probation, NULL, NULL, NULL },
        { "--attributes", OTR_CONFIG_HAS_CHANGE, &a->attributes, NULL, NULL, NULL },
        { "--to", OTR_CONFIG_HAS_CHANGE, &a->to, NULL, NULL, NULL },
        { "--probe", OTR_CONFIG_HAS_CHANGE, NULL, NULL, a->probes, &a->n_probes },
        { "--delete", OTR_CONFIG_HAS_CHANGE, NULL, NULL, a->deletes, &a->n_deletes },
        { "--before", OTR_CONFIG_HAS_PAGE, &a->before, NULL, NULL, NULL },
        { "--limit", OTR_CONFIG_HAS_PAGE, &a->limit, NULL, NULL, NULL },
        { "--version", OTR_CONFIG_HAS_VERSION, &a->version, NULL, NULL, NULL },
        { "--output", OTR_CONFIG_HAS_OUTPUT, &a->output, NULL, NULL, NULL },
        { "-o", OTR_CONFIG_HAS_OUTPUT, &a->output, NULL, NULL, NULL },
        { "--against", OTR_CONFIG_HAS_SIDES, &a->against, NULL, NULL, NULL },
    };
    for (size_t k = 0; k < OTR_COUNT(options); k++) {
        bool offered = options[k].has == 0 || (options[k].has & has) != 0;
        int taken = offered ? take_one(&options[k], argc, argv, i) : 0;
        if (taken != 0) {
            return taken;
        }
    }
    return 0;
}

static bool is_option(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0'; /* "-" is standard input */
}

static bool complain(const otr_cli_ask *a, const char *what, const char *arg)
{
    otr_cli_say(stderr, "outrider %s: %s \"%s\"", a->view.command, what, arg);
    (void)fputs(a->view.usage, stderr);
    return false;
}

/* Takes the own options and words out; the others go on to the view. */
static bool split(otr_cli_ask *a, unsigned has, int argc, char **argv, int *ret_left)
{
    bool words_only = false;
    int left = 1;
    for (int i = 1; i < argc; i++) {
        int taken = words_only ? 0 : take_own(a, has, argc, argv, &i);
        if (taken < 0) {
            return complain(a, "a value is missing after, or there are too many of", argv[i]);
        }
        if (taken > 0) {
            continue;
        }
        if (!words_only && strcmp(argv[i], "--") == 0) {
            words_only = true;
        } else if (!words_only && is_option(argv[i])) {
            bool valued = strcmp(argv[i], "--socket") == 0 || strcmp(argv[i], "--config") == 0;
            argv[left++] = argv[i];
            if (valued && i + 1 < argc) {
                argv[left++] = argv[++i];
            }
        } else if (a->n_words == OTR_CONFIG_WORDS) {
            return complain(a, "there are too many arguments from", argv[i]);
        } else {
            a->words[a->n_words++] = argv[i];
        }
    }
    *ret_left = left;
    return true;
}

bool otr_cli_ask_init(otr_cli_ask *a, unsigned has, int argc, char **argv, int *ret_exit)
{
    int left = 0;
    otr_buf_init(&a->target, TARGET_BYTES);
    *ret_exit = OTR_CONFIG_USAGE;
    return split(a, has, argc, argv, &left) && otr_view_init(&a->view, left, argv, ret_exit);
}

void otr_cli_ask_deinit(otr_cli_ask *a)
{
    otr_buf_deinit(&a->target);
    otr_view_deinit(&a->view);
}

/* ---- the target ---- */

void otr_cli_ask_target(otr_cli_ask *a, const char *path)
{
    otr_buf_clear(&a->target);
    if (otr_buf_adds(&a->target, path, NULL) != OTR_OK) {
        a->target.max_bytes = 0;
    }
}

static otr_code add_encoded(otr_buf *out, const char *value)
{
    static const char plain[] = "-_.~/:";
    otr_code rc = OTR_OK;
    for (; *value != '\0' && rc == OTR_OK; value++) {
        unsigned char c = (unsigned char)*value;
        bool kept = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr(plain, c) != NULL;
        rc = kept ? otr_buf_addc(out, (char)c, NULL) : otr_buf_addf(out, NULL, "%%%02X", c);
    }
    return rc;
}

/* What does not fit would be left out in silence: the whole target is spoiled instead. */
void otr_cli_ask_param(otr_cli_ask *a, const char *name, const char *value)
{
    if (value == NULL || a->target.n == 0) {
        return;
    }
    bool first = strchr(otr_buf_text(&a->target), '?') == NULL;
    if (otr_buf_addf(&a->target, NULL, "%c%s=", first ? '?' : '&', name) != OTR_OK ||
        add_encoded(&a->target, value) != OTR_OK) {
        otr_buf_deinit(&a->target);
    }
}

/* ---- asking ---- */

int otr_cli_ask_refused(const otr_cli_ask *a, unsigned status, const otr_buf *body)
{
    otr_view_refused(&a->view, status, body);
    return status < HTTP_SERVER ? OTR_CONFIG_USAGE : OTR_CONFIG_NO_AGENT;
}

bool otr_cli_ask_get(const otr_cli_ask *a, otr_buf *ret_text, otr_json **ret, int *ret_exit)
{
    otr_err err = { 0 };
    unsigned status = 0;
    const otr_unix_http ask = { .socket_path = otr_buf_text(&a->view.socket_path),
                                .method = "GET",
                                .target = otr_buf_text(&a->target),
                                .timeout_ms = ASK_MS };
    *ret_exit = OTR_CONFIG_NO_AGENT;
    if (a->target.n == 0) {
        otr_cli_say(stderr, "outrider %s: the arguments are too long", a->view.command);
        *ret_exit = OTR_CONFIG_USAGE;
        return false;
    }
    if (otr_unix_http_ask(&ask, &status, ret_text, &err) != OTR_OK) {
        otr_view_complain(&a->view, &err);
        return false;
    }
    if (status != HTTP_OK) {
        *ret_exit = otr_cli_ask_refused(a, status, ret_text);
        return false;
    }
    if (otr_json_parse(otr_buf_bytes(ret_text), ret, &err) != OTR_OK) {
        otr_cli_say(stderr, "outrider %s: %s: what answers there is no agent: %s", a->view.command,
                    ask.socket_path, err.msg);
        return false;
    }
    return true;
}
