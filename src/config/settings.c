#include "config/settings.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int by_path(const void *a, const void *b)
{
    return strcmp(((const otr_setting *)a)->key->path, ((const otr_setting *)b)->key->path);
}

static size_t count_rows(const otr_key *const *tables)
{
    size_t n = 0;
    for (; *tables != NULL; tables++) {
        for (const otr_key *key = *tables; key->type != OTR_KEY_END; key++) {
            n++;
        }
    }
    return n;
}

static const char *const no_strings[] = { NULL };

static otr_code set_default(otr_config *cfg, otr_setting *s, otr_err *err)
{
    bool is_list = s->key->type == OTR_KEY_STRINGS || s->key->type == OTR_KEY_LABELS;
    if (is_list) {
        s->list = no_strings;
    }
    if (s->key->def == NULL) {
        return OTR_OK;
    }
    otr_place place = { OTR_FROM_DEFAULT, "" };
    return otr_setting_take_text(cfg, s, &place, s->key->def, err);
}

otr_code otr_settings_init(otr_config *cfg, const otr_key *const *tables, otr_err *err)
{
    size_t n = count_rows(tables);
    cfg->settings = otr_arena_alloc(&cfg->arena, n, sizeof(*cfg->settings));
    if (cfg->settings == NULL) {
        return otr_fail_nomem(err);
    }
    for (; *tables != NULL; tables++) {
        for (const otr_key *key = *tables; key->type != OTR_KEY_END; key++) {
            cfg->settings[cfg->n++] = (otr_setting){ .key = key, .from = "", .text = "" };
        }
    }
    qsort(cfg->settings, n, sizeof(*cfg->settings), by_path);
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || by_path(&cfg->settings[i - 1], &cfg->settings[i]) != 0);
        otr_code rc = set_default(cfg, &cfg->settings[i], err);
        if (rc != OTR_OK) {
            return rc;
        }
    }
    return OTR_OK;
}

otr_setting *otr_settings_find(const otr_config *cfg, const char *path)
{
    const otr_key wanted = { .path = path };
    const otr_setting key = { .key = &wanted };
    return cfg->n > 0 ? bsearch(&key, cfg->settings, cfg->n, sizeof(key), by_path) : NULL;
}

bool otr_settings_is_section(const otr_config *cfg, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < cfg->n; i++) {
        const otr_key *key = cfg->settings[i].key;
        if (!(key->flags & OTR_KEY_NO_YAML) && strncmp(key->path, path, n) == 0 &&
            (key->path[n] == '.' || n == 0)) {
            return true;
        }
    }
    return false;
}

const char *otr_key_flag(const otr_key *key, char out[OTR_KEY_NAME_BYTES])
{
    size_t i = 0;
    for (; key->path[i] != '\0' && i < OTR_KEY_NAME_BYTES - 1; i++) {
        char c = key->path[i];
        out[i] = c == '.' || c == '_' ? '-' : c;
    }
    out[i] = '\0';
    return out;
}

static otr_code add_warning(otr_config *cfg, const char *text, otr_err *err)
{
    if (cfg->warnings_n + 1 >= cfg->warnings_cap) {
        size_t cap = cfg->warnings_cap > 0 ? cfg->warnings_cap * 2 : 8;
        const char **grown = otr_arena_alloc(&cfg->arena, cap, sizeof(*grown));
        if (grown == NULL) {
            return otr_fail_nomem(err);
        }
        for (size_t i = 0; i < cfg->warnings_n; i++) {
            grown[i] = cfg->warnings[i];
        }
        cfg->warnings = grown;
        cfg->warnings_cap = cap;
    }
    const char *copy = otr_arena_strdup(&cfg->arena, text);
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    cfg->warnings[cfg->warnings_n++] = copy;
    return OTR_OK;
}

otr_code otr_settings_warn(otr_config *cfg, otr_err *err, const char *format, ...)
{
    enum { MOST_WARNINGS = 100, SENTENCE_BYTES = 400 };
    if (cfg->warnings_n >= MOST_WARNINGS) {
        return OTR_OK;
    }
    char text[SENTENCE_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return add_warning(cfg, text, err);
}
