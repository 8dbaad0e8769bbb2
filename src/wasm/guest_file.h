/*
 * A plugin file of either kind: a module, or an Extism manifest that names modules.
 *
 * Thread: any; worker threads, as otr_guest_load().
 */
#ifndef OTR_WASM_GUEST_FILE_H
#define OTR_WASM_GUEST_FILE_H

#include "wasm/abi/extism_manifest.h"
#include "wasm/guest.h"

/* As otr_guest_load() and otr_guest_inspect(), of a file `spec->wasm` that may be a manifest: then
 * its modules take the places of `wasm` and `modules`, and what it says holds for every guest. */
otr_code otr_guest_load_file(otr_engine *engine, const otr_load_spec *spec,
                             const otr_extism_source *from, otr_guest_code **ret, otr_err *err)
    OTR_MUST_CHECK;
otr_code otr_guest_inspect_file(otr_engine *engine, const otr_load_spec *spec,
                                const otr_extism_source *from, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
/* The manifest that the file was, without its modules' bytes; NULL: it was a module. The owner of
 * the host's side asks it for allowed_hosts and allowed_paths; the rest is taken care of. */
const otr_extism_manifest *otr_guest_code_manifest(const otr_guest_code *code);
/* Appends `config`, a JSON object, with those keys of the manifest's config that it lacks. */
otr_code otr_guest_code_config(const otr_guest_code *code, otr_bytes config, otr_buf *out,
                               otr_err *err) OTR_MUST_CHECK;

#endif
