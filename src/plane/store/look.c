/* Reading what agents said. */
#include <stdio.h>

#include "plane/store/internal.h"

enum { PREFIX_LEAST = 4 };

/* `text` is what was stored, with an end of its own: columns of one row are read one by one. */
static otr_code end(const otr_plane_store *s, sqlite3_stmt *st, int got, otr_err *err)
{
    otr_code rc =
        got == SQLITE_DONE || got == SQLITE_ROW ? OTR_OK : otr_plane_db_fail(s, "read", err);
    sqlite3_finalize(st);
    return rc;
}

otr_code otr_plane_store_agents(otr_plane_store *s, otr_plane_agent_fn *fn, void *arg, otr_err *err)
{
    static const char sql[] =
        "SELECT id, CAST(hostname AS TEXT), CAST(os AS TEXT), CAST(version AS TEXT), CAST(peer AS "
        "TEXT), CAST(subject AS TEXT), first_ms, last_ms FROM agent ORDER BY hostname, id";
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(s, sql, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    int got;
    while ((got = sqlite3_step(st)) == SQLITE_ROW) {
        const otr_plane_agent a = { .id = otr_plane_text(st, 0),
                                    .hostname = otr_plane_text(st, 1),
                                    .os = otr_plane_text(st, 2),
                                    .version = otr_plane_text(st, 3),
                                    .peer = otr_plane_text(st, 4),
                                    .subject = otr_plane_text(st, 5),
                                    .first_ms = (uint64_t)sqlite3_column_int64(st, 6),
                                    .last_ms = (uint64_t)sqlite3_column_int64(st, 7) };
        if (!fn(arg, &a)) {
            break;
        }
    }
    return end(s, st, got, err);
}

otr_code otr_plane_store_labels(otr_plane_store *s, const char *agent, otr_plane_label_fn *fn,
                                void *arg, otr_err *err)
{
    static const char sql[] = "SELECT CAST(name AS TEXT), CAST(value AS TEXT) FROM label WHERE "
                              "agent = lower(?1) ORDER BY name";
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(s, sql, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    int got;
    (void)sqlite3_bind_text(st, 1, agent, -1, SQLITE_STATIC);
    while ((got = sqlite3_step(st)) == SQLITE_ROW) {
        const otr_plane_label label = { otr_plane_text(st, 0), otr_plane_text(st, 1) };
        if (!fn(arg, &label)) {
            break;
        }
    }
    return end(s, st, got, err);
}

otr_code otr_plane_store_instances(otr_plane_store *s, const char *agent, otr_plane_instance_fn *fn,
                                   void *arg, otr_err *err)
{
    static const char sql[] =
        "SELECT id, type, CAST(version AS TEXT), CAST(config_path AS TEXT), health, "
        "CAST(health_text AS TEXT), CAST(overview AS TEXT), overview_ms, health_ms FROM instance "
        "WHERE agent = lower(?1) ORDER BY type, id";
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(s, sql, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    int got;
    (void)sqlite3_bind_text(st, 1, agent, -1, SQLITE_STATIC);
    while ((got = sqlite3_step(st)) == SQLITE_ROW) {
        const otr_plane_instance one = { .id = otr_plane_text(st, 0),
                                         .type = sqlite3_column_int(st, 1),
                                         .version = otr_plane_text(st, 2),
                                         .config_path = otr_plane_text(st, 3),
                                         .health = (otr_plane_health)sqlite3_column_int(st, 4),
                                         .health_text = otr_plane_text(st, 5),
                                         .overview = otr_plane_text(st, 6),
                                         .overview_ms = (uint64_t)sqlite3_column_int64(st, 7),
                                         .health_ms = (uint64_t)sqlite3_column_int64(st, 8) };
        if (!fn(arg, &one)) {
            break;
        }
    }
    return end(s, st, got, err);
}

otr_code otr_plane_store_files(otr_plane_store *s, const char *agent, const char *instance,
                               otr_plane_file_fn *fn, void *arg, otr_err *err)
{
    static const char sql[] =
        "SELECT CAST(path AS TEXT), digest, mode, bytes, flags FROM file WHERE agent = lower(?1) "
        "AND instance = lower(?2) ORDER BY path";
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(s, sql, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    int got;
    (void)sqlite3_bind_text(st, 1, agent, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, instance, -1, SQLITE_STATIC);
    while ((got = sqlite3_step(st)) == SQLITE_ROW) {
        int flags = sqlite3_column_int(st, 4);
        otr_plane_file file = { .path = otr_plane_text(st, 0),
                                .mode = (mode_t)sqlite3_column_int(st, 2),
                                .bytes = (uint64_t)sqlite3_column_int64(st, 3),
                                .unmanaged = (flags & 1) != 0,
                                .certificate = (flags & 2) != 0 };
        (void)snprintf(file.digest, sizeof(file.digest), "%s", otr_plane_text(st, 1));
        if (!fn(arg, &file)) {
            break;
        }
    }
    return end(s, st, got, err);
}

/* ---- finding ---- */

/* Only hex digits and dashes, so that nothing in it is a pattern. */
static bool is_prefix(const char *text)
{
    size_t n = strspn(text, "0123456789abcdefABCDEF-");
    return text[n] == '\0' && n >= PREFIX_LEAST && n < OTR_PLANE_ID_BYTES;
}

otr_code otr_plane_store_find(otr_plane_store *s, const char *text, char ret_id[OTR_PLANE_ID_BYTES],
                              otr_err *err)
{
    static const char sql[] = "SELECT id FROM agent WHERE hostname = ?1 OR (?2 AND substr(id, 1, "
                              "length(?3)) = lower(?3)) LIMIT 2";
    sqlite3_stmt *st = NULL;
    char id[OTR_PLANE_ID_BYTES] = "";
    otr_code rc = otr_plane_db_prepare(s, sql, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_plane_bind(st, 1, text);
    (void)sqlite3_bind_int(st, 2, is_prefix(text));
    (void)sqlite3_bind_text(st, 3, text, -1, SQLITE_STATIC);
    int got = sqlite3_step(st);
    if (got == SQLITE_ROW && otr_plane_id(otr_plane_text(st, 0), id)) {
        got = sqlite3_step(st);
        if (got == SQLITE_ROW) {
            rc = otr_fail(err, OTR_EINVAL, "\"%.80s\" fits several agents: give more of the id",
                          text);
        }
    } else if (got == SQLITE_DONE) {
        rc = otr_fail(err, OTR_ENOTFOUND, "there is no agent \"%.80s\"", text);
    }
    otr_code ended = end(s, st, got, rc == OTR_OK ? err : NULL);
    rc = rc == OTR_OK ? ended : rc;
    if (rc == OTR_OK) {
        memcpy(ret_id, id, sizeof(id));
    }
    return rc;
}

otr_code otr_plane_store_labelled(otr_plane_store *s, const otr_plane_label *label,
                                  otr_plane_id_fn *fn, void *arg, otr_err *err)
{
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(
        s, "SELECT agent FROM label WHERE name = ?1 AND value = ?2 ORDER BY agent", &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    int got;
    otr_plane_bind(st, 1, label->name);
    otr_plane_bind(st, 2, label->value);
    while ((got = sqlite3_step(st)) == SQLITE_ROW) {
        if (!fn(arg, otr_plane_text(st, 0))) {
            break;
        }
    }
    return end(s, st, got, err);
}
