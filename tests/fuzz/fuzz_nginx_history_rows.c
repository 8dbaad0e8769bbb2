/* What the history reads back: parts of contents, rows of any types, and whole database files. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nginx/history/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char folder[64], path[96];

static void clean(void)
{
    static const char *const ends[] = { "",         "-wal",         "-shm",
                                        ".damaged", ".damaged-wal", ".damaged-shm" };
    for (size_t i = 0; i < OTR_COUNT(ends); i++) {
        char name[128];
        (void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name);
    }
}

static void at_exit(void)
{
    clean();
    (void)rmdir(folder);
}

static void prepare(void)
{
    const char *shm = "/dev/shm/otr-fuzz-history-XXXXXX";
    if (folder[0] != '\0') {
        return;
    }
    (void)snprintf(folder, sizeof(folder), "%s", shm);
    if (mkdtemp(folder) == NULL) {
        abort();
    }
    (void)snprintf(path, sizeof(path), "%s/history.db", folder);
    (void)atexit(at_exit);
}

static bool see_file(void *arg, const otr_history_file *file)
{
    otr_history *h = arg;
    otr_buf out;
    otr_buf_init(&out, 1 << 20);
    if (otr_history_blob_read(h, file->stat.digest, &out, NULL) != OTR_OK && out.n != 0) {
        abort(); /* all of it or nothing */
    }
    otr_buf_deinit(&out);
    return strlen(file->path) < SIZE_MAX;
}

static bool see_change(void *arg, const otr_history_change *c)
{
    (void)arg;
    return c->before != NULL || c->after != NULL;
}

static bool see_row(void *arg, const otr_history_row *row)
{
    otr_history *h = arg;
    char id[OTR_HISTORY_ID_BYTES];
    otr_code rc = otr_history_find_version(h, row->entry.instance, row->entry.id, id, NULL);
    return rc == OTR_OK || strlen(row->steps_json) < SIZE_MAX;
}

static void read_all(otr_history *h)
{
    static const char *const versions[] = {
        "0101010101010101010101010101010101010101010101010101010101010101",
        "0202020202020202020202020202020202020202020202020202020202020202"
    };
    const otr_history_query all = { .limit = 0 };
    const otr_history_bounds bounds = { .age_ms = 1, .transactions = 1, .bytes = 1 };
    uint64_t gone = 0;
    char id[OTR_HISTORY_ID_BYTES];
    otr_code rc = otr_history_list(h, &all, see_row, h, NULL);
    rc = otr_history_get(h, "1", see_row, h, NULL);
    for (size_t i = 0; i < OTR_COUNT(versions); i++) {
        rc = otr_history_files(h, versions[i], see_file, h, NULL);
    }
    rc = otr_history_diff(h, versions[0], versions[1], see_change, h, NULL);
    rc = otr_history_version_at(h, "i", OTR_HISTORY_BEFORE, id, NULL);
    rc = otr_history_prune(h, &bounds, 1000, &gone, NULL);
    (void)rc;
}

static void fuzz_part(otr_bytes data)
{
    otr_buf out;
    otr_buf_init(&out, OTR_HISTORY_PART_BYTES);
    if (data.n > 0 &&
        otr_history_part_open((otr_bytes){ data.p + 1, data.n - 1 }, (data.p[0] & 1) != 0, &out,
                              NULL) != OTR_OK &&
        out.n != 0) {
        abort();
    }
    otr_buf_deinit(&out);
}

static void fuzz_file(otr_bytes data)
{
    otr_history *h = NULL;
    clean();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, data.p, data.n) == (ssize_t)data.n;
    close(fd);
    if (written && otr_history_open(path, OTR_HISTORY_WRITES, &h, NULL) == OTR_OK) {
        read_all(h);
        otr_history_close(h);
    }
}

/* The input is values for the columns of each table in turn: a type, a length, bytes. */
typedef struct values {
    otr_bytes left;
} values;

static void bind_next(values *v, sqlite3_stmt *st, int i)
{
    if (v->left.n < 2) {
        return;
    }
    uint8_t type = v->left.p[0];
    size_t n = v->left.p[1];
    v->left = (otr_bytes){ v->left.p + 2, v->left.n - 2 };
    n = n < v->left.n ? n : v->left.n;
    switch (type % 5) {
    case 0:
        sqlite3_bind_int64(st, i, (int64_t)n - 2);
        return; /* its bytes are the next value's */
    case 1:
        sqlite3_bind_text(st, i, (const char *)v->left.p, (int)n, SQLITE_STATIC);
        break;
    case 2:
        sqlite3_bind_blob(st, i, v->left.p, (int)n, SQLITE_STATIC);
        break;
    case 3:
        sqlite3_bind_zeroblob(st, i, (int)n);
        break;
    default:
        return;
    }
    v->left = (otr_bytes){ v->left.p + n, v->left.n - n };
}

static void insert(otr_history *h, values *v, const char *text, int columns)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(h->db, text, -1, &st, NULL) == SQLITE_OK) {
        for (int i = 1; i <= columns; i++) {
            bind_next(v, st, i);
        }
        (void)sqlite3_step(st);
    }
    sqlite3_finalize(st);
}

static void fuzz_rows(otr_bytes data)
{
    otr_history *h = NULL;
    values v = { .left = data };
    clean();
    if (otr_history_open(path, OTR_HISTORY_WRITES, &h, NULL) != OTR_OK) {
        return;
    }
    static const char versions[] =
        "PRAGMA synchronous = OFF; BEGIN; INSERT INTO version VALUES (1, "
        "x'0101010101010101010101010101010101010101010101010101010101010101', 'i'), (2, "
        "x'0202020202020202020202020202020202020202020202020202020202020202', 'i')";
    sqlite3_exec(h->db, versions, NULL, NULL, NULL);
    insert(h, &v,
           "INSERT INTO txn VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
           "?, ?, ?)",
           21);
    for (int i = 0; i < 3; i++) {
        insert(h, &v, "INSERT INTO blob VALUES (?, ?, ?, ?)", 4);
        insert(h, &v, "INSERT INTO part VALUES (?, ?, ?, ?)", 4);
        insert(h, &v, "INSERT INTO file VALUES (1, ?, ?, ?, ?, ?, ?, ?)", 7);
        insert(h, &v, "INSERT INTO file VALUES (2, ?, ?, ?, ?, ?, ?, ?)", 7);
        insert(h, &v, "INSERT INTO item VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", 13);
    }
    insert(h, &v, "INSERT INTO instance VALUES ('i', ?, ?, ?)", 3);
    sqlite3_exec(h->db, "COMMIT", NULL, NULL, NULL);
    read_all(h);
    otr_history_close(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0) {
        return 0;
    }
    otr_bytes rest = { data + 1, n - 1 };
    prepare();
    switch (data[0] % 3) {
    case 0:
        fuzz_part(rest);
        break;
    case 1:
        fuzz_rows(rest);
        break;
    default:
        fuzz_file(rest);
        break;
    }
    return 0;
}
