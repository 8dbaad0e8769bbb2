#include "plugin/guest/job.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/guest/map.h"
#include "plugin/internal.h"
#include "plugin/manifest/changes.h"
#include "plugin/source/source.h"

enum {
    SLICE_NS = 2000000,     /* a batch hands its results to the loop at least this often */
    BUFFER_BYTES = 1 << 20, /* a buffer that has grown beyond this is not kept */
};
#define REST_NS OTR_NS_PER_S /* memory is given back at most once in this time */

/* ---- load ---- */

static otr_code load_code(otr_guest_job *job, otr_err *err)
{
    otr_buf file;
    otr_source source = otr_source_of(job->manifest);
    otr_source_info info;
    const char *required[OTR_MAPPING_OPERATIONS + 1];
    otr_mapping_required(&job->manifest->mapping, required);
    source.ended = &job->hostcalls.gate.ended;
    otr_buf_init(&file, OTR_LIMIT_PLUGIN_FILE_BYTES);
    otr_code rc = otr_source_read(&source, &file, &info, err);
    job->file = info.file;
    job->unreached = info.unreached;
    if (rc == OTR_OK) {
        otr_load_spec spec = {
            .name = job->name,
            .wasm = otr_buf_bytes(&file),
            .abi = job->manifest->abi,
            .operations = required,
            .rewrite = true,
        };
        rc = otr_guest_parts_load(&source, job->engine, &spec, &job->parts, &job->code, err);
        job->unreached = job->parts.unreached;
    }
    if (rc == OTR_OK) {
        rc = otr_encoding_check(job->manifest->encoding,
                                otr_abi_name(otr_guest_code_abi(job->code)), err);
    }
    otr_buf_deinit(&file);
    if (rc == OTR_OK) {
        otr_guest_map_tell(job->manifest);
    }
    return otr_guest_map_blame(job->manifest, rc, err);
}

/* The load may be over by now, or even the job: its end and this come in any order. */
static void announce(void *arg)
{
    otr_guest_job *job = arg;
    job->announcing = false;
    if (job->freed) {
        otr_guest_job_free(job);
    } else if (job->kind == OTR_JOB_LOAD || job->kind == OTR_JOB_RECYCLE) {
        job->cancellable = job->announced;
    }
}

typedef enum limit { LIMIT_CALL, LIMIT_INIT } limit;

/* The shorter of what the sandbox was made under and what the operator wrote last. */
static uint64_t limit_ns(const otr_guest_job *job, limit which)
{
    const otr_manifest *own = job->manifest, *policy = otr_gate_policy(&job->hostcalls.gate);
    return which == LIMIT_CALL ? otr_least(own->call_ns, policy->call_ns)
                               : otr_least(own->init_ns, policy->init_ns);
}

/* The file's own manifest may give a call less than the configuration does. */
static uint64_t shorter(const otr_guest_job *job, uint64_t limit_ns)
{
    const otr_extism_manifest *m = otr_guest_code_manifest(job->code);
    bool less = m != NULL && m->timeout_ms != 0 && m->timeout_ms < limit_ns / OTR_NS_PER_MS;
    return less ? m->timeout_ms * OTR_NS_PER_MS : limit_ns;
}

