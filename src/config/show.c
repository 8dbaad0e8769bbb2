#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "config/labels.h"
#include "config/node_json.h"
#include "config/settings.h"

static void write_value(const otr_setting *s, otr_jw *w, const char *key)
{
    bool given = s->key->type != OTR_KEY_TREE || s->tree != NULL;
    if (s->key->flags & OTR_KEY_SECRET) {
        bool empty = s->key->type == OTR_KEY_STRING && s->text[0] == '\0';
        otr_jw_str(w, key, !given ? NULL : empty ? "" : "***");
        return;
    }
    switch (s->key->type) {
    case OTR_KEY_BOOL:
        otr_jw_bool(w, key, s->yes);
        break;
    case OTR_KEY_INT:
        otr_jw_i64(w, key, s->whole);
        break;
    case OTR_KEY_FLOAT:
        otr_jw_f64(w, key, s->number);
        break;
    case OTR_KEY_STRINGS:
        otr_jw_arr(w, key);
        for (const char *const *p = s->list; *p != NULL; p++) {
            otr_jw_str(w, NULL, *p);
        }
        otr_jw_arr_end(w);
        break;
    case OTR_KEY_LABELS:
        otr_labels_write(s->list, w, key);
        break;
    case OTR_KEY_TREE:
        given ? otr_node_show(s->tree, w, key) : otr_jw_null(w, key);
        break;
    case OTR_KEY_END:
    case OTR_KEY_DURATION:
    case OTR_KEY_STRING:
        otr_jw_str(w, key, s->text);
        break;
    }
}

otr_code otr_config_dump(const otr_config *cfg, otr_buf *out, otr_err *err)
{
    static const char *const origins[] = { "default", "file", "env", "flag" };
    size_t start = out->n;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "file", cfg->file);
    otr_jw_arr(&w, "keys");
    for (size_t i = 0; i < cfg->n; i++) {
        const otr_setting *s = &cfg->settings[i];
        otr_jw_obj(&w, NULL);
        otr_jw_str(&w, "key", s->key->path);
        write_value(s, &w, "value");
        otr_jw_str(&w, "origin", origins[s->origin]);
        otr_jw_str(&w, "from", s->from);
        otr_jw_obj_end(&w);
    }
    otr_jw_arr_end(&w);
    otr_jw_arr(&w, "warnings");
    for (const char *const *p = otr_config_warnings(cfg); *p != NULL; p++) {
        otr_jw_str(&w, NULL, *p);
    }
    otr_jw_arr_end(&w);
    otr_jw_obj_end(&w);
    otr_code rc = otr_jw_end(&w);
    if (rc != OTR_OK) {
        otr_buf_cut(out, start);
    }
    return rc;
}

static const char *type_name(otr_key_type type)
{
    switch (type) {
    case OTR_KEY_INT:
        return " int";
    case OTR_KEY_FLOAT:
        return " float";
    case OTR_KEY_DURATION:
        return " duration";
    case OTR_KEY_STRING:
        return " string";
    case OTR_KEY_STRINGS:
        return " a,b,...";
    case OTR_KEY_LABELS:
        return " k=v,...";
    case OTR_KEY_END:
    case OTR_KEY_BOOL:
    case OTR_KEY_TREE:
        break;
    }
    return "";
}

static bool is_shown(const otr_key *key)
{
    return !(key->flags & (OTR_KEY_NO_FLAG | OTR_KEY_HIDDEN)) && key->type != OTR_KEY_TREE;
}

static int by_flag(const void *a, const void *b)
{
    char x[OTR_KEY_NAME_BYTES];
    char y[OTR_KEY_NAME_BYTES];
    return strcmp(otr_key_flag(*(const otr_key *const *)a, x),
                  otr_key_flag(*(const otr_key *const *)b, y));
}

static size_t collect(const otr_key *const *tables, const otr_key **ret)
{
    size_t n = 0;
    for (; *tables != NULL; tables++) {
        for (const otr_key *key = *tables; key->type != OTR_KEY_END; key++) {
            if (is_shown(key)) {
                if (ret != NULL) {
                    ret[n] = key;
                }
                n++;
            }
        }
    }
    return n;
}

static otr_code help_line(const otr_key *key, otr_buf *out, otr_err *err)
{
    enum { FLAG_COLUMNS = 44 };
    char name[OTR_KEY_NAME_BYTES];
    char flag[OTR_KEY_NAME_BYTES + 16];
    (void)snprintf(flag, sizeof(flag), "--%s%s", otr_key_flag(key, name), type_name(key->type));
    const char *def = key->def != NULL ? key->def : "";
    bool plain = key->type == OTR_KEY_BOOL && strcmp(def, "false") == 0;
    bool quoted = key->type == OTR_KEY_STRING;
    const char *gap = strlen(flag) > FLAG_COLUMNS ? "\n" : "";
    int pad = gap[0] != '\0' ? 2 + FLAG_COLUMNS + 2 : FLAG_COLUMNS - (int)strlen(flag) + 2;
    if (def[0] == '\0' || plain) {
        return otr_buf_addf(out, err, "  %s%s%*s%s\n", flag, gap, pad, "", key->help);
    }
    return otr_buf_addf(out, err, "  %s%s%*s%s (default %s%s%s)\n", flag, gap, pad, "", key->help,
                        quoted ? "\"" : "", def, quoted ? "\"" : "");
}

otr_code otr_config_help(const otr_key *const *tables, otr_buf *out, otr_err *err)
{
    size_t n = collect(tables, NULL);
    const otr_key **keys = otr_calloc(n, sizeof(*keys));
    if (keys == NULL) {
        return otr_fail_nomem(err);
    }
    (void)collect(tables, keys);
    qsort(keys, n, sizeof(*keys), by_flag);
    size_t start = out->n;
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < n && rc == OTR_OK; i++) {
        rc = help_line(keys[i], out, err);
    }
    otr_free(keys);
    if (rc != OTR_OK) {
        otr_buf_cut(out, start);
    }
    return rc;
}

otr_code otr_config_labels_json(const otr_config *cfg, const char *path, otr_buf *out, otr_err *err)
{
    size_t start = out->n;
    otr_jw w;
    otr_jw_begin(&w, out, err);
    otr_labels_write(otr_config_labels(cfg, path), &w, NULL);
    otr_code rc = otr_jw_end(&w);
    if (rc != OTR_OK) {
        otr_buf_cut(out, start);
    }
    return rc;
}
