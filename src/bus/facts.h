/*
 * Facts: what the bus remembers for those who subscribe later.
 *
 * Most messages are events: who was not there misses them. Some say how something is from now on,
 * for example that an NGINX runs. The bus keeps the latest such messages until the thing ends. The
 * list is immutable and counted; a change makes a new one, so a worker may read the one that it was
 * given.
 *
 * Thread: a list may be shared between threads; the rest loop.
 */
#ifndef OTR_BUS_FACTS_H
#define OTR_BUS_FACTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "bus/msg.h"

typedef enum otr_fact {
    OTR_FACT_NONE,   /* an event */
    OTR_FACT_BEGINS, /* the thing exists from now on; what was known of it before is forgotten */
    OTR_FACT_IS,     /* how the thing is: in place of the former message of this topic about it.
                        Not kept while nothing says that the thing exists. */
    OTR_FACT_ENDS,   /* the thing is gone: all about it is forgotten */
} otr_fact;

/* What the payload is about: a name that lives as long as the payload. Pure: any thread. */
typedef const char *otr_about_fn(const void *payload);

typedef struct otr_fact_msg {
    otr_msg *msg; /* a reference */
    otr_fact kind;
    otr_about_fn *about;
} otr_fact_msg;

typedef struct otr_facts {
    _Atomic unsigned refs;
    size_t n;
    otr_fact_msg items[]; /* in the order of publishing */
} otr_facts;

otr_facts *otr_facts_ref(otr_facts *facts);   /* NULL is fine; returns `facts` */
otr_facts *otr_facts_unref(otr_facts *facts); /* NULL is fine; always returns NULL */

/* The list after `msg`, of kind `kind`, in place of `*slot`, whose reference is given up. On
 * failure
 * `*slot` is as it was. At OTR_LIMIT_BUS_FACTS the oldest goes. */
otr_code otr_facts_note(otr_facts **slot, const otr_msg *msg, otr_fact kind, otr_about_fn *about,
                        otr_err *err) OTR_MUST_CHECK;

#endif
