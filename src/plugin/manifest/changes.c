#include "plugin/manifest/changes.h"

#include <string.h>

#include "base/texts.h"

enum { BOTH = OTR_NARROWER | OTR_WIDER };

typedef unsigned comparison(const otr_manifest *a, const otr_manifest *b);

/* ---- values ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool has_all(char *const *of, char *const *list)
{
    for (; list != NULL && *list != NULL; list++) {
        if (!otr_texts_have(of, *list)) {
            return false;
        }
    }
    return true;
}

/* Of lists that allow what they name; their order means nothing. */
static unsigned allowed(char *const *a, char *const *b)
{
    return (has_all(b, a) ? 0U : OTR_NARROWER) | (has_all(a, b) ? 0U : OTR_WIDER);
}

static unsigned number(uint64_t a, uint64_t b)
{
    return b < a ? OTR_NARROWER : b > a ? OTR_WIDER : OTR_SAME;
}

static unsigned text(const char *a, const char *b)
{
    return same_text(a, b) ? OTR_SAME : BOTH;
}

/* NULL is not the same as an empty list. */
static unsigned replaced(char *const *a, char *const *b)
{
    return (a == NULL && b == NULL) || otr_texts_same(a, b) ? OTR_SAME : BOTH;
}

/* ---- code ---- */

static unsigned other(const char *a, const char *b)
{
    return same_text(a, b) ? OTR_SAME : OTR_WIDER;
}

static unsigned source(const otr_manifest *a, const otr_manifest *b)
{
    return other(a->source, b->source);
}

static unsigned abi(const otr_manifest *a, const otr_manifest *b)
{
    return other(a->abi, b->abi);
}

static unsigned engine(const otr_manifest *a, const otr_manifest *b)
{
    return other(a->engine, b->engine);
}

static unsigned encoding(const otr_manifest *a, const otr_manifest *b)
{
    return a->encoding == b->encoding ? OTR_SAME : OTR_WIDER;
}

static unsigned operations(const otr_manifest *a, const otr_manifest *b)
{
    return otr_mapping_asks_alike(&a->mapping, &b->mapping) ? OTR_SAME : OTR_WIDER;
}

static unsigned version(const otr_manifest *a, const otr_manifest *b)
{
    return other(a->mapping.version, b->mapping.version);
}

static unsigned input(const otr_manifest *a, const otr_manifest *b)
{
    return otr_mapping_gives_alike(&a->mapping, &b->mapping) ? OTR_SAME : OTR_WIDER;
}

static unsigned answers(const otr_manifest *a, const otr_manifest *b)
{
    return other(a->mapping.publish, b->mapping.publish);
}

static bool module_in(const otr_manifest *m, const otr_module_file *file)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        const otr_module_file *other = &m->modules[i];
        if (same_text(other->name, file->name) && same_text(other->source, file->source) &&
            (file->sha256 == NULL || same_text(other->sha256, file->sha256))) {
            return true;
        }
    }
    return false;
}

/* Narrower: `b` pins a module, or names one, that `a` did not. */
static unsigned modules(const otr_manifest *a, const otr_manifest *b)
{
    unsigned bits = OTR_SAME;
    for (size_t i = 0; i < b->n_modules; i++) {
        bits |= module_in(a, &b->modules[i]) ? 0U : b->modules[i].sha256 != NULL ? BOTH : OTR_WIDER;
    }
    for (size_t i = 0; i < a->n_modules; i++) {
        bits |= module_in(b, &a->modules[i]) ? 0U : OTR_WIDER;
    }
    return bits;
}

static unsigned rest(const otr_manifest *a, const otr_manifest *b)
{
    return other(a->identity, b->identity);
}

static unsigned config(const otr_manifest *a, const otr_manifest *b)
{
    return other(a->config_json, b->config_json);
}

/* ---- trust ---- */

static unsigned sha256(const otr_manifest *a, const otr_manifest *b)
{
    return same_text(a->sha256, b->sha256) ? OTR_SAME : b->sha256 != NULL ? BOTH : OTR_WIDER;
}

