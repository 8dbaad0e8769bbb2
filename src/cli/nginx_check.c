/* `outrider nginx check`: what NGINX takes and operators pay for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "cli/nginx.h"
#include "cli/nginx_instance.h"
#include "cli/print.h"
#include "nginx/check/rules/rules.h"
#include "nginx/check/write.h"
#include "nginx/files.h"

enum { EXIT_FINDINGS = 1, EXIT_FAILED = 2, DEFAULT_DAYS = 30, DAYS_MOST = 36500 };

typedef enum form { FORM_TEXT, FORM_JSON, FORM_SARIF } form;

typedef struct options {
    const char *file, *out, *root, *folder, *instance, *socket;
    otr_cli_instance nginx; /* that `instance` names */
    uid_t uid;              /* whose rights files are read with */
    form form;
    bool list_rules, quiet_rules;
    otr_check_level least;     /* is shown */
    otr_check_level threshold; /* counts for the exit code */
    otr_rules_list rules;
    bool *off; /* of each rule */
    otr_check_options check;
} options;

static int usage(FILE *to, int rc)
{
    (void)fprintf(
        to,
        "Usage: outrider nginx check [FILE | --instance ID] [--json | --sarif] [-o FILE]\n"
        "                       [--severity note|warning|error] [--only RULE,...] [--except "
        "RULE,...]\n"
        "                       [--expires-within DAYS] [--nginx-version X.Y.Z] [--resolve]\n"
        "                       [--root DIR] [--socket PATH]\n"
        "       outrider nginx check --rules [--json]\n\n"
        "FILE is /etc/nginx/nginx.conf where none is named, and may be - for standard input or a\n"
        "part of a configuration (of conf.d, sites-available). --instance takes the one of an "
        "NGINX\nthat a running agent knows (an id, its beginning, a path, or nginx). A comment "
        "behind a directive, or "
        "in\n"
        "a line above it, keeps a finding quiet: # outrider: ignore RULE reason\n\n"
        "Exit: 0 nothing of --severity (without it: warning) or above, 1 such findings, 2 it "
        "could\n"
        "not be read, or NGINX would not start with it.\n");
    return rc;
}

static int complain(const char *what)
{
    otr_cli_say(stderr, "outrider nginx check: %s", what);
    return EXIT_FAILED;
}

/* ---- options ---- */

static bool take_level(options *o, const char *text)
{
    for (int level = OTR_CHECK_NOTE; level <= OTR_CHECK_ERROR; level++) {
        if (strcmp(text, otr_check_level_name((otr_check_level)level)) == 0) {
            o->least = o->threshold = (otr_check_level)level;
            return true;
        }
    }
    return complain("--severity is note, warning or error") == 0;
}

