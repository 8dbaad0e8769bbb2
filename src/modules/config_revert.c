/* POST /api/v1/config/rollback?revert=1[&path=…]: what drifted is put back to the version in force.
 */
#include "base/alloc.h"
#include "base/texts.h"
#include "modules/config.h"
#include "nginx/drift/drift.h"

enum { NAMES_MOST = 1000 };

typedef struct names {
    char **items; /* ends with NULL */
    size_t n;
    otr_code rc;
    otr_err *err;
} names;

static bool add(void *arg, const char *value)
{
    names *l = arg;
    char **grown = l->n < NAMES_MOST ? otr_realloc(l->items, (l->n + 2) * sizeof(*grown)) : NULL;
    if (grown == NULL) {
        l->rc = l->n < NAMES_MOST ? otr_fail_nomem(l->err)
                                  : otr_fail(l->err, OTR_EQUOTA, "more than %d paths", NAMES_MOST);
        return false;
    }
    l->items = grown;
    grown[l->n] = otr_strdup(value);
    grown[l->n + 1] = NULL;
    l->rc = grown[l->n] != NULL ? OTR_OK : otr_fail_nomem(l->err);
    l->n++;
    return l->rc == OTR_OK;
}

static bool has_drifted(const otr_drift_report *report, const char *path)
{
    for (size_t i = 0; i < report->n; i++) {
        if (strcmp(report->files[i].path, path) == 0) {
            return true;
        }
    }
    return report->more > 0;
}

/* A path that did not drift is a mistake; one that was added is to be deleted; without any, all
 * that drifted are meant. */
static otr_code sort_out(const otr_drift_report *report, names *only, names *added, otr_err *err)
{
    for (size_t i = 0; i < only->n; i++) {
        if (!has_drifted(report, only->items[i])) {
            return otr_fail(err, OTR_ENOTFOUND, "%s has not drifted: see `outrider config diff`",
                            only->items[i]);
        }
    }
    if (report->more > 0) {
        return otr_fail(err, OTR_EQUOTA,
                        "%zu files have drifted, which is more than are put back at once: see "
                        "`outrider config rollback`",
                        report->n + report->more);
    }
    bool all = only->n == 0;
    for (size_t i = 0; added->rc == OTR_OK && only->rc == OTR_OK && i < report->n; i++) {
        const char *path = report->files[i].path;
        bool asked = all || otr_texts_have(only->items, path);
        if (asked && report->files[i].kind == OTR_DRIFT_ADDED) {
            (void)add(added, path);
        }
        if (all) {
            (void)add(only, path);
        }
    }
    return added->rc == OTR_OK ? only->rc : added->rc;
}

otr_code otr_config_revert(const otr_services *services, const char *instance,
                           const otr_http_request *req, char ***ret_only, char ***ret_added,
                           otr_err *err)
{
    const otr_drift_report *report = otr_drift_get(services->drift, instance);
    names only = { .err = err };
    names added = { .err = err };
    if (report == NULL || !report->known) {
        return otr_fail(err, OTR_ESTATE, "its files are not watched: see `outrider status`");
    }
    if (report->n == 0) {
        return otr_fail(err, OTR_ESTATE, "none of its files has drifted: nothing to revert");
    }
    otr_http_query_each(req, "path", add, &only);
    otr_code rc = only.rc == OTR_OK ? sort_out(report, &only, &added, err) : only.rc;
    if (rc != OTR_OK) {
        otr_texts_free(only.items);
        otr_texts_free(added.items);
        return rc;
    }
    *ret_only = only.items;
    *ret_added = added.items;
    return OTR_OK;
}

/* A file that is written to has all its names written to. */
static bool is_part(const otr_drift_report *report, char *const *paths, const otr_drift_file *f)
{
    bool part = otr_texts_have(paths, f->path);
    for (size_t i = 0; !part && i < report->n; i++) {
        const otr_drift_file *other = &report->files[i];
        part = otr_drift_file_is_alias(f, other) && otr_texts_have(paths, other->path);
    }
    return part;
}

otr_code otr_config_beside(const otr_services *services, const char *instance, char *const *paths,
                           char ***ret, otr_err *err)
{
    const otr_drift_report *report = otr_drift_get(services->drift, instance);
    names beside = { .err = err };
    for (size_t i = 0; report != NULL && beside.rc == OTR_OK && i < report->n; i++) {
        const otr_drift_file *f = &report->files[i];
        if (!f->named && !is_part(report, paths, f)) {
            (void)add(&beside, f->path);
        }
    }
    if (beside.rc != OTR_OK) {
        otr_texts_free(beside.items);
        return beside.rc;
    }
    *ret = beside.items;
    return OTR_OK;
}
