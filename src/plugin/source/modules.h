/*
 * What a plugin's file brings beside itself: linked modules, an Extism manifest and what that one
 * tightens. Internal to plugin/source.
 *
 * Thread: a worker during OTR_JOB_LOAD; otr_guest_parts_changed() the loop, between jobs.
 */
#ifndef OTR_PLUGIN_SOURCE_MODULES_H
#define OTR_PLUGIN_SOURCE_MODULES_H

#include "plugin/manifest/manifest.h"
#include "plugin/source/source.h"
#include "wasm/guest_file.h"

typedef struct otr_guest_parts { /* files beside the source that the code was made of */
    struct otr_guest_part {
        char *path;
        uint64_t stamp;
    } *items;
    size_t n;
    bool unreached; /* as otr_source_info.unreached */
} otr_guest_parts;

/* As otr_guest_load_file(), with the modules that the configuration adds to what was read from
 * `source`, whose bytes, `spec->wasm`, have passed its checks. Fills `parts`; `unreached` on
 * failure, too. */
otr_code otr_guest_parts_load(const otr_source *source, otr_engine *engine,
                              const otr_load_spec *spec, otr_guest_parts *parts,
                              otr_guest_code **ret, otr_err *err) OTR_MUST_CHECK;
/* Whether one of them was written or replaced since. */
bool otr_guest_parts_changed(const otr_guest_parts *parts);
void otr_guest_parts_deinit(otr_guest_parts *parts);

typedef struct otr_guest_wasi { /* what a guest is given */
    otr_wasi wasi;
    struct otr_wasi_dir *dirs; /* those of `wasi`, when they are not the manifest's */
} otr_guest_wasi;

/* WASI as `m` grants it; a file with `allowed_paths` gets those of them only, at its own places.
 * OTR_EDENIED names a folder that no grant names. Borrows from both. */
otr_code otr_guest_wasi_fill(const otr_manifest *m, const otr_guest_code *code, otr_guest_wasi *ret,
                             otr_err *err) OTR_MUST_CHECK;
void otr_guest_wasi_deinit(otr_guest_wasi *w);

#endif
