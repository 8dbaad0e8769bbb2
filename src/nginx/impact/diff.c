#include "nginx/impact/diff.h"

#include <stdint.h>

#include "nginx/impact/lines.h"

/* ---- what is not shown ---- */

static bool has(otr_bytes text, const char *what)
{
    return memmem(text.p, text.n, what, strlen(what)) != NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_secret_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    return ends_with(name, ".key") || ends_with(name, ".jwk") || ends_with(name, ".jwks") ||
           strstr(name, "passwd") != NULL;
}

otr_diff_kind otr_diff_hides(const char *path, otr_bytes text)
{
    if (text.n == 0) {
        return OTR_DIFF_SHOWN;
    }
    if ((path != NULL && is_secret_name(path)) || has(text, "PRIVATE KEY-----")) {
        return OTR_DIFF_SECRET;
    }
    return memchr(text.p, '\0', text.n) != NULL ? OTR_DIFF_BINARY : OTR_DIFF_SHOWN;
}

static otr_diff_kind hides(const otr_diff_spec *spec)
{
    otr_diff_kind old = otr_diff_hides(spec->path, spec->old.text);
    otr_diff_kind new = otr_diff_hides(spec->path, spec->new.text);
    return old > new ? old : new;
}

/* ---- the head ---- */

/* As patch(1) reads it: quoted where it has to be. */
static otr_code add_name(otr_buf *out, const otr_diff_side *side, otr_err *err)
{
    if (side->absent) {
        return otr_buf_adds(out, "/dev/null", err);
    }
    bool plain = true;
    for (const char *c = side->name; *c != '\0'; c++) {
        plain = plain && (uint8_t)*c > ' ' && (uint8_t)*c < 0x7f && *c != '"' && *c != '\\';
    }
    if (plain) {
        return otr_buf_adds(out, side->name, err);
    }
    otr_code rc = otr_buf_addc(out, '"', err);
    for (const char *c = side->name; rc == OTR_OK && *c != '\0'; c++) {
        uint8_t byte = (uint8_t)*c;
        rc = byte == '"' || byte == '\\'  ? otr_buf_addf(out, err, "\\%c", byte)
             : byte < ' ' || byte >= 0x7f ? otr_buf_addf(out, err, "\\%03o", byte)
                                          : otr_buf_addc(out, *c, err);
    }
    return rc == OTR_OK ? otr_buf_addc(out, '"', err) : rc;
}

static otr_code add_head(const otr_diff_spec *spec, otr_buf *out, otr_err *err)
{
    otr_code rc = otr_buf_adds(out, "--- ", err);
    rc = rc == OTR_OK ? add_name(out, &spec->old, err) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(out, "\n+++ ", err) : rc;
    rc = rc == OTR_OK ? add_name(out, &spec->new, err) : rc;
    return rc == OTR_OK ? otr_buf_addc(out, '\n', err) : rc;
}

/* ---- hunks ---- */

typedef struct hunk { /* lines of the window, half open */
    size_t a0, a1, b0, b1;
} hunk;

typedef struct writer {
    const otr_diff_spec *spec;
    const otr_diff_lines *w;
    otr_buf *out;
    size_t start; /* of `out` */
    otr_diff_stats stats;
    otr_err *err;
} writer;

static otr_code add_line(const writer *w, char sign, otr_bytes line)
{
    otr_code rc = otr_buf_addc(w->out, sign, w->err);
    rc = rc == OTR_OK ? otr_buf_add(w->out, line, w->err) : rc;
    if (rc == OTR_OK && (line.n == 0 || line.p[line.n - 1] != '\n')) {
        rc = otr_buf_adds(w->out, "\n\\ No newline at end of file\n", w->err);
    }
    return rc;
}

/* "first,count": of no lines, the one before. */
static otr_code add_range(const writer *w, size_t first, size_t n)
{
    first += w->w->before + (n > 0 ? 1 : 0);
    return n == 1 ? otr_buf_addf(w->out, w->err, "%zu", first)
                  : otr_buf_addf(w->out, w->err, "%zu,%zu", first, n);
}

static otr_code add_hunk(const writer *w, const hunk *h)
{
    const otr_diff_lines *l = w->w;
    otr_code rc = otr_buf_adds(w->out, "@@ -", w->err);
    rc = rc == OTR_OK ? add_range(w, h->a0, h->a1 - h->a0) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(w->out, " +", w->err) : rc;
    rc = rc == OTR_OK ? add_range(w, h->b0, h->b1 - h->b0) : rc;
    rc = rc == OTR_OK ? otr_buf_adds(w->out, " @@\n", w->err) : rc;
    size_t a = h->a0, b = h->b0;
    while (rc == OTR_OK && (a < h->a1 || b < h->b1)) {
        if (a < h->a1 && l->old.differs[a] != 0) {
            rc = add_line(w, '-', otr_diff_lines_at(&l->old, a++));
        } else if (b < h->b1 && l->new.differs[b] != 0) {
            rc = add_line(w, '+', otr_diff_lines_at(&l->new, b++));
        } else {
            rc = add_line(w, ' ', otr_diff_lines_at(&l->old, a++));
            b++;
        }
    }
    return rc;
}

