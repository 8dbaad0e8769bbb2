/* What the operator wrote, and from when on.
 *
 * The newest entry rules every seat of the plugin, whatever code is in it: its gate asks that entry
 * beside the one that the sandbox was made under, and denies what only one of the two allows. So
 * whatever is narrower holds as soon as a reload is answered, for the next host operation of a call
 * that runs and for each call that begins. What a sandbox is made of, or was handed already
 * (memory, folders, variables, secrets), cannot be taken back from it: it makes no other call, and
 * a fresh one takes its place. The same when the newest entry would not let its code be loaded, or
 * nobody can tell; what runs then is cut short, as it is when folders were taken away.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/texts.h"
#include "plugin/guest/guest.h"
#include "plugin/manifest/changes.h"

enum { ANY = OTR_NARROWER | OTR_WIDER };

/* ---- who rules ---- */

/* Calls fn for each seat: at work, fresh, leaving. */
static void each_seat(otr_guest_plugin *g, void (*fn)(otr_guest_seat *s, void *arg), void *arg)
{
    const otr_seats *all[] = { &g->seats, &g->fresh };
    for (size_t k = 0; k < OTR_COUNT(all); k++) {
        for (size_t i = 0; i < all[k]->n; i++) {
            fn(all[k]->items[i], arg);
        }
    }
    for (otr_guest_seat *s = g->crew.leaving; s != NULL; s = s->next_leaving) {
        fn(s, arg);
    }
}

typedef struct holding {
    const otr_manifest *what;
    bool held;
} holding;

static void look_held(otr_guest_seat *s, void *arg)
{
    holding *h = arg;
    h->held = h->held || s->job->held == h->what;
}

/* A worker may look at it, and so at all that came after it. */
static bool is_held(otr_guest_plugin *g, const otr_manifest *m)
{
    holding h = { .what = m };
    each_seat(g, look_held, &h);
    return h.held;
}

/* One that is kept for other reasons must not keep all that came after it. */
static void unlink_newer(otr_guest_plugin *g, otr_manifest *m)
{
    if (m != NULL && m->newer != NULL && !is_held(g, m)) {
        otr_manifest_free(otr_steal(&m->newer));
    }
}

static void unlink_of_seat(otr_guest_seat *s, void *arg)
{
    (void)arg;
    unlink_newer(s->g, s->job->manifest);
}

static void rule_seat(otr_guest_seat *s, void *arg)
{
    otr_guest_job_rule(s->job, arg);
}

/* Owns `m`. */
static void rule(otr_guest_plugin *g, otr_manifest *m)
{
    otr_manifest *old = g->crew.policy;
    m->serial = old->serial + 1;
    if (is_held(g, old)) {
        old->newer = otr_manifest_ref(m);
    }
    g->crew.policy = m;
    otr_timer_stop(g->again);
    each_seat(g, rule_seat, m);
    each_seat(g, unlink_of_seat, NULL);
    unlink_newer(g, g->manifest);
    unlink_newer(g, g->fresh_manifest);
    unlink_newer(g, g->changing);
    otr_manifest_free(old);
}

/* ---- what it does to what runs ---- */

static bool stale_file(const otr_guest_plugin *g, const otr_guest_job *job)
{
    struct stat now;
    return job->file.st_ino != 0 && stat(g->manifest->source, &now) == 0 &&
           !otr_same_file(&now, &job->file);
}

/* What is at work is not what is on the disk. */
static bool stale(const otr_guest_plugin *g)
{
    const otr_seats *seats = g->fresh_ready ? &g->fresh : &g->seats;
    if (seats->n == 0 || seats->items[0]->job->kind == OTR_JOB_LOAD) {
        return false;
    }
    const otr_guest_job *job = seats->items[0]->job;
    return otr_guest_parts_changed(&job->parts) || stale_file(g, job);
}

/* Made of one file, whose digest is known. */
static bool is_one_file(const otr_guest_seat *s)
{
    return s->job->parts.n == 0 && s->job->manifest->n_modules == 0 &&
           otr_guest_code_manifest(s->job->code) == NULL;
}

