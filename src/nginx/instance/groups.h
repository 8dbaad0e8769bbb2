/*
 * Private to survey.c and groups.c: the instances of one run and of the run before.
 *
 * Thread: one at a time.
 */
#ifndef OTR_NGINX_INSTANCE_GROUPS_H
#define OTR_NGINX_INSTANCE_GROUPS_H

#include "base/limits.h"
#include "nginx/instance/config.h"
#include "nginx/instance/executables.h"
#include "nginx/instance/loaded.h"
#include "nginx/instance/survey.h"

/* Of an instance: two while it is upgraded, and for an instant each process that one of them has
 * just forked, which still bears its title. */
enum { MEMBERS_MOST = 6 };

typedef struct member {
    pid_t pid;
    uint64_t ticks;
} member;

typedef struct record { /* one instance and the master that stands for it */
    otr_nginx_instance *instance;
    otr_nginx_config *config;
    member members[MEMBERS_MOST]; /* the first one stands for it */
    size_t n_members;
    bool lent; /* its config went on into the next run's record */
    otr_loaded loaded;
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
    executables executables;
    char *status_url;
    record *records; /* of the last run */
    otr_found *found;
    size_t n;
    hold holds[OTR_LIMIT_NGINX_INSTANCES];
    size_t n_holds;
    bool early, reread;
    char **allowed; /* as in root.h; NULL: everywhere */
};

typedef struct group { /* the masters of one instance: more than one while it is upgraded */
    const otr_master *leader;
    const otr_master *others[MEMBERS_MOST - 1];
    size_t n_others;
    const record *was; /* of the last run; NULL: new */
    char id[OTR_NGINX_ID_BYTES];
    bool skip; /* held back, or its executable has to be asked first */
    const otr_binary *binary;
    char *config, *prefix;
} group;

/* Puts the masters of the last scan together, at most `most`; returns how many there are. */
size_t otr_groups_make(const otr_survey *s, group *groups, size_t most);
/* Fills what a group needs beyond its masters: executable, paths, id; or says to skip it. */
otr_code otr_groups_prepare(otr_survey *s, group *groups, size_t n, otr_err *err) OTR_MUST_CHECK;
void otr_groups_free(group *groups, size_t n);

#endif
