/*
 * The readers of minisign's files: any bytes are refused or read, and what was read verifies
 * nothing that no key signed.
 */
#include <stdlib.h>

#include "plugin/manifest/minisign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_bytes text = { data, size };
    otr_err err = { 0 };
    otr_minisign_key key = { .id = { 0 } };
    otr_minisign_sig sig;
    if (otr_minisign_read_key(text, &key, &err) == OTR_OK && size < OTR_MINISIGN_KEY_TEXT) {
        abort();
    }
    if (otr_minisign_read_sig(text, &sig, &err) == OTR_OK) {
        if (sig.comment.p < data || sig.comment.p + sig.comment.n > data + size) {
            abort();
        }
        /* The key's y coordinate is no point of the curve: nothing can be signed by it. */
        memcpy(key.id, sig.id, sizeof(key.id));
        memset(key.key, 0x02, sizeof(key.key));
        if (otr_minisign_verify(&key, &sig, text, &err) == OTR_OK) {
            abort();
        }
    }
    return 0;
}
