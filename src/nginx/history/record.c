/* Transactions: their beginning, their end, and where an instance stands. */
#include "base/clock.h"
#include "base/json.h"
#include "nginx/history/internal.h"

const char *otr_history_kind_name(otr_history_kind kind)
{
    static const char *const names[] = { [OTR_HISTORY_LOCAL] = "user",
                                         [OTR_HISTORY_PLANE] = "plane",
                                         [OTR_HISTORY_PLUGIN] = "plugin",
                                         [OTR_HISTORY_DRIFT] = "drift",
                                         [OTR_HISTORY_AGENT] = "agent" };
    return (size_t)kind < OTR_COUNT(names) ? names[kind] : "unknown";
}

typedef struct txn {
    int64_t number;
    bool ended;
    char instance[OTR_LIMIT_HISTORY_NAME_BYTES + 1];
} txn;

/* The next start may still bring what could not be rolled back to another end. */
static bool is_final(const char *result)
{
    return result[0] != '\0' && strcmp(result, "rollback-failed") != 0 &&
           strcmp(result, "unknown") != 0;
}

static bool find(otr_history *h, const char *id, txn *ret)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_TXN_FIND);
    otr_history_bind_text(st, 1, id, OTR_LIMIT_HISTORY_NAME_BYTES);
    bool found = sqlite3_step(st) == SQLITE_ROW;
    if (found) {
        const char *instance = otr_history_text_at(st, 2);
        size_t n = strnlen(instance, OTR_LIMIT_HISTORY_NAME_BYTES);
        ret->number = sqlite3_column_int64(st, 0);
        ret->ended = is_final(otr_history_text_at(st, 1));
        memcpy(ret->instance, instance, n);
        ret->instance[n] = '\0';
    }
    sqlite3_reset(st);
    return found;
}

static otr_code check(const otr_history *h, const otr_history_entry *e, otr_err *err)
{
    if (e->id == NULL || e->id[0] == '\0' || e->instance == NULL || e->instance[0] == '\0') {
        return otr_fail(err, OTR_EINVAL, "history %s: a transaction has an id and an instance",
                        h->path);
    }
    if (strlen(e->id) > OTR_LIMIT_HISTORY_NAME_BYTES ||
        strlen(e->instance) > OTR_LIMIT_HISTORY_NAME_BYTES) {
        return otr_fail(err, OTR_EINVAL, "history %s: an id has at most %d bytes", h->path,
                        OTR_LIMIT_HISTORY_NAME_BYTES);
    }
    return e->n_items <= OTR_LIMIT_HISTORY_ITEMS
               ? OTR_OK
               : otr_fail(err, OTR_EQUOTA, "history %s: a transaction has at most %d files",
                          h->path, OTR_LIMIT_HISTORY_ITEMS);
}

/* ---- the beginning ---- */

static void bind_number(sqlite3_stmt *st, int i, int64_t n)
{
    if (n >= 0) {
        sqlite3_bind_int64(st, i, n);
    }
}

static otr_code add_txn(otr_history *h, const otr_history_entry *e, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_TXN_ADD);
    otr_history_bind_text(st, 1, e->id, OTR_LIMIT_HISTORY_NAME_BYTES);
    otr_history_bind_text(st, 2, e->instance, OTR_LIMIT_HISTORY_NAME_BYTES);
    otr_history_bind_text(st, 3, e->config, OTR_LIMIT_HISTORY_PATH_BYTES);
    sqlite3_bind_int(st, 4, (int)e->who.kind);
    bind_number(st, 5, e->who.uid);
    bind_number(st, 6, e->who.pid);
    otr_history_bind_text(st, 7, e->who.name, OTR_LIMIT_HISTORY_NAME_BYTES);
    otr_history_bind_text(st, 8, e->who.detail, OTR_LIMIT_HISTORY_NAME_BYTES);
    sqlite3_bind_int64(st, 9, (int64_t)e->began_ms);
    otr_history_bind_text(st, 10, e->message, OTR_LIMIT_HISTORY_TEXT_BYTES);
    otr_history_bind_text(st, 11, e->rollback_of, OTR_LIMIT_HISTORY_NAME_BYTES);
    (void)otr_history_bind_digest(st, 12, e->version_before);
    sqlite3_bind_int64(st, 13, (int64_t)e->n_items);
    return otr_history_run(h, st, "add a transaction", err);
}

