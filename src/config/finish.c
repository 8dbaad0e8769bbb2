#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/scalar.h"
#include "config/settings.h"

/* Always allowed: the agent's own files are there. */
static const char own_folder[] = "/etc/nginx-agent";

/* NGINX Agent's rule: absolute, printable ASCII without spaces, no ".." and no "*". */
static bool is_good_folder(const char *path)
{
    for (const char *p = path; *p != '\0'; p++) {
        if (*p <= ' ' || *p > '~' || *p == '*') {
            return false;
        }
    }
    return path[0] == '/' && strstr(path, "..") == NULL;
}

/* Drops empty and "." parts and the last '/', in place. */
static void clean_path(char *path)
{
    char *to = path;
    for (const char *from = path; *from != '\0';) {
        size_t n = strcspn(from + 1, "/");
        bool nothing = n == 0 || (n == 1 && from[1] == '.');
        if (!nothing) {
            memmove(to, from, n + 1);
            to += n + 1;
        }
        from += n + 1;
    }
    if (to == path) {
        *to++ = '/';
    }
    *to = '\0';
}

static bool has(const char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static const char *name_of_place(const otr_setting *s)
{
    return s->from[0] != '\0' ? s->from : "default";
}

static otr_code clean_folders(otr_config *cfg, otr_setting *s, otr_err *err)
{
    size_t most = 2;
    while (s->list[most - 2] != NULL) {
        most++;
    }
    const char **good = otr_arena_alloc(&cfg->arena, most, sizeof(*good));
    if (good == NULL) {
        return otr_fail_nomem(err);
    }
    size_t n = 0;
    good[n++] = own_folder;
    for (const char *const *given = s->list; *given != NULL; given++) {
        char *path = otr_arena_strdup(&cfg->arena, *given);
        if (path == NULL) {
            return otr_fail_nomem(err);
        }
        bool ok = is_good_folder(path);
        if (ok) {
            clean_path(path);
        }
        if (!ok || strcmp(path, "/") == 0) {
            char show[OTR_SCALAR_SHOW_BYTES];
            otr_code rc = otr_settings_warn(
                cfg, err,
                "%s: %s: ignoring invalid directory \"%s\": it must be absolute, not "
                "\"/\", without white space, \"..\" and \"*\"",
                name_of_place(s), s->key->path, otr_scalar_show(*given, show));
            if (rc != OTR_OK) {
                return rc;
            }
        } else if (!has(good, n, path)) {
            good[n++] = path;
        }
    }
    s->list = good;
    return OTR_OK;
}

static otr_code clean_labels(otr_config *cfg, otr_setting *s, otr_err *err)
{
    size_t n = 0;
    while (s->list[n] != NULL) {
        n += 2;
    }
    const char **good = otr_arena_alloc(&cfg->arena, n + 1, sizeof(*good));
    if (good == NULL) {
        return otr_fail_nomem(err);
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i += 2) {
        if (s->list[i][0] != '\0' && otr_label_type_of(s->list[i + 1]) != OTR_LABEL_BAD) {
            good[kept++] = s->list[i];
            good[kept++] = s->list[i + 1];
            continue;
        }
        char name[OTR_SCALAR_SHOW_BYTES];
        char show[OTR_SCALAR_SHOW_BYTES];
        otr_code rc = otr_settings_warn(
            cfg, err,
            "%s: %s: ignoring label \"%s\" with the value \"%s\": expected letters, "
            "digits and, between them, \"-\", \"_\" and \".\", at most 256",
            name_of_place(s), s->key->path, otr_scalar_show(s->list[i], name),
            otr_scalar_show(s->list[i + 1], show));
        if (rc != OTR_OK) {
            return rc;
        }
    }
    s->list = good;
    return OTR_OK;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; *p != '\0';) {
        size_t len = strcspn(p, "|");
        if (len == n && strncasecmp(p, text, n) == 0) {
            return true;
        }
        p += len + (p[len] == '|');
    }
    return false;
}

static otr_code check_choice(otr_config *cfg, otr_setting *s, otr_err *err)
{
    if (is_choice(s->key->choices, s->text)) {
        return OTR_OK;
    }
    char show[OTR_SCALAR_SHOW_BYTES];
    otr_code rc = otr_settings_warn(
        cfg, err, "%s: %s: expected one of %s, got \"%s\"; using \"%s\"", name_of_place(s),
        s->key->path, s->key->choices, otr_scalar_show(s->text, show), s->key->def);
    s->text = s->key->def;
    return rc;
}

/* An interval of nothing would keep the agent busy with nothing else. */
static otr_code keep_floor(otr_config *cfg, otr_setting *s, otr_err *err)
{
    uint64_t floor_ns = (uint64_t)s->key->min * 1000000;
    if (s->ns >= floor_ns) {
        return OTR_OK;
    }
    char show[OTR_SCALAR_SHOW_BYTES];
    char used[32];
    (void)snprintf(used, sizeof(used), "%" PRId64 "ms", s->key->min);
    otr_code rc =
        otr_settings_warn(cfg, err, "%s: %s: %s is less than the least there may be; using %s",
                          name_of_place(s), s->key->path, otr_scalar_show(s->text, show), used);
    char *text = otr_arena_strdup(&cfg->arena, used);
    if (rc == OTR_OK && text == NULL) {
        rc = otr_fail_nomem(err);
    }
    if (rc == OTR_OK) {
        s->ns = floor_ns;
        s->text = text;
    }
    return rc;
}

otr_code otr_settings_finish(otr_config *cfg, otr_err *err)
{
    otr_code rc = OTR_OK;
    for (size_t i = 0; i < cfg->n && rc == OTR_OK; i++) {
        otr_setting *s = &cfg->settings[i];
        if (s->key->flags & OTR_KEY_FOLDERS) {
            rc = clean_folders(cfg, s, err);
        } else if (s->key->type == OTR_KEY_LABELS) {
            rc = clean_labels(cfg, s, err);
        } else if (s->key->type == OTR_KEY_DURATION) {
            rc = keep_floor(cfg, s, err);
        } else if (s->key->choices != NULL) {
            rc = check_choice(cfg, s, err);
        }
    }
    return rc;
}
