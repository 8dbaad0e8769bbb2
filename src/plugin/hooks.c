#include "plugin/hooks.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "plugin/hook_call.h"
#include "plugin/internal.h" /* NOLINT(misc-include-cleaner): struct otr_plugin_host */

typedef struct hook_slot {
    otr_hook_call *call; /* the guest's side has it; NULL: answered */
    otr_plugin *p;       /* valid while `call` is */
    bool closed;         /* no answer means deny */
} hook_slot;

struct otr_hook {
    otr_plugin_host *host;
    otr_hook *next, *prev;
    otr_msg *msg;
    otr_hook_done_fn *done;
    void *arg;
    otr_timer *timer;
    otr_defer finish;
    uint64_t begun_ns, deadline_ns;
    size_t n, open;
    hook_slot *slots;
    otr_hook_answer *answers;
};

static const char *how_name(otr_hook_how how)
{
    static const char *const names[] = { "answered", "timed out", "failed", "not running",
                                         "queue full" };
    return (size_t)how < OTR_COUNT(names) ? names[how] : "unknown";
}

static const char *verdict_name(otr_verdict verdict)
{
    return verdict == OTR_VERDICT_DENY ? "deny" : "allow";
}

/* ---- the question as a message: its topic is its own, so that no table grows with questions ----
 */

typedef struct question {
    otr_topic topic;
    char name[OTR_LIMIT_BUS_TOPIC_BYTES + 1];
    otr_hook_files files;
    size_t n;
    uint8_t json[];
} question;

static void drop_question(void *payload)
{
    question *q = payload;
    if (q->files.drop != NULL) {
        q->files.drop(q->files.of);
    }
    otr_free(q);
}

static otr_code encode_question(const void *payload, otr_buf *out, otr_err *err)
{
    const question *q = payload;
    return otr_buf_add(out, (otr_bytes){ q->json, q->n }, err);
}

const otr_hook_files *otr_hook_files_of(const otr_msg *msg)
{
    if (msg == NULL || msg->topic->encode != encode_question) {
        return NULL;
    }
    const question *q = msg->payload;
    return q->files.get != NULL ? &q->files : NULL;
}

static otr_code make_message(const otr_hook_spec *spec, otr_msg **ret, otr_err *err)
{
    question *q = otr_alloc(sizeof(*q) + spec->payload.n);
    if (q == NULL) {
        return otr_fail_nomem(err);
    }
    (void)snprintf(q->name, sizeof(q->name), "%s", spec->topic);
    q->topic = (otr_topic){ q->name, 1, drop_question, encode_question };
    q->files = (otr_hook_files){ 0 };
    q->n = spec->payload.n;
    memcpy(q->json, spec->payload.p, q->n);
    otr_code rc = otr_msg_new(&q->topic, q, spec->source, NULL, ret, err);
    if (rc != OTR_OK) {
        otr_free(q);
    }
    return rc;
}

/* ---- the end of a question ---- */

static void free_answers(otr_hook_answer *answers, size_t n)
{
    for (size_t i = 0; answers != NULL && i < n; i++) {
        otr_free(answers[i].findings);
    }
    otr_free(answers);
}

static void hook_free(otr_hook *h)
{
    for (size_t i = 0; h->slots != NULL && i < h->n; i++) {
        if (h->slots[i].call != NULL) {
            h->slots[i].call->hook = NULL; /* a late answer finds nobody */
        }
    }
    if (h->prev != NULL || h->host->hooks == h) {
        *(h->prev != NULL ? &h->prev->next : &h->host->hooks) = h->next;
        if (h->next != NULL) {
            h->next->prev = h->prev;
        }
        h->host->n_hooks--;
    }
    otr_loop_defer_cancel(&h->finish);
    otr_timer_free(h->timer);
    otr_msg_unref(h->msg);
    otr_free(h->slots);
    free_answers(h->answers, h->n);
    otr_free(h);
}

void otr_hook_cancel(otr_hook *hook)
{
    if (hook != NULL) {
        hook_free(hook);
    }
}

static void say_reason(const otr_hook_answer *a, char *to, size_t size)
{
    bool said = a->how == OTR_HOOK_ANSWERED;
    const otr_hook_finding *f =
        a->n_findings > 0 && a->findings[0].file[0] != '\0' ? a->findings : NULL;
    int n = snprintf(to, size, "plugin \"%s\" %s%s%s", a->plugin,
                     said ? "denies" : "is fail-closed and gave no answer",
                     a->message[0] != '\0' ? ": " : "", a->message);
    if (f != NULL && n > 0 && (size_t)n < size) {
        char line[16] = "";
        if (f->line > 0) {
            (void)snprintf(line, sizeof(line), ":%u", f->line);
        }
        (void)snprintf(to + n, size - (size_t)n, " (%s%s)", f->file, line);
    }
}

