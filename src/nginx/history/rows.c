/* Transactions, from the database to people. */
#include "base/alloc.h"
#include "base/json.h"
#include "nginx/history/internal.h"

enum { /* columns of the statements that list transactions */
       NUMBER,
       ID,
       INSTANCE,
       CONFIG,
       KIND,
       UID,
       PID,
       WHO,
       DETAIL,
       BEGAN,
       MESSAGE,
       ROLLBACK_OF,
       BEFORE,
       RESULT,
       TEXT,
       TOOK,
       STEPS,
       VERDICTS,
       IMPACT,
       AFTER,
       GOOD,
       ITEMS,
};

typedef struct ids {
    char before[OTR_HISTORY_ID_BYTES], after[OTR_HISTORY_ID_BYTES];
} ids;

static int64_t number_at(sqlite3_stmt *st, int i)
{
    return sqlite3_column_type(st, i) != SQLITE_NULL ? sqlite3_column_int64(st, i) : -1;
}

/* What is no JSON (any more) is left out: the reader gives it on as JSON. */
static const char *json_at(sqlite3_stmt *st, int i)
{
    const char *text = otr_history_text_at(st, i);
    return text[0] != '\0' && otr_json_valid(otr_bytes_of(text)) ? text : "";
}

static otr_history_kind kind_at(sqlite3_stmt *st, int i)
{
    int kind = sqlite3_column_int(st, i);
    return kind >= 0 && kind <= OTR_HISTORY_AGENT ? (otr_history_kind)kind : OTR_HISTORY_AGENT;
}

static void row_at(sqlite3_stmt *st, ids *own, otr_history_row *ret)
{
    *ret = (otr_history_row){ .number = otr_history_u64_at(st, NUMBER),
                              .n_items = (size_t)otr_history_u64_at(st, ITEMS),
                              .steps_json = json_at(st, STEPS) };
    ret->entry = (otr_history_entry){
        .id = otr_history_text_at(st, ID),
        .instance = otr_history_text_at(st, INSTANCE),
        .config = otr_history_text_at(st, CONFIG),
        .who = { .kind = kind_at(st, KIND),
                 .uid = number_at(st, UID),
                 .pid = number_at(st, PID),
                 .name = otr_history_text_at(st, WHO),
                 .detail = otr_history_text_at(st, DETAIL) },
        .began_ms = otr_history_u64_at(st, BEGAN),
        .message = otr_history_text_at(st, MESSAGE),
        .rollback_of = otr_history_text_at(st, ROLLBACK_OF),
        .version_before = own->before,
    };
    ret->end = (otr_history_end){
        .result = otr_history_text_at(st, RESULT),
        .text = otr_history_text_at(st, TEXT),
        .took_ns = otr_history_u64_at(st, TOOK),
        .verdicts_json = json_at(st, VERDICTS),
        .impact_json = json_at(st, IMPACT),
        .version_after = own->after,
        .good = sqlite3_column_int(st, GOOD) != 0,
    };
    otr_history_digest_at(st, BEFORE, own->before);
    otr_history_digest_at(st, AFTER, own->after);
}

otr_code otr_history_list(otr_history *h, const otr_history_query *query, otr_history_row_fn *fn,
                          void *arg, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_LIST);
    size_t limit = query->limit > 0 ? query->limit : OTR_LIMIT_HISTORY_PAGE;
    otr_history_bind_text(st, 1, query->instance, OTR_LIMIT_HISTORY_NAME_BYTES);
    sqlite3_bind_int64(
        st, 2, query->before > 0 && query->before < INT64_MAX ? (int64_t)query->before : INT64_MAX);
    sqlite3_bind_int(st, 3, query->unfinished);
    sqlite3_bind_int64(
        st, 4,
        (int64_t)(limit < OTR_LIMIT_HISTORY_PAGE_MOST ? limit : OTR_LIMIT_HISTORY_PAGE_MOST));
    int got;
    bool more = true;
    while (more && (got = sqlite3_step(st)) == SQLITE_ROW) {
        ids own;
        otr_history_row row;
        row_at(st, &own, &row);
        more = fn(arg, &row);
    }
    otr_code rc =
        !more || got == SQLITE_DONE ? OTR_OK : otr_history_fail(h, "list transactions", err);
    sqlite3_reset(st);
    return rc;
}

/* ---- one with its items ---- */

typedef struct items {
    otr_history_item *list;
    size_t n, cap;
} items;

static void items_deinit(items *all)
{
    for (size_t i = 0; i < all->n; i++) {
        otr_free((char *)(uintptr_t)all->list[i].path); /* ours, not the caller's */
        otr_free((char *)(uintptr_t)all->list[i].action);
    }
    otr_free(all->list);
}

static void stat_at(sqlite3_stmt *st, int i, otr_history_stat *ret)
{
    otr_history_digest_at(st, i, ret->digest);
    ret->bytes = otr_history_u64_at(st, i + 1);
    ret->mode = (mode_t)sqlite3_column_int64(st, i + 2) & 07777;
    ret->uid = (uid_t)sqlite3_column_int64(st, i + 3);
    ret->gid = (gid_t)sqlite3_column_int64(st, i + 4);
}

static otr_code add_item(sqlite3_stmt *st, items *all, otr_err *err)
{
    otr_code rc = otr_grow(&all->list, all->n, &all->cap, sizeof(*all->list), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_history_item item = { .path = otr_strdup(otr_history_text_at(st, 0)),
                              .action = otr_strdup(otr_history_text_at(st, 1)) };
    stat_at(st, 2, &item.before);
    stat_at(st, 7, &item.after);
    all->list[all->n++] = item;
    return item.path != NULL && item.action != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code load_items(otr_history *h, uint64_t number, items *ret, otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_ITEMS);
    sqlite3_bind_int64(st, 1, (int64_t)number);
    otr_code rc = OTR_OK;
    int got;
    while (rc == OTR_OK && (got = sqlite3_step(st)) == SQLITE_ROW) {
        rc = ret->n < OTR_LIMIT_HISTORY_ITEMS
                 ? add_item(st, ret, err)
                 : otr_fail(err, OTR_EQUOTA, "history %s: a transaction has too many files",
                            h->path);
    }
    if (rc == OTR_OK && got != SQLITE_DONE) {
        rc = otr_history_fail(h, "list the files of a transaction", err);
    }
    sqlite3_reset(st);
    return rc;
}

otr_code otr_history_get(otr_history *h, const char *which, otr_history_row_fn *fn, void *arg,
                         otr_err *err)
{
    sqlite3_stmt *st = otr_history_st_of(h, OTR_HST_GET);
    otr_history_bind_text(st, 1, which, OTR_LIMIT_HISTORY_NAME_BYTES);
    sqlite3_bind_int64(st, 2, otr_history_number_of(which));
    items all = { .n = 0 };
    otr_code rc;
    switch (sqlite3_step(st)) {
    case SQLITE_ROW: {
        ids own;
        otr_history_row row;
        row_at(st, &own, &row);
        rc = load_items(h, row.number, &all, err);
        if (rc == OTR_OK) {
            row.entry.items = all.list;
            row.entry.n_items = all.n;
            (void)fn(arg, &row);
        }
        break;
    }
    case SQLITE_DONE:
        rc = otr_fail(err, OTR_ENOTFOUND, "the history has no transaction \"%.80s\"", which);
        break;
    default:
        rc = otr_history_fail(h, "find a transaction", err);
    }
    sqlite3_reset(st);
    items_deinit(&all);
    return rc;
}
