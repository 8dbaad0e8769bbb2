#include "plugin/guest/engines.h"

#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

/* Where the engine of this name is, or will be. */
static size_t slot_of(const otr_guest_engines *e, const char *name)
{
    size_t i = 0;
    while (i < OTR_GUEST_ENGINES - 1 && e->items[i] != NULL &&
           strcmp(e->items[i]->ops->name, name) != 0) {
        i++;
    }
    return i;
}

otr_engine *otr_guest_engine(const otr_guest_engines *e, const otr_manifest *m)
{
    return e->items[slot_of(e, m->engine)];
}

static otr_code open_compiler(otr_guest_engines *e, const char *program,
                              const otr_manifest_set *set, otr_err *err)
{
    if (program == NULL || set->cache_dir == NULL || set->n == 0) {
        return OTR_OK;
    }
    if (e->compiler != NULL) {
        otr_plugin_compiler_limit(e->compiler, set->compile_ns);
        return OTR_OK;
    }
    otr_plugin_compiler_spec spec = { program, set->cache_dir, set->compile_ns };
    return otr_plugin_compiler_new(&spec, &e->compiler, err);
}

static otr_code open_engine(otr_guest_engines *e, const char *name, const char *cache_dir,
                            otr_err *err)
{
    otr_engine **engine = &e->items[slot_of(e, name)];
    if (*engine != NULL) {
        return OTR_OK;
    }
    otr_code rc = otr_engine_find(name)->open(cache_dir, engine, err);
    if (rc != OTR_OK) {
        return rc;
    }
    if (e->compiler != NULL) {
        (*engine)->compiler = otr_plugin_compiler_base(e->compiler);
    }
    if ((*engine)->cache_problem != NULL) {
        otr_log_warn("compiled plugins are not cached", "engine", name, "err",
                     (*engine)->cache_problem);
    }
    return OTR_OK;
}

otr_code otr_guest_engines_open(otr_guest_engines *e, const char *program,
                                const otr_manifest_set *set, otr_err *err)
{
    otr_code rc = OTR_OK;
    if (!e->opened && set->n > 0 && set->cache_dir != NULL &&
        (e->cache_dir = otr_strdup(set->cache_dir)) == NULL) {
        return otr_fail_nomem(err);
    }
    e->opened = e->opened || set->n > 0;
    rc = open_compiler(e, program, set, err);
    for (size_t i = 0; rc == OTR_OK && i < set->n; i++) {
        rc = open_engine(e, set->items[i]->engine, e->cache_dir, err);
    }
    return rc;
}

bool otr_guest_engines_cached_in(const otr_guest_engines *e, const char *dir)
{
    return !e->opened || (e->cache_dir == NULL || dir == NULL ? e->cache_dir == dir
                                                              : strcmp(e->cache_dir, dir) == 0);
}

void otr_guest_engines_end(otr_guest_engines *e)
{
    if (e->compiler != NULL) {
        otr_plugin_compiler_stop(e->compiler);
    }
}

void otr_guest_engines_close(otr_guest_engines *e)
{
    for (size_t i = 0; i < OTR_GUEST_ENGINES; i++) {
        if (e->items[i] != NULL) {
            e->items[i]->ops->close(e->items[i]);
        }
    }
    otr_plugin_compiler_free(e->compiler);
    otr_free(e->cache_dir);
}
