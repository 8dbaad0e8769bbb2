/*
 * Changes of an earlier life that the history has no end for: their journal was done with, and the
 * agent ended before that was written down. What stands on the disk says how they ended.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "modules/config.h"
#include "modules/config_history.h"
#include "nginx/change/plan.h"

enum { SWEPT_MOST = 64 };

typedef struct sweep {
    uint64_t before_ms; /* what began later is of this life */
    char ids[SWEPT_MOST][OTR_APPLY_ID_BYTES];
    size_t n;
    bool all_new, all_old; /* of the one that is looked at */
} sweep;

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
    return now->exists ? strcmp(now->digest, then->digest) == 0 : then->digest[0] == '\0';
}

static bool look(void *arg, const otr_history_row *row)
{
    static const char *const everywhere[] = { "/", NULL };
    sweep *s = arg;
    otr_root root = { .path = "", .allowed = everywhere };
    s->all_new = s->all_old = row->entry.n_items > 0;
    for (size_t i = 0; i < row->entry.n_items; i++) {
        const otr_history_item *item = &row->entry.items[i];
        otr_plan_side now;
        bool known = otr_plan_side_read(&root, item->path, &now, NULL) == OTR_OK;
        s->all_new = s->all_new && known && is_as(&now, &item->after);
        s->all_old = s->all_old && known && is_as(&now, &item->before);
    }
    return false;
}

static otr_code run(void *arg, otr_history *h, otr_err *err)
{
    sweep *s = arg;
    otr_history_query query = { .limit = SWEPT_MOST, .unfinished = true };
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

static void done(void *arg, otr_code rc, const otr_err *err)
{
    (void)rc; /* a problem of the history, which says so */
    (void)err;
    otr_free(arg);
}

void otr_config_sweep(const otr_config_apply *c)
{
    sweep *s = otr_zalloc(sizeof(*s));
    if (s == NULL) {
        return;
    }
    s->before_ms = otr_wall_of(c->services->started_ns) / OTR_NS_PER_MS;
    otr_config_history_job job = {
        .what = "end what was interrupted", .writes = true, .run = run, .done = done, .arg = s
    };
    if (otr_config_history_submit(c->services->history, &job, NULL) != OTR_OK) {
        otr_free(s);
    }
}
