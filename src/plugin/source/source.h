/*
 * Where the bytes of a plugin come from: a file of this machine or an https server.
 *
 * What comes by https is vouched for by a digest or by a signature; the server's certificate alone
 * never suffices. What was accepted is kept in `plugins.downloads`, a folder that nobody else may
 * write, and is checked anew at each use: its own digest, then the pinned one or the signature.
 * With a pinned digest a kept file needs no network. Without, the server is asked whether it
 * changed (ETag); when the server cannot be reached the kept file serves, and the log says so.
 *
 * Thread: any but the loop's; it blocks.
 */
#ifndef OTR_PLUGIN_SOURCE_SOURCE_H
#define OTR_PLUGIN_SOURCE_SOURCE_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "plugin/manifest/manifest.h"

typedef struct otr_source {
    const otr_manifest *manifest; /* whose trust, roots, folder and limits apply */
    const char *location;         /* absolute path, or https:// URL */
    const char *sha256;           /* what it must have: 64 lower-case hex digits; NULL: any */
    const char *signature;        /* where its signature is, as `location`; NULL: none is needed */
    const atomic_bool *ended;     /* Optional: becomes true when nobody waits any more */
} otr_source;

typedef struct otr_source_info {
    struct stat file; /* of a file; zeroed for https */
    bool unreached;   /* written on failure, too: the server could not be asked, try again later */
} otr_source_info;

/* That of the plugin itself. */
otr_source otr_source_of(const otr_manifest *m);
/* Appends the bytes to `out`, read, fetched or kept, once everything that is demanded of them
 * holds. OTR_EDENIED says what was demanded, by which line of the configuration, and what was
 * found. An https location without `sha256` and `signature` is OTR_EDENIED. */
otr_code otr_source_read(const otr_source *source, otr_buf *out, otr_source_info *ret, otr_err *err)
    OTR_MUST_CHECK;

/* What is kept of a download, as bytes for the folder. Views into `text` after unpack. */
typedef struct otr_download {
    otr_bytes etag, signature, file;
} otr_download;
otr_code otr_download_pack(const otr_download *d, otr_buf *out, otr_err *err) OTR_MUST_CHECK;
bool otr_download_unpack(otr_bytes text, otr_download *ret);

#endif
