/*
 * Private to src/nginx/instance: lists of sentences about what could not be known.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_INSTANCE_REMARKS_H
#define OTR_NGINX_INSTANCE_REMARKS_H

#include "base/base.h"
#include "base/err.h"

typedef struct otr_remarks {
    char **items;
    size_t n;
} otr_remarks;

/* Adds a sentence, unless it is there. Past OTR_LIMIT_NGINX_REMARKS it is dropped. */
otr_code otr_remark(otr_remarks *remarks, otr_err *err, const char *format, ...) OTR_MUST_CHECK
OTR_PRINTF(3, 4);
void otr_remarks_deinit(otr_remarks *remarks);

#endif
