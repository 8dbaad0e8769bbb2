/*
 * The module "admin": what its files share.
 *
 * It keeps the last message about each NGINX instance, a ring of the latest messages of the bus and
 * the open event streams, and answers with them. Nothing is polled: it knows what the bus told it.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_ADMIN_H
#define OTR_MODULES_ADMIN_H

#include "base/json.h"
#include "base/limits.h"
#include "modules/services.h"
#include "modules/topics.h"

typedef struct otr_admin_sample { /* what the charts show of one metrics message */
    uint64_t at_ns;
    float requests_per_second;
    uint32_t active;
    uint32_t responses[5]; /* each at most UINT32_MAX */
} otr_admin_sample;

typedef struct otr_admin_instance {
    char id[OTR_NGINX_ID_BYTES];
    otr_msg *instance, *health, *metrics; /* the last of each; NULL: none yet */
    uint64_t since_ns;                    /* monotonic: first heard of */
    otr_admin_sample *samples;            /* a ring of at most OTR_LIMIT_INSTANCE_SAMPLES */
    size_t first_sample, n_samples, cap_samples;
} otr_admin_instance;

typedef struct otr_admin_event {
    const otr_topic *topic; /* a reference */
    char *json;             /* the envelope, on one line; owned */
    size_t n;
} otr_admin_event;

typedef struct otr_admin_stream otr_admin_stream;
typedef struct otr_admin_kind otr_admin_kind; /* the series of one kind of reasons */

typedef struct otr_admin {
    otr_plugin *plugin;
    otr_services *services;
    otr_admin_instance *instances[OTR_LIMIT_NGINX_INSTANCES];
    size_t n_instances;
    otr_admin_event events[OTR_LIMIT_EVENTS_KEPT]; /* a ring */
    size_t first_event, n_events;
    uint64_t events_seen;
    otr_admin_stream *streams;
    size_t n_streams;
    uint64_t reloaded_ns; /* monotonic; 0: never */
    otr_series *problems; /* how many reasons there are */
    otr_admin_kind *kinds;
    size_t n_kinds;
    char csp[512]; /* Content-Security-Policy of the status page */
} otr_admin;

/* admin_events.c */
otr_code otr_admin_event_add(otr_admin *a, const otr_msg *msg, otr_err *err) OTR_MUST_CHECK;
otr_code otr_admin_get_events(void *admin, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err);
otr_code otr_admin_get_stream(void *admin, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err);
void otr_admin_end_streams(otr_admin *a);
void otr_admin_drop_events(otr_admin *a);

/* admin_api.c */
otr_code otr_admin_get_status(void *admin, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err);
otr_code otr_admin_get_instances(void *admin, const otr_http_request *req, otr_http_reply *reply,
                                 otr_err *err);
otr_code otr_admin_get_plugins(void *admin, const otr_http_request *req, otr_http_reply *reply,
                               otr_err *err);
otr_code otr_admin_get_plugin(void *admin, const otr_http_request *req, otr_http_reply *reply,
                              otr_err *err);
otr_code otr_admin_get_metrics(void *admin, const otr_http_request *req, otr_http_reply *reply,
                               otr_err *err);

/* admin_reasons.c: why the state is not "ok". */
/* The members "reasons", "reasons_more", "problems" and "state". */
void otr_admin_write_reasons(otr_jw *w, const otr_admin *a);
/* The series that count them. */
otr_code otr_admin_reasons_init(otr_admin *a, otr_err *err) OTR_MUST_CHECK;
void otr_admin_reasons_fini(otr_admin *a);

/* admin_json.c */
void otr_admin_write_time(otr_jw *w, const char *key, uint64_t mono_ns); /* 0: null */

/* The member "config". */
void otr_admin_write_config(otr_jw *w, const otr_admin *a);

/* admin_later.c: what is answered later, as plugins are asked first. */
otr_code otr_admin_post_reload(void *admin, const otr_http_request *req, otr_http_reply *reply,
                               otr_err *err);
otr_code otr_admin_post_hook(void *admin, const otr_http_request *req, otr_http_reply *reply,
                             otr_err *err);

/* admin_plugins.c */
otr_code otr_admin_post_plugin(void *admin, const otr_http_request *req, otr_http_reply *reply,
                               otr_err *err);
/* `tail`: "NAME/dead-letters". */
otr_code otr_admin_get_dead_letters(const otr_admin *a, const char *tail, otr_http_reply *reply,
                                    otr_err *err);

/* admin_page.c */
void otr_admin_page_init(otr_admin *a);
otr_code otr_admin_get_page(void *admin, const otr_http_request *req, otr_http_reply *reply,
                            otr_err *err);

#endif
