/*
 * The files of a configuration that is being read: found by include, each once, in their order;
 * and what is noted about them.
 *
 * Thread: one at a time; calls block.
 */
#ifndef OTR_NGINX_LANGUAGE_GATHER_H
#define OTR_NGINX_LANGUAGE_GATHER_H

#include "nginx/language/parse.h"
#include "nginx/language/rules.h"

typedef struct otr_source otr_source;

typedef struct otr_gather {
    const otr_parse *spec;
    otr_conf *conf;
    uint32_t file;   /* the one that is read now */
    bool stop;       /* it is to be left empty */
    uint32_t *found; /* what the last include brings in */
    size_t n_found, cap_found;
    otr_buf say; /* for the text of a note */
    otr_source *sources;
    size_t cap_sources;
    uint32_t *by_path; /* hash of a path to its index + 1, open addressing */
    size_t n_slots;
    char *folder; /* of the main file as it is shown: "", "x" or "/x" */
} otr_gather;

/* The main file is the first one; otr_gather_end() in any case. */
otr_code otr_gather_begin(otr_gather *g, const otr_parse *spec, otr_err *err) OTR_MUST_CHECK;
void otr_gather_end(otr_gather *g); /* with `conf`, unless it was taken out */

/* Reads the text of `file`; sets `stop` and notes it when that is not possible. */
otr_code otr_gather_read(otr_gather *g, otr_err *err) OTR_MUST_CHECK;
otr_where otr_gather_where(const otr_gather *g); /* `file` was included at */

/* Finds the files that `include name` at `line` means: `found`. */
otr_code otr_gather_include(otr_gather *g, const char *name, uint32_t line, otr_where where,
                            otr_err *err) OTR_MUST_CHECK;

/* Notes what `say` holds for `file`. `at`: it is shown with its place. */
otr_code otr_gather_note(otr_gather *g, uint32_t line, bool at, otr_err *err) OTR_MUST_CHECK;

#endif
