#include "nginx/impact/graph.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "nginx/language/parse.h"

/* ---- the list ---- */

static uint32_t hash_of(const char *path)
{
    uint32_t hash = 2166136261U;
    for (; *path != '\0'; path++) {
        hash = (hash ^ (uint8_t)*path) * 16777619U;
    }
    return hash;
}

static uint32_t *slot_of(const otr_graph *g, const char *path)
{
    size_t i = hash_of(path) & (g->n_slots - 1);
    while (g->by_path[i] != 0 && strcmp(g->parts[g->by_path[i] - 1].path, path) != 0) {
        i = (i + 1) & (g->n_slots - 1);
    }
    return &g->by_path[i];
}

static otr_code grow_index(otr_graph *g, otr_err *err)
{
    if (g->n_slots > 2 * g->n + 2) {
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
    for (size_t i = 0; i < g->n; i++) {
        *slot_of(g, g->parts[i].path) = (uint32_t)i + 1;
    }
    return OTR_OK;
}

otr_part *otr_graph_find(const otr_graph *graph, const char *path)
{
    uint32_t found = graph->n_slots > 0 ? *slot_of(graph, path) : 0;
    return found != 0 ? &graph->parts[found - 1] : NULL;
}

static void side_deinit(otr_part_side *side)
{
    otr_conf_free(side->conf);
    for (size_t i = 0; i < side->n_includes; i++) {
        otr_free(side->includes[i].parts);
    }
    otr_free(side->includes);
    otr_free(side->trouble);
}

void otr_graph_deinit(otr_graph *graph)
{
    for (size_t i = 0; i < graph->n; i++) {
        otr_part *part = &graph->parts[i];
        for (size_t k = 0; k < OTR_COUNT(part->side); k++) {
            side_deinit(&part->side[k]);
            otr_buf_deinit(&part->kept[k]);
        }
        otr_free(part->path);
    }
    otr_free(graph->parts);
    otr_free(graph->by_path);
    *graph = (otr_graph){ 0 };
}

/* ---- trouble ---- */

static otr_code note(otr_part_side *side, uint32_t line, const char *why, otr_err *err)
{
    if (side->trouble == NULL) {
        side->trouble = otr_strdup(why);
        side->trouble_line = line;
    }
    return side->trouble != NULL ? OTR_OK : otr_fail_nomem(err);
}

/* ---- texts ---- */

static bool is_fatal(otr_code rc)
{
    return rc == OTR_ENOMEM || rc == OTR_EQUOTA;
}

static otr_code read_side(otr_graph *g, otr_part *part, otr_when when, otr_err *err)
{
    otr_err why = { 0 };
    otr_buf *kept = &part->kept[when];
    otr_code rc =
        otr_overlay_read(when == OTR_AFTER ? g->overlay : NULL, g->root, part->path, kept, &why);
    g->bytes += kept->n;
    if (rc == OTR_OK && g->bytes > OTR_LIMIT_IMPACT_BYTES) {
        rc = otr_fail(&why, OTR_EQUOTA, "all files together are larger than %u MiB",
                      OTR_LIMIT_IMPACT_BYTES / OTR_MIB);
    }
    part->side[when].there = rc == OTR_OK;
    part->side[when].text = otr_buf_bytes(kept);
    if (rc == OTR_OK) {
        return OTR_OK;
    }
    if (rc == OTR_ENOMEM) {
        return otr_fail(err, rc, "%s", why.msg);
    }
    g->bytes -= kept->n;
    otr_buf_deinit(kept);
    part->side[when].text = (otr_bytes){ 0 };
    return rc == OTR_ENOTFOUND ? OTR_OK : note(&part->side[when], 0, why.msg, err);
}

static bool same_bytes(otr_bytes a, otr_bytes b)
{
    return a.n == b.n && (a.p == NULL || b.p == NULL || memcmp(a.p, b.p, a.n) == 0);
}

static otr_code read_part(otr_graph *g, otr_part *part, otr_err *err)
{
    const otr_overlay_entry *change;
    otr_part_side *old = &part->side[OTR_BEFORE], *new = &part->side[OTR_AFTER];
    otr_code rc = otr_overlay_find(g->overlay, part->path, &change, err);
    rc = rc == OTR_OK ? read_side(g, part, OTR_BEFORE, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    part->change = change;
    if (change == NULL) {
        new->text = old->text;
        new->there = old->there;
        part->same = true;
        return old->trouble != NULL ? note(new, 0, old->trouble, err) : OTR_OK;
    }
    rc = read_side(g, part, OTR_AFTER, err);
    part->same = rc == OTR_OK && old->there == new->there &&same_bytes(old->text, new->text);
    return rc;
}

static otr_code add_part(otr_graph *g, const char *path, uint32_t *ret, otr_err *err)
{
    uint32_t found = g->n_slots > 0 ? *slot_of(g, path) : 0;
    if (found != 0) {
        *ret = found - 1;
        return OTR_OK;
    }
    if (g->n >= OTR_LIMIT_NGINX_CONFIG_FILES) {
        return otr_fail(err, OTR_EQUOTA, "more than %d files", OTR_LIMIT_NGINX_CONFIG_FILES);
    }
    otr_code rc = otr_grow(&g->parts, g->n, &g->cap, sizeof(*g->parts), err);
    char *copy = rc == OTR_OK ? otr_strdup(path) : NULL;
    if (copy == NULL) {
        return rc != OTR_OK ? rc : otr_fail_nomem(err);
    }
    otr_part *part = &g->parts[g->n++];
    *part = (otr_part){ .path = copy, .mentions = -1 };
    otr_buf_init(&part->kept[OTR_BEFORE], OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_buf_init(&part->kept[OTR_AFTER], OTR_LIMIT_NGINX_CONFIG_BYTES);
    *ret = (uint32_t)(g->n - 1);
    rc = grow_index(g, err);
    if (rc == OTR_OK) {
        *slot_of(g, path) = *ret + 1;
        rc = read_part(g, part, err);
    }
    return rc;
}

/* ---- trees ---- */

/* Wrong directives stay, and whether one is wrong is not asked: what is another one then is. */
otr_code otr_part_tree(otr_part *part, otr_when when, const otr_node **ret, otr_err *err)
{
    otr_part_side *side = &part->side[part->same ? OTR_BEFORE : when];
    otr_code rc = OTR_OK;
    *ret = NULL;
    if (side->conf == NULL && side->there) {
        static const otr_root nowhere = { .path = "" };
        otr_parse spec = { .root = &nowhere,
                           .path = part->path,
                           .text = &side->text,
                           .single = true,
                           .any_place = true,
                           .any_args = true };
        rc = otr_conf_parse(&spec, &side->conf, err);
        if (rc == OTR_OK && side->conf->n_errors > 0) { /* what the grammar refuses is left empty */
            rc = note(side, side->conf->errors[0].line, side->conf->errors[0].text, err);
        }
    }
    if (rc == OTR_OK && side->conf != NULL) {
        *ret = side->conf->files[0].first;
    }
    return rc;
}

void otr_part_forget(otr_part *part)
{
    for (size_t k = 0; part->state != OTR_PART_DIRTY && k < OTR_COUNT(part->side); k++) {
        otr_conf_free(otr_steal(&part->side[k].conf));
    }
}

/* ---- includes ---- */

const otr_part_include *otr_part_include_at(const otr_part *part, otr_when when, uint32_t start)
{
    const otr_part_side *side = &part->side[when];
    size_t low = 0, high = side->n_includes;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (side->includes[mid].start < start) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < side->n_includes && side->includes[low].start == start ? &side->includes[low]
                                                                        : NULL;
}

typedef struct scan { /* of one side of one part, which is found anew as the list grows */
    otr_graph *g;
    uint32_t part;
    otr_when when;
    otr_where where; /* of what is looked at */
    otr_buf *pattern;
} scan;

static otr_code bring_in(const scan *s, otr_part_include *to, const char *path, otr_err *err)
{
    uint32_t index;
    otr_code rc = add_part(s->g, path, &index, err);
    rc = rc == OTR_OK ? otr_grow(&to->parts, to->n, &to->cap, sizeof(*to->parts), err) : rc;
    if (rc == OTR_OK) {
        to->parts[to->n++] = index;
        otr_part *part = &s->g->parts[index];
        bool first = !part->side[OTR_BEFORE].used && !part->side[OTR_AFTER].used;
        part->where = first ? s->where : part->where;
        s->g->parts[index].side[s->when].used = true;
    }
    return rc;
}

static otr_code bring_in_all(const scan *s, otr_part_include *to, const char *pattern,
                             uint32_t line, otr_err *err)
{
    const otr_overlay *overlay = s->when == OTR_AFTER ? s->g->overlay : NULL;
    otr_err why = { 0 };
    if (!otr_is_glob(pattern)) {
        otr_code rc = otr_overlay_probe(overlay, s->g->root, pattern, &why);
        return rc == OTR_OK   ? bring_in(s, to, pattern, err)
               : is_fatal(rc) ? otr_fail(err, rc, "%s", why.msg)
                              : note(&s->g->parts[s->part].side[s->when], line, why.msg, err);
    }
    otr_paths paths = { 0 };
    otr_glob glob = { .pattern = pattern, .max = OTR_LIMIT_NGINX_CONFIG_FILES };
    otr_code rc = otr_overlay_glob(overlay, s->g->root, &glob, &paths, &why);
    if (rc != OTR_OK) {
        rc = is_fatal(rc) ? otr_fail(err, rc, "%s", why.msg)
                          : note(&s->g->parts[s->part].side[s->when], line, why.msg, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < paths.n; i++) {
        rc = bring_in(s, to, paths.items[i], err);
    }
    otr_paths_deinit(&paths);
    return rc;
}

/* As otr_conf_parse() shows it: nothing cleaned. */
static otr_code pattern_of(const otr_graph *g, const otr_node *node, otr_buf *out, otr_err *err)
{
    const otr_word *word = &node->words[1];
    otr_buf_clear(out);
    bool relative = word->n == 0 || word->p[0] != '/';
    otr_code rc = relative ? otr_buf_addf(out, err, "%s/", g->folder) : OTR_OK;
    return rc == OTR_OK ? otr_word_meaning(word, out, err) : rc;
}

static otr_code take_include(const scan *s, const otr_node *node, otr_err *err)
{
    otr_part_include made = { .start = node->start };
    otr_code rc = pattern_of(s->g, node, s->pattern, err);
    if (rc == OTR_OK) {
        rc = bring_in_all(s, &made, otr_buf_text(s->pattern), node->line, err);
    }
    otr_part_side *side = &s->g->parts[s->part].side[s->when];
    rc = rc == OTR_OK ? otr_grow(&side->includes, side->n_includes, &side->cap_includes,
                                 sizeof(*side->includes), err)
                      : rc;
    if (rc != OTR_OK) {
        otr_free(made.parts);
        return rc;
    }
    side->includes[side->n_includes++] = made;
    return OTR_OK;
}

static otr_code find_includes(const scan *s, const otr_node *first, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (const otr_node *node = first; rc == OTR_OK && node != NULL; node = node->next) {
        if (node->n_words == 2 && otr_node_is(node, "include")) {
            rc = take_include(s, node, err);
        }
        if (rc == OTR_OK && node->block != NULL) {
            scan inner = *s;
            inner.where = otr_where_in(s->where, (otr_bytes){ node->words[0].p, node->words[0].n });
            rc = find_includes(&inner, node->block, err);
        }
    }
    return rc;
}

static bool is_edge(const otr_bytes *text, size_t at)
{
    return at >= text->n || (text->p[at] != 0 && strchr(" \t\r\n;{}\"'", text->p[at]) != NULL);
}

bool otr_may_include(otr_bytes text)
{
    static const char word[] = "include";
    const size_t n = sizeof(word) - 1;
    for (size_t at = 0; at < text.n;) {
        const uint8_t *found = memmem(text.p + at, text.n - at, word, n);
        if (found == NULL) {
            return false;
        }
        at = (size_t)(found - text.p);
        if ((at == 0 || is_edge(&text, at - 1)) && is_edge(&text, at + n)) {
            return true;
        }
        at += n;
    }
    return false;
}

static otr_code scan_side(otr_graph *g, uint32_t index, otr_when when, otr_err *err)
{
    otr_part *part = &g->parts[index];
    const otr_part_side *side = &part->side[when];
    if (!side->there) {
        return side->trouble == NULL ? note(&part->side[when], 0, "it is not there", err) : OTR_OK;
    }
    if (part->same && !otr_may_include(side->text)) {
        return OTR_OK; /* not worth a tree yet */
    }
    const otr_node *first;
    otr_buf pattern;
    scan s = { .g = g, .part = index, .when = when, .where = part->where, .pattern = &pattern };
    otr_code rc = otr_part_tree(part, when, &first, err);
    if (rc == OTR_OK) {
        otr_buf_init(&pattern, OTR_LIMIT_NGINX_CONFIG_BYTES);
        rc = find_includes(&s, first, err);
        otr_buf_deinit(&pattern);
    }
    return rc;
}

otr_code otr_graph_load(otr_graph *graph, const char *config, otr_err *err)
{
    uint32_t main_file;
    otr_code rc = grow_index(graph, err);
    rc = rc == OTR_OK ? add_part(graph, config, &main_file, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    graph->parts[0].where = OTR_WHERE_MAIN;
    graph->parts[0].side[OTR_BEFORE].used = graph->parts[0].side[OTR_AFTER].used = true;
    bool more = true;
    while (rc == OTR_OK && more) { /* what comes in late may include what was there before */
        more = false;
        for (uint32_t i = 0; rc == OTR_OK && i < 2 * graph->n; i++) {
            otr_part_side *side = &graph->parts[i / 2].side[i % 2];
            if (side->used && !side->scanned) {
                side->scanned = more = true;
                rc = scan_side(graph, i / 2, (otr_when)(i % 2), err);
            }
        }
    }
    return rc;
}

/* ---- clean or not ---- */

static bool same_includes(const otr_part *part)
{
    const otr_part_side *a = &part->side[OTR_BEFORE], *b = &part->side[OTR_AFTER];
    bool same = a->n_includes == b->n_includes;
    for (size_t i = 0; same && i < a->n_includes; i++) {
        const otr_part_include *x = &a->includes[i], *y = &b->includes[i];
        same = x->n == y->n &&
               (x->n == 0 || memcmp(x->parts, y->parts, x->n * sizeof(*x->parts)) == 0);
    }
    return same;
}

static bool includes_dirty(otr_graph *graph, const otr_part_side *side)
{
    for (size_t i = 0; i < side->n_includes; i++) {
        for (size_t k = 0; k < side->includes[i].n; k++) {
            if (otr_part_is_dirty(graph, side->includes[i].parts[k])) {
                return true;
            }
        }
    }
    return false;
}

bool otr_part_is_dirty(otr_graph *graph, uint32_t index)
{
    otr_part *part = &graph->parts[index];
    if (part->state == OTR_PART_NEW) {
        part->state = OTR_PART_VISITED; /* in a ring: as the others of it say */
        bool used_once = part->side[OTR_BEFORE].used != part->side[OTR_AFTER].used;
        bool dirty = !part->same ||
                     (!used_once &&
                      (!same_includes(part) || includes_dirty(graph, &part->side[OTR_BEFORE]))) ||
                     (used_once && (includes_dirty(graph, &part->side[OTR_BEFORE]) ||
                                    includes_dirty(graph, &part->side[OTR_AFTER])));
        part->state = dirty ? OTR_PART_DIRTY : OTR_PART_CLEAN;
    }
    return part->state == OTR_PART_DIRTY;
}
