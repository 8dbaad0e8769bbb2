#include "wasm/engine/component.h"

#ifdef OTR_ENGINES_OURS /* an installed Wasmtime lacks the shim: component_none.c serves then */

#include <outrider_engines.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include "wasm/engine/survey.h"
#include "wasm/engine/ticker.h"
#include "wasm/engine/trace.h"
#include "wasm/wasi/files.h"
#include "wasm/wasi/lines.h"

enum { TEXT_BYTES = 1 << 20, REASON_BYTES = 512 };

static const otr_engine_ops component_ops;

static const char settings[] = "wasmtime-component 48.0.8 epoch stack1m wasm3";
static const char lifecycle[] = "outrider:plugin/lifecycle@1.";

typedef struct wc_engine {
    otr_engine base;
    otr_components *components;
    otr_ticker ticker;
    otr_codecache *cache;
} wc_engine;

typedef struct wc_module {
    otr_module base;
    otr_component *component;
    otr_module_info info;
    char *names;           /* what describe() said, cut into strings */
    otr_extern_info *list; /* imports, then exports */
    char *missing;         /* info.missing */
    char *interface;       /* the lifecycle interface that it exports, or "" */
} wc_module;

typedef struct wc_func {
    struct wc_func *next;
    otr_component_func *handle;
    char name[];
} wc_func;

typedef struct wc_instance {
    otr_instance base;
    otr_watch watch;
    otr_component_instance *inner;
    wc_func *funcs;
    otr_component_host_fn *host_call;
    const _Atomic bool *cancel; /* the owner's; NULL: none */
    otr_lines lines;
    uint64_t max_memory_bytes;
    uint64_t deadline_ns; /* of the running call; UINT64_MAX: none */
    _Atomic bool interrupted;
    bool dead;
} wc_instance;

/* ---- bytes from the shim ---- */

typedef struct catch
{
    otr_buf *out;
    otr_err *err;
    otr_code rc;
    size_t at; /* where the last bytes begin */
}
catch;

static void on_bytes(void *arg, const uint8_t *p, size_t n)
{
    catch *c = arg;
    c->at = c->out->n;
    c->rc = otr_buf_add(c->out, (otr_bytes){ p, n }, c->err);
}

static otr_slice slice_of(otr_bytes b)
{
    return (otr_slice){ b.p, b.n };
}

static otr_code fail_text(const otr_buf *text, otr_code code, const char *what, otr_err *err)
{
    char reason[REASON_BYTES];
    otr_wasmtime_shorten(otr_buf_bytes(text), reason, sizeof(reason));
    return otr_fail(err, code, "%s: %s", what, reason);
}

/* ---- engine ---- */

static void tick(void *arg)
{
    otr_components_tick(arg);
}

static void close_engine(otr_engine *base)
{
    wc_engine *e = (wc_engine *)base;
    if (e != NULL) {
        otr_ticker_deinit(&e->ticker);
        otr_components_close(e->components);
        otr_free(e);
    }
}

otr_code otr_component_engine_open(otr_codecache *cache, otr_engine **ret, otr_err *err)
{
    otr_buf why;
    otr_buf_init(&why, TEXT_BYTES);
    catch c = { &why, err, OTR_OK, 0 };
    wc_engine *e = otr_zalloc(sizeof(*e));
    otr_code rc = e != NULL ? OTR_OK : otr_fail_nomem(err);
    if (rc == OTR_OK && (e->components = otr_components_open(on_bytes, &c)) == NULL) {
        rc = fail_text(&why, OTR_EIO, "cannot open the component engine", err);
    }
    otr_buf_deinit(&why);
    if (rc == OTR_OK) {
        rc = otr_ticker_init(&e->ticker, tick, e->components, err);
        if (rc != OTR_OK) {
            otr_components_close(e->components);
        }
    }
    if (rc != OTR_OK) {
        otr_free(e);
        return rc;
    }
    e->base.ops = &component_ops;
    e->cache = cache;
    *ret = &e->base;
    return OTR_OK;
}

/* ---- module ---- */

static void module_free(otr_module *base)
{
    wc_module *m = (wc_module *)base;
    if (m == NULL) {
        return;
    }
    if (m->component != NULL) {
        otr_component_free(m->component);
    }
    otr_free(m->interface);
    otr_free(m->missing);
    otr_free(m->list);
    otr_free(m->names);
    otr_free(m);
}

static size_t count_lines(const char *text, const char *prefix)
{
    size_t n = 0;
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1) {
        n += strncmp(at, prefix, strlen(prefix)) == 0;
    }
    return n;
}

