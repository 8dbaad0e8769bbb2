#include "nginx/language/walk.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/limits.h"
#include "nginx/files.h"
#include "nginx/language/reader.h"

typedef struct frame { /* one file being read; the stack is the chain of includes */
    const struct frame *parent;
    const char *file;
    unsigned depth;
} frame;

typedef struct walker {
    const otr_root *root;
    const char *dir; /* of the main file; NULL: includes are not followed */
    const otr_visitor *visitor;
    unsigned blocks;  /* open ones, in all files */
    otr_buf words;    /* of the present directive, each ended by a NUL */
    otr_buf pointers; /* const char * into `words` */
    otr_walk_stats stats;
} walker;

static otr_code walk_file(walker *w, frame *f, otr_bytes text, otr_err *err);

/* The words with their escapes resolved, each ended by a NUL. */
static otr_code resolve_words(walker *w, const frame *f, const otr_item *item, otr_err *err)
{
    otr_buf_clear(&w->words);
    for (size_t i = 0; i < item->n_words; i++) {
        otr_code rc = otr_token_text(&item->words[i], &w->words, err);
        if (rc == OTR_OK) {
            rc = otr_buf_addc(&w->words, '\0', err);
        }
        if (rc != OTR_OK) {
            return otr_wrap(err, rc, "%s:%u", f->file, item->words[i].line);
        }
    }
    return OTR_OK;
}

/* Points at each of the `n` words: only now that the buffer no longer moves. */
static otr_code point_at_words(walker *w, size_t n, otr_err *err)
{
    otr_buf_clear(&w->pointers);
    const char *word = otr_buf_text(&w->words);
    for (size_t i = 0; i < n; i++) {
        otr_code rc =
            otr_buf_add(&w->pointers, (otr_bytes){ (const uint8_t *)&word, sizeof(word) }, err);
        if (rc != OTR_OK) {
            return rc;
        }
        word += strlen(word) + 1;
    }
    return OTR_OK;
}

typedef struct includer { /* an `include` that is being followed */
    walker *w;
    const char *file;
    unsigned line;
} includer;

static otr_code tell_unseen(void *arg, const otr_err *why, otr_err *err)
{
    const includer *i = arg;
    otr_unseen unseen = { .file = i->file, .line = i->line, .why = why };
    return i->w->visitor->unseen(i->w->visitor->arg, &unseen, err);
}

static otr_code tell_looked(void *arg, const char *path, const struct stat *st, otr_err *err)
{
    const includer *i = arg;
    return i->w->visitor->visit(i->w->visitor->arg, path, st, NULL, err);
}

