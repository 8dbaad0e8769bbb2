#include "nginx/impact/impact.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/impact/internal.h"
#include "nginx/impact/radius.h"
#include "nginx/language/payload.h"

/* ---- files of the change ---- */

static otr_code read_old(otr_impact *i, const otr_impact_spec *spec, otr_impact_file *file,
                         otr_err *err)
{
    otr_err why = { 0 };
    otr_code rc = otr_root_read(spec->root, file->path, &file->old, NULL, &why);
    if (rc == OTR_ENOMEM) {
        return otr_fail(err, rc, "%s", why.msg);
    }
    file->was = rc != OTR_ENOTFOUND;
    file->unread = rc != OTR_OK && rc != OTR_ENOTFOUND;
    i->graph.bytes += file->old.n;
    return OTR_OK;
}

static otr_code read_file(otr_impact *i, const otr_impact_spec *spec, size_t n, otr_err *err)
{
    const otr_overlay_entry *entry = otr_overlay_at(spec->overlay, n);
    otr_impact_file *file = &i->files[n];
    otr_buf_init(&file->old, OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_buf_init(&file->new, OTR_LIMIT_NGINX_CONFIG_BYTES);
    file->path = otr_strdup(entry->path);
    file->will = !entry->gone;
    i->n_files = n + 1;
    otr_code rc = file->path != NULL ? read_old(i, spec, file, err) : otr_fail_nomem(err);
    i->graph.bytes += entry->text.n;
    if (i->graph.bytes > OTR_LIMIT_IMPACT_BYTES || entry->text.n > OTR_LIMIT_NGINX_CONFIG_BYTES) {
        file->unread = true;
    }
    if (rc == OTR_OK && !file->unread) {
        rc = otr_buf_add(&file->new, entry->text, err);
    }
    for (size_t p = 0; p < i->graph.n; p++) {
        file->used = file->used || i->graph.parts[p].change == entry;
    }
    return rc;
}

static otr_code read_files(otr_impact *i, const otr_impact_spec *spec, otr_err *err)
{
    size_t n = otr_overlay_count(spec->overlay);
    otr_code rc = OTR_OK;
    i->files = otr_calloc(n + 1, sizeof(*i->files));
    if (i->files == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t k = 0; rc == OTR_OK && k < n; k++) {
        rc = read_file(i, spec, k, err);
    }
    return rc;
}

/* ---- diffs ---- */

static otr_code write_file_diff(const otr_impact_file *file, size_t max_bytes, otr_buf *out,
                                otr_diff_stats *ret, otr_err *err)
{
    otr_buf old, new;
    otr_buf_init(&old, 65536);
    otr_buf_init(&new, 65536);
    otr_code rc = otr_buf_addf(&old, err, "a%s", file->path);
    rc = rc == OTR_OK ? otr_buf_addf(&new, err, "b%s", file->path) : rc;
    otr_diff_spec spec = { .old = { otr_buf_text(&old), otr_buf_bytes(&file->old), !file->was },
                           .new = { otr_buf_text(&new), otr_buf_bytes(&file->new), !file->will },
                           .path = file->path,
                           .max_bytes = max_bytes,
                           .context = 3 };
    if (rc == OTR_OK && file->unread) {
        rc = otr_buf_addf(out, err, "--- %s\n+++ %s\nit cannot be read, and is not shown\n",
                          otr_buf_text(&old), otr_buf_text(&new));
    } else {
        rc = rc == OTR_OK ? otr_diff_write(&spec, out, ret, err) : rc;
    }
    otr_buf_deinit(&old);
    otr_buf_deinit(&new);
    return rc;
}

static bool differs(const otr_impact_file *file)
{
    return file->was != file->will || file->unread || file->diff.kind != OTR_DIFF_EQUAL;
}

static void count_file(otr_impact_summary *s, const otr_impact_file *file)
{
    if (differs(file)) {
        s->files_added += !file->was && file->will;
        s->files_removed += file->was && !file->will;
        s->files_changed += file->was && file->will;
        s->files_unused += !file->used;
        s->lines_added += file->diff.added;
        s->lines_removed += file->diff.removed;
    }
}

static otr_code make_diffs(otr_impact *i, otr_err *err)
{
    otr_code rc = OTR_OK;
    otr_buf_init(&i->diff, OTR_LIMIT_IMPACT_DIFF_BYTES + OTR_MIB);
    for (size_t k = 0; rc == OTR_OK && k < i->n_files; k++) {
        otr_impact_file *file = &i->files[k];
        size_t left =
            i->diff.n < OTR_LIMIT_IMPACT_DIFF_BYTES ? OTR_LIMIT_IMPACT_DIFF_BYTES - i->diff.n : 1;
        file->start = i->diff.n;
        rc = write_file_diff(file, left, &i->diff, &file->diff, err);
        file->end = i->diff.n;
        count_file(&i->summary, file);
    }
    return rc;
}

otr_code otr_impact_write_diff(const otr_impact *impact, size_t max_bytes, otr_buf *out,
                               bool *ret_cut, otr_err *err)
{
    otr_code rc = OTR_OK;
    size_t start = out->n;
    bool cut = false;
    for (size_t k = 0; rc == OTR_OK && k < impact->n_files; k++) {
        const otr_impact_file *file = &impact->files[k];
        size_t used = out->n - start, n = file->end - file->start;
        cut = cut || file->diff.hunks_left_out > 0;
        if (n == 0) {
            continue;
        }
        if (max_bytes == 0 || used + n <= max_bytes) {
            rc = otr_buf_add(out, (otr_bytes){ impact->diff.p + file->start, n }, err);
        } else if (used + strlen(file->path) * 2 + 64 < max_bytes) {
            otr_diff_stats stats;
            rc = write_file_diff(file, max_bytes - used, out, &stats, err);
            cut = true;
        } else {
            cut = true;
        }
    }
    if (rc == OTR_OK && ret_cut != NULL) {
        *ret_cut = cut;
    }
    return rc;
}

/* ---- errors ---- */

static otr_code parse_side(const otr_part *part, otr_when when, otr_conf **ret, otr_err *err)
{
    static const otr_root nowhere = { .path = "" };
    otr_parse spec = { .root = &nowhere,
                       .path = part->path,
                       .text = &part->side[when].text,
                       .where = part->where,
                       .any_place = part->where == 0,
                       .single = true };
    return part->side[when].there ? otr_conf_parse(&spec, ret, err) : OTR_OK;
}

static bool has_error(const otr_conf *conf, const char *text)
{
    for (size_t i = 0; conf != NULL && i < conf->n_errors; i++) {
        if (strcmp(conf->errors[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

static otr_code add_error(otr_impact *i, const char *file, uint32_t line, const char *text,
                          otr_err *err)
{
    if (i->summary.errors++ >= OTR_COUNT(i->errors)) {
        return OTR_OK;
    }
    char *copy = otr_strndup(text, strnlen(text, OTR_LIMIT_IMPACT_TEXT_BYTES));
    if (copy == NULL) {
        return otr_fail_nomem(err);
    }
    i->errors[i->n_errors++] = (otr_impact_error){ copy, file, line };
    return OTR_OK;
}

static otr_code find_errors_of(otr_impact *i, const otr_part *part, otr_err *err)
{
    OTR_CLEANUP(otr_conf_freep) otr_conf *old = NULL;
    OTR_CLEANUP(otr_conf_freep) otr_conf *new = NULL;
    otr_code rc = parse_side(part, OTR_AFTER, &new, err);
    if (rc == OTR_OK && new != NULL &&new->n_errors > 0) {
        rc = parse_side(part, OTR_BEFORE, &old, err);
    }
    for (size_t k = 0; rc == OTR_OK && new != NULL &&k < new->n_errors; k++) {
        if (!has_error(old, new->errors[k].text)) {
            rc = add_error(i, part->path, new->errors[k].line, new->errors[k].text, err);
        }
    }
    return rc;
}

static otr_code find_errors(otr_impact *i, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t k = 0; rc == OTR_OK && k < i->graph.n; k++) {
        const otr_part *part = &i->graph.parts[k];
        const otr_part_side *new = &part->side[OTR_AFTER];
        if (new->used && !part->same) {
            rc = find_errors_of(i, part, err);
        }
        bool lost = new->trouble != NULL && part->side[OTR_BEFORE].trouble == NULL;
        if (rc == OTR_OK && lost && !(new->there && !part->same && i->n_errors > 0)) {
            rc = add_error(i, part->path, new->trouble_line, new->trouble, err);
        }
    }
    return rc;
}

/* ---- the parsed configuration ---- */

static otr_code into_config(void *arg, otr_bytes bytes, otr_err *err)
{
    return otr_buf_add(arg, bytes, err);
}

/* Not kept when it is too large for a message. */
static otr_code keep_config(otr_impact *i, const otr_impact_spec *spec, otr_err *err)
{
    size_t bytes = 0;
    for (size_t k = 0; k < i->graph.n; k++) {
        const otr_part_side *side = &i->graph.parts[k].side[OTR_AFTER];
        bytes += side->used ? side->text.n : 0;
    }
    if (!spec->with_config || bytes > OTR_LIMIT_BUS_PAYLOAD_BYTES) {
        return OTR_OK;
    }
    bool failed;
    otr_err why = { 0 };
    otr_sink sink = { .put = into_config, .arg = &i->config };
    otr_json_style style = { 0 };
    otr_parse parse = { .root = spec->root, .overlay = spec->overlay, .path = spec->config };
    otr_buf_init(&i->config, OTR_LIMIT_BUS_PAYLOAD_BYTES);
    otr_code rc = otr_conf_stream_json(&parse, &style, &sink, &failed, &why);
    i->config_kept = rc == OTR_OK;
    if (rc != OTR_OK) {
        otr_buf_deinit(&i->config);
    }
    return rc == OTR_ENOMEM ? otr_fail(err, rc, "%s", why.msg) : OTR_OK;
}

/* ---- all of it ---- */

static otr_impact_count count_of(const otr_effects *e, otr_effect_kind kind)
{
    const size_t *n = e->counts[kind];
    return (otr_impact_count){ .added = n[OTR_EFFECT_ADDED],
                               .removed = n[OTR_EFFECT_REMOVED],
                               .changed = n[OTR_EFFECT_CHANGED],
                               .touched = n[OTR_EFFECT_TOUCHED] };
}

static bool is_unknown(const otr_graph *g)
{
    bool unknown = g->unknown;
    for (size_t k = 0; k < g->n; k++) {
        const otr_part_side *side = g->parts[k].side;
        unknown = unknown || side[OTR_BEFORE].trouble != NULL || side[OTR_AFTER].trouble != NULL;
    }
    return unknown;
}

static void sum_up(otr_impact *i)
{
    otr_impact_summary *s = &i->summary;
    s->servers = count_of(&i->effects, OTR_EFFECT_SERVER);
    s->locations = count_of(&i->effects, OTR_EFFECT_LOCATION);
    s->upstreams = count_of(&i->effects, OTR_EFFECT_UPSTREAM);
    s->others = count_of(&i->effects, OTR_EFFECT_OTHER);
    bool any = s->files_added + s->files_removed + s->files_changed > 0;
    s->reach = i->effects.everything != NULL  ? OTR_IMPACT_EVERYTHING
               : any && is_unknown(&i->graph) ? OTR_IMPACT_UNKNOWN
               : otr_effects_any(&i->effects) ? OTR_IMPACT_SOME
                                              : OTR_IMPACT_NONE;
}

static otr_code find_radius(otr_impact *i, otr_err *err)
{
    otr_paths unused = { 0 };
    otr_code rc = OTR_OK;
    for (size_t k = 0; rc == OTR_OK && k < i->n_files; k++) {
        const otr_impact_file *file = &i->files[k];
        if (!file->used && differs(file)) {
            rc = otr_paths_add(&unused, file->path, OTR_LIMIT_NGINX_CONFIG_FILES, err);
        }
    }
    rc = rc == OTR_OK ? otr_radius_find(&i->graph, &unused, &i->effects, err) : rc;
    otr_paths_deinit(&unused);
    return rc;
}

static otr_code make(otr_impact *i, const otr_impact_spec *spec, otr_err *err)
{
    const char *slash = strrchr(spec->config, '/');
    i->folder = otr_strndup(spec->config, slash != NULL ? (size_t)(slash - spec->config) : 0);
    if (i->folder == NULL) {
        return otr_fail_nomem(err);
    }
    i->graph.root = spec->root;
    i->graph.overlay = spec->overlay;
    i->graph.folder = i->folder;
    otr_code rc = otr_graph_load(&i->graph, spec->config, err);
    rc = rc == OTR_OK ? read_files(i, spec, err) : rc;
    rc = rc == OTR_OK ? make_diffs(i, err) : rc;
    rc = rc == OTR_OK ? find_radius(i, err) : rc;
    rc = rc == OTR_OK ? find_errors(i, err) : rc;
    rc = rc == OTR_OK ? keep_config(i, spec, err) : rc;
    return rc;
}

otr_code otr_impact_new(const otr_impact_spec *spec, otr_impact **ret, otr_err *err)
{
    if (spec->config[0] != '/') {
        return otr_fail(err, OTR_EINVAL, "%s: a main file is named absolutely", spec->config);
    }
    otr_impact *i = otr_zalloc(sizeof(*i));
    if (i == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = make(i, spec, err);
    if (rc != OTR_OK) {
        otr_impact_free(i);
        return rc;
    }
    sum_up(i);
    for (size_t k = 0; k < i->graph.n; k++) {
        i->graph.parts[k].state = OTR_PART_CLEAN;
        i->graph.parts[k].change = NULL;
        otr_part_forget(&i->graph.parts[k]); /* texts stay, trees are made from them when asked */
    }
    i->graph.root = NULL;
    i->graph.overlay = NULL;
    *ret = i;
    return OTR_OK;
}

void otr_impact_free(otr_impact *impact)
{
    if (impact == NULL) {
        return;
    }
    for (size_t k = 0; k < impact->n_files; k++) {
        otr_free(impact->files[k].path);
        otr_buf_deinit(&impact->files[k].old);
        otr_buf_deinit(&impact->files[k].new);
    }
    for (size_t k = 0; k < impact->n_errors; k++) {
        otr_free(impact->errors[k].text);
    }
    otr_free(impact->files);
    otr_graph_deinit(&impact->graph);
    otr_effects_deinit(&impact->effects);
    otr_buf_deinit(&impact->diff);
    otr_buf_deinit(&impact->config);
    otr_free(impact->folder);
    otr_free(impact);
}

void otr_impact_freep(void *slot)
{
    otr_impact_free(*(otr_impact **)slot);
}

const otr_impact_summary *otr_impact_get(const otr_impact *impact)
{
    return &impact->summary;
}

const char *otr_impact_reach_name(otr_impact_reach reach)
{
    static const char *const names[] = { "none", "some", "unknown", "everything" };
    return names[reach];
}
