/*
 * Private to survey.c and groups.c: the instances of one run and of the run before.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_INSTANCE_GROUPS_H
#define OTR_NGINX_INSTANCE_GROUPS_H

#include "base/limits.h"
#include "nginx/config/config.h"
#include "nginx/instance/discovery.h"
#include "nginx/instance/loaded.h"
#include "nginx/instance/presumed.h"
#include "nginx/instance/survey.h"

/* Of an instance: two while it is upgraded, and for an instant each process that one of them has
 * just forked, which still bears its title. */
enum { MEMBERS_MOST = 6 };

typedef struct member { /* one life of one process: until it ends, execs, or changes its user */
    pid_t pid;
    uint64_t ticks;
    uid_t uid;
    uint64_t exe_dev, exe_ino;
} member;

typedef struct record { /* one instance and the master that stands for it */
    otr_nginx_instance *instance;
    otr_nginx_config *config;
    member members[MEMBERS_MOST]; /* the first one stands for it */
    size_t n_members;
    pid_t session; /* that one of its masters began; 0: none did */
    bool lent;     /* its config went on into the next run's record */
    bool ours;     /* its root folder is not open to us, but proven to be our own */
    otr_loaded loaded;
    uint64_t loads, loaded_ns; /* as in instance.h */
    unsigned age;
} record;

typedef struct hold {
    pid_t pid;
    uint64_t ticks;
    unsigned runs;
} hold;

struct otr_survey {
    char *proc_root;
    otr_discovery *discovery;
    char *status_url;
    record *records; /* of the last run */
    otr_found *found;
    size_t n;
    otr_presumed presumed;
    otr_binary unknown; /* an executable of which nothing is known */
    hold holds[OTR_LIMIT_NGINX_INSTANCES];
    size_t n_holds;
    bool early, reread;
    char **allowed;  /* as in root.h; NULL: everywhere */
    char **excluded; /* as otr_nginx_config_spec.exclude */
    otr_strangers strangers;
    size_t missing, hidden; /* instances without a place; strangers that are ignored */
};

typedef struct group { /* the masters of one instance: more than one while it is upgraded */
    const otr_master *leader;
    const otr_master *others[MEMBERS_MOST - 1];
    size_t n_others;
    const record *was; /* of the last run; NULL: new */
    char id[OTR_NGINX_ID_BYTES];
    bool skip;                        /* held back */
    const otr_binary *binary, *paths; /* what runs; what its paths are taken from */
    char *config, *prefix;
} group;

/* Puts the masters of the last scan together, those of root and our own first, at most `most`;
 * returns how many there are. Counts s->missing and s->hidden. */
size_t otr_groups_make(otr_survey *s, group *groups, size_t most);
/* Fills what a group needs beyond its masters: executable, paths, id; or says to skip it. Every id
 * is another one. */
otr_code otr_groups_prepare(otr_survey *s, group *groups, size_t n, otr_err *err) OTR_MUST_CHECK;
void otr_groups_free(group *groups, size_t n);

#endif