static void finish(void *arg)
{
    otr_hook *h = arg;
    otr_hook_result result = { .answers = h->answers, .n = h->n, .ns = otr_now_ns() - h->begun_ns };
    for (size_t i = 0; i < h->n; i++) {
        const otr_hook_answer *a = &h->answers[i];
        if (a->verdict == OTR_VERDICT_DENY && result.verdict == OTR_VERDICT_ALLOW) {
            result.verdict = OTR_VERDICT_DENY;
            say_reason(a, result.reason, sizeof(result.reason));
        }
    }
    otr_hook_done_fn *done = h->done;
    void *done_arg = h->arg;
    otr_hook_answer *answers = otr_steal(&h->answers);
    hook_free(h);
    done(done_arg, &result);
    free_answers(answers, result.n);
}

static void check_open(otr_hook *h)
{
    if (h->open == 0) {
        otr_timer_stop(h->timer);
        otr_loop_defer(h->host->spec.loop, &h->finish, finish, h);
    }
}

/* ---- answers ---- */

/* Without memory for them they count as left out. */
static void keep_findings(otr_hook_answer *a, const otr_contract_verdict *said)
{
    a->more_findings = said->more_findings;
    a->findings = said->n_findings > 0 ? otr_calloc(said->n_findings, sizeof(*a->findings)) : NULL;
    if (a->findings == NULL) {
        a->more_findings += said->n_findings;
        return;
    }
    a->n_findings = said->n_findings;
    memcpy(a->findings, said->findings, a->n_findings * sizeof(*a->findings));
}

static void record(otr_hook *h, size_t i, otr_hook_how how, const otr_contract_verdict *said)
{
    hook_slot *slot = &h->slots[i];
    otr_hook_answer *a = &h->answers[i];
    otr_plugin *p = slot->p;
    slot->call = NULL;
    h->open--;
    a->how = how;
    a->ns = otr_now_ns() - h->begun_ns;
    a->verdict = how == OTR_HOOK_ANSWERED ? said->verdict
                 : slot->closed           ? OTR_VERDICT_DENY
                                          : OTR_VERDICT_ALLOW;
    (void)snprintf(a->message, sizeof(a->message), "%s", said->message);
    keep_findings(a, said);
    p->stats.hooks_denied += a->verdict == OTR_VERDICT_DENY;
    p->stats.hooks_unanswered += how != OTR_HOOK_ANSWERED;
    if (how != OTR_HOOK_ANSWERED && otr_log_budget_take(&p->log_budget, p->name)) {
        otr_log_warn("plugin gave no answer to a hook", "plugin", p->name, "hook",
                     h->msg->topic->name, "how", how_name(how), "why", a->message, "counts_as",
                     verdict_name(a->verdict));
    }
}

static void resolve(otr_hook_call *call, otr_hook_how how, const otr_contract_verdict *said)
{
    otr_hook *h = call->hook;
    if (h != NULL) {
        record(h, call->index, how, said);
    }
    otr_msg_unref(call->msg);
    otr_free(call);
    if (h != NULL) {
        check_open(h);
    }
}

void otr_hook_call_answer(otr_hook_call *call, const otr_contract_verdict *verdict)
{
    resolve(call, OTR_HOOK_ANSWERED, verdict);
}

void otr_hook_call_fail(otr_hook_call *call, otr_hook_how how, const char *why)
{
    otr_contract_verdict said = { .verdict = OTR_VERDICT_ALLOW };
    (void)snprintf(said.message, sizeof(said.message), "%s", why);
    resolve(call, how, &said);
}

/* Gives up on all that are still open. */
static void give_up(otr_hook *h, otr_hook_how how, const char *why)
{
    otr_contract_verdict said = { .verdict = OTR_VERDICT_ALLOW };
    (void)snprintf(said.message, sizeof(said.message), "%s", why);
    for (size_t i = 0; i < h->n; i++) {
        if (h->slots[i].call != NULL) {
            h->slots[i].call->hook = NULL;
            record(h, i, how, &said);
        }
    }
}

