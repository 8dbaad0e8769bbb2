/* A history in a folder of its own, for tests. */
#ifndef OTR_TESTS_UNIT_NGINX_HISTORY_STORE_H
#define OTR_TESTS_UNIT_NGINX_HISTORY_STORE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "nginx/history/history.h"
#include "support/test.h"

typedef struct store {
    char folder[40], path[64];
    otr_history *h;
} store;

static inline otr_code store_open(store *s, otr_err *err)
{
    if (s->folder[0] == '\0') {
        /* In memory where that is possible: a killed process is no power cut, and syncs cost. */
        (void)snprintf(s->folder, sizeof(s->folder), "%s/otr-history-XXXXXX",
                       access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        if (mkdtemp(s->folder) == NULL) {
            return otr_fail(err, OTR_EIO, "no folder");
        }
        (void)snprintf(s->path, sizeof(s->path), "%s/history.db", s->folder);
    }
    return otr_history_open(s->path, OTR_HISTORY_WRITES, &s->h, err);
}

static inline otr_code store_again(store *s, otr_err *err)
{
    otr_history_close(s->h);
    s->h = NULL;
    return store_open(s, err);
}

static inline void store_close(store *s)
{
    otr_history_close(s->h);
    DIR *dir = opendir(s->folder);
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char path[400];
        (void)snprintf(path, sizeof(path), "%s/%s", s->folder, e->d_name);
        (void)unlink(path);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    (void)rmdir(s->folder);
}

#define STORE                                         \
    OTR_CLEANUP(store_close) store s = { .h = NULL }; \
    otr_err err = { 0 };                              \
    REQUIRE_OK(store_open(&s, &err), err)

typedef struct text_file {
    const char *path, *text;
    mode_t mode;
} text_file;

/* Records `n` files as a version of `instance`. */
static inline otr_code store_version(store *s, const char *instance, const text_file *files,
                                     size_t n, char ret[OTR_HISTORY_ID_BYTES], otr_err *err)
{
    otr_history_draft *d = NULL;
    otr_code rc = otr_history_draft_new(s->h, &d, err);
    for (size_t i = 0; rc == OTR_OK && i < n; i++) {
        otr_history_file file = { .path = files[i].path, .stat = { .mode = files[i].mode } };
        rc = otr_history_draft_add_bytes(d, &file, otr_bytes_of(files[i].text), NULL, err);
    }
    rc = rc == OTR_OK ? otr_history_draft_commit(d, instance, ret, err) : rc;
    otr_history_draft_free(d);
    return rc;
}

static inline bool store_text_is(store *s, const char *version, const char *path, const char *want)
{
    otr_history_file file;
    otr_err err = { 0 };
    otr_buf out;
    otr_buf_init(&out, 100 << 20);
    bool same = otr_history_file_of(s->h, version, path, &file, &err) == OTR_OK &&
                otr_history_blob_read(s->h, file.stat.digest, &out, &err) == OTR_OK &&
                strcmp(otr_buf_text(&out), want) == 0;
    if (!same) {
        (void)printf("# %s %s\n", otr_buf_text(&out), err.msg);
    }
    otr_buf_deinit(&out);
    return same;
}

#endif
