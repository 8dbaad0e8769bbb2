/*
 * Who vouches for the bytes of a plugin: what `plugins.trust` demands, held against them.
 *
 * Thread: any; key files are read in otr_trust_signature() only, on a worker.
 */
#ifndef OTR_PLUGIN_SOURCE_TRUST_H
#define OTR_PLUGIN_SOURCE_TRUST_H

#include "base/base.h"
#include "base/err.h"
#include "plugin/manifest/manifest.h"

/* Is `wasm` what is wanted, and not revoked? `label` names it in the error; `sha256` is what is
 * wanted, NULL: anything that is not revoked. OTR_EDENIED says what was demanded, by which line of
 * the configuration, and what was found. */
otr_code otr_trust_digest(const otr_manifest *m, const char *label, const char *sha256,
                          otr_bytes wasm, otr_err *err) OTR_MUST_CHECK;
/* Did a key of the configuration that is not revoked sign `wasm`? `signature` is the text of the
 * .minisig file that `label` names. OTR_EDENIED as above. */
otr_code otr_trust_signature(const otr_manifest *m, const char *label, otr_bytes signature,
                             otr_bytes wasm, otr_err *err) OTR_MUST_CHECK;

#endif
