/*
 * Hooks: questions to plugins, and the one verdict that comes of their answers.
 *
 * A question ("may this configuration be applied?") goes to every guest that subscribed to its
 * topic with "kind":"hook", at once. Each finds it among its other messages and answers
 * {"verdict":"allow"|"deny","message":"…"}, with "findings" if it likes. One denial denies. A guest
 * that gives no usable answer (it trapped, was late, answered nonsense, is not running, has too
 * many questions waiting) is reported; whether that denies is its manifest's `on_failure`:
 * `fail-closed` denies, the others allow. A guest whose hooks are not known yet, as it never ran,
 * counts for every topic when it is fail-closed, and not at all otherwise; `hooks:` in its manifest
 * makes them known.
 *
 * Nobody waits longer than the deadline: what comes later is dropped.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_HOOKS_H
#define OTR_PLUGIN_HOOKS_H

#include "plugin/contract.h"
#include "plugin/host.h"

typedef struct otr_hook otr_hook;

typedef enum otr_hook_how {
    OTR_HOOK_ANSWERED,
    OTR_HOOK_TIMED_OUT,
    OTR_HOOK_FAILED,      /* trapped, answered with an error or with nonsense */
    OTR_HOOK_NOT_RUNNING, /* loading, in back-off, disabled, stopping */
    OTR_HOOK_QUEUE_FULL,  /* OTR_LIMIT_PLUGIN_HOOK_QUEUE questions wait for it */
} otr_hook_how;

typedef struct otr_hook_answer {
    char plugin[OTR_PLUGIN_NAME_BYTES];
    otr_verdict verdict; /* what it counts as */
    otr_hook_how how;
    char message[OTR_VERDICT_MESSAGE_BYTES]; /* the guest's, or why there is no answer */
    uint64_t ns;                             /* from the question to the answer */
    otr_hook_finding *findings;              /* `n_findings` of them */
    size_t n_findings, more_findings;
} otr_hook_answer;

typedef struct otr_hook_result { /* borrowed until `done` returns */
    otr_verdict verdict;
    const otr_hook_answer *answers; /* in the order of the plugins; none: nobody has such a hook */
    size_t n;
    uint64_t ns;
    /* The first denial: "plugin x denies: … (file:line)"; "" when allowed. */
    char reason[OTR_VERDICT_MESSAGE_BYTES + OTR_FINDING_FILE_BYTES + 160];
} otr_hook_result;

typedef void otr_hook_done_fn(void *arg, const otr_hook_result *result);

/* What a guest may ask about while it answers (operation nginx_config.get). */
typedef struct otr_hook_files {
    /* On a worker, by several at once. Answers as the operation does. */
    otr_code (*get)(void *of, otr_bytes in, otr_buf *out, otr_err *err);
    /* Optional. On any thread, when nobody can ask any more, which may be after `done`. */
    void (*drop)(void *of);
    void *of;
} otr_hook_files;

typedef struct otr_hook_spec {
    const char *topic;    /* a full name, no pattern */
    otr_bytes payload;    /* one valid JSON text; copied */
    bool checked;         /* it is known to be one, and is not looked through again */
    const char *source;   /* who asks; a static string */
    uint64_t deadline_ns; /* monotonic; at most OTR_LIMIT_HOOK_MS from now */
    /* Do not count the fail-closed guests whose hooks are not known: for what must stay possible
     * while such a guest cannot be loaded. */
    bool known_only;
    const otr_hook_files *files; /* Optional. Taken over on success; copied */
    otr_hook_done_fn *done;      /* once, on the loop, never from inside otr_plugin_host_ask() */
    void *arg;
} otr_hook_spec;

/* Asks. OTR_EINVAL: malformed topic or payload; OTR_EQUOTA: OTR_LIMIT_HOOK_ASKS are under way.
 * `*ret` (optional) is valid until `done`. */
otr_code otr_plugin_host_ask(otr_plugin_host *host, const otr_hook_spec *spec, otr_hook **ret,
                             otr_err *err) OTR_MUST_CHECK;
/* Lets the question go: `done` does not come. NULL is fine. */
void otr_hook_cancel(otr_hook *hook);

/* The files of the question that is this message; NULL: it is none, or has none. Thread: any. */
const otr_hook_files *otr_hook_files_of(const otr_msg *msg);

/* {"topic","verdict","reason","ms","answers":[{"plugin","verdict","how","message","ms",
 * "findings":[{"file","line","severity","message"}],"findings_more"}]} */
otr_code otr_hook_result_json(const otr_hook_result *result, const char *topic, otr_buf *out,
                              otr_err *err) OTR_MUST_CHECK;

#endif
