/*
 * The worker's half of a guest plugin: load, process, reconfigure, close. Internal to plugin/guest.
 *
 * One otr_guest_job belongs to one plugin and is handed to and fro: the worker owns it while a job
 * runs, the loop otherwise. It touches neither the loop nor the bus.
 *
 * Thread: the strand's worker during a job, else the loop.
 */
#ifndef OTR_PLUGIN_GUEST_JOB_H
#define OTR_PLUGIN_GUEST_JOB_H

#include <sys/stat.h>

#include "loop/worker.h"
#include "plugin/contract.h"
#include "plugin/encoding/encoding.h"
#include "plugin/host.h"
#include "plugin/manifest/manifest.h"
#include "plugin/services/hostcalls.h"
#include "plugin/source/modules.h"
#include "wasm/guest.h"

enum { OTR_GUEST_BATCH = 32 };

typedef struct otr_guest_item { /* what `process` is asked next */
    otr_msg *msg;               /* a reference */
    struct otr_hook_call *call; /* of a question; touched by the loop only */
    uint64_t deadline_ns;       /* of a question: too late to ask after this; 0: an event */
} otr_guest_item;

typedef enum otr_guest_job_kind {
    OTR_JOB_NONE,
    OTR_JOB_LOAD,        /* file → code → sandbox → info, subscriptions, init */
    OTR_JOB_PROCESS,     /* messages of `batch` from `next` on */
    OTR_JOB_RECONFIGURE, /* hand over the manifest's new config */
    OTR_JOB_RECYCLE,     /* close(), drop the sandbox, load another one of the same code */
    OTR_JOB_CLOSE,       /* close(), then drop */
    OTR_JOB_DROP,        /* drop the sandbox, with the code when `drop_code` */
} otr_guest_job_kind;

typedef struct otr_guest_job {
    otr_guest_job_kind kind;
    otr_strand *strand;
    void *owner; /* for the loop's half */
    const char *name;
    otr_manifest *manifest; /* a reference of its own: what the sandbox is made under */
    otr_manifest *held;     /* a reference: the policy when the running job began; see gate.h */
    otr_engine *engine;
    otr_loop *loop;
    const otr_bus *bus;   /* for the loop's half, which hands over its facts; NULL: none */
    uint64_t deadline_ns; /* CLOSE: not later than this */
    uint64_t rested_ns;   /* when memory was last given back */
    bool drop_code;
    atomic_bool last_call; /* set by the loop: the call that runs is the job's last */

    otr_guest_code *code;
    otr_guest *guest;
    bool skip_logged; /* a message without the field that `input:` names */
    struct stat file; /* of the file that `code` came from */
    otr_guest_parts parts;
    otr_guest_wasi wasi; /* of `guest` */
    otr_contract_info info;
    otr_contract_topics topics; /* what the guest subscribes to */
    otr_hostcalls hostcalls;
    otr_encoded_host encoded; /* `hostcalls` in the guest's encoding */
    otr_buf output;
    otr_buf scratch; /* input or answer on its way between the guest's encoding and JSON */
    otr_guest_item batch[OTR_GUEST_BATCH];
    size_t n, next;

    /* The batch's last message that was processed was a question: what came of it. */
    struct otr_guest_answer {
        bool given;
        bool usable; /* `said` is the guest's verdict; else its message says what failed */
        otr_contract_verdict said;
    } answer;

    /* Messages of the batch that the guest did not handle, and why: the loop keeps them. */
    struct otr_guest_failed {
        size_t index; /* in `batch` */
        char *reason; /* owned; NULL: no memory for it */
    } failed[OTR_GUEST_BATCH];
    size_t n_failed;

    /* Tells the loop which sandbox to cancel: set there by a post, so that the loop never reads
     * `guest` while a job runs. */
    otr_post announce;
    otr_guest *announced; /* written by the worker before the post */
    bool announcing;      /* the post is under way: set before it, cleared by it */
    bool freed;           /* by the loop, while the post was under way */
    otr_guest *cancellable;

    otr_err err;            /* of the job, when its result is not OTR_OK */
    bool permanent;         /* LOAD: trying again cannot help */
    uint64_t loaded_bytes;  /* LOAD: memory of the sandbox after init() */
    bool unreached;         /* LOAD: the server that has the file did not answer */
    bool passing;           /* LOAD: it failed after a host operation did that may work later */
    otr_plugin_stats delta; /* calls, errors, traps, …: added to the plugin's by the loop */
} otr_guest_job;

/* A job of its own strand, with nothing loaded. `name` and `engine` are borrowed. */
otr_code otr_guest_job_new(otr_loop *loop, otr_pool *pool, const char *name, otr_manifest *manifest,
                           otr_engine *engine, otr_guest_job **ret, otr_err *err) OTR_MUST_CHECK;
void otr_guest_job_use(otr_guest_job *job,
                       otr_manifest *manifest); /* takes a reference; while no job runs */
/* What the operator wrote last: bounds what the sandbox may do, from its next host operation and
 * its next call on. Also while a job runs; `policy` outlives the job or is followed by another. */
void otr_guest_job_rule(otr_guest_job *job, otr_manifest *policy);
void otr_guest_job_ended(otr_guest_job *job); /* on the loop, after each job */
void otr_guest_job_free(otr_guest_job *job);  /* while no job runs; NULL is fine */
/* Queues `kind`; `done(job, rc)` follows on the loop. */
otr_code otr_guest_job_submit(otr_guest_job *job, otr_guest_job_kind kind, otr_done_fn *done,
                              otr_err *err) OTR_MUST_CHECK;
/* Takes the code that `from` has loaded. Both idle, or `from` at work. */
void otr_guest_job_share(otr_guest_job *job, const otr_guest_job *from);
/* Ends what the running job does: the guest's call, a request, a download. Nothing runs: nothing.
 */
void otr_guest_job_cancel(otr_guest_job *job);
/* Drops the first `n` messages of the batch. */
void otr_guest_job_release(otr_guest_job *job, size_t n);
/* Adds what the job counted to `to`, all but its memory, publishes its outbox, and starts counting
 * anew. */
void otr_guest_job_merge(otr_guest_job *job, otr_plugin_stats *to, otr_bus *bus);
bool otr_guest_job_has(const otr_guest_job *job, unsigned has, const char *operation);

#endif