/* Turns each rule of the list on or off. */
static bool take_rules(options *o, char *list, bool off)
{
    char *rest = NULL;
    for (size_t i = 0; !off && i < o->rules.n; i++) {
        /* Errors of the language are told in any case. */
        o->off[i] = strcmp(o->rules.items[i]->id, "parse") != 0;
    }
    for (char *word = strtok_r(list, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        uint32_t index;
        if (otr_rule_find(&o->rules, otr_bytes_of(word), &index) == NULL) {
            otr_cli_say(stderr, "outrider nginx check: there is no rule \"%s\"; --rules lists them",
                        word);
            return false;
        }
        o->off[index] = off;
    }
    return true;
}

static bool take_days(options *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    o->check.expires_days = (unsigned)n;
    return (errno == 0 && end != text && *end == '\0' && text[0] != '-' && n <= DAYS_MOST) ||
           complain("--expires-within takes a number of days") == 0;
}

static bool take_version(options *o, const char *text)
{
    unsigned part[3] = { 0 };
    char *end = NULL;
    for (size_t i = 0; i < 3; i++) {
        unsigned long n = strtoul(text, &end, 10);
        if (end == text || n > 999 || (*end != (i < 2 ? '.' : '\0'))) {
            return complain("--nginx-version takes a version such as 1.28.0") == 0;
        }
        part[i] = (unsigned)n;
        text = end + 1;
    }
    o->check.nginx_version = part[0] * 1000000 + part[1] * 1000 + part[2];
    return true;
}

static bool take_word(options *o, const char *name)
{
    if (strcmp(name, "--json") == 0) {
        o->form = FORM_JSON;
    } else if (strcmp(name, "--sarif") == 0) {
        o->form = FORM_SARIF;
    } else if (strcmp(name, "--rules") == 0) {
        o->list_rules = true;
    } else if (strcmp(name, "--resolve") == 0) {
        o->check.resolve = true;
    } else {
        return false;
    }
    return true;
}

typedef enum taken { TAKEN, TAKEN_WRONG, NOT_TAKEN } taken;

static taken take_value(options *o, const char *name, char *value)
{
    static const char *const names[] = { "--severity",       "--only",          "--except",
                                         "--expires-within", "--nginx-version", "--root",
                                         "--instance",       "--socket",        "--out" };
    size_t i = 0;
    while (i < OTR_COUNT(names) && strcmp(name, names[i]) != 0) {
        i++;
    }
    if (i == OTR_COUNT(names)) {
        return NOT_TAKEN;
    }
    if (value == NULL) {
        otr_cli_say(stderr, "outrider nginx check: %s: its value is missing", name);
        return TAKEN_WRONG;
    }
    bool fine = true;
    switch (i) {
    case 0:
        fine = take_level(o, value);
        break;
    case 1:
    case 2:
        fine = take_rules(o, value, i == 2);
        break;
    case 3:
        fine = take_days(o, value);
        break;
    case 4:
        fine = take_version(o, value);
        break;
    case 5:
        o->root = value;
        break;
    case 6:
        o->instance = value;
        break;
    case 7:
        o->socket = value;
        break;
    default:
        o->out = value;
        break;
    }
    return fine ? TAKEN : TAKEN_WRONG;
}

/* 0: go on; else the exit code + 1. */
static int take_option(options *o, char **argv, int *at)
{
    char *name = argv[*at];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return usage(stdout, 0) + 1;
    }
    if (take_word(o, name)) {
        return 0;
    }
    char *value = strncmp(name, "--", 2) == 0 ? strchr(name, '=') : NULL;
    bool apart = value == NULL;
    if (value != NULL) {
        *value++ = '\0';
    } else {
        value = argv[*at + 1];
    }
    taken how = take_value(o, strcmp(name, "-o") == 0 ? "--out" : name, value);
    if (how == NOT_TAKEN) {
        otr_cli_say(stderr, "outrider nginx check: %s: there is no such option", name);
        return usage(stderr, EXIT_FAILED) + 1;
    }
    *at += apart && how == TAKEN ? 1 : 0;
    return how == TAKEN ? 0 : EXIT_FAILED + 1;
}

static int take_options(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            int rc = take_option(o, argv, &i);
            if (rc != 0) {
                return rc;
            }
        } else if (o->file != NULL) {
            return usage(stderr, EXIT_FAILED) + 1;
        } else {
            o->file = argv[i];
        }
    }
    return 0;
}

/* ---- text ---- */

static void print_texts(FILE *to, const otr_rule *r)
{
    (void)fputs("    why: ", to);
    (void)otr_cli_print(to, otr_bytes_of(r->why));
    (void)fputs("\n    mend: ", to);
    (void)otr_cli_print(to, otr_bytes_of(r->mend));
    (void)fputs("\n", to);
}

