/*
 * Extism's JSON manifest: any bytes are refused with a reason, or read into something whole.
 * Nothing is opened: what has paths and URLs is refused by a source that has neither.
 */
#include <stdlib.h>

#include "wasm/abi/extism_manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(otr_extism_manifest *m)
{
    const otr_extism_source nowhere = { 0 };
    otr_err err = { 0 };
    bool inside = true;
    if (m->n_modules == 0 || m->main >= m->n_modules) {
        abort();
    }
    for (size_t i = 0; i < m->n_modules; i++) {
        const otr_extism_module *x = &m->modules[i];
        if (x->name == NULL || (i != m->main && x->name[0] == '\0') ||
            (x->path != NULL) + (x->url != NULL) + (x->wasm.n > 0) != 1) {
            abort();
        }
        inside = inside && x->path == NULL && x->url == NULL;
    }
    for (char *const *pair = m->config; *pair != NULL; pair += 2) {
        if (pair[1] == NULL || otr_extism_manifest_config(m, pair[0]) == NULL) {
            abort();
        }
    }
    for (size_t i = 0; i < m->n_paths; i++) {
        if (m->paths[i].host[0] != '/' || m->paths[i].guest[0] == '\0') {
            abort();
        }
    }
    if (m->allowed_hosts != NULL) {
        (void)otr_extism_host_allowed(m->allowed_hosts, "www.example.com");
    }
    if (otr_extism_manifest_collect(m, &nowhere, &err) == OTR_OK && !inside) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_bytes text = { data, size };
    otr_extism_manifest *m = NULL;
    otr_err err = { 0 };
    if (otr_extism_manifest_parse(text, &m, &err) != OTR_OK) {
        if (err.msg[0] == '\0' || m != NULL) {
            abort();
        }
        return 0;
    }
    if (!otr_extism_manifest_is(text)) {
        abort();
    }
    look(m);
    otr_extism_manifest_free(m);
    return 0;
}
