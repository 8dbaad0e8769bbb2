#include "nginx/apply/errlogs.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/texts.h"
#include "nginx/files.h"
#include "nginx/language/walk.h"

typedef struct scan {
    const otr_error_logs_spec *spec;
    otr_error_logs *to;
    bool main_log;  /* one stands in the main context */
    unsigned depth; /* blocks */
} scan;

static otr_code add(char ***list, const char *text, otr_err *err)
{
    size_t n = 0;
    while (*list != NULL && (*list)[n] != NULL) {
        if (strcmp((*list)[n++], text) == 0) {
            return OTR_OK;
        }
    }
    if (n >= OTR_LIMIT_APPLY_LOGS) {
        return otr_fail(err, OTR_EQUOTA, "there are more than %d error logs", OTR_LIMIT_APPLY_LOGS);
    }
    char *copy = otr_strdup(text);
    char **grown = copy != NULL ? otr_realloc(*list, (n + 2) * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        otr_free(copy);
        return otr_fail_nomem(err);
    }
    grown[n] = copy;
    grown[n + 1] = NULL;
    *list = grown;
    return OTR_OK;
}

static bool is_file(const char *path)
{
    static const char *const others[] = { "syslog:", "memory:", "/dev/", "/proc/" };
    for (size_t i = 0; i < OTR_COUNT(others); i++) {
        if (strncmp(path, others[i], strlen(others[i])) == 0) {
            return strcmp(path, "/dev/null") == 0;
        }
    }
    return strcmp(path, "stderr") != 0;
}

static otr_code add_log(scan *s, const char *path, otr_err *err)
{
    if (path[0] == '\0' || strcmp(path, "/dev/null") == 0) {
        return path[0] == '\0' ? OTR_OK : add(&s->to->others, path, err);
    }
    if (!is_file(path)) {
        return add(&s->to->others, path, err);
    }
    otr_buf full;
    otr_buf_init(&full, OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(s->spec->prefix, path, &full, err);
    rc = rc == OTR_OK ? add(&s->to->files, otr_buf_text(&full), err) : rc;
    otr_buf_deinit(&full);
    return rc;
}

static otr_code enter(void *arg, const otr_directive *d, otr_err *err)
{
    scan *s = arg;
    otr_code rc = OTR_OK;
    if (d->n_args > 0 && strcmp(d->name, "error_log") == 0) {
        s->main_log |= s->depth == 0;
        rc = add_log(s, d->args[0], err);
    }
    s->depth += d->block;
    return rc;
}

static void leave(void *arg)
{
    ((scan *)arg)->depth--;
}

static otr_code unseen(void *arg, const otr_unseen *what, otr_err *err)
{
    const scan *s = arg;
    (void)err;
    otr_seal_doubt(s->to->seal, what->why->msg); /* the rest `nginx -t` and the reload say better */
    return OTR_OK;
}

static otr_code visit(void *arg, const char *path, const struct stat *st, const otr_bytes *text,
                      otr_err *err)
{
    const scan *s = arg;
    otr_code rc = otr_seal_add(s->to->seal, path, st, text, err);
    return rc == OTR_OK && text != NULL
               ? otr_paths_add(&s->to->read, path, OTR_LIMIT_NGINX_CONFIG_FILES, err)
               : rc;
}

/* A NULL behind the last, which is not counted. */
static otr_code end_list(otr_paths *paths, otr_err *err)
{
    otr_code rc = otr_grow(&paths->items, paths->n, &paths->cap, sizeof(*paths->items), err);
    if (rc == OTR_OK) {
        paths->items[paths->n] = NULL;
    }
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A file may be included many times. */
static otr_code make_unique(otr_paths *paths, otr_err *err)
{
    otr_paths once = { 0 };
    otr_code rc = OTR_OK;
    if (paths->n > 1) {
        qsort(paths->items, paths->n, sizeof(*paths->items), by_path);
    }
    for (size_t i = 0; rc == OTR_OK && i < paths->n; i++) {
        if (i == 0 || strcmp(paths->items[i], paths->items[i - 1]) != 0) {
            rc = otr_paths_add(&once, paths->items[i], paths->n, err);
        }
    }
    rc = rc == OTR_OK && once.n > 0 ? end_list(&once, err) : rc;
    if (rc == OTR_OK) {
        otr_paths_deinit(paths);
        *paths = once;
    } else {
        otr_paths_deinit(&once);
    }
    return rc;
}

otr_code otr_error_logs_collect(const otr_error_logs_spec *spec, otr_error_logs *to, otr_err *err)
{
    scan s = { .spec = spec, .to = to };
    otr_visitor visitor = {
        .enter = enter, .leave = leave, .unseen = unseen, .visit = visit, .arg = &s
    };
    otr_err why = { 0 };
    otr_seal *seal = NULL;
    otr_code rc = otr_seal_new(spec->config, &seal, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_seal_free(to->seal);
    to->seal = seal;
    rc = otr_nginx_walk_text(otr_bytes_of(spec->global), "-g", &visitor, &why);
    if (rc != OTR_ENOMEM && rc != OTR_EQUOTA) {
        s.depth = 0;
        rc = otr_nginx_walk(spec->root, spec->config, &visitor, NULL, &why);
    }
    if (rc != OTR_OK) {
        otr_seal_doubt(seal, why.msg);
    }
    if (rc != OTR_ENOMEM && rc != OTR_EQUOTA && (!s.main_log || rc != OTR_OK)) {
        rc = add_log(&s, spec->otherwise, &why);
    }
    if (rc == OTR_ENOMEM || rc == OTR_EQUOTA) {
        return otr_fail(err, rc, "%s", why.msg);
    }
    return make_unique(&to->read, err);
}

void otr_error_logs_deinit(otr_error_logs *logs)
{
    otr_texts_free(logs->files);
    otr_texts_free(logs->others);
    otr_paths_deinit(&logs->read);
    otr_seal_free(logs->seal);
    *logs = (otr_error_logs){ 0 };
}
