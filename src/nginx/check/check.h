/*
 * Checks a configuration by rules (rule.h): what NGINX takes and operators pay for.
 *
 * A file that is only a part of one (of conf.d, sites-available) is looked at as what it is a part
 * of. Errors of the language are findings of the rule "parse".
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_CHECK_CHECK_H
#define OTR_NGINX_CHECK_CHECK_H

#include "nginx/check/rule.h"
#include "nginx/language/parse.h"

typedef struct otr_check_spec {
    otr_parse parse; /* root, path, folder, text; the rest is set here */
    otr_check_options options;
    const otr_rules_list *rules; /* "parse" and "suppression" among them */
    const bool *off;             /* rules that are left out, by their index; NULL: none */
} otr_check_spec;

typedef struct otr_check {
    const otr_rules_list *rules;
    otr_conf *conf;
    otr_report report;
    otr_buf text;      /* of the main file */
    const char *place; /* what the main file is a part of; NULL: it is all */
    size_t n_directives, n_servers;
    size_t counts[3]; /* of findings by level, without those that a comment keeps quiet */
    size_t n_quiet;
    bool failed; /* there are errors of the language: NGINX would not start with it */
} otr_check;

/* `check` is filled in any case and freed by otr_check_deinit(). Errors are those of memory and
 * limits, and that the main file cannot be read. */
otr_code otr_check_run(const otr_check_spec *spec, otr_check *ret, otr_err *err) OTR_MUST_CHECK;
void otr_check_deinit(otr_check *check);

#endif
