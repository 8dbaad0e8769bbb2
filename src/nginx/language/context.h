/*
 * Where a block of a configuration stands, as far as http is concerned.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_LANGUAGE_CONTEXT_H
#define OTR_NGINX_LANGUAGE_CONTEXT_H

typedef enum otr_context {
    OTR_IN_MAIN,
    OTR_IN_HTTP,
    OTR_IN_SERVER, /* of http */
    OTR_IN_LOCATION,
    OTR_IN_HTTP_OTHER, /* another block somewhere in http */
    OTR_IN_OTHER,
} otr_context;

/* What a block with this name is in, when it stands in `outer`. */
otr_context otr_context_of(otr_context outer, const char *name);

#endif