static unsigned signature(const otr_manifest *a, const otr_manifest *b)
{
    if (!b->signed_needed) {
        return a->signed_needed ? OTR_WIDER : OTR_SAME;
    }
    return !a->signed_needed ? OTR_NARROWER : text(a->signature, b->signature);
}

static unsigned trust_keys(const otr_manifest *a, const otr_manifest *b)
{
    return allowed(a->trust_keys, b->trust_keys);
}

static unsigned revoked(const otr_manifest *a, const otr_manifest *b)
{
    return allowed(b->revoked, a->revoked); /* what it names is what is not allowed */
}

/* ---- grants ---- */

static unsigned publish(const otr_manifest *a, const otr_manifest *b)
{
    return allowed(a->publish, b->publish);
}

static bool same_grant(const otr_http_grant *a, const otr_http_grant *b)
{
    return replaced(a->methods, b->methods) == OTR_SAME &&
           replaced(a->hosts, b->hosts) == OTR_SAME && replaced(a->paths, b->paths) == OTR_SAME &&
           a->n_ports == b->n_ports &&
           memcmp(a->ports, b->ports, a->n_ports * sizeof(a->ports[0])) == 0 &&
           a->http == b->http && a->https == b->https && same_text(a->ca, b->ca);
}

static bool has_grants(const otr_http_grants *of, const otr_http_grants *list)
{
    for (size_t i = 0; i < list->n; i++) {
        size_t k = 0;
        while (k < of->n && !same_grant(&of->items[k], &list->items[i])) {
            k++;
        }
        if (k == of->n) {
            return false;
        }
    }
    return true;
}

static unsigned http(const otr_manifest *a, const otr_manifest *b)
{
    return (has_grants(&b->http, &a->http) ? 0U : OTR_NARROWER) |
           (has_grants(&a->http, &b->http) ? 0U : OTR_WIDER);
}

static unsigned see_instances(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->see_instances, b->see_instances);
}

static unsigned see_config(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->see_config, b->see_config);
}

static unsigned metrics(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->metrics, b->metrics);
}

static unsigned kv_bytes(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->kv_bytes, b->kv_bytes);
}

static unsigned env(const otr_manifest *a, const otr_manifest *b)
{
    return allowed(a->env_names, b->env_names);
}

static bool has_secrets(char *const *of, char *const *list)
{
    for (; list != NULL && *list != NULL; list += 2) {
        char *const *at = of;
        while (at != NULL && *at != NULL &&
               (strcmp(at[0], list[0]) != 0 || strcmp(at[1], list[1]) != 0)) {
            at += 2;
        }
        if (at == NULL || *at == NULL) {
            return false;
        }
    }
    return true;
}

static unsigned secrets(const otr_manifest *a, const otr_manifest *b)
{
    return (has_secrets(b->secrets, a->secrets) ? 0U : OTR_NARROWER) |
           (has_secrets(a->secrets, b->secrets) ? 0U : OTR_WIDER);
}

static bool has_dirs(const otr_manifest *of, const otr_manifest *list)
{
    for (size_t i = 0; i < list->wasi.n_dirs; i++) {
        const struct otr_wasi_dir *dir = &list->dirs[i];
        size_t k = 0;
        while (k < of->wasi.n_dirs && (strcmp(of->dirs[k].host, dir->host) != 0 ||
                                       strcmp(of->dirs[k].guest, dir->guest) != 0 ||
                                       of->dirs[k].writable < dir->writable)) {
            k++;
        }
        if (k == of->wasi.n_dirs) {
            return false;
        }
    }
    return true;
}

static unsigned paths(const otr_manifest *a, const otr_manifest *b)
{
    return (has_dirs(b, a) ? 0U : OTR_NARROWER) | (has_dirs(a, b) ? 0U : OTR_WIDER);
}

/* ---- limits ---- */

