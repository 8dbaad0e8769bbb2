/*
 * What the commands of `outrider nginx` share.
 *
 * Thread: main.
 */
#ifndef OTR_CLI_NGINX_H
#define OTR_CLI_NGINX_H

#include <stdbool.h>

#include "base/err.h"
#include "nginx/language/build.h"
#include "nginx/language/parse.h"

enum { OTR_CLI_NGINX_IGNORED = 256 };

typedef struct otr_cli_nginx {
    const char *command;
    const char *file; /* "-": standard input */
    const char *out, *dir;
    const char *folder; /* where we are */
    const char *ignored[OTR_CLI_NGINX_IGNORED + 1];
    size_t n_ignored;
    unsigned indent;
    otr_root root; /* our own */
    otr_parse parse;
    bool indented, combine, lines, tabs, force, to_stdout, verbose, no_headers;
} otr_cli_nginx;

/* Writes the files of `conf`, each whole or not at all. OTR_ESTATE: one of them is there already
 * and `force` is not. */
otr_code otr_cli_nginx_build(const otr_cli_nginx *o, const otr_conf *conf, const otr_layout *layout,
                             otr_err *err) OTR_MUST_CHECK;

/* argv[0] is "check". */
int otr_cli_nginx_check(int argc, char **argv);
/* argv[0] is "status-snippet". */
int otr_cli_nginx_snippet(int argc, char **argv);

#endif
