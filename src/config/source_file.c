#include <stdio.h>

#include "base/limits.h"
#include "config/scalar.h"
#include "config/settings.h"
#include "config/yaml.h"

enum { MOST_SIBLINGS = 256 };

/* What happens to a key that no table has. */
typedef enum strictness { UNKNOWN_IS_ERROR, UNKNOWN_IS_KEPT } strictness;

typedef struct walk {
    otr_config *cfg;
    otr_err *err;
    char path[OTR_KEY_NAME_BYTES]; /* of the map being read; "" at the top */
} walk;

/* The names that may stand where `word` does, and the nearest of them. */
static const char *nearest_sibling(const walk *w, size_t prefix_n, const char *word)
{
    const char *names[MOST_SIBLINGS + 1];
    size_t n = 0;
    for (size_t i = 0; i < w->cfg->n && n < MOST_SIBLINGS; i++) {
        const otr_key *key = w->cfg->settings[i].key;
        if ((key->flags & (OTR_KEY_NO_YAML | OTR_KEY_HIDDEN)) ||
            strncmp(key->path, w->path, prefix_n) != 0) {
            continue;
        }
        const char *name = key->path + prefix_n;
        names[n] = otr_arena_strndup(&w->cfg->arena, name, strcspn(name, "."));
        if (names[n++] == NULL) {
            return NULL;
        }
    }
    names[n] = NULL;
    return otr_nearest(word, names);
}

static otr_code unknown_key(walk *w, size_t prefix_n, const otr_node *key)
{
    char show[OTR_SCALAR_SHOW_BYTES];
    (void)otr_scalar_show(key->text, show);
    int n = (int)prefix_n;
    const char *dot = strchr(key->text, '.');
    if (dot != NULL) {
        return otr_node_fail(key, w->err,
                             "unknown key \"%.*s%s\"; a dot does not separate keys here: write "
                             "\"%.*s:\" and the rest indented below it",
                             n, w->path, show, (int)(dot - key->text < 40 ? dot - key->text : 40),
                             show);
    }
    const char *near = nearest_sibling(w, prefix_n, key->text);
    if (near == NULL) {
        return otr_node_fail(key, w->err, "unknown key \"%.*s%s\"", n, w->path, show);
    }
    return otr_node_fail(key, w->err, "unknown key \"%.*s%s\", did you mean \"%.*s%s\"?", n,
                         w->path, show, n, w->path, near);
}

static otr_code read_map(walk *w, const otr_node *map, strictness mode);

/* One member whose full path is in w->path; `prefix_n` bytes of it are its parents'. */
static otr_code read_member(walk *w, size_t prefix_n, const otr_member *m, strictness mode)
{
    otr_setting *s = otr_settings_find(w->cfg, w->path);
    bool known = s != NULL && !(s->key->flags & OTR_KEY_NO_YAML);
    if (known) {
        otr_code rc = otr_setting_take_node(w->cfg, s, m->value, w->err);
        if (rc != OTR_OK || !(s->key->flags & OTR_KEY_PREFIX)) {
            return rc;
        }
        mode = UNKNOWN_IS_KEPT;
    } else if (!otr_settings_is_section(w->cfg, w->path)) {
        return mode == UNKNOWN_IS_KEPT ? OTR_OK : unknown_key(w, prefix_n, m->key);
    }
    if (m->value->kind == OTR_NODE_MAP) {
        return read_map(w, m->value, mode);
    }
    return mode == UNKNOWN_IS_KEPT || otr_node_is_null(m->value)
               ? OTR_OK
               : otr_node_expected(m->value, w->err, "a map of keys");
}

/* Recursion is bounded by OTR_LIMIT_CONFIG_DEPTH. */
static otr_code read_map(walk *w, const otr_node *map, strictness mode)
{
    size_t own_n = strlen(w->path);
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < map->n && rc == OTR_OK; i++) {
        const otr_member *m = &map->members[i];
        int n = snprintf(w->path + own_n, sizeof(w->path) - own_n, "%s%s", own_n > 0 ? "." : "",
                         m->key->text);
        size_t prefix_n = own_n + (own_n > 0);
        bool fits = n >= 0 && (size_t)n < sizeof(w->path) - own_n;
        if (!fits || strchr(m->key->text, '.') != NULL || m->key->text[0] == '\0') {
            rc = mode == UNKNOWN_IS_KEPT ? OTR_OK : unknown_key(w, prefix_n, m->key);
        } else {
            rc = read_member(w, prefix_n, m, mode);
        }
        w->path[own_n] = '\0';
    }
    return rc;
}

otr_code otr_source_file(otr_config *cfg, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, OTR_LIMIT_CONFIG_BYTES);
    const otr_node *root = NULL;
    otr_code rc = otr_buf_read_file(&text, cfg->file, err);
    if (rc == OTR_OK) {
        rc = otr_yaml_parse(otr_buf_bytes(&text), cfg->file, &cfg->arena, &root, err);
    }
    otr_buf_deinit(&text);
    if (rc != OTR_OK) {
        return rc;
    }
    walk w = { .cfg = cfg, .err = err };
    return read_map(&w, root, UNKNOWN_IS_ERROR);
}
