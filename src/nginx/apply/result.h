/*
 * What an apply was and how it ended: plain data, for history, the bus, the admin API.
 *
 * Thread: any; a value belongs to its owner.
 */
#ifndef OTR_NGINX_APPLY_RESULT_H
#define OTR_NGINX_APPLY_RESULT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/base.h"
#include "base/err.h"
#include "base/json.h"
#include "nginx/instance/instance.h"

/* "20260102T030405-1a2b3c4d" and a NUL: UTC and 32 random bits. Letters, digits and '-' only: it is
 * a part of file names. */
#define OTR_APPLY_ID_BYTES 25

void otr_apply_id_make(char out[OTR_APPLY_ID_BYTES]);
/* Could `text` have been made by it? */
bool otr_apply_id_ok(const char *text);

typedef enum otr_apply_outcome {
    OTR_APPLY_APPLIED,
    OTR_APPLY_UNCHANGED,       /* all of it stands there already: nothing was touched */
    OTR_APPLY_DENIED,          /* a plugin, or our own rules: nothing was touched */
    OTR_APPLY_INVALID,         /* `nginx -t` refused it: undone, NGINX was never told of it */
    OTR_APPLY_ROLLED_BACK,     /* the old one is back and proven */
    OTR_APPLY_ROLLBACK_FAILED, /* somebody has to look: `reason` says what stands where */
    OTR_APPLY_SUPERSEDED,      /* it waited and a newer one took its place: nothing was touched */
    OTR_APPLY_FAILED,          /* for another reason, all is as it was */
    OTR_APPLY_PLANNED,         /* a dry run: nothing was touched */
} otr_apply_outcome;
enum { OTR_APPLY_OUTCOMES = OTR_APPLY_PLANNED + 1 };

const char *otr_apply_outcome_name(otr_apply_outcome outcome); /* "rolled-back" … */

typedef enum otr_apply_step { /* in this order; a step may be left out */
                              OTR_APPLY_WAITING,
                              OTR_APPLY_PLAN,
                              OTR_APPLY_POLICY,
                              OTR_APPLY_STAGE,
                              OTR_APPLY_SWAP,
                              OTR_APPLY_TEST,
                              OTR_APPLY_RELOAD,
                              OTR_APPLY_PROOF,
                              OTR_APPLY_PROBATION,
                              OTR_APPLY_COMMIT,
                              OTR_APPLY_UNDO,        /* the renames backwards */
                              OTR_APPLY_UNDO_RELOAD, /* … and their own reload */
                              OTR_APPLY_UNDO_PROOF,
                              OTR_APPLY_END,
} otr_apply_step;
enum { OTR_APPLY_STEPS = OTR_APPLY_END + 1 };

const char *otr_apply_step_name(otr_apply_step step); /* "test", "undo-reload" … */

typedef enum otr_apply_asker {
    OTR_APPLY_BY_USER,   /* of this machine, over the admin socket */
    OTR_APPLY_BY_PLANE,  /* a management plane */
    OTR_APPLY_BY_PLUGIN, /* a guest */
    OTR_APPLY_BY_AGENT,  /* recovery at start */
} otr_apply_asker;

const char *otr_apply_asker_name(otr_apply_asker asker); /* "user", "plane", "plugin", "agent" */

enum { OTR_APPLY_NAME_BYTES = 129, OTR_APPLY_MESSAGE_BYTES = 1025 };

typedef struct otr_apply_who {
    otr_apply_asker kind;
    uid_t uid;                       /* of a user; (uid_t)-1: not known */
    pid_t pid;                       /* that asked; 0: not known */
    char name[OTR_APPLY_NAME_BYTES]; /* "alice", the plane's host, the plugin; "": not known */
} otr_apply_who;

typedef enum otr_apply_why {
    OTR_APPLY_WHY_APPLY,    /* somebody gave files */
    OTR_APPLY_WHY_ROLLBACK, /* to a version of the history */
    OTR_APPLY_WHY_REVERT,   /* of what somebody changed by hand */
    OTR_APPLY_WHY_RECOVERY, /* of a transaction that was interrupted */
} otr_apply_why;

const char *otr_apply_why_name(otr_apply_why why); /* "apply", "rollback", "revert", "recovery" */

/* One line of NGINX's (or of ours about NGINX's). */
typedef struct otr_finding {
    char level[8]; /* "emerg", "alert", "crit", "error", "warn", "notice" … */
    char *file;    /* "": it names none */
    unsigned line; /* 0: it names none */
    char *text;    /* without time, level and pid, one line, escaped */
} otr_finding;

