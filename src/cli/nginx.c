/* `outrider nginx parse|build|lex|format|minify`: configurations as JSON and back, without an
 * agent. */
#include "cli/nginx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/cli.h"
#include "cli/print.h"
#include "nginx/files.h"
#include "nginx/language/build.h"
#include "nginx/language/parse.h"
#include "nginx/language/payload.h"

enum { EXIT_WRONG = 1, EXIT_USAGE = 2, MAX_INDENT = 16, DEFAULT_INDENT = 4 };

static int usage(FILE *to, int rc)
{
    (void)fprintf(
        to,
        "Usage: outrider nginx parse FILE [--combine] [--single-file] [--include-comments]\n"
        "                       [--ignore NAME,NAME…] [--strict] [--no-check-ctx]\n"
        "                       [--no-check-args] [--no-catch] [-i N] [-o FILE]\n"
        "       outrider nginx build FILE [-d DIR] [-f] [-i N | -t] [--no-headers] [--stdout] "
        "[-v]\n"
        "       outrider nginx lex FILE [-n] [-i N] [-o FILE]\n"
        "       outrider nginx format FILE [-i N | -t] [-o FILE]\n"
        "       outrider nginx minify FILE [-o FILE]\n"
        "       outrider nginx check [FILE] [--json | --sarif] ..., see check --help\n"
        "       outrider nginx status-snippet [--listen PLACE]\n\n"
        "FILE may be - for standard input. parse and lex print JSON in the schema of crossplane,\n"
        "build reads it. Exit: 0 fine, 1 the configuration has errors, 2 it could not be read.\n");
    return rc;
}

/* Returns the exit code of a command that could not do its work. */
static int complain(const otr_cli_nginx *o, const char *what)
{
    otr_cli_say(stderr, "outrider nginx %s: %s", o->command, what);
    return EXIT_USAGE;
}

/* ---- options ---- */

static const struct word {
    const char *name;
    char letter; /* upper case: it has none of its own on the command line */
    bool has_value;
} words[] = {
    { "out", 'o', true },
    { "indent", 'i', true },
    { "ignore", 'I', true },
    { "no-catch", 'C', false },
    { "combine", 'M', false },
    { "single-file", 'S', false },
    { "include-comments", 'K', false },
    { "strict", 'T', false },
    { "no-check-ctx", 'X', false },
    { "no-check-args", 'A', false },
    { "line-numbers", 'n', false },
    { "dir", 'd', true },
    { "force", 'f', false },
    { "tabs", 't', false },
    { "no-headers", 'H', false },
    { "stdout", 'O', false },
    { "verbose", 'v', false },
    { "help", 'h', false },
};

/* The option that `text` is, with what follows its "=" in `*ret_value`; NULL: there is none. */
static const struct word *find_word(char *text, char **ret_value)
{
    *ret_value = NULL;
    for (size_t i = 0; i < OTR_COUNT(words); i++) {
        size_t n = strlen(words[i].name);
        if (text[1] == '-' && strncmp(text + 2, words[i].name, n) == 0 &&
            (text[2 + n] == '\0' || (text[2 + n] == '=' && words[i].has_value))) {
            *ret_value = text[2 + n] == '=' ? text + 3 + n : NULL;
            return &words[i];
        }
        if (text[1] == words[i].letter && text[2] == '\0' && words[i].letter >= 'a') {
            return &words[i];
        }
    }
    return NULL;
}