static void take_lines(char *text, const char *prefix, bool import, otr_extern_info *to)
{
    size_t skip = strlen(prefix);
    for (char *at = text; *at != '\0';) {
        size_t n = strlen(at);
        if (strncmp(at, prefix, skip) == 0) {
            *to++ = (otr_extern_info){ .module = import ? "" : NULL,
                                       .name = at + skip,
                                       .kind = OTR_EXTERN_OTHER };
        }
        at += n + 1;
    }
}

/* All that is missing, a line each, as one text. */
static otr_code read_missing(wc_module *m, const char *text, otr_err *err)
{
    static const char prefix[] = "missing ";
    enum { SKIP = sizeof(prefix) - 1 };
    if (count_lines(text, prefix) == 0) {
        return OTR_OK;
    }
    char *to = m->missing = otr_zalloc(strlen(text) + 1);
    if (to == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t n; *text != '\0'; text += n + (text[n] == '\n' ? 1 : 0)) {
        n = strcspn(text, "\n");
        if (strncmp(text, prefix, SKIP) == 0) {
            to += to != m->missing;
            memcpy(to, text + SKIP, n - SKIP);
            to += n - SKIP;
            *to = '\n';
        }
    }
    *to = '\0';
    m->info.missing = m->missing;
    return OTR_OK;
}

/* Cuts the description into names: `names` ends with an empty string. */
static otr_code read_names(wc_module *m, const otr_buf *text, otr_err *err)
{
    size_t imports = count_lines(otr_buf_text(text), "import ");
    size_t exports = count_lines(otr_buf_text(text), "export ");
    m->names = otr_zalloc(text->n + 2);
    m->list = otr_calloc(imports + exports + 1, sizeof(*m->list));
    if (m->names == NULL || m->list == NULL) {
        return otr_fail_nomem(err);
    }
    for (size_t i = 0; i < text->n; i++) {
        m->names[i] = text->p[i] == '\n' ? '\0' : (char)text->p[i];
    }
    take_lines(m->names, "import ", true, m->list);
    take_lines(m->names, "export ", false, m->list + imports);
    m->info = (otr_module_info){ .imports = m->list,
                                 .n_imports = imports,
                                 .exports = m->list + imports,
                                 .n_exports = exports,
                                 .component = true };
    otr_code rc = read_missing(m, otr_buf_text(text), err);
    if (rc != OTR_OK) {
        return rc;
    }
    for (size_t i = 0; i < exports && m->interface == NULL; i++) {
        const char *name = m->info.exports[i].name;
        if (strncmp(name, lifecycle, sizeof(lifecycle) - 1) == 0 && strchr(name, '#') == NULL) {
            m->interface = otr_strdup(name);
        }
    }
    if (m->interface == NULL) {
        m->interface = otr_strdup("");
    }
    return m->interface != NULL ? OTR_OK : otr_fail_nomem(err);
}

static otr_component *restore(wc_engine *e, const char *key)
{
    otr_buf code, why;
    otr_buf_init(&code, OTR_LIMIT_WASM_CODE_BYTES);
    otr_buf_init(&why, TEXT_BYTES);
    otr_err err = { 0 };
    catch c = { &why, &err, OTR_OK, 0 };
    otr_component *found = NULL;
    if (otr_codecache_get(e->cache, key, &code, &err) == OTR_OK) {
        found = otr_component_restore(e->components, slice_of(otr_buf_bytes(&code)), on_bytes, &c);
    }
    otr_buf_deinit(&code);
    otr_buf_deinit(&why);
    return found;
}

static void save(wc_engine *e, const char *key, const otr_component *component)
{
    otr_buf code;
    otr_buf_init(&code, OTR_LIMIT_WASM_CODE_BYTES);
    otr_err err = { 0 };
    catch c = { &code, &err, OTR_OK, 0 };
    otr_code rc = otr_component_save(component, on_bytes, &c) == 0 ? c.rc : OTR_EIO;
    rc = rc == OTR_OK ? otr_codecache_put(e->cache, key, otr_buf_bytes(&code), &err) : rc;
    if (rc != OTR_OK) {
        otr_log_debug("compiled component not kept", "key", key, "err", err.msg);
    }
    otr_buf_deinit(&code);
}

