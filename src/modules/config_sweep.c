/*
 * What the history tells of an earlier life of this agent: changes without an end (their journal
 * was done with, and the agent ended before that was written down), and changes that could not be
 * rolled back and that nobody has seen to since.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "modules/config.h"
#include "modules/config_history.h"
#include "nginx/change/plan.h"

enum { ALL_MODES = 07777 };
enum { SWEPT_MOST = 64, FAILED_MOST = 32, TEXT_BYTES = 600, SEEN_MOST = OTR_LIMIT_NGINX_INSTANCES };

typedef struct failed { /* the last word about an instance is that it could not be rolled back */
    char instance[OTR_NGINX_ID_BYTES];
    char id[OTR_APPLY_ID_BYTES];
    char text[TEXT_BYTES];
} failed;

typedef struct config_sweep {
    otr_config_apply *c; /* NULL: the module is gone */
    config_sweep *next;
    otr_nginx_instance *nginx; /* whose changes are ended; NULL: nobody's */
    otr_root own;
    uint64_t before_ms; /* what began later is of this life */
    char ids[SWEPT_MOST][OTR_APPLY_ID_BYTES];
    size_t n;
    bool all_new, all_old; /* of the one that is looked at */
    failed failed[FAILED_MOST];
    size_t n_failed;
    char seen[SEEN_MOST][OTR_NGINX_ID_BYTES]; /* instances whose last word is known */
    size_t n_seen;
    size_t rows;     /* of a page */
    uint64_t lowest; /* number that was looked at */
} sweep;

static void free_sweep(sweep *s)
{
    if (s->c != NULL) {
        for (config_sweep **at = &s->c->sweeps; *at != NULL; at = &(*at)->next) {
            if (*at == s) {
                *at = s->next;
                break;
            }
        }
    }
    otr_nginx_instance_free(s->nginx);
    otr_free(s);
}

/* ---- without an end ---- */

static bool keep_id(void *arg, const otr_history_row *row)
{
    sweep *s = arg;
    if (row->entry.began_ms < s->before_ms && otr_apply_id_ok(row->entry.id)) {
        memcpy(s->ids[s->n++], row->entry.id, OTR_APPLY_ID_BYTES);
    }
    return s->n < SWEPT_MOST;
}

static bool is_as(const otr_plan_side *now, const otr_history_stat *then)
{
    if (!now->exists) {
        return then->digest[0] == '\0';
    }
    return strcmp(now->digest, then->digest) == 0 &&
           (now->mode & ALL_MODES) == (then->mode & ALL_MODES) && now->uid == then->uid &&
           now->gid == then->gid;
}

/* As that NGINX sees its files: the same path may be another file to us. */
static bool look(void *arg, const otr_history_row *row)
{
    sweep *s = arg;
    const otr_root *root = s->nginx->reach != NULL ? s->nginx->reach : &s->own;
    s->all_new = s->all_old = row->entry.n_items > 0;
    for (size_t i = 0; i < row->entry.n_items; i++) {
        const otr_history_item *item = &row->entry.items[i];
        otr_plan_side now;
        bool known = otr_plan_side_read(root, item->path, &now, NULL) == OTR_OK;
        s->all_new = s->all_new && known && is_as(&now, &item->after);
        s->all_old = s->all_old && known && is_as(&now, &item->before);
    }
    return false;
}

static otr_code end_all(sweep *s, otr_history *h, otr_err *err)
{
    otr_history_query query = { .instance = s->nginx->id, .limit = SWEPT_MOST, .unfinished = true };
    otr_code rc = otr_history_list(h, &query, keep_id, s, err);
    for (size_t i = 0; rc == OTR_OK && i < s->n; i++) {
        otr_history_end end = { .text = "the agent ended before it could be written down, and the "
                                        "files do not tell: see what stands there" };
        rc = otr_history_get(h, s->ids[i], look, s, err);
        end.result = s->all_new ? "applied" : s->all_old ? "rolled-back" : "unknown";
        if (s->all_new || s->all_old) {
            end.text = "the agent ended before it could be written down";
        }
        rc = rc == OTR_OK ? otr_history_finish_id(h, s->ids[i], &end, err) : rc;
    }
    return rc;
}

