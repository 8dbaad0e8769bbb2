/* What agents say: checked, then taken as a whole. */
#include <ctype.h>
#include <stdio.h>

#include "plane/store/internal.h"

/* ---- ids and paths ---- */

bool otr_plane_id(const char *text, char ret[OTR_PLANE_ID_BYTES])
{
    char out[OTR_PLANE_ID_BYTES];
    size_t i = 0;
    for (; text[i] != '\0' && i < OTR_PLANE_ID_BYTES - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        unsigned char c = (unsigned char)text[i];
        if (dash ? c != '-' : isxdigit(c) == 0) {
            return false;
        }
        out[i] = (char)tolower(c);
    }
    if (i != OTR_PLANE_ID_BYTES - 1 || text[i] != '\0') {
        return false;
    }
    out[i] = '\0';
    memcpy(ret, out, sizeof(out));
    return true;
}

const char *otr_plane_key(const char *agent, const char *instance, char ret[OTR_PLANE_KEY_BYTES])
{
    (void)snprintf(ret, OTR_PLANE_KEY_BYTES, "%.36s/%.36s", agent, instance);
    return ret;
}

/* Absolute and clean: no empty, "." or ".." part, no control character, no '/' at its end. */
static bool is_path(const char *path)
{
    size_t n = strnlen(path, OTR_LIMIT_HISTORY_PATH_BYTES);
    if (path[0] != '/' || n < 2 || n >= OTR_LIMIT_HISTORY_PATH_BYTES) {
        return false;
    }
    for (const char *part = path; *part == '/';) {
        const char *name = ++part;
        for (; *part != '/' && *part != '\0'; part++) {
            if ((unsigned char)*part < ' ' || *part == 0x7f) {
                return false;
            }
        }
        size_t len = (size_t)(part - name);
        if (len == 0 || (len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0)) {
            return false;
        }
    }
    return true;
}

static otr_code check_ids(const otr_plane_agent *a, otr_err *err)
{
    char id[OTR_PLANE_ID_BYTES];
    if (a->n_instances > OTR_LIMIT_PLANE_INSTANCES || a->n_labels > OTR_LIMIT_PLANE_LABELS) {
        return otr_fail(
            err, OTR_EQUOTA, "the agent has %zu instances and %zu labels: at most %d, %d",
            a->n_instances, a->n_labels, OTR_LIMIT_PLANE_INSTANCES, OTR_LIMIT_PLANE_LABELS);
    }
    if (!otr_plane_id(a->id, id)) {
        return otr_fail(err, OTR_EINVAL, "the agent's id is no UUID");
    }
    for (size_t i = 0; i < a->n_instances; i++) {
        if (!otr_plane_id(a->instances[i].id, id)) {
            return otr_fail(err, OTR_EINVAL, "the id of instance %zu is no UUID", i + 1);
        }
    }
    return OTR_OK;
}

/* ---- an agent ---- */

