/*
 * The Wasm engines of a host's guests, each opened with the first guest that names it, and the
 * process that compiles for all of them.
 *
 * Thread: loop.
 */
#ifndef OTR_PLUGIN_GUEST_ENGINES_H
#define OTR_PLUGIN_GUEST_ENGINES_H

#include "plugin/manifest/manifest.h"
#include "plugin/source/compiler.h"
#include "wasm/engine/engine.h"

enum { OTR_GUEST_ENGINES = 2 };

typedef struct otr_guest_engines {
    otr_engine *items[OTR_GUEST_ENGINES];
    otr_plugin_compiler *compiler; /* NULL: this process compiles */
    char *cache_dir;               /* where the first was opened with; NULL: none */
    bool opened;
} otr_guest_engines;

/* Opens what the guests of `set` need and is not open. `program` as in otr_plugin_host_spec. */
otr_code otr_guest_engines_open(otr_guest_engines *e, const char *program,
                                const otr_manifest_set *set, otr_err *err) OTR_MUST_CHECK;
/* Do all that are open keep compiled code in `dir`? NULL: do they keep none? */
bool otr_guest_engines_cached_in(const otr_guest_engines *e, const char *dir);
/* The open engine that `m` names. */
otr_engine *otr_guest_engine(const otr_guest_engines *e, const otr_manifest *m);
/* Ends the compilations that run, and all later ones at once. */
void otr_guest_engines_end(otr_guest_engines *e);
void otr_guest_engines_close(otr_guest_engines *e);

#endif