static void bind_stat(sqlite3_stmt *st, int i, const otr_history_stat *s)
{
    if (otr_history_bind_digest(st, i, s->digest)) {
        sqlite3_bind_int64(st, i + 1, (int64_t)s->bytes);
        sqlite3_bind_int64(st, i + 2, s->mode & 07777);
        sqlite3_bind_int64(st, i + 3, s->uid);
        sqlite3_bind_int64(st, i + 4, s->gid);
    }
}

static otr_code add_items(otr_history *h, int64_t number, const otr_history_entry *e, otr_err *err)
{
    if (e->n_items == 0) {
        return OTR_OK;
    }
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_ITEMS_DROP);
    sqlite3_bind_int64(st, 1, number);
    otr_code rc = otr_history_run(h, st, "replace the files of a transaction", err);
    for (size_t i = 0; rc == OTR_OK && i < e->n_items; i++) {
        const otr_history_item *item = &e->items[i];
        st = otr_history_st_of(h, OTR_HST_ITEM_ADD);
        sqlite3_bind_int64(st, 1, number);
        sqlite3_bind_int64(st, 2, (int64_t)i);
        otr_history_bind_bytes(st, 3, item->path);
        otr_history_bind_text(st, 4, item->action, OTR_LIMIT_HISTORY_NAME_BYTES);
        bind_stat(st, 5, &item->before);
        bind_stat(st, 10, &item->after);
        rc = otr_history_run(h, st, "add the files of a transaction", err);
    }
    return rc;
}

static otr_code add_to_txn(otr_history *h, int64_t number, const otr_history_entry *e, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_TXN_MORE);
    sqlite3_bind_int64(st, 1, number);
    sqlite3_bind_int64(st, 2, (int64_t)e->n_items);
    (void)otr_history_bind_digest(st, 3, e->version_before);
    return otr_history_run(h, st, "add to a transaction", err);
}

/* What is known of it by now, whether or not its beginning is there. */
static otr_code put(otr_history *h, const otr_history_entry *e, txn *ret, otr_err *err)
{
    otr_code rc = OTR_OK;
    if (find(h, e->id, ret)) {
        rc = add_to_txn(h, ret->number, e, err);
    } else {
        rc = add_txn(h, e, err);
        if (rc == OTR_OK && !find(h, e->id, ret)) {
            rc = otr_history_fail(h, "find a transaction", err);
        }
    }
    return rc == OTR_OK ? add_items(h, ret->number, e, err) : rc;
}

