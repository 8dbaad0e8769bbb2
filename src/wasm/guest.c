#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "wasm/guest_code.h" /* NOLINT(misc-include-cleaner): struct otr_guest_code */

enum { KERNEL_BYTES = 65536 }; /* of Extism memory, before anybody allocates */

/* What a guest prints becomes log lines: it has no other place to go. */
static void on_line(void *user, int fd, otr_bytes text)
{
    otr_guest *g = user;
    if (g->spec.ops->log != NULL) {
        g->spec.ops->log(g->spec.host, fd == 2 ? OTR_LOG_WARN : OTR_LOG_INFO, text);
    }
}

static void set_default(uint64_t *slot, uint64_t otherwise)
{
    *slot = *slot != 0 ? *slot : otherwise;
}

static void lower(uint64_t *slot, uint64_t to)
{
    *slot = to < *slot ? to : *slot;
}

/* What the file's own manifest says can only tighten. */
static void tighten(otr_guest *g, const otr_extism_manifest *m)
{
    if (m->max_memory_bytes < UINT64_MAX - KERNEL_BYTES) { /* of what the plugin itself takes */
        lower(&g->spec.max_memory_bytes, m->max_memory_bytes + KERNEL_BYTES);
    }
    lower(&g->spec.max_vars_bytes, m->max_vars_bytes);
    lower(&g->spec.max_http_bytes, m->max_http_bytes);
    if (m->timeout_ms != 0) {
        g->timeout_ns = m->timeout_ms * OTR_NS_PER_MS;
    }
}

static void fill_spec(otr_guest *g, const otr_guest_spec *spec)
{
    g->asked = g->spec = *spec;
    set_default(&g->spec.max_memory_bytes, OTR_LIMIT_PLUGIN_MEMORY_BYTES);
    set_default(&g->spec.max_vars_bytes, OTR_LIMIT_PLUGIN_VARS_BYTES);
    set_default(&g->spec.max_http_bytes, OTR_LIMIT_PLUGIN_OUTPUT_BYTES);
    set_default(&g->spec.init_ms, OTR_LIMIT_PLUGIN_INIT_MS);
    if (g->spec.max_output_bytes == 0) {
        g->spec.max_output_bytes = OTR_LIMIT_PLUGIN_OUTPUT_BYTES;
    }
    if (g->manifest != NULL) {
        tighten(g, g->manifest);
    }
    if (spec->wasi != NULL) {
        g->wasi = *spec->wasi;
    }
    g->wasi.line = on_line;
}

/* The kernel first: link 0 wherever there is one. */
static size_t fill_links(const otr_guest_code *code, otr_link *links)
{
    size_t n = 0;
    if (code->kernel != NULL) {
        links[n].module = code->kernel;
        memcpy(links[n++].as, code->abi->kernel->as, sizeof(links->as));
    }
    for (size_t i = 0; i < code->n_linked; i++) {
        links[n].module = code->linked[i].module;
        links[n++].as[0] = code->linked[i].name;
    }
    return n;
}

static otr_code start(otr_guest *g, otr_err *err)
{
    const otr_guest_code *code = g->code;
    otr_link links[OTR_GUEST_MODULES + 1] = { 0 };
    uint64_t deadline_ns = otr_now_ns() + g->spec.init_ms * OTR_NS_PER_MS;
    const otr_spawn spawn = {
        .imports = code->imports,
        .n_imports = code->n_imports,
        .links = links,
        .n_links = fill_links(code, links),
        .wasi = &g->wasi,
        .max_memory_bytes = g->spec.max_memory_bytes,
        .start_deadline_ns = deadline_ns,
        .user = g,
        .component_call = g->abi->host_call,
        .cancel = g->spec.cancel,
    };
    otr_code rc = code->module->ops->spawn(code->module, &spawn, &g->inst, err);
    rc = rc == OTR_OK ? otr_guest_start_linked(g, deadline_ns, err) : rc;
    return rc == OTR_OK ? g->abi->attach(g, deadline_ns, err) : rc;
}

static bool cancelled(const otr_guest *g)
{
    return OTR_UNLIKELY(g->spec.cancel != NULL && atomic_load(g->spec.cancel));
}