static otr_code obtain(wc_engine *e, otr_bytes wasm, otr_component **ret, otr_err *err)
{
    otr_code rc = OTR_OK;
    char key[OTR_SHA256_HEX_BYTES] = "";
    otr_component *component = NULL;
    if (e->cache != NULL) {
        component = restore(e, otr_codecache_key(settings, wasm, key));
        if (component == NULL) {
            rc = otr_engine_compile_elsewhere(&e->base, wasm, NULL, err);
            component = rc == OTR_OK ? restore(e, key) : NULL;
        }
    }
    if (component != NULL || (rc != OTR_OK && rc != OTR_EUNSUP)) {
        *ret = component;
        return rc;
    }
    otr_buf why;
    otr_buf_init(&why, TEXT_BYTES);
    catch c = { &why, err, OTR_OK, 0 };
    component = otr_component_compile(e->components, slice_of(wasm), on_bytes, &c);
    rc = component != NULL ? OTR_OK : fail_text(&why, OTR_EINVAL, "not a valid component", err);
    rc = otr_survey_explain(wasm, OTR_SURVEY_WASMTIME, rc, err);
    if (rc == OTR_OK && e->cache != NULL) {
        save(e, key, component);
    }
    otr_buf_deinit(&why);
    *ret = component;
    return rc;
}

static otr_code compile(otr_engine *base, otr_bytes wasm, otr_module **ret, otr_err *err)
{
    wc_engine *e = (wc_engine *)base;
    wc_module *m = otr_zalloc(sizeof(*m));
    if (m == NULL) {
        return otr_fail_nomem(err);
    }
    m->base = (otr_module){ .ops = base->ops, .engine = base };
    otr_code rc = otr_survey_check(wasm, NULL, err);
    rc = rc == OTR_OK ? obtain(e, wasm, &m->component, err) : rc;
    otr_buf text;
    otr_buf_init(&text, TEXT_BYTES);
    if (rc == OTR_OK) {
        catch c = { &text, err, OTR_OK, 0 };
        otr_component_describe(e->components, m->component, on_bytes, &c);
        rc = c.rc == OTR_OK ? read_names(m, &text, err) : c.rc;
    }
    otr_buf_deinit(&text);
    if (rc != OTR_OK) {
        module_free(&m->base);
        return rc;
    }
    *ret = &m->base;
    return OTR_OK;
}

static const otr_module_info *inspect(const otr_module *m)
{
    return &((const wc_module *)m)->info;
}

bool otr_component_has(const otr_module_info *info, const char *operation)
{
    size_t n = strlen(operation);
    for (size_t i = 0; i < info->n_exports; i++) {
        const char *name = info->exports[i].name;
        const char *hash = strchr(name, '#');
        bool ours = hash != NULL && strncmp(name, lifecycle, sizeof(lifecycle) - 1) == 0;
        if ((ours && strcmp(hash + 1, operation) == 0) ||
            (hash == NULL && strncmp(name, operation, n + 1) == 0)) {
            return true;
        }
    }
    return false;
}

/* ---- instance ---- */

/* Asked at each tick and after each host operation. The ticker's clock is at most a tick behind. */
static int32_t overdue(void *user)
{
    wc_instance *i = user;
    otr_ticker *t = &((wc_engine *)i->base.module->engine)->ticker;
    return atomic_load_explicit(&i->interrupted, memory_order_relaxed) ||
           (i->cancel != NULL && atomic_load_explicit(i->cancel, memory_order_relaxed)) ||
           atomic_load_explicit(&t->now_ns, memory_order_relaxed) >= i->deadline_ns;
}

static bool is_print(const char *op, otr_slice a)
{
    return op[0] == 'p' && otr_same_text(op, "print") && a.n == 1 && (a.p[0] == 1 || a.p[0] == 2);
}

static int32_t status_of(otr_code rc)
{
    switch (rc) {
    case OTR_OK:
        return OTR_COMPONENT_HOST_OK;
    case OTR_ENOTFOUND:
        return OTR_COMPONENT_HOST_ABSENT;
    case OTR_EDENIED:
        return OTR_COMPONENT_HOST_DENIED;
    case OTR_ETIMEOUT:
        return OTR_COMPONENT_HOST_TIMEOUT;
    default:
        return OTR_COMPONENT_HOST_ERROR;
    }
}