static otr_code spawn(otr_guest_job *job, otr_err *err)
{
    const otr_extism_manifest *brought = otr_guest_code_manifest(job->code);
    otr_guest_spec spec = {
        .name = job->name,
        .wasi = &job->wasi.wasi,
        .max_memory_bytes = job->manifest->memory_bytes,
        .max_vars_bytes = job->manifest->vars_bytes,
        .max_output_bytes = OTR_LIMIT_PLUGIN_OUTPUT_BYTES,
        .init_ms = (job->manifest->init_ns + OTR_NS_PER_MS - 1) / OTR_NS_PER_MS,
        .zeroing = job->manifest->zeroing,
    };
    job->encoded =
        (otr_encoded_host){ job->manifest->encoding, &otr_hostcalls_ops, &job->hostcalls };
    otr_encoding_host(&job->encoded, &spec);
    job->hostcalls.gate.allowed_hosts = brought != NULL ? brought->allowed_hosts : NULL;
    otr_hostcalls_begin(&job->hostcalls, NULL);
    uint64_t start_ns = shorter(job, limit_ns(job, LIMIT_INIT));
    otr_hostcalls_limit(&job->hostcalls, otr_now_ns() + start_ns, start_ns);
    otr_code rc = otr_hostcalls_load(&job->hostcalls, err);
    rc = rc == OTR_OK ? otr_guest_wasi_fill(job->manifest, job->code, &job->wasi, err) : rc;
    return rc == OTR_OK ? otr_guest_new(job->code, &spec, &job->guest, err) : rc;
}

/* ---- calls ---- */

static void count(otr_guest_job *job, otr_code rc, uint64_t begin_ns)
{
    otr_plugin_count_call(&job->delta, otr_now_ns() - begin_ns);
    switch (rc) {
    case OTR_OK:
        break;
    case OTR_ETIMEOUT:
        job->delta.timeouts++;
        break;
    case OTR_EGUEST:
    case OTR_EQUOTA:
        job->delta.traps++;
        break;
    default:
        job->delta.errors++;
    }
}

static otr_code call(otr_guest_job *job, const char *op, otr_bytes in, limit which, otr_err *err)
{
    const char *own = otr_mapping_name(&job->manifest->mapping, op);
    otr_buf_clear(&job->output);
    if (job->kind != OTR_JOB_CLOSE && job->kind != OTR_JOB_PROCESS &&
        atomic_load(&job->last_call)) {
        return otr_fail(err, OTR_ESTATE, "%s: not called, a reload or an operator ended it", op);
    }
    uint64_t now = otr_now_ns();
    uint64_t deadline = now + shorter(job, limit_ns(job, which));
    if (job->kind == OTR_JOB_CLOSE && deadline > job->deadline_ns) {
        deadline = job->deadline_ns;
    }
    otr_hostcalls_limit(&job->hostcalls, deadline, deadline > now ? deadline - now : 0);
    otr_code rc = otr_guest_call(job->guest, own, in, deadline, &job->output, err);
    count(job, rc, now);
    if (rc == OTR_OK) {
        return OTR_OK;
    }
    return own == op ? otr_wrap(err, rc, "%s", op) : otr_wrap(err, rc, "%s (%s)", op, own);
}

bool otr_guest_job_has(const otr_guest_job *job, unsigned has, const char *operation)
{
    const char *own = otr_mapping_find(&job->manifest->mapping, operation);
    if (own != NULL) {
        return otr_guest_code_has(job->code, own);
    }
    if (job->info.operations & OTR_HAS_LIST) {
        return (job->info.operations & has) != 0;
    }
    return otr_guest_code_has(job->code, operation);
}

/* What the guest just answered to `op`, as JSON. */
static otr_code answer(otr_guest_job *job, const char *op, otr_bytes *ret, otr_err *err)
{
    return otr_encoding_answer(job->manifest->encoding, op, otr_buf_bytes(&job->output),
                               &job->scratch, ret, err);
}