/* Does a line that is new in `revoked` name what runs, or may it? */
static bool may_be_revoked(const otr_guest_plugin *g, const otr_guest_seat *s)
{
    const otr_manifest *policy = g->crew.policy;
    for (char *const *one = policy->revoked; one != NULL && *one != NULL; one++) {
        bool key = strlen(*one) < OTR_SHA256_HEX_BYTES - 1;
        if (otr_texts_have(g->manifest->revoked, *one)) {
            continue;
        }
        if (key ? g->manifest->signed_needed || policy->signed_needed
                : !is_one_file(s) || strcasecmp(*one, g->sha256) == 0) {
            return true;
        }
    }
    return false;
}

/* Would the code not be loaded now, or can that not be told from here? */
static bool is_in_doubt(const otr_guest_plugin *g, const otr_guest_seat *s, const otr_changes *c)
{
    const otr_manifest *was = g->manifest, *policy = g->crew.policy;
    if (policy->sha256 != NULL && strcmp(policy->sha256, g->sha256) != 0) {
        return true;
    }
    if (policy->signed_needed && was->signed_needed && otr_guest_keys_stamp(was) != g->keys_stamp) {
        return true; /* a key's file says something else, or is gone */
    }
    if (policy->signed_needed &&
        (!was->signed_needed || strcmp(was->signature, policy->signature) != 0)) {
        return true;
    }
    for (char *const *key = was->trust_keys; policy->signed_needed && *key != NULL; key++) {
        if (!otr_texts_have(policy->trust_keys, *key)) {
            return true;
        }
    }
    return otr_changes_have(c, OTR_SETTING_CODE, OTR_NARROWER) || may_be_revoked(g, s);
}

/* What holds for the plugin as a whole. */
static void hold(otr_guest_plugin *g, const otr_guest_seat *s)
{
    otr_err err = { 0 };
    if (otr_guest_listen(g, s->job, &err) != OTR_OK) {
        otr_log_error("plugin disabled", "plugin", g->p->name, "reason", err.msg);
        otr_guest_disable(g, err.msg, false);
        return;
    }
    otr_seats_trim(&g->seats, g->crew.policy->instances, OTR_LEAVE_BATCH);
    otr_guest_derive(g);
}

/* A new version that loads was begun under an entry that says something else. */
static void drop_outdated(otr_guest_plugin *g)
{
    otr_changes c;
    if (g->fresh.n == 0) {
        return;
    }
    otr_manifest_compare(g->fresh_manifest, g->crew.policy, &c);
    if (otr_changes_any(&c)) {
        otr_guest_forget_fresh(g);
        g->wanted = g->wanted_code = true;
    }
}

/* `code`: what runs may be shared with what follows. */
static void end_and_begin(otr_guest_plugin *g, otr_leave how, const otr_guest_seat *code)
{
    otr_log_info("plugin ended by its new settings, a fresh instance follows", "plugin",
                 g->p->name);
    otr_guest_begin_anew(g, how, code);
    otr_seats_hurry(&g->crew, how);
}

/* What a version had against it that nobody asks for any more is no reason now. */
static void settle_running(otr_guest_plugin *g)
{
    otr_guest_settle_for_policy(g);
    if (g->p->state_id == OTR_PLUGIN_RUNNING && g->down == 0 && g->p->reason[0] != '\0' &&
        g->fresh.n == 0 && !g->wanted) {
        otr_plugin_set_state(g->p, OTR_PLUGIN_RUNNING, "");
    }
}

static otr_reload_result follow_running(otr_guest_plugin *g, const otr_guest_seat *s,
                                        otr_reload_result calm)
{
    otr_changes c;
    otr_manifest_compare(g->manifest, g->crew.policy, &c);
    if (is_in_doubt(g, s, &c)) {
        end_and_begin(g, OTR_LEAVE_NOW, NULL);
        return OTR_RELOAD_RESTARTED;
    }
    if (otr_changes_have(&c, OTR_SETTING_SANDBOX, OTR_NARROWER)) {
        bool same = is_one_file(s) && !stale(g) && !otr_changes_have(&c, OTR_SETTING_CODE, ANY);
        /* Its files are not asked for at the gate: a call that runs would keep them. */
        end_and_begin(g, otr_changes_paths(&c) ? OTR_LEAVE_NOW : OTR_LEAVE_CALL, same ? s : NULL);
        return OTR_RELOAD_RESTARTED;
    }
    hold(g, s);
    bool other_file = stale(g);
    if (other_file || g->changing != NULL || otr_changes_sandbox(&c) ||
        otr_changes_have(&c, OTR_SETTING_CONFIG, ANY)) {
        g->wanted_code = g->wanted_code || other_file;
        g->wanted = g->wanted || g->fresh.n == 0;
    } else {
        settle_running(g);
    }
    return g->wanted || g->fresh.n > 0 ? OTR_RELOAD_LOADING : calm;
}

