/*
 * The module "config": what its files share.
 *
 * config.c has settings, messages and problems; config_ask.c what a change means and what plugins
 * say to it; config_record.c history and drift; config_api.c the admin API, config_body.c what it
 * is sent.
 *
 * Thread: loop.
 */
#ifndef OTR_MODULES_CONFIG_H
#define OTR_MODULES_CONFIG_H

#include "base/histogram.h"
#include "modules/config_apply.h"
#include "modules/config_instances.h"
#include "modules/services.h"
#include "modules/topics.h"
#include "plugin/hooks.h"

typedef struct config_traffic { /* of one instance, from its samples */
    char id[OTR_NGINX_ID_BYTES];
    bool known;
    uint64_t requests, errors;             /* since it was first heard of */
    uint64_t usual_requests, usual_errors; /* of the last samples, halved now and then */
    otr_histogram times, usual_times;      /* counted in the same two ways */
} config_traffic;

typedef struct config_request config_request; /* of the admin API */
typedef struct config_record config_record;   /* what is being recorded of a transaction */
typedef struct config_sweep config_sweep;     /* the history is asked about an earlier life */

typedef struct config_asked { /* a question to the plugins */
    struct otr_config_apply *c;
    otr_apply *tx;
    otr_hook *hook;
    struct config_asked *next;
} config_asked;

struct otr_config_apply {
    otr_plugin *plugin;
    otr_services *services;
    otr_applier *applier;
    otr_config_instances instances;
    char *lib_dir;
    uint64_t policy_ns, most_files, most_bytes;
    bool fail_open;
    otr_apply_probation probation; /* what holds where a request says nothing */
    otr_apply_probe *probes;
    config_traffic *traffic;
    size_t n_traffic, cap_traffic;
    otr_apply_result **last; /* of each instance that had one, and is still there */
    size_t n_last, cap_last;
    config_request *requests;
    config_record *records;
    config_asked *asked;
    otr_strand *strand; /* for bodies */
    config_sweep *sweeps;
    char (*swept)[OTR_NGINX_ID_BYTES]; /* instances that were asked about in this life */
    size_t n_swept, cap_swept;
    bool recovered; /* journals were looked for */
    bool stopping;
};

/* config_ask.c: for otr_apply_host. */
otr_code otr_config_weigh(void *config, const otr_apply_view *view, void **ret, otr_buf *impact,
                          otr_buf *diff, otr_err *err);
void otr_config_drop(void *config, void *weighed);
void otr_config_ask(void *config, otr_apply *tx, const otr_apply_view *view, void *weighed);
void otr_config_unask(void *config, otr_apply *tx);

/* config_record.c: for otr_apply_host. */
void otr_config_before(void *config, otr_apply *tx, const otr_apply_view *view);
void otr_config_after(void *config, otr_apply *tx, otr_apply_result *result);
/* The transaction does not wait for it any more. */
void otr_config_records_let(otr_config_apply *c, const otr_apply *tx);
void otr_config_records_end(otr_config_apply *c);

/* config_sweep.c: once what was interrupted is over. Ends the changes of `instance` that have no
 * end; NULL: none, it only looks who has one that could not be rolled back. */
void otr_config_sweep(otr_config_apply *c, const otr_nginx_instance *instance);
void otr_config_sweeps_end(otr_config_apply *c);
/* config.c: the last word of the history about an instance is that change `id` could not be rolled
 * back, for `text`. */
void otr_config_remember(const otr_config_apply *c, const char *instance, const char *id,
                         const char *text);

/* config_api.c */
otr_code otr_config_api_init(otr_config_apply *c, otr_err *err) OTR_MUST_CHECK;
void otr_config_api_fini(otr_config_apply *c);

/* config_applies.c */
otr_code otr_config_get_applies(void *config, const otr_http_request *req, otr_http_reply *reply,
                                otr_err *err);

/* config_probe.c: "URL", "URL=STATUS", "URL=STATUS=REGEX" (STATUS may be empty). */
otr_code otr_config_probe(const char *text, otr_apply_probe *ret, otr_err *err) OTR_MUST_CHECK;
void otr_config_probes_free(otr_apply_probe *probes, size_t n); /* NULL is fine */

/* config_body.c: what was sent, as a set of changes. */
typedef enum config_mode { CONFIG_PATCH, CONFIG_SYNC } config_mode;
typedef struct config_body {
    const char *state_dir;
    const char *base; /* absolute folder that names are relative to */
    config_mode mode;
    int attributes;       /* otr_change_source_attributes */
    int fd;               /* a tar; -1: none */
    char *const *deletes; /* absolute, or relative to `base`; ends with NULL; NULL: none */
    uint64_t most_files, most_bytes;
} config_body;
/* Worker. */
otr_code otr_config_body_read(const config_body *body, struct otr_changes **ret, otr_err *err)
    OTR_MUST_CHECK;
/* Worker. The login name of a user into `out`; "" when it is not known. */
void otr_config_user_name(uid_t uid, char *out, size_t cap);

typedef struct config_version {
    const char *instance, *to; /* `to`: as otr_history_find_version() takes it */
    const char *state_dir;
    const char *const *allowed; /* folders that may be changed */
    char *const *only;          /* these files, ended by NULL; NULL: all */
    char *const *added;         /* to be deleted beside; NULL: none */
} config_version;
/* What leads back to a version. `ret_version` has OTR_HISTORY_ID_BYTES. Worker: the strand of the
 * history. */
struct otr_history;
otr_code otr_config_version_changes(struct otr_history *h, const config_version *what,
                                    struct otr_changes **ret_set, char *ret_version, otr_err *err)
    OTR_MUST_CHECK;

/* config_revert.c: what a revert of drift is about, lists to be freed with otr_texts_free(); NULL:
 * all, or none. Paths that are asked for must have drifted. */
otr_code otr_config_revert(const otr_services *services, const char *instance,
                           const otr_http_request *req, char ***ret_only, char ***ret_added,
                           otr_err *err) OTR_MUST_CHECK;
/* The files that have drifted beside `paths`; free them with otr_texts_free(). */
otr_code otr_config_beside(const otr_services *services, const char *instance, char *const *paths,
                           char ***ret, otr_err *err) OTR_MUST_CHECK;

#endif