otr_code otr_history_begin(otr_history *h, const otr_history_entry *e, otr_err *err)
{
    txn t = { .number = 0 };
    otr_code rc = check(h, e, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (find(h, e->id, &t)) {
        return otr_fail(err, OTR_ESTATE, "history %s has a transaction %s", h->path, e->id);
    }
    rc = otr_history_write(h, err);
    return rc == OTR_OK ? otr_history_written(h, put(h, e, &t, err), err) : rc;
}

/* ---- the end ---- */

static otr_code steps_json(const otr_history_end *end, otr_buf *out, otr_err *err)
{
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_arr(&w, NULL);
    for (size_t i = 0; i < end->n_steps; i++) {
        otr_jw_obj(&w, NULL);
        otr_jw_str(&w, "name", end->steps[i].name);
        otr_jw_f64(&w, "ms", (double)end->steps[i].ns / (double)OTR_NS_PER_MS);
        otr_jw_obj_end(&w);
    }
    otr_jw_arr_end(&w);
    return otr_jw_end(&w);
}

/* JSON that is no JSON, or too much of it, is left out: cut, it would be neither. */
static void bind_json(sqlite3_stmt *st, int i, const char *text)
{
    otr_bytes json = otr_bytes_of(text);
    if (json.n > 0 && json.n <= OTR_LIMIT_HISTORY_JSON_BYTES && otr_json_valid(json)) {
        sqlite3_bind_text(st, i, text, (int)json.n, SQLITE_STATIC);
    }
}

static otr_code end_txn(otr_history *h, int64_t number, const otr_history_end *end, otr_err *err)
{
    otr_buf steps;
    otr_buf_init(&steps, OTR_LIMIT_HISTORY_JSON_BYTES);
    otr_code rc = steps_json(end, &steps, err);
    if (rc == OTR_OK) {
        sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_TXN_END);
        sqlite3_bind_int64(st, 1, number);
        otr_history_bind_text(st, 2, end->result, OTR_LIMIT_HISTORY_NAME_BYTES);
        otr_history_bind_text(st, 3, end->text, OTR_LIMIT_HISTORY_TEXT_BYTES);
        sqlite3_bind_int64(st, 4, (int64_t)end->took_ns);
        bind_json(st, 5, otr_buf_text(&steps));
        bind_json(st, 6, end->verdicts_json);
        bind_json(st, 7, end->impact_json);
        (void)otr_history_bind_digest(st, 8, end->version_after);
        sqlite3_bind_int(st, 9, end->good);
        rc = otr_history_run(h, st, "end a transaction", err);
    }
    otr_buf_deinit(&steps);
    return rc;
}

typedef struct points { /* "": none */
    char in_force[OTR_HISTORY_ID_BYTES], good[OTR_HISTORY_ID_BYTES], before[OTR_HISTORY_ID_BYTES];
} points;

static otr_code load_points(otr_history *h, const char *instance, points *ret, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_POINTS);
    otr_history_bind_text(st, 1, instance, OTR_LIMIT_HISTORY_NAME_BYTES);
    *ret = (points){ "", "", "" };
    int got = sqlite3_step(st);
    if (got == SQLITE_ROW) {
        otr_history_digest_at(st, 0, ret->in_force);
        otr_history_digest_at(st, 1, ret->good);
        otr_history_digest_at(st, 2, ret->before);
    }
    otr_code rc =
        got == SQLITE_ROW || got == SQLITE_DONE ? OTR_OK : otr_history_fail(h, "look", err);
    sqlite3_reset(st);
    return rc;
}

static otr_code save_points(otr_history *h, const char *instance, const points *p, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_POINTS_SET);
    otr_history_bind_text(st, 1, instance, OTR_LIMIT_HISTORY_NAME_BYTES);
    (void)otr_history_bind_digest(st, 2, p->in_force);
    (void)otr_history_bind_digest(st, 3, p->good);
    (void)otr_history_bind_digest(st, 4, p->before);
    return otr_history_run(h, st, "note a version", err);
}

static otr_code move_points(otr_history *h, const char *instance, const char *version,
                            otr_history_point point, otr_err *err)
{
    points p;
    otr_code rc = load_points(h, instance, &p, err);
    if (rc != OTR_OK) {
        return rc;
    }
    memcpy(p.in_force, version, sizeof(p.in_force));
    if (point == OTR_HISTORY_GOOD && strcmp(p.good, version) != 0) {
        memcpy(p.before, p.good, sizeof(p.before));
        memcpy(p.good, version, sizeof(p.good));
    }
    return save_points(h, instance, &p, err);
}

static bool is_version(const char *text)
{
    return text != NULL && strlen(text) == OTR_HISTORY_ID_BYTES - 1;
}