static bool take_ignored(otr_cli_nginx *o, char *list)
{
    char *rest = NULL;
    for (char *word = strtok_r(list, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        if (o->n_ignored >= OTR_CLI_NGINX_IGNORED) {
            return false;
        }
        o->ignored[o->n_ignored++] = word;
    }
    o->parse.ignore = o->ignored;
    return true;
}

static bool take_indent(otr_cli_nginx *o, const char *text)
{
    char *end = NULL;
    errno = 0;
    unsigned long n = text != NULL ? strtoul(text, &end, 10) : 0;
    o->indent = (unsigned)n;
    o->indented = true;
    return errno == 0 && end != NULL && end != text && *end == '\0' && n <= MAX_INDENT;
}

static bool take_switch(otr_cli_nginx *o, char letter)
{
    bool *const of[128] = {
        ['C'] = &o->parse.first_only,
        ['M'] = &o->combine,
        ['S'] = &o->parse.single,
        ['K'] = &o->parse.comments,
        ['T'] = &o->parse.strict,
        ['X'] = &o->parse.any_place,
        ['A'] = &o->parse.any_args,
        ['n'] = &o->lines,
        ['f'] = &o->force,
        ['t'] = &o->tabs,
        ['H'] = &o->no_headers,
        ['O'] = &o->to_stdout,
        ['v'] = &o->verbose,
    };
    *of[(unsigned char)letter] = true;
    return true;
}

static bool take_option(otr_cli_nginx *o, char letter, char *value)
{
    switch (letter) {
    case 'o':
        o->out = value;
        return true;
    case 'd':
        o->dir = value;
        return true;
    case 'i':
        return take_indent(o, value);
    case 'I':
        return take_ignored(o, value);
    default:
        return take_switch(o, letter);
    }
}

/* 0: go on; else the exit code + 1. */
static int take_word(otr_cli_nginx *o, const char *takes, const struct word *word, char *value)
{
    if (word->letter == 'h') {
        return usage(stdout, 0) + 1;
    }
    if (strchr(takes, word->letter) == NULL) {
        otr_cli_say(stderr, "outrider nginx %s: it has no option --%s", o->command, word->name);
        return usage(stderr, EXIT_USAGE) + 1;
    }
    if (!take_option(o, word->letter, value)) {
        return 1 + complain(o, word->letter == 'i' ? "--indent takes a number from 0 to 16"
                                                   : "--ignore names too many directives");
    }
    return 0;
}

static int take_options(otr_cli_nginx *o, const char *takes, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *value;
        if (argv[i][0] != '-' || argv[i][1] == '\0') {
            if (o->file != NULL) {
                return usage(stderr, EXIT_USAGE) + 1;
            }
            o->file = argv[i];
            continue;
        }
        const struct word *word = find_word(argv[i], &value);
        if (word != NULL && word->has_value && value == NULL) {
            value = i + 1 < argc ? argv[++i] : NULL;
        }
        if (word == NULL || (word->has_value && value == NULL)) {
            otr_cli_say(stderr, "outrider nginx %s: %s: %s", o->command, argv[i],
                        word == NULL ? "there is no such option" : "its value is missing");
            return usage(stderr, EXIT_USAGE) + 1;
        }
        int rc = take_word(o, takes, word, value);
        if (rc != 0) {
            return rc;
        }
    }
    return o->file != NULL ? 0 : usage(stderr, EXIT_USAGE) + 1;
}

/* ---- input and output ---- */

static otr_code to_stream(void *arg, otr_bytes bytes, otr_err *err)
{
    return fwrite(bytes.p, 1, bytes.n, arg) == bytes.n
               ? OTR_OK
               : otr_fail_sys(err, errno, "cannot write the output");
}

static otr_code open_output(const otr_cli_nginx *o, FILE **ret, otr_err *err)
{
    *ret = o->out != NULL ? fopen(o->out, "we") : stdout;
    return *ret != NULL ? OTR_OK : otr_fail_sys(err, errno, "cannot write %s", o->out);
}

static otr_code close_output(const otr_cli_nginx *o, FILE *to, otr_err *err)
{
    int failed = o->out != NULL ? fclose(to) : fflush(to);
    return failed == 0 ? OTR_OK : otr_fail_sys(err, errno, "cannot write the output");
}

