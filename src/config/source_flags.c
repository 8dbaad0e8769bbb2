#include "config/scalar.h"
#include "config/settings.h"

enum { MOST_KEYS = 512 };

/* The flag's name with '-' for every separator; false when it is too long to be one. */
static bool normalize(const char *name, size_t n, char out[OTR_KEY_NAME_BYTES])
{
    if (n >= OTR_KEY_NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = name[i];
        if (name[i] == '_' || name[i] == '.') {
            out[i] = '-';
        }
    }
    out[n] = '\0';
    return true;
}

static bool is_flag(const otr_key *key)
{
    return !(key->flags & OTR_KEY_NO_FLAG) && key->type != OTR_KEY_TREE;
}

static otr_setting *find_by_flag(const otr_config *cfg, const char *name)
{
    for (size_t i = 0; i < cfg->n; i++) {
        char own[OTR_KEY_NAME_BYTES];
        if (is_flag(cfg->settings[i].key) &&
            strcmp(otr_key_flag(cfg->settings[i].key, own), name) == 0) {
            return &cfg->settings[i];
        }
    }
    return NULL;
}

static otr_code unknown_flag(otr_config *cfg, const char *name, otr_err *err)
{
    const char *names[MOST_KEYS + 1];
    size_t n = 0;
    for (size_t i = 0; i < cfg->n && n < MOST_KEYS; i++) {
        const otr_key *key = cfg->settings[i].key;
        if (is_flag(key) && !(key->flags & OTR_KEY_HIDDEN)) {
            char own[OTR_KEY_NAME_BYTES];
            names[n] = otr_arena_strdup(&cfg->arena, otr_key_flag(key, own));
            if (names[n++] == NULL) {
                return otr_fail_nomem(err);
            }
        }
    }
    names[n] = NULL;
    char show[OTR_SCALAR_SHOW_BYTES];
    const char *near = otr_nearest(name, names);
    (void)otr_scalar_show(name, show);
    return near != NULL
               ? otr_fail(err, OTR_EINVAL, "unknown flag --%s, did you mean --%s?", show, near)
               : otr_fail(err, OTR_EINVAL, "unknown flag --%s", show);
}

/* Takes argv[0] and, where the value stands apart, argv[1]; `*used` says how many. */
static otr_code take(otr_config *cfg, int argc, char *const *argv, int *used, otr_err *err)
{
    char show[OTR_SCALAR_SHOW_BYTES];
    const char *arg = argv[0];
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
        return otr_fail(err, OTR_EINVAL, "unexpected argument \"%s\": flags begin with \"--\"",
                        otr_scalar_show(arg, show));
    }
    const char *name = arg + 2;
    size_t n = strcspn(name, "=");
    char wanted[OTR_KEY_NAME_BYTES];
    otr_setting *s = normalize(name, n, wanted) ? find_by_flag(cfg, wanted) : NULL;
    if (s == NULL) {
        return unknown_flag(cfg, n < OTR_KEY_NAME_BYTES ? wanted : name, err);
    }
    const char *value = name[n] == '=' ? name + n + 1 : NULL;
    *used = 1;
    if (value == NULL && s->key->type == OTR_KEY_BOOL) {
        value = "true";
    } else if (value == NULL && argc > 1) {
        value = argv[1];
        *used = 2;
    } else if (value == NULL) {
        return otr_fail(err, OTR_EINVAL, "flag --%s needs a value", wanted);
    }
    char from[OTR_KEY_NAME_BYTES + 2] = "--";
    memcpy(from + 2, wanted, strlen(wanted) + 1);
    otr_place place = { OTR_FROM_FLAG, from };
    return otr_setting_take_text(cfg, s, &place, value, err);
}

otr_code otr_source_flags(otr_config *cfg, int argc, char *const *argv, otr_err *err)
{
    for (int i = 0; i < argc;) {
        int used = 0;
        otr_code rc = take(cfg, argc - i, argv + i, &used, err);
        if (rc != OTR_OK) {
            return rc;
        }
        i += used;
    }
    return OTR_OK;
}