static unsigned memory(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->memory_bytes, b->memory_bytes);
}

static unsigned vars(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->vars_bytes, b->vars_bytes);
}

static unsigned recycle(const otr_manifest *a, const otr_manifest *b)
{
    return a->recycle_bytes == b->recycle_bytes ? OTR_SAME : BOTH;
}

static unsigned zero(const otr_manifest *a, const otr_manifest *b)
{
    return a->zeroing == b->zeroing ? OTR_SAME : BOTH;
}

static unsigned call(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->call_ns, b->call_ns);
}

static unsigned init(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->init_ns, b->init_ns);
}

static unsigned queue(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->queue, b->queue);
}

static unsigned rate(const otr_manifest *a, const otr_manifest *b)
{
    return number((uint64_t)a->publish_per_s - 1, (uint64_t)b->publish_per_s - 1); /* 0: no bound */
}

/* ---- life ---- */

static unsigned subscribe(const otr_manifest *a, const otr_manifest *b)
{
    return replaced(a->subscribe, b->subscribe);
}

static unsigned hooks(const otr_manifest *a, const otr_manifest *b)
{
    return replaced(a->hooks, b->hooks);
}

static unsigned after(const otr_manifest *a, const otr_manifest *b)
{
    return allowed(a->after, b->after);
}

static unsigned on_failure(const otr_manifest *a, const otr_manifest *b)
{
    return a->on_failure == b->on_failure ? OTR_SAME : BOTH;
}

static unsigned restart(const otr_manifest *a, const otr_manifest *b)
{
    const otr_restart *x = &a->restart, *y = &b->restart;
    return x->backoff_ns == y->backoff_ns && x->backoff_max_ns == y->backoff_max_ns &&
                   x->failures == y->failures && x->window_ns == y->window_ns
               ? OTR_SAME
               : BOTH;
}

static unsigned instances(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->instances, b->instances);
}

static unsigned off(const otr_manifest *a, const otr_manifest *b)
{
    return number(b->off, a->off);
}

/* ---- for all plugins ---- */

static unsigned watch(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->watch, b->watch);
}

static unsigned ca(const otr_manifest *a, const otr_manifest *b)
{
    return text(a->ca, b->ca);
}

static unsigned downloads(const otr_manifest *a, const otr_manifest *b)
{
    return text(a->downloads, b->downloads);
}

static unsigned fetch(const otr_manifest *a, const otr_manifest *b)
{
    return number(a->fetch_ns, b->fetch_ns);
}

static unsigned store(const otr_manifest *a, const otr_manifest *b)
{
    return text(a->store, b->store);
}

/* ---- the table ---- */

