/*
 * Drift: files of an NGINX configuration that somebody else than the agent changed.
 *
 * For each instance that is followed, the files that its configuration is read from, the folders
 * that its include patterns lead to and the certificates that it names are watched by inotify. A
 * burst of changes is one look at the files, a quiet time after its last event, on a worker, with
 * the rights of the master's user; only what the file system says is different is read. Behind it
 * goes a slow look at everything, for what inotify does not tell (limits, overflow, other mounts).
 *
 * What is there is compared with a base: the last version of the history (otr_drift_set_base()), or
 * what NGINX has loaded, as long as there is no version (otr_drift_set_seen()). Our own applies are
 * no drift: between otr_drift_begin() and otr_drift_end() the files may be as in the base or as in
 * the change.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_DRIFT_DRIFT_H
#define OTR_NGINX_DRIFT_DRIFT_H

#include "base/base.h"
#include "base/err.h"
#include "loop/loop.h"
#include "loop/worker.h"
#include "nginx/drift/state.h"
#include "nginx/root.h"

typedef struct otr_drift otr_drift;

typedef struct otr_drift_settings { /* copied */
    uint64_t quiet_ms;  /* after the last event of a burst; the most is OTR_LIMIT_DRIFT_BURST_MS */
    uint64_t rescan_ms; /* of the slow look; where every folder is watched, each twelfth counts */
    size_t watches;     /* folders that are watched at most, all instances together */
    /* Extended regular expressions, ended by NULL: files in whose paths one is found do not count.
     * NULL: none. */
    const char *const *excluded;
} otr_drift_settings;

typedef struct otr_drift_spec {
    otr_loop *loop;
    otr_pool *pool;
    const char *proc_root; /* "/proc" */
    otr_drift_settings settings;
    /* The report of an instance is another one; borrowed until return. Calls back are fine, but for
     * otr_drift_free(). */
    void (*changed)(void *arg, const otr_drift_report *report);
    /* What was loaded by NGINX is another text, and there is no version to compare with: `files`
     * are all there are now. For a history that keeps them. Optional. */
    void (*seen)(void *arg, const char *id, const otr_drift_files *files);
    void *arg;
} otr_drift_spec;

otr_code otr_drift_new(const otr_drift_spec *spec, otr_drift **ret, otr_err *err) OTR_MUST_CHECK;
/* No call follows. A look that is under way ends on its own and then releases the rest. NULL is
 * fine, here and as `drift` below. */
void otr_drift_free(otr_drift *drift);
/* OTR_EINVAL: a pattern is none; nothing is taken then. */
otr_code otr_drift_configure(otr_drift *drift, const otr_drift_settings *settings, otr_err *err)
    OTR_MUST_CHECK;

typedef struct otr_drift_place { /* copied */
    const char *id;
    const otr_root *root;
    const char *config; /* absolute path of nginx.conf */
    uint64_t loads;     /* another number: NGINX has loaded its configuration anew */
    uint64_t loaded_ns; /* wall: it had loaded it by then at the latest; 0: not known */
} otr_drift_place;

/* Follows an instance, or takes what is new about it. Nothing is reported before one of the next
 * two is called. */
otr_code otr_drift_follow(otr_drift *drift, const otr_drift_place *place, otr_err *err)
    OTR_MUST_CHECK;
void otr_drift_leave(otr_drift *drift, const char *id);

/* What the configuration should be: `files` of `version`, all of them, until it is set again. The
 * files are looked at soon after. An unknown id is fine. */
otr_code otr_drift_set_base(otr_drift *drift, const char *id, const char *version,
                            const otr_drift_files *files, otr_err *err) OTR_MUST_CHECK;
/* There is no version that somebody applied: what NGINX has loaded is right. `files` (NULL: not
 * known) are those that it had loaded when an earlier run of the agent saw them last. */
otr_code otr_drift_set_seen(otr_drift *drift, const char *id, const otr_drift_files *files,
                            otr_err *err) OTR_MUST_CHECK;

/* An apply begins: the files of `to` (a digest of "" is one that will be removed) may have these
 * contents as well from now on, until otr_drift_end(). NULL: which files it is about is not known
 * in full, the last report stays until then. A second begin adds to the first. Call it
 * before the first file is touched. */
otr_code otr_drift_begin(otr_drift *drift, const char *id, const otr_drift_files *to, otr_err *err)
    OTR_MUST_CHECK;
/* How many applies have begun: another number later, and the one that is over is not the last. */
uint64_t otr_drift_begun(const otr_drift *drift, const char *id);
/* Has one begun, and not ended? */
bool otr_drift_applying(const otr_drift *drift, const char *id);
/* The apply is over, whatever came of it. When the files are to stay as changed, call
 * otr_drift_set_base() with the new version first. Then the files are looked at. */
void otr_drift_end(otr_drift *drift, const char *id);

/* The last report; NULL: the instance is not followed. Valid until the next round of the loop. */
const otr_drift_report *otr_drift_get(const otr_drift *drift, const char *id);

typedef struct otr_drift_stats {
    uint64_t events;  /* of inotify */
    uint64_t bursts;  /* looks that they led to */
    uint64_t looks;   /* all */
    uint64_t reads;   /* files whose content was read */
    size_t watches;   /* folders that are watched */
    size_t unwatched; /* that are not, for a limit */
} otr_drift_stats;
otr_drift_stats otr_drift_get_stats(const otr_drift *drift);

#endif
