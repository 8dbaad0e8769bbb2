#include "nginx/language/gather.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/overlay.h"

struct otr_source {  /* of the file with the same index */
    otr_where where; /* it is included at */
    bool ready;      /* its text is there, or it is noted that it cannot be read */
};

/* ---- notes ---- */

otr_code otr_gather_note(otr_gather *g, uint32_t line, bool at, otr_err *err)
{
    otr_conf_error error = {
        .text = otr_buf_text(&g->say), .file = g->file, .line = line, .at = at
    };
    return otr_conf_add_error(g->conf, &error, err);
}

/* A file that cannot be read, in the words of its errno. */
static otr_code note_unread(otr_gather *g, const char *path, uint32_t line, const otr_err *why,
                            otr_err *err)
{
    otr_buf_clear(&g->say);
    otr_code rc = why->sys != 0 ? otr_buf_addf(&g->say, err, "[Errno %d] %s: '%s'", why->sys,
                                               strerrordesc_np(why->sys), path)
                                : otr_buf_adds(&g->say, why->msg, err);
    return rc == OTR_OK ? otr_gather_note(g, line, false, err) : rc;
}

/* ---- files ---- */

static uint32_t hash_of(const char *path)
{
    uint32_t hash = 2166136261U;
    for (; *path != '\0'; path++) {
        hash = (hash ^ (uint8_t)*path) * 16777619U;
    }
    return hash;
}

/* Where `path` stands in the index, or would. */
static uint32_t *slot_of(const otr_gather *g, const char *path)
{
    size_t i = hash_of(path) & (g->n_slots - 1);
    while (g->by_path[i] != 0 && strcmp(g->conf->files[g->by_path[i] - 1].path, path) != 0) {
        i = (i + 1) & (g->n_slots - 1);
    }
    return &g->by_path[i];
}

static otr_code grow_index(otr_gather *g, otr_err *err)
{
    if (g->n_slots > 2 * g->conf->n_files + 2) {
        return OTR_OK;
    }
    size_t n = g->n_slots > 0 ? 4 * g->n_slots : 64;
    uint32_t *slots = otr_calloc(n, sizeof(*slots));
    if (slots == NULL) {
        return otr_fail_nomem(err);
    }
    otr_free(g->by_path);
    g->by_path = slots;
    g->n_slots = n;
    for (size_t i = 0; i < g->conf->n_files; i++) {
        *slot_of(g, g->conf->files[i].path) = (uint32_t)i + 1;
    }
    return OTR_OK;
}

/* "<folder>/<path>" into the empty `out`, nothing cleaned: that is how the file is shown. */
static otr_code join(const char *folder, const char *path, otr_buf *out, otr_err *err)
{
    if (path[0] == '/' || folder[0] == '\0') {
        return otr_buf_adds(out, path, err);
    }
    const char *slash = folder[strlen(folder) - 1] == '/' ? "" : "/";
    return otr_buf_addf(out, err, "%s%s%s", folder, slash, path);
}

static otr_code open_path(const otr_gather *g, const char *path, otr_buf *out, otr_err *err)
{
    otr_buf_init(out, 2 * OTR_NGINX_PATH_BYTES);
    return join(g->spec->folder != NULL ? g->spec->folder : "", path, out, err);
}

static otr_code read_text(otr_gather *g, const char *path, otr_buf *out, otr_err *err)
{
    otr_buf full;
    otr_code rc = open_path(g, path, &full, err);
    if (rc == OTR_OK) {
        rc = otr_overlay_read(g->spec->overlay, g->spec->root, otr_buf_text(&full), out, err);
    }
    otr_buf_deinit(&full);
    return rc;
}

static otr_code add_file(otr_gather *g, const char *path, otr_where where, uint32_t *ret,
                         otr_err *err)
{
    otr_code rc = otr_conf_add_file(g->conf, path, ret, err);
    if (rc == OTR_OK) {
        rc = otr_grow(&g->sources, *ret, &g->cap_sources, sizeof(*g->sources), err);
    }
    if (rc == OTR_OK) {
        g->sources[*ret] = (otr_source){ .where = where };
        rc = grow_index(g, err);
    }
    if (rc == OTR_OK) {
        *slot_of(g, path) = *ret + 1;
    }
    return rc;
}

static bool is_fatal(otr_code rc)
{
    return rc == OTR_ENOMEM || rc == OTR_EQUOTA;
}

typedef struct include { /* one that is being followed */
    uint32_t line;
    otr_where where;
    bool named; /* no pattern: that the file cannot be opened is noted here */
} include;

/* Can a file that an include names be opened? */
static otr_code try_open(const otr_gather *g, const char *path, otr_err *err)
{
    otr_buf full;
    otr_code rc = open_path(g, path, &full, err);
    if (rc == OTR_OK) {
        rc = otr_overlay_probe(g->spec->overlay, g->spec->root, otr_buf_text(&full), err);
    }
    otr_buf_deinit(&full);
    return rc;
}