typedef struct otr_findings {
    otr_finding *items;
    size_t n, cap;
    size_t missing; /* past OTR_LIMIT_APPLY_FINDINGS */
} otr_findings;

/* Adds a copy; past OTR_LIMIT_APPLY_FINDINGS it is counted as missing. */
otr_code otr_findings_add(otr_findings *findings, const otr_finding *finding, otr_err *err)
    OTR_MUST_CHECK;
/* Adds copies of all of `from`. */
otr_code otr_findings_copy(const otr_findings *from, otr_findings *to, otr_err *err) OTR_MUST_CHECK;
void otr_findings_deinit(otr_findings *findings);

typedef enum otr_apply_action {
    OTR_APPLY_ADD,
    OTR_APPLY_UPDATE,
    OTR_APPLY_DELETE,
    OTR_APPLY_MODE, /* the same content with another mode or owner */
} otr_apply_action;

/* "add", "update", "delete", "mode" */
const char *otr_apply_action_name(otr_apply_action action);

typedef struct otr_apply_stat {
    char sha256[65]; /* hex; "": there is no such file */
    uint64_t bytes;
    mode_t mode; /* permission bits */
    uid_t uid;
    gid_t gid;
} otr_apply_stat;

typedef struct otr_apply_file {
    char *path; /* absolute, as that NGINX names it */
    otr_apply_action action;
    otr_apply_stat before, after;
} otr_apply_file;

typedef struct otr_apply_result {
    char id[OTR_APPLY_ID_BYTES];
    char instance[OTR_NGINX_ID_BYTES];
    otr_apply_who who;
    otr_apply_why why;
    char *message; /* the asker's own words; "" */
    char *of;      /* the transaction or version this one goes back to or recovers; "" */
    otr_apply_outcome outcome;
    otr_apply_step step; /* in which it was decided */
    bool touched;        /* files were exchanged, if only for a moment */
    char *reason;        /* a sentence; "" when applied or unchanged */
    otr_findings findings;
    char **remarks; /* what could not be looked at, and what else is worth a word; ends with NULL */
    otr_apply_file *files;
    size_t n_files; /* of those that change, at most OTR_LIMIT_APPLY_FILES_SHOWN */
    size_t more_files;
    char *verdicts; /* JSON object of plugin/hooks.h, or "" when nobody was asked */
    char *impact;   /* JSON object of nginx/impact, or "" */
    char *diff;     /* unified, of a dry run; "" else */
    char *version_before, *version_after; /* of the history; "": not recorded */
    char *history;                        /* "" or why it was not written */
    uint64_t number;                      /* in the history; 0: none */
    uint64_t begun_ns;                    /* wall time */
    uint64_t ns;                          /* from the request to the answer */
    uint64_t step_ns[OTR_APPLY_STEPS];    /* what each took; 0: it was not reached */
} otr_apply_result;

otr_code otr_apply_result_copy(const otr_apply_result *from, otr_apply_result **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_apply_result_free(otr_apply_result *result); /* NULL and half-built are fine */

/* Puts a copy of `text` in the place of what `*slot` holds. */
otr_code otr_apply_result_say(char **slot, otr_err *err, const char *text) OTR_MUST_CHECK;
/* Adds a remark, unless it is there; past OTR_LIMIT_APPLY_REMARKS it is dropped. */
otr_code otr_apply_result_remark(otr_apply_result *result, const char *text, otr_err *err)
    OTR_MUST_CHECK;

/* Parts of the JSON of a result, for whoever writes another one. */
void otr_apply_who_write(otr_jw *w, const char *key, const otr_apply_who *who);
void otr_findings_write(otr_jw *w, const char *key, const otr_findings *findings);

/* The members of the result into an object that is open in `w`:
 * "id","number","instance","who":{"kind","uid","pid","name"},"why","message","of","result","step",
 * "touched","text" (the reason),"findings":[{"level","file","line","text"}],"findings_more",
 * "remarks":[…],"items":[{"path","action","before":{"digest","bytes","mode":"0644","uid","gid"}|null,
 * "after":…}],"items_more","steps":[{"name","ms"}],"verdicts":{…}|null,"impact":{…}|null,"diff",
 * "version_before","version_after","history","dry_run","began":"RFC 3339","took_ms" */
void otr_apply_result_write(otr_jw *w, const otr_apply_result *result);
/* The same as one object. */
otr_code otr_apply_result_json(const otr_apply_result *result, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;

#endif