static const struct setting {
    const char *name;
    comparison *compare;
    otr_setting_kind kind;
    bool shared; /* said for all plugins at once */
} settings[] = {
    { "source", source, OTR_SETTING_CODE, false },
    { "abi", abi, OTR_SETTING_CODE, false },
    { "engine", engine, OTR_SETTING_CODE, false },
    { "encoding", encoding, OTR_SETTING_CODE, false },
    { "modules", modules, OTR_SETTING_CODE, false },
    { "operations", operations, OTR_SETTING_CODE, false },
    { "version", version, OTR_SETTING_CODE, false },
    { "input", input, OTR_SETTING_CODE, false },
    { "publish", answers, OTR_SETTING_CODE, false },
    { "other keys", rest, OTR_SETTING_CODE, false },
    { "config", config, OTR_SETTING_CONFIG, false },
    { "sha256", sha256, OTR_SETTING_TRUST, false },
    { "signature", signature, OTR_SETTING_TRUST, true },
    { "plugins.trust.keys", trust_keys, OTR_SETTING_TRUST, true },
    { "plugins.trust.revoked", revoked, OTR_SETTING_TRUST, true },
    { "grants.publish", publish, OTR_SETTING_CHECKED, false },
    { "grants.http", http, OTR_SETTING_CHECKED, false },
    { "grants.instances", see_instances, OTR_SETTING_CHECKED, false },
    { "grants.nginx_config", see_config, OTR_SETTING_CHECKED, false },
    { "grants.metrics", metrics, OTR_SETTING_CHECKED, false },
    { "grants.kv_bytes", kv_bytes, OTR_SETTING_CHECKED, false },
    { "grants.env", env, OTR_SETTING_SANDBOX, false },
    { "grants.secrets", secrets, OTR_SETTING_SANDBOX, false },
    { "grants.paths", paths, OTR_SETTING_SANDBOX, false },
    { "limits.memory", memory, OTR_SETTING_SANDBOX, false },
    { "limits.vars", vars, OTR_SETTING_SANDBOX, false },
    { "limits.zero", zero, OTR_SETTING_SANDBOX, false },
    { "limits.call", call, OTR_SETTING_CHECKED, false },
    { "limits.init", init, OTR_SETTING_CHECKED, false },
    { "limits.publish", rate, OTR_SETTING_CHECKED, false },
    { "instances", instances, OTR_SETTING_CHECKED, false },
    { "limits.queue", queue, OTR_SETTING_AT_ONCE, false },
    { "limits.recycle", recycle, OTR_SETTING_AT_ONCE, false },
    { "subscribe", subscribe, OTR_SETTING_AT_ONCE, false },
    { "hooks", hooks, OTR_SETTING_AT_ONCE, false },
    { "after", after, OTR_SETTING_AT_ONCE, false },
    { "on_failure", on_failure, OTR_SETTING_AT_ONCE, false },
    { "restart", restart, OTR_SETTING_AT_ONCE, false },
    { "off", off, OTR_SETTING_AT_ONCE, false },
    { "plugins.watch", watch, OTR_SETTING_AT_ONCE, true },
    { "plugins.store", store, OTR_SETTING_AT_ONCE, true },
    { "plugins.trust.ca", ca, OTR_SETTING_FETCH, true },
    { "plugins.downloads", downloads, OTR_SETTING_FETCH, true },
    { "plugins.download_timeout", fetch, OTR_SETTING_FETCH, true },
};
_Static_assert(OTR_COUNT(settings) == OTR_SETTINGS, "a place for each");

void otr_manifest_compare(const otr_manifest *from, const otr_manifest *to, otr_changes *ret)
{
    for (size_t i = 0; i < OTR_SETTINGS; i++) {
        ret->of[i] = (unsigned char)settings[i].compare(from, to);
    }
}

const char *otr_setting_name(size_t i)
{
    return settings[i].name;
}

otr_setting_kind otr_setting_kind_of(size_t i)
{
    return settings[i].kind;
}

bool otr_changes_have(const otr_changes *c, otr_setting_kind kind, unsigned bits)
{
    for (size_t i = 0; i < OTR_SETTINGS; i++) {
        if (settings[i].kind == kind && (c->of[i] & bits) != 0) {
            return true;
        }
    }
    return false;
}

bool otr_changes_paths(const otr_changes *c)
{
    size_t i = 0;
    while (settings[i].compare != paths) {
        i++;
    }
    return (c->of[i] & OTR_NARROWER) != 0;
}

bool otr_changes_sandbox(const otr_changes *c)
{
    const unsigned any = OTR_NARROWER | OTR_WIDER;
    return otr_changes_have(c, OTR_SETTING_CODE, any) ||
           otr_changes_have(c, OTR_SETTING_SANDBOX, any) ||
           otr_changes_have(c, OTR_SETTING_CHECKED, any);
}

bool otr_changes_any(const otr_changes *c)
{
    for (size_t i = 0; i < OTR_SETTINGS; i++) {
        if (c->of[i] != OTR_SAME) {
            return true;
        }
    }
    return false;
}

bool otr_changes_own(const otr_changes *c)
{
    for (size_t i = 0; i < OTR_SETTINGS; i++) {
        if (c->of[i] != OTR_SAME && !settings[i].shared) {
            return true;
        }
    }
    return false;
}
