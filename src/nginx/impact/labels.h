/*
 * How servers and other blocks are called: for people, and to find the same one again.
 *
 * Thread: any.
 */
#ifndef OTR_NGINX_IMPACT_LABELS_H
#define OTR_NGINX_IMPACT_LABELS_H

#include "base/arena.h"
#include "base/err.h"
#include "nginx/impact/expand.h"

typedef struct otr_server_label { /* in the arena */
    const char *names;  /* of server_name, as they stand there, with a blank between; "" */
    const char *first;  /* the first of them; NULL: none */
    const char *listen; /* the addresses of `listen`, with ", " between; "" */
    const char *key;    /* names and addresses, sorted */
} otr_server_label;

/* `kids`: what stands in the server. */
otr_code otr_label_server(otr_arena *arena, const otr_kids *kids, otr_server_label *ret,
                          otr_err *err) OTR_MUST_CHECK;

/* Words from the `first`-th on, as NGINX reads them, with a blank between; in the arena. */
otr_code otr_label_words(otr_arena *arena, otr_kid kid, size_t first, const char **ret,
                         otr_err *err) OTR_MUST_CHECK;

#endif