static void past_deadline(void *arg)
{
    otr_hook *h = arg;
    char why[64];
    (void)snprintf(
        why, sizeof(why), "no answer within %llu ms",
        (unsigned long long)((h->deadline_ns - h->begun_ns + OTR_NS_PER_MS / 2) / OTR_NS_PER_MS));
    give_up(h, OTR_HOOK_TIMED_OUT, why);
    check_open(h);
}

void otr_hooks_end(otr_plugin_host *host)
{
    for (otr_hook *h = host->hooks; h != NULL; h = h->next) {
        if (h->open > 0) {
            give_up(h, OTR_HOOK_NOT_RUNNING, "the agent is stopping");
            check_open(h);
        }
    }
}

/* ---- asking ---- */

static bool matches(char *const *patterns, const char *topic)
{
    for (; patterns != NULL && *patterns != NULL; patterns++) {
        if (otr_topic_match(*patterns, topic)) {
            return true;
        }
    }
    return false;
}

/* Is this plugin one that the question goes to? */
static bool concerns(const otr_plugin *p, const otr_hook_spec *spec)
{
    if (!p->guest || p->stopped) {
        return false;
    }
    char *const *patterns = p->host->spec.guests->hooks(p);
    if (patterns == NULL) { /* it never ran: nobody knows */
        return p->host->spec.guests->fail_closed(p) && !spec->known_only;
    }
    return matches(patterns, spec->topic);
}

static size_t count_concerned(const otr_plugin_host *host, const otr_hook_spec *spec)
{
    size_t n = 0;
    for (const otr_plugin *p = host->first; p != NULL; p = p->next) {
        n += concerns(p, spec);
    }
    return n;
}

static otr_hook_call *call_new(otr_hook *h, size_t index)
{
    otr_hook_call *call = otr_zalloc(sizeof(*call));
    if (call != NULL) {
        *call = (otr_hook_call){
            .hook = h, .index = index, .msg = otr_msg_ref(h->msg), .deadline_ns = h->deadline_ns
        };
    }
    return call;
}

static void describe(const otr_plugin *p, char *to, size_t size)
{
    (void)snprintf(to, size, "it is %s%s%s", otr_plugin_state_name(p->state_id),
                   p->reason[0] != '\0' ? ": " : "", p->reason);
}

/* Asks one plugin, or says at once why not. */
static void ask_one(otr_hook *h, size_t i, otr_plugin *p)
{
    h->slots[i] = (hook_slot){ .p = p, .closed = h->host->spec.guests->fail_closed(p) };
    (void)snprintf(h->answers[i].plugin, sizeof(h->answers[i].plugin), "%s", p->name);
    p->stats.hooks_asked++;
    otr_hook_call *call = call_new(h, i);
    if (call == NULL) {
        otr_contract_verdict said = { .message = "out of memory" };
        record(h, i, OTR_HOOK_FAILED, &said);
        return;
    }
    h->slots[i].call = call;
    if (p->state_id != OTR_PLUGIN_RUNNING || h->host->stopping) {
        char why[OTR_VERDICT_MESSAGE_BYTES];
        describe(p, why, sizeof(why));
        otr_hook_call_fail(call, OTR_HOOK_NOT_RUNNING, why);
        return;
    }
    h->host->spec.guests->ask(p, call);
}

static otr_code make_hook(otr_plugin_host *host, const otr_hook_spec *spec, otr_hook **ret,
                          otr_err *err)
{
    otr_hook *h = otr_zalloc(sizeof(*h));
    if (h == NULL) {
        return otr_fail_nomem(err);
    }
    size_t n = count_concerned(host, spec);
    uint64_t now = otr_now_ns();
    uint64_t last = now + OTR_LIMIT_HOOK_MS * OTR_NS_PER_MS;
    h->host = host;
    h->done = spec->done;
    h->arg = spec->arg;
    h->begun_ns = now;
    h->deadline_ns = spec->deadline_ns < last ? spec->deadline_ns : last;
    h->deadline_ns = h->deadline_ns > now ? h->deadline_ns : now;
    h->slots = otr_calloc(n + 1, sizeof(*h->slots));
    h->answers = otr_calloc(n + 1, sizeof(*h->answers));
    otr_code rc = h->slots != NULL && h->answers != NULL ? OTR_OK : otr_fail_nomem(err);
    rc = rc == OTR_OK ? make_message(spec, &h->msg, err) : rc;
    rc = rc == OTR_OK ? otr_timer_new(host->spec.loop, past_deadline, h, &h->timer, err) : rc;
    if (rc != OTR_OK) {
        hook_free(h);
        return rc;
    }
    h->n = h->open = n;
    *ret = h;
    return OTR_OK;
}