static otr_code end_it(otr_history *h, const txn *t, const otr_history_end *end, otr_err *err)
{
    if (t->ended) {
        return otr_fail(err, OTR_ESTATE, "history %s: this transaction has ended already", h->path);
    }
    otr_code rc = end_txn(h, t->number, end, err);
    if (rc == OTR_OK && is_version(end->version_after)) {
        rc = move_points(h, t->instance, end->version_after,
                         end->good ? OTR_HISTORY_GOOD : OTR_HISTORY_IN_FORCE, err);
    }
    return rc;
}

otr_code otr_history_finish(otr_history *h, const otr_history_entry *e, const otr_history_end *end,
                            otr_err *err)
{
    txn t = { .number = 0 };
    otr_code rc = check(h, e, err);
    if (rc == OTR_OK && (end->result == NULL || end->result[0] == '\0')) {
        rc = otr_fail(err, OTR_EINVAL, "history %s: an end has a result", h->path);
    }
    if (rc == OTR_OK && find(h, e->id, &t) && t.ended) {
        rc = end_it(h, &t, end, err);
    }
    rc = rc == OTR_OK ? otr_history_write(h, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    rc = put(h, e, &t, err);
    rc = rc == OTR_OK ? end_it(h, &t, end, err) : rc;
    return otr_history_written(h, rc, err);
}

otr_code otr_history_finish_id(otr_history *h, const char *id, const otr_history_end *end,
                               otr_err *err)
{
    txn t = { .number = 0 };
    if (!find(h, id, &t)) {
        return otr_fail(err, OTR_ENOTFOUND, "history %s has no transaction %.80s", h->path, id);
    }
    otr_code rc = otr_history_write(h, err);
    return rc == OTR_OK ? otr_history_written(h, end_it(h, &t, end, err), err) : rc;
}

/* ---- where an instance stands ---- */

otr_code otr_history_set_version(otr_history *h, const char *instance, const char *version,
                                 otr_history_point point, otr_err *err)
{
    if (!is_version(version)) {
        return otr_fail(err, OTR_EINVAL, "\"%.80s\" is no version", version);
    }
    otr_code rc = otr_history_write(h, err);
    return rc == OTR_OK ? otr_history_written(h, move_points(h, instance, version, point, err), err)
                        : rc;
}

/* The files before the last change that was applied; without one, the version proven before. */
static otr_code find_before(otr_history *h, const char *instance, const points *p,
                            char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_UNDONE);
    otr_history_bind_text(st, 1, instance, OTR_LIMIT_HISTORY_NAME_BYTES);
    ret_id[0] = '\0';
    int got = sqlite3_step(st);
    if (got == SQLITE_ROW) {
        otr_history_digest_at(st, 0, ret_id);
    }
    otr_code rc =
        got == SQLITE_ROW || got == SQLITE_DONE ? OTR_OK : otr_history_fail(h, "look", err);
    sqlite3_reset(st);
    if (rc == OTR_OK && ret_id[0] == '\0') {
        memcpy(ret_id, p->before, OTR_HISTORY_ID_BYTES);
    }
    return rc;
}

otr_code otr_history_version_at(otr_history *h, const char *instance, otr_history_point point,
                                char ret_id[OTR_HISTORY_ID_BYTES], otr_err *err)
{
    points p;
    char id[OTR_HISTORY_ID_BYTES] = "";
    otr_code rc = load_points(h, instance, &p, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (point == OTR_HISTORY_BEFORE) {
        rc = find_before(h, instance, &p, id, err);
    } else {
        memcpy(id, point == OTR_HISTORY_GOOD ? p.good : p.in_force, sizeof(id));
    }
    if (rc == OTR_OK && id[0] == '\0') {
        rc = otr_fail(err, OTR_ENOTFOUND, "the history has no such version of instance %.40s",
                      instance);
    }
    if (rc == OTR_OK) {
        memcpy(ret_id, id, sizeof(id));
    }
    return rc;
}