static otr_reload_result follow(otr_guest_plugin *g, otr_reload_result calm)
{
    const otr_guest_seat *s = otr_guest_running_seat(g);
    otr_changes c;
    drop_outdated(g);
    if (s != NULL) {
        return follow_running(g, s, calm);
    }
    otr_manifest_compare(g->manifest, g->crew.policy, &c);
    if (otr_changes_sandbox(&c) || otr_changes_have(&c, OTR_SETTING_CONFIG, ANY) ||
        otr_changes_have(&c, OTR_SETTING_TRUST, ANY) ||
        otr_changes_have(&c, OTR_SETTING_FETCH, ANY)) {
        otr_guest_begin_anew(g, OTR_LEAVE_NOW, NULL);
        return OTR_RELOAD_RESTARTED;
    }
    if (g->p->sub != NULL) {
        otr_sub_limit(g->p->sub, g->crew.policy->queue);
    }
    otr_guest_settle_for_policy(g);
    if (g->waiting && otr_guest_waits_for(g) == NULL) {
        otr_guest_begin(g);
    }
    return calm;
}

/* It is off: by an operator, by its failures, or because it was `off: true`. */
static otr_reload_result wake(otr_guest_plugin *g, const otr_changes *c)
{
    otr_guest_settle_for_policy(g);
    if (g->off && !otr_changes_own(c)) {
        return OTR_RELOAD_DISABLED;
    }
    g->off = false;
    otr_guest_begin_anew(g, OTR_LEAVE_NOW, NULL);
    return OTR_RELOAD_LOADING;
}

void otr_guest_switch_off(otr_guest_plugin *g)
{
    char reason[OTR_REASON_BYTES];
    (void)snprintf(reason, sizeof(reason), "off: true (%s)", g->crew.policy->where);
    otr_guest_disable(g, reason, false);
}

/* ---- the report ---- */

static bool holds_already(otr_setting_kind kind)
{
    return kind == OTR_SETTING_AT_ONCE || kind == OTR_SETTING_FETCH || kind == OTR_SETTING_TRUST;
}

static void note(const otr_changes *c, otr_reload_entry *ret)
{
    _Static_assert((int)OTR_RELOAD_SETTINGS > (int)OTR_SETTINGS, "room for all of them");
    bool runs = ret->result == OTR_RELOAD_LOADING || ret->result == OTR_RELOAD_RESTARTED;
    size_t applied = 0, pending = 0;
    for (size_t i = 0; i < OTR_SETTINGS; i++) {
        otr_setting_kind kind = otr_setting_kind_of(i);
        unsigned change = c->of[i];
        bool now = !runs || holds_already(kind) || (change & OTR_NARROWER) != 0;
        if (change != OTR_SAME && now) {
            ret->applied[applied++] = otr_setting_name(i);
        }
        if ((change & OTR_WIDER) != 0 && runs && !holds_already(kind)) {
            ret->pending[pending++] = otr_setting_name(i);
        }
    }
}

void otr_guest_take_policy(otr_guest_plugin *g, otr_manifest *m, otr_reload_entry *ret)
{
    otr_changes c;
    otr_manifest_compare(g->crew.policy, m, &c);
    bool was_off = g->crew.policy->off;
    rule(g, m);
    if (m->off) {
        if (!was_off) {
            otr_guest_switch_off(g);
        }
        otr_guest_settle_for_policy(g);
        ret->result = OTR_RELOAD_OFF;
    } else if (g->p->state_id == OTR_PLUGIN_DISABLED) {
        ret->result = wake(g, &c);
    } else {
        ret->result = follow(g, otr_changes_any(&c) ? OTR_RELOAD_APPLIED : OTR_RELOAD_UNCHANGED);
    }
    if (g->p->state_id == OTR_PLUGIN_DISABLED && ret->result != OTR_RELOAD_FAILED) {
        (void)snprintf(ret->reason, sizeof(ret->reason), "%.*s", (int)sizeof(ret->reason) - 1,
                       g->p->reason);
    }
    note(&c, ret);
}
