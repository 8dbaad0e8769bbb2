/*
 * A configuration as JSON, in the schema of crossplane: `status`, `errors` and `config`, an array
 * with `file`, `status`, `errors` and `parsed` for each file; a directive has `directive`, `line`,
 * `args` and, where it has them, `block`, `includes`, `comment` and `file`. docs/crossplane.md says
 * where ours differs.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_LANGUAGE_PAYLOAD_H
#define OTR_NGINX_LANGUAGE_PAYLOAD_H

#include <stdbool.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/language/conf.h"
#include "nginx/language/parse.h"

/* Where text goes, piece by piece; an error of it ends the writing. */
typedef struct otr_sink {
    otr_code (*put)(void *arg, otr_bytes bytes, otr_err *err);
    void *arg;
} otr_sink;

typedef struct otr_json_style {
    bool combine;    /* one file, each include replaced by what it brings in */
    unsigned indent; /* blanks for each level; 0: all in one line */
} otr_json_style;

/* Reads and writes one file after the other, so that memory is that of the largest one (all of them
 * where `combine` is asked for). OTR_EQUOTA: combined, it has more than OTR_LIMIT_NGINX_COMBINED
 * directives (files that include each other have no end). `*ret_failed`: the status that was
 * written is "failed". */
otr_code otr_conf_stream_json(const otr_parse *spec, const otr_json_style *style,
                              const otr_sink *sink, bool *ret_failed, otr_err *err) OTR_MUST_CHECK;

/* The tokens of a text: ["a","{"], with `lines` [["a",1],["{",1]]. OTR_EINVAL: "<file>:<line>:
 * what". */
typedef struct otr_lex_style {
    const char *file; /* for errors */
    bool lines;
    unsigned indent;
} otr_lex_style;
otr_code otr_conf_write_tokens(otr_bytes text, const otr_lex_style *style, const otr_sink *sink,
                               otr_err *err) OTR_MUST_CHECK;

/* Reads such JSON. OTR_EINVAL names what is missing and where. */
otr_code otr_conf_load(otr_bytes json, otr_conf **ret, otr_err *err) OTR_MUST_CHECK;

#endif
