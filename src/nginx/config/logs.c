#include "nginx/config/logs.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "nginx/files.h"

enum { LOGS_MOST = 10000, FORMATS_MOST = 1000, FORMAT_BYTES = 65536, TABLE = 32768 };

static bool starts(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

bool otr_log_is_file(const char *path)
{
    static const char *const others[] = { "syslog:", "memory:", "/dev/", "/proc/", "|" };
    for (size_t i = 0; i < OTR_COUNT(others); i++) {
        if (starts(path, others[i])) {
            return false;
        }
    }
    return path[0] != '\0' && strcmp(path, "stderr") != 0 && strcmp(path, "stdout") != 0 &&
           strcmp(path, "off") != 0 && strchr(path, '$') == NULL;
}

otr_code otr_log_path(const otr_nginx_config_spec *spec, const char *path, char **ret, otr_err *err)
{
    otr_buf text;
    otr_buf_init(&text, OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_path_join(spec->prefix, path, &text, err);
    if (rc == OTR_OK) {
        *ret = otr_strdup(otr_buf_text(&text));
        rc = *ret != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    return rc;
}

void otr_log_scan_deinit(log_scan *s)
{
    for (size_t i = 0; i < s->n_formats; i++) {
        otr_free(s->formats[i].name);
        otr_free(s->formats[i].text);
    }
    for (size_t i = 0; i < s->n_levels; i++) {
        otr_free(s->levels[i].where);
        otr_free(s->levels[i].elsewhere);
    }
    for (size_t i = 0; i < s->n_uses; i++) {
        otr_free(s->uses[i].format);
        otr_free(s->uses[i].condition);
    }
    otr_free(s->formats);
    otr_free(s->levels);
    otr_free(s->uses);
    otr_free(s->pairs);
    otr_free(s->states);
    otr_free(s->by_pair);
    otr_free(s->table);
}

/* ---- log_format ---- */

/* NGINX reads each word of a format by itself: a variable at its end goes no further. */
static otr_code end_name(otr_buf *text, otr_err *err)
{
    char name[256];
    size_t at = text->n;
    while (at > 0 && (isalnum(text->p[at - 1]) != 0 || text->p[at - 1] == '_')) {
        at--;
    }
    size_t n = text->n - at;
    if (n == 0 || n >= sizeof(name) || at == 0 || text->p[at - 1] != '$') {
        return OTR_OK;
    }
    memcpy(name, text->p + at, n);
    name[n] = '\0';
    otr_buf_cut(text, at);
    return otr_buf_addf(text, err, "{%s}", name);
}

otr_code otr_log_scan_format(log_scan *s, const otr_directive *d, otr_err *err)
{
    if (d->n_args < 2 || s->n_formats >= FORMATS_MOST) {
        return OTR_OK;
    }
    otr_code rc = otr_grow(&s->formats, s->n_formats, &s->cap_formats, sizeof(*s->formats), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf text;
    otr_buf_init(&text, FORMAT_BYTES);
    for (size_t i = 1; rc == OTR_OK && i < d->n_args; i++) {
        rc = i > 1 ? end_name(&text, err) : OTR_OK;
        rc = rc == OTR_OK ? otr_buf_adds(&text, d->args[i], err) : rc;
        if (rc == OTR_OK && i == 1 && starts(d->args[i], "escape=")) {
            rc = otr_buf_addc(&text, ' ', err);
        }
    }
    scan_format f = { 0 };
    if (rc == OTR_OK) {
        f.name = otr_strdup(d->args[0]);
        f.text = otr_strdup(otr_buf_text(&text));
        rc = f.name != NULL && f.text != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    if (rc == OTR_OK) {
        s->formats[s->n_formats++] = f;
        return OTR_OK;
    }
    otr_free(f.name);
    otr_free(f.text);
    return rc;
}

/* The text of the format of that name: of formats alike the first one's. */
static const char *text_of(const log_scan *s, const char *name)
{
    if (name == NULL || strcmp(name, "combined") == 0) {
        return NULL;
    }
    for (size_t i = 0; i < s->n_formats; i++) {
        if (strcmp(s->formats[i].name, name) == 0) {
            size_t j = 0;
            while (strcmp(s->formats[j].text, s->formats[i].text) != 0) {
                j++;
            }
            return s->formats[j].text;
        }
    }
    return ""; /* where it is defined could not be read */
}

/* ---- access_log ---- */

static size_t slot_of(const log_scan *s, const char *path)
{
    uint32_t hash = 2166136261U;
    for (const char *p = path; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * 16777619U;
    }
    size_t slot = hash % TABLE;
    while (s->table[slot] != 0 &&
           strcmp(s->config->access_logs[s->table[slot] - 1].path, path) != 0) {
        slot = (slot + 1) % TABLE;
    }
    return slot;
}

/* The log of that path, made if there is none; `full` is set when there are too many. */
static otr_code get_log(log_scan *s, const char *path, size_t *ret, otr_err *err)
{
    otr_nginx_config *c = s->config;
    if (s->table == NULL && (s->table = otr_calloc(TABLE, sizeof(*s->table))) == NULL) {
        return otr_fail_nomem(err);
    }
    char *full = NULL;
    otr_code rc = otr_log_path(s->spec, path, &full, err);
    if (rc != OTR_OK) {
        return rc;
    }
    size_t slot = slot_of(s, full);
    s->full |= s->table[slot] == 0 && c->n_access_logs >= LOGS_MOST;
    if (s->table[slot] != 0 || c->n_access_logs >= LOGS_MOST) {
        *ret = s->table[slot] != 0 ? s->table[slot] - 1U : SIZE_MAX;
        otr_free(full);
        return OTR_OK;
    }
    size_t n = c->n_access_logs;
    rc = otr_grow(&c->access_logs, n, &s->cap_logs, sizeof(*c->access_logs), err);
    if (rc == OTR_OK) {
        rc = otr_grow(&s->states, n, &s->cap_states, sizeof(*s->states), err);
    }
    if (rc != OTR_OK) {
        otr_free(full);
        return rc;
    }
    c->access_logs[n] = (otr_nginx_log){ .path = full };
    s->states[n] = (log_state){ 0 };
    s->table[slot] = (uint16_t)++c->n_access_logs;
    *ret = n;
    return OTR_OK;
}

static otr_code get_level(log_scan *s, const otr_directive *d, size_t *level, otr_err *err)
{
    if (*level != LOG_LEVEL_NONE) {
        return OTR_OK;
    }
    otr_code rc = otr_grow(&s->levels, s->n_levels, &s->cap_levels, sizeof(*s->levels), err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_buf where;
    otr_buf_init(&where, 2 * OTR_NGINX_PATH_BYTES);
    rc = d->file != NULL ? otr_buf_addf(&where, err, "%s:%u", d->file, d->line)
                         : otr_buf_adds(&where, s->spec->config, err);
    char *text = rc == OTR_OK ? otr_strdup(otr_buf_text(&where)) : NULL;
    otr_buf_deinit(&where);
    if (text == NULL) {
        return otr_fail_nomem(err);
    }
    s->levels[s->n_levels++] = (log_level){ .where = text };
    *level = s->n_levels;
    return OTR_OK;
}

static otr_code set_elsewhere(log_level *level, const char *target, const char *what, otr_err *err)
{
    if (level->elsewhere != NULL || strcmp(target, "/dev/null") == 0) {
        return OTR_OK;
    }
    otr_buf text;
    otr_buf_init(&text, 2 * OTR_NGINX_PATH_BYTES);
    otr_code rc = otr_buf_addf(&text, err, "%s%s", target, what);
    if (rc == OTR_OK) {
        level->elsewhere = otr_strdup(otr_buf_text(&text));
        rc = level->elsewhere != NULL ? OTR_OK : otr_fail_nomem(err);
    }
    otr_buf_deinit(&text);
    return rc;
}

typedef struct options { /* of an access_log, borrowed */
    const char *condition;
    bool buffered, compressed;
} options;

static options options_of(const otr_directive *d)
{
    options o = { 0 };
    for (size_t i = 2; i < d->n_args; i++) {
        o.compressed |= starts(d->args[i], "gzip");
        o.buffered |= starts(d->args[i], "buffer=");
        o.condition = starts(d->args[i], "if=") ? d->args[i] + 3 : o.condition;
    }
    return o;
}

static otr_code add_use(log_scan *s, const otr_directive *d, const options *o, log_use use,
                        otr_err *err)
{
    otr_code rc = otr_grow(&s->uses, s->n_uses, &s->cap_uses, sizeof(*s->uses), err);
    if (rc != OTR_OK) {
        return rc;
    }
    use.order = s->n_uses;
    use.repeats = 1;
    use.buffered = o->buffered;
    use.format = d->n_args > 1 ? otr_strdup(d->args[1]) : NULL;
    use.condition = o->condition != NULL ? otr_strdup(o->condition) : NULL;
    if ((use.format == NULL && d->n_args > 1) || (use.condition == NULL && o->condition != NULL)) {
        otr_free(use.format);
        otr_free(use.condition);
        return otr_fail_nomem(err);
    }
    s->uses[s->n_uses++] = use;
    return OTR_OK;
}

otr_code otr_log_scan_use(log_scan *s, const otr_directive *d, size_t *level, otr_err *err)
{
    otr_code rc = get_level(s, d, level, err);
    if (rc != OTR_OK) {
        return rc;
    }
    log_level *l = &s->levels[*level - 1];
    const char *target = d->args[0];
    options o = options_of(d);
    if (strcmp(target, "off") == 0) {
        l->off = true;
        return OTR_OK;
    }
    if (!otr_log_is_file(target)) {
        bool variable = strchr(target, '$') != NULL && !starts(target, "syslog:");
        return set_elsewhere(l, target, variable ? " (a name with variables)" : "", err);
    }
    if (o.compressed) {
        return set_elsewhere(l, target, " (compressed)", err);
    }
    log_use use = { .level = *level - 1 };
    rc = get_log(s, target, &use.log, err);
    return rc == OTR_OK && use.log != SIZE_MAX ? add_use(s, d, &o, use, err) : rc;
}

void otr_log_scan_mark(log_scan *s, size_t level)
{
    if (level != LOG_LEVEL_NONE) {
        s->levels[level - 1].used = true;
    }
}

/* ---- the end ---- */

static int by_level(const void *a, const void *b)
{
    const log_use *x = a, *y = b;
    if (x->level != y->level) {
        return x->level < y->level ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static otr_code get_pair(log_scan *s, log_use *u, otr_err *err)
{
    const char *text = text_of(s, u->format);
    size_t *link = &s->states[u->log].first_pair;
    while (*link != 0) {
        log_pair *p = &s->pairs[*link - 1];
        if (p->text == text || (text != NULL && p->text != NULL && strcmp(p->text, text) == 0)) {
            u->pair = *link - 1;
            return OTR_OK;
        }
        link = &p->next;
    }
    u->pair = s->n_pairs;
    *link = s->n_pairs + 1; /* before the list moves */
    otr_code rc = otr_grow(&s->pairs, s->n_pairs, &s->cap_pairs, sizeof(*s->pairs), err);
    if (rc == OTR_OK) {
        s->pairs[s->n_pairs++] = (log_pair){ .log = u->log, .text = text };
    }
    return rc;
}

/* Uses of a level that write the same lines become one. */
static otr_code merge_uses(log_scan *s, otr_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n_uses; i++) {
        log_use *u = &s->uses[i];
        otr_code rc = get_pair(s, u, err);
        if (rc != OTR_OK) {
            return rc;
        }
        log_level *l = &s->levels[u->level];
        log_use *twin = NULL;
        for (size_t j = 0; j < l->n_uses && twin == NULL; j++) {
            log_use *other = &s->uses[l->first_use + j];
            twin = other->pair == u->pair ? other : NULL;
        }
        if (twin == NULL) {
            l->first_use = l->n_uses == 0 ? kept : l->first_use;
            l->n_uses++;
            log_use moved = *u;
            u->format = u->condition = NULL;
            s->uses[kept++] = moved;
            continue;
        }
        twin->repeats++;
        twin->mixed |= !same(twin->condition, u->condition);
        otr_free(u->format);
        otr_free(u->condition);
        u->format = u->condition = NULL;
    }
    s->n_uses = kept;
    return OTR_OK;
}

static otr_code index_pairs(log_scan *s, otr_err *err)
{
    s->by_pair = otr_calloc(s->n_uses + 1, sizeof(*s->by_pair));
    if (s->by_pair == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < s->n_uses; i++) {
        const log_use *u = &s->uses[i];
        log_pair *p = &s->pairs[u->pair];
        p->repeats = p->n_uses == 0 || p->repeats == u->repeats ? u->repeats : 0;
        p->n_uses++;
    }
    size_t at = 0;
    for (size_t i = 0; i < s->n_pairs; i++) {
        s->pairs[i].first_by = at;
        at += s->pairs[i].n_uses;
        s->pairs[i].n_uses = 0;
    }
    for (size_t i = 0; i < s->n_uses; i++) {
        log_pair *p = &s->pairs[s->uses[i].pair];
        s->by_pair[p->first_by + p->n_uses++] = i;
    }
    return OTR_OK;
}

static otr_code exclude_logs(log_scan *s, otr_err *err)
{
    for (const char *const *p = s->spec->exclude; p != NULL && *p != NULL; p++) {
        regex_t pattern;
        int rc = regcomp(&pattern, *p, REG_EXTENDED | REG_NOSUB);
        if (rc == REG_ESPACE) {
            return otr_fail_nomem(err);
        }
        for (size_t i = 0; rc == 0 && i < s->config->n_access_logs; i++) {
            s->states[i].excluded |=
                regexec(&pattern, s->config->access_logs[i].path, 0, NULL, 0) == 0;
        }
        if (rc == 0) {
            regfree(&pattern);
        }
    }
    return OTR_OK;
}

/* What is no file to follow shows now; a file that is not there yet, or that may not be read, may
 * be there, or be readable, later. */
static otr_code look_at_logs(log_scan *s, otr_err *err)
{
    for (size_t i = 0; s->look && i < s->config->n_access_logs; i++) {
        otr_nginx_log *log = &s->config->access_logs[i];
        int fd;
        otr_err why;
        otr_code rc = otr_root_open_file(s->spec->root, log->path, &fd, NULL, &why);
        if (rc == OTR_OK) {
            close(fd);
        } else if (rc == OTR_ENOMEM) {
            return otr_fail_nomem(err);
        } else if (why.sys == 0) {
            log->refused = otr_strdup(why.msg);
            if (log->refused == NULL) {
                return otr_fail_nomem(err);
            }
        } else {
            s->states[i].unreadable = why.sys != ENOENT;
        }
    }
    return OTR_OK;
}

static otr_code copy_pair(const log_pair *p, otr_nginx_log *log, otr_err *err)
{
    otr_nginx_log_format *f = &log->formats[log->n_formats];
    if (p->text != NULL && (f->text = otr_strdup(p->text)) == NULL) {
        return otr_fail_nomem(err);
    }
    f->spare = !p->chosen;
    f->repeats = p->repeats > 0 ? p->repeats : 1;
    log->n_formats++;
    return OTR_OK;
}

/* Chosen ones first, each kind in order of appearance. */
static otr_code fill_log(log_scan *s, size_t i, otr_err *err)
{
    otr_nginx_log *log = &s->config->access_logs[i];
    size_t n = 0;
    for (size_t p = s->states[i].first_pair; p != 0; p = s->pairs[p - 1].next) {
        n++;
    }
    log->formats = otr_calloc(n + 1, sizeof(*log->formats));
    if (log->formats == NULL) {
        return otr_fail_nomem(err);
    }
    for (unsigned spare = 0; spare < 2; spare++) {
        for (size_t p = s->states[i].first_pair; p != 0; p = s->pairs[p - 1].next) {
            if (s->pairs[p - 1].chosen == (spare == 0)) {
                otr_code rc = copy_pair(&s->pairs[p - 1], log, err);
                if (rc != OTR_OK) {
                    return rc;
                }
            }
        }
    }
    const char *first = log->formats[0].text;
    log->format = first != NULL ? otr_strdup(first) : NULL;
    return first == NULL || log->format != NULL ? OTR_OK : otr_fail_nomem(err);
}

otr_code otr_log_scan_finish(log_scan *s, otr_err *err)
{
    if (s->n_uses > 0) {
        qsort(s->uses, s->n_uses, sizeof(*s->uses), by_level);
    }
    otr_code rc = merge_uses(s, err);
    if (rc == OTR_OK) {
        rc = index_pairs(s, err);
    }
    if (rc == OTR_OK) {
        rc = exclude_logs(s, err);
    }
    if (rc == OTR_OK) {
        rc = look_at_logs(s, err);
    }
    if (rc == OTR_OK) {
        rc = otr_log_scan_choose(s, err);
    }
    for (size_t i = 0; rc == OTR_OK && i < s->config->n_access_logs; i++) {
        rc = fill_log(s, i, err);
    }
    if (rc == OTR_OK && s->full) {
        rc = otr_remark(&s->config->remarks, err,
                        "there are more than %d access logs: the rest is not followed", LOGS_MOST);
    }
    return rc;
}
