/*
 * A tar archive from anywhere, in one piece and in pieces: both say the same, and no member lies
 * outside of the folder that the archive is for.
 */
#include <stdio.h>
#include <stdlib.h>

#include "nginx/change/sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
    if (!ok) {
        abort();
    }
}

static otr_code read_all(otr_changes *set, otr_bytes bytes, size_t piece)
{
    static const otr_change_source how = { "/conf", OTR_CHANGE_SOURCE_OWNER };
    otr_tar *tar = NULL;
    otr_code rc = otr_tar_new(set, &how, &tar, NULL);
    for (size_t at = 0; rc == OTR_OK && at < bytes.n; at += piece) {
        size_t n = bytes.n - at < piece ? bytes.n - at : piece;
        rc = otr_tar_feed(tar, (otr_bytes){ bytes.p + at, n }, NULL);
    }
    rc = rc == OTR_OK ? otr_tar_end(tar, NULL) : rc;
    otr_tar_free(tar);
    return rc == OTR_OK ? otr_changes_done(set, NULL) : rc;
}

static void check_file(const otr_changes *a, const otr_changes *b, size_t i)
{
    const otr_change_file *x = otr_changes_at(a, i), *y = otr_changes_at(b, i);
    need(strcmp(x->path, y->path) == 0 && x->kind == y->kind && x->size == y->size);
    need(strcmp(x->digest, y->digest) == 0 && x->attributes.mode == y->attributes.mode);
    need(strncmp(x->path, "/conf/", 6) == 0 && strstr(x->path, "/../") == NULL);
    need(x->kind != OTR_CHANGE_DELETE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otr_bytes bytes = { size > 0 ? data + 1 : data, size > 0 ? size - 1 : 0 };
    otr_changes *whole = NULL, *pieces = NULL;
    need(otr_changes_new("/tmp", &whole, NULL) == OTR_OK);
    need(otr_changes_new("/tmp", &pieces, NULL) == OTR_OK);
    otr_code a = read_all(whole, bytes, bytes.n > 0 ? bytes.n : 1);
    otr_code b = read_all(pieces, bytes, size > 0 ? data[0] + 1U : 1);
    need(a == b);
    if (a == OTR_OK) {
        need(otr_changes_count(whole) == otr_changes_count(pieces));
        for (size_t i = 0; i < otr_changes_count(whole); i++) {
            check_file(whole, pieces, i);
        }
    }
    otr_changes_free(whole);
    otr_changes_free(pieces);
    return 0;
}