/* Who is there already: false with OTR_OK when nobody is. */
static otr_code known(const otr_plane_store *s, const otr_plane_agent *a, bool *ret, otr_err *err)
{
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(
        s, "SELECT CAST(subject AS TEXT) FROM agent WHERE id = lower(?1)", &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    (void)sqlite3_bind_text(st, 1, a->id, -1, SQLITE_STATIC);
    int got = sqlite3_step(st);
    *ret = got == SQLITE_ROW;
    if (got == SQLITE_ROW) {
        const char *was = otr_plane_text(st, 0), *is = a->subject != NULL ? a->subject : "";
        if (was[0] != '\0' && strncmp(was, is, OTR_LIMIT_PLANE_TEXT_BYTES) != 0) {
            rc = otr_fail(err, OTR_EDENIED, "agent %s has another certificate: it was \"%.60s\"",
                          a->id, was);
        }
    } else if (got != SQLITE_DONE) {
        rc = otr_plane_db_fail(s, "look", err);
    }
    sqlite3_finalize(st);
    return rc;
}

static otr_code has_room(const otr_plane_store *s, otr_err *err)
{
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(s, "SELECT count(*) FROM agent", &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (sqlite3_step(st) != SQLITE_ROW) {
        rc = otr_plane_db_fail(s, "look", err);
    } else if (sqlite3_column_int64(st, 0) >= OTR_LIMIT_PLANE_AGENTS) {
        rc = otr_fail(err, OTR_EQUOTA, "%d agents are known already: forget some",
                      OTR_LIMIT_PLANE_AGENTS);
    }
    sqlite3_finalize(st);
    return rc;
}

static otr_code put_agent(const otr_plane_store *s, const otr_plane_agent *a, otr_err *err)
{
    static const char sql[] =
        "INSERT INTO agent (id, hostname, os, version, peer, subject, first_ms, last_ms) VALUES "
        "(lower(?1), ?2, ?3, ?4, ?5, ?6, ?7, ?7) ON CONFLICT (id) DO UPDATE SET hostname = "
        "excluded.hostname, os = excluded.os, version = excluded.version, peer = excluded.peer, "
        "subject = excluded.subject, last_ms = excluded.last_ms";
    bool is_known = false;
    sqlite3_stmt *st = NULL;
    otr_code rc = known(s, a, &is_known, err);
    rc = rc == OTR_OK && !is_known ? has_room(s, err) : rc;
    rc = rc == OTR_OK ? otr_plane_db_prepare(s, sql, &st, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    (void)sqlite3_bind_text(st, 1, a->id, -1, SQLITE_STATIC);
    otr_plane_bind(st, 2, a->hostname);
    otr_plane_bind(st, 3, a->os);
    otr_plane_bind(st, 4, a->version);
    otr_plane_bind(st, 5, a->peer);
    otr_plane_bind(st, 6, a->subject);
    (void)sqlite3_bind_int64(st, 7, (int64_t)a->last_ms);
    return otr_plane_db_run(s, st, err);
}

/* Runs a statement whose only parameter is the agent. */
static otr_code of_agent(const otr_plane_store *s, const char *sql, const char *agent, otr_err *err)
{
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(s, sql, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    (void)sqlite3_bind_text(st, 1, agent, -1, SQLITE_STATIC);
    return otr_plane_db_run(s, st, err);
}

static otr_code put_labels(const otr_plane_store *s, const otr_plane_agent *a, otr_err *err)
{
    sqlite3_stmt *st = NULL;
    otr_code rc = of_agent(s, "DELETE FROM label WHERE agent = lower(?1)", a->id, err);
    rc =
        rc == OTR_OK
            ? otr_plane_db_prepare(
                  s, "INSERT OR REPLACE INTO label (agent, name, value) VALUES (lower(?1), ?2, ?3)",
                  &st, err)
            : rc;
    for (size_t i = 0; rc == OTR_OK && i < a->n_labels; i++) {
        (void)sqlite3_bind_text(st, 1, a->id, -1, SQLITE_STATIC);
        otr_plane_bind(st, 2, a->labels[i].name);
        otr_plane_bind(st, 3, a->labels[i].value);
        rc = otr_plane_db_step(s, st, err);
    }
    sqlite3_finalize(st);
    return rc;
}

/* Those that it does not list keep the mark 0 and go. */
static otr_code put_instances(const otr_plane_store *s, const otr_plane_agent *a, otr_err *err)
{
    static const char sql[] =
        "INSERT INTO instance (agent, id, type, version, config_path, mark) VALUES (lower(?1), "
        "lower(?2), ?3, ?4, ?5, 1) ON CONFLICT (agent, id) DO UPDATE SET type = excluded.type, "
        "version = excluded.version, config_path = CASE WHEN length(excluded.config_path) > 0 THEN "
        "excluded.config_path ELSE config_path END, mark = 1";
    sqlite3_stmt *st = NULL;
    otr_code rc = of_agent(s, "UPDATE instance SET mark = 0 WHERE agent = lower(?1)", a->id, err);
    rc = rc == OTR_OK ? otr_plane_db_prepare(s, sql, &st, err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < a->n_instances; i++) {
        const otr_plane_instance *one = &a->instances[i];
        (void)sqlite3_bind_text(st, 1, a->id, -1, SQLITE_STATIC);
        (void)sqlite3_bind_text(st, 2, one->id, -1, SQLITE_STATIC);
        (void)sqlite3_bind_int(st, 3, one->type);
        otr_plane_bind(st, 4, one->version);
        otr_plane_bind(st, 5, one->config_path);
        rc = otr_plane_db_step(s, st, err);
    }
    sqlite3_finalize(st);
    rc = rc == OTR_OK ? of_agent(s,
                                 "DELETE FROM file WHERE agent = lower(?1) AND instance IN (SELECT "
                                 "id FROM instance WHERE agent = lower(?1) AND mark = 0)",
                                 a->id, err)
                      : rc;
    return rc == OTR_OK ? of_agent(s, "DELETE FROM instance WHERE agent = lower(?1) AND mark = 0",
                                   a->id, err)
                        : rc;
}

otr_code otr_plane_store_put(otr_plane_store *s, const otr_plane_agent *a, otr_err *err)
{
    otr_code rc = check_ids(a, err);
    rc = rc == OTR_OK ? otr_plane_db_begin(s, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    rc = put_agent(s, a, err);
    rc = rc == OTR_OK ? put_labels(s, a, err) : rc;
    rc = rc == OTR_OK ? put_instances(s, a, err) : rc;
    return otr_plane_db_end(s, rc, err);
}

otr_code otr_plane_store_forget(otr_plane_store *s, const char *agent, otr_err *err)
{
    otr_code rc = otr_plane_db_begin(s, err);
    if (rc != OTR_OK) {
        return rc;
    }
    rc = of_agent(s, "DELETE FROM file WHERE agent = lower(?1)", agent, err);
    rc =
        rc == OTR_OK ? of_agent(s, "DELETE FROM instance WHERE agent = lower(?1)", agent, err) : rc;
    rc = rc == OTR_OK ? of_agent(s, "DELETE FROM label WHERE agent = lower(?1)", agent, err) : rc;
    rc = rc == OTR_OK ? of_agent(s, "DELETE FROM agent WHERE id = lower(?1)", agent, err) : rc;
    if (rc == OTR_OK && sqlite3_changes(s->db) == 0) {
        rc = otr_fail(err, OTR_ENOTFOUND, "there is no agent %.80s", agent);
    }
    return otr_plane_db_end(s, rc, err);
}

/* ---- an instance ---- */

otr_code otr_plane_store_health(otr_plane_store *s, const char *agent, const char *instance,
                                otr_plane_health health, const char *text, uint64_t now_ms,
                                otr_err *err)
{
    static const char sql[] = "UPDATE instance SET health = ?3, health_text = ?4, health_ms = ?5 "
                              "WHERE agent = lower(?1) AND id = lower(?2)";
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(s, sql, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    (void)sqlite3_bind_text(st, 1, agent, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, instance, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(st, 3, (int)health);
    otr_plane_bind(st, 4, text);
    (void)sqlite3_bind_int64(st, 5, (int64_t)now_ms);
    rc = otr_plane_db_run(s, st, err);
    return rc == OTR_OK && sqlite3_changes(s->db) == 0
               ? otr_fail(err, OTR_ENOTFOUND, "agent %.40s has no instance %.40s", agent, instance)
               : rc;
}

static otr_code check_files(const otr_plane_overview *o, otr_err *err)
{
    if (o->n_files > OTR_LIMIT_PLANE_FILES) {
        return otr_fail(err, OTR_EQUOTA, "the overview has %zu files: at most %d", o->n_files,
                        OTR_LIMIT_PLANE_FILES);
    }
    for (size_t i = 0; i < o->n_files; i++) {
        if (!is_path(o->files[i].path)) {
            return otr_fail(err, OTR_EINVAL, "file %zu of the overview has no clean absolute path",
                            i + 1);
        }
    }
    return OTR_OK;
}

static otr_code mark_overview(const otr_plane_store *s, const otr_plane_overview *o, otr_err *err)
{
    static const char sql[] =
        "UPDATE instance SET overview = ?3, overview_ms = ?4, config_path = CASE WHEN length(?5) > "
        "0 THEN ?5 ELSE config_path END WHERE agent = lower(?1) AND id = lower(?2)";
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(s, sql, &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    (void)sqlite3_bind_text(st, 1, o->agent, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, o->instance, -1, SQLITE_STATIC);
    otr_plane_bind(st, 3, o->version);
    (void)sqlite3_bind_int64(st, 4, (int64_t)o->now_ms);
    otr_plane_bind(st, 5, o->config_path);
    rc = otr_plane_db_run(s, st, err);
    if (rc == OTR_OK && sqlite3_changes(s->db) == 0) {
        rc = otr_fail(err, OTR_ENOTFOUND, "agent %.40s has no instance %.40s", o->agent,
                      o->instance);
    }
    return rc;
}

static otr_code drop_files(const otr_plane_store *s, const otr_plane_overview *o, otr_err *err)
{
    sqlite3_stmt *st = NULL;
    otr_code rc = otr_plane_db_prepare(
        s, "DELETE FROM file WHERE agent = lower(?1) AND instance = lower(?2)", &st, err);
    if (rc != OTR_OK) {
        return rc;
    }
    (void)sqlite3_bind_text(st, 1, o->agent, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, o->instance, -1, SQLITE_STATIC);
    return otr_plane_db_run(s, st, err);
}

static otr_code put_file(const otr_plane_store *s, sqlite3_stmt *st, const otr_plane_overview *o,
                         const otr_plane_file *f, otr_err *err)
{
    (void)sqlite3_bind_text(st, 1, o->agent, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 2, o->instance, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob64(st, 3, f->path, strlen(f->path), SQLITE_STATIC);
    (void)sqlite3_bind_text(st, 4, f->digest, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(st, 5, (int)f->mode);
    (void)sqlite3_bind_int64(st, 6, f->bytes <= INT64_MAX ? (int64_t)f->bytes : INT64_MAX);
    (void)sqlite3_bind_int(st, 7, (f->unmanaged ? 1 : 0) | (f->certificate ? 2 : 0));
    int got = sqlite3_step(st);
    otr_code rc = OTR_OK;
    if (got == SQLITE_CONSTRAINT) {
        rc = otr_fail(err, OTR_EINVAL, "the overview names a file twice");
    } else if (got != SQLITE_DONE) {
        rc = otr_plane_db_fail(s, "write", err);
    }
    sqlite3_reset(st);
    return rc;
}

otr_code otr_plane_store_overview(otr_plane_store *s, const otr_plane_overview *o, otr_err *err)
{
    static const char sql[] = "INSERT INTO file (agent, instance, path, digest, mode, bytes, flags)"
                              " VALUES (lower(?1), lower(?2), ?3, ?4, ?5, ?6, ?7)";
    sqlite3_stmt *st = NULL;
    otr_code rc = check_files(o, err);
    rc = rc == OTR_OK ? otr_plane_db_begin(s, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    rc = mark_overview(s, o, err);
    rc = rc == OTR_OK ? drop_files(s, o, err) : rc;
    rc = rc == OTR_OK ? otr_plane_db_prepare(s, sql, &st, err) : rc;
    for (size_t i = 0; rc == OTR_OK && i < o->n_files; i++) {
        rc = put_file(s, st, o, &o->files[i], err);
    }
    sqlite3_finalize(st);
    return otr_plane_db_end(s, rc, err);
}