static otr_code put_hunk(writer *w, const hunk *h)
{
    size_t mark = w->out->n;
    w->stats.hunks++;
    if (w->stats.hunks_left_out > 0) {
        w->stats.hunks_left_out++;
        return OTR_OK;
    }
    otr_code rc = add_hunk(w, h);
    bool over = w->spec->max_bytes > 0 && w->out->n - w->start > w->spec->max_bytes;
    if (over || (rc == OTR_EQUOTA && w->spec->max_bytes > 0)) {
        otr_buf_cut(w->out, mark);
        w->stats.hunks_left_out++;
        return OTR_OK;
    }
    return rc;
}

/* Steps over one line of either side, or an equal one of both; false: both sides are at their end.
 */
static bool step(const otr_diff_lines *l, size_t *a, size_t *b, bool *ret_equal)
{
    bool removed = *a < l->old.n && l->old.differs[*a] != 0;
    bool added = !removed && *b < l->new.n && l->new.differs[*b] != 0;
    if (*a == l->old.n && *b == l->new.n) {
        return false;
    }
    *a += !added;
    *b += !removed;
    *ret_equal = !removed && !added;
    return true;
}

/* The next run of changes with the lines around it; false: there is none. */
static bool next_hunk(const writer *w, size_t *a, size_t *b, hunk *ret)
{
    const otr_diff_lines *l = w->w;
    size_t context = w->spec->context, x = *a, y = *b, same = 0;
    bool equal = true;
    while (equal && step(l, &x, &y, &equal)) {
        *a = equal ? x : *a;
        *b = equal ? y : *b;
    }
    if (equal) {
        return false;
    }
    size_t lead = *a < context ? *a : context;
    *ret = (hunk){ *a - lead, x, *b - lead, y };
    while (same <= 2 * context && step(l, &x, &y, &equal)) {
        same = equal ? same + 1 : 0;
        ret->a1 = equal ? ret->a1 : x;
        ret->b1 = equal ? ret->b1 : y;
    }
    size_t rest = l->old.n - ret->a1, tail = rest < context ? rest : context;
    *a = ret->a1;
    *b = ret->b1;
    ret->a1 += tail;
    ret->b1 += tail;
    return true;
}

static otr_code add_hunks(writer *w)
{
    otr_code rc = OTR_OK;
    hunk h;
    for (size_t a = 0, b = 0; rc == OTR_OK && next_hunk(w, &a, &b, &h);) {
        rc = put_hunk(w, &h);
    }
    if (rc == OTR_OK && w->stats.hunks_left_out > 0) {
        rc = otr_buf_addf(w->out, w->err, "… %zu more hunks are not shown\n",
                          w->stats.hunks_left_out);
        rc = rc == OTR_EQUOTA ? OTR_OK : rc;
    }
    return rc;
}

/* ---- all of it ---- */

static otr_code write_lines(writer *w)
{
    otr_diff_lines lines;
    otr_code rc =
        otr_diff_lines_init(&lines, w->spec->old.text, w->spec->new.text, w->spec->context, w->err);
    if (rc == OTR_OK) {
        rc = otr_diff_lines_compare(&lines, &w->stats.coarse, w->err);
    }
    if (rc == OTR_OK) {
        w->w = &lines;
        w->stats.removed = otr_diff_lines_differ(&lines.old);
        w->stats.added = otr_diff_lines_differ(&lines.new);
        rc = add_hunks(w);
        w->w = NULL;
    }
    otr_diff_lines_deinit(&lines);
    return rc;
}

static otr_code write_hidden(const writer *w)
{
    const char *why = w->stats.kind == OTR_DIFF_SECRET ? "it holds a secret" : "it is binary";
    return otr_buf_addf(w->out, w->err, "%s, and is not shown (%zu bytes before, %zu after)\n", why,
                        w->spec->old.text.n, w->spec->new.text.n);
}

otr_code otr_diff_write(const otr_diff_spec *spec, otr_buf *out, otr_diff_stats *ret, otr_err *err)
{
    const otr_bytes *old = &spec->old.text, *new = &spec->new.text;
    writer w = { .spec = spec, .out = out, .start = out->n, .err = err };
    bool same = old->n == new->n && (old->n == 0 || memcmp(old->p, new->p, old->n) == 0);
    otr_code rc = OTR_OK;
    if (!same || spec->old.absent != spec->new.absent) {
        w.stats.kind = hides(spec);
        rc = add_head(spec, out, err);
        if (rc == OTR_OK) {
            rc = w.stats.kind == OTR_DIFF_SHOWN ? write_lines(&w) : write_hidden(&w);
        }
    }
    if (rc != OTR_OK) {
        otr_buf_cut(out, w.start);
    } else if (ret != NULL) {
        *ret = w.stats;
    }
    return rc;
}