/* The message is not shared yet. */
static void give_files(const otr_msg *msg, const otr_hook_files *files)
{
    question *q = (question *)(uintptr_t)msg->payload;
    q->files = *files;
}

static otr_code check_spec(const otr_plugin_host *host, const otr_hook_spec *spec, otr_err *err)
{
    otr_code rc = otr_topic_check(spec->topic, false, err);
    if (rc != OTR_OK) {
        return otr_wrap(err, rc, "hook");
    }
    if (spec->payload.n > OTR_LIMIT_BUS_PAYLOAD_BYTES ||
        (!spec->checked && !otr_json_valid(spec->payload))) {
        return otr_fail(err, OTR_EINVAL,
                        "hook %s: the question is not one JSON text of at most %u "
                        "bytes",
                        spec->topic, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    }
    if (host->n_hooks >= OTR_LIMIT_HOOK_ASKS) {
        return otr_fail(err, OTR_EQUOTA, "hook %s: %d questions are under way already", spec->topic,
                        OTR_LIMIT_HOOK_ASKS);
    }
    return OTR_OK;
}

otr_code otr_plugin_host_ask(otr_plugin_host *host, const otr_hook_spec *spec, otr_hook **ret,
                             otr_err *err)
{
    otr_hook *h = NULL;
    otr_code rc = check_spec(host, spec, err);
    rc = rc == OTR_OK ? make_hook(host, spec, &h, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    h->next = host->hooks;
    if (h->next != NULL) {
        h->next->prev = h;
    }
    host->hooks = h;
    host->n_hooks++;
    if (spec->files != NULL) { /* nothing fails from here on */
        give_files(h->msg, spec->files);
    }
    uint64_t left = h->deadline_ns - h->begun_ns;
    otr_timer_start(h->timer, (left + OTR_NS_PER_MS - 1) / OTR_NS_PER_MS, 0);
    size_t i = 0;
    for (otr_plugin *p = host->first; p != NULL && i < h->n; p = p->next) {
        if (concerns(p, spec)) {
            ask_one(h, i++, p);
        }
    }
    check_open(h); /* also when there was nobody to ask */
    if (ret != NULL) {
        *ret = h;
    }
    return OTR_OK;
}

/* Milliseconds with three digits. */
static void write_ms(otr_jw *w, uint64_t ns)
{
    uint64_t us = ns / 1000;
    otr_jw_f64(w, "ms", (double)us / 1e3);
}

static void write_findings(otr_jw *w, const otr_hook_answer *a)
{
    otr_jw_arr(w, "findings");
    for (size_t i = 0; i < a->n_findings; i++) {
        const otr_hook_finding *f = &a->findings[i];
        otr_jw_obj(w, NULL);
        otr_jw_bytes(w, "file", otr_bytes_of(f->file));
        otr_jw_u64(w, "line", f->line);
        otr_jw_str(w, "severity", otr_finding_severity_name(f->severity));
        otr_jw_bytes(w, "message", otr_bytes_of(f->message));
        otr_jw_obj_end(w);
    }
    otr_jw_arr_end(w);
    otr_jw_u64(w, "findings_more", a->more_findings);
}

otr_code otr_hook_result_json(const otr_hook_result *result, const char *topic, otr_buf *out,
                              otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "topic", topic);
    otr_jw_str(&w, "verdict", verdict_name(result->verdict));
    otr_jw_bytes(&w, "reason", otr_bytes_of(result->reason));
    write_ms(&w, result->ns);
    otr_jw_arr(&w, "answers");
    for (size_t i = 0; i < result->n; i++) {
        const otr_hook_answer *a = &result->answers[i];
        otr_jw_obj(&w, NULL);
        otr_jw_str(&w, "plugin", a->plugin);
        otr_jw_str(&w, "verdict", verdict_name(a->verdict));
        otr_jw_str(&w, "how", how_name(a->how));
        otr_jw_bytes(&w, "message", otr_bytes_of(a->message));
        write_ms(&w, a->ns);
        write_findings(&w, a);
        otr_jw_obj_end(&w);
    }
    otr_jw_arr_end(&w);
    otr_jw_obj_end(&w);
    return otr_jw_end(&w);
}
