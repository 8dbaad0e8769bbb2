/*
 * Private to src/nginx/drift: one instance whose files are watched, between two looks.
 *
 * Thread: loop.
 */
#ifndef OTR_NGINX_DRIFT_FOLLOWED_H
#define OTR_NGINX_DRIFT_FOLLOWED_H

#include "nginx/drift/drift.h"
#include "nginx/drift/look.h"

typedef struct otr_followed {
    struct otr_followed *next;
    otr_drift *drift;
    char id[OTR_DRIFT_ID_BYTES];
    otr_root *root;
    char *config;
    uint64_t loads, loaded_ns;
    bool based;        /* somebody said what is right */
    bool load_due;     /* NGINX has loaded what the next look shows */
    bool lost;         /* folders are to be watched anew */
    bool dirty;        /* to be looked at, when the timer says so */
    bool applying;     /* an apply of ours is under way */
    bool left;         /* while `look` was under way: freed after it */
    uint64_t begun;    /* applies, so far */
    uint64_t first_ns; /* of the burst, monotonic */
    otr_base *version, *loaded, *seen, *coming;
    otr_drift_files beside; /* what had drifted when the apply began: as it should be */
    otr_picture picture;    /* of the last look */
    otr_holding holding;
    otr_drift_report report;
    otr_timer *timer;
    otr_drift_sight *look; /* under way; NULL: none */
} otr_followed;

/* Released with all that it holds; its watches are dropped by the caller. */
void otr_followed_free(otr_followed *f);

/* What a look needs; `room` is set by the caller. The picture goes with it. */
otr_code otr_followed_look(otr_followed *f, otr_drift_sight **ret, otr_err *err) OTR_MUST_CHECK;
/* A look is over: takes what it found. `ret_other`: the report is another one; `ret_seen`: NGINX
 * has loaded other files, and they are f->loaded. */
void otr_followed_take(otr_followed *f, otr_drift_sight *look, otr_code rc,
                       const otr_writers *writers, bool *ret_other, bool *ret_seen);

#endif