/* All that `o->file` names. */
static otr_code read_all(otr_cli_nginx *o, otr_buf *out, otr_err *err)
{
    otr_buf_init(out, OTR_LIMIT_NGINX_CONFIG_BYTES);
    if (strcmp(o->file, "-") == 0) {
        return otr_buf_read_fd(out, STDIN_FILENO, err);
    }
    otr_buf path;
    otr_buf_init(&path, 2 * OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(o->folder, o->file, &path, err);
    if (rc == OTR_OK) {
        rc = otr_root_read(&o->root, otr_buf_text(&path), out, NULL, err);
    }
    otr_buf_deinit(&path);
    return rc;
}

/* What is to be parsed; what comes in by standard input is read now. */
static otr_code prepare(otr_cli_nginx *o, otr_buf *text, otr_bytes *given, otr_err *err)
{
    o->parse.root = &o->root;
    o->parse.folder = o->folder;
    o->parse.path = o->file;
    if (strcmp(o->file, "-") != 0) {
        return OTR_OK;
    }
    otr_code rc = read_all(o, text, err);
    *given = otr_buf_bytes(text);
    o->parse.path = "stdin";
    o->parse.text = given;
    return rc;
}

static int say_errors(const otr_cli_nginx *o, const otr_conf *conf)
{
    for (size_t i = 0; i < conf->n_errors; i++) {
        const otr_conf_error *e = &conf->errors[i];
        const char *path = conf->files[e->file].path;
        if (e->line > 0) {
            otr_cli_say(stderr, "outrider nginx %s: %s:%u: %s", o->command, path, e->line, e->text);
        } else {
            otr_cli_say(stderr, "outrider nginx %s: %s: %s", o->command, path, e->text);
        }
    }
    return conf->n_errors > 0 ? EXIT_WRONG : 0;
}

/* ---- commands ---- */

static int run_parse(otr_cli_nginx *o)
{
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf text = { 0 };
    otr_bytes given;
    FILE *to = NULL;
    otr_code rc = prepare(o, &text, &given, &err);
    if (rc == OTR_OK) {
        rc = open_output(o, &to, &err);
    }
    if (rc != OTR_OK) {
        return complain(o, err.msg);
    }
    bool failed = false;
    otr_json_style style = { .combine = o->combine, .indent = o->indent };
    otr_sink sink = { .put = to_stream, .arg = to };
    rc = otr_conf_stream_json(&o->parse, &style, &sink, &failed, &err);
    otr_code closed = close_output(o, to, rc == OTR_OK ? &err : NULL);
    if (rc != OTR_OK || closed != OTR_OK) {
        return complain(o, err.msg);
    }
    return failed ? EXIT_WRONG : 0;
}

static int run_lex(otr_cli_nginx *o)
{
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf text = { 0 };
    otr_code rc = read_all(o, &text, &err);
    FILE *to = NULL;
    if (rc == OTR_OK) {
        rc = open_output(o, &to, &err);
    }
    if (rc != OTR_OK) {
        return complain(o, err.msg);
    }
    otr_lex_style style = { .file = o->file, .lines = o->lines, .indent = o->indent };
    otr_sink sink = { .put = to_stream, .arg = to };
    rc = otr_conf_write_tokens(otr_buf_bytes(&text), &style, &sink, &err);
    otr_code closed = close_output(o, to, rc == OTR_OK ? &err : NULL);
    if (rc != OTR_OK || closed != OTR_OK) {
        (void)complain(o, err.msg);
    }
    return rc == OTR_EINVAL ? EXIT_WRONG : rc != OTR_OK || closed != OTR_OK ? EXIT_USAGE : 0;
}

static int print_text(const otr_cli_nginx *o, otr_buf *text)
{
    otr_err err = { 0 };
    FILE *to = NULL;
    otr_code rc = open_output(o, &to, &err);
    if (rc == OTR_OK) {
        rc = to_stream(to, otr_buf_bytes(text), &err);
        if (rc == OTR_OK) {
            rc = to_stream(to, otr_bytes_of("\n"), &err);
        }
        otr_code closed = close_output(o, to, rc == OTR_OK ? &err : NULL);
        rc = rc == OTR_OK ? closed : rc;
    }
    return rc == OTR_OK ? 0 : complain(o, err.msg);
}

static int run_layout(otr_cli_nginx *o)
{
    bool mini = strcmp(o->command, "minify") == 0;
    o->parse.single = o->parse.any_place = o->parse.any_args = true;
    o->parse.comments = !mini;
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf text = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf out;
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    otr_buf_init(&out, 8UL * OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_bytes given;
    otr_code rc = prepare(o, &text, &given, &err);
    if (rc == OTR_OK) {
        rc = otr_conf_parse(&o->parse, &conf, &err);
    }
    if (rc != OTR_OK) {
        return complain(o, err.msg);
    }
    if (conf->n_errors > 0) {
        return say_errors(o, conf);
    }
    otr_layout layout = { .indent = o->indented ? o->indent : DEFAULT_INDENT, .tabs = o->tabs };
    rc = mini ? otr_conf_write_mini(conf->files[0].first, &out, &err)
              : otr_conf_write_text(conf->files[0].first, &layout, &out, &err);
    return rc == OTR_OK ? print_text(o, &out) : complain(o, err.msg);
}

static int run_build(otr_cli_nginx *o)
{
    otr_err err = { 0 };
    OTR_CLEANUP(otr_buf_deinit) otr_buf json = { 0 };
    OTR_CLEANUP(otr_conf_freep) otr_conf *conf = NULL;
    otr_code rc = read_all(o, &json, &err);
    if (rc == OTR_OK) {
        rc = otr_conf_load(otr_buf_bytes(&json), &conf, &err);
        if (rc != OTR_OK) {
            rc = otr_wrap(&err, rc, "%s", o->file);
        }
    }
    otr_layout layout = { .indent = o->indented ? o->indent : DEFAULT_INDENT, .tabs = o->tabs };
    if (rc == OTR_OK) {
        rc = otr_cli_nginx_build(o, conf, &layout, &err);
    }
    return rc == OTR_OK ? 0 : complain(o, err.msg);
}

/* `takes`: the options of each by their letters. */
static const struct command {
    const char *name, *takes;
    int (*fn)(otr_cli_nginx *o);
} commands[] = {
    { "parse", "oiICMSKTXA", run_parse },
    { "build", "difHOtv", run_build },
    { "lex", "oin", run_lex },
    { "format", "oit", run_layout },
    { "minify", "o", run_layout },
};

int otr_cli_nginx_main(int argc, char **argv)
{
    if (argc < 2) {
        return usage(stderr, EXIT_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        return usage(stdout, 0);
    }
    if (strcmp(argv[1], "check") == 0) {
        return otr_cli_nginx_check(argc - 1, argv + 1);
    }
    if (strcmp(argv[1], "status-snippet") == 0) {
        return otr_cli_nginx_snippet(argc - 1, argv + 1);
    }
    otr_cli_nginx o = { .command = argv[1],
                        .root = { .path = "", .uid = geteuid(), .gid = getegid() } };
    char folder[OTR_NGINX_PATH_BYTES];
    o.folder = getcwd(folder, sizeof(folder));
    if (o.folder == NULL) {
        return complain(&o, "the present folder cannot be told");
    }
    for (size_t i = 0; i < OTR_COUNT(commands); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            int rc = take_options(&o, commands[i].takes, argc - 1, argv + 1);
            return rc != 0 ? rc - 1 : commands[i].fn(&o);
        }
    }
    otr_cli_say(stderr, "outrider nginx: there is no command \"%s\"", argv[1]);
    (void)fputc('\n', stderr);
    return usage(stderr, EXIT_USAGE);
}