static otr_code bring_in(otr_gather *g, const include *inc, const char *path, otr_err *err)
{
    otr_code rc = OTR_OK;
    uint32_t index = *slot_of(g, path);
    if (index != 0) {
        index--;
    } else {
        otr_err why = { 0 };
        otr_code opened = inc->named ? try_open(g, path, &why) : OTR_OK;
        if (opened != OTR_OK) {
            g->stop = g->spec->first_only;
            return is_fatal(opened) ? otr_fail(err, opened, "%s", why.msg)
                                    : note_unread(g, path, inc->line, &why, err);
        }
        rc = add_file(g, path, inc->where, &index, err);
    }
    if (rc == OTR_OK) {
        rc = otr_grow(&g->found, g->n_found, &g->cap_found, sizeof(*g->found), err);
    }
    if (rc == OTR_OK) {
        g->found[g->n_found++] = index;
    }
    return rc;
}

static otr_code bring_in_matches(otr_gather *g, const include *inc, const char *pattern,
                                 otr_err *err)
{
    otr_buf full;
    otr_paths paths = { 0 };
    otr_code rc = open_path(g, pattern, &full, err);
    size_t skip = pattern[0] != '/' ? full.n - strlen(pattern) : 0;
    if (rc == OTR_OK) {
        otr_glob glob = { .pattern = otr_buf_text(&full), .max = OTR_LIMIT_NGINX_CONFIG_FILES };
        otr_err why = { 0 };
        otr_code found = otr_overlay_glob(g->spec->overlay, g->spec->root, &glob, &paths, &why);
        if (found != OTR_OK) {
            rc = is_fatal(found) ? otr_fail(err, found, "%s", why.msg)
                                 : note_unread(g, pattern, inc->line, &why, err);
        }
    }
    for (size_t i = 0; rc == OTR_OK && i < paths.n; i++) {
        rc = bring_in(g, inc, paths.items[i] + skip, err);
    }
    otr_paths_deinit(&paths);
    otr_buf_deinit(&full);
    return rc;
}

otr_code otr_gather_include(otr_gather *g, const char *name, uint32_t line, otr_where where,
                            otr_err *err)
{
    otr_buf pattern;
    otr_buf_init(&pattern, 2 * OTR_NGINX_PATH_BYTES);
    otr_code rc = join(g->folder, name, &pattern, err);
    include inc = { .line = line, .where = where };
    g->n_found = 0;
    if (rc == OTR_OK) {
        const char *path = otr_buf_text(&pattern);
        inc.named = !otr_is_glob(path);
        rc = inc.named ? bring_in(g, &inc, path, err) : bring_in_matches(g, &inc, path, err);
    }
    otr_buf_deinit(&pattern);
    return rc == OTR_OK ? rc : otr_wrap(err, rc, "%s:%u", g->conf->files[g->file].path, line);
}

otr_code otr_gather_read(otr_gather *g, otr_err *err)
{
    otr_conf_file *file = &g->conf->files[g->file];
    otr_err why = { 0 };
    if (g->sources[g->file].ready) {
        return OTR_OK;
    }
    g->sources[g->file].ready = true;
    otr_code rc = read_text(g, file->path, &file->kept, &why);
    file->text = otr_buf_bytes(&file->kept);
    if (rc != OTR_OK) {
        g->stop = true;
        rc = is_fatal(rc) ? otr_fail(err, rc, "%s", why.msg)
                          : note_unread(g, file->path, 0, &why, err);
    }
    return rc;
}

otr_where otr_gather_where(const otr_gather *g)
{
    return g->sources[g->file].where;
}

static otr_code add_main(otr_gather *g, otr_err *err)
{
    const otr_parse *spec = g->spec;
    const char *slash = strrchr(spec->path, '/');
    size_t n = slash == NULL ? 0 : slash == spec->path ? 1 : (size_t)(slash - spec->path);
    g->folder = spec->prefix != NULL ? otr_strdup(spec->prefix) : otr_strndup(spec->path, n);
    if (g->folder == NULL) {
        return otr_fail_nomem(err);
    }
    otr_code rc = grow_index(g, err);
    uint32_t index = 0;
    if (rc == OTR_OK) {
        rc = add_file(g, spec->path, spec->where != 0 ? spec->where : OTR_WHERE_MAIN, &index, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    if (spec->text != NULL) {
        g->conf->files[index].text = *spec->text;
        g->sources[index].ready = true;
    }
    return OTR_OK;
}

otr_code otr_gather_begin(otr_gather *g, const otr_parse *spec, otr_err *err)
{
    *g = (otr_gather){ .spec = spec };
    otr_buf_init(&g->say, 65536);
    otr_code rc = otr_conf_new(&g->conf, err);
    return rc == OTR_OK ? add_main(g, err) : rc;
}

void otr_gather_end(otr_gather *g)
{
    otr_conf_free(g->conf);
    otr_free(g->sources);
    otr_free(g->by_path);
    otr_free(g->found);
    otr_free(g->folder);
    otr_buf_deinit(&g->say);
}
