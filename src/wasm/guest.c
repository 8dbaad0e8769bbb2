#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "wasm/guest_code.h" /* NOLINT(misc-include-cleaner): struct otr_guest_code */

/* What a guest prints becomes log lines: it has no other place to go. */
static void on_line(void *user, int fd, otr_bytes text)
{
    otr_guest *g = user;
    if (g->spec.ops->log != NULL) {
        g->spec.ops->log(g->spec.host, fd == 2 ? OTR_LOG_WARN : OTR_LOG_INFO, text);
    }
}

static void fill_spec(otr_guest *g, const otr_guest_spec *spec)
{
    g->spec = *spec;
    if (g->spec.max_memory_bytes == 0) {
        g->spec.max_memory_bytes = OTR_LIMIT_PLUGIN_MEMORY_BYTES;
    }
    if (g->spec.max_vars_bytes == 0) {
        g->spec.max_vars_bytes = OTR_LIMIT_PLUGIN_VARS_BYTES;
    }
    if (g->spec.max_output_bytes == 0) {
        g->spec.max_output_bytes = OTR_LIMIT_PLUGIN_OUTPUT_BYTES;
    }
    if (g->spec.init_ms == 0) {
        g->spec.init_ms = OTR_LIMIT_PLUGIN_INIT_MS;
    }
    if (spec->wasi != NULL) {
        g->wasi = *spec->wasi;
    }
    g->wasi.line = on_line;
}

static otr_code start(otr_guest *g, otr_err *err)
{
    const otr_guest_code *code = g->code;
    otr_link kernel = { .module = code->kernel };
    uint64_t deadline_ns = otr_now_ns() + g->spec.init_ms * OTR_NS_PER_MS;
    otr_spawn spawn = {
        .wasi = &g->wasi,
        .max_memory_bytes = g->spec.max_memory_bytes,
        .start_deadline_ns = deadline_ns,
        .user = g,
    };
    spawn.imports = g->abi->imports(&spawn.n_imports);
    spawn.component_call = g->abi->host_call;
    if (code->kernel != NULL) {
        memcpy(kernel.as, g->abi->kernel->as, sizeof(kernel.as));
        spawn.links = &kernel;
        spawn.n_links = 1;
    }
    otr_code rc = code->module->ops->spawn(code->module, &spawn, &g->inst, err);
    return rc == OTR_OK ? g->abi->attach(g, deadline_ns, err) : rc;
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

otr_code otr_guest_call(otr_guest *g, const char *op, otr_bytes in, uint64_t deadline_ns,
                        otr_buf *out, otr_err *err)
{
    if (OTR_UNLIKELY(g->dead)) {
        return otr_fail(err, OTR_ESTATE, "the guest ended by an earlier failure");
    }
    if (OTR_UNLIKELY(g->running)) {
        return otr_fail(err, OTR_ESTATE, "the guest is in a call already");
    }
    size_t before = out->n;
    g->running = true;
    otr_code rc = g->abi->invoke(g, op, in, deadline_ns, out, err);
    g->running = false;
    if (OTR_UNLIKELY(rc != OTR_OK)) {
        g->dead = rc == OTR_EGUEST || rc == OTR_ETIMEOUT || rc == OTR_EQUOTA;
        out->n = before;
        if (out->p != NULL) {
            out->p[before] = '\0';
        }
    }
    return rc;
}

bool otr_guest_dead(const otr_guest *g)
{
    return g->dead;
}

uint64_t otr_guest_memory_bytes(otr_guest *g)
{
    return g->inst->ops->memory_bytes(g->inst);
}

void otr_guest_cancel(otr_guest *g)
{
    g->inst->ops->interrupt(g->inst);
}
