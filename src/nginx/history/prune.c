/* What may go: transactions beyond the bounds, then what only they had. */
#include "nginx/history/internal.h"

/* Never what is under way; where an instance stands is kept by VERSIONS. */
static const char by_age[] = "DELETE FROM txn WHERE result IS NOT NULL AND began_ms < ?1";
static const char by_number[] =
    "DELETE FROM txn WHERE result IS NOT NULL AND number IN (SELECT number FROM (SELECT number, "
    "row_number() OVER (PARTITION BY instance ORDER BY number DESC) AS place FROM txn) WHERE place "
    "> ?1)";
static const char oldest[] =
    "DELETE FROM txn WHERE result IS NOT NULL AND number IN (SELECT number FROM txn WHERE result "
    "IS NOT NULL ORDER BY number LIMIT max(1, (SELECT count(*) / 10 FROM txn)))";
static const char leftovers[] =
    "DELETE FROM item WHERE txn NOT IN (SELECT number FROM txn);"
    "DELETE FROM version WHERE digest NOT IN (SELECT in_force FROM instance WHERE in_force NOT "
    "NULL "
    "UNION SELECT good FROM instance WHERE good NOT NULL UNION SELECT before FROM instance WHERE "
    "before NOT NULL UNION SELECT version_before FROM txn WHERE version_before NOT NULL UNION "
    "SELECT version_after FROM txn WHERE version_after NOT NULL);"
    "DELETE FROM file WHERE version NOT IN (SELECT id FROM version);"
    "DELETE FROM blob WHERE id NOT IN (SELECT blob FROM file WHERE blob NOT NULL);"
    "DELETE FROM part WHERE blob NOT IN (SELECT id FROM blob);";

static otr_code one(otr_history *h, const char *text, int64_t bound, uint64_t *gone, otr_err *err)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(h->db, text, -1, &st, NULL) != SQLITE_OK) {
        return otr_history_fail(h, "prune", err);
    }
    sqlite3_bind_int64(st, 1, bound);
    otr_code rc = sqlite3_step(st) == SQLITE_DONE ? OTR_OK : otr_history_fail(h, "prune", err);
    *gone += rc == OTR_OK ? (uint64_t)sqlite3_changes(h->db) : 0;
    sqlite3_finalize(st);
    return rc;
}

static otr_code sweep(otr_history *h, otr_err *err)
{
    return sqlite3_exec(h->db, leftovers, NULL, NULL, NULL) == SQLITE_OK
               ? OTR_OK
               : otr_history_fail(h, "prune", err);
}

/* Bytes in use: what is free already counts as gone. */
static otr_code in_use(otr_history *h, uint64_t *ret, otr_err *err)
{
    static const char text[] = "SELECT (SELECT page_count FROM pragma_page_count()) - (SELECT "
                               "freelist_count FROM pragma_freelist_count()), (SELECT page_size "
                               "FROM pragma_page_size())";
    sqlite3_stmt *st = NULL;
    otr_code rc = OTR_OK;
    if (sqlite3_prepare_v2(h->db, text, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        *ret = otr_history_u64_at(st, 0) * otr_history_u64_at(st, 1);
    } else {
        rc = otr_history_fail(h, "measure", err);
    }
    sqlite3_finalize(st);
    return rc;
}

static otr_code prune(otr_history *h, const otr_history_bounds *b, uint64_t now_ms, uint64_t *gone,
                      otr_err *err)
{
    otr_code rc = OTR_OK;
    if (b->age_ms > 0 && now_ms > b->age_ms) {
        rc = one(h, by_age, (int64_t)(now_ms - b->age_ms), gone, err);
    }
    if (rc == OTR_OK && b->transactions > 0) {
        rc = one(h, by_number, b->transactions < INT64_MAX ? (int64_t)b->transactions : INT64_MAX,
                 gone, err);
    }
    rc = rc == OTR_OK ? sweep(h, err) : rc;
    uint64_t bytes = 0, before = UINT64_MAX;
    while (rc == OTR_OK && b->bytes > 0 && before != *gone) {
        before = *gone;
        rc = in_use(h, &bytes, err);
        if (rc == OTR_OK && bytes > b->bytes) {
            rc = one(h, oldest, 0, gone, err);
            rc = rc == OTR_OK ? sweep(h, err) : rc;
        }
    }
    return rc;
}

otr_code otr_history_prune(otr_history *h, const otr_history_bounds *bounds, uint64_t now_ms,
                           uint64_t *ret_gone, otr_err *err)
{
    uint64_t gone = 0;
    if (h->draft != NULL) {
        return otr_fail(err, OTR_ESTATE, "history %s: a version is being recorded", h->path);
    }
    otr_code rc = otr_history_write(h, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = otr_history_written(h, prune(h, bounds, now_ms, &gone, err), err);
    if (rc != OTR_OK) {
        return rc;
    }
    /* What is free goes back to the file system; that it cannot be is no failure of this. */
    (void)sqlite3_exec(h->db, "PRAGMA incremental_vacuum(20000); PRAGMA wal_checkpoint(TRUNCATE);",
                       NULL, NULL, NULL);
    *ret_gone = gone;
    return OTR_OK;
}
