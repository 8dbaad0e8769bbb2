#include "config/scalar.h"
#include "config/settings.h"

enum { MOST_KEYS = 512 };

/* "LOG_LEVEL" for "log.level". */
static void env_name(const char *path, char out[OTR_KEY_NAME_BYTES])
{
    size_t i = 0;
    for (; path[i] != '\0' && i < OTR_KEY_NAME_BYTES - 1; i++) {
        char c = path[i];
        out[i] = c == '.' || c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    out[i] = '\0';
}

/* Our own section is called like our prefix: it is not said twice. */
static const char *path_behind(const otr_key *key, const char *prefix)
{
    static const char own[] = "outrider.";
    bool twice = strcmp(prefix, "OUTRIDER_") == 0 && strncmp(key->path, own, strlen(own)) == 0;
    return twice ? key->path + strlen(own) : key->path;
}

static otr_setting *find_by_env(const otr_config *cfg, const char *prefix, const char *name)
{
    for (size_t i = 0; i < cfg->n; i++) {
        char own[OTR_KEY_NAME_BYTES];
        env_name(path_behind(cfg->settings[i].key, prefix), own);
        if (strcmp(own, name) == 0) {
            return &cfg->settings[i];
        }
    }
    return NULL;
}

static otr_code warn_unknown(otr_config *cfg, const char *prefix, const char *name, otr_err *err)
{
    const char *names[MOST_KEYS + 1];
    size_t n = 0;
    for (size_t i = 0; i < cfg->n && n < MOST_KEYS; i++) {
        const otr_key *key = cfg->settings[i].key;
        if (key->type != OTR_KEY_TREE && !(key->flags & OTR_KEY_HIDDEN)) {
            char own[OTR_KEY_NAME_BYTES];
            env_name(path_behind(key, prefix), own);
            names[n] = otr_arena_strdup(&cfg->arena, own);
            if (names[n++] == NULL) {
                return otr_fail_nomem(err);
            }
        }
    }
    names[n] = NULL;
    char show[OTR_SCALAR_SHOW_BYTES];
    const char *near = otr_nearest(name, names);
    return otr_settings_warn(cfg, err, "unknown environment variable %s%s is ignored%s%s%s%s",
                             prefix, otr_scalar_show(name, show),
                             near != NULL ? ", did you mean " : "", near != NULL ? prefix : "",
                             near != NULL ? near : "", near != NULL ? "?" : "");
}

static otr_code take(otr_config *cfg, const char *prefix, const char *entry, otr_err *err)
{
    size_t prefix_n = strlen(prefix);
    const char *equals = strchr(entry, '=');
    if (strncmp(entry, prefix, prefix_n) != 0 || equals == NULL || equals[1] == '\0') {
        return OTR_OK; /* an empty variable is one that is not set: NGINX Agent's rule */
    }
    size_t n = (size_t)(equals - entry);
    const char *whole = otr_arena_strndup(&cfg->arena, entry, n);
    if (whole == NULL) {
        return otr_fail_nomem(err);
    }
    otr_setting *s = find_by_env(cfg, prefix, whole + prefix_n);
    if (s == NULL) {
        return warn_unknown(cfg, prefix, whole + prefix_n, err);
    }
    if (s->key->type == OTR_KEY_TREE) {
        return otr_settings_warn(
            cfg, err, "environment variable %s is ignored: %s is read from the file only", whole,
            s->key->path);
    }
    otr_place place = { OTR_FROM_ENV, whole };
    return otr_setting_take_text(cfg, s, &place, equals + 1, err);
}

otr_code otr_source_env(otr_config *cfg, const char *const *env, otr_err *err)
{
    static const char *const prefixes[] = { "NGINX_AGENT_", "OUTRIDER_" }; /* the later one wins */
    for (size_t p = 0; p < OTR_COUNT(prefixes); p++) {
        for (const char *const *entry = env; *entry != NULL; entry++) {
            otr_code rc = take(cfg, prefixes[p], *entry, err);
            if (rc != OTR_OK) {
                return rc;
            }
        }
    }
    return OTR_OK;
}
