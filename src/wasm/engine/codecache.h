/*
 * Compiled code kept on disk between runs.
 *
 * An artefact is machine code that will be executed, so it is used only from a folder and a file
 * that belong to this process's user and that nobody else can write, and only when the digest in
 * its header fits the very bytes that are loaded (they are read once, then checked, then used).
 * A file that fails any check counts as absent and is replaced by the next put(). Writers create a
 * temporary file and rename it, so several processes may share the folder. src/plugin/source.c
 * keeps downloads in the same way, in a folder of their own.
 *
 * Thread: any.
 */
#ifndef OTR_WASM_ENGINE_CODECACHE_H
#define OTR_WASM_ENGINE_CODECACHE_H

#include <stdbool.h>

#include "base/base.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

typedef struct otr_codecache otr_codecache;

/* Opens `dir`, made with mode 0700 when its parent exists. OTR_EDENIED when it is not ours alone;
 * the text says what to change. `max_bytes` bounds the files together, 0: the default. */
otr_code otr_codecache_open(const char *dir, uint64_t max_bytes, otr_codecache **ret, otr_err *err)
    OTR_MUST_CHECK;
void otr_codecache_close(otr_codecache *c); /* NULL is fine */

/* The name of an artefact: `engine` is everything about the compiler that its output depends on;
 * the processor's features are added here. Returns `out`. */
const char *otr_codecache_key(const char *engine, otr_bytes wasm, char out[OTR_SHA256_HEX_BYTES]);

/* Appends the artefact to `out`. OTR_ENOTFOUND: there is none; OTR_EDENIED: there is one that must
 * not be trusted (the text says why). Treat both as absent. */
otr_code otr_codecache_get(otr_codecache *c, const char *key, otr_buf *out, otr_err *err)
    OTR_MUST_CHECK;
/* Keeps `code`; removes the files unused for longest when the bound is passed. */
otr_code otr_codecache_put(otr_codecache *c, const char *key, otr_bytes code, otr_err *err)
    OTR_MUST_CHECK;

#endif
