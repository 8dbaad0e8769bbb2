#include "nginx/drift/places.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { LINKS_MOST = 40 };

void otr_places_deinit(otr_places *places)
{
    for (size_t i = 0; i < places->n; i++) {
        otr_free(places->items[i].folder);
        otr_free(places->items[i].name);
    }
    otr_free(places->items);
    *places = (otr_places){ 0 };
}

static otr_code add(otr_places *p, const char *folder, otr_bytes name, bool pattern, otr_err *err)
{
    if (p->n >= 4U * OTR_LIMIT_DRIFT_FILES) {
        return OTR_OK; /* the slow look sees the rest */
    }
    otr_code rc = otr_grow(&p->items, p->n, &p->cap, sizeof(*p->items), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_place *o = &p->items[p->n];
    *o = (otr_place){ .folder = otr_strdup(folder[0] != '\0' ? folder : "/"),
                      .name = otr_strndup((const char *)name.p, name.n),
                      .pattern = pattern };
    if (o->folder == NULL || o->name == NULL) {
        otr_free(o->folder);
        otr_free(o->name);
        return otr_fail_nomem(err);
    }
    p->n++;
    return OTR_OK;
}

typedef struct tracer {
    const otr_root *root;
    otr_places *out;
    char done[OTR_NGINX_PATH_BYTES]; /* without links; "" is the root folder */
    char left[2 * OTR_NGINX_PATH_BYTES];
    unsigned links;
} tracer;

typedef enum step_end { GO_ON, STOP } step_end;

/* The link's target goes in front of what is left. */
static step_end follow(tracer *t, int fd, const char *rest)
{
    char target[OTR_NGINX_PATH_BYTES];
    char left[2 * OTR_NGINX_PATH_BYTES];
    ssize_t n = readlinkat(fd, "", target, sizeof(target) - 1);
    if (n <= 0 || ++t->links > LINKS_MOST) {
        return STOP;
    }
    target[n] = '\0';
    int made = snprintf(left, sizeof(left), "%s%s%s", target, rest[0] != '\0' ? "/" : "", rest);
    if (made < 0 || (size_t)made >= sizeof(left)) {
        return STOP;
    }
    memcpy(t->left, left, (size_t)made + 1);
    if (target[0] == '/') {
        t->done[0] = '\0';
    }
    return GO_ON;
}

/* "/name" behind what is done; false: too long. */
static bool append(tracer *t, otr_bytes name)
{
    size_t n = strlen(t->done);
    if (n + name.n + 2 > sizeof(t->done)) {
        return false;
    }
    t->done[n] = '/';
    memcpy(t->done + n + 1, name.p, name.n);
    t->done[n + 1 + name.n] = '\0';
    return true;
}

static void drop_last(tracer *t)
{
    char *slash = strrchr(t->done, '/');
    t->done[slash != NULL ? (size_t)(slash - t->done) : 0] = '\0';
}

/* One part of the path. What is outside of the allowed folders counts as plain: whether it is may
 * not be looked at, and the kernel follows it. */
static otr_code step(tracer *t, otr_bytes name, const char *rest, step_end *ret, otr_err *err)
{
    char folder[OTR_NGINX_PATH_BYTES];
    struct stat st = { 0 };
    int fd = -1;
    memcpy(folder, t->done, sizeof(folder));
    *ret = STOP;
    if (!append(t, name)) {
        return OTR_OK;
    }
    otr_code rc = otr_root_open(t->root, t->done, O_PATH | O_NOFOLLOW, &fd, NULL);
    if (rc == OTR_ENOMEM) {
        return otr_fail_nomem(err);
    }
    if (rc == OTR_OK && fstat(fd, &st) != 0) {
        st = (struct stat){ 0 };
    }
    bool link = S_ISLNK(st.st_mode);
    bool gone = rc != OTR_OK && rc != OTR_EDENIED;
    if (link || gone || rest[0] == '\0') {
        otr_code added = add(t->out, folder, name, false, err);
        *ret = added == OTR_OK && link ? follow(t, fd, rest) : STOP;
        if (link && t->done[0] != '\0') {
            drop_last(t);
        }
        rc = added;
    } else {
        *ret = GO_ON;
        rc = OTR_OK;
    }
    if (fd >= 0) {
        close(fd);
    }
    return rc;
}

static otr_code trace(tracer *t, otr_err *err)
{
    step_end end = GO_ON;
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && end == GO_ON) {
        char part[OTR_NGINX_PATH_BYTES];
        const char *at = t->left + strspn(t->left, "/");
        size_t n = strcspn(at, "/");
        if (n == 0 || n >= sizeof(part)) {
            break;
        }
        memcpy(part, at, n);
        part[n] = '\0';
        at += n + strspn(at + n, "/");
        memmove(t->left, at, strlen(at) + 1);
        if (strcmp(part, "..") == 0) {
            drop_last(t);
        } else if (strcmp(part, ".") != 0) {
            char rest[2 * OTR_NGINX_PATH_BYTES];
            memcpy(rest, t->left, strlen(t->left) + 1);
            rc = step(t, otr_bytes_of(part), rest, &end, err);
        }
    }
    return rc;
}

