#include "base/alloc.h"
#include "base/limits.h"
#include "net/http/internal.h"

otr_code otr_http_routes_new(otr_http_routes **ret, otr_err *err)
{
    *ret = otr_zalloc(sizeof(**ret));
    return *ret != NULL ? OTR_OK : otr_fail_nomem(err);
}

static void deinit_entry(otr_http_route_entry *e)
{
    otr_free(e->method);
    otr_free(e->path);
    if (e->upload != NULL) {
        otr_free((char *)(uintptr_t)e->upload->folder); /* a copy of our own */
        otr_free(e->upload);
    }
}

void otr_http_routes_free(otr_http_routes *routes)
{
    if (routes == NULL) {
        return;
    }
    for (size_t i = 0; i < routes->n; i++) {
        deinit_entry(&routes->entries[i]);
    }
    otr_free(routes->entries);
    otr_free(routes);
}

static otr_code make_room(otr_http_routes *routes, otr_err *err)
{
    if (routes->n == OTR_LIMIT_HTTP_ROUTES) {
        return otr_fail(err, OTR_EQUOTA, "there are %d HTTP routes already, the most there may be",
                        OTR_LIMIT_HTTP_ROUTES);
    }
    otr_code grew =
        otr_grow(&routes->entries, routes->n, &routes->cap, sizeof(*routes->entries), err);
    if (grew != OTR_OK) {
        return grew;
    }
    return OTR_OK;
}

static bool same_route(const otr_http_route_entry *a, const otr_http_route_entry *b)
{
    return a->star == b->star && strcmp(a->method, b->method) == 0 && strcmp(a->path, b->path) == 0;
}

static otr_code copy_upload(const otr_http_upload *upload, otr_http_upload **ret, otr_err *err)
{
    otr_http_upload *copy = otr_alloc(sizeof(*copy));
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    *copy = *upload;
    copy->folder = otr_strdup(upload->folder);
    *ret = copy; /* the entry has it from here on, complete or not */
    return copy->folder != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_code add_entry(otr_http_routes *routes, otr_http_route_entry *entry, const char *path,
                          otr_err *err)
{
    for (size_t i = 0; i < routes->n; i++) {
        if (same_route(&routes->entries[i], entry)) {
            return otr_fail(err, OTR_ESTATE, "the HTTP route %s %s is taken already", entry->method,
                            path);
        }
    }
    routes->entries[routes->n++] = *entry;
    return OTR_OK;
}

otr_code otr_http_route_upload(otr_http_routes *routes, const char *method, const char *path,
                               const otr_http_upload *upload, otr_http_fn *fn, void *arg,
                               otr_err *err)
{
    otr_code rc = make_room(routes, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t n = strlen(path);
    bool star = n > 0 && path[n - 1] == '*';
    otr_http_route_entry entry = { .star = star, .path_bytes = n - star, .fn = fn, .arg = arg };
    entry.method = otr_strdup(method);
    entry.path = otr_strndup(path, entry.path_bytes);
    if (entry.method == NULL || entry.path == NULL) {
        rc = otr_fail_nomem(err);
    }
    if (rc == OTR_OK && upload != NULL) {
        rc = copy_upload(upload, &entry.upload, err);
    }
    rc = rc == OTR_OK ? add_entry(routes, &entry, path, err) : rc;
    if (rc != OTR_OK) {
        deinit_entry(&entry);
    }
    return rc;
}

otr_code otr_http_route(otr_http_routes *routes, const char *method, const char *path,
                        otr_http_fn *fn, void *arg, otr_err *err)
{
    return otr_http_route_upload(routes, method, path, NULL, fn, arg, err);
}

void otr_http_unroute(otr_http_routes *routes, const void *arg)
{
    size_t kept = 0;
    for (size_t i = 0; i < routes->n; i++) {
        if (routes->entries[i].arg == arg) {
            deinit_entry(&routes->entries[i]);
        } else {
            routes->entries[kept++] = routes->entries[i];
        }
    }
    routes->n = kept;
}

static bool path_fits(const otr_http_route_entry *e, const char *path)
{
    return e->star ? strncmp(e->path, path, e->path_bytes) == 0 : strcmp(e->path, path) == 0;
}

/* An exact path beats a star, a longer star beats a shorter one. */
static bool is_better(const otr_http_route_entry *e, const otr_http_route_entry *best)
{
    return best == NULL || (best->star && (!e->star || e->path_bytes > best->path_bytes));
}

const otr_http_route_entry *otr_http_routes_find(const otr_http_routes *routes, const char *method,
                                                 const char *path)
{
    const otr_http_route_entry *best = NULL;
    for (size_t i = 0; i < routes->n; i++) {
        const otr_http_route_entry *e = &routes->entries[i];
        if (strcmp(e->method, method) == 0 && path_fits(e, path) && is_better(e, best)) {
            best = e;
        }
    }
    return best;
}

otr_code otr_http_routes_allow(const otr_http_routes *routes, const char *path, otr_buf *out,
                               otr_err *err)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };
    otr_code rc = OTR_OK;
    for (size_t i = 0; rc == OTR_OK && i < OTR_COUNT(methods); i++) {
        const char *by = strcmp(methods[i], "HEAD") == 0 ? "GET" : methods[i];
        if (otr_http_routes_find(routes, by, path) != NULL) {
            rc = otr_buf_addf(out, err, "%s%s", out->n > 0 ? ", " : "", methods[i]);
        }
    }
    return rc;
}
