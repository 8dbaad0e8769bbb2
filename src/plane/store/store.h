/*
 * What a management plane knows: its agents, what they reported, and every version it gave them.
 *
 * Two SQLite databases in one folder (0700). "plane.db" has the agents with their labels, instances
 * and the files that they reported; losing it loses nothing that the next reports do not bring
 * back. "history.db" is a history of configurations (nginx/history): each push is a transaction of
 * an instance that is called "AGENT/INSTANCE", each version is kept whole, contents compressed and
 * once. Both are WAL; what returned OTR_OK survives kill -9. One process at a time has them: a lock
 * on the folder says so.
 *
 * Everything that comes in is an agent's word, which is foreign: ids and paths are checked, texts
 * (any bytes but NUL, and so they are read back) are cut, lists have ceilings (OTR_LIMIT_PLANE_*),
 * and what is too much is refused as a whole with OTR_EQUOTA, so that what was known stays.
 *
 * Thread: one at a time; calls may block (disk).
 */
#ifndef OTR_PLANE_STORE_STORE_H
#define OTR_PLANE_STORE_STORE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "nginx/history/history.h"

typedef struct otr_plane_store otr_plane_store;

/* Makes the folder when there is none. OTR_ESTATE: another process has it. OTR_EDENIED: others may
 * write to it. */
otr_code otr_plane_store_open(const char *folder, otr_plane_store **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_plane_store_close(otr_plane_store *store); /* NULL is fine */
/* What became of a database that could not be used, for people, or NULL. */
const char *otr_plane_store_remark(const otr_plane_store *store);
otr_history *otr_plane_store_history(const otr_plane_store *store);

/* ---- ids ---- */

enum {
    OTR_PLANE_ID_BYTES = 37,                      /* a UUID and a NUL */
    OTR_PLANE_KEY_BYTES = 2 * OTR_PLANE_ID_BYTES, /* "AGENT/INSTANCE" and a NUL */
};

/* 8-4-4-4-12 hex digits; lower case goes to `ret`. False: it is none. */
bool otr_plane_id(const char *text, char ret[OTR_PLANE_ID_BYTES]);
/* The name of an instance in the history. Both are ids. */
const char *otr_plane_key(const char *agent, const char *instance, char ret[OTR_PLANE_KEY_BYTES]);

/* ---- what an agent says of itself ---- */

typedef struct otr_plane_label {
    const char *name, *value;
} otr_plane_label;

typedef enum otr_plane_health { /* the numbers of the protocol */
                                OTR_PLANE_HEALTH_UNKNOWN = 0,
                                OTR_PLANE_HEALTHY = 1,
                                OTR_PLANE_UNHEALTHY = 2,
                                OTR_PLANE_DEGRADED = 3,
} otr_plane_health;

typedef struct otr_plane_instance {
    const char *id;
    int type; /* as the protocol numbers them: 1 agent, 2 NGINX, 3 NGINX Plus */
    const char *version, *config_path;
    /* From here on only what is read back. */
    otr_plane_health health;
    const char *health_text;
    const char *overview; /* the agent's own version of its files; "": it has not told */
    uint64_t overview_ms; /* when it told; 0: never */
    uint64_t health_ms;   /* 0: never */
} otr_plane_instance;

typedef struct otr_plane_agent {
    const char *id, *hostname, *os, *version;
    const char *peer;    /* address */
    const char *subject; /* of its certificate; "" */
    uint64_t first_ms;   /* read back: when it was first seen */
    uint64_t last_ms;    /* now; wall clock */
    const otr_plane_label *labels;
    size_t n_labels;
    const otr_plane_instance *instances;
    size_t n_instances;
} otr_plane_agent;

/* Takes what an agent said, all of it or nothing. What it does not list any more is forgotten with
 * its files; the history stays. OTR_EINVAL: an id is none; OTR_EQUOTA; OTR_EDENIED: it is known by
 * the subject of another certificate (otr_plane_store_forget() lets it come anew). */
otr_code otr_plane_store_put(otr_plane_store *store, const otr_plane_agent *agent, otr_err *err)
    OTR_MUST_CHECK;
/* OTR_ENOTFOUND: no such instance of that agent. */
otr_code otr_plane_store_health(otr_plane_store *store, const char *agent, const char *instance,
                                otr_plane_health health, const char *text, uint64_t now_ms,
                                otr_err *err) OTR_MUST_CHECK;

typedef struct otr_plane_file {
    const char *path;                  /* absolute, clean, without ".." */
    char digest[OTR_HISTORY_ID_BYTES]; /* hex; "": it was not told */
    mode_t mode;
    uint64_t bytes;
    bool unmanaged;
    bool certificate;
} otr_plane_file;

/* The files of an instance, all of them: they replace those that were known. `overview` is the
 * agent's version of them. OTR_EINVAL: a path is none, or comes twice; OTR_ENOTFOUND: no such
 * instance. */
typedef struct otr_plane_overview {
    const char *agent, *instance, *version, *config_path;
    const otr_plane_file *files;
    size_t n_files;
    uint64_t now_ms;
} otr_plane_overview;
otr_code otr_plane_store_overview(otr_plane_store *store, const otr_plane_overview *overview,
                                  otr_err *err) OTR_MUST_CHECK;

/* Forgets an agent and what it reported; its history stays. OTR_ENOTFOUND. */
otr_code otr_plane_store_forget(otr_plane_store *store, const char *agent, otr_err *err)
    OTR_MUST_CHECK;

/* ---- reading; each is borrowed for the call, false ends it, which is no failure ---- */

/* Sorted by host name and id; without lists. */
typedef bool otr_plane_agent_fn(void *arg, const otr_plane_agent *agent);
otr_code otr_plane_store_agents(otr_plane_store *store, otr_plane_agent_fn *fn, void *arg,
                                otr_err *err) OTR_MUST_CHECK;
typedef bool otr_plane_label_fn(void *arg, const otr_plane_label *label);
otr_code otr_plane_store_labels(otr_plane_store *store, const char *agent, otr_plane_label_fn *fn,
                                void *arg, otr_err *err) OTR_MUST_CHECK;
typedef bool otr_plane_instance_fn(void *arg, const otr_plane_instance *instance);
otr_code otr_plane_store_instances(otr_plane_store *store, const char *agent,
                                   otr_plane_instance_fn *fn, void *arg, otr_err *err)
    OTR_MUST_CHECK;
/* In the order of the paths. */
typedef bool otr_plane_file_fn(void *arg, const otr_plane_file *file);
otr_code otr_plane_store_files(otr_plane_store *store, const char *agent, const char *instance,
                               otr_plane_file_fn *fn, void *arg, otr_err *err) OTR_MUST_CHECK;

/* Which agent is meant by `text`: an id, its beginning (4 digits and more), or a host name.
 * OTR_ENOTFOUND; OTR_EINVAL: it fits several. */
otr_code otr_plane_store_find(otr_plane_store *store, const char *text,
                              char ret_id[OTR_PLANE_ID_BYTES], otr_err *err) OTR_MUST_CHECK;
/* Each agent with this label. */
typedef bool otr_plane_id_fn(void *arg, const char *agent);
otr_code otr_plane_store_labelled(otr_plane_store *store, const otr_plane_label *label,
                                  otr_plane_id_fn *fn, void *arg, otr_err *err) OTR_MUST_CHECK;

#endif