static void print_finding(FILE *to, const otr_check *c, const otr_finding *f, bool first)
{
    const otr_rule *r = c->rules->items[f->rule];
    (void)otr_cli_print(to, otr_bytes_of(c->conf->files[f->file].path));
    if (f->line > 0) {
        (void)fprintf(to, ":%u", f->line);
    }
    if (f->column > 0) {
        (void)fprintf(to, ":%u", f->column);
    }
    (void)fprintf(to, ": %s: ", otr_check_level_name(f->level));
    (void)otr_cli_print(to, otr_bytes_of(f->message));
    (void)fprintf(to, " [%s]\n", r->id);
    if (first) {
        print_texts(to, r);
    }
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static otr_code print_all(const options *o, const otr_check *c, FILE *to, otr_err *err)
{
    bool *told = otr_calloc(o->rules.n, sizeof(*told));
    if (told == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < c->report.n; i++) {
        const otr_finding *f = &c->report.items[i];
        if (f->reason == NULL && f->level >= o->least) {
            print_finding(to, c, f, !told[f->rule]);
            told[f->rule] = true;
        }
    }
    otr_free(told);
    size_t e = c->counts[OTR_CHECK_ERROR], w = c->counts[OTR_CHECK_WARNING];
    size_t n = c->counts[OTR_CHECK_NOTE];
    (void)fprintf(to, "%zu error%s, %zu warning%s, %zu note%s in %zu file%s", e, plural(e), w,
                  plural(w), n, plural(n), c->conf->n_files, plural(c->conf->n_files));
    if (c->place != NULL) {
        (void)fprintf(to, ", looked at as a part of %s", c->place);
    }
    if (c->n_quiet > 0) {
        (void)fprintf(to, "; %zu kept quiet by comments", c->n_quiet);
    }
    if (c->report.left_out > 0) {
        (void)fprintf(to, "; %zu more are not shown", c->report.left_out);
    }
    (void)fputs("\n", to);
    return OTR_OK;
}

static void list_rules(const options *o, FILE *to)
{
    for (size_t i = 0; i < o->rules.n; i++) {
        const otr_rule *r = o->rules.items[i];
        (void)fprintf(to, "%s (%s): %s\n", r->id, otr_check_level_name(r->level), r->title);
        print_texts(to, r);
        (void)fprintf(to, "    %s\n", r->reference);
    }
}

/* ---- all of it ---- */

static otr_code to_stream(void *arg, otr_bytes bytes, otr_err *err)
{
    return fwrite(bytes.p, 1, bytes.n, arg) == bytes.n
               ? OTR_OK
               : otr_fail_sys(err, errno, "cannot write the output");
}

static otr_code write_out(const options *o, const otr_check *c, otr_err *err)
{
    FILE *to = o->out != NULL ? fopen(o->out, "we") : stdout;
    if (to == NULL) {
        return otr_fail_sys(err, errno, "cannot write %s", o->out);
    }
    otr_check_writer w = { .put = to_stream, .arg = to, .version = OTR_VERSION, .least = o->least };
    otr_code rc = OTR_OK;
    if (o->list_rules && o->form == FORM_TEXT) {
        list_rules(o, to);
    } else if (o->list_rules) {
        rc = otr_check_write_rules(&o->rules, &w, err);
    } else if (o->form == FORM_TEXT) {
        rc = print_all(o, c, to, err);
    } else {
        rc = o->form == FORM_JSON ? otr_check_write_json(c, &w, err)
                                  : otr_check_write_sarif(c, &w, err);
    }
    bool failed = ferror(to) != 0;
    failed = (o->out != NULL ? fclose(to) : fflush(to)) != 0 || failed;
    return rc == OTR_OK && failed ? otr_fail_sys(err, errno, "cannot write the output") : rc;
}

static otr_code check_file(options *o, otr_check_spec *spec, otr_check *c, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_bytes given;
    if (strcmp(o->file, "-") == 0) {
        otr_code rc = otr_buf_read_fd(&text, STDIN_FILENO, err);
        if (rc != OTR_OK) {
            return rc;
        }
        given = otr_buf_bytes(&text);
        spec->parse.path = "stdin";
        spec->parse.text = &given;
    }
    otr_code rc = otr_check_run(spec, c, err);
    return rc == OTR_OK ? write_out(o, c, err) : rc;
}

/* Where what the configuration names is looked for: the folder of the main file. */
static otr_code folder_of(const options *o, otr_buf *out, otr_err *err)
{
    otr_buf_init(out, 2 * OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(o->folder, strcmp(o->file, "-") == 0 ? "x" : o->file, out, err);
    const char *slash = rc == OTR_OK ? strrchr(otr_buf_text(out), '/') : NULL;
    if (slash != NULL) {
        size_t n = (size_t)(slash - otr_buf_text(out));
        otr_buf_cut(out, n > 0 ? n : 1);
    }
    return rc;
}

/* Which groups an NGINX of another user has is not told: then none. */
static gid_t gid_of(uid_t uid)
{
    enum { NOBODY = 65534 };
    return uid == geteuid() ? getegid() : NOBODY;
}

static int run(options *o)
{
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf below = { 0 };
    otr_buf_init(&below, 2 * OTR_NGINX_PATH_BYTES);
    otr_code rc = o->root != NULL ? otr_path_join(o->folder, o->root, &below, &err) : OTR_OK;
    otr_root root = { .path = otr_buf_text(&below), .uid = o->uid, .gid = gid_of(o->uid) };
    otr_check_spec spec = {
        .parse = { .root = &root, .folder = o->folder, .path = o->file },
        .rules = &o->rules,
        .off = o->off,
    };
    OTR_CLEANUP(otr_buf_deinit) otr_buf folder = { 0 };
    otr_check c = { 0 };
    if (rc == OTR_OK) {
        rc = folder_of(o, &folder, &err);
    }
    spec.options = o->check;
    spec.options.root = &root;
    spec.options.folder = otr_buf_text(&folder);
    if (rc == OTR_OK) {
        rc = check_file(o, &spec, &c, &err);
    }
    bool found = false;
    for (int level = (int)o->threshold; level <= OTR_CHECK_ERROR; level++) {
        found |= c.counts[level] > 0;
    }
    bool failed = c.failed;
    otr_check_deinit(&c);
    if (rc != OTR_OK) {
        return complain(err.msg);
    }
    return failed ? EXIT_FAILED : found ? EXIT_FINDINGS : 0;
}

/* Takes file, root, user and version of the NGINX that was named. 0: go on; else the exit code. */
static int take_instance(options *o)
{
    if (o->instance == NULL) {
        return o->socket == NULL ? 0 : complain("--socket goes with --instance");
    }
    if (o->file != NULL || o->root != NULL) {
        return complain("--instance says which file and root: name neither beside it");
    }
    if (!otr_cli_instance_find("nginx check", o->socket, o->instance, &o->nginx)) {
        return EXIT_FAILED;
    }
    o->file = o->nginx.config;
    o->root = o->nginx.root[0] != '\0' ? o->nginx.root : NULL;
    o->uid = o->nginx.uid;
    const char *dot = strchr(o->nginx.version, '.');
    dot = dot != NULL ? strchr(dot + 1, '.') : NULL;
    bool plain = dot != NULL && dot[1] != '\0' && dot[1 + strspn(dot + 1, "0123456789")] == '\0';
    if (plain && o->check.nginx_version == 0) { /* forks count otherwise */
        (void)take_version(o, o->nginx.version);
    }
    return 0;
}

static int run_or_list(options *o)
{
    otr_err err = { 0 };
    if (!o->list_rules) {
        return run(o);
    }
    return write_out(o, NULL, &err) == OTR_OK ? 0 : complain(err.msg);
}

int otr_cli_nginx_check(int argc, char **argv)
{
    char folder[OTR_NGINX_PATH_BYTES];
    options o = { .rules = otr_check_rules(),
                  .least = OTR_CHECK_NOTE,
                  .threshold = OTR_CHECK_WARNING,
                  .folder = getcwd(folder, sizeof(folder)),
                  .check = { .now_s = time(NULL), .expires_days = DEFAULT_DAYS } };
    if (o.folder == NULL) {
        return complain("the present folder cannot be told");
    }
    o.off = otr_calloc(o.rules.n, sizeof(*o.off));
    if (o.off == NULL) {
        return complain("out of memory");
    }
    int rc = take_options(&o, argc, argv);
    o.uid = geteuid();
    if (rc == 0 && (rc = take_instance(&o)) != 0) {
        rc++;
    }
    o.file = o.file != NULL ? o.file : "/etc/nginx/nginx.conf";
    rc = rc != 0 ? rc - 1 : run_or_list(&o);
    otr_free(o.off);
    return rc;
}