/* ---- not rolled back ---- */

static bool is_seen(const sweep *s, const char *instance)
{
    for (size_t i = 0; i < s->n_seen; i++) {
        if (strcmp(s->seen[i], instance) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_last_word(const char *result)
{
    return strcmp(result, "applied") == 0 || strcmp(result, "rolled-back") == 0 ||
           strcmp(result, "rollback-failed") == 0;
}

static bool is_full(const sweep *s)
{
    return s->n_seen == SEEN_MOST || s->n_failed == FAILED_MOST;
}

/* From the newest on. */
static bool take_last_word(void *arg, const otr_history_row *row)
{
    sweep *s = arg;
    const otr_history_entry *e = &row->entry;
    s->rows++;
    s->lowest = row->number;
    if (!is_last_word(row->end.result) || strlen(e->instance) >= OTR_NGINX_ID_BYTES ||
        is_seen(s, e->instance)) {
        return true;
    }
    (void)snprintf(s->seen[s->n_seen++], OTR_NGINX_ID_BYTES, "%s", e->instance);
    if (strcmp(row->end.result, "rollback-failed") == 0) {
        failed *f = &s->failed[s->n_failed++];
        (void)snprintf(f->instance, sizeof(f->instance), "%s", e->instance);
        (void)snprintf(f->id, sizeof(f->id), "%s", e->id);
        (void)snprintf(f->text, sizeof(f->text), "%s", row->end.text);
    }
    return !is_full(s);
}

static otr_code find_failed(sweep *s, otr_history *h, otr_err *err)
{
    otr_history_query query = { .instance = s->nginx != NULL ? s->nginx->id : NULL,
                                .limit = OTR_LIMIT_HISTORY_PAGE_MOST };
    otr_code rc = OTR_OK;
    do {
        query.before = s->lowest;
        s->rows = 0;
        rc = otr_history_list(h, &query, take_last_word, s, err);
    } while (rc == OTR_OK && s->rows == query.limit && s->lowest > 1 && !is_full(s) &&
             (s->nginx == NULL || s->n_seen == 0));
    return rc;
}

static otr_code run(void *arg, otr_history *h, otr_err *err)
{
    sweep *s = arg;
    otr_code rc = s->nginx != NULL ? end_all(s, h, err) : OTR_OK;
    return rc == OTR_OK ? find_failed(s, h, err) : rc;
}

/* ---- and back on the loop ---- */

static void done(void *arg, otr_code rc, const otr_err *err)
{
    sweep *s = arg;
    (void)rc; /* a problem of the history, which says so */
    (void)err;
    for (size_t i = 0; s->c != NULL && i < s->n_failed; i++) {
        s->c->remember(s->c, s->failed[i].instance, s->failed[i].id, s->failed[i].text);
    }
    free_sweep(s);
}

void otr_config_sweep(otr_config_apply *c, const otr_nginx_instance *instance)
{
    sweep *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return;
    }
    if (instance != NULL && otr_nginx_instance_copy(instance, &s->nginx, NULL) != OTR_OK) {
        otr_free(s);
        return;
    }
    s->own.path = s->nginx != NULL && s->nginx->root != NULL ? s->nginx->root : "";
    s->before_ms = otr_wall_of(c->services->started_ns) / OTR_NS_PER_MS;
    otr_config_history_job job = { .what = "end what was interrupted",
                                   .writes = true,
                                   .sparing = true,
                                   .run = run,
                                   .done = done,
                                   .arg = s };
    if (otr_config_history_submit(c->services->history, &job, NULL) != OTR_OK) {
        free_sweep(s);
        return;
    }
    s->c = c;
    s->next = c->sweeps;
    c->sweeps = s;
}

void otr_config_sweeps_end(otr_config_apply *c)
{
    for (sweep *s = c->sweeps; s != NULL; s = s->next) {
        s->c = NULL;
    }
    c->sweeps = NULL;
}
