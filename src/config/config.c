#include "config/config.h"

#include <assert.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/settings.h"

enum { PATH_BYTES = 4096 };

static void config_free(otr_config *cfg)
{
    otr_arena_deinit(&cfg->arena);
    otr_free(cfg);
}

otr_code otr_config_find(otr_buf *ret_path, otr_err *err)
{
    static const char *const paths[] = { "/etc/nginx-agent/nginx-agent.conf",
                                         "./nginx-agent.conf" };
    for (size_t i = 0; i < OTR_COUNT(paths); i++) {
        if (access(paths[i], F_OK) == 0) {
            return otr_buf_adds(ret_path, paths[i], err);
        }
    }
    return otr_fail(err, OTR_ENOTFOUND, "no configuration file: neither %s nor %s exists", paths[0],
                    paths[1]);
}

static otr_code choose_file(otr_config *cfg, const char *file, otr_err *err)
{
    otr_buf path;
    otr_buf_init(&path, PATH_BYTES);
    otr_code rc = file != NULL ? otr_buf_adds(&path, file, err) : otr_config_find(&path, err);
    if (rc == OTR_OK) {
        cfg->file = otr_arena_strdup(&cfg->arena, otr_buf_text(&path));
        rc = cfg->file != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&path);
    return rc;
}

static otr_code read_sources(otr_config *cfg, const otr_config_source *source, otr_err *err)
{
    otr_code rc = otr_settings_init(cfg, source->tables, err);
    if (rc == OTR_OK) {
        rc = choose_file(cfg, source->file, err);
    }
    if (rc == OTR_OK && cfg->file[0] != '\0') {
        rc = otr_source_file(cfg, err);
    }
    if (rc == OTR_OK && source->env != NULL) {
        rc = otr_source_env(cfg, source->env, err);
    }
    if (rc == OTR_OK) {
        rc = otr_source_flags(cfg, source->argc, source->argv, err);
    }
    return rc == OTR_OK ? otr_settings_finish(cfg, err) : rc;
}

otr_code otr_config_load(const otr_config_source *source, otr_config **ret, otr_err *err)
{
    otr_config *cfg = otr_zalloc(sizeof(*cfg));
    if (cfg == NULL) {
        return otr_fail_nomem(err);
    }
    atomic_init(&cfg->refs, 1);
    otr_code rc = read_sources(cfg, source, err);
    if (rc != OTR_OK) {
        config_free(cfg);
        return rc;
    }
    *ret = cfg;
    return OTR_OK;
}

otr_config *otr_config_ref(otr_config *cfg)
{
    atomic_fetch_add_explicit(&cfg->refs, 1, memory_order_relaxed);
    return cfg;
}

void otr_config_unref(otr_config *cfg)
{
    if (cfg != NULL && atomic_fetch_sub_explicit(&cfg->refs, 1, memory_order_acq_rel) == 1) {
        config_free(cfg);
    }
}

static const otr_setting *get(const otr_config *cfg, const char *path, otr_key_type type)
{
    static const char *const none[] = { NULL };
    static const otr_setting empty = { .from = "", .text = "" };
    static const otr_setting empty_list = { .from = "", .text = "", .list = none };
    const otr_setting *s = otr_settings_find(cfg, path);
    if (s != NULL && s->key->type == type) {
        return s;
    }
    assert(!"the path of an option that exists, with its type");
    return type == OTR_KEY_STRINGS || type == OTR_KEY_LABELS ? &empty_list : &empty;
}

bool otr_config_bool(const otr_config *cfg, const char *path)
{
    return get(cfg, path, OTR_KEY_BOOL)->yes;
}

int64_t otr_config_int(const otr_config *cfg, const char *path)
{
    return get(cfg, path, OTR_KEY_INT)->whole;
}

double otr_config_float(const otr_config *cfg, const char *path)
{
    return get(cfg, path, OTR_KEY_FLOAT)->number;
}

uint64_t otr_config_duration_ns(const otr_config *cfg, const char *path)
{
    return get(cfg, path, OTR_KEY_DURATION)->ns;
}

const char *otr_config_str(const otr_config *cfg, const char *path)
{
    return get(cfg, path, OTR_KEY_STRING)->text;
}

const char *const *otr_config_strings(const otr_config *cfg, const char *path)
{
    return get(cfg, path, OTR_KEY_STRINGS)->list;
}

const char *const *otr_config_labels(const otr_config *cfg, const char *path)
{
    return get(cfg, path, OTR_KEY_LABELS)->list;
}

const otr_node *otr_config_tree(const otr_config *cfg, const char *path)
{
    return get(cfg, path, OTR_KEY_TREE)->tree;
}

otr_origin otr_config_origin(const otr_config *cfg, const char *path)
{
    const otr_setting *s = otr_settings_find(cfg, path);
    assert(s != NULL);
    return s != NULL ? s->origin : OTR_FROM_DEFAULT;
}

const char *otr_config_file(const otr_config *cfg)
{
    return cfg->file;
}

bool otr_config_feature(const otr_config *cfg, const char *name)
{
    for (const char *const *f = otr_config_strings(cfg, "features"); *f != NULL; f++) {
        if (strcmp(*f, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *const *otr_config_warnings(const otr_config *cfg)
{
    static const char *const none[] = { NULL };
    return cfg->warnings != NULL ? (const char *const *)cfg->warnings : none;
}