static otr_code trace_path(const otr_root *root, const char *path, otr_places *ret, char *done,
                           otr_err *err)
{
    tracer *t = otr_zalloc(sizeof(*t));
    if (t == NULL) {
        return otr_fail_nomem(err);
    }
    t->root = root;
    t->out = ret;
    (void)snprintf(t->left, sizeof(t->left), "%s", path);
    otr_code rc = trace(t, err);
    if (done != NULL) {
        memcpy(done, t->done, sizeof(t->done));
    }
    otr_free(t);
    return rc;
}

otr_code otr_places_trace(const otr_root *root, const char *path, otr_places *ret, otr_err *err)
{
    return trace_path(root, path, ret, NULL, err);
}

/* ---- patterns ---- */

/* The folder that a pattern looks through first, and what may appear in it. */
static otr_code trace_pattern(const otr_root *root, const char *pattern, otr_places *ret,
                              otr_err *err)
{
    char plain[OTR_NGINX_PATH_BYTES];
    char done[OTR_NGINX_PATH_BYTES] = "";
    const char *wild = pattern + strcspn(pattern, "*?[");
    while (wild > pattern && wild[-1] != '/') {
        wild--;
    }
    size_t n = (size_t)(wild - pattern);
    if (n >= sizeof(plain) || strlen(pattern) >= sizeof(plain)) {
        return OTR_OK;
    }
    memcpy(plain, pattern, n);
    plain[n] = '\0';
    while (n > 1 && plain[n - 1] == '/') {
        plain[--n] = '\0';
    }
    otr_code rc = trace_path(root, plain, ret, done, err);
    return rc == OTR_OK
               ? add(ret, done, (otr_bytes){ (const uint8_t *)wild, strcspn(wild, "/") }, true, err)
               : rc;
}

static int by_place(const void *a, const void *b)
{
    const otr_place *x = a;
    const otr_place *y = b;
    int order = strcmp(x->folder, y->folder);
    order = order != 0 ? order : (x->pattern > y->pattern) - (x->pattern < y->pattern);
    return order != 0 ? order : strcmp(x->name, y->name);
}

static void sort(otr_places *p)
{
    size_t kept = 0;
    if (p->n > 0) {
        qsort(p->items, p->n, sizeof(*p->items), by_place);
    }
    for (size_t i = 0; i < p->n; i++) {
        if (kept > 0 && by_place(&p->items[kept - 1], &p->items[i]) == 0) {
            otr_free(p->items[i].folder);
            otr_free(p->items[i].name);
        } else {
            p->items[kept++] = p->items[i];
        }
    }
    p->n = kept;
}

/* Files of one folder lead through the same places: only the last part is new. */
static otr_code trace_shot(const otr_root *root, const char *path, char folder[], char done[],
                           otr_places *ret, otr_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash != NULL ? (size_t)(slash - path) : 0;
    bool known = folder[0] != '\0' && strncmp(folder, path, n) == 0 && folder[n] == '\0';
    tracer *t = otr_zalloc(sizeof(*t));
    if (t == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = OTR_OK;
    t->root = root;
    t->out = ret;
    if (!known && n > 0 && n < OTR_NGINX_PATH_BYTES) {
        memcpy(folder, path, n);
        folder[n] = '\0';
        rc = trace_path(root, folder, ret, done, err);
    } else if (n == 0) {
        folder[0] = '\0';
        done[0] = '\0';
    }
    memcpy(t->done, done, sizeof(t->done));
    (void)snprintf(t->left, sizeof(t->left), "%s", slash != NULL ? slash : path);
    rc = rc == OTR_OK ? trace(t, err) : rc;
    otr_free(t);
    return rc;
}

otr_code otr_places_of(const otr_root *root, const otr_picture *picture, otr_places *ret,
                       otr_err *err)
{
    otr_places all = { 0 };
    char folder[OTR_NGINX_PATH_BYTES] = "";
    char done[OTR_NGINX_PATH_BYTES] = "";
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < picture->n; i++) {
        rc = trace_shot(root, picture->shots[i].path, folder, done, &all, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < picture->patterns.n; i++) {
        if (otr_is_glob(picture->patterns.items[i])) {
            rc = trace_pattern(root, picture->patterns.items[i], &all, err);
        }
    }
    if (rc != OTR_OK) {
        otr_places_deinit(&all);
        return rc;
    }
    sort(&all);
    *ret = all;
    return OTR_OK;
}
