/*
 * What a file is a part of, where it is no whole configuration: told by its directives.
 *
 * Thread: any; calls block.
 */
#ifndef OTR_NGINX_CHECK_PART_H
#define OTR_NGINX_CHECK_PART_H

#include "nginx/check/look.h"
#include "nginx/language/parse.h"

typedef struct otr_part_of {
    otr_place place;
    const char *name; /* NULL: of nothing, it is all */
    char *prefix;     /* the folder above it that has nginx.conf, where its includes start; to be
                         freed; NULL: that of the file */
} otr_part_of;

/* Reads `spec` (whose text is set) as what it most likely is a part of. `ret` is filled in any
 * case. Errors as of otr_conf_parse(). */
otr_code otr_part_parse(const otr_parse *spec, otr_part_of *ret, otr_conf **ret_conf, otr_err *err)
    OTR_MUST_CHECK;

#endif