otr_code otr_guest_new(otr_guest_code *code, const otr_guest_spec *spec, otr_guest **ret,
                       otr_err *err)
{
    otr_guest *g = otr_zalloc(sizeof(*g));
    if (g == NULL) {
        return otr_fail_nomem(err);
    }
    g->abi = code->abi;
    g->code = code;
    g->info = otr_module_info_of(code->module);
    g->manifest = code->manifest;
    fill_spec(g, spec);
    g->state = otr_zalloc(g->abi->state_size > 0 ? g->abi->state_size : 1);
    g->running = true; /* start functions are calls, too */
    otr_code rc = g->state != NULL ? start(g, err) : otr_fail_nomem(err);
    g->running = false;
    if (rc != OTR_OK) {
        otr_guest_free(g);
        return rc;
    }
    *ret = g;
    return OTR_OK;
}

void otr_guest_free(otr_guest *g)
{
    if (g == NULL) {
        return;
    }
    if (g->state != NULL) {
        g->abi->detach(g);
    }
    if (g->inst != NULL) {
        g->inst->ops->instance_free(g->inst);
    }
    otr_free(g->state);
    otr_free(g);
}

static otr_code refuse(otr_guest *g, otr_err *err)
{
    if (g->dead) {
        return otr_fail(err, OTR_ESTATE, "the guest ended by an earlier failure");
    }
    if (g->running) {
        return otr_fail(err, OTR_ESTATE, "the guest is in a call already");
    }
    g->dead = true;
    return otr_fail(err, OTR_ETIMEOUT, "the call was interrupted");
}

otr_code otr_guest_enter(otr_guest *g, otr_guest_ask *ask, otr_err *err)
{
    if (OTR_UNLIKELY(g->dead || g->running || cancelled(g))) {
        return refuse(g, err);
    }
    if (OTR_UNLIKELY(g->timeout_ns != 0)) {
        uint64_t mine = otr_now_ns() + g->timeout_ns;
        ask->deadline_ns =
            ask->deadline_ns == 0 || mine < ask->deadline_ns ? mine : ask->deadline_ns;
    }
    g->context = ask->context;
    g->running = true;
    return OTR_OK;
}

void otr_guest_leave(otr_guest *g, otr_code rc)
{
    g->running = false;
    g->context = NULL;
    if (OTR_UNLIKELY(rc != OTR_OK)) {
        g->dead = rc == OTR_EGUEST || rc == OTR_ETIMEOUT || rc == OTR_EQUOTA;
    }
}

static otr_code ask_guest(otr_guest *g, otr_guest_ask *ask, otr_buf *out, otr_err *err)
{
    otr_code rc = otr_guest_enter(g, ask, err);
    if (OTR_UNLIKELY(rc != OTR_OK)) {
        return rc;
    }
    size_t before = out->n;
    rc = g->abi->invoke(g, ask->op, ask->in, ask->deadline_ns, out, err);
    otr_guest_leave(g, rc);
    if (OTR_UNLIKELY(rc != OTR_OK)) {
        otr_buf_cut(out, before);
    }
    return rc;
}

otr_code otr_guest_call(otr_guest *g, const char *op, otr_bytes in, uint64_t deadline_ns,
                        otr_buf *out, otr_err *err)
{
    otr_guest_ask ask = { .op = op, .in = in, .deadline_ns = deadline_ns };
    return ask_guest(g, &ask, out, err);
}

otr_code otr_guest_call_with(otr_guest *g, const otr_guest_ask *ask, otr_buf *out, otr_err *err)
{
    otr_guest_ask mine = *ask;
    return ask_guest(g, &mine, out, err);
}

otr_code otr_guest_swap(otr_guest *g, otr_guest_code *code, otr_err *err)
{
    otr_guest *fresh = NULL;
    if (g->running) {
        return otr_fail(err, OTR_ESTATE, "the guest is in a call");
    }
    otr_code rc = otr_guest_new(code, &g->asked, &fresh, err);
    if (rc != OTR_OK) {
        return rc;
    }
    otr_guest old = *g;
    *g = *fresh;
    *fresh = old;
    g->inst->user = g; /* the sandbox knew its guest by the other place */
    fresh->inst->user = fresh;
    otr_guest_free(fresh);
    return OTR_OK;
}

bool otr_guest_dead(const otr_guest *g)
{
    return g->dead;
}

uint64_t otr_guest_memory_bytes(otr_guest *g)
{
    return g->inst->ops->memory_bytes(g->inst);
}

void otr_guest_rest(otr_guest *g)
{
    if (g->abi->rest != NULL && !g->dead && !g->running) {
        g->abi->rest(g);
    }
}

void otr_guest_cancel(otr_guest *g)
{
    g->inst->ops->interrupt(g->inst);
}
