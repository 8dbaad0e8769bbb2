#include "cli/plugin_entry.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/limits.h"
#include "bus/bus.h"
#include "cli/source.h"
#include "plugin/encoding/pick.h"

enum { TEXT_BYTES = 1024, TOPIC_BYTES = 256 };

/* ---- the configuration ---- */

static otr_code no_entry(const otr_manifest_set *set, const char *file, const char *name,
                         otr_err *err)
{
    char names[TEXT_BYTES / 8] = "";
    size_t used = 0;
    for (size_t i = 0; i < set->n && used < sizeof(names) - 1; i++) {
        int n = snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "",
                         set->items[i]->name);
        used += n > 0 ? (size_t)n : 0;
    }
    return otr_fail(err, OTR_ENOTFOUND, "%s: there is no plugin \"%.64s\" in plugins.load%s%s",
                    file, name, names[0] != '\0' ? "; there are: " : "", names);
}

static otr_code find(otr_cli_entry *e, const char *file, const char *name, otr_err *err)
{
    for (size_t i = 0; i < e->set->n; i++) {
        if (strcmp(e->set->items[i]->name, name) == 0) {
            e->manifest = e->set->items[i];
            otr_mapping_required(&e->manifest->mapping, e->required);
            return OTR_OK;
        }
    }
    return no_entry(e->set, file, name, err);
}

otr_code otr_cli_entry_open(const char *file, const char *name, otr_cli_entry *ret, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf path;
    otr_config_source source = { .tables = otr_cli_tables, .file = file };
    otr_config *cfg = NULL;
    otr_buf_init(&path, OTR_CLI_PATH_BYTES);
    *ret = (otr_cli_entry){ .manifest = NULL };
    otr_code rc = file == NULL ? otr_config_find(&path, err) : OTR_OK;
    source.file = file == NULL ? otr_buf_text(&path) : file;
    rc = rc == OTR_OK ? otr_config_load(&source, &cfg, err) : rc;
    rc = rc == OTR_OK ? otr_manifest_parse(cfg, &ret->set, err) : rc;
    rc = rc == OTR_OK ? find(ret, source.file, name, err) : rc;
    otr_config_unref(cfg);
    return rc;
}

void otr_cli_entry_close(otr_cli_entry *entry)
{
    otr_manifest_set_free(otr_steal(&entry->set));
    entry->manifest = NULL;
}

/* ---- input and output ---- */

static otr_code take_data(const otr_manifest *m, otr_bytes json, otr_bytes data, otr_buf *scratch,
                          otr_bytes *ret, otr_err *err)
{
    static char topic_name[] = "topic";
    static char *const topic_path[] = { topic_name, NULL };
    char topic[TOPIC_BYTES];
    otr_bytes text = { NULL, 0 };
    otr_code rc = otr_pick_plain(otr_pick(json, topic_path), scratch, &text, err);
    (void)snprintf(topic, sizeof(topic), "%.*s", (int)(text.n < TOPIC_BYTES ? text.n : 0),
                   text.n > 0 ? (const char *)text.p : "");
    return rc == OTR_OK ? otr_encoding_data(m->encoding, topic, data, scratch, ret, err) : rc;
}

otr_code otr_cli_entry_input(const otr_manifest *m, otr_bytes json, otr_buf *scratch,
                             otr_bytes *ret, otr_err *err)
{
    static char data_name[] = "data";
    static char *const data_path[] = { data_name, NULL };
    if (!otr_json_valid(json)) {
        return otr_fail(err, OTR_EINVAL,
                        "--input: expected a message as JSON, as in {\"topic\":…,\"data\":…}, of "
                        "which the plugin is given %s",
                        m->mapping.input_text);
    }
    otr_bytes data = otr_pick(json, data_path);
    char *const *path = m->mapping.path;
    otr_bytes value = data;
    if (m->mapping.input == OTR_INPUT_FIELD) {
        value = otr_pick(otr_pick_is_envelope(path[0]) ? json : data, path);
    }
    if (value.p == NULL) {
        return otr_fail(err, OTR_ENOTFOUND,
                        "input: the message has no field %s: an agent skips and counts it",
                        m->mapping.input_text);
    }
    return m->mapping.input == OTR_INPUT_FIELD ? otr_pick_plain(value, scratch, ret, err)
                                               : take_data(m, json, data, scratch, ret, err);
}

static bool granted(const otr_manifest *m)
{
    char *const *pattern = m->publish;
    while (*pattern != NULL && !otr_topic_match(*pattern, m->mapping.publish)) {
        pattern++;
    }
    return *pattern != NULL;
}

otr_code otr_cli_entry_output(const otr_manifest *m, otr_bytes answer, otr_err *err)
{
    OTR_CLEANUP(otr_buf_deinit) otr_buf scratch;
    otr_bytes value = { NULL, 0 };
    otr_buf_init(&scratch, OTR_LIMIT_JSON_BYTES);
    if (m->mapping.publish == NULL || answer.n == 0) {
        return OTR_OK;
    }
    otr_code rc = otr_pick_value_of(answer, &scratch, &value, err);
    if (rc == OTR_OK) {
        (void)fprintf(stderr, "publish %s %.*s%s\n", m->mapping.publish, (int)value.n,
                      (const char *)value.p,
                      granted(m) ? "" : "  (denied: grants.publish does not cover it)");
    }
    return rc;
}

/* ---- reports ---- */

otr_code otr_cli_entry_report(const otr_manifest *m, otr_buf *report, otr_err *err)
{
    const otr_plugin_mapping *map = &m->mapping;
    otr_jw w;
    while (report->n > 0 && report->p[report->n - 1] != '}') {
        otr_buf_cut(report, report->n - 1);
    }
    otr_buf_cut(report, report->n - (report->n > 0));
    otr_code rc = otr_buf_adds(report, ",\"entry\":", err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_jw_begin(&w, report, err);
    otr_jw_obj(&w, NULL);
    otr_jw_str(&w, "name", m->name);
    otr_jw_str(&w, "where", m->where);
    otr_jw_obj(&w, "operations");
    for (char *const *pair = map->names; pair != NULL && *pair != NULL; pair += 2) {
        otr_jw_str(&w, pair[0], pair[1]);
    }
    otr_jw_obj_end(&w);
    otr_jw_str(&w, "version", map->version);
    otr_jw_str(&w, "input", map->input_text != NULL ? map->input_text : "message");
    otr_jw_str(&w, "publish", map->publish);
    otr_jw_obj_end(&w);
    rc = otr_jw_end(&w);
    return rc == OTR_OK ? otr_buf_adds(report, "}", err) : rc;
}

void otr_cli_entry_print(const otr_manifest *m)
{
    const otr_plugin_mapping *map = &m->mapping;
    OTR_CLEANUP(otr_buf_deinit) otr_buf text;
    otr_buf_init(&text, TEXT_BYTES);
    (void)printf("entry    %s at %s\n", m->name, m->where);
    if (map->names != NULL && otr_mapping_text(map, &text, NULL) == OTR_OK) {
        (void)printf("asks     %s\n", otr_buf_text(&text));
    }
    if (map->version != NULL) {
        (void)printf("version  %s\n", map->version);
    }
    if (map->input_text != NULL) {
        (void)printf("input    %s\n", map->input_text);
    }
    if (map->publish != NULL) {
        (void)printf("publish  %s%s\n", map->publish,
                     granted(m) ? "" : "  (denied: grants.publish does not cover it)");
    }
}