static otr_code ask_info(otr_guest_job *job, otr_err *err)
{
    if (job->manifest->mapping.version != NULL) {
        otr_contract_info_deinit(&job->info);
        return otr_guest_map_info(job->manifest, &job->info, err);
    }
    otr_hostcalls_begin(&job->hostcalls, NULL);
    otr_bytes json;
    otr_code rc = call(job, "info", (otr_bytes){ NULL, 0 }, LIMIT_INIT, err);
    rc = rc == OTR_OK ? answer(job, "info", &json, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    otr_contract_info_deinit(&job->info);
    return otr_contract_read_info(json, &job->info, err);
}

/* A waPC guest whose entry has the topics may turn out not to know the question. */
static otr_code ask_for_topics(otr_guest_job *job, otr_bytes *ret, otr_err *err)
{
    static const otr_bytes nothing = { (const uint8_t *)"[]", 2 };
    const otr_plugin_mapping *map = &job->manifest->mapping;
    *ret = nothing;
    if (!otr_guest_map_asks_topics(map, job->code)) {
        return OTR_OK;
    }
    otr_code rc = call(job, "subscriptions", (otr_bytes){ NULL, 0 }, LIMIT_INIT, err);
    if (rc == OTR_EINVAL && map->topics_given && otr_mapping_find(map, "subscriptions") == NULL) {
        otr_log_debug("guest has no subscriptions", "plugin", job->name, "err", err->msg);
        return OTR_OK;
    }
    return rc == OTR_OK ? answer(job, "subscriptions", ret, err) : rc;
}

static otr_code ask_topics(otr_guest_job *job, otr_err *err)
{
    otr_hostcalls_begin(&job->hostcalls, NULL);
    otr_bytes json;
    otr_code rc = ask_for_topics(job, &json, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_contract_topics topics = { NULL, NULL };
    rc = otr_contract_read_topics(json, &topics, err);
    if (rc == OTR_OK) {
        otr_contract_topics_deinit(&job->topics);
        job->topics = topics;
    }
    return rc;
}

/* Hands over the settings: the configuration's, and those of the file's own manifest below. */
static otr_code configure(otr_guest_job *job, const char *op, otr_err *err)
{
    otr_buf config;
    otr_buf_init(&config, OTR_LIMIT_CONFIG_BYTES);
    otr_code rc =
        otr_guest_code_config(job->code, otr_bytes_of(job->manifest->config_json), &config, err);
    otr_bytes in;
    otr_hostcalls_begin(&job->hostcalls, NULL);
    rc = rc == OTR_OK ? otr_encoding_input(job->manifest->encoding, op, otr_buf_bytes(&config),
                                           &job->scratch, &in, err)
                      : rc;
    rc = rc == OTR_OK ? call(job, op, in, LIMIT_INIT, err) : rc;
    otr_buf_deinit(&config);
    return rc;
}

/* A waPC guest cannot be asked whether it has init(): without settings there is nothing to hand
 * over, so only then its refusal is no failure. */
static otr_code ask_init(otr_guest_job *job, otr_err *err)
{
    if (!otr_guest_job_has(job, OTR_HAS_INIT, "init")) {
        return OTR_OK;
    }
    otr_code rc = configure(job, "init", err);
    bool sure = (job->info.operations & OTR_HAS_LIST) != 0 ||
                otr_mapping_find(&job->manifest->mapping, "init") != NULL ||
                strcmp(otr_abi_name(otr_guest_code_abi(job->code)), "wapc") != 0;
    if (rc == OTR_EINVAL && !sure && job->manifest->config_pairs[0] == NULL) {
        otr_log_debug("guest has no init", "plugin", job->name, "err", err->msg);
        return OTR_OK;
    }
    return rc;
}

/* Starts the sandbox, unless nobody wants it any more, and lets the loop cancel it. */
static otr_code start(otr_guest_job *job, otr_err *err)
{
    if (atomic_load(&job->last_call)) {
        return otr_fail(err, OTR_ESTATE, "not started: a reload or an operator ended it");
    }
    otr_code rc = spawn(job, err);
    if (rc == OTR_OK) {
        job->announced = job->guest;
        job->announcing = true;
        otr_loop_post(job->loop, &job->announce, announce, job);
    }
    return rc;
}

/* Traps, time-outs and memory may be the moment's fault, and so may what a host operation met; all
 * else will be the same next time. */
static void judge(otr_guest_job *job, otr_code rc)
{
    job->loaded_bytes = rc == OTR_OK ? otr_guest_memory_bytes(job->guest) : 0;
    job->passing = rc != OTR_OK && rc != OTR_ENOMEM && job->hostcalls.gate.passing;
    job->permanent = rc != OTR_OK && rc != OTR_EGUEST && rc != OTR_ETIMEOUT && rc != OTR_EQUOTA &&
                     rc != OTR_ENOMEM && !job->unreached && !job->passing;
}

static otr_code run_load(otr_guest_job *job, otr_err *err)
{
    job->unreached = job->hostcalls.gate.passing = false;
    otr_code rc = job->code == NULL ? load_code(job, err) : OTR_OK;
    rc = rc == OTR_OK ? start(job, err) : rc;
    rc = rc == OTR_OK ? ask_info(job, err) : rc;
    rc = rc == OTR_OK ? ask_topics(job, err) : rc;
    rc = rc == OTR_OK ? ask_init(job, err) : rc;
    judge(job, rc);
    return rc;
}

static void remember_failed(otr_guest_job *job, size_t index, const otr_err *err)
{
    if (job->n_failed < OTR_COUNT(job->failed)) {
        job->failed[job->n_failed++] = (struct otr_guest_failed){ index, otr_strdup(err->msg) };
    }
}

static void report_error(otr_guest_job *job, const otr_msg *msg, const otr_err *err)
{
    uint64_t n = job->delta.errors;
    if ((n & (n - 1)) == 0 && /* the 1st, 2nd, 4th, 8th … of a batch */
        otr_log_budget_take(job->hostcalls.gate.budget, job->name)) {
        otr_log_warn("plugin answered with an error", "plugin", job->name, "topic",
                     msg->topic->name, "err", err->msg);
    }
}

/* What a question came to. */
static void take_answer(otr_guest_job *job, otr_code rc, const otr_err *err)
{
    otr_err why = { 0 };
    job->answer.given = true;
    if (rc == OTR_OK) {
        otr_bytes json;
        rc = answer(job, "process", &json, &why);
        rc = rc == OTR_OK ? otr_contract_read_verdict(json, &job->answer.said, &why) : rc;
        err = &why;
        job->delta.errors += rc != OTR_OK;
    }
    job->answer.usable = rc == OTR_OK;
    if (rc != OTR_OK) {
        (void)snprintf(job->answer.said.message, sizeof(job->answer.said.message), "%s", err->msg);
    }
}

static otr_code ask_process(otr_guest_job *job, const otr_guest_item *item, otr_bytes in,
                            otr_err *err)
{
    otr_hostcalls_begin(&job->hostcalls, item->msg);
    otr_code rc = call(job, "process", in, LIMIT_CALL, err);
    if (rc == OTR_OK && item->deadline_ns == 0) {
        rc = otr_guest_map_output(&job->hostcalls, otr_buf_bytes(&job->output), &job->scratch, err);
        job->delta.errors += rc != OTR_OK;
    }
    return rc;
}

static otr_code process_one(otr_guest_job *job, const otr_guest_item *item, otr_err *err)
{
    otr_bytes in;
    otr_code rc = otr_guest_map_input(job->manifest, item->msg, &job->scratch, &in, err);
    bool made = rc == OTR_OK;
    bool field = job->manifest->mapping.input == OTR_INPUT_FIELD;
    if (rc == OTR_ENOTFOUND && field && item->deadline_ns == 0) {
        job->delta.skipped++;
        job->delta.handled++;
        otr_guest_map_skip(job->manifest, item->msg, &job->skip_logged);
        return OTR_OK;
    }
    if (made && atomic_load(&job->last_call)) {
        job->next--; /* not begun: it is for whoever comes after */
        return OTR_OK;
    }
    if (made) {
        rc = ask_process(job, item, in, err);
    } else {
        job->delta.errors++;
    }
    if (item->deadline_ns != 0) {
        take_answer(job, rc, err); /* a question that failed is answered, not kept */
    } else if (rc != OTR_OK) {
        remember_failed(job, (size_t)(item - job->batch), err);
    } else {
        job->delta.handled++;
    }
    if (rc != OTR_OK && made && otr_guest_dead(job->guest)) {
        return otr_wrap(err, rc, "message %s", item->msg->topic->name);
    }
    if (rc != OTR_OK) {
        report_error(job, item->msg, err);
    }
    return OTR_OK;
}

static void shrink(otr_buf *buf)
{
    if (buf->cap > BUFFER_BYTES) {
        otr_buf_deinit(buf);
    }
}

/* Nothing waits: what large messages took may go. Not after each of many, which would take it
 * again at once. */
static void rest(otr_guest_job *job, uint64_t now_ns)
{
    if (job->next == job->n && now_ns - job->rested_ns >= REST_NS) {
        job->rested_ns = now_ns;
        otr_guest_rest(job->guest);
        shrink(&job->output);
        shrink(&job->scratch);
    }
}

static otr_code run_process(otr_strand *strand, otr_guest_job *job, otr_err *err)
{
    uint64_t now = otr_now_ns(), end = now + SLICE_NS;
    while (job->next < job->n && !job->answer.given && !otr_worker_should_stop(strand) &&
           !atomic_load(&job->last_call)) {
        const otr_guest_item *item = &job->batch[job->next++];
        if (item->deadline_ns != 0 && now >= item->deadline_ns) {
            continue; /* its asker has gone */
        }
        otr_code rc = process_one(job, item, err);
        if (rc != OTR_OK) {
            return rc;
        }
        now = otr_now_ns();
        if (now >= end) {
            break;
        }
    }
    rest(job, now);
    return OTR_OK;
}

static otr_code run_close(otr_guest_job *job, otr_err *err)
{
    otr_code rc = OTR_OK;
    bool alive = job->guest != NULL && !otr_guest_dead(job->guest);
    if (alive && otr_guest_job_has(job, OTR_HAS_CLOSE, "close")) {
        otr_hostcalls_begin(&job->hostcalls, NULL);
        rc = call(job, "close", (otr_bytes){ NULL, 0 }, LIMIT_CALL, err);
    }
    return rc;
}

static void drop(otr_guest_job *job)
{
    otr_guest_free(job->guest);
    job->guest = NULL;
    if (job->drop_code) {
        otr_guest_code_free(job->code);
        job->code = NULL;
    }
}

static otr_code run_recycle(otr_guest_job *job, otr_err *err)
{
    otr_err left = { 0 };
    if (run_close(job, &left) != OTR_OK) {
        otr_log_debug("guest did not close before it was recycled", "plugin", job->name, "err",
                      left.msg);
    }
    job->drop_code = false;
    drop(job);
    return run_load(job, err);
}

static otr_code run_kind(otr_strand *strand, otr_guest_job *job)
{
    switch (job->kind) {
    case OTR_JOB_LOAD:
        return run_load(job, &job->err);
    case OTR_JOB_PROCESS:
        return run_process(strand, job, &job->err);
    case OTR_JOB_RECONFIGURE:
        return configure(job, "reconfigure", &job->err);
    case OTR_JOB_RECYCLE:
        return run_recycle(job, &job->err);
    case OTR_JOB_CLOSE:
        return run_close(job, &job->err);
    case OTR_JOB_DROP:
        drop(job);
        return OTR_OK;
    case OTR_JOB_NONE:
        break;
    }
    return otr_fail(&job->err, OTR_ESTATE, "no job");
}

static otr_code run_job(otr_strand *strand, void *arg)
{
    otr_guest_job *job = arg;
    job->err = (otr_err){ .code = OTR_OK };
    job->answer.given = false;
    otr_code rc = run_kind(strand, job);
    otr_hostcalls_begin(&job->hostcalls, NULL);
    job->delta.memory_bytes =
        job->guest != NULL && !otr_guest_dead(job->guest) ? otr_guest_memory_bytes(job->guest) : 0;
    return rc;
}

/* ---- the loop's side ---- */

otr_code otr_guest_job_new(otr_loop *loop, otr_pool *pool, const char *name, otr_manifest *manifest,
                           otr_engine *engine, otr_guest_job **ret, otr_err *err)
{
    otr_guest_job *job = otr_zalloc(sizeof(*job));
    if (job == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = otr_strand_new(pool, 1, &job->strand, err);
    if (rc != OTR_OK) {
        otr_free(job);
        return rc;
    }
    job->loop = loop;
    job->name = name;
    job->engine = engine;
    otr_buf_init(&job->output, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_buf_init(&job->scratch, OTR_LIMIT_JSON_BYTES);
    otr_hostcalls_init(&job->hostcalls, name, manifest);
    otr_guest_job_use(job, manifest);
    *ret = job;
    return OTR_OK;
}

void otr_guest_job_rule(otr_guest_job *job, otr_manifest *policy)
{
    atomic_store_explicit(&job->hostcalls.gate.policy, policy, memory_order_release);
}

void otr_guest_job_use(otr_guest_job *job, otr_manifest *manifest)
{
    otr_manifest *old = job->manifest;
    job->manifest = otr_manifest_ref(manifest);
    job->hostcalls.gate.manifest = manifest;
    if (old != NULL && otr_gate_policy(&job->hostcalls.gate) == old) {
        otr_guest_job_rule(job, manifest); /* of a job that nobody rules */
    }
    otr_manifest_free(old);
}

void otr_guest_job_ended(otr_guest_job *job)
{
    otr_manifest_free(otr_steal(&job->held));
}

void otr_guest_job_share(otr_guest_job *job, const otr_guest_job *from)
{
    job->code = otr_guest_code_ref(from->code);
    job->file = from->file;
}

void otr_guest_job_free(otr_guest_job *job)
{
    if (job == NULL) {
        return;
    }
    if (job->announcing) {
        job->freed = true;
        return;
    }
    otr_strand_free(job->strand);
    otr_guest_free(job->guest);
    otr_guest_code_free(job->code);
    otr_guest_job_release(job, job->n);
    otr_hostcalls_deinit(&job->hostcalls);
    otr_contract_info_deinit(&job->info);
    otr_contract_topics_deinit(&job->topics);
    otr_buf_deinit(&job->output);
    otr_buf_deinit(&job->scratch);
    otr_guest_parts_deinit(&job->parts);
    otr_guest_wasi_deinit(&job->wasi);
    otr_manifest_free(job->held);
    otr_manifest_free(job->manifest);
    otr_free(job);
}

otr_code otr_guest_job_submit(otr_guest_job *job, otr_guest_job_kind kind, otr_done_fn *done,
                              otr_err *err)
{
    job->kind = kind;
    atomic_store(&job->hostcalls.gate.ended, false);
    atomic_store(&job->last_call, false);
    /* Whatever takes its place is kept alive by it until the job has ended. */
    otr_guest_job_ended(job);
    job->held = otr_manifest_ref((otr_manifest *)(uintptr_t)otr_gate_policy(&job->hostcalls.gate));
    job->hostcalls.gate.facts = otr_facts_unref(job->hostcalls.gate.facts);
    if (job->bus != NULL && job->manifest->see_instances) {
        job->hostcalls.gate.facts = otr_bus_facts(job->bus);
    }
    bool keeps_guest = kind != OTR_JOB_LOAD && kind != OTR_JOB_DROP && kind != OTR_JOB_RECYCLE;
    job->cancellable = keeps_guest ? job->guest : NULL;
    otr_code rc = otr_worker_submit(job->strand, run_job, done, job, err);
    if (rc != OTR_OK) {
        job->kind = OTR_JOB_NONE;
        otr_guest_job_ended(job);
    }
    return rc;
}

void otr_guest_job_cancel(otr_guest_job *job)
{
    if (job == NULL || job->kind == OTR_JOB_NONE) {
        return;
    }
    atomic_store(&job->last_call, true);
    atomic_store(&job->hostcalls.gate.ended, true);
    if (job->cancellable != NULL) {
        otr_guest_cancel(job->cancellable);
    }
}