static otr_code include_paths(includer *i, const char *pattern, otr_paths *out, otr_err *err)
{
    const walker *w = i->w;
    otr_buf path;
    otr_buf_init(&path, OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(w->dir, pattern, &path, err);
    if (rc == OTR_OK) {
        otr_glob glob = { .pattern = otr_buf_text(&path),
                          .max = OTR_LIMIT_NGINX_CONFIG_FILES,
                          .unseen = w->visitor->unseen != NULL ? tell_unseen : NULL,
                          .looked = w->visitor->visit != NULL ? tell_looked : NULL,
                          .arg = i };
        rc = otr_is_glob(pattern)
                 ? otr_root_glob(w->root, &glob, out, err)
                 : otr_paths_add(out, otr_buf_text(&path), OTR_LIMIT_NGINX_CONFIG_FILES, err);
    }
    otr_buf_deinit(&path);
    return rc;
}

/* What keeps the walk finite. */
static otr_code check_file(const walker *w, const frame *f, otr_err *err)
{
    for (const frame *up = f->parent; up != NULL; up = up->parent) {
        if (strcmp(up->file, f->file) == 0) {
            return otr_fail(err, OTR_EINVAL, "%s includes itself", f->file);
        }
    }
    if (f->depth > OTR_LIMIT_NGINX_INCLUDE_DEPTH) {
        return otr_fail(err, OTR_EQUOTA, "%s is included more than %d deep", f->file,
                        OTR_LIMIT_NGINX_INCLUDE_DEPTH);
    }
    if (w->stats.files >= OTR_LIMIT_NGINX_CONFIG_FILES) {
        return otr_fail(err, OTR_EQUOTA, "more than %d files", OTR_LIMIT_NGINX_CONFIG_FILES);
    }
    return w->stats.bytes <= 8ULL * OTR_LIMIT_NGINX_CONFIG_BYTES
               ? OTR_OK
               : otr_fail(err, OTR_EQUOTA, "the files together are larger than %u bytes",
                          8 * OTR_LIMIT_NGINX_CONFIG_BYTES);
}

static otr_code load_file(walker *w, const frame *f, otr_buf *out, otr_err *err)
{
    otr_buf_init(out, OTR_LIMIT_NGINX_CONFIG_BYTES);
    struct stat st;
    otr_code rc = otr_root_read(w->root, f->file, out, &st, err);
    w->stats.files++;
    if (rc == OTR_OK && w->visitor->visit != NULL) {
        otr_bytes text = otr_buf_bytes(out);
        rc = w->visitor->visit(w->visitor->arg, f->file, &st, &text, err);
    }
    w->stats.bytes += out->n;
    return rc;
}

static otr_code include_file(includer *i, const frame *parent, const char *file, otr_err *err)
{
    walker *w = i->w;
    frame f = { .parent = parent, .file = file, .depth = parent->depth + 1 };
    otr_buf text;
    otr_buf_init(&text, 0);
    otr_err why = { 0 };
    otr_code rc = check_file(w, &f, err);
    otr_code read = rc == OTR_OK ? load_file(w, &f, &text, &why) : OTR_OK;
    if (rc == OTR_OK && read == OTR_OK) {
        rc = walk_file(w, &f, otr_buf_bytes(&text), err);
    } else if (rc == OTR_OK && read != OTR_ENOMEM && w->visitor->unseen != NULL) {
        rc = tell_unseen(i, &why, err);
    } else {
        rc = rc != OTR_OK ? otr_wrap(err, rc, "%s:%u", parent->file, i->line)
                          : otr_fail(err, read, "%s:%u: %s", parent->file, i->line, why.msg);
    }
    otr_buf_deinit(&text);
    return rc;
}

static otr_code follow_include(walker *w, const frame *f, const otr_directive *d, otr_err *err)
{
    unsigned line = d->line;
    includer i = { .w = w, .file = f->file, .line = line };
    if (d->n_args != 1 || d->block) {
        return otr_fail(err, OTR_EINVAL, "%s:%u: include takes one argument and \";\"", f->file,
                        line);
    }
    otr_paths paths = { 0 };
    otr_code rc = include_paths(&i, d->args[0], &paths, err);
    if (rc != OTR_OK) {
        rc = otr_wrap(err, rc, "%s:%u", f->file, line);
    }
    /* From here on `d` is void: the included file's words take the place of its own. */
    for (size_t n = 0; rc == OTR_OK && n < paths.n; n++) {
        rc = include_file(&i, f, paths.items[n], err);
    }
    otr_paths_deinit(&paths);
    return rc;
}

static otr_code walk_directive(walker *w, const frame *f, const otr_directive *d, otr_err *err)
{
    w->stats.directives++;
    otr_code rc = w->visitor->enter(w->visitor->arg, d, err);
    if (rc != OTR_OK) {
        return rc == OTR_ENOMEM ? rc : otr_wrap(err, rc, "%s:%u: %s", f->file, d->line, d->name);
    }
    if (w->dir != NULL && strcmp(d->name, "include") == 0) {
        rc = follow_include(w, f, d, err);
    }
    return rc;
}

static void close_block(walker *w, unsigned *blocks_here)
{
    w->visitor->leave(w->visitor->arg);
    w->blocks--;
    --*blocks_here;
}

static otr_code one_item(walker *w, const frame *f, const otr_item *item, unsigned *blocks_here,
                         otr_err *err)
{
    if (item->kind == OTR_ITEM_CLOSE) {
        close_block(w, blocks_here);
        return OTR_OK;
    }
    otr_code rc = resolve_words(w, f, item, err);
    if (rc == OTR_OK) {
        rc = point_at_words(w, item->n_words, err);
    }
    if (rc != OTR_OK) {
        return rc;
    }
    const char *const *words = (const char *const *)(const void *)w->pointers.p;
    otr_directive d = { .name = words[0],
                        .args = words + 1,
                        .n_args = item->n_words - 1,
                        .block = item->kind == OTR_ITEM_BLOCK,
                        .file = f->file,
                        .line = item->line };
    rc = walk_directive(w, f, &d, err);
    if (rc == OTR_OK && item->kind == OTR_ITEM_BLOCK) {
        w->blocks++;
        ++*blocks_here;
    }
    return rc;
}

static otr_code walk_file(walker *w, frame *f, otr_bytes text, otr_err *err)
{
    otr_reader reader;
    otr_reader_init(&reader, text, f->file);
    reader.outer = w->blocks;
    unsigned blocks_here = 0;
    otr_item item = { 0 };
    otr_code rc = OTR_OK;
    while (rc == OTR_OK && item.kind != OTR_ITEM_END) {
        rc = otr_reader_next(&reader, &item, err);
        if (rc == OTR_OK && item.kind != OTR_ITEM_END) {
            rc = one_item(w, f, &item, &blocks_here, err);
        }
    }
    while (blocks_here > 0) { /* after an error: the visitor sees every block end */
        close_block(w, &blocks_here);
    }
    otr_reader_deinit(&reader);
    return rc;
}

static void init_walker(walker *w, const otr_root *root, const otr_visitor *visitor)
{
    *w = (walker){ .root = root, .visitor = visitor };
    otr_buf_init(&w->words, 2 * OTR_LIMIT_NGINX_CONFIG_BYTES);
    otr_buf_init(&w->pointers, sizeof(char *) * OTR_LIMIT_NGINX_CONFIG_BYTES);
}

static void deinit_walker(walker *w)
{
    otr_buf_deinit(&w->words);
    otr_buf_deinit(&w->pointers);
}

otr_code otr_nginx_walk(const otr_root *root, const char *config, const otr_visitor *visitor,
                        otr_walk_stats *ret, otr_err *err)
{
    walker w;
    init_walker(&w, root, visitor);
    const char *slash = strrchr(config, '/');
    char *dir = otr_strndup(config, slash != NULL ? (size_t)(slash - config) : 0);
    otr_buf text;
    otr_buf_init(&text, 0);
    otr_code rc = dir != NULL ? OTR_OK : otr_fail_nomem(err);
    if (rc == OTR_OK) {
        w.dir = dir;
        frame f = { .file = config };
        rc = check_file(&w, &f, err);
        rc = rc == OTR_OK ? load_file(&w, &f, &text, err) : rc;
        if (rc == OTR_OK) {
            rc = walk_file(&w, &f, otr_buf_bytes(&text), err);
        }
    }
    if (ret != NULL) {
        *ret = w.stats;
    }
    otr_buf_deinit(&text);
    otr_free(dir);
    deinit_walker(&w);
    return rc;
}

otr_code otr_nginx_walk_text(otr_bytes text, const char *name, const otr_visitor *visitor,
                             otr_err *err)
{
    walker w;
    init_walker(&w, NULL, visitor);
    frame f = { .file = name };
    otr_code rc = walk_file(&w, &f, text, err);
    deinit_walker(&w);
    return rc;
}