static int32_t host_call(void *user, const char *op, otr_slice a, otr_slice b, otr_sink *sink,
                         void *arg)
{
    wc_instance *i = user;
    if (is_print(op, a)) {
        otr_lines_take(&i->lines, a.p[0], (otr_bytes){ b.p, b.n });
        return OTR_COMPONENT_HOST_OK;
    }
    otr_err err; /* not zeroed, as a host call of the other ABIs */
    err.code = OTR_OK;
    err.sys = 0;
    err.msg[0] = '\0';
    otr_buf out;
    otr_buf_init(&out, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    otr_code rc = i->host_call(i->base.user, op, (otr_bytes){ a.p, a.n }, (otr_bytes){ b.p, b.n },
                               &out, &err);
    if (rc != OTR_OK) {
        sink(arg, (const uint8_t *)err.msg, strlen(err.msg));
    } else if (out.n > 0) {
        sink(arg, out.p, out.n);
    }
    otr_buf_deinit(&out);
    return status_of(rc);
}

static void instance_free(otr_instance *base)
{
    wc_instance *i = (wc_instance *)base;
    if (i == NULL) {
        return;
    }
    for (wc_func *f = i->funcs, *next; f != NULL; f = next) {
        next = f->next;
        otr_component_func_free(f->handle);
        otr_free(f);
    }
    if (i->inner != NULL) {
        otr_component_drop(i->inner);
    }
    otr_ticker_remove(&((wc_engine *)base->module->engine)->ticker, &i->watch);
    otr_lines_deinit(&i->lines);
    otr_free(i);
}

/* The granted folders for the shim; each can be opened now. */
static otr_code copy_folders(const otr_wasi *wasi, otr_component_folder **ret, otr_err *err)
{
    size_t n = wasi != NULL ? wasi->n_dirs : 0;
    otr_component_folder *list = n > 0 ? otr_calloc(n, sizeof(*list)) : NULL;
    otr_code rc = n == 0 || list != NULL ? OTR_OK : otr_fail_nomem(err);
    for (size_t k = 0; rc == OTR_OK && k < n; k++) {
        int fd = -1;
        rc = otr_wasi_open_folder(&wasi->dirs[k], &fd, err);
        if (rc == OTR_OK) {
            (void)close(fd);
            list[k] = (otr_component_folder){ wasi->dirs[k].host, wasi->dirs[k].guest,
                                              wasi->dirs[k].writable };
        }
    }
    if (rc != OTR_OK) {
        otr_free(list);
        return rc;
    }
    *ret = list;
    return OTR_OK;
}

/* Instantiation runs start functions and realloc: it is a call with a deadline, too. */
static otr_code instantiate(wc_instance *i, const wc_module *m, const otr_spawn *spec, otr_err *err)
{
    wc_engine *e = (wc_engine *)m->base.engine;
    otr_component_spec give = { .host = { i, host_call, overdue },
                                .max_memory = spec->max_memory_bytes,
                                .env = spec->wasi != NULL ? spec->wasi->env : NULL };
    otr_component_folder *folders = NULL;
    otr_code rc = copy_folders(spec->wasi, &folders, err);
    if (rc != OTR_OK) {
        return rc;
    }
    give.folders = folders;
    give.n_folders = spec->wasi != NULL ? spec->wasi->n_dirs : 0;
    otr_buf why;
    otr_buf_init(&why, TEXT_BYTES);
    catch c = { &why, err, OTR_OK, 0 };
    i->deadline_ns = spec->start_deadline_ns != 0 ? spec->start_deadline_ns : UINT64_MAX;
    rc = otr_ticker_enter(&e->ticker, &i->watch, err);
    if (rc == OTR_OK) {
        i->inner = otr_component_spawn(e->components, m->component, &give, on_bytes, &c);
        otr_ticker_leave(&i->watch);
        otr_lines_flush(&i->lines);
        if (i->inner == NULL) {
            rc = fail_text(&why, overdue(i) ? OTR_ETIMEOUT : OTR_EGUEST, "cannot be instantiated",
                           err);
        }
    }
    otr_buf_deinit(&why);
    otr_free(folders);
    return rc;
}

static otr_code spawn(otr_module *base, const otr_spawn *spec, otr_instance **ret, otr_err *err)
{
    wc_module *m = (wc_module *)base;
    wc_instance *i = otr_zalloc(sizeof(*i));
    if (i == NULL) {
        return otr_fail_nomem(err);
    }
    i->base = (otr_instance){ .ops = base->ops, .module = base, .user = spec->user };
    i->cancel = spec->cancel;
    i->host_call = spec->component_call;
    otr_lines_init(&i->lines, spec->wasi != NULL ? spec->wasi->line : NULL, spec->user);
    i->max_memory_bytes = spec->max_memory_bytes;
    otr_ticker_add(&((wc_engine *)base->engine)->ticker, &i->watch);
    otr_code rc = instantiate(i, m, spec, err);
    if (rc != OTR_OK) {
        instance_free(&i->base);
        return rc;
    }
    *ret = &i->base;
    return OTR_OK;
}

static otr_code find(wc_instance *i, const char *op, const otr_component_func **ret, otr_err *err)
{
    for (const wc_func *f = i->funcs; f != NULL; f = f->next) {
        if (otr_same_text(f->name, op)) {
            *ret = f->handle;
            return OTR_OK;
        }
    }
    const wc_module *m = (const wc_module *)i->base.module;
    otr_slice name = slice_of(otr_bytes_of(op)), none = { NULL, 0 };
    otr_component_func *handle = NULL;
    if (m->interface[0] != '\0') {
        handle = otr_component_func_get(i->inner, slice_of(otr_bytes_of(m->interface)), name);
    }
    if (handle == NULL) {
        handle = otr_component_func_get(i->inner, none, name);
    }
    if (handle == NULL) {
        return otr_fail(err, OTR_ENOTFOUND,
                        "exports no operation \"%s\" that takes and gives bytes or text", op);
    }
    size_t n = strlen(op) + 1;
    wc_func *f = otr_alloc(sizeof(*f) + n);
    if (f == NULL) {
        otr_component_func_free(handle);
        return otr_fail_nomem(err);
    }
    f->next = i->funcs;
    f->handle = handle;
    memcpy(f->name, op, n);
    i->funcs = f;
    *ret = handle;
    return OTR_OK;
}

/* What ended the call, as an error; the text came in place of an answer. */
static otr_code ended(wc_instance *i, int32_t status, const catch *c, otr_err *err)
{
    const char *text = otr_buf_text(c->out) + c->at;
    char reason[REASON_BYTES];
    otr_wasmtime_shorten(otr_bytes_of(text), reason, sizeof(reason));
    i->dead = status != OTR_COMPONENT_ERROR;
    switch (status) {
    case OTR_COMPONENT_ERROR:
        return otr_fail(err, OTR_EINVAL, "%s", text);
    case OTR_COMPONENT_OVERDUE:
        return otr_fail(err, OTR_ETIMEOUT, "the call ran past its deadline");
    case OTR_COMPONENT_MEMORY:
        return otr_fail(err, OTR_EQUOTA, "out of memory (limit %llu KiB), then %s",
                        (unsigned long long)(i->max_memory_bytes / 1024), reason);
    default:
        return otr_fail(err, OTR_EGUEST, "%s", reason);
    }
}

otr_code otr_component_invoke(otr_instance *base, const char *op, otr_bytes in,
                              uint64_t deadline_ns, otr_buf *out, otr_err *err)
{
    wc_instance *i = (wc_instance *)base;
    wc_engine *e = (wc_engine *)base->module->engine;
    const otr_component_func *func = NULL;
    if (i->dead) {
        return otr_fail(err, OTR_ESTATE, "the instance ended by an earlier failure");
    }
    otr_code rc = find(i, op, &func, err);
    rc = rc == OTR_OK ? otr_ticker_enter(&e->ticker, &i->watch, err) : rc;
    if (rc != OTR_OK) {
        return rc;
    }
    catch c = { out, err, OTR_OK, out->n };
    i->deadline_ns = deadline_ns != 0 ? deadline_ns : UINT64_MAX;
    int32_t status = otr_component_call(i->inner, func, slice_of(in), on_bytes, &c);
    otr_ticker_leave(&i->watch);
    if (OTR_UNLIKELY(otr_lines_wait(&i->lines))) {
        otr_lines_flush(&i->lines);
    }
    if (OTR_LIKELY(status == OTR_COMPONENT_OK)) {
        return c.rc == OTR_EQUOTA
                   ? otr_fail(err, OTR_EINVAL, "the answer is larger than the limit of %zu bytes",
                              out->max_bytes)
                   : c.rc;
    }
    return ended(i, status, &c, err);
}

static uint64_t memory_bytes(otr_instance *i)
{
    return otr_component_memory(((wc_instance *)i)->inner);
}

static void interrupt(otr_instance *i)
{
    atomic_store_explicit(&((wc_instance *)i)->interrupted, true, memory_order_relaxed);
}

static int exit_code(const otr_instance *i)
{
    (void)i;
    return -1; /* an exit ends the instance with a text that has the code */
}

static const otr_engine_ops component_ops = {
    .name = "wasmtime",
    .offers = OTR_WASM_COMPONENT | OTR_WASM_DEADLINE,
    .close = close_engine,
    .compile = compile,
    .inspect = inspect,
    .module_free = module_free,
    .spawn = spawn,
    .memory_bytes = memory_bytes,
    .interrupt = interrupt,
    .exit_code = exit_code,
    .instance_free = instance_free,
};

#endif
